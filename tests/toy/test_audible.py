"""What is told of a parameter's audibility is what it does."""

from toy.audible import STEP, measure
from toy.chain import Chain


def chain(*effects):
    return Chain("box", "", tuple(effects))


def test_a_gain_changes_the_sound_by_what_it_moves():
    (one,) = measure(chain({"use": "pedalboard.Gain", "gain_db": [0.0, 12.0]}), 6, seconds=0.3)
    decibels = STEP * 12 / 12**0.5
    up, down = (10 ** (decibels / 20) - 1) ** 2, (10 ** (-decibels / 20) - 1) ** 2
    assert one.parameter == "Gain.gain_db" and one.own == one.change
    assert down * 0.999 <= one.change <= up * 1.001


def test_two_gains_before_a_curve_are_heard_and_cannot_be_told_apart():
    gain = {"use": "pedalboard.Gain", "gain_db": [0.0, 6.0]}
    bent = {"use": "pedalboard.Distortion", "drive_db": [10.0, 16.0]}
    for one in measure(chain(gain, bent), 4, seconds=0.3):
        assert one.change > 1e-3 and one.own < 0.02 * one.change
    tone = {"use": "pedalboard.LowpassFilter", "cutoff_frequency_hz": [200.0, 4000.0]}
    for one in measure(chain(bent, tone), 4, seconds=0.3):
        assert one.own > 0.05 * one.change


def test_what_nobody_hears_changes_nothing():
    low = {"use": "pedalboard.LowpassFilter", "cutoff_frequency_hz": [22_000.0, 23_000.0]}
    (one,) = measure(chain(low), 3, seconds=0.3)
    assert one.change < 1e-3


def test_the_same_seed_gives_the_same_table():
    box = chain({"use": "wavefolder", "folds": [1, 7], "symmetry": [0, 0.5]})
    assert measure(box, 2, 0.3) == measure(box, 2, 0.3)
