"""A new kind is what CONTRIBUTING.md says it is: its commands, typed into a copy of the tree, make sound."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

from tests.copied_tree import CopiedTree, steps_of


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    tree = CopiedTree(tmp_path_factory.mktemp("kind"))
    tree.said = tree.shell(steps_of("An instrument kind"))
    return tree


def pitch_hz(sound, rate_hz):
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(sound.size)))
    return np.argmax(spectrum) * rate_hz / sound.size


def test_the_steps_make_a_kind_that_sounds(tree):
    sound, rate = soundfile.read(tree.folder / "siren.wav", always_2d=True)
    assert sound.shape[0] == 2 * rate
    assert 0.2 < np.abs(sound[:, 0]).max() <= 1.0
    middle = np.sqrt(55 * 1760)
    assert abs(pitch_hz(sound[rate:, 0], rate) - middle) < 0.02 * middle


def test_the_steps_build_it_for_a_module(tree):
    report = json.loads((tree.folder / "siren" / "report.json").read_text())
    assert report["kind"] == "siren" and report["models"] == {}
    assert report["voices"] is None and report["latency_samples"] == 0
    assert 0 < report["cpu_worst"] < 0.1
    assert report["regions"]["dtcm"]["used"] > 0
    assert report["parameters"] == ["pitch", "level"]


def test_its_controls_and_its_gate_do_what_the_file_says(tree):
    (tree.folder / "moves.csv").write_text(
        "time,knob_1,knob_2,gate_in_1\n0,0,1,0\n0.999,0,1,0\n1,1,1,0\n2,1,1,1\n3,1,1,1\n"
    )
    tree.shell("vaectrol play siren --cv moves.csv --seconds 3 -o moved.wav")
    sound, rate = soundfile.read(tree.folder / "moved.wav")
    low, high, muted = (
        sound[: rate * 9 // 10, 0],
        sound[rate * 11 // 10 : 2 * rate, 0],
        sound[-rate // 2 :, 0],
    )
    assert abs(pitch_hz(low, rate) - 55) < 2
    assert abs(pitch_hz(high, rate) - 1760) < 20
    assert np.abs(low).max() > 0.9
    assert not muted.any()
    gate, _ = soundfile.read(tree.folder / "moved.gates.wav")
    assert gate[rate] == 1.0 and gate[-1] == 0.0


def test_the_emulated_module_plays_the_same(tree):
    pytest.importorskip("unicorn", reason="needs the unicorn emulator")
    (tree.folder / "short.csv").write_text("time,knob_1,gate_in_1\n0,0,0\n0.05,1,0\n0.08,1,1\n0.1,1,1\n")
    told = tree.shell("vaectrol emulate siren --cv short.csv --board patch_sm -o m7.wav --json")
    said = json.loads(told)
    assert said["equals_host"]


def test_the_checks_for_kinds_know_it(tree):
    """What CONTRIBUTING.md tells to run, in the copy: the header's order, memory, every board."""
    told = tree.shell(
        "python -m pytest -q -p no:cacheprovider -k 'siren or set_aside' "
        "tests/firmware/test_instrument_kinds.py tests/firmware/test_instrument_files.py"
    )
    assert "failed" not in told
