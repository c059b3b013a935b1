"""The toy drums keep what their README says of them."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.audio import SAMPLE_RATE_HZ
from toy import drums

FACTORS = [field.name for field in fields(drums.Factors)]


def every_recipe():
    return [(label, recipe) for label, recipes in drums.RECIPES.items() for recipe in recipes]


def centroid_hz(audio):
    spectrum = np.abs(np.fft.rfft(audio, 1 << 17)) ** 2
    return float((spectrum * np.fft.rfftfreq(1 << 17, 1 / SAMPLE_RATE_HZ)).sum() / spectrum.sum())


def energy_time_s(audio):
    energy = np.asarray(audio, float) ** 2
    return float((energy * np.arange(len(energy))).sum() / energy.sum() / SAMPLE_RATE_HZ)


def make(recipe, **changed):
    factors = drums.Factors(**{**dict.fromkeys(FACTORS, 0.5), **changed})
    audio, used = recipe(factors, np.random.default_rng(5))
    return drums.finish(audio, -1.0), used


@settings(max_examples=12)
@given(st.integers(0, 2**31), st.integers(0, 5000))
def test_a_hit_depends_on_its_seed_and_index_alone(seed, index):
    a, b = drums.hit(seed, index), drums.hit(seed, index)
    assert np.array_equal(a.audio, b.audio) and drums.describe(a) == drums.describe(b)
    assert a.audio.dtype == np.float32 and np.isfinite(a.audio).all()
    assert 0 < len(a.audio) <= drums.MAX_SAMPLES
    assert 20 * np.log10(np.abs(a.audio).max()) == pytest.approx(a.parameters["level_db"], abs=0.01)
    assert all(0 <= getattr(a.factors, name) <= 1 for name in FACTORS)


def test_the_first_items_do_not_depend_on_how_many_are_made():
    few = [hit.audio for hit in drums.hits(3, 4)]
    more = [hit.audio for hit in drums.hits(3, 8)]
    assert all(np.array_equal(a, b) for a, b in zip(few, more[:4], strict=True))


def test_every_class_and_every_recipe_occurs():
    seen = {drums.hit(0, i * drums.HITS_PER_INSTRUMENT).recipe for i in range(8 * 24)}
    assert seen == {recipe.__name__ for _, recipe in every_recipe()}
    assert set(drums.RECIPES) == set(drums.CLASSES)
    assert all(len(recipes) >= 2 for recipes in drums.RECIPES.values())


def test_hits_of_one_instrument_are_alike_and_not_the_same():
    a, b = drums.hit(0, 0), drums.hit(0, 1)
    assert (a.group, a.recipe) == (b.group, b.recipe) and a.name != b.name
    assert not np.array_equal(a.audio, b.audio)
    for name in ("pitch", "decay", "noise", "transient"):
        assert abs(getattr(a.factors, name) - getattr(b.factors, name)) < 0.15


@pytest.mark.parametrize(("label", "recipe"), every_recipe(), ids=lambda v: getattr(v, "__name__", v))
def test_factors_are_heard(label, recipe):
    """Decay lengthens and brightness brightens in every recipe: the truth beside the sound is true."""
    short, used_short = make(recipe, decay=0.05)
    long, used_long = make(recipe, decay=0.95)
    assert used_long["t60_s"] > 1.5 * used_short["t60_s"]
    assert energy_time_s(long) > 1.15 * energy_time_s(short)
    dark, bright = make(recipe, brightness=0.05)[0], make(recipe, brightness=0.95)[0]
    assert centroid_hz(bright) > 1.1 * centroid_hz(dark)
    low, high = make(recipe, pitch=0.05)[1], make(recipe, pitch=0.95)[1]
    assert high["pitch_hz"] > 1.5 * low["pitch_hz"]
