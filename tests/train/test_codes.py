"""Codes: books follow the means of what falls to them, the first lies on a map, and a file says it all."""

from __future__ import annotations

import json

import numpy as np
import onnxruntime
import pytest
import torch
from scipy.cluster.vq import vq
from sklearn.manifold import trustworthiness

from common import model_metadata
from common.refusal import Refusal
from firmware.models.model_file import MODELS_DIR
from tests.train.data_sources import write
from tests.train.test_fit import StopAfter, weights
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.kinds import load_recipe, task_class
from train.latents.codes import Codes
from train.tasks.codes import CodesTraining, used

CODEC = str(MODELS_DIR / "texture.int8.onnx")
SHIPPED = MODELS_DIR / "texture.codes.onnx"
RATE = 48_000
SMALL = ["model.side=4", "fit.batch=256", "fit.steps=40", "fit.interval=20", "patience=10", f"codec={CODEC}"]


def clustered(count=4000, seed=0):
    """Points of three blobs, uneven in number."""
    generator = torch.Generator().manual_seed(seed)
    middles = torch.tensor([[0.0, 0.0, 3.0], [4.0, 0.0, 0.0], [0.0, 5.0, 0.0]])
    which = torch.multinomial(torch.tensor([0.6, 0.3, 0.1]), count, True, generator=generator)
    return middles[which] + 0.4 * torch.randn(count, 3, generator=generator)


def learnt(side=4, stages=2, steps=200):
    torch.manual_seed(0)
    codes, z = Codes(3, side, stages), clustered()
    for step in range(steps):
        codes.learn(z[torch.randint(len(z), (512,))], 0.95, max(0.0, side / 4 * (1 - step / 120)), 20)
    return codes, z


def test_the_nearest_code_is_scipys():
    codes, z = learnt()
    book = codes.books[0].numpy().astype(float)
    assert np.array_equal(codes.nearest(z, 0).numpy(), vq(z.numpy().astype(float), book)[0])


def test_each_book_says_what_the_ones_before_left():
    codes, z = learnt()
    numbers = codes.indices(z)
    left = [float((z - codes.said(numbers[:, :n])).square().sum(1).mean()) for n in (1, 2)]
    assert left[1] < 0.5 * left[0] < 0.2 * float(z.var(0).sum())


def test_codes_are_the_means_of_what_falls_to_them():
    codes, z = learnt(steps=400)
    for _ in range(300):
        codes.learn(z, 0.9, 0.0, 10_000)
    numbers = codes.nearest(z, 0)
    for code in numbers.unique().tolist():
        torch.testing.assert_close(codes.books[0][code], z[numbers == code].mean(0), atol=0.02, rtol=0)


def test_a_dead_code_comes_to_life_beside_its_neighbours():
    codes, z = learnt()
    codes.books[0, 5] = 1e3
    for _ in range(60):
        codes.learn(z, 0.95, 0.0, 20)
    assert used(codes.nearest(z, 0), 16)["codes used"] == 1.0
    assert codes.books[0, 5].abs().max() < 10


def test_codes_side_by_side_are_alike_only_where_the_map_pulled():
    plain = Codes(3, 8, 1)
    plain.books[0] = clustered(64, 1)
    mapped = Codes(3, 8, 1)
    z = clustered()
    for step in range(300):
        mapped.learn(z[torch.randint(len(z), (512,))], 0.9, 2 * 0.99**step, 1000)
        plain.learn(z[torch.randint(len(z), (512,))], 0.9, 0.0, 1000)
    kept = [
        float(trustworthiness(c.books[0].numpy(), c.grid.numpy(), n_neighbors=5)) for c in (plain, mapped)
    ]
    assert kept[1] > 0.85 > 0.7 > kept[0]


