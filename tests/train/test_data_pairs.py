"""Dry and wet find each other by name, are aligned to the sample, and borders are kept."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.signal import butter, sosfilt

from common.refusal import LeftOut
from tests.train.data_sources import write
from train.data import pairs
from train.data.coherence import coherence
from train.data.pairing import PairFiles, find_pairs, parameters_in
from train.data.report import drive as drive_report
from train.data.source import SourceFile


def file(relative, path=None, **row):
    return SourceFile(path or Path(relative), relative, "", row)


def found(*names):
    matched, alone = find_pairs(tuple(file(name) for name in sorted(names)))
    return {(p.dry.relative, p.wet.relative): (p.effect, p.parameters) for p in matched}, alone


@pytest.mark.parametrize(
    ("names", "pair", "effect", "parameters"),
    [
        (("riff_dry.wav", "riff_wet.wav"), ("riff_dry.wav", "riff_wet.wav"), None, {}),
        (("dry/riff.wav", "wet/riff.wav"), ("dry/riff.wav", "wet/riff.wav"), None, {}),
        (("input/a.wav", "output/fuzz/a.wav"), ("input/a.wav", "output/fuzz/a.wav"), "fuzz", {}),
        (("k/dry.flac", "k/wet_gain050.flac"), ("k/dry.flac", "k/wet_gain050.flac"), "k", {"gain": 50.0}),
        (("di/x/solo.wav", "amps/jcm/solo.wav"), ("di/x/solo.wav", "amps/jcm/solo.wav"), "jcm", {}),
        (
            ("riff_dry.wav", "riff_wet_muff_tone3.wav"),
            ("riff_dry.wav", "riff_wet_muff_tone3.wav"),
            "muff",
            {"tone": 3.0},
        ),
    ],
)
def test_partners_are_found_by_name(names, pair, effect, parameters):
    matched, alone = found(*names)
    assert list(matched) == [pair] and not alone
    assert matched[pair][1] == parameters
    assert effect is None or matched[pair][0] == effect


def test_those_without_a_partner_say_so():
    matched, alone = found("a_dry.wav", "b_wet.wav", "c.wav")
    assert not matched
    assert "no wet file" in alone["a_dry.wav"] and "no dry file" in alone["b_wet.wav"]
    assert "neither dry nor wet" in alone["c.wav"]


def test_a_manifest_decides():
    rows = {"dry": "x.wav", "wet": "y.wav", "effect": "mine", "parameters": {"gain": 3}}
    matched, alone = find_pairs((file("x.wav"), file("y.wav", **rows)))
    assert [(p.dry.relative, p.effect, p.parameters) for p in matched] == [("x.wav", "mine", {"gain": 3})]
    assert not alone
    _, alone = find_pairs((file("y.wav", **rows),))
    assert "x.wav, which is not there" in alone["y.wav"]


def test_numbers_in_names_are_parameters():
    assert parameters_in("wet_gain050_tone3.5_take") == ({"gain": 50.0, "tone": 3.5}, ["wet", "take"])


def phrase(n=96_000, seed=0):
    """Bursts of noise and tones: broad enough to align by."""
    rng = np.random.default_rng(seed)
    x = np.zeros(n)
    for start in range(1000, n - 9000, 9000):
        t = np.arange(8000) / 48_000
        tone = np.sin(2 * np.pi * rng.uniform(100, 900) * t) + 0.3 * rng.standard_normal(len(t))
        x[start : start + 8000] += rng.uniform(0.3, 1) * tone * np.exp(-t / 0.05)
    return 0.6 * x / np.abs(x).max()


DEVICES = {
    "wire": lambda x: x,
    "tanh": lambda x: np.tanh(6 * x),
    "clip": lambda x: np.clip(4 * x, -0.5, 0.5),
    "lopsided": lambda x: np.where(x > 0, np.tanh(8 * x), 0.5 * np.tanh(3 * x)),
    "fold": lambda x: np.sin(5 * x),
}


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("delay", [0, 40, 137, 1500, 9000])
@pytest.mark.parametrize("polarity", [1, -1])
def test_delay_and_polarity_are_found_exactly(device, delay, polarity):
    dry = phrase()
    wet = polarity * DEVICES[device](np.concatenate([np.zeros(delay), dry])[: len(dry)])
    seen = pairs.align(dry, wet, 48_000)
    assert (seen.delay, seen.polarity, seen.sure) == (delay, polarity, True)


def test_an_early_wet_file_is_found_too():
    dry = phrase()
    assert pairs.align(dry, np.tanh(3 * np.concatenate([dry[200:], np.zeros(200)])), 48_000).delay == -200


def test_the_delay_of_a_tone_control_is_not_taken_out():
    """A filter's group delay belongs to the device: removing it would ask a model to see the future."""
    dry = phrase()
    dark = sosfilt(butter(4, 3000, fs=48_000, output="sos"), np.tanh(3 * dry))
    assert pairs.align(dry, dark, 48_000).delay == 0
    late = pairs.align(dry, np.concatenate([np.zeros(300), dark])[: len(dry)], 48_000)
    assert 298 <= late.delay <= 306


