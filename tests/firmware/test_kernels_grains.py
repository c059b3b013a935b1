"""A grain: the engine's reading of a piece is its twin's, the same on every target and however it is cut."""

from __future__ import annotations

import numpy as np
import pytest

from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
SIZE, ONE = 4096, 1 << 20
F32 = np.float32


def piece(seed=0):
    sound = np.random.default_rng(seed).integers(-32_768, 32_768, SIZE + 8).astype(np.int16)
    sound[SIZE:] = sound[SIZE - 1]
    return sound


def twin(sound, place, speed, age, pace, left, right, count):
    """The definition of engine/dsp/grains.h, in float32 one operation after the other."""
    n = np.arange(count, dtype=np.uint64)
    places, ages = place + n * speed, age + n * pace
    on = (places < 1 << 32) & (ages < 1 << 32)
    places, ages = places[on], ages[on]
    at = (places >> 20).astype(int)
    a, way = sound[at].astype(F32), (sound[at + 1].astype(int) - sound[at]).astype(F32)
    between = (places % ONE).astype(F32) * F32(1 / ONE)
    u = (ages.astype(np.int64) - (1 << 31)).astype(F32) * F32(2.0**-31)
    hill = F32(1) - u * u
    y = (a + between * way) * (hill * hill)
    heard = np.zeros((2, count), F32)
    heard[0, on], heard[1, on] = F32(left / 8192) * y, F32(right / 8192) * y
    return heard


def played(target, sound, asked, parts):
    place, speed, age, pace, left, right = asked
    memory, out = Array(sound, b""), []
    for count in parts:
        fields = [
            ("P", memory),
            ("I", place),
            ("I", speed),
            ("I", age),
            ("I", pace),
            ("f", left),
            ("f", right),
        ]
        rows = [Array(np.zeros(max(count, 1), F32), b"") for _ in range(2)]
        made = make_calls(target, [Call("vk_grain_add", [Struct(fields), *rows, count])])[0]
        out.append(np.stack(made[-2:])[:, :count])
        place, age = place + count * speed, age + count * pace
    return np.concatenate(out, 1)


ASKED = [
    (600 * ONE, ONE, 0, 1_500_000, 0.5, 0.25),
    (600 * ONE + 12_345, int(0.7071 * ONE), 0, 4_000_000, 1.0, 0.0),
    (4000 * ONE, 3 * ONE + 77, 1 << 30, 900_000, 0.3, 0.9),
    (0, 0, 0, 2_000_000, 1.0, 1.0),
]


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("asked", ASKED)
def test_a_grain_is_its_definition_to_the_bit(target, asked):
    np.testing.assert_array_equal(played(target, piece(), asked, [96]), twin(piece(), *asked, 96))


def test_cutting_a_grain_changes_nothing():
    whole = played("host", piece(1), ASKED[1], [48])
    np.testing.assert_array_equal(played("host", piece(1), ASKED[1], [1, 16, 7, 24]), whole)


def test_a_grain_swells_and_fades_and_reads_at_its_speed():
    """A sine of 100 samples a period, read a fifth faster: judged by numpy's FFT."""
    sound = (8000 * np.sin(2 * np.pi * np.arange(SIZE + 8) / 100)).astype(np.int16)
    made = played("host", sound, (100 * ONE, ONE * 6 // 5, 0, (1 << 32) // 2400, 1.0, 1.0), [2400])[0]
    assert np.abs(made[:24]).max() < 0.01 and np.abs(made[-24:]).max() < 0.01
    assert np.abs(made[1150:1250]).max() == pytest.approx(8000 / 8192, rel=0.01)
    spectrum = np.abs(np.fft.rfft(made, 1 << 18))
    cents = 1200 * np.log2(np.argmax(spectrum) / (1 << 18) * 100 / 1.2)
    assert abs(cents) < 1
