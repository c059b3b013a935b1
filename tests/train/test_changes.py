"""What is done to the items of a batch leaves them true: the knobs say what the changed item measures."""

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from tests.train.small import SMALL_DRUM, SMALL_RHYTHM
from train.attributes.rhythm import measure_pattern
from train.attributes.sound import decay, measure_sound
from train.kinds import load_recipe
from train.tasks.drum import HOP, DrumTask, at_speed, damped
from train.tasks.rhythm import RhythmTask


def ringing(seconds, hz=200.0):
    """A sine that falls by 30 dB in ``seconds``, a second long."""
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    return (np.sin(2 * np.pi * hz * t) * 10 ** (-30 / 20 * t / seconds)).astype(np.float32)


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
def test_a_damped_hit_decays_in_that_part_of_the_time(part):
    sound = ringing(0.4)
    out = damped(sound, part)
    assert 10 ** decay(out) == pytest.approx(part * 10 ** decay(sound), rel=0.03)
    assert np.abs(out).max() == pytest.approx(np.abs(sound).max(), rel=1e-3)


def test_nothing_is_damped_below_20_ms_and_silence_stays_silence():
    short = ringing(0.015)
    assert np.array_equal(damped(short, 0.1), short)
    assert 10 ** decay(damped(ringing(0.1), 0.01)) == pytest.approx(0.02, rel=0.1)
    assert not damped(np.zeros(4800, np.float32), 0.5).any()


def test_twice_the_speed_is_an_octave_higher_and_half_as_long():
    fast = at_speed(ringing(0.4), 2.0)
    assert len(fast) == SAMPLE_RATE_HZ // 2
    assert np.diff(find_peaks(fast[:4800])[0]).mean() == pytest.approx(SAMPLE_RATE_HZ / 400, rel=0.01)
    assert 10 ** decay(fast) == pytest.approx(0.2, rel=0.03)


def test_the_drum_knobs_are_those_of_the_damped_target_and_the_adversarys_those_of_what_is_heard(drums):
    changes = ["augment.damp=1.0", "augment.speed=0.3", "augment.mute=0", "augment.shift_ms=0", "fit.batch=8"]
    task = DrumTask(load_recipe("drum_quick", [*SMALL_DRUM, *changes]))
    task.prepare(drums)
    task._trainer = None
    batch = task.draw(3)
    plain = task.labels["train"]
    for sound, knobs in (("source", "knobs"), ("heard", "heard_knobs")):
        for row, told in zip(batch[sound][:, 0].numpy(), batch[knobs].numpy(), strict=True):
            length = np.flatnonzero(row)[-1] + 1
            measured = {name: np.array([value]) for name, value in measure_sound(row[:length]).items()}
            assert told[len(CLASSES) :] == pytest.approx(task.attribute_knobs(measured)[0], abs=0.03)
    assert not torch.equal(batch["source"], batch["heard"])
    assert not torch.equal(batch["knobs"], batch["heard_knobs"])
    assert torch.equal(batch["knobs"][:, : len(CLASSES)], batch["heard_knobs"][:, : len(CLASSES)])
    assert {tuple(row) for row in plain[:, : len(CLASSES)]} >= {
        tuple(row) for row in batch["knobs"][:, : len(CLASSES)].numpy()
    }
    # What is wanted is the damped target, late by the model's latency.
    start, target = int(batch["target"][0, 0]), batch["target"][0].numpy()
    inside = (target >= 0) & (target < 2 * SAMPLE_RATE_HZ)
    assert start % HOP == HOP - task.delay or start >= -task.delay
    assert np.array_equal(
        batch["wanted"][0, 0].numpy()[inside], batch["source"][0, 0].numpy()[target[inside]]
    )


def test_mixed_patterns_are_told_by_their_own_attributes(rhythms):
    recipe = load_recipe("rhythm_quick", [*SMALL_RHYTHM, "augment.mix=1.0", "augment.mute=0", "fit.batch=16"])
    task = RhythmTask(recipe)
    task.prepare(rhythms)
    task._trainer = None
    batch = task.draw(5)
    made = batch["pattern"].numpy()
    wanted = task.to_knobs(np.stack([measure_pattern(p) for p in made]))
    assert batch["knobs"].numpy() == pytest.approx(wanted, abs=0.1)
    known = {p[:9].tobytes() for p in task.patterns["train"]}
    known |= {np.roll(p[:9], 16, axis=1).tobytes() for p in task.patterns["train"]}
    assert any(p[:9].tobytes() not in known for p in made)
