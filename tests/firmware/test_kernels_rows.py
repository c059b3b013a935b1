"""Element-by-element kernels, movers and float edges: every target gives the contract's numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from firmware.compiler.judge.tables import FunctionTable, look_up
from firmware.kernelgen import m7_rows, tables
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls, struct_array

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]
DTYPES = {"s16": np.int16, "s8": np.int8}


def sat(values, element):
    info = np.iinfo(DTYPES[element])
    return np.clip(values, info.min, info.max).astype(DTYPES[element])


def extreme(rng, element, shape):
    """Random numbers of a type, its ends among them."""
    info = np.iinfo(DTYPES[element])
    values = rng.integers(info.min, info.max + 1, shape)
    ends = rng.choice([info.min, info.min + 1, -1, 0, 1, info.max], shape)
    return np.where(rng.random(shape) < 0.2, ends, values).astype(DTYPES[element])


def shift_round(values, shift):
    """Round half up, docs/design.md#arithmetic."""
    return (values.astype(object) + (1 << (shift - 1))) >> shift


def scaled(values, multiplier, shift):
    return (values.astype(object) * 2**shift * multiplier + 2**31) // 2**32


def interpolated(table, index, fraction):
    left, right = table[index].astype(np.int64), table[index + 1].astype(np.int64)
    return left + (((right - left) * fraction + 64) >> 7)


# Flat (steps equal lanes), gaps between rows, one row held over all frames; all remainders of eight lanes.
SHAPES = [(1, n, n, n) for n in range(1, 20)] + [
    (3, 6, 6, 6),
    (5, 8, 8, 8),
    (4, 10, 12, 16),
    (3, 9, 10, 12),
    (4, 16, 0, 16),
]


def row_cases(rng, element, operands, make):
    """Calls over all shapes; `make(rng)` → name, arguments before the operands, reference of the operands."""
    calls, wanted = [], []
    for frames, lanes, step, out_step in SHAPES:
        name, before, reference = make(rng)
        steps = [step] + [lanes if step == 0 else step] * (operands - 1)
        inputs = [extreme(rng, element, frames * s if s else lanes) for s in steps]
        rows = [
            np.tile(x, (frames, 1)) if s == 0 else x.reshape(frames, s)[:, :lanes]
            for x, s in zip(inputs, steps, strict=True)
        ]
        result = reference(*(r.astype(np.int64) for r in rows))
        canvas = extreme(rng, "s16", frames * out_step).astype(result.dtype)
        want = canvas.copy().reshape(frames, out_step)
        want[:, :lanes] = result
        arguments = list(before)
        for x, s in zip(inputs, steps, strict=True):
            arguments += [Array(x), s]
        calls.append(Call(name, [*arguments, Array(canvas), out_step, frames, lanes]))
        wanted.append(want.reshape(-1))
    return calls, wanted


def check(target, calls, wanted):
    for call, found, want in zip(calls, make_calls(target, calls), wanted, strict=True):
        np.testing.assert_array_equal(found[-1], want, err_msg=f"{call.name} {call.arguments[-1]} lanes")


def make_add(element):
    def make(rng):
        ma, mb = (int(v) for v in rng.integers(-32767, 32768, 2))
        shift = int(rng.integers(1, 17))
        return (
            f"vk_add_{element}",
            [Struct([("h", ma), ("h", mb), ("i", shift)])],
            lambda a, b: sat(shift_round(a * ma + b * mb, shift), element),
        )

    return make


def make_mean(rng):
    halves = Struct([("h", 1 << 14), ("h", 1 << 14), ("i", 15)])
    return "vk_add_s16", [halves], lambda a, b: ((a + b + 1) >> 1).astype(np.int16)


def make_mul(element):
    def make(rng):
        multiplier, shift = int(rng.integers(1 << 8, 1 << 24)), int(rng.integers(0, 2))
        return (
            f"vk_mul_{element}",
            [Struct([("i", multiplier), ("i", shift)])],
            lambda a, b: sat(scaled(np.minimum(a * b, 2**30 - 1), multiplier, shift), element),
        )

    return make


