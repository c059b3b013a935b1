"""A voice: its bank is what its definition says; it learns, and its run says what an engine needs."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from common.model_metadata import read_file
from firmware.compiler.ops.hop_ends import harmonic_bank
from toy.make import make_notes
from train.analysis.note.harmonics import analysed
from train.analysis.note.loudness import loudness_db
from train.data.prepare import prepare
from train.data.store import DataSet
from train.export.export import export_module
from train.fit import fit
from train.judges.voice.judge import noise_over_db
from train.kinds import load_recipe
from train.latents.table import RotatedEncoder
from train.models.hit.bands import band_filters
from train.models.voice.bank import HarmonicBank, log_loudness
from train.models.voice.network import PART_SCALE, VoiceDecoder, control_of, seen_of
from train.models.voice.shape import BANDS, CONTROLS, HARMONICS, HOP, TAPS, VoiceShape
from train.tasks.voice import Note, VoiceTask


def told(hops, seed=0):
    """Numbers and a control such as a network might have."""
    rng = np.random.default_rng(seed)
    numbers = rng.normal(-4, 2, (1, HARMONICS + BANDS, hops)).astype(np.float32)
    control = np.zeros((1, len(CONTROLS), hops), np.float32)
    control[0, 0] = np.linspace(-2, 3, hops)
    control[0, 2] = rng.uniform(0, 0.9, hops)
    return torch.from_numpy(numbers), torch.from_numpy(control)


def test_the_bank_is_what_the_compilers_definition_says():
    numbers, control = told(20)
    made = HarmonicBank().eval()(numbers, control)[0, 0].numpy()
    constants = harmonic_bank.BankConstants(HARMONICS, band_filters(BANDS, TAPS).astype(float), 1)
    wanted = harmonic_bank.sound(
        constants, numbers[0].numpy().astype(float), control[0].numpy().astype(float)
    )
    assert len(wanted) == 20 * HOP
    assert np.abs(made - wanted).max() < 2e-4 * np.abs(wanted).max()


def test_what_is_trained_sounds_like_what_is_played():
    """In training the noise is another; the harmonics are the same."""
    numbers, control = told(20, 1)
    numbers[:, HARMONICS:] = -30
    bank = HarmonicBank()
    played = bank.eval()(numbers, control)
    trained = bank.train()(numbers, control)
    assert (played - trained).abs().max() < 1e-4 * played.abs().max()


def test_the_model_file_computes_what_torch_does(tmp_path):
    """`export_module` holds onnxruntime to torch, and refuses what differs."""
    task = VoiceTask(load_recipe("voice_quick"))
    inputs, outputs = task.decoder_ports()
    export_module(task.model.decoder, inputs, outputs, task.decoder_metadata(), tmp_path / "voice.onnx")
    assert len(read_file(tmp_path / "voice.onnx").habits) == 5


def test_a_control_says_pitch_loudness_gate_and_age():
    f0, loudness = torch.tensor([[220.0, 440.0, 440.0]]), torch.tensor([[-40.0, -20.0, 0.0]])
    control = control_of(f0, loudness, torch.tensor([0]), torch.tensor([2]))[0]
    assert control[0].tolist() == [0, 1, 1]
    assert control[1].tolist() == [0, 20, 0]
    assert control[2].tolist() == pytest.approx([0, 0.5, 1])
    assert control[3].tolist() == [1, 1, 0]
    assert control[4].tolist() == pytest.approx(np.exp([0, -0.4, -0.8]).tolist())


def test_what_is_seen_of_a_note_ends_in_silence():
    frames = 100
    seen = seen_of(
        torch.full((frames,), 220.0),
        torch.full((frames,), -20.0),
        torch.full((frames, HARMONICS), -5.0),
        torch.full((frames, BANDS), -9.0),
    )
    assert seen.shape == (HARMONICS + BANDS + 2, 128)
    assert (seen[:HARMONICS, 25:] == -3).all() and (seen[-1, 25:] == -1).all()


def test_a_wider_network_says_what_it_costs():
    narrow, wide = VoiceShape(width=40), VoiceShape()
    assert narrow.macs_per_sample < 160 < wide.macs_per_sample < 400
    numbers = VoiceDecoder(narrow).network(torch.zeros(1, 8, 5), torch.zeros(1, len(CONTROLS), 5))
    assert numbers.shape == (1, narrow.answers, 5)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A few steps on toy notes, both parts of the training."""
    folder = tmp_path_factory.mktemp("voice")
    make_notes(folder / "toy", 40, 2)
    prepare("voice", folder / "toy", folder / "data")
    settings = ["fit.steps=30", "fit.interval=15", "fit.batch=6", "fit.validation_items=4", "window=60"]
    recipe = load_recipe("voice_quick", settings)
    data = DataSet.open(folder / "data")
    fit(recipe, data, folder / "run", pictures=False)
    return folder, data