def test_used_counts_names_and_evenness():
    assert used(torch.arange(8), 8) == pytest.approx({"codes used": 1.0, "perplexity": 1.0})
    assert used(torch.tensor([1, 1, 1, 1]), 8) == pytest.approx({"codes used": 0.125, "perplexity": 0.125})


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Notes of two timbres that come and go."""
    root = tmp_path_factory.mktemp("notes")
    for k, name in enumerate(("low", "high")):
        for take, song in enumerate(("ash", "birch", "cedar", "elm")):
            n = np.arange(RATE)
            phase = 2 * np.pi * 110 * 2 ** (k + take / 12) * n / RATE
            swell = np.abs(np.sin(np.pi * 2 * n / RATE))
            write(root / "src" / name / f"{song}.wav", 0.4 * swell * np.sin(phase + k * np.sin(phase)), RATE)
    prepare("texture", root / "src", root / "data")
    return DataSet.open(root / "data")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "codes"
    fit(load_recipe("codes", SMALL), data, folder, pictures=False)
    return folder


def test_a_run_says_whose_codes_they_are_and_how_good(run):
    about = model_metadata.read_file(run / "codes.onnx")
    codec = model_metadata.read_file(MODELS_DIR / "texture.int8.onnx")
    assert (about.kind, about.part, about.codec) == ("texture", "codes", codec.codec)
    assert np.shape(about.codes.books) == (3, 16, 8) and np.shape(about.codes.gestures) == (16, 20, 3)
    assert (np.array(about.codes.loudness)[:, 4:].min(1) == 0).all()
    figures = json.loads((run / "card.json").read_text())["facts"]["figures"]
    assert figures == about.metrics
    assert {"perplexity, train", "codes used, test", "ratio", "neighbours, part of any two"} <= figures.keys()


def test_onnxruntime_says_a_frame_as_the_books_of_the_file_do():
    """Of the factory's codes: the graph beside the tables that an instrument reads."""
    about = model_metadata.read_file(SHIPPED)
    z = np.random.default_rng(0).normal(size=(1, 8, 50)).astype(np.float32)
    said, numbers = onnxruntime.InferenceSession(str(SHIPPED)).run(None, {"latent": z})
    books = np.array(about.codes.books)
    rows = numbers[0].T.astype(int)
    np.testing.assert_allclose(said[0].T, sum(books[b][rows[:, b]] for b in range(3)), atol=2e-4)
    away = ((z[0].T[:, None] - books[0]) ** 2).sum(-1)
    assert np.array_equal(away.argmin(1), rows[:, 0])


def test_the_factory_codes_are_used_near_and_alike_where_they_lie_together():
    """The figures of issue 29, as the training measured them on what it never learnt from."""
    figures = model_metadata.read_file(SHIPPED).metrics
    assert figures["perplexity, train"] >= 0.6 and figures["codes used, test"] >= 0.6
    assert figures["ratio"] <= 1.1
    assert figures["neighbours, part of any two"] <= 0.6


def test_a_stopped_training_goes_on_as_if_it_had_not_been(data, run, tmp_path, monkeypatch):
    monkeypatch.setattr(CodesTraining, "know_itself", lambda self: None)
    recipe = load_recipe("codes", SMALL)
    fit(recipe, data, tmp_path / "parts", export=False, callbacks=[StopAfter(1)])
    fit(recipe, data, tmp_path / "parts", resume=True, export=False)
    whole, parts = weights(run), weights(tmp_path / "parts")
    assert all(torch.equal(whole[k], parts[k]) for k in whole)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        (["model.side=12"], "a map has 2, 4, 8, 16 or 32 codes along an edge; choose a power of two"),
        (["model.books=0"], "model.books"),
    ],
)
def test_sizes_that_no_map_has_are_refused(settings, says):
    with pytest.raises(Refusal, match=says):
        load_recipe("codes", settings)


def test_without_a_model_to_start_from_codes_are_refused(data):
    with pytest.raises(Refusal, match="codes need a model whose latents they are; name its run or"):
        task_class("codes")(load_recipe("codes", SMALL[:-1])).prepare(data)