def make_rescale(name, element, out):
    def make(rng):
        multiplier, shift = int(rng.integers(1 << 20, 2**31 - 1)), int(rng.integers(0, 12))
        return (
            name,
            [Struct([("i", multiplier), ("i", shift)])],
            lambda a: sat(scaled(a, multiplier, shift), out),
        )

    return make


def make_table(element):
    def make(rng):
        if element == "s8":
            table = extreme(rng, "s8", 256)
            return "vk_table_s8", [Array(table)], lambda a: table[a + 128]
        table = extreme(rng, "s16", 513)
        u = lambda a: a + 32768  # noqa: E731
        return (
            "vk_table_s16",
            [Array(table, b"")],
            lambda a: interpolated(table, u(a) >> 7, u(a) & 127).astype(np.int16),
        )

    return make


def make_fine_table(rng):
    shift = int(rng.integers(0, 8))
    first, segments = int(rng.integers(-32768, 20000)), int(rng.integers(1, 200))
    knots = extreme(rng, "s16", segments + 1)
    table = FunctionTable(knots, first, shift, 0.0)
    fields = [("P", Array(np.append(knots, knots[-1]), b"")), ("i", first), ("i", table.span), ("i", shift)]
    return "vk_table_fine_s16", [Struct(fields)], lambda a: look_up(a, table).astype(np.int16)


def make_leaky(element):
    def make(rng):
        slope = int(rng.choice([0, 1, 328, 6554, 32767, *rng.integers(0, 32768, 2)]))
        return (
            f"vk_leaky_{element}",
            [slope],
            lambda a: sat(np.where(a >= 0, a, (a * slope + (1 << 14)) >> 15), element),
        )

    return make


def make_clip(element):
    def make(rng):
        low, high = sorted(int(v) for v in extreme(rng, element, 2))
        if rng.random() < 0.5:
            low, high = 0, np.iinfo(DTYPES[element]).max
        return f"vk_clip_{element}", [low, high], lambda a: np.clip(a, low, high).astype(DTYPES[element])

    return make


def make_bend(rng):
    """A leaky slope and a clamp; a quarter with a low enough bound has code of its own on the M7."""
    slope = int(rng.choice([8192, 8192, 8192, 0, 6554, 32767]))
    low, high = -int(rng.integers(0, 32769)), int(rng.integers(0, 32768))
    if rng.random() < 0.3:
        low, high = int(rng.choice([-8192, -8191, -32768])), 32767
    return (
        "vk_bend_s16",
        [slope, low, high],
        lambda a: np.clip(np.where(a >= 0, a, (a * slope + (1 << 14)) >> 15), low, high).astype(np.int16),
    )


def make_snake(rng):
    settings = [
        (int(r), int(x), int(s), int(q))
        for r, x, s, q in zip(
            rng.integers(0, 2**32, 32),
            rng.integers(-32767, 32768, 32),
            rng.integers(-32767, 32768, 32),
            rng.integers(1, 17, 32),
            strict=True,
        )
    ]
    table = tables.sin2_table()

    def reference(a):
        out = np.zeros(a.shape, np.int16)
        for c in range(a.shape[1]):
            rate, mx, ms, shift = settings[c]
            phase = (a[:, c] * rate) % 2**32
            s = interpolated(table, phase >> 23, (phase >> 16) & 127)
            out[:, c] = sat(shift_round(a[:, c] * mx + s * ms, shift), "s16")
        return out

    fields = [Struct([("I", r), ("h", x), ("h", s), ("i", q)]) for r, x, s, q in settings]
    return "vk_snake_s16", [struct_array(fields)], reference


