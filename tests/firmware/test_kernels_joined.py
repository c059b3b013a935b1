"""Joined sums: every target gives numpy's integers over all remainders of taps, channels and frames."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.compiler.judge.arithmetic import requantize
from firmware.compiler.judge.tables import FunctionTable, function_table, look_up
from firmware.kernelgen.m7_joined import Shape
from firmware.kernelgen.packing import joined_curve, pack_joined_lanes, pack_joined_stream
from tests.firmware.kernel_runner import Array, Call, Into, Struct, make_calls
from tests.firmware.m7_runner import joined_code, joined_shapes

TARGETS = ["host", "host-asan", "m7", "aarch64", "aarch64-dotprod", "wasm"]
PLAIN = function_table(np.tanh, (4 / 32767, 1 / 32767), (-32768, 32767), (-32768, 32767))
FINE = function_table(np.tanh, (20 / 32767, 1 / 32767), (-32768, 32767), (-32768, 32767))
FLAT = function_table(np.tanh, (5.0 / 32767, 1 / 32767), (-32768, 32767), (-32768, 32767))
STEEP = FunctionTable(np.array([-30000, 0, 2000, 5, 32767], np.int16), -100, 6, 0.0)
CURVES = {0: None, 1: PLAIN, 2: FINE, 3: STEEP, 4: FLAT}


def test_the_tables_that_are_tested_are_of_each_kind():
    assert PLAIN.is_plain and FLAT.is_plain and not FINE.is_plain and FINE.shift > 0
    bits = {c and joined_curve(c.knots, c.first, c.shift)[2] for c in CURVES.values()}
    assert bits == {None, 9, 10, 3}  # flat ends need no line more; of what is not flat 512 lines become 1,024


def curve_of(shape):
    """The table that a shape was made for."""
    for table in CURVES.values():
        laid = table and joined_curve(table.knots, table.first, table.shift)
        if (laid[2], table.shift) == (shape.bits, shape.shift) if table else shape.bits == 0:
            return table
    raise AssertionError(shape)


def by_steps(shape, weights):
    """Weights as the M7 has them: of a tap along the outputs, the two of each pair."""
    parts, rows = [], np.arange(len(weights))
    for tap, pitch in enumerate(shape.pitches):
        at = sum(shape.pitches[:tap])
        part = weights[:, at : at + pitch]
        if tap in shape.along:
            pair = np.zeros((len(weights), 2), np.int64)
            pair[rows, rows % 2] = part[rows, rows]
            part = pair
        parts.append(part)
    return np.concatenate(parts, axis=1)


def joined_case(rng, target, shape, out, frames):
    """A call, and what it must leave in its output."""
    table, columns = curve_of(shape), sum(shape.pitches)
    weights = rng.integers(-127, 128, (out, columns))
    last = shape.pitches[-1]
    room = max(1, ((1 << 15) - 127 * (columns - last)) // (127 * last))
    weights[:, -last:] *= int(rng.integers(1, room + 1))  # int16, as of a residual
    for tap in shape.along:  # each output has its own channel alone
        at = sum(shape.pitches[:tap])
        weights[:, at : at + shape.pitches[tap]] = 300 * np.eye(out, shape.pitches[tap], dtype=np.int64)
    shift = int(rng.integers(0, 2))
    bias = rng.integers(-(2**12), 2**12, out)
    typical = np.abs(weights).max() * 20000 * np.sqrt(columns)
    multiplier = np.rint(rng.uniform(0.2, 1.5, out) * 32767 / typical * 2.0 ** (32 - shift)).astype(np.int64)
    multiplier = np.clip(multiplier, 1, 2**31 - 1)
    signals, pointers, parts = [], [], []
    for pitch in shape.pitches:
        start = int(rng.integers(0, 4)) * 2  # a tap may begin anywhere
        signal = rng.integers(-32768, 32768, start + frames * pitch).astype(np.int16)
        parts.append(signal[start:].reshape(frames, pitch).astype(np.int64))
        signals.append(Array(signal))
        pointers.append(start)
    acc = np.concatenate(parts, axis=1) @ weights.T + bias
    assert np.abs(acc).max() < 2**31 >> shift
    wanted = requantize(acc, multiplier, shift, -32768, 32767, axis=1)
    if table is not None:
        wanted = look_up(wanted, table)
    before = rng.integers(-32768, 32768, (frames, shape.out_pitch)).astype(np.int16)
    y = Array(before.copy(), b"")
    places = Struct([("P", Into(s, 2 * p)) for s, p in zip(signals, pointers, strict=True)])
    if target == "m7":
        laid = joined_curve(table.knots, table.first, table.shift) if table is not None else None
        words, first = (laid[0].reshape(-1), laid[1]) if laid else (np.zeros(1, np.int32), 0)
        stream = pack_joined_stream(by_steps(shape, weights), bias, multiplier, shift)
        fields = [("P", Array(stream, b"")), ("I", joined_code(shape)), ("P", Array(words, b""))]
        layer = Struct([*fields, ("i", -first), ("I", (out + 1) // 2)])
    else:
        rows = np.stack([bias, multiplier, np.full(out, shift)], axis=1).astype(np.int32)
        fields = [("P", Array(pack_joined_lanes(weights), b"")), ("P", Array(rows, b""))]
        if table is None:
            fields.append(("Z", 0))
        else:
            knots = np.append(table.knots, table.knots[-1]).astype(np.int16)
            numbers = [("i", n) for n in (table.first, table.span, table.shift)]
            fields.append(("P", Struct([("P", Array(knots, b"")), *numbers])))
        pitches = Array(np.array(shape.pitches, np.uint16), b"")
        layer = Struct([*fields, ("P", pitches), ("H", len(shape.pitches)), ("H", out)])
    return Call("vk_joined_s16", [layer, places, y, shape.out_pitch, frames]), wanted.astype(np.int16)


def cases(target, name=None):
    rng = np.random.default_rng(21)
    for shape in joined_shapes():
        outs = {shape.out_pitch, shape.out_pitch - 1}
        for out in outs:
            for frames in (1, 2, 3, 4, 5, 7, 8, 9):
                call, wanted = joined_case(rng, target, shape, out, frames)
                yield Call(name or call.name, call.arguments), wanted


def check(target, made):
    calls = [call for call, _ in made]
    for (call, wanted), found in zip(made, make_calls(target, calls), strict=True):
        after = next(a for a in found if a.shape == (wanted.shape[0], call.arguments[3]))
        np.testing.assert_array_equal(after[:, : wanted.shape[1]], wanted, err_msg=call.name)


@pytest.mark.parametrize("target", TARGETS)
def test_joined_sums_equal_numpy_over_all_remainders(target):
    check(target, list(cases(target)))


@pytest.mark.parametrize("target", ["host", "host-asan", "aarch64", "wasm"])
def test_the_plain_form_equals_numpy_too(target):
    check(target, list(cases(target, "vk_joined_s16_plain")))


@pytest.mark.parametrize("table", [PLAIN, FINE, STEEP, FLAT], ids=["plain", "fine", "steep", "flat"])
def test_a_table_for_the_m7_says_what_the_plain_one_says_of_every_sum(table):
    """Of sums beyond int16 too: only the line is clamped, to the first or the last, and no input."""
    words, first, bits = joined_curve(table.knots, table.first, table.shift)
    y = np.arange(-80_000, 80_000)
    u = y - first
    slope, offset = words[np.clip(u >> table.shift, 0, (1 << bits) - 1)].astype(np.int64).T
    made = ((slope * u + offset + 2**31) % 2**32 - 2**31) >> 16
    np.testing.assert_array_equal(made, look_up(np.clip(y, -32768, 32767), table))


def test_a_table_that_reaches_beyond_int16_is_left_alone():
    assert joined_curve(np.zeros(5, np.int16), 32700, 6) is None
    assert joined_curve(np.zeros(5, np.int16), -32800, 6) is None
    assert joined_curve(np.zeros(5, np.int16), 0, 0) is None


def test_a_shape_is_named_by_what_it_does():
    assert Shape((4, 4, 4, 2), 4).name == "joined_4x3_2x1_to_4"
    assert Shape((8, 8), 8, 16, 7).name == "joined_8x2_to_8_table16_7"
    assert Shape((8, 8), 8, along=(1,)).name == "joined_8x2_to_8_along1"
