"""The space of distortions: silent on silence, causal, bounded, in budget; directions do what they say."""

import numpy as np
import pytest
import torch

from common.refusal import Refusal
from train.fit import fit
from train.kinds import load_recipe, task_class
from train.latents.table import prepare_latents
from train.models.drive import HOP, DriveDecoder, DriveShape
from train.run import load_run
from train.tasks.drive import DriveTask, balanced

SMALL = ["model.channels=8", "model.dilations=[1,3]", "model.film=8", "model.encoder=8", "model.seconds=0.2"]


@pytest.fixture(scope="module")
def decoder():
    torch.manual_seed(3)
    return DriveDecoder(DriveShape()).eval()


def controls(frames, seed=0):
    return 2 * torch.randn(2, 8, frames, generator=torch.Generator().manual_seed(seed))


def noise(frames, seed=1, level=1.0):
    generator = torch.Generator().manual_seed(seed)
    return level * (2 * torch.rand(2, 1, frames * HOP, generator=generator) - 1)


@torch.no_grad()
def test_silence_in_is_exact_silence_out(decoder):
    assert decoder(torch.zeros(2, 1, 40 * HOP), controls(40)).abs().max() == 0
    # and what was played dies away after the receptive field, to nothing
    audio = noise(60)
    audio[..., 20 * HOP :] = 0
    made = decoder(audio, controls(60))
    assert made[..., : 20 * HOP].abs().max() > 0
    assert made[..., 20 * HOP + decoder.shape.past :].abs().max() == 0


@torch.no_grad()
def test_no_sample_knows_the_future(decoder):
    audio, latent = noise(40), controls(40)
    made = decoder(audio, latent)
    other_audio, other_latent = audio.clone(), latent.clone()
    other_audio[..., 1000:] += 0.5
    assert torch.equal(decoder(other_audio, latent)[..., :1000], made[..., :1000])
    assert not torch.equal(decoder(other_audio, latent)[..., 1000:], made[..., 1000:])
    other_latent[..., 20:] += 1.0
    assert torch.equal(decoder(audio, other_latent)[..., : 20 * HOP], made[..., : 20 * HOP])