def test_a_narrow_phrase_stays_where_it_is():
    t = np.arange(96_000) / 48_000
    dry = 0.5 * np.sin(2 * np.pi * 55 * t)
    seen = pairs.align(
        dry, sosfilt(butter(1, 200, "highpass", fs=48_000, output="sos"), np.tanh(3 * dry)), 48_000
    )
    assert seen.delay == 0 and seen.polarity == 1


def written(tmp_path, dry, wet, rate_hz=44_100, wet_rate_hz=None):
    a = write(tmp_path / "dry.wav", dry, rate_hz, subtype="FLOAT")
    b = write(tmp_path / "wet.wav", wet, wet_rate_hz or rate_hz, subtype="FLOAT")
    return PairFiles(file("dry.wav", a), file("wet.wav", b), "pedal", {}, "test")


def test_strangers_and_silence_and_unequal_lengths_are_left_out(tmp_path):
    def reason(dry, wet):
        pair = written(tmp_path, dry, wet)
        with pytest.raises(LeftOut) as left_out:
            pairs.relate(pairs.read_pair(pair), pair, None)
        return str(left_out.value)

    rng = np.random.default_rng(0)
    steady = 0.3 * rng.standard_normal(88_200)
    assert "nothing in common" in reason(phrase(88_200), steady)
    assert "wet.wav is silent" in reason(phrase(88_200), np.zeros(88_200))
    assert "lasts 1.00 s and its dry file dry.wav 3.00 s" in reason(phrase(132_300), phrase(132_300)[:44_100])


def test_a_rectifier_is_known_though_nothing_of_the_wave_is_left(tmp_path):
    """A steady tone through one: neither the waves agree nor do loudness curves say anything."""
    t = np.arange(132_300) / 44_100
    tone = 0.5 * np.sin(2 * np.pi * 60 * t) + 0.2 * np.sin(2 * np.pi * 97 * t)
    for dry in (phrase(132_300), tone):
        pair = written(tmp_path, dry, np.abs(dry) - np.abs(dry).mean())
        facts = pairs.relate(pairs.read_pair(pair), pair, None)
        assert facts["delay_found"] == 0 and facts["coherence"] > 0.8


@pytest.mark.parametrize("device", DEVICES)
def test_partners_cohere_and_strangers_do_not(device):
    dry, other = phrase(seed=1), phrase(seed=2)
    wet = DEVICES[device](dry)
    dark = sosfilt(butter(2, 3000, fs=48_000, output="sos"), wet)
    assert coherence(dry, dark) > 0.8
    assert coherence(other, dark) < pairs.MIN_COHERENCE
    noisy = dark + 0.3 * dark.std() * np.random.default_rng(0).standard_normal(len(dark))
    assert 0.6 < coherence(dry, noisy) < coherence(dry, dark)


def test_coherence_of_what_is_too_short_or_silent_is_none():
    assert coherence(phrase()[:1000], phrase()[:1000]) == 0.0
    assert coherence(np.zeros(48_000), phrase()[:48_000]) <= 0.0
    assert coherence(phrase(), np.zeros(96_000)) <= 0.0


