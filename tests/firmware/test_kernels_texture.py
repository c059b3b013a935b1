"""What a texture hears and how it sounds: the same bits on every target, and near their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from common import pitch
from firmware.compiler.ops.hop_ends import ear, source_filter
from firmware.kernelgen.ear import tables
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
OTHERS = TARGETS[1:]
HOP, BANDS, SOURCE_BANDS = 256, 8, 12
PITCH_FLOATS = 232 + 201 + 201 + 2
PITCH_OLD, PITCH_PIECES = 88, 8
EAR_FLOATS, EAR_PIECES = 1024 + 2 * 513 + 2 * 65, 9
SOURCE_BYTES = 4 * 4 + 4 * (512 + 512 + 256 + 2 * 260 + 4 + 2 * 257 + 2 * 256)
PULSES_PIECES, GAINS_PIECES, FRAME_PIECES = 10, 6, 8


def triangles(bands, bins):
    places = np.sqrt(np.arange(bins) / (bins - 1)) * (bands - 1)
    return np.stack([np.interp(places, np.arange(bands), row) for row in np.eye(bands)])


def filled(values):
    return Array(np.ascontiguousarray(values), b"")


def roots(target):
    begin = Call("vk_fft_begin", [filled(np.zeros(2048 + 512, np.float32))])
    return make_calls(target, [begin])[0][0]


def phrase(hops, hz=196.0):
    """A gliding saw with noise, loud and soft, and silence at the end."""
    n = np.arange(hops * HOP)
    glide = hz * (1 + 0.3 * n / len(n))
    saw = 2 * ((np.cumsum(glide) / 48_000) % 1) - 1
    level = np.interp(n, [0, len(n) // 3, len(n) // 2, 0.8 * len(n), len(n)], [0, 0.6, 0.1, 0.4, 0])
    noise = np.random.default_rng(3).normal(size=len(n))
    return (level * (saw + 0.05 * noise)).astype(np.float32)


# ---- transforms ------------------------------------------------------------------------------------------


def transformed(target, table, bits, x):
    """The spectrum of 2·2^bits real samples."""
    half = 1 << bits
    places = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(half)]
    z = np.zeros((half + 1, 2), np.float32)
    z[places] = x.reshape(half, 2)
    for number in range((bits + 1) // 2):
        z = make_calls(target, [Call("vk_fft_pass", [filled(table), filled(z), bits, number])])[0][1]
    split = make_calls(target, [Call("vk_fft_split", [filled(table), filled(z), bits])])[0]
    return split[1]


@pytest.mark.parametrize("bits", [8, 9])
def test_a_transform_is_numpys_and_the_same_everywhere(bits):
    x = np.random.default_rng(bits).normal(size=2 << bits).astype(np.float32)
    wanted = np.fft.rfft(x)
    spectra = {target: transformed(target, roots(target), bits, x) for target in TARGETS}
    made = spectra["host"][:, 0] + 1j * spectra["host"][:, 1]
    assert np.abs(made - wanted).max() < 1e-5 * np.abs(wanted).max()
    for target in OTHERS:
        np.testing.assert_array_equal(spectra[target], spectra["host"])


# ---- the ear ---------------------------------------------------------------------------------------------


def heard_on(target, audio, bank, weight):
    bins = tables(bank)
    said = Struct(
        [
            ("P", filled(bins.band)),
            ("P", filled(bins.lower)),
            ("P", filled(bins.upper)),
            ("P", filled(weight.astype(np.float32))),
            ("H", len(bank)),
        ]
    )
    table, state, frames = filled(roots(target)), np.zeros(EAR_FLOATS, np.float32), []
    for hop in audio.reshape(-1, HOP):
        loudness, bands = (filled(np.zeros(n, np.float32)) for n in (1, len(bank)))
        taken = make_calls(target, [Call("vk_ear_take", [said, filled(state), filled(hop), loudness])])[0]
        state = taken[-3]
        for piece in range(EAR_PIECES):
            call = Call("vk_ear_hear", [said, table, filled(state), piece, bands])
            found = make_calls(target, [call])[0]
            state = found[-2]
        frames.append(np.concatenate([found[-1], taken[-1]]))
    return np.stack(frames, 1)


@pytest.fixture(scope="module")
def heard():
    bank = triangles(BANDS, 513) / 400
    weight = np.hanning(769)[:-1]
    weight /= weight.sum()
    audio = phrase(6)
    return bank, weight, audio, heard_on("host", audio, bank, weight)


def test_the_ear_hears_what_its_definition_says(heard):
    bank, weight, audio, found = heard
    wanted = ear.heard(ear.EarConstants(bank, weight), audio.astype(np.float64))
    assert np.abs(found - wanted).max() < 1e-5 * np.abs(wanted).max()


@pytest.mark.parametrize("target", OTHERS)
def test_the_ear_hears_the_same_everywhere(target, heard):
    bank, weight, audio, found = heard
    np.testing.assert_array_equal(heard_on(target, audio, bank, weight), found)


# ---- the tracker -----------------------------------------------------------------------------------------


def tracked_on(target, audio):
    taps = filled(pitch.lowpass())
    state = filled(np.zeros(PITCH_FLOATS, np.float32))
    state = make_calls(target, [Call("vk_pitch_reset", [state])])[0][0]
    frames = []
    past = np.concatenate([np.zeros(PITCH_OLD, np.float32), audio])
    for first in range(0, len(audio), HOP):
        heard = filled(past[first : first + PITCH_OLD + HOP])
        for piece in range(PITCH_PIECES):
            call = Call("vk_pitch_track", [taps, filled(state), heard, piece])
            state = make_calls(target, [call])[0][1]
        frames.append(state[-2:])
    return np.stack(frames, 1)


@pytest.mark.parametrize("target", TARGETS)
def test_the_tracker_is_its_numpy_twin_to_the_bit(target):
    audio = phrase(30 if target == "host" else 12)
    period, voicing = pitch.track(audio)
    found = tracked_on(target, audio)
    np.testing.assert_array_equal(found[0], period)
    np.testing.assert_array_equal(found[1], voicing)
    assert (voicing > 0.75).sum() > 5


@pytest.mark.parametrize("hz", [41.2, 110.0, 440.0, 784.0])
def test_a_steady_note_is_tracked_within_ten_cents(hz):
    n = np.arange(60 * HOP)
    audio = sum(np.sin(2 * np.pi * k * hz * n / 48_000) / k for k in range(1, 6)).astype(np.float32) * 0.2
    period, voicing = pitch.track(audio)
    assert voicing[20:].min() > 0.8
    assert np.abs(1200 * np.log2(6000 / period[20:] / hz)).max() < 10


@pytest.mark.parametrize("hz", [466.2, 932.3, 1046.5, 1108.7, 1244.5, 1318.5, 1396.9, 1480.0])
@pytest.mark.parametrize("partials", [(1.0,), (1.0, 0.5, 0.33, 0.25), (1.0, 1.0, 0.5), (1.0, 0.0, 0.33)])
def test_a_high_note_is_not_heard_an_octave_lower(hz, partials):
    n = np.arange(40 * HOP)
    rng = np.random.default_rng(0)
    audio = sum(
        a * np.sin(2 * np.pi * (k * hz * n / 48_000 + rng.random())) for k, a in enumerate(partials, 1)
    )
    audio = (0.2 * audio + 1e-3 * rng.standard_normal(len(n))).astype(np.float32)
    period, voicing = pitch.track(audio)
    assert voicing[20:].min() > 0.8
    assert np.abs(1200 * np.log2(6000 / period[20:] / hz)).max() < 50


def test_noise_and_silence_hold_the_last_pitch():
    quiet = np.zeros(80 * HOP, np.float32)
    period, voicing = pitch.track(quiet)
    assert set(period.tolist()) == {float(pitch.FIRST_PERIOD)} and not voicing.any()
    note = phrase(20)
    period, voicing = pitch.track(np.concatenate([note, quiet]))
    assert len(set(period[-10:].tolist())) == 1 and not voicing[-4:].any()


# ---- the sound -------------------------------------------------------------------------------------------


def sounded_on(target, share, numbers, control, seed):
    bins = tables(share)
    said = Struct([("P", filled(bins.band)), ("P", filled(bins.upper)), ("I", seed), ("H", len(share))])
    table = filled(roots(target))
    state = np.zeros(SOURCE_BYTES, np.uint8)
    heard = []
    for k in range(numbers.shape[1]):
        out = filled(np.zeros(HOP, np.float32))
        row = filled(np.ascontiguousarray(numbers[:, k]))
        calls = [
            ("vk_source_sound", [out], 1, [control[2, k]]),
            ("vk_source_pulses", [], PULSES_PIECES, [control[0, k]]),
            ("vk_source_gains", [row], GAINS_PIECES, []),
            ("vk_source_frame", [], FRAME_PIECES, []),
        ]
        before = {"vk_source_sound": [], "vk_source_pulses": [table], "vk_source_gains": [said]}
        for name, more, pieces, floats in calls:
            for piece in range(pieces):
                given = [*before.get(name, [said, table]), filled(state), *more]
                given += [] if name == "vk_source_sound" else [piece]
                made = make_calls(target, [Call(name, given, [float(x) for x in floats])])[0]
                state = _state(made)
                if name == "vk_source_sound":
                    heard.append(made[-1])
    return np.concatenate(heard)


def _state(arrays):
    """The state among what a call left: the one array of bytes that long."""
    return next(a for a in arrays if a.dtype == np.uint8 and a.size > 4096)


@pytest.fixture(scope="module")
def sounded():
    rng = np.random.default_rng(8)
    hops = 7
    share = triangles(SOURCE_BANDS, 257)
    numbers = rng.normal(0, 2, (2 * SOURCE_BANDS + 1, hops)).astype(np.float32)
    numbers[:, 3] *= 20  # every clamp
    control = np.stack([np.linspace(-1.2, 1.7, hops), np.ones(hops), np.linspace(-2, 1.5, hops)]).astype(
        np.float32
    )
    control[0, 5] = 9.0
    return share, numbers, control, sounded_on("host", share, numbers, control, 5)


def test_the_sound_is_what_its_definition_says(sounded):
    share, numbers, control, found = sounded
    constants = source_filter.SourceConstants(share, 5)
    wanted = source_filter.sound(constants, numbers.astype(np.float64), control.astype(np.float64))
    assert np.abs(found - wanted).max() < 2e-4 * np.abs(wanted).max()


@pytest.mark.parametrize("target", OTHERS)
def test_the_sound_is_the_same_everywhere(target, sounded):
    share, numbers, control, found = sounded
    np.testing.assert_array_equal(sounded_on(target, share, numbers, control, 5), found)


def test_pulses_have_one_power_at_every_pitch():
    for octave in np.linspace(-3, 4, 15):
        made = source_filter.pulses(np.full(400, octave))
        assert np.mean(made**2) == pytest.approx(source_filter.PULSE_RMS**2, rel=0.05)


def test_loudness_is_what_is_told_whatever_the_gains():
    rng = np.random.default_rng(1)
    share = triangles(SOURCE_BANDS, 257)
    constants = source_filter.SourceConstants(share, 1)
    for told_db in (-60, -30, -6):
        loudness = 0.5 * (np.log(10 ** (told_db / 10)) + 8)
        numbers = rng.normal(0, 3, (2 * SOURCE_BANDS + 1, 1)).repeat(60, 1)
        numbers[-1] = 0
        control = np.stack([np.full(60, 0.3), np.ones(60), np.full(60, loudness)])
        made = source_filter.sound(constants, numbers, control)[10 * HOP :]
        assert 10 * np.log10(np.mean(made**2)) == pytest.approx(told_db, abs=6)
