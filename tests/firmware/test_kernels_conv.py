"""Convolutions: every target gives numpy's integers over all remainders of channels, taps and frames."""

from __future__ import annotations

import numpy as np
import pytest

from firmware import toolchain
from firmware.kernelgen import m7_conv, m7_depthwise
from firmware.kernelgen.packing import (
    is_short,
    pack_conv,
    pack_conv_f32,
    pack_dense,
    pack_depthwise,
    pack_depthwise_f32,
    pack_short,
    pack_transposed,
    pitch_of,
    short_bytes,
)
from firmware.ports.disting_nt import object_file
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls
from tests.firmware.m7_runner import SHORT_SHAPES, short_code

TARGETS = ["host", "host-asan", "m7", "aarch64", "aarch64-dotprod", "wasm"]


def requantized(acc, multiplier, shift, low, high):
    """docs/design.md#arithmetic in Python's unbounded integers."""
    exact = acc.astype(object) * (2 ** shift.astype(object)) * multiplier.astype(object)
    return np.clip((exact + 2**31) // 2**32, low, high)


def convolved(x, weights, bias, dilation, stride, groups, frames):
    """Sums int64 [frames, out] over a window x [any, channels] whose first row is the oldest of frame 0."""
    out, per_group, taps = weights.shape
    acc = np.tile(bias.astype(np.int64), (frames, 1))
    for t in range(frames):
        for k in range(taps):
            row = x[t * stride + k * dilation].astype(np.int64).reshape(groups, per_group)
            w = weights[:, :, k].astype(np.int64).reshape(groups, out // groups, per_group)
            acc[t] += np.einsum("goc,gc->go", w, row).reshape(-1)
    return acc


def random_layer(rng, out, per_group, taps, dtype, wild=False, largest=127):
    """Weights, bias and requantization whose outputs fill the range and now and then leave it."""
    weights = rng.integers(-largest, largest + 1, (out, per_group, taps), dtype=np.int64).astype(np.int8)
    top = 32767 if dtype == np.int16 else 127
    bias = rng.integers(-(2**16), 2**16, out).astype(np.int32)
    typical = 73 * top * 0.58 * np.sqrt(per_group * taps)
    m = rng.uniform(0.2, 1.5, out) * top / typical / 2
    shift = rng.integers(0, 3, out) if wild else np.zeros(out, np.int64)
    worst = np.abs(weights.astype(np.int64)).sum((1, 2)) * (top + 1) + np.abs(bias)
    shift = np.where(worst * 2**shift < 2**31, shift, 0)
    assert np.all(worst * 2**shift < 2**31)
    multiplier = np.minimum(np.rint(m * 2.0 ** (32 - shift)), 2**31 - 1).astype(np.int64)
    return weights, bias, multiplier, shift


def layer_struct(packed):
    second = Array(packed.requant if packed.requant is not None else packed.bias, b"")
    fields = [("P", Array(packed.weights, b"\0" * 16)), ("P", second)]
    fields += [("I", packed.frame_step), ("I", packed.run_step)]
    return Struct(
        fields
        + [("H", n) for n in (packed.runs, packed.run, packed.groups, packed.group_in, packed.channels, 0)]
    )


def conv_case(
    rng,
    target,
    name,
    *,
    out,
    channels,
    taps,
    frames,
    dilation=1,
    stride=1,
    groups=1,
    part=None,
    wild=False,
    largest=127,
):
    """A call of an integer convolution and what it must leave in its output buffer."""
    dtype = np.int8 if "w8a8" in name else np.int16
    element = "s8" if dtype == np.int8 else "s16"
    weights, bias, multiplier, shift = random_layer(rng, out, channels // groups, taps, dtype, wild, largest)
    pitch, out_pitch = pitch_of(channels, element), pitch_of(out, element)
    order = "byte8" if dtype == np.int8 else toolchain.TARGETS[target].packing
    packed = pack_conv(
        weights,
        bias,
        multiplier,
        shift,
        packing=order,
        in_pitch=pitch,
        dilation=dilation,
        stride=stride,
        groups=groups,
    )
    info = np.iinfo(dtype)
    window = rng.integers(info.min, info.max + 1, ((frames - 1) * stride + packed.history + 1, pitch)).astype(
        dtype
    )
    acc = convolved(window[:, :channels], weights, bias, dilation, stride, groups, frames)
    wanted = requantized(acc, multiplier, shift, info.min, info.max).astype(dtype)
    first, count = part or (0, groups if groups > 1 else out)
    if groups > 1:
        low, high = first * out // groups, (first + count) * out // groups
    else:
        low, high = first, first + count
    # a frame's row is wider than the layer, and what lies beside its slice must stay
    step = out_pitch + (0 if part is None else 4)
    before = rng.integers(info.min, info.max + 1, (frames, step)).astype(dtype)
    layer = layer_struct(packed)
    if name == "short":
        short = pack_short(weights, bias, multiplier, shift, in_pitch=pitch, dilation=dilation)
        name, code = "vk_conv_short", short_code(*short.shape)
        fields = [code, short.run_bytes, short_bytes(*short.shape)]
        layer = Struct([("P", Array(short.stream, b"")), *(("I", n) for n in fields)])
    arguments = [layer, Array(window), Array(before), step, frames, first, count]
    pads = 2 if dtype == np.int16 else 4
    untouched = np.ones((frames, step), bool)
    untouched[:, low : -(-high // pads) * pads] = False
    return Call(name, arguments), before, wanted[:, low:high], (low, high), untouched


def check(target, cases):
    results = make_calls(target, [case[0] for case in cases])
    for (call, before, wanted, (low, high), untouched), found in zip(cases, results, strict=True):
        after = found[-1]
        assert after.shape == before.shape
        np.testing.assert_array_equal(after[:, low:high], wanted, err_msg=call.name)
        np.testing.assert_array_equal(after[untouched], before[untouched], err_msg="wrote beside its slice")


def shapes(rng, count):
    """Shapes that meet every remainder: 1 to 13 channels, odd and even taps, 1 to 7 frames."""
    for _ in range(count):
        dilation = int(rng.choice([1, 1, 2, 3]))
        yield {
            "out": int(rng.integers(1, 14)),
            "channels": int(rng.integers(1, 14)),
            "taps": int(rng.integers(1, 8)),
            "frames": int(rng.integers(1, 8)),
            "dilation": dilation,
            "stride": int(rng.choice([1, 1, 2, 3])),
        }


KERNELS = ["vk_conv_w8a16", "vk_conv_w8a16_plain", "vk_conv_w8a16_wide", "vk_conv_w8a8", "vk_conv_w8a8_plain"]


@pytest.mark.parametrize("name", KERNELS)
@pytest.mark.parametrize("target", TARGETS)
def test_integer_convolution_equals_numpy_over_all_remainders(target, name):
    rng = np.random.default_rng(1)
    cases = [conv_case(rng, target, name, wild=i % 2 == 0, **s) for i, s in enumerate(shapes(rng, 120))]
    for frames in range(1, 6):
        cases.append(conv_case(rng, target, name, out=24, channels=16, taps=3, frames=frames))
    check(target, cases)


@pytest.mark.parametrize("target", TARGETS)
def test_every_remainder_of_run_and_channels_once(target):
    rng = np.random.default_rng(2)
    cases = [
        conv_case(rng, target, "vk_conv_w8a16", out=out, channels=channels, taps=1, frames=frames)
        for out in range(1, 10)
        for channels in range(1, 18)
        for frames in (1, 2)
    ]
    check(target, cases)


@pytest.mark.parametrize("target", TARGETS)
def test_blocks_of_sixteen_channels_and_eight_frames_and_what_is_left(target):
    rng = np.random.default_rng(12)
    cases = [
        conv_case(
            rng, target, "vk_conv_w8a16", out=out, channels=5, taps=3, frames=frames, wild=True, **sizes
        )
        for out in (9, 15, 16, 17, 24, 33)
        for frames in (8, 11, 16)
        for sizes in ({"dilation": 3}, {"stride": 2})
    ]
    grouped = {"out": 36, "channels": 8, "taps": 2, "groups": 2, "frames": 9}
    cases.append(conv_case(rng, target, "vk_conv_w8a16", **grouped))
    cases.append(conv_case(rng, target, "vk_conv_w8a16", out=40, channels=6, taps=1, frames=9, part=(8, 24)))
    check(target, cases)


@pytest.mark.parametrize("target", TARGETS)
def test_layers_of_few_channels_over_many_frames(target):
    """Frames lie beside channels in a wide register; what its one load does not hold goes another way."""
    rng = np.random.default_rng(19)
    cases = [
        conv_case(
            rng,
            target,
            "vk_conv_w8a16",
            out=out,
            channels=channels,
            taps=taps,
            frames=frames,
            wild=True,
            **sizes,
        )
        for out in (1, 2, 3, 4)
        for channels in (1, 2, 3, 4, 5, 8, 10)
        for taps, sizes in ((1, {}), (3, {}), (3, {"dilation": 5}), (2, {"stride": 2}), (9, {"dilation": 2}))
        for frames in (5, 16, 19)
    ]
    check(target, cases)


def test_windows_up_to_and_beyond_the_room_for_their_copies():
    """The M7 copies windows of three frames, and of several runs: what is too long goes another way."""
    rng = np.random.default_rng(14)
    cases = []
    for channels, dilation in (
        (170, 1),
        (172, 1),
        (170, 2),
        (172, 2),
        (256, 2),
        (260, 2),
        (512, 2),
        (516, 2),
    ):
        for frames in (1, 2, 3, 4):
            sizes = {"channels": channels, "taps": 3, "dilation": dilation, "frames": frames}
            cases.append(conv_case(rng, "m7", "vk_conv_w8a16", out=6, wild=True, largest=31, **sizes))
    for channels in range(2, 100, 4):  # every number of units over whole turns of the loops
        for frames in (1, 2, 3):
            cases.append(
                conv_case(rng, "m7", "vk_conv_w8a16", out=7, channels=channels, taps=1, frames=frames)
            )
    check("m7", cases)


@pytest.mark.parametrize("target", TARGETS)
def test_layers_of_few_taps_over_many_frames(target):
    """Shapes that the compiler has straight-line code for on the M7, here in loops, and their neighbours."""
    rng = np.random.default_rng(11)
    cases = []
    for out in (1, 2, 3, 4, 5, 8):
        for channels, taps, dilation in (
            *((c, 1, 1) for c in (1, 2, 3, 5, 7, 9, 12, 13)),
            *((c, k, d) for c in (1, 2, 4, 5) for k in (2, 3, 4) for d in (1, 3)),
        ):
            sizes = {"channels": channels, "taps": taps, "dilation": dilation}
            frames, stride = int(rng.integers(4, 10)), int(rng.choice([1, 1, 2]))
            cases.append(
                conv_case(
                    rng, target, "vk_conv_w8a16", out=out, frames=frames, stride=stride, wild=True, **sizes
                )
            )
    check(target, cases)


def test_straight_line_convolutions_of_the_m7_equal_numpy():
    """Every shape, odd channels, one to nine frames, dilated, shifted, and a slice of the channels."""
    rng = np.random.default_rng(13)
    cases = []
    for taps, pitch in SHORT_SHAPES:
        for frames in range(1, 10):
            channels, out = pitch - int(rng.integers(0, 2)), int(rng.integers(1, 20))
            if pitch_of(channels, "s16") != pitch:
                channels = pitch
            part = None
            if frames in (3, 8):
                out, part = 21, [(0, 8), (8, 8), (16, 5)][frames % 3]
            sizes = {"out": out, "channels": channels, "taps": taps, "frames": frames}
            cases.append(
                conv_case(
                    rng, "m7", "short", dilation=int(rng.choice([1, 2, 5])), part=part, wild=True, **sizes
                )
            )
    check("m7", cases)


def test_the_shift_of_a_straight_line_convolution_goes_into_its_weights():
    """Up to eight bits, the most that int16 weights have room for."""
    weights, bias = np.full((2, 2, 1), -127), np.array([5, -7])
    packed = pack_short(weights, bias, np.full(2, 1 << 30), np.full(2, 8), in_pitch=2)
    assert packed.stream.min() == -127 * 256
    assert is_short((2, 2, 1), 2, 1, 1, 8)
    assert not is_short((2, 2, 1), 2, 1, 1, 9)
    assert not is_short((2, 2, 1), 2, 2, 1)
    assert not is_short((2, 2, 1), 2, 1, 2)


@pytest.mark.parametrize("name", ["vk_conv_w8a16", "vk_conv_w8a8", "vk_conv_w8a16_wide"])
@pytest.mark.parametrize("target", TARGETS)
def test_a_slice_writes_its_channels_only(target, name):
    rng = np.random.default_rng(3)
    cases = []
    for out, part in (
        (24, (0, 8)),
        (24, (8, 16)),
        (29, (16, 13)),
        (21, (8, 8)),
        (22, (16, 6)),
        (40, (8, 24)),
    ):
        for frames in (1, 2, 3, 5):
            cases.append(conv_case(rng, target, name, out=out, channels=10, taps=3, frames=frames, part=part))
    check(target, cases)


@pytest.mark.parametrize(
    "name", ["vk_conv_w8a16", "vk_conv_w8a16_plain", "vk_conv_w8a8", "vk_conv_w8a8_plain"]
)
@pytest.mark.parametrize("target", TARGETS)
def test_grouped_convolution_equals_numpy(target, name):
    rng = np.random.default_rng(4)
    cases = []
    for groups, per_in, per_out in (
        (2, 2, 2),
        (3, 4, 6),
        (2, 3, 5),
        (4, 1, 1),
        (3, 5, 2),
        (2, 8, 12),
        (5, 2, 3),
    ):
        for taps, dilation, frames in ((1, 1, 1), (3, 1, 2), (4, 2, 3)):
            sizes = {"out": groups * per_out, "channels": groups * per_in, "taps": taps, "frames": frames}
            cases.append(conv_case(rng, target, name, dilation=dilation, groups=groups, **sizes))
    check(target, cases)


@pytest.mark.parametrize("target", TARGETS)
def test_wide_sums_pass_31_bits_and_stay_exact(target):
    rng = np.random.default_rng(5)
    channels, taps, out = 900, 3, 5
    weights = rng.choice([-127, 127], (out, channels, taps)).astype(np.int8)
    window = np.where(rng.random((taps, channels)) < 0.5, -32768, 32767).astype(np.int16)
    window[:] = np.where(weights[0].T > 0, 32767, -32768)  # channel 0 sums to 1.1e10
    bias = np.zeros(out, np.int32)
    multiplier = np.full(out, 2**32 // 800_000, np.int64)
    shift = np.zeros(out, np.int64)
    acc = convolved(window, weights, bias, 1, 1, 1, 1)
    assert np.abs(acc).max() > 2**32
    wanted = requantized(acc, multiplier, shift, -32768, 32767).astype(np.int16)
    assert np.abs(wanted).max() < 32767
    order = toolchain.TARGETS[target].packing
    packed = pack_conv(weights, bias, multiplier, shift, packing=order, in_pitch=channels)
    out_array = Array(np.zeros((1, 6), np.int16))
    call = Call("vk_conv_w8a16_wide", [layer_struct(packed), Array(window), out_array, 6, 1, 0, out])
    np.testing.assert_array_equal(make_calls(target, [call])[0][-1][:, :out], wanted)


@pytest.mark.parametrize("target", TARGETS)
def test_transposed_convolution_equals_its_definition(target):
    rng = np.random.default_rng(6)
    calls, wanted, shapes_ = [], [], []
    for channels, out, taps, stride, frames in (
        (6, 5, 4, 2, 3),
        (8, 8, 16, 8, 2),
        (3, 7, 5, 3, 4),
        (4, 2, 3, 4, 2),
        (16, 12, 8, 4, 1),
    ):
        w, bias, multiplier, shift = random_layer(rng, out, channels, taps, np.int16)
        pitch, out_pitch = pitch_of(channels, "s16"), pitch_of(out, "s16")
        order = toolchain.TARGETS[target].packing
        packed = pack_transposed(
            w.transpose(1, 0, 2),
            bias,
            multiplier,
            shift,
            packing=order,
            in_pitch=pitch,
            stride=stride,
            out_pitch=out_pitch,
        )
        window = np.zeros((packed.history + frames, pitch), np.int16)
        window[packed.history :] = rng.integers(-32768, 32768, (frames, pitch))
        acc = np.zeros((frames * stride + taps, out), np.int64)
        for t in range(frames):  # the definition: each input frame adds its kernel
            for k in range(taps):
                acc[t * stride + k] += w[:, :, k].astype(np.int64) @ window[
                    packed.history + t, :channels
                ].astype(np.int64)
        wanted.append(requantized(acc[: frames * stride] + bias, multiplier, shift, -32768, 32767))
        y = Array(np.zeros((frames * stride, out_pitch), np.int16))
        calls.append(
            Call(
                "vk_conv_w8a16",
                [layer_struct(packed), Array(window), y, stride * out_pitch, frames, 0, stride * out_pitch],
            )
        )
        shapes_.append(out)
    for found, want, out in zip(make_calls(target, calls), wanted, shapes_, strict=True):
        np.testing.assert_array_equal(found[-1][:, :out], want.astype(np.int16))


def test_a_dense_layer_is_a_convolution_with_one_tap():
    rng = np.random.default_rng(7)
    weights, bias, multiplier, shift = random_layer(rng, 9, 7, 1, np.int16)
    packed = pack_dense(weights[:, :, 0], bias, multiplier, shift, packing="quad", in_pitch=8)
    again = pack_conv(weights, bias, multiplier, shift, packing="quad", in_pitch=8)
    np.testing.assert_array_equal(packed.weights, again.weights)
    assert (packed.runs, packed.run, packed.history) == (1, 7, 0)


@pytest.mark.parametrize("name", ["vk_depthwise_w8a16", "vk_depthwise_w8a8"])
@pytest.mark.parametrize("target", TARGETS)
def test_depthwise_convolution_equals_numpy(target, name):
    rng = np.random.default_rng(8)
    dtype = np.int8 if "w8a8" in name else np.int16
    element, info = ("s8" if dtype == np.int8 else "s16"), np.iinfo(dtype)
    calls, wanted = [], []
    for channels in (1, 2, 3, 7, 8, 16):
        for taps, dilation, stride, frames in ((1, 1, 1, 1), (3, 1, 1, 4), (5, 2, 1, 3), (4, 1, 2, 2)):
            largest = 3 if channels == 16 else 127
            weights, bias, multiplier, shift = random_layer(rng, channels, 1, taps, dtype, True, largest)
            if channels == 16:  # beyond the eight bits that the weights of the M7's three taps have room for
                shift[5], multiplier[5] = 9, multiplier[5] >> 8
            pitch = pitch_of(channels, element)
            packed = pack_depthwise(
                weights, bias, multiplier, shift, in_pitch=pitch, dilation=dilation, stride=stride
            )
            window = rng.integers(
                info.min, info.max + 1, ((frames - 1) * stride + packed.history + 1, pitch)
            ).astype(dtype)
            acc = convolved(window[:, :channels], weights, bias, dilation, stride, channels, frames)
            wanted.append(requantized(acc, multiplier, shift, info.min, info.max).astype(dtype))
            fields = [("P", Array(packed.weights, b"")), ("P", Array(packed.requant, b""))]
            fields += [
                ("I", packed.frame_step),
                ("I", packed.tap_step),
                ("H", packed.taps),
                ("H", packed.pitch),
            ]
            y = Array(np.zeros((frames, pitch), dtype))
            calls.append(Call(name, [Struct(fields), Array(window), y, pitch, frames, 0, channels]))
    for found, want in zip(make_calls(target, calls), wanted, strict=True):
        np.testing.assert_array_equal(found[-1][:, : want.shape[1]], want)


@pytest.mark.parametrize("target", TARGETS)
def test_float_convolutions_round_alike_everywhere(target):
    """Sums in the window's order, float32 throughout: the bits of numpy adding one product after another."""
    rng = np.random.default_rng(9)
    calls, wanted = [], []
    for out, channels, taps, dilation, frames, groups in (
        (5, 3, 3, 1, 4, 1),
        (16, 8, 2, 2, 1, 1),
        (9, 1, 7, 1, 3, 1),
        (6, 4, 3, 1, 2, 2),
        (17, 3, 2, 2, 19, 1),
        (20, 4, 1, 1, 9, 2),
    ):
        weights = rng.normal(size=(out, channels // groups, taps)).astype(np.float32)
        bias = rng.normal(size=out).astype(np.float32)
        packed = pack_conv_f32(weights, bias, in_pitch=channels, dilation=dilation, groups=groups)
        window = rng.normal(size=(packed.history + frames, channels)).astype(np.float32)
        want = np.zeros((frames, out), np.float32)
        for t in range(frames):
            for c in range(out):
                g = c // (out // groups)
                acc = bias[c]
                for k in range(taps):
                    row = window[t + k * dilation].reshape(groups, -1)[g]
                    for i in range(channels // groups):
                        acc = np.float32(acc + np.float32(weights[c, i, k] * row[i]))
                want[t, c] = acc
        wanted.append(want)
        y = Array(np.zeros((frames, out), np.float32), b"")
        calls.append(
            Call(
                "vk_conv_f32",
                [layer_struct(packed), Array(window, b""), y, out, frames, 0, groups if groups > 1 else out],
            )
        )
    weights = rng.normal(size=(6, 1, 3)).astype(np.float32)
    bias = rng.normal(size=6).astype(np.float32)
    packed = pack_depthwise_f32(weights, bias, in_pitch=6)
    window = rng.normal(size=(7, 6)).astype(np.float32)
    want = np.tile(bias, (5, 1))
    for k in range(3):
        want = want + weights[:, 0, k] * window[k : k + 5]
    wanted.append(want)
    fields = [("P", Array(packed.weights, b"")), ("P", Array(packed.bias, b""))]
    fields += [("I", packed.frame_step), ("I", packed.tap_step), ("H", packed.taps), ("H", packed.pitch)]
    y = Array(np.zeros((5, 6), np.float32), b"")
    calls.append(Call("vk_depthwise_f32", [Struct(fields), Array(window, b""), y, 6, 5, 0, 6]))
    for found, want in zip(make_calls(target, calls), wanted, strict=True):
        np.testing.assert_array_equal(found[-1], want)


def test_the_committed_assembly_is_what_the_generator_writes():
    assert m7_conv.OUT.read_text() == m7_conv.source()
    assert m7_depthwise.OUT.read_text() == m7_depthwise.source()


def test_the_assembly_asks_of_loaders_only_what_they_know():
    sources = [s for s in toolchain.kernel_sources("m7") if s.suffix == ".S"]
    assert {"conv_w8a16_m7", "depthwise_m7"} <= {s.stem for s in sources}
    for source in sources:
        found = object_file.read_object(toolchain.compile_source(source, "m7"))
        kinds = {r.kind for section in found.sections for r in section.relocations}
        assert kinds <= set(object_file.RELOCATIONS), source.name


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_million_outputs_of_random_layers_equal_numpy(target):
    rng = np.random.default_rng(10)
    outputs = 0
    while outputs < 1_000_000:
        cases = []
        for _ in range(40):
            sizes = {
                "out": int(rng.integers(1, 80)),
                "channels": int(rng.integers(1, 80)),
                "taps": int(rng.integers(1, 6)),
                "frames": int(rng.integers(1, 50)),
                "dilation": int(rng.choice([1, 1, 2, 5])),
                "stride": int(rng.choice([1, 1, 2])),
            }
            name = str(rng.choice(["vk_conv_w8a16", "vk_conv_w8a16", "vk_conv_w8a8"]))
            cases.append(conv_case(rng, target, name, wild=True, **sizes))
            outputs += sizes["out"] * sizes["frames"]
        check(target, cases)
