"""Notes: what is known of a toy note is found again, octaves are heard, and what is not pitched is told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile

import vaectrol
from common.refusal import Refusal
from toy.harmony import notes as toy_notes
from toy.make import make_notes
from train.analysis.note import habits, pitch
from train.analysis.note.harmonics import analysed
from train.analysis.note.loudness import loudness_db
from train.data.kinds.voice import frequencies, named_key
from train.data.prepare import prepare
from train.data.soundfonts.melodic import INSTRUMENTS, notes_of, render_notes
from train.data.source import SourceFile
from train.data.store import DataSet
from train.models.hit.bands import centres_hz
from train.models.voice.shape import BANDS, FRAMES_PER_S, HOP

RATE = 48_000


def quietly(things, label):
    return things


@pytest.fixture(scope="module")
def played():
    """A bowed and a plucked note, known in all parts."""
    found = list(toy_notes.notes(1, 48))
    bowed = next(n for n in found if n.vibrato_cents > 15 and 48 <= n.key <= 64)
    plucked = next(n for n in found if n.decay_db_s and 48 <= n.key <= 64)
    return bowed, plucked


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("notes")
    make_notes(folder / "toy", 24, 3)
    outcome = prepare("voice", folder / "toy", folder / "data")
    return folder, outcome, DataSet.open(folder / "data")


def hz_of(note):
    return 440 * 2 ** ((note.key - 69) / 12)


def held_frames(note):
    first = round((toy_notes.BEGIN_S + 0.25) * FRAMES_PER_S)
    return slice(first, round((toy_notes.BEGIN_S + note.held_s - 0.1) * FRAMES_PER_S))


def test_the_pitch_of_a_note_is_found_with_its_vibrato(played):
    note, _ = played
    x = note.audio[: len(note.audio) // HOP * HOP]
    f0 = frequencies(x, hz_of(note) * 1.002, loudness_db(x, len(x) // HOP))
    cents = 1200 * np.log2(f0 / hz_of(note))[held_frames(note)]
    assert abs(np.mean(cents)) < 3
    assert np.ptp(cents) / 2 == pytest.approx(note.vibrato_cents, rel=0.15)


def test_coarse_pitch_needs_no_name(played):
    for note in played:
        heard = pitch.coarse(note.audio)
        loud = heard.voicing > 0.9
        assert abs(1200 * np.log2(np.median(heard.hz[loud]) / hz_of(note))) < 25


def test_harmonics_are_the_partials_that_were_added(played):
    for note in played:
        x = note.audio[: len(note.audio) // HOP * HOP]
        frames = len(x) // HOP
        f0 = frequencies(x, hz_of(note), loudness_db(x, frames))
        levels = analysed(x, f0).harmonics.astype(float)
        part = held_frames(note)
        time = (np.arange(frames) / FRAMES_PER_S - toy_notes.BEGIN_S)[part, None]
        envelope = np.log1p(-np.exp(-time / note.attack_s)) - note.decay_db_s * time * np.log(10) / 20
        loud = note.amplitudes[:12] > 0.003
        found = (levels[part, :12] - envelope).mean(0)[loud] * 20 / np.log(10)
        assert np.abs(found - 20 * np.log10(note.amplitudes[:12][loud])).max() < 1.0


def test_noise_is_as_loud_as_what_was_added():
    rng = np.random.default_rng(2)
    t = np.arange(RATE) / RATE
    hiss = 0.01
    x = sum(0.1 / k * np.sin(2 * np.pi * 300 * k * t) for k in range(1, 20)) + hiss * rng.standard_normal(
        RATE
    )
    noise = analysed(x, np.full(250, 300.0)).noise[50:200].astype(float)
    gain = np.exp(noise[:, np.arange(BANDS)[centres_hz(BANDS) > 1000]].mean())
    # the engine's noise has a third of the power of ±1
    assert 20 * np.log10(gain / 3**0.5 / hiss) == pytest.approx(0, abs=2.0)


def test_loudness_is_weighted_as_the_standard_says():
    t = np.arange(RATE) / RATE
    levels = [
        float(np.median(loudness_db(0.5 * np.sin(2 * np.pi * hz * t), 250)[50:200])) for hz in (100, 1000)
    ]
    assert levels[1] == pytest.approx(20 * np.log10(0.5 / 2**0.5), abs=0.3)
    assert levels[0] - levels[1] == pytest.approx(-19.1, abs=0.5)  # IEC 61672, table 3


def test_an_octave_is_told_by_its_odd_harmonics():
    t = np.arange(RATE) / RATE
    full = sum(np.sin(2 * np.pi * 110 * k * t) / k for k in range(1, 30))
    hollow = sum(np.sin(2 * np.pi * 220 * k * t) / k for k in range(1, 15))
    assert pitch.true_octave(full, 220.0, 110.0) == 110.0
    assert pitch.true_octave(full, 110.0, 220.0) == 110.0
    assert pitch.true_octave(hollow, 220.0, 110.0) == 220.0


def test_a_prepared_set_says_what_each_note_is(prepared):
    _, outcome, data = prepared
    assert not outcome.left_out and len(data) == 24
    truth = {n.name: n for n in toy_notes.notes(3, 24)}
    for index, item in enumerate(data.manifest):
        note = truth[item["name"].rsplit("/", 1)[1]]
        assert item["key"] == pytest.approx(note.key, abs=0.12)
        assert item["label"] == note.instrument
        assert item["held"] == pytest.approx((toy_notes.BEGIN_S + note.held_s) * FRAMES_PER_S, abs=1)
        first, end = (int(v) for v in data.arrays["offsets"][index : index + 2])
        assert end - first == item["frames"] * HOP
    frames = sum(item["frames"] for item in data.manifest)
    assert all(len(data.arrays[name]) == frames for name in ("f0", "loudness", "harmonics", "noise"))


def test_instruments_are_kept_whole(tmp_path, prepared):
    _, _, data = prepared
    splits = {}
    for item in data.manifest:
        splits.setdefault(item["label"], set()).add(item["split"])
    assert all(len(found) == 1 for found in splits.values())


def test_names_that_are_an_octave_off_are_flagged(tmp_path, played):
    note, _ = played
    folder = tmp_path / "in" / "horn"
    folder.mkdir(parents=True)
    low = f"{note.name.split('_')[0][:-1]}{int(note.name.split('_')[0][-1]) - 1}"
    soundfile.write(folder / f"horn {low}.wav", note.audio, RATE)
    outcome = prepare("voice", tmp_path / "in", tmp_path / "out")
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["octaves_off"] == [f"horn/horn {low}.wav"]
    assert outcome.manifest["items"][0]["key"] == pytest.approx(note.key, abs=0.15)


def test_a_folder_without_pitch_says_how_much_is_pitched(tmp_path):
    (tmp_path / "in").mkdir()
    noise = np.random.default_rng(0).standard_normal(RATE) * 0.1
    soundfile.write(tmp_path / "in" / "wind.wav", noise, RATE)
    with pytest.raises(Refusal, match=r"wind.wav is pitched in \d+ % of its sound; notes need 50 %"):
        prepare("voice", tmp_path / "in", tmp_path / "out")


def test_a_phrase_is_cut_into_its_notes(tmp_path):
    t = np.arange(RATE // 2) / RATE
    envelope = np.minimum(1, t / 0.01) * np.minimum(1, (0.5 - t) / 0.02)
    keys = (57, 64, 60)
    tones = [
        envelope
        * sum(0.2 / k * np.sin(2 * np.pi * k * 440 * 2 ** ((key - 69) / 12) * t) for k in range(1, 9))
        for key in keys
    ]
    (tmp_path / "in" / "viol").mkdir(parents=True)
    soundfile.write(
        tmp_path / "in" / "viol" / "phrase.wav", np.concatenate([*tones, np.zeros(RATE // 4)]), RATE
    )
    items = prepare("voice", tmp_path / "in", tmp_path / "out").manifest["items"]
    assert [round(item["key"]) for item in items] == list(keys)


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("cello_A2_vib", 45),
        ("Trumpet-f#4", 66),
        ("Bb3", 58),
        ("take 2", None),
        ("ADSR1", None),
        ("c4-e4", 64),
    ],
)
def test_keys_are_read_from_names(tmp_path, name, key):
    assert named_key(SourceFile(tmp_path / f"{name}.wav", f"{name}.wav", "", {})) == key


def test_habits_are_those_of_the_toy_notes():
    found = list(toy_notes.notes(5, 96))
    numbers = []
    for note in found:
        x = note.audio[round(toy_notes.BEGIN_S * RATE) :]
        numbers.append(habits.measured(loudness_db(x, len(x) // HOP), round(note.held_s * FRAMES_PER_S)))
    numbers = np.array(numbers)
    decays = np.array([note.decay_db_s for note in found])
    assert np.median(np.abs(numbers[:, 3] - decays)) < 2.5
    # one latent that is the decay explains it
    weights = habits.fitted(numbers, decays[:, None] / 20, np.zeros(len(found)), np.ones(len(found), bool))
    said = habits.features(decays[:, None] / 20, np.zeros(len(found))) @ weights.T
    assert np.median(np.abs(said[:, 3] - decays)) < 3


def test_the_command_line_knows_the_kind_as_notes(tmp_path, capsys):
    for word in ("notes", "voice"):
        assert vaectrol.main(["data", "prepare", word, str(tmp_path / "none"), str(tmp_path / "out")]) == 2
        assert "none does not exist" in capsys.readouterr().err


def test_rendered_instruments_are_whole_in_the_test():
    test = {name for name, one in INSTRUMENTS.items() if one.test}
    assert len(test) == 5 and len(INSTRUMENTS) >= 35
    for one in INSTRUMENTS.values():
        notes = notes_of(one)
        assert all(one.lowest <= note.key <= one.highest for note in notes)
        assert {note.velocity for note in notes} == {45, 80, 115}


def test_a_soundfont_that_is_missing_is_refused(tmp_path):
    with pytest.raises(Refusal, match="there is no soundfont"):
        render_notes([tmp_path / "no.sf2"], tmp_path / "out", quietly)
