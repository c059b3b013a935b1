"""Modes and banded noise: the same bits on every target as in numpy, and near their closed form."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.compiler.ops import hit
from firmware.kernelgen import bands as band_tables
from tests.firmware.hit_twin import FRAME, Bands, Modes
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
GLIDING, STATIC = 8, 12
COUNT = GLIDING + STATIC
ANCHORS = np.concatenate([np.geomspace(30, 900, GLIDING), np.geomspace(250, 14_000, STATIC)])
SPREADS = np.full(COUNT, 0.2, np.float32)


def numbers(seed):
    """What a network might say of the modes, some of them off, and of their glide."""
    rng = np.random.default_rng(seed)
    raw = rng.normal(size=(5, COUNT)).astype(np.float32) * 1.5
    raw[2] -= 3
    raw[2, rng.random(COUNT) < 0.2] = -11.8
    raw[0, 0], raw[1, 0] = 60.0, -60.0
    return raw.ravel(), rng.normal(size=2).astype(np.float32)


def slots():
    cycles = Array((ANCHORS / 48_000).astype(np.float32), b"")
    return Struct([("P", cycles), ("P", Array(SPREADS, b"")), ("H", COUNT), ("H", GLIDING)])


def twin(raw, glide):
    modes = Modes((ANCHORS / 48_000).astype(np.float32), SPREADS, GLIDING)
    modes.decode(raw)
    modes.decode_glide(glide)
    return modes


@pytest.mark.parametrize("target", TARGETS)
def test_what_numbers_mean_is_the_same_on_every_target(target):
    raw, glide = numbers(1)
    made = Array(np.zeros((COUNT, 10), np.float32), b"")
    calls = [
        Call("vk_modes_decode", [slots(), Array(raw, b""), made, 0, 8]),
        Call("vk_modes_decode", [slots(), Array(raw, b""), made, 8, COUNT - 8]),
        Call("vk_glide_decode", [Array(glide, b""), Array(np.zeros(2, np.float32), b"")]),
    ]
    first, second, found = make_calls(target, calls)
    wanted = twin(raw, glide)
    np.testing.assert_array_equal(first[3][:8], wanted.told[:8])
    np.testing.assert_array_equal(second[3][8:], wanted.told[8:])
    np.testing.assert_array_equal(found[1], wanted.glide)


@pytest.mark.parametrize("target", TARGETS)
def test_modes_are_the_twins_while_what_is_asked_changes(target):
    asked = [twin(*numbers(seed)) for seed in (1, 1, 1, 2, 2, 3, 3, 3)]
    player = twin(*numbers(1))
    state = Array(player.start().copy(), b"")
    for number, told in enumerate(asked):
        player.told, player.glide = told.told, told.glide
        out = Array(np.ones(FRAME, np.float32), b"")
        call = Call(
            "vk_modes_frame",
            [slots(), Array(told.told, b""), Array(told.glide, b""), state, number, out],
        )
        found = make_calls(target, [call])[0]
        state = Array(found[-2].copy(), b"")
        wanted = np.ones(FRAME, np.float32)
        # added to what is there, four modes after the other
        player_out = player.frame(number, wanted)
        np.testing.assert_array_equal(found[-2], player.state)
        np.testing.assert_array_equal(found[-1], player_out)


def test_the_twin_at_rest_is_the_closed_form():
    raw, glide = numbers(5)
    constants = hit.HitConstants(
        ANCHORS.astype(np.float32), SPREADS, np.zeros((4, 128)), np.arange(2), np.ones(1), GLIDING, 1
    )
    player = twin(raw, glide)
    player.start()
    frames = 400
    made = np.concatenate([player.frame(n, np.zeros(FRAME, np.float32)) for n in range(frames)])
    wanted = hit.tones(constants, raw.astype(np.float64), glide.astype(np.float64), frames * FRAME)
    assert np.abs(made - wanted).max() < 3e-3 * np.abs(wanted).max()
    early = slice(0, 4800)
    error = np.sqrt(np.mean((made - wanted)[early] ** 2)) / np.sqrt(np.mean(wanted[early] ** 2))
    assert error < 1e-3


def test_a_change_makes_no_step_and_no_other_phase():
    """An amplitude a hundred times larger comes in over frames; the wave goes on where it was."""
    raw, glide = numbers(5)
    raw = raw.reshape(5, COUNT)
    raw[2], raw[1] = -11.8, 0.0
    raw[2, 12] = -4.0
    player = twin(raw, glide)
    player.start()
    made = [player.frame(n, np.zeros(FRAME, np.float32)) for n in range(20)]
    raw[2, 12] = 0.0
    player.told = twin(raw, glide).told
    made += [player.frame(n, np.zeros(FRAME, np.float32)) for n in range(20, 40)]
    sound = np.concatenate(made)
    radians = 2 * np.pi * player.told[12, 0]
    assert np.abs(np.diff(sound)).max() < 1.2 * radians * np.abs(sound).max()
    assert np.abs(sound[21 * FRAME :]).max() > 20 * np.abs(sound[: 20 * FRAME]).max()


BANDS = 8


def filters():
    """Bands as windowed cosines: symmetric, 128 taps."""
    n = np.arange(128) - 63.5
    hz = np.geomspace(300, 16_000, BANDS)
    return np.hanning(128) * np.cos(2 * np.pi * hz[:, None] / 48_000 * n) / 64


def bank():
    tables = band_tables.tables(filters())
    half, peaks = Array(tables.half, bytes(12)), Array(tables.peak_logs, b"")
    return Struct([("P", half), ("P", peaks), ("H", BANDS)])


def gains(rng, part):
    before, after = rng.normal(-4, 3, (2, BANDS)).astype(np.float32)
    return before, after, np.float32(part)


def as_struct(g):
    return Struct([("P", Array(g[0], b"")), ("P", Array(g[1], b"")), ("f", float(g[2]))])


STATE_BYTES = 2 * (2 * 128 + 4) + 8 + 2 * 2 * (128 + FRAME + 2)


@pytest.mark.parametrize("target", TARGETS)
def test_banded_noise_is_the_twins(target):
    rng = np.random.default_rng(4)
    player = Bands(filters())
    key = 0xFFFFFFF0  # the count wraps
    steps = [gains(rng, 0.0), *(gains(rng, p) for p in (1.0, 0.25, 0.5))]
    silent = (np.full(BANDS, -12, np.float32), np.full(BANDS, -12, np.float32), np.float32(0))
    steps += [silent, silent, gains(rng, 1.0)]
    player.start(key, steps[0])
    state = Array(np.zeros(STATE_BYTES, np.uint8), b"")
    filter_ = Array(np.zeros(2 * 128 + 4, np.uint8), b"")
    found = make_calls(target, [Call("vk_bands_filter", [bank(), as_struct(steps[0]), filter_])])[0]
    first = Array(found[-1].copy(), b"")
    found = make_calls(target, [Call("vk_bands_start", [state, key, first])])[0]
    heard = found[0]
    for step in steps[1:]:
        state, out = Array(heard.copy(), b""), Array(np.full(FRAME, 0.5, np.float32), b"")
        found = make_calls(target, [Call("vk_bands_frame", [bank(), state, as_struct(step), out])])[0]
        heard = found[2]
        wanted = np.float32(0.5) + player.frame(step)
        np.testing.assert_array_equal(found[-1], wanted)


def test_banded_noise_is_near_its_definition():
    rng = np.random.default_rng(6)
    frames = 40
    logs = rng.normal(-3, 1.5, (frames + 1, BANDS)).astype(np.float32)
    constants = hit.HitConstants(
        np.zeros(4), np.zeros(4), filters(), np.arange(frames + 1), np.ones(1), 0, seed=7
    )
    wanted = hit.banded_noise(constants, logs.astype(np.float64).ravel(), frames * FRAME, hit=3)
    player = Bands(filters())
    start = hit.hash32(np.array([(7 * hit.GOLDEN + 3) % 2**32]))[0]
    player.start(int(start), (logs[0], logs[0], 0.0))
    made = np.concatenate([player.frame((logs[k], logs[k + 1], 1.0)) for k in range(frames)])
    error = np.sqrt(np.mean((made - wanted) ** 2)) / np.sqrt(np.mean(wanted**2))
    assert error < 3e-4  # 70 dB


def test_hits_have_noises_of_their_own():
    one, other = (hit.hit_noise(1, number, 4800, 0) for number in (0, 1))
    assert abs(np.corrcoef(one, other)[0, 1]) < 0.05
    assert abs(one.mean()) < 0.02 and abs(one.std() - 1 / np.sqrt(3)) < 0.02
