"""Latents for hands: turning them changes nothing that is heard, and order and sign are as said."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.train.small import SMALL_DRUM
from train.kinds import load_recipe
from train.latents.table import (
    QUANTILES,
    Rotation,
    fold,
    plane_map,
    principal_rotation,
    quantile_table,
    signs,
)
from train.tasks.digits import DigitsTask
from train.tasks.drum import DrumTask
from train.tasks.rhythm import RhythmTask


def random_rotation(size, seed):
    rng = np.random.default_rng(seed)
    axes, _ = np.linalg.qr(rng.standard_normal((size, size)))
    return Rotation(axes * rng.uniform(0.3, 2.0, size), np.full(size, 1 / size))


@pytest.mark.parametrize("kind", ["drum", "rhythm", "digits"])
def test_folding_the_rotation_changes_nothing_that_is_heard(kind):
    torch.manual_seed(0)
    if kind == "drum":
        task = DrumTask(load_recipe("drum_quick", SMALL_DRUM)).eval()
        rest, frames, x = (torch.rand(3, 10, 1),), 1, torch.randn(3, 1, 96_000) * 0.1
    elif kind == "rhythm":
        task = RhythmTask(load_recipe("rhythm_quick")).eval()
        rest, frames, x = (torch.rand(3, 6, 1),), 1, torch.rand(3, 27, 32)
    else:
        task = DigitsTask(load_recipe("digits")).eval()
        rest, frames, x = (), 1, torch.rand(3, 64, 1)
    rotation = random_rotation(task.latents, 1)
    with torch.no_grad():
        before, _ = task.model.encoder(x)
        heard = task.model.decoder(before[:, :, None].expand(-1, -1, frames), *rest)
        fold(task, rotation)
        y, _ = task.model.encoder(x)
        again = task.model.decoder(y[:, :, None].expand(-1, -1, frames), *rest)
    assert not torch.allclose(before, y)
    assert torch.allclose(before, y @ torch.tensor(rotation.matrix.T, dtype=torch.float32), atol=1e-4)
    assert torch.allclose(heard, again, atol=1e-4)


def test_dimensions_come_in_order_of_what_they_explain():
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((4000, 3)) * [3.0, 1.0, 0.3]
    mix, _ = np.linalg.qr(rng.standard_normal((3, 3)))
    rotation = principal_rotation(hidden @ mix.T, np.full((4000, 3), 0.1))
    assert rotation.variance_share == pytest.approx([9 / 10.09, 1 / 10.09, 0.09 / 10.09], abs=0.02)
    turned = hidden @ mix.T @ np.linalg.inv(rotation.matrix).T
    assert np.allclose(turned.std(0), 1.0, atol=0.01)
    assert np.abs(np.corrcoef(turned.T) - np.eye(3)).max() < 1e-6
    assert np.abs(np.corrcoef(turned[:, 0], hidden[:, 0])[0, 1]) > 0.99


def test_an_unused_dimension_keeps_the_priors_spread():
    rng = np.random.default_rng(0)
    means = np.stack([rng.standard_normal(500), 1e-3 * rng.standard_normal(500)], 1)
    rotation = principal_rotation(means, np.ones((500, 2)))
    assert np.linalg.norm(rotation.matrix[:, 1]) == pytest.approx(1.0)


def test_signs_follow_what_is_heard():
    rng = np.random.default_rng(0)
    loud, bright = rng.standard_normal(300), rng.standard_normal(300)
    means = np.stack([-2 * loud + 0.1 * rng.standard_normal(300), bright], 1)
    flips, words = signs(means, {"loudness": loud, "brightness": bright, "constant": np.ones(300)})
    assert flips.tolist() == [-1.0, 1.0]
    assert words[0].startswith("loudness +") and words[1] == "brightness +1.00"


@settings(max_examples=30)
@given(st.lists(st.floats(-1e3, 1e3), min_size=2, max_size=200))
def test_quantile_tables_rise_strictly(values):
    table = quantile_table(np.array(values))
    assert len(table) == QUANTILES
    assert all(np.diff(table) > 0)


def test_even_travel_covers_the_density_evenly():
    values = np.random.default_rng(0).gamma(2.0, size=20_000)
    table = quantile_table(values)
    travelled = np.interp(np.random.default_rng(1).random(20_000), np.linspace(0, 1, QUANTILES), table)
    for q in (0.1, 0.5, 0.9):
        assert np.quantile(travelled, q) == pytest.approx(np.quantile(values, q), rel=0.05)


def test_the_plane_covers_two_dimensional_data():
    rng = np.random.default_rng(0)
    means = np.concatenate([rng.standard_normal((800, 2)), 0.01 * rng.standard_normal((800, 2))], 1)
    grid, places = plane_map(means, seed=1)
    assert grid.shape == (16, 16, 4)
    assert places.min() == 0.0 and places.max() == 1.0
    distance = np.abs(grid.reshape(-1, 1, 4) - means[None, :200]).sum(2).min(0)
    assert np.median(distance) < 0.6
    again, _ = plane_map(means, seed=1)
    assert np.array_equal(grid, again)