def test_a_training_learns_and_writes_whole_files(run):
    folder, _ = run
    history = json.loads((folder / "run" / "metrics.json").read_text())["history"]
    assert len(history) == 2 and all(np.isfinite(row["score"]) for row in history)
    about = read_file(folder / "run" / "voice_quick.onnx")
    assert about.kind == "voice" and len(about.latents) == 8
    assert [len(row) for row in about.habits] == [8 + 3] * 5
    assert read_file(folder / "run" / "voice_quick.encoder.onnx").codec == about.codec


def test_the_same_step_draws_the_same_batch(run):
    _, data = run
    task = VoiceTask(load_recipe("voice_quick", ["fit.batch=4", "window=40"]))
    task.prepare(data, ["train"])
    one, other = task.draw(3), task.draw(3)
    assert one["names"] == other["names"]
    assert torch.equal(one["harmonics"], other["harmonics"]) and torch.equal(one["seen"], other["seen"])
    assert "audio" not in one
    task.progress = 1.0
    late = task.draw(task.recipe.fit.steps - 1)
    assert late["audio"].shape[-1] == 40 * HOP


def test_what_says_the_levels_learns_faster(run):
    task = VoiceTask(load_recipe("voice_quick"))
    groups = task.parameter_groups()
    assert [group["pace"] for group in groups] == [1.0, 3.0]
    assert sum(len(group["params"]) for group in groups) == len(list(task.model.parameters()))
    assert not isinstance(task.model.encoder, RotatedEncoder)


@pytest.fixture(scope="module")
def toy_task(tmp_path_factory):
    """A task that holds the toy notes."""
    folder = tmp_path_factory.mktemp("notes")
    make_notes(folder / "notes", 40, 2)
    prepare("voice", folder / "notes", folder / "data")
    task = VoiceTask(load_recipe("voice_quick"))
    task.prepare(DataSet.open(folder / "data"))
    return task


def changed(task, step=3, **augment):
    """A batch of a step, and the same with other versions."""
    plain = {"speeds": 0.0, "bodies": 0.0, "mixed": 0.0}
    batches = []
    for settings in (plain, {**plain, **augment}):
        section = task.recipe.augment.model_copy(update=settings)
        other = VoiceTask(task.recipe.model_copy(update={"augment": section}))
        other.share(task)
        batches.append(other.draw(step))
    return batches


def test_no_change_leaves_every_level(toy_task):
    plain, same = changed(toy_task)
    first, second = (task_batch["harmonics"] for task_batch in (plain, same))
    assert torch.equal(first, second)
    notes = toy_task.notes["train"]
    named = {note.name: note for note in notes}
    for row, name in enumerate(plain["names"]):
        assert torch.allclose(plain["seen"][row], named[name].seen, atol=1e-5)


@pytest.mark.parametrize("augment", [{"bodies": 1.0, "body_db": 6.0}, {"mixed": 1.0}])
def test_another_body_or_half_another_note_is_as_loud_and_seen_as_it_is_said(toy_task, augment):
    plain, other = changed(toy_task, **augment)
    assert torch.equal(plain["control"], other["control"])
    moved = (other["harmonics"] - plain["harmonics"]).abs()
    assert moved.mean() > 0.1
    bank = HarmonicBank().eval()
    loud = []
    for batch in (plain, other):
        level = log_loudness(batch["control"])
        numbers = torch.cat([batch["harmonics"], batch["noise"]], 1) - level
        sound = bank(numbers, batch["control"])[:, 0].numpy().astype(float)
        loud.append([loudness_db(row, plain["control"].shape[2])[5:60] for row in sound])
    sounding = np.array(loud[0]) > -50
    assert np.abs(np.array(loud[1]) - np.array(loud[0]))[sounding].mean() < 1.0
    # what the encoder reads at every fourth frame is what the network is to say there
    row = next(k for k, first in enumerate(plain["control"][:, 4, 0]) if first == 1)
    said = (other["harmonics"] - log_loudness(other["control"]))[row, :, :100:4]
    read = other["seen"][row, :HARMONICS, :25] / PART_SCALE
    heard = (read > -11) & (read < 5.9) & (said < 5.9)
    assert heard.sum() > 100 and (said - read)[heard].abs().max() < 1e-3


@pytest.mark.parametrize("louder_db", [0.0, 6.0])
def test_noise_that_is_too_loud_is_found(louder_db):
    """A sine and white noise, analysed; the same with louder noise, as a voice might make it."""
    hops = 120
    at = np.arange(hops * HOP) / 48_000
    tone, noise = 0.2 * np.sin(2 * np.pi * 440 * at), np.random.default_rng(0).normal(0, 0.01, (2, len(at)))
    f0 = np.full(hops, 440.0)
    levels = analysed(tone + noise[0], f0)
    told_of_it = (torch.from_numpy(np.array(part, np.float32)) for part in levels)
    heard = torch.full((hops,), -15.0)
    note = Note("", "", 0, True, torch.zeros(0), torch.from_numpy(f0), heard, *told_of_it, torch.zeros(0))
    made = tone + noise[1] * 10 ** (louder_db / 20)
    assert noise_over_db(made, note) == pytest.approx(louder_db, abs=1.0)