def test_a_stranger_that_lines_up_by_a_common_click_is_left_out(tmp_path):
    """Two takes over one count-in align surely and yet are two performances."""
    a, b = 0.2 * phrase(seed=1), 0.2 * phrase(seed=2)
    a[200:204], b[200:204] = 1.0, 1.0
    a[:200] = b[:200] = a[204:1000] = b[204:1000] = 0.0
    assert pairs.align(a, b, 48_000).sure
    pair = written(tmp_path, a, b, 48_000)
    with pytest.raises(LeftOut, match="explain more than"):
        pairs.relate(pairs.read_pair(pair), pair, None)


def test_pairs_of_one_device_share_its_earliest_delay():
    def fact(name, delay, by="waveform", effect="amp"):
        return {"file": name, "effect": effect, "rate_hz": 48_000, "delay_found": delay, "aligned_by": by}

    facts = [
        fact("a", 22),
        fact("b", 17),
        fact("c", 0, "envelope"),
        fact("d", 900, effect="other"),
        fact("e", 5, effect="other"),
    ]
    assert pairs.common_delays(facts) == {"a": 17, "b": 17, "c": 17, "d": 900, "e": 5}


SEGMENT = 1470  # samples at 44,100 Hz; 1,600 at 48,000


def concatenated(count=40, rate_hz=44_100):
    """Segments of unrelated music, as the Klon recordings are."""
    rng = np.random.default_rng(3)
    t = np.arange(SEGMENT) / rate_hz
    return np.concatenate(
        [
            rng.uniform(0.3, 0.8) * np.sin(2 * np.pi * rng.uniform(80, 700) * t + rng.uniform(0, 6))
            for _ in range(count)
        ]
    )


def test_borders_are_found():
    dry = concatenated()
    assert pairs.find_borders(dry, -np.tanh(3 * dry)) == SEGMENT
    assert pairs.find_borders(phrase(), np.tanh(3 * phrase())) is None


def test_segments_are_resampled_by_themselves(tmp_path):
    """Change one segment: no sample of its neighbours may notice."""
    dry = concatenated()
    other = dry.copy()
    other[5 * SEGMENT : 6 * SEGMENT] = 0.7
    cuts = []
    for signal in (dry, other):
        pair = written(tmp_path, signal, -0.5 * signal)
        facts = pairs.relate(pairs.read_pair(pair), pair, SEGMENT)
        assert facts["polarity"] == -1 and facts["delay_found"] == 0
        cuts.append(pairs.AlignedPair(pairs.read_pair(pair), 0, -1, SEGMENT).cut(into_thirds=True))
    assert len(cuts[0]) == 40
    for number, (a, b) in enumerate(zip(*cuts, strict=True)):
        assert len(a[0]) == len(a[1]) == 1600 and a[2] is False
        assert np.array_equal(a[0], b[0]) is (number != 5)
        assert np.allclose(a[1], 0.5 * a[0], atol=1e-6)


def test_a_resampled_segment_is_the_same_sound_to_its_ends(tmp_path):
    t44, t48 = np.arange(SEGMENT) / 44_100, np.arange(1600) / 48_000
    dry = np.tile(np.sin(2 * np.pi * 700 * t44 + 1), 8)
    pair = written(tmp_path, dry, dry)
    piece = pairs.AlignedPair(pairs.read_pair(pair), 0, 1, SEGMENT).cut(False)[3][0]
    wanted = np.sin(2 * np.pi * 700 * t48 + 1)
    assert np.abs(piece - wanted)[40:-40].max() < 2e-3
    assert np.abs(piece - wanted).max() < 0.05


def test_the_delay_is_taken_out_inside_each_segment(tmp_path):
    dry = concatenated()
    wet = np.concatenate([np.concatenate([np.zeros(30), s[:-30]]) for s in dry.reshape(-1, SEGMENT)])
    pair = written(tmp_path, dry, wet)
    pieces = pairs.AlignedPair(pairs.read_pair(pair), 30, 1, SEGMENT).cut(False)
    assert all(
        np.allclose(a, b, atol=1e-6) and len(a) == round((SEGMENT - 30) * 48 / 44.1) for a, b, _ in pieces
    )
    with pytest.raises(LeftOut, match="longer than its segments"):
        pairs.AlignedPair(pairs.read_pair(pair), SEGMENT, 1, SEGMENT).cut(False)


