"""What is silent, not finite or cut is no rendering: every command refuses it, and says why."""

from __future__ import annotations

import numpy as np
import pytest

import vaectrol
from firmware.play.host import Rendered
from firmware.play.verdict import SILENT_DBFS, BadRendering, complaint, require_audible

TICKS = 4800


def rendered(sound=0.0, cv=0.0, gates=0) -> Rendered:
    def row(value, dtype=np.float32):
        return np.broadcast_to(np.asarray(value, dtype), TICKS).copy()

    return Rendered(
        np.stack([row(sound), row(0.0)]), row(cv)[None], row(gates, np.uint32), np.zeros((0, 0), np.float32)
    )


TONE = np.sin(np.arange(TICKS) * 0.05).astype(np.float32)
PULSES = (np.arange(TICKS) % 480 < 48).astype(np.uint32)


@pytest.mark.parametrize(
    ("made", "has_sound", "words"),
    [
        (rendered(0.3 * TONE), True, None),
        (rendered(0.0), True, "silent: nothing at all"),
        (rendered(0.5), True, "silent"),  # a constant voltage is no sound
        (rendered(0.9 * 10 ** (SILENT_DBFS / 20) * TONE), True, "silent: a peak of -61 dBFS"),
        (rendered(1.2 * 10 ** (SILENT_DBFS / 20) * TONE), True, None),
        (rendered(np.clip(1.2 * TONE, -1, 1)), True, "clips"),
        (rendered(np.where(np.arange(TICKS) == 9, np.nan, 0.3 * TONE)), True, "not finite"),
        (rendered(0.3 * TONE, cv=np.inf), True, "not finite"),
        (rendered(0.0, gates=PULSES), False, None),
        (rendered(0.0, cv=TONE), False, None),
        (rendered(0.0, gates=1, cv=3.0), False, "no gate and no CV output moves"),
        (rendered(0.0), False, "no gate and no CV output moves"),
    ],
)
def test_silence_a_nan_and_clipping_are_found(made, has_sound, words):
    said = complaint(made, has_sound)
    assert (said is None) if words is None else words in str(said)


def test_the_refusal_names_what_was_played_and_the_way_out():
    with pytest.raises(BadRendering, match=r"^drive on host: .*--allow-silence\.$"):
        require_audible(rendered(), True, "drive on host")
    require_audible(rendered(0.5 * TONE), True, "drive on host")


@pytest.fixture
def silent_script(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "still.csv").write_text("time,knob_1\n0,0\n0.2,1\n")
    return tmp_path


@pytest.mark.parametrize("instrument", ["drum", "drive", "rhythm"])
def test_play_refuses_what_nobody_hears_and_writes_nothing(instrument, silent_script, model_files, capsys):
    words = [
        *("play", instrument, "--cv", "still.csv", "--seconds", "0.2", "-o", "out.wav"),
        *("--model", f"{instrument}={model_files[instrument]}"),
    ]
    assert vaectrol.main(words) == 2
    assert "--allow-silence" in capsys.readouterr().err
    assert sorted(path.name for path in silent_script.iterdir()) == ["still.csv"]
    assert vaectrol.main([*words, "--allow-silence"]) == 0
    assert (silent_script / "out.wav").is_file()


def test_emulate_refuses_what_nobody_hears(silent_script, model_files, capsys):
    words = [
        *("emulate", "drive", "--cv", "still.csv", "--seconds", "0.05", "--callbacks", "5", "-o", "out.wav"),
        *("--model", f"drive={model_files['drive']}"),
    ]
    assert vaectrol.main(words) == 2
    assert "drive on the emulated patch_sm: it is silent" in capsys.readouterr().err
    assert vaectrol.main([*words, "--allow-silence"]) == 0