@torch.no_grad()
def test_the_past_it_says_is_the_past_it_needs(decoder):
    audio, latent = noise(40), controls(40)[..., :1].expand(-1, -1, 40)
    past = -(-decoder.shape.past // HOP)
    late = decoder(audio[..., HOP:], latent[..., 1:])
    assert torch.allclose(decoder(audio, latent)[..., (past + 1) * HOP :], late[..., past * HOP :], atol=1e-6)


@torch.no_grad()
def test_nothing_blows_up(decoder):
    """What the clips prove: the sum of the residuals never exceeds one LIMIT a layer beside the inlet."""
    latent = controls(1).expand(-1, -1, 200)
    gains = decoder.film_out(decoder.film_activation(decoder.film_in(latent[..., :1])))
    first, last = gains[:, :16].abs(), gains[:, -16:].abs()
    inside = decoder.inlet.weight[:, 0].abs() * first + len(decoder.layers)
    bound = (decoder.outlet.weight[0].abs() * last * inside).sum((1, 2))
    time = torch.arange(200 * HOP)
    square = torch.where(time // 240 % 2 == 0, 1.0, -1.0).expand(2, 1, -1)
    for audio in (square, torch.ones(2, 1, 200 * HOP), noise(200)):
        assert torch.all(decoder(audio, latent).abs().amax((1, 2)) <= bound)


@pytest.mark.parametrize("name", ["drive", "drive_timbre", "drive_matching", "drive_quick"])
def test_recipes_keep_within_the_multiplications_they_may_use(name):
    shape = task_class("drive")(load_recipe(name)).model.shape
    assert shape.macs_per_sample <= 6000
    decoder = DriveDecoder(shape)
    counted = sum(m.weight.numel() for m in (decoder.inlet, decoder.outlet, *decoder.layers))
    counted += (decoder.film_in.weight.numel() + decoder.film_out.weight.numel()) / HOP
    assert shape.macs_per_sample == pytest.approx(counted)


@torch.no_grad()
def test_the_exported_graph_is_the_trained_one(tmp_path):
    """Held gains are written in another way for export than for training; export compares them."""
    from train.export.export import export_module

    task = task_class("drive")(load_recipe("drive_quick", SMALL))
    task.eval()
    words = {"kind": "drive", "name": "d", "sample_rate_hz": 48_000}
    inputs, outputs = task.decoder_ports()
    export_module(task.model.decoder, inputs, outputs, words, tmp_path / "decoder.onnx")
    # The encoder takes means inside, which the exporter calls `mean`, as its output is called.
    inputs, outputs = task.encoder_ports()
    model = export_module(task.model.encoder, inputs, outputs, words, tmp_path / "encoder.onnx")
    assert [o.name for o in model.graph.output] == ["mean", "log_variance"]


def trained(recipe_name, data, steps, *sets):
    """A task trained without the loop's ceremonies."""
    recipe = load_recipe(recipe_name, [*SMALL, "fit.batch=12", f"fit.steps={steps}", *sets])
    task = DriveTask(recipe)
    task.prepare(data)
    task._trainer = None
    optimizer = torch.optim.Adam(task.parameter_groups(), lr=5e-3)
    for step in range(steps):
        task.progress = step / steps
        torch.manual_seed(step)
        loss, _ = task.loss(task.draw(step))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return task.eval()


@torch.no_grad()
def latents(task, split="train"):
    z = np.concatenate([task.model.encoder(x)[0].numpy() for x in task.encoder_inputs(split)])
    return z, np.array(task.kinds_of_items(split))


def test_the_topology_ties_what_it_says(drives):
    """Types apart and effect-mates together in the type latents; the amount follows the amount."""
    sets = ["direction='topology'", "type_latents=2", "loss.independence=0"]
    before, task = trained("drive_quick", drives, 0 + 1, *sets), trained("drive_quick", drives, 60, *sets)

    def ratio(of):
        z, kinds = latents(of)
        middles = np.stack([z[kinds == kind, :2].mean(0) for kind in np.unique(kinds)])
        within = np.mean([z[kinds == kind, :2].std(0).mean() for kind in np.unique(kinds)])
        return middles.std(0).mean() / within

    assert ratio(task) > 2 * ratio(before)
    z, _ = latents(task)
    amounts = np.array([task.amounts[i] for i in task.picked["train"].tolist()])
    known = np.isfinite(amounts)
    assert np.corrcoef(z[known, 2], amounts[known])[0, 1] > 0.5


def test_tied_latents_stay_apart_when_latents_are_turned(drives):
    """Principal axes over all of z would mix the amount with the type."""
    task = trained("drive_quick", drives, 20, "direction='topology'", "type_latents=2")
    before, _ = latents(task)
    prepared = prepare_latents(task)
    assert [row.get("tied") for row in prepared.latents] == ["type"] * 2 + ["amount"] + [None] * 5
    after, _ = latents(task)
    turned = np.array(prepared.rotation)
    assert np.all(turned[2, [0, 1, 3, 4, 5, 6, 7]] == 0) and turned[2, 2] > 0
    assert np.corrcoef(before[:, 2], after[:, 2])[0, 1] > 0.999
    assert np.all(turned[:2, 2:] == 0) and np.all(turned[3:, :3] == 0)


def test_matching_makes_parameters_readable(drives):
    """The flow learns beside the VAE, and the encoder writes what it can read."""
    task = DriveTask(load_recipe("drive_quick", [*SMALL, "direction='matching'", "fit.batch=12"]))
    task.prepare(drives)
    task._trainer = None
    ours = torch.optim.Adam(task.parameter_groups(), lr=1e-2)
    theirs = torch.optim.Adam(task.opponent.parameters(), lr=1e-2)
    errors = []
    task.progress = 1.0
    batch = task.draw(0)
    for step in range(60):
        torch.manual_seed(step)
        for optimizer, value in ((theirs, task.opponent_loss), (ours, lambda b: task.loss(b)[0])):
            optimizer.zero_grad()
            value(batch).backward()
            optimizer.step()
        with torch.no_grad():
            errors.append(float(task.unread(*task.model.encoder(batch["heard"]), batch)))
    assert np.mean(errors[-6:]) < 0.5 * np.mean(errors[:6])
    # and neither chases the other away: they lie as far out as latents do
    with torch.no_grad():
        assert task.model.encoder(batch["heard"])[0].abs().max() < 8


def test_a_run_of_the_matching_direction_resumes_with_its_flow(drives, tmp_path):
    sets = [*SMALL, "direction='matching'", "fit.batch=4", "fit.interval=2", "fit.validation_items=4"]
    once = fit(
        load_recipe("drive_quick", [*sets, "fit.steps=4"]),
        drives,
        tmp_path / "a",
        pictures=False,
        export=False,
    )
    cut = load_recipe("drive_quick", [*sets, "fit.steps=2"])
    fit(cut, drives, tmp_path / "b", pictures=False, export=False)
    whole = load_recipe("drive_quick", [*sets, "fit.steps=4"])
    twice = fit(whole, drives, tmp_path / "b", resume=True, pictures=False, export=False)
    assert load_run(once).card["facts"] == load_run(twice).card["facts"]
    assert load_run(twice).task.table.effects


def test_effects_are_drawn_as_often_as_the_recipe_says(drives):
    task = DriveTask(load_recipe("drive_quick", [*SMALL, "often.fold=6", "often.tube=0.5", "fit.batch=50"]))
    task.prepare(drives)
    task._trainer = None
    drawn = [drives.manifest[name]["effect"] for name in _indices(task, drives, 40)]
    effects = task.facts["effects"]
    parts = {effect: drawn.count(effect) / len(drawn) for effect in effects}
    whole = 6 + 0.5 + len(effects) - 2
    assert parts["fold"] == pytest.approx(6 / whole, abs=0.04)
    assert parts["tube"] == pytest.approx(0.5 / whole, abs=0.02)
    assert all(parts[e] == pytest.approx(1 / whole, abs=0.03) for e in effects if e not in ("fold", "tube"))


def _indices(task, data, batches):
    """What the first batches drew."""
    places = {item["name"]: index for index, item in enumerate(data.manifest)}
    return [places[name] for step in range(batches) for name in task.draw(step)["names"]]


def test_an_effect_that_the_data_do_not_have_cannot_be_drawn_often(drives):
    task = DriveTask(load_recipe("drive_quick", [*SMALL, "often.klong=3"]))
    with pytest.raises(
        Refusal, match=r"drive_quick: often\.klong names no effect that .* trains on; it has "
    ):
        task.prepare(drives)


def test_every_effect_is_validated_on():
    indices = np.arange(100)
    effects = ["klon"] * 90 + ["amp"] * 2 + ["fuzz"] * 8
    chosen = balanced(indices, effects, 20)
    counts = [sum(effects[i] == e for i in chosen) for e in ("klon", "amp", "fuzz")]
    assert counts == [10, 2, 8] and len(set(chosen.tolist())) == 20
    assert balanced(indices, effects, 200).tolist() == indices.tolist()
