"""Toy sets on disk: the same seed gives the same bytes, and nothing is overwritten or half made."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from common.refusal import Refusal
from toy.digits import digits, split_of
from toy.make import make_chords, make_digits, make_drive, make_drums, make_rhythms
from toy.phrases import KINDS, midi_hz, phrase, plucked_string

ROOT = Path(__file__).resolve().parents[2]


def tree_hash(folder):
    lines = [
        f"{path.relative_to(folder)} {hashlib.sha256(path.read_bytes()).hexdigest()}"
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    ]
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


MAKERS = {
    "drum": lambda out: make_drums(out, 8, 1),
    "rhythm": lambda out: make_rhythms(out, 22, 1),
    "chords": lambda out: make_chords(out, 6, 1),
    "drive": lambda out: make_drive(out, 4, 1, 0.4, []),
    "digits": make_digits,
}


def test_a_set_of_before_kinds_were_singular_stands(tmp_path):
    assert make_drums(tmp_path / "set", 2, 1)
    manifest = tmp_path / "set" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"kind": "drum"', '"kind": "drums"'))
    assert not make_drums(tmp_path / "set", 2, 1)


def test_a_plural_is_told_what_its_kind_is_called(capsys):
    import vaectrol

    assert vaectrol.main(["toy", "drums", "somewhere"]) == 2
    assert "there is no kind 'drums'; the kind is called drum" in capsys.readouterr().err


@pytest.mark.parametrize("kind", MAKERS)
def test_the_same_seed_gives_the_same_bytes(kind, tmp_path):
    make = MAKERS[kind]
    assert make(tmp_path / "a") and make(tmp_path / "b")
    assert tree_hash(tmp_path / "a") == tree_hash(tmp_path / "b")
    assert make(tmp_path / "a") is False  # stands there already
    manifest = json.loads((tmp_path / "a/manifest.json").read_text())
    assert manifest["kind"] == kind and manifest["items"]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "b"]


def test_another_seed_gives_other_sounds(tmp_path):
    make_drums(tmp_path / "a", 2, 1)
    make_drums(tmp_path / "b", 2, 2)
    a, b = (json.loads((tmp_path / name / "manifest.json").read_text())["items"][0] for name in "ab")
    assert a["factors"] != b["factors"]


def test_what_stands_in_the_way_is_refused(tmp_path):
    make_drums(tmp_path / "set", 2, 1)
    with pytest.raises(Refusal, match="already holds something else"):
        make_drums(tmp_path / "set", 2, 2)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/notes.txt").write_text("keep me")
    with pytest.raises(Refusal, match="already holds something else"):
        make_rhythms(tmp_path / "mine", 2, 0)
    assert (tmp_path / "mine/notes.txt").read_text() == "keep me"
    with pytest.raises(Refusal, match="cannot write"):
        make_drums(tmp_path / "mine/notes.txt/set", 2, 0)
    with pytest.raises(Refusal, match="at least 1"):
        make_drums(tmp_path / "none", 0, 0)
    with pytest.raises(Refusal, match="phrases last between"):
        make_drive(tmp_path / "none", 1, 0, 0.0, [])


def test_an_interrupted_run_leaves_nothing_that_looks_whole(tmp_path):
    def stop(things, count):
        for number, thing in enumerate(things):
            if number == 3:
                raise KeyboardInterrupt
            yield thing

    with pytest.raises(KeyboardInterrupt):
        make_drums(tmp_path / "set", 8, 1, stop)
    assert not (tmp_path / "set").exists()
    assert make_drums(tmp_path / "set", 8, 1)


def test_drive_pairs_share_their_dry_phrase(tmp_path):
    make_drive(tmp_path / "set", 6, 3, 0.4, [])
    items = json.loads((tmp_path / "set/manifest.json").read_text())["items"]
    assert len({item["dry"] for item in items}) == 2 and len({item["wet"] for item in items}) == 6
    assert all(item["chain"] and item["effect"] for item in items)


@pytest.mark.parametrize("index", range(len(KINDS)))
def test_phrases_are_finite_loud_enough_and_repeatable(index):
    a, b = phrase(0, index, 0.6), phrase(0, index, 0.6)
    assert np.array_equal(a.audio, b.audio) and len(a.audio) == 28_800
    assert -12.1 < 20 * np.log10(np.abs(a.audio).max()) < -0.9


@pytest.mark.parametrize("note", [40, 52, 64])
def test_a_plucked_string_is_in_tune_and_dies(note):
    audio = plucked_string(np.random.default_rng(0), 96_000, midi_hz(note), 2.0, 0.7, 0.2)
    spectrum = np.abs(np.fft.rfft(audio[4800:] * np.hanning(len(audio) - 4800), 1 << 20))
    hz = np.fft.rfftfreq(1 << 20, 1 / 48_000)
    near = (hz > 0.94 * midi_hz(note)) & (hz < 1.06 * midi_hz(note))
    found = hz[near][spectrum[near].argmax()]
    assert abs(1200 * np.log2(found / midi_hz(note))) < 8  # cents
    rms = [np.sqrt((audio[i : i + 4800] ** 2).mean()) for i in (9600, 86_400)]
    assert rms[1] < 0.3 * rms[0]


def test_digits_are_the_ones_that_ship():
    images, labels = digits()
    assert images.shape == (1797, 8, 8) and images.dtype == np.float32
    assert images.min() == 0 and images.max() == 1 and set(labels) == set(range(10))
    splits = split_of(len(labels))
    assert [int((splits == name).sum()) for name in ("train", "validation", "test")] == [1437, 180, 180]


def test_the_command_refuses_with_status_2_and_one_sentence(tmp_path):
    (tmp_path / "file").write_text("x")
    run = subprocess.run(
        [sys.executable, "vaectrol.py", "toy", "drum", str(tmp_path / "file/set"), "--items", "2"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 2 and "Traceback" not in run.stderr
    assert run.stderr.strip().splitlines()[-1].startswith("vaectrol: cannot write")