KERNELS = {
    "add": ("s16", 2, make_add("s16")),
    "add int8": ("s8", 2, make_add("s8")),
    "mean": ("s16", 2, make_mean),
    "mul": ("s16", 2, make_mul("s16")),
    "mul int8": ("s8", 2, make_mul("s8")),
    "rescale": ("s16", 1, make_rescale("vk_rescale_s16", "s16", "s16")),
    "rescale int8": ("s8", 1, make_rescale("vk_rescale_s8", "s8", "s8")),
    "int16 to int8": ("s16", 1, make_rescale("vk_rescale_s16_s8", "s16", "s8")),
    "int8 to int16": ("s8", 1, make_rescale("vk_rescale_s8_s16", "s8", "s16")),
    "table": ("s16", 1, make_table("s16")),
    "table fine": ("s16", 1, make_fine_table),
    "table int8": ("s8", 1, make_table("s8")),
    "leaky": ("s16", 1, make_leaky("s16")),
    "leaky int8": ("s8", 1, make_leaky("s8")),
    "clip": ("s16", 1, make_clip("s16")),
    "clip int8": ("s8", 1, make_clip("s8")),
    "bend": ("s16", 1, make_bend),
    "snake": ("s16", 1, make_snake),
}


@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
def test_row_kernel_equals_numpy_over_all_remainders(target, kernel):
    element, operands, make = KERNELS[kernel]
    check(target, *row_cases(np.random.default_rng(len(kernel)), element, operands, make))


