"""Each attribute on patterns made by hand, and its differentiable twin."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.drums import PARTS
from train.attributes.rhythm import (
    PATTERN_ATTRIBUTES,
    WEIGHTS,
    complexity,
    density,
    dynamics,
    low_high,
    measure_pattern,
    swing,
    syncopation,
)
from train.attributes.rhythm_soft import soft_attributes
from train.attributes.scale import AttributeScale
from train.attributes.sound import brightness, decay, loudness

pytestmark = pytest.mark.fast


def pattern(velocity=0.8, late=0.0, **voices):
    """A pattern from lists of steps by voice."""
    out = np.zeros((27, 32), np.float32)
    for voice, steps in voices.items():
        index = PARTS.index(voice)
        out[index, steps] = 1.0
        out[9 + index, steps] = velocity
        out[18 + index, steps] = late
    return out


ROCK = pattern(kick=[0, 8, 16, 24], snare=[4, 12, 20, 28], hat_closed=list(range(0, 32, 2)))


def test_the_weights_are_those_of_a_bar_of_sixteenths():
    assert WEIGHTS[:16].tolist() == [0, -4, -3, -4, -2, -4, -3, -4, -1, -4, -3, -4, -2, -4, -3, -4]
    assert (WEIGHTS[16:] == WEIGHTS[:16]).all()


def test_density_counts_onsets_per_step():
    assert density(ROCK) == pytest.approx(24 / 32)
    assert density(pattern()) == 0.0


def test_a_straight_beat_is_not_syncopated_and_a_displaced_one_is():
    straight = pattern(kick=[0, 8, 16, 24])
    assert syncopation(straight) == 0
    # One note on the last sixteenth, held over the bar line: 0 − (−4).
    assert syncopation(pattern(kick=[15])) == 4
    # The back-beat alone is held over beats 3 and 1: (−1 − (−2)) + (0 − (−2)), in both bars.
    assert syncopation(pattern(snare=[4, 12, 20, 28])) == 2 * (1 + 2)
    assert syncopation(pattern(kick=[3, 11, 19, 27])) > syncopation(pattern(kick=[4, 12, 20, 28]))


def test_syncopation_by_hand_on_one_note_per_bar():
    # A note at step 10 (weight −3) followed by rests through step 0 (weight 0) up to the next at 26.
    assert syncopation(pattern(kick=[10, 26])) == 2 * 3


def test_low_high_balances_kick_against_cymbals():
    assert low_high(pattern(kick=[0, 8])) == -1.0
    assert low_high(pattern(ride=[0, 8])) == 1.0
    assert low_high(pattern(kick=[0], hat_closed=[0, 4, 8])) == 0.5
    assert low_high(pattern(snare=[4])) == 0.0


def test_swing_is_lateness_off_the_beat():
    straight = pattern(hat_closed=list(range(0, 32, 2)))
    assert swing(straight) == 0.0
    swung = straight.copy()
    swung[18 + 2, 2::4] = 0.3
    assert swing(swung) == pytest.approx(0.3)
    assert swing(pattern(late=0.2, hat_closed=list(range(0, 32, 2)))) == pytest.approx(0.0, abs=1e-7)


def test_dynamics_is_spread_of_velocity():
    assert dynamics(ROCK) == pytest.approx(0.0, abs=1e-6)
    accented = ROCK.copy()
    accented[9 + 2, ::4] = 0.4
    assert dynamics(accented) > 0.1


def test_complexity_is_zero_for_what_repeats_every_beat():
    assert complexity(pattern(kick=list(range(0, 32, 4)))) == pytest.approx(0.0, abs=1e-9)
    assert complexity(pattern(kick=[0, 8, 16, 24])) == pytest.approx(0.25)  # one bit at one of four places
    assert complexity(pattern()) == 0.0


def random_pattern(seed):
    rng = np.random.default_rng(seed)
    onsets = rng.random((9, 32)) < rng.uniform(0, 0.5)
    return np.concatenate([onsets, rng.random((9, 32)), rng.uniform(-0.5, 0.5, (9, 32))]).astype(np.float32)


@settings(max_examples=60)
@given(st.integers(0, 2**31))
def test_the_differentiable_attributes_have_the_same_values(seed):
    one = random_pattern(seed)
    soft = soft_attributes(torch.from_numpy(one)[None])[0].numpy()
    assert np.allclose(soft, measure_pattern(one), atol=3e-3)


def test_and_they_have_gradients():
    probability = torch.rand(2, 27, 32, requires_grad=True)
    soft_attributes(probability).sum().backward()
    assert probability.grad is not None
    assert torch.isfinite(probability.grad).all()
    assert (probability.grad[:, :9] != 0).any()


@settings(max_examples=40)
@given(st.lists(st.floats(-100, 100), min_size=2, max_size=60))
def test_knobs_rise_with_the_quantity_and_stay_on_the_dial(values):
    scale = AttributeScale.fit(np.array(values))
    knobs = scale.knob(np.sort(np.array(values)))
    assert (np.diff(knobs) >= -1e-12).all()
    assert knobs.min() >= -1 and knobs.max() <= 1


def test_even_travel_is_even_density():
    values = np.random.default_rng(0).exponential(size=5000)
    knobs = AttributeScale.fit(values).knob(values)
    assert np.histogram(knobs, 4, (-1, 1))[0] == pytest.approx([1250] * 4, rel=0.05)
    assert len(AttributeScale.fit(values).table()) == 33


def test_a_knob_s_ends_leave_rare_extremes_out():
    values = np.r_[np.linspace(0, 1, 1000), -50.0, 70.0]
    scale = AttributeScale.fit(values, edge=0.02)
    assert scale.values[0] == pytest.approx(0.02, abs=0.01)
    assert scale.values[-1] == pytest.approx(0.98, abs=0.01)
    assert scale.knob(np.array([-50.0, 70.0])) == pytest.approx([-1, 1], abs=0.01)


def test_a_constant_quantity_sits_in_the_middle():
    assert AttributeScale.fit(np.ones(10)).knob(np.ones(3)).tolist() == [0, 0, 0]


def test_every_attribute_has_words():
    assert all(a.definition for a in PATTERN_ATTRIBUTES.values())


def test_sounds_are_measured_in_known_units():
    t = np.arange(48_000) / 48_000
    sine = np.sin(2 * np.pi * 320 * t).astype(np.float32)
    assert brightness(sine) == pytest.approx(4.0, abs=0.02)  # 320 Hz is four octaves above 20 Hz
    assert loudness(sine) == pytest.approx(-3.01, abs=0.02)
    assert loudness(np.zeros(100, np.float32)) == pytest.approx(-120)
    dying = sine * np.exp(-t / 0.1)
    # Energy falls by e^(−2t/0.1): −30 dB after 0.345 s.
    assert 10 ** decay(dying) == pytest.approx(0.345, abs=0.01)


def test_a_pattern_that_only_repeats_can_learn_to_be_complex():
    made = torch.from_numpy(ROCK)[None].clone().requires_grad_()
    soft_attributes(made)[0, list(PATTERN_ATTRIBUTES).index("complexity")].backward()
    slope = made.grad[0, :9]
    assert slope[PARTS.index("kick"), 1] > 0  # one more hit, in one beat only, is less alike
    assert slope[PARTS.index("hat_closed"), 0] < 0  # so is one less of those in every beat
