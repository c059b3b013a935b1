"""What is done to the items of a batch leaves them true: the knobs say what the changed item measures."""

import numpy as np
import pytest
import torch
from scipy.signal import find_peaks

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from tests.train.small import SMALL_DRUM, SMALL_RHYTHM
from train.analysis.hit.changes import at_speed, coloured, damped
from train.analysis.hit.homes import homes_of
from train.analysis.hit.variants import Changes, Crowd
from train.attributes.rhythm import measure_pattern
from train.attributes.sound import decay, measure_sound
from train.kinds import load_recipe
from train.models.hit.shape import HitShape
from train.tasks.drum import DrumTask
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


def test_a_coloured_hit_keeps_its_peak_and_its_time():
    sound = ringing(0.2) + 0.3 * ringing(0.1, 3000.0)
    brighter = [
        measure_sound(coloured(sound, 1.0, np.random.default_rng(n)))["brightness"] for n in range(20)
    ]
    assert np.ptp(brighter) > 0.3
    one = coloured(sound, 1.0, np.random.default_rng(1))
    assert len(one) == len(sound) and np.abs(one).max() == pytest.approx(np.abs(sound).max())
    assert decay(one) == pytest.approx(decay(sound), abs=0.15)
    assert np.allclose(coloured(sound, 0.0, np.random.default_rng(1)), sound, atol=1e-5)


def test_a_mixed_hit_has_one_recording_s_partials_and_the_noise_of_another_of_its_class():
    rng = np.random.default_rng(0)
    t = np.arange(24_000) / SAMPLE_RATE_HZ
    tones = [np.sin(2 * np.pi * hz * t) * np.exp(-t / 0.1) for hz in (180.0, 2500.0, 240.0)]
    hisses = [np.exp(-t / fall) * rng.standard_normal(len(t)) for fall in (0.02, 0.2, 0.02)]
    sounds = [(0.5 * a + 0.2 * b).astype(np.float32) for a, b in zip(tones, hisses, strict=True)]
    crowd = Crowd(sounds, ["a", "b", "c"], np.array([0, 0, 1]), HitShape())
    changes = Changes(speeds=20, octaves=0.0, colour=0.0, damp=0.0, mix=1.0)
    versions = [list(crowd.changed(changes, 2 * n)) for n in range(1, 20)]
    swapped = {index: [version[index] for version in versions] for index in (0, 2)}

    def late(sound):  # of noise above 6 kHz: only the slow hiss is still there
        power = np.abs(np.fft.rfft(sound[7200:12_000])) ** 2
        return power[600:].sum()

    def pitch(sound):
        return np.argmax(np.abs(np.fft.rfft(sound[:9600] * np.hanning(9600)))) * 5.0

    assert {round(pitch(sound), -1) for sound in swapped[0]} == {180}
    loud = [late(sound) > 30 * late(sounds[0]) for sound in swapped[0]]
    assert any(loud) and not all(loud)
    assert not any(late(sound) > 30 * late(sounds[2]) for sound in swapped[2])  # alone in its class


def test_the_drum_knobs_are_those_of_what_is_asked_for(drums):
    changes = ["augment.damp=1.0", "augment.speeds=1", "augment.other=1", "loss.homes=0.2", "fit.batch=64"]
    task = DrumTask(load_recipe("drum_quick", [*SMALL_DRUM, *changes]))
    task.prepare(drums)
    task.setup("fit")
    task._trainer = None
    batch = task.draw(3)
    assert 0 < int(batch["at_home"].sum()) < 32
    elsewhere = 0
    count = len(task.sounds["train"])
    for row in range(64):
        (heard, index), (asked, same) = (divmod(int(batch[key][row]), count) for key in ("heard", "asked"))
        assert index == same
        knobs, sound = batch["knobs"][row].numpy(), task.versions[asked].sounds[index].astype(np.float32)
        one_hot = task.labels["train"][index : index + 1, : len(CLASSES)]
        assert np.array_equal(knobs[: len(CLASSES)], one_hot[0])
        if batch["at_home"][row]:
            assert index in task.homes and heard == asked == 0 and not knobs[len(CLASSES) :].any()
        else:
            measured = {name: np.array([value]) for name, value in measure_sound(sound).items()}
            assert knobs[len(CLASSES) :] == pytest.approx(
                task.attribute_knobs(measured, one_hot)[0],
                abs=2e-3,  # kept in half precision
            )
            assert heard // 2 == asked // 2 and heard != asked
        first = int(batch["start"][row]) * 48
        elsewhere += first > 0
        part = sound[first:][: batch["wanted"].shape[-1]]
        assert np.array_equal(batch["wanted"][row, 0, : len(part)].numpy(), part)
    assert elsewhere > 4


def test_noon_is_a_sound_in_the_middle_of_its_class():
    classes = np.repeat([0, 4], 21)
    measured = {"brightness": np.tile(np.linspace(0, 4, 21), 2), "decay": np.tile(np.linspace(-2, 0, 21), 2)}
    pictures = torch.randn(42, 4, 5)
    pictures[11] = pictures[:21].mean(0)  # of those in the middle, the one that is like all
    pictures[2] = pictures[:21].mean(0)  # as much like all, but dull
    first, second = homes_of(classes, measured, pictures)
    assert first == 11
    assert 21 + 9 <= second <= 21 + 11
    few = homes_of(classes[:2], {k: v[[0, 20]] for k, v in measured.items()}, pictures[:2])
    assert few in ([0], [1])


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