@pytest.mark.parametrize("target", TARGETS)
def test_every_int16_goes_through_table_and_leaky_relu_unharmed(target):
    rng = np.random.default_rng(3)
    x = np.arange(-32768, 32768).astype(np.int16)
    table = np.rint(32767 * np.tanh(np.arange(-256, 257) / 64)).astype(np.int16)
    wide = x.astype(np.int64)
    calls = [
        Call(
            "vk_table_s16", [Array(table, b""), Array(x), len(x), Array(np.zeros_like(x)), len(x), 1, len(x)]
        ),
        Call("vk_leaky_s16", [6554, Array(x), len(x), Array(np.zeros_like(x)), len(x), 1, len(x)]),
        Call(
            "vk_bend_s16",
            [8192, -8192, 8192, Array(x), len(x), Array(np.zeros_like(x)), len(x), 1, len(x)],
        ),
    ]
    wanted = [
        interpolated(table, (wide + 32768) >> 7, (wide + 32768) & 127),
        np.where(wide >= 0, wide, (wide * 6554 + (1 << 14)) >> 15),
        np.clip(np.where(wide >= 0, wide, (wide * 8192 + (1 << 14)) >> 15), -8192, 8192),
    ]
    del rng
    check(target, calls, wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_a_gain_is_held_over_frames(target):
    """Rows of 8 lanes and more, their remainders, one frame and many, with a shift and without."""
    rng = np.random.default_rng(14)
    calls, wanted = [], []
    for lanes in (1, 7, 8, 9, 16, 21):
        for frames, beside, shift in ((1, 0, 0), (2, 0, 0), (5, 3, 0), (48, 0, 0), (5, 0, 1)):
            pitch = lanes + beside
            a, gain = extreme(rng, "s16", frames * pitch), extreme(rng, "s16", lanes)
            canvas, multiplier = extreme(rng, "s16", frames * pitch), int(rng.integers(1 << 8, 1 << 22))
            product = a.reshape(frames, pitch)[:, :lanes].astype(np.int64) * gain
            want = canvas.reshape(frames, pitch).copy()
            product = np.minimum(product, 2**30 - 1)
            want[:, :lanes] = sat(scaled(product, multiplier, shift), "s16")
            struct = Struct([("i", multiplier), ("i", shift)])
            sizes = [pitch, frames, lanes]
            calls.append(Call("vk_mul_s16", [struct, Array(a), pitch, Array(gain), 0, Array(canvas), *sizes]))
            wanted.append(want.reshape(-1))
    check(target, calls, wanted)


@pytest.mark.parametrize("shift", [1, 12, 13, 14, 15, 16])
def test_sums_of_the_usual_shifts_on_the_m7(shift):
    rng = np.random.default_rng(shift)
    a, b = (extreme(rng, "s16", 101) for _ in range(2))
    ma, mb = (int(v) for v in rng.integers(-(2**shift), 2**shift, 2).clip(-32767, 32767))
    want = sat(shift_round(a.astype(np.int64) * ma + b.astype(np.int64) * mb, shift), "s16")
    struct = Struct([("h", ma), ("h", mb), ("i", shift)])
    out = Array(np.zeros(101, np.int16))
    check("m7", [Call("vk_add_s16", [struct, Array(a), 101, Array(b), 101, out, 101, 1, 101])], [want])


@pytest.mark.parametrize("target", TARGETS)
def test_a_kernel_may_write_over_its_input(target):
    rng = np.random.default_rng(4)
    x = extreme(rng, "s16", 45)
    both = Array(x)
    found = make_calls(target, [Call("vk_clip_s16", [0, 32767, both, 45, both, 45, 1, 45])])[0]
    np.testing.assert_array_equal(found[0], np.maximum(x, 0))


@pytest.mark.parametrize("target", TARGETS)
def test_gru_blend_ends_at_its_two_states(target):
    rng = np.random.default_rng(5)
    z, n, h = rng.integers(0, 32768, 400).astype(np.int16), extreme(rng, "s16", 400), extreme(rng, "s16", 400)
    wide = [v.astype(np.int64) for v in (z, n, h)]
    wanted = wide[1] + (((wide[2] - wide[1]) * wide[0] + (1 << 14)) >> 15)
    call = Call("vk_gru_blend_s16", [Array(z), Array(n), Array(h), Array(np.zeros(400, np.int16)), 400])
    check(target, [call], [wanted])
    f = [rng.normal(size=9).astype(np.float32) for _ in range(3)]
    call = Call("vk_gru_blend_f32", [*(Array(v, b"") for v in f), Array(np.zeros(9, np.float32), b""), 9])
    check(target, [call], [f[1] + (f[2] - f[1]) * f[0]])


@pytest.mark.parametrize("target", TARGETS)
def test_movers_move(target):
    rng = np.random.default_rng(6)
    x = extreme(rng, "s16", 60)
    calls = [
        Call("vk_slide", [Array(x), 24, 2 * 40]),
        Call("vk_slide", [Array(x[:7]), 2, 10]),
        Call("vk_copy_rows", [Array(x), 20, Array(np.zeros(36, np.int16)), 24, 3, 14]),
        Call("vk_copy_rows", [Array(x), 20, Array(np.zeros(30, np.int16)), 20, 3, 20]),
        Call("vk_repeat_rows", [Array(x), 20, Array(np.zeros(48, np.int16)), 16, 2, 10, 3]),
        Call("vk_zero", [Array(x), 50]),
        Call("vk_gather_s16", [Array(x), 1, 10, Array(np.zeros(60, np.int16)), 6, 1, 10, 6]),
        Call("vk_gather_s8", [Array(x.view(np.int8)), 1, 0, Array(np.zeros(40, np.int8)), 4, 1, 10, 4]),
        Call(
            "vk_gather_f32",
            [Array(x.astype(np.float32)), 10, 1, Array(np.zeros(60, np.float32)), 1, 6, 6, 10],
        ),
    ]
    slid, short = x.copy(), x[:7].copy()
    slid[:40] = x[12:52]
    short[:5] = x[1:6]
    copied = np.zeros((3, 12), np.int16)
    copied[:, :7] = x[:30].reshape(3, 10)[:, :7]
    repeated = np.zeros((6, 8), np.int16)
    repeated[:, :5] = np.repeat(x[:20].reshape(2, 10)[:, :5], 3, axis=0)
    zeroed = x.copy()
    zeroed[:25] = 0
    wanted = [
        slid,
        short,
        copied.reshape(-1),
        x[:30],
        repeated.reshape(-1),
        zeroed,
        x.reshape(6, 10).T.reshape(-1),
    ]
    wanted.append(np.repeat(x.view(np.int8)[:10], 4))
    wanted.append(x.reshape(6, 10).T.reshape(-1).astype(np.float32))
    check(target, calls, wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_quantize_rounds_half_to_even_saturates_and_takes_nan_for_silence(target):
    rng = np.random.default_rng(7)
    scale = np.float32(0.25)
    x = np.concatenate(
        [
            (np.arange(-40, 40) / 8).astype(np.float32),
            rng.normal(scale=4000, size=200).astype(np.float32),
            np.array(
                [np.inf, -np.inf, np.nan, 1e30, -1e30, 8191.75, 8191.9, -8192.0, -8192.2, -0.0], np.float32
            ),
        ]
    )
    calls, wanted = [], []
    for element, dtype in DTYPES.items():
        v = np.nan_to_num(np.rint(x / scale), nan=0.0, posinf=1e9, neginf=-1e9)
        wanted.append(sat(v, element).astype(dtype))
        y = Array(np.zeros(len(x), dtype))
        calls.append(
            Call(f"vk_quantize_f32_{element}", [Array(x, b""), 1, 1, y, 1, len(x), 1], [float(scale)])
        )
        planar = rng.normal(size=(3, 5)).astype(np.float32)
        wanted.append(sat(np.rint(planar.T / scale), element).reshape(-1))
        y = Array(np.zeros(15, dtype))
        calls.append(
            Call(f"vk_quantize_f32_{element}", [Array(planar, b""), 1, 5, y, 3, 5, 3], [float(scale)])
        )
        q = extreme(rng, element, (5, 4))
        wanted.append((q[:, :3].astype(np.float32) * np.float32(0.1)).T.copy())
        y = Array(np.zeros((3, 5), np.float32), b"")
        calls.append(Call(f"vk_dequantize_{element}_f32", [Array(q), 4, y, 1, 5, 5, 3], [0.1]))
    check(target, calls, wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_quantize_divides_as_numpy_does_beside_every_tie(target):
    """On the M7 most numbers are multiplied by 1 / scale: none may round otherwise than its quotient."""
    rng = np.random.default_rng(17)
    calls, wanted = [], []
    for scale in np.float32([0.0123, 3.1e-5, 7.0, 1 / 3, 1e-36, 3e38]):
        ties = (np.concatenate([np.arange(-40, 40), rng.integers(-33000, 33000, 300)]) + 0.5).astype(
            np.float32
        )
        with np.errstate(over="ignore"):
            near = [ties * scale]
            for end in (-np.inf, np.inf):
                near += [np.nextafter(near[0], np.float32(end))]
                near += [np.nextafter(near[-1], np.float32(end))]
            x = np.concatenate([*near, rng.normal(scale=300, size=500).astype(np.float32) * scale])
            v = np.nan_to_num(np.rint(x / scale), nan=0.0, posinf=1e9, neginf=-1e9)
        for element, dtype in DTYPES.items():
            wanted.append(sat(v, element).astype(dtype))
            y = Array(np.zeros(len(x), dtype))
            calls.append(
                Call(f"vk_quantize_f32_{element}", [Array(x, b""), 9, 1, y, 9, 1, len(x)], [float(scale)])
            )
    check(target, calls, wanted)


def float_inputs(rng):
    special = np.array(
        [0.0, -0.0, 1e-30, -1e-30, 1.0, -1.0, 50.0, -50.0, 87.0, -87.0, 100.0, -200.0, np.inf, -np.inf],
        np.float32,
    )
    return np.concatenate(
        [
            special,
            rng.normal(scale=3, size=1000).astype(np.float32),
            rng.uniform(-90, 90, 1000).astype(np.float32),
        ]
    )


def any_finite(rng, count):
    """Floats of every exponent, each as often, and those beside the place where the sine changes its way."""
    bits = (
        rng.integers(0, 0x7F800000, count, dtype=np.uint32) | rng.integers(0, 2, count, dtype=np.uint32) << 31
    )
    border = np.float32(8192) + np.arange(-8, 9, dtype=np.float32) / 1024
    return np.concatenate([bits.astype(np.uint32).view(np.float32), border, -border])


FUNCTIONS = {
    "vk_exp_f32": (np.exp, 3e-7, 2e-38),
    "vk_tanh_f32": (np.tanh, 0, 3e-7),
    "vk_sigmoid_f32": (lambda x: 1 / (1 + np.exp(-x)), 4e-7, 2e-38),
    "vk_softplus_f32": (lambda x: np.logaddexp(0, x), 4e-7, 2e-38),
    "vk_sin_f32": (np.sin, 0, 1e-6),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_float_functions_are_right_and_the_same_bits_everywhere(name):
    function, relative, absolute = FUNCTIONS[name]
    x = float_inputs(np.random.default_rng(8))
    if name == "vk_sin_f32":
        x = np.concatenate([x[np.isfinite(x)], any_finite(np.random.default_rng(9), 20_000)])
    host = None
    for target in TARGETS:
        call = Call(
            name, [Array(x, b""), len(x), Array(np.zeros(len(x), np.float32), b""), len(x), 1, len(x)]
        )
        try:
            found = make_calls(target, [call])[0][-1]
        except pytest.skip.Exception:
            continue
        if host is None:
            host = found
            with np.errstate(over="ignore", invalid="ignore"):
                wanted = function(x.astype(np.float64))
            wanted = np.where(wanted > 3.4028235e38, np.inf, wanted)
            np.testing.assert_allclose(found, wanted, rtol=relative, atol=absolute)
        # the emulated board flushes what is smaller than the smallest normal number, on the way, too
        normal = (np.abs(host) >= 1e-37) & (np.abs(x) >= 1.2e-38) | (target != "m7")
        np.testing.assert_array_equal(
            found[normal].view(np.uint32), host[normal].view(np.uint32), err_msg=target
        )


@pytest.mark.parametrize("target", TARGETS)
def test_the_sine_of_no_number_is_no_number(target):
    x = np.array([np.inf, -np.inf, np.nan, 1.0], np.float32)
    call = Call("vk_sin_f32", [Array(x, b""), 4, Array(np.zeros(4, np.float32), b""), 4, 1, 4])
    found = make_calls(target, [call])[0][-1]
    assert np.isnan(found).tolist() == [True, True, True, False]


@pytest.mark.parametrize("target", TARGETS)
def test_float_rows_equal_numpy(target):
    rng = np.random.default_rng(9)
    a, b, row = (rng.normal(size=s).astype(np.float32) for s in ((4, 6), (4, 6), (6,)))
    zeros = lambda: Array(np.zeros((4, 6), np.float32), b"")  # noqa: E731
    arrays = [Array(v, b"") for v in (a, b, row)]
    calls, wanted = [], []
    for name, f in (("add", np.add), ("sub", np.subtract), ("mul", np.multiply)):
        calls += [Call(f"vk_{name}_f32", [arrays[0], 6, arrays[1], 6, zeros(), 6, 4, 6])]
        calls += [Call(f"vk_{name}_f32", [arrays[0], 6, arrays[2], 0, zeros(), 6, 4, 6])]
        wanted += [f(a, b), f(a, row)]
    gain, offset = rng.normal(size=6).astype(np.float32), rng.normal(size=6).astype(np.float32)
    calls.append(Call("vk_scale_f32", [Array(gain, b""), Array(offset, b""), arrays[0], 6, zeros(), 6, 4, 6]))
    wanted.append(a * gain + offset)
    calls.append(Call("vk_leaky_f32", [arrays[0], 6, zeros(), 6, 4, 6], [0.2]))
    wanted.append(np.where(a >= 0, a, a * np.float32(0.2)))
    calls.append(Call("vk_clip_f32", [arrays[0], 6, zeros(), 6, 4, 6], [-0.5, 0.25]))
    wanted.append(np.clip(a, np.float32(-0.5), np.float32(0.25)))
    check(target, calls, wanted)
    rate = rng.uniform(0.2, 3, 6).astype(np.float32)
    call = Call("vk_snake_f32", [Array(rate, b""), Array(1 / rate, b""), arrays[0], 6, zeros(), 6, 4, 6])
    found = make_calls(target, [call])[0][-1]
    np.testing.assert_allclose(found, a + np.sin(rate * a.astype(np.float64)) ** 2 / rate, atol=3e-6)


def test_the_committed_tables_and_assembly_are_what_the_generators_write():
    assert (tables.KERNELS / "sin2_table.c").read_text() == tables.sin2_source()
    assert m7_rows.OUT.read_text() == m7_rows.source()
    assert math.isclose(tables.sin2_table()[256], 32767)
