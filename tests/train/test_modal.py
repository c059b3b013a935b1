"""Patches of a modal body: drawn, rendered, learnt; a flow there and back, a training that resumes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common.refusal import Refusal
from tests.train.test_fit import StopAfter, weights
from train.data.kinds.modal import read_patches, write_patches
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.judges.evaluate import evaluate
from train.judges.player import open_player
from train.kinds import load_recipe
from train.models.modal.network import SPREAD, PatchModel, PatchShape
from train.models.modal.parameters import NAMES, SIZE, random_patches
from train.models.modal.picture import pictures
from train.models.modal.sound import stroke

SMALL = ["fit.steps=4", "fit.interval=2", "fit.batch=8", "model.latents=16", "fit.validation_items=8"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("modal")
    write_patches(folder / "patches", 60, 3)
    prepare("modal", folder / "patches", folder / "set")
    return DataSet.open(folder / "set")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "run"
    return fit(load_recipe("modal_quick", SMALL), data, folder, pictures=False)


def test_patches_are_split_one_by_one_and_seen_as_they_sound(data):
    data.verify()
    assert len(data) == 60 and {item["split"] for item in data.manifest} == {"train", "validation", "test"}
    assert np.allclose(data.arrays["positions"], random_patches(60, 3), atol=1e-6)
    with torch.no_grad():
        again = pictures(stroke(torch.from_numpy(np.array(data.arrays["positions"][7:8])))).numpy()[0]
    assert np.abs(again.astype(int) - data.arrays["pictures"][7]).max() <= 1


def test_random_patches_use_the_whole_travel_and_the_seed():
    drawn = random_patches(4000, 1)
    assert drawn.min() >= 0 and drawn.max() <= 1
    assert (np.ptp(drawn, 0) > 0.6).all() and (drawn.std(0) > 0.15).all()
    assert np.array_equal(drawn, random_patches(4000, 1))
    assert not np.array_equal(drawn, random_patches(4000, 2))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda text: text.replace("drive", "gain", 1), "drive"),
        (lambda text: text.replace("0.5", "1.5"), "1.5 is no position"),
        (lambda text: text.replace("0.5", "loud"), "'loud'"),
        (lambda text: text.splitlines()[0] + "\n", "no patch"),
    ],
    ids=["a column less", "outside", "a word", "empty"],
)
def test_a_table_that_holds_no_patches_is_refused_in_one_sentence(tmp_path, change, says):
    path = tmp_path / "a.csv"
    path.write_text(change(",".join(NAMES) + "\n" + ",".join(["0.5"] * SIZE) + "\n"))
    with pytest.raises(Refusal, match=says) as refusal:
        read_patches(path)
    assert "\n" not in str(refusal.value)


def test_the_flow_goes_there_and_back():
    torch.manual_seed(2)
    flow = PatchModel(PatchShape(latents=16)).decoder.eval()
    with torch.no_grad():
        for coupling in flow.couplings:
            coupling.out.weight.normal_(0, 0.1)
    z, draw = torch.randn(32, 16), 0.3 * torch.randn(32, SIZE)
    with torch.no_grad():
        positions = flow(z[..., None], draw[..., None])[..., 0]
        condition, middle, spread = flow._told(z[..., None])
        u = (positions - 0.5) * SPREAD
        for coupling in flow.couplings:
            u, _ = coupling(u, condition)
        again = (u - middle) * torch.exp(-spread)
    inside = ((positions > 0) & (positions < 1)).all(1)
    assert inside.sum() > 10
    assert (again - draw)[inside].abs().max() < 1e-4


def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(data, tmp_path):
    recipe = load_recipe("modal_quick", SMALL)
    plain = {"pictures": False, "export": False}
    fit(recipe, data, tmp_path / "whole", **plain)
    fit(recipe, data, tmp_path / "parts", **plain, callbacks=[StopAfter(1)])
    fit(recipe, data, tmp_path / "parts", resume=True, **plain)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[name], parts[name]) for name in whole)


def test_model_files_answer_as_the_run(run, data):
    ours, theirs = open_player(run), open_player(run / "modal_quick.onnx")
    seen = np.array(data.arrays["pictures"][:3]).reshape(3, 240, 64).astype(np.float32)
    z = ours.encode(seen)
    assert np.allclose(theirs.encode(seen), z, atol=1e-4)
    draw = np.random.default_rng(0).standard_normal((3, SIZE, 1)).astype(np.float32)
    feeds = {"z": z[..., None], "draw": draw}
    assert np.allclose(theirs.decode(feeds), ours.decode(feeds), atol=1e-4)


def test_the_judge_measures_every_parameter(run, data, tmp_path):
    report = evaluate(run, data, tmp_path / "report")
    assert set(report["by_parameter"]) == set(NAMES)
    assert set(report["r2"]) == {"middle", "mean of 32", "nearest training patch"}
    assert all(value < 1 for value in report["r2"].values())