def test_two_rates_meet_at_48_000(tmp_path):
    dry = phrase(96_000)
    from train.data.audio import resample

    pair = written(tmp_path, dry, np.tanh(2 * resample(dry, 48_000, 44_100)), 48_000, 44_100)
    signals = pairs.read_pair(pair)
    assert signals.rate_hz == 48_000 and signals.facts["rates_differ"]
    assert pairs.relate(signals, pair, None)["delay_found"] == 0
    with pytest.raises(LeftOut, match="segments need one"):
        pairs.relate(signals, pair, 1000)


def drifted(dry, ppm):
    """The same sound from a recorder whose clock runs ``ppm`` slower, so that it comes ever later."""
    at = np.arange(len(dry)) / (1 + ppm * 1e-6)
    return np.interp(at, np.arange(len(dry)), dry)


def smooth_phrase(seconds, seed=0):
    """A phrase without energy where linear interpolation would dull it."""
    return sosfilt(butter(4, 6000, fs=48_000, output="sos"), phrase(seconds * 48_000, seed))


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("ppm", [-300, -100, 60, 100])
def test_two_clocks_are_found_and_how_far_they_are_apart(device, ppm):
    dry = smooth_phrase(20)
    assert pairs.drift_ppm(dry, DEVICES[device](drifted(dry, ppm)), 48_000) == pytest.approx(ppm, rel=0.1)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("delay", [0, 137, 9000])
def test_one_clock_has_no_drift(device, delay):
    dry = smooth_phrase(10)
    wet = DEVICES[device](np.concatenate([np.zeros(delay), dry])[: len(dry)])
    assert pairs.drift_ppm(dry, sosfilt(butter(2, 3000, fs=48_000, output="sos"), wet), 48_000) == 0
    assert pairs.drift_ppm(dry[:20_000], wet[:20_000], 48_000) == 0


def test_drift_is_a_fact_of_the_pair_or_its_reason(tmp_path):
    dry = smooth_phrase(10)
    pair = written(tmp_path, dry, np.tanh(3 * drifted(dry, 100)), 48_000)
    assert pairs.relate(pairs.read_pair(pair), pair, None)["drift_ppm"] == pytest.approx(100, abs=10)
    pair = written(tmp_path, dry, np.tanh(3 * dry), 48_000)
    assert pairs.relate(pairs.read_pair(pair), pair, None)["drift_ppm"] == 0


@pytest.mark.parametrize(("seconds", "says"), [(0.8, "comes 0.80 s after"), (-0.8, "comes 0.80 s before")])
def test_a_delay_beyond_the_search_is_called_what_it_is(tmp_path, seconds, says):
    dry = phrase(10 * 48_000)
    gap = np.zeros(round(abs(seconds) * 48_000))
    late = np.concatenate([gap, dry])[: len(dry)] if seconds > 0 else np.concatenate([dry[len(gap) :], gap])
    pair = written(tmp_path, dry, np.tanh(3 * late), 48_000)
    with pytest.raises(LeftOut, match=says):
        pairs.relate(pairs.read_pair(pair), pair, None)


def test_a_constant_is_no_partner(tmp_path):
    pair = written(tmp_path, phrase(88_200), np.full(88_200, 0.3))
    with pytest.raises(LeftOut, match=r"wet.wav is a constant \(DC\)"):
        pairs.read_pair(pair)


def test_the_report_tells_early_from_late_and_names_drift_and_scale():
    def fact(name, **more):
        plain = {
            "file": name,
            "polarity": 1,
            "segment_samples": None,
            "delay_samples": 0,
            "rate_hz": 48_000,
            "aligned_by": "waveform",
            "coherence": 0.9,
            "wet_clipped": 0,
            "wet_peak_at_full_scale": False,
            "wet_dc": 0.0,
            "length_difference": 0,
            "drift_ppm": 0.0,
            "peak_db": -3.0,
        }
        return {**plain, **more}

    facts = [
        fact("early", delay_samples=-40),
        fact("late", delay_samples=40),
        fact("runs", drift_ppm=-104.0),
        fact("loud", peak_db=88.0),
    ]
    found = {one.text: (one.level, one.files) for one in drive_report._findings([], facts, 60.0)}

    def about(words):
        return next(value for text, value in found.items() if words in text)

    assert about("were late") == ("fine", ["late"])
    assert about("come before") == ("look", ["early"])
    assert about("up to -104 parts per million") == ("fix", ["runs"])
    assert about("above full scale") == ("fix", ["loud"])
