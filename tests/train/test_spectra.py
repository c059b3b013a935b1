"""Spectra: on their axis all pitches are alike; a network learns, is judged and plays in tune."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from common.model_metadata import read_file
from toy.make import make_notes
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.judges.evaluate import evaluate
from train.kinds import load_recipe
from train.models.spectra.axis import frame, moments, note_magnitudes
from train.models.spectra.network import SEEN, control_of, seen_of
from train.models.spectra.play import played
from train.models.spectra.shape import CONTROLS, MOMENTS, SpectraShape
from train.models.spectra.spsi import BINS
from train.tasks.spectra import SpectraTask, audible, batch_of

RATE_HZ = 48_000


def tone(hz, seconds=0.4, harmonics=6):
    t = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    return sum(0.5 / h * np.sin(2 * np.pi * h * hz * t + h) for h in range(1, harmonics + 1))


@pytest.mark.parametrize("hz", [65.4, 220.0, 1000.0])
def test_a_harmonic_lies_at_every_fourth_bin_with_its_own_height(hz):
    found = frame(tone(hz), 9_600, hz)
    assert found[4:25:4] == pytest.approx(0.5 / np.arange(1, 7), rel=0.03)
    assert found[3:24:4] == pytest.approx(0.25 / np.arange(1, 7), rel=0.2)  # shoulders of a Hann window
    assert (found[6:23:4] < 0.02).all() and (found[30:] < 0.005).all()


def test_moments_rise_to_two_seconds():
    found = moments()
    assert len(found) == MOMENTS and (np.diff(found) > 0).all()
    assert found[:16].tolist() == list(range(16)) and 340 < found[-1] <= 375


def test_a_notes_loudest_moment_is_nought_and_its_end_is_held():
    audio = tone(220.0) * np.exp(-np.arange(19_200) / 4_800)
    logs, count = note_magnitudes(audio, np.full(100, 220.0), 192, 9_600)
    power = np.exp(2 * logs.astype(float)).sum(1) / 1.5
    assert power.max() == pytest.approx(1.0, abs=0.02) and power[1:].argmax() < 4
    assert 2 < count < MOMENTS and np.array_equal(logs[count], logs[count - 1])


def test_what_is_told_and_seen_has_the_sizes_that_are_said():
    control = control_of(torch.tensor([220.0, 440.0]), torch.tensor([0, 187.5]))
    assert control.shape == (2, len(CONTROLS), 2)
    assert control[:, 0, 0].tolist() == [0, 1] and (control[:, 1:, 0] == 1).all()
    assert control[0, 5, 1] == pytest.approx(np.exp(-1), abs=1e-3)
    assert seen_of(torch.zeros(2, MOMENTS, BINS), torch.tensor([220.0, 440.0])).shape == (2, SEEN, MOMENTS)
    assert 300 < SpectraShape().macs_per_sample < 500


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A few steps on toy notes."""
    folder = tmp_path_factory.mktemp("spectra")
    make_notes(folder / "toy", 40, 2)
    prepare("voice", folder / "toy", folder / "data")
    settings = ["fit.steps=40", "fit.interval=20", "fit.batch=6", "fit.validation_items=4", "model.width=32"]
    data = DataSet.open(folder / "data")
    fit(load_recipe("spectra_quick", settings), data, folder / "run", pictures=False)
    return folder, data


def test_a_training_learns_and_writes_whole_files(run):
    folder, _ = run
    history = json.loads((folder / "run" / "metrics.json").read_text())["history"]
    assert history[-1]["score"] < history[0]["score"]
    about = read_file(folder / "run" / "spectra_quick.onnx")
    assert about.kind == "spectra" and len(about.latents) == 8
    assert read_file(folder / "run" / "spectra_quick.encoder.onnx").codec == about.codec


def test_the_same_step_draws_the_same_batch_and_keeps_what_is_known(run):
    _, data = run
    task = SpectraTask(load_recipe("spectra_quick", ["fit.batch=8"]))
    task.prepare(data, ["train"])
    one, other = task.draw(3), task.draw(3)
    assert one["names"] == other["names"]
    assert torch.equal(one["logs"], other["logs"]) and torch.equal(one["hz"], other["hz"])
    assert not torch.equal(one["hz"], batch_of([task.notes["train"][0]] * 8)["hz"])
    # what lies above the recorded Nyquist is not asked for, though a note be told lower
    assert (audible(one["top"]).sum(1) <= audible(one["hz"]).sum(1)).all()


def test_a_judge_measures_distance_phases_and_pitch(run):
    folder, data = run
    evaluate(folder / "run", data, folder / "judged", limit=2)
    report = json.loads((folder / "judged" / "report.json").read_text())
    found = report["figures"]
    assert 0 < found["distance_oracle_db"] <= found["distance_nearest_db"]
    assert found["inversion_db"] < min(found["no_phase_db"], found["random_phase_db"]) - 6
    assert report["in_tune"] >= 0.5


def test_sound_has_the_pitch_of_the_axis():
    logs = np.full((60, BINS), -9.0)
    logs[:, 4:80:4], logs[:, 3:80:4], logs[:, 5:80:4] = -2.0, -2.7, -2.6
    sound = played(logs, np.full(60, 311.0))[4_000:]
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), 1 << 19))
    found = np.argmax(spectrum[: int(400 * (1 << 19) / RATE_HZ)]) * RATE_HZ / (1 << 19)
    assert abs(1200 * np.log2(found / 311.0)) < 2
