"""An expression: what it is told, what it learns of notes, and that it belongs to one voice."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from common.model_metadata import read_file
from common.refusal import Refusal
from toy.make import make_notes
from train.analysis.note import habits
from train.analysis.note.events import event_of
from train.analysis.note.trained_voice import TrainedVoice
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.judges.evaluate import evaluate
from train.kinds import load_recipe
from train.models.expression.network import ExpressionDecoder, clocks, told_of
from train.models.expression.shape import EVENTS, NOISES, ExpressionShape, told_names
from train.tasks.expression import ExpressionTask, PlayedNote, loudness_error_db, stretches


def test_clocks_say_gate_age_and_time_since():
    clock = clocks(torch.tensor([0, 3]), torch.tensor([4, 4]), 6)
    assert clock.shape == (2, 10, 6)
    assert clock[0, 0].tolist() == [1, 1, 1, 1, 0, 0]
    assert clock[1, 0].tolist() == [1, 0, 0, 0, 0, 0]
    assert clock[0, 1].tolist() == pytest.approx(np.exp(-0.4 * np.arange(6)).tolist())
    assert clock[0, 7].tolist() == pytest.approx([0, 0, 0, 0, 1, np.exp(-4 / 30)], abs=1e-6)


def test_what_is_told_lies_where_its_names_say():
    names = told_names(5)
    note, z = torch.tensor([[1.0, 2.0, 3.0]]), torch.arange(5.0)[None] + 10
    event, clock = torch.eye(len(EVENTS))[1:2], clocks(torch.tensor([0]), torch.tensor([9]), 2)
    told = told_of(note, z, event, clock, torch.full((1, NOISES, 2), 7.0))[0, :, 1]
    assert told.shape == (len(names),)
    found = dict(zip(names, told.tolist(), strict=True))
    assert (found["z5"], found["pitch"], found["interval"], found["velocity"]) == (14, 1, 2, 3)
    assert (found["gate"], found["bow"], found["pluck"], found["noise_3"]) == (1, 1, 0, 7)
    assert found["age_0.1"] == pytest.approx(np.exp(-0.04))


def test_an_interval_that_was_never_learnt_changes_nothing():
    torch.manual_seed(0)
    shape = ExpressionShape()
    decoder = ExpressionDecoder(shape)
    told = torch.randn(1, shape.told, 20)
    other = told.clone()
    other[:, shape.voice_latents + 1] += 3
    latent = torch.zeros(1, shape.latents, 20)
    assert torch.equal(decoder(latent, told), decoder(latent, other))


@pytest.mark.parametrize(
    ("label", "event"),
    [
        ("guitar-nylon", "pluck"),
        ("bass-acoustic", "pluck"),
        ("Solo Violin/forte", "bow"),
        ("contrabass", "bow"),
        ("bass_bowed", "bow"),
        ("sax-tenor", "blow"),
        ("piano-electric", "strike"),
        ("lead-saw", ""),
        (".", ""),
    ],
)
def test_the_name_of_an_instrument_says_what_sets_it_in_motion(label, event):
    assert event_of(label) == event


def test_habits_are_followed_as_the_module_plays_them():
    """−20 dB, 10 dB behind with 20 ms; 6 dB a second; 100 dB a second after half a second."""
    found = habits.followed(np.array([-20.0, 10.0, np.log(0.02), 6.0, np.log(100.0)]), 200, 125)
    assert found[0] == pytest.approx(-30)
    assert found[5] == pytest.approx(-20 - 10 * np.exp(-1) - 0.12)
    assert found[125] == pytest.approx(-23, abs=0.01)
    assert found[150] == pytest.approx(-33, abs=0.01)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A few steps on toy notes, with the factory voice, both parts of the training."""
    folder = tmp_path_factory.mktemp("expression")
    make_notes(folder / "toy", 40, 2)
    prepare("voice", folder / "toy", folder / "data")
    settings = ["fit.steps=30", "fit.interval=15", "fit.batch=8", "fit.validation_items=6", "window=20"]
    recipe = load_recipe("expression_quick", settings)
    data = DataSet.open(folder / "data")
    fit(recipe, data, folder / "run", pictures=False)
    return folder, data


