"""A prior: its definitions beside torch's and scipy's, its training, and what no prior can be made of."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from scipy.stats import ks_2samp, norm
from torch import distributions

from common import model_metadata
from common.refusal import Refusal
from firmware.models.model_file import MODELS_DIR
from tests.train.data_sources import write
from tests.train.test_fit import StopAfter, weights
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.judges.evaluate import evaluate
from train.kinds import load_recipe
from train.latents import coupling, forecasts
from train.latents.codec import Codec
from train.models.prior import Prior, expectation, mixed_in
from train.run import load_run

CODEC = str(MODELS_DIR / "texture.int8.onnx")
RATE = 48_000
SMALL = [
    "listened_s=21",
    "model.hidden=8",
    "window=32",
    "fit.batch=4",
    "fit.steps=4",
    "fit.interval=2",
    f"codec={CODEC}",
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Notes that come and go, of three instruments."""
    root = tmp_path_factory.mktemp("notes")
    for k, name in enumerate(("low", "middle", "high")):
        for take, song in enumerate(("ash", "birch", "cedar", "elm", "fir", "oak")):
            n = np.arange(3 * RATE)
            hertz = 110 * 2 ** (k + (take + n // (RATE // 2)) % 5 / 12)
            swell = np.abs(np.sin(np.pi * 2 * n / RATE))
            phase = 2 * np.pi * np.cumsum(hertz) / RATE
            write(root / "src" / name / f"{song}.wav", 0.4 * swell * np.sign(np.sin(phase)), RATE)
    prepare("texture", root / "src", root / "data")
    return DataSet.open(root / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "prior"
    fit(load_recipe("prior", SMALL), data, folder)
    return folder


def drawn_prior():
    torch.manual_seed(1)
    prior = Prior(3, 8)
    torch.nn.init.normal_(prior.steps.weight)
    return prior.eval()


# ---- definitions -----------------------------------------------------------------------------------------


def test_one_frame_after_the_other_is_the_whole_sequence():
    prior = drawn_prior()
    z = torch.randn(2, 12, 3)
    with torch.no_grad():
        said, last = prior(z)
        state = torch.zeros(2, 8, 1)
        for t in range(12):
            steps, chances, state = prior.decoder(z[:, t, :, None], state)
            one = expectation(z[:, t], steps[..., 0], chances[..., 0])
            torch.testing.assert_close(one.middle, said.middle[:, t])
            torch.testing.assert_close(one.spread, said.spread[:, t])
            torch.testing.assert_close(one.share, said.share[:, t])
    torch.testing.assert_close(state[..., 0], last[0])


def test_surprise_is_the_likelihood_that_torch_gives_the_mixture():
    said, _ = drawn_prior()(torch.randn(2, 5, 3))
    z = torch.randn(2, 5, 3)
    mixture = distributions.MixtureSameFamily(
        distributions.Categorical(torch.stack([said.share, 1 - said.share], -1)),
        distributions.Normal(said.middle.transpose(-1, -2), said.spread.transpose(-1, -2)),
    )
    torch.testing.assert_close(said.surprise(z), -mixture.log_prob(z))


def test_what_is_drawn_has_the_spread_that_was_said_and_less_when_it_is_cool():
    said, _ = drawn_prior()(torch.randn(1, 1, 3))
    chance, noise = torch.rand(20_000, 1, 3), torch.randn(20_000, 1, 3)
    warm, cool = said.drawn(chance, noise), said.drawn(chance, noise, 0.25)
    middle = said.share * said.middle[..., 0, :] + (1 - said.share) * said.middle[..., 1, :]
    torch.testing.assert_close(warm.mean(0), middle[0], atol=0.1, rtol=0)
    assert (cool.std(0) < warm.std(0)).all()


def test_a_share_of_the_frames_is_its_own_and_never_the_first():
    prior, z = drawn_prior(), torch.randn(4, 100, 3)
    torch.manual_seed(0)
    mixed = mixed_in(prior, z, 0.2)
    other = (mixed != z).any(-1)
    assert not other[:, 0].any()
    assert 0.1 < float(other.float().mean()) < 0.3
    assert torch.equal(mixed_in(prior, z, 0.0), z)


def test_forecasts_are_as_likely_as_scipy_says():
    rng = np.random.default_rng(0)
    walks = [np.cumsum(rng.normal(size=(400, 2)), axis=0) for _ in range(3)]
    steps = np.concatenate([np.diff(z[1:], axis=0) for z in walks[:2]])
    judged = np.diff(walks[2][1:], axis=0)
    wanted = -norm.logpdf(judged, scale=steps.std(0)).sum(1).mean()
    assert forecasts.last_frame(walks[:2], walks[2:]) == pytest.approx(wanted)
    assert forecasts.last_frame_two_ways(walks[:2], walks[2:]) == pytest.approx(wanted, abs=0.05)
    assert forecasts.linear(walks[:2], walks[2:]) == pytest.approx(wanted, abs=0.05)


def test_a_linear_forecast_finds_a_linear_law():
    rng = np.random.default_rng(1)
    z = np.zeros((2000, 1))
    for t in range(2, 2000):
        z[t] = 1.6 * z[t - 1] - 0.8 * z[t - 2] + 0.1 * rng.normal()
    wanted = -norm.logpdf(0.1 * rng.normal(size=100_000), scale=0.1).mean()
    assert forecasts.linear([z[:1000]], [z[1000:]]) == pytest.approx(wanted, abs=0.1)


def test_coupling_moves_one_spread_of_numbers_onto_another():
    rng = np.random.default_rng(0)
    said, data = rng.normal(0.3, 0.5, (20_000, 2)), rng.exponential(1.0, (20_000, 2))
    moved = coupling.coupled(said, coupling.quantiles(said), coupling.quantiles(data))
    assert max(ks_2samp(moved[:, i], data[:, i]).statistic for i in range(2)) < 0.02
    assert (np.argsort(moved[:, 0]) == np.argsort(said[:, 0])).mean() > 0.95  # monotone but at the ends


def test_between_frames_there_are_straight_lines():
    made = coupling.between(np.array([[0.0], [4.0], [2.0]]), 4)
    assert made[:, 0].tolist() == [0, 1, 2, 3, 4, 3.5, 3, 2.5]


# ---- training --------------------------------------------------------------------------------------------


def test_a_run_has_a_model_that_says_whose_latents_they_are_and_a_card_with_figures(run):
    about = model_metadata.read_file(run / "prior.onnx")
    codec = model_metadata.read_file(MODELS_DIR / "texture.int8.onnx")
    assert (about.kind, about.part, about.codec) == ("texture", "prior", codec.codec)
    assert about.latents == codec.latents
    assert about.prior.ticks == 4 * 256
    assert np.shape(about.prior.own) == (len(coupling.TEMPERATURES), 8, 33)
    figures = json.loads((run / "card.json").read_text())["facts"]["figures"]
    assert {"surprise", "surprise last frame", "surprise linear"} <= figures.keys()
    assert {f"distance at {t}" for t in ("0.5", "1", "1.5")} <= figures.keys()
    assert about.metrics == figures


def test_a_stopped_training_goes_on_as_if_it_had_not_been(data, run, tmp_path):
    recipe = load_recipe("prior", SMALL)
    fit(recipe, data, tmp_path / "parts", export=False, callbacks=[StopAfter(1)])
    early = weights(tmp_path / "parts")
    fit(recipe, data, tmp_path / "parts", resume=True, export=False)
    whole, parts = weights(run), weights(tmp_path / "parts")
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    assert not all(torch.equal(early[k], parts[k]) for k in early)


def test_a_batch_depends_on_its_step_alone(data):
    task = prepared(data)
    a, b, other = task.draw(3), task.draw(3), task.draw(4)
    assert torch.equal(a["z"], b["z"]) and not torch.equal(a["z"], other["z"])


def prepared(data):
    from train.kinds import task_class

    recipe = load_recipe("prior", SMALL)
    task = task_class("prior")(recipe)
    task.prepare(data)
    return task


def test_it_learns_what_follows(data, tmp_path):
    more = [*SMALL[:4], "fit.steps=60", "fit.interval=60", SMALL[-1]]
    folder = fit(load_recipe("prior", more), data, tmp_path / "run", export=False, pictures=False)
    figures = json.loads((folder / "card.json").read_text())["facts"]["figures"]
    assert figures["surprise"] < figures["surprise last frame"]


# ---- what no prior can be made of ------------------------------------------------------------------------


def test_without_a_model_to_start_from_it_is_refused(data, tmp_path):
    with pytest.raises(Refusal, match="a prior needs a model whose latents it learns; name its run or"):
        fit(load_recipe("prior", SMALL[:-1]), data, tmp_path / "run")


def test_an_encoder_is_not_where_a_prior_starts():
    with pytest.raises(Refusal, match="is no decoder with latents; start from a run or its decoder"):
        Codec.open(str(MODELS_DIR / "texture.encoder.onnx"))


def test_latents_that_stand_still_are_refused(data):
    with pytest.raises(Refusal, match=r"data of kind drum; .* holds texture"):
        Codec.open(str(MODELS_DIR / "drum.int8.onnx")).sequences(data, "train")


def test_windows_longer_than_all_items_are_refused(data, tmp_path):
    with pytest.raises(Refusal, match="has no item of more than 4004 frames to train on"):
        fit(load_recipe("prior", [*SMALL, "window=1000"]), data, tmp_path / "run")


def test_where_an_encoder_and_a_decoder_are_needed_a_prior_is_refused(run, data, tmp_path):
    with pytest.raises(Refusal, match="is a run of kind prior, which has no encoder and decoder"):
        load_run(run)
    with pytest.raises(Refusal, match="is of kind prior, judged when it was trained"):
        evaluate(run / "prior.onnx", data, tmp_path / "report")