def test_a_training_learns_and_says_which_voice_it_is_for(run):
    folder, _ = run
    history = json.loads((folder / "run" / "metrics.json").read_text())["history"]
    assert len(history) == 2 and history[1]["score"] < 25
    about = read_file(folder / "run" / "expression_quick.onnx")
    assert about.kind == "expression" and len(about.latents) == 2
    assert about.voice_codec == TrainedVoice.open("voice").about.codec != ""
    assert list(about.input("told").channels) == list(told_names(8))


def test_the_same_step_draws_the_same_batch(run):
    _, data = run
    task = ExpressionTask(load_recipe("expression_quick", ["fit.batch=4", "window=40", "windows=2"]))
    task.prepare(data, ["train"])
    one, other = task.draw(3), task.draw(3)
    assert one["names"] == other["names"] and torch.equal(one["z"], other["z"])
    assert one["curves"].shape == (8, 3, 40)
    own = {note.name: note.z for note in task.notes["train"]}
    assert not torch.equal(one["z"][0], own[one["names"][0]])


def test_a_notes_curves_are_what_was_analysed(run):
    _, data = run
    voice = TrainedVoice.open("voice")
    note = PlayedNote.of(data, 0, voice)
    item = data.manifest[0]
    assert note.frames == min(item["frames"], 500) and note.held <= note.frames
    loudness = data.arrays["loudness"][: note.frames]
    np.testing.assert_allclose(note.curves[0] * 40 - 40, np.maximum(loudness, -75), atol=1e-4)
    assert float(note.note[0]) == pytest.approx((item["key"] - 57) / 12, abs=0.02)
    batch = stretches([note], 600)
    assert float(batch["there"].sum()) == note.frames
    assert float(loudness_error_db(batch["curves"], batch)) == 0.0
    assert float(loudness_error_db(batch["curves"] + 0.1, batch)) == pytest.approx(4.0, rel=1e-3)


def test_the_judge_tells_errors_and_what_a_critic_tells(run, tmp_path, monkeypatch):
    folder, data = run
    monkeypatch.setattr("train.judges.expression.judge.CRITIC_STEPS", 10)
    model = folder / "run" / "expression_quick.onnx"
    found = [
        evaluate(which, data, tmp_path / str(n), limit=4) for n, which in enumerate((folder / "run", model))
    ]
    for report in found:
        assert report["items"] == 4
        assert 0 < report["figures"]["curve_db"] < 40 and 0 < report["figures"]["curve_db_habits"] < 40
        assert 0.5 <= report["told_notes"] <= 1
    assert found[0]["figures"]["curve_db"] == pytest.approx(found[1]["figures"]["curve_db"], rel=1e-3)
    assert (tmp_path / "0" / "curves.png").is_file()


def test_one_for_another_voice_is_not_judged_with_this_one(run):
    _, data = run
    task = ExpressionTask(load_recipe("expression_quick"), {"voice_codec": "0123456789abcdef"})
    with pytest.raises(Refusal, match="was trained for another voice than voice"):
        task.prepare(data, ["train"])


def test_a_voice_with_other_latents_or_none_is_refused(run, tmp_path):
    _, data = run
    task = ExpressionTask(load_recipe("expression_quick", ["model.voice_latents=4"]))
    with pytest.raises(Refusal, match=r"has 8 latents, .* set model.voice_latents=8"):
        task.prepare(data, ["train"])
    task = ExpressionTask(load_recipe("expression_quick", [f"voice={tmp_path}"]))
    with pytest.raises(Refusal, match="is no finished run of a voice"):
        task.prepare(data, ["train"])
    with pytest.raises(Refusal, match=r"there is no .*nobody.int8.onnx"):
        TrainedVoice.open("nobody")
    with pytest.raises(Refusal, match="is no voice: it does not end in HarmonicBank"):
        TrainedVoice.open("drum")
