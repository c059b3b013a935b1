"""Weights as the kernels read them: blocks of output channels, taps interleaved for each processor.

The packings are those of ``engine/kernels/packing.h``. A transposed convolution is packed as a convolution
whose output channels are (phase, channel), a dense layer as a convolution with one tap (polyphase identity;
Crochiere and Rabiner, "Multirate Digital Signal Processing", 1983).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal


@dataclass(frozen=True)
class Packing:
    """Channels of a block and the unit, in taps, that runs are padded to."""

    block: int
    run_taps: int


PACKINGS = {
    "quad": Packing(4, 4),
    "pair8": Packing(8, 2),
    "lane8": Packing(8, 2),
    "byte8": Packing(8, 4),
}


@dataclass(frozen=True)
class PackedConv:
    """A ``vk_conv`` (or ``vk_conv_float``): its tables and every integer field.

    Attributes
    ----------
    weights : int8 (or float32) array, flat, in the packing's order.
    requant : int32 [groups × padded channels, 3] of bias, multiplier, shift; None for float.
    bias : float32 [groups × padded channels]; None for integers.
    frame_step, run_step : in elements (of the input).
    runs, run : the window is `runs` runs of `run` elements.
    history : frames before the newest input frame that the window reaches back: dilation·(taps − 1).
    """

    weights: np.ndarray
    requant: np.ndarray | None
    bias: np.ndarray | None
    frame_step: int
    run_step: int
    runs: int
    run: int
    groups: int
    group_in: int
    channels: int
    history: int

    def initializer(self, weights: str, table: str) -> str:
        """Write the C initializer, given the names of the two tables."""
        numbers = (
            self.frame_step,
            self.run_step,
            self.runs,
            self.run,
            self.groups,
            self.group_in,
            self.channels,
            0,
        )
        return f"{{{weights}, {table}, {', '.join(str(n) for n in numbers)}}}"

    def stored_taps(self, packing: str) -> int:
        """Weights of a channel, those that pad its runs included."""
        return self.runs * round_up(self.run, PACKINGS[packing].run_taps)


def round_up(n: int, unit: int) -> int:
    """Return the least multiple of `unit` that is not below `n`."""
    return -(-n // unit) * unit


def pitch_of(channels: int, element: str) -> int:
    """Elements between two frames of a tensor: "s16" even, "s8" a multiple of 4, "f32" the channels."""
    return round_up(channels, {"s16": 2, "s8": 4, "f32": 1}[element])


def _runs(weights: np.ndarray, in_pitch: int, dilation: int, groups: int) -> tuple[np.ndarray, int]:
    """Lay [out, in, taps] out as [out, runs, run], in the window's order; second: the tap step in frames.

    With dilation 1 and one group the taps are one run, pad lanes between them as zero weights.
    """
    out, channels, taps = weights.shape
    if dilation == 1 and groups == 1:
        spread = np.zeros((out, taps, in_pitch), weights.dtype)
        spread[:, :, :channels] = weights.transpose(0, 2, 1)
        if taps == 1:
            return spread[:, :, :channels], dilation
        # the last tap needs no pad lanes behind it
        return spread.reshape(out, 1, taps * in_pitch)[:, :, : (taps - 1) * in_pitch + channels], dilation
    return np.ascontiguousarray(weights.transpose(0, 2, 1)), dilation


def _interleaved(runs: np.ndarray, packing: str, groups: int) -> np.ndarray:
    """Order [groups·channels, runs, run] weights by `packing`; flat."""
    shape = PACKINGS[packing]
    out, count, run = runs.shape
    channels = out // groups
    padded, taps = round_up(channels, shape.block), round_up(run, shape.run_taps)
    full = np.zeros((groups, padded, count, taps), runs.dtype)
    full[:, :channels, :, :run] = runs.reshape(groups, channels, count, run)
    blocks = full.reshape(groups, padded // shape.block, shape.block, count, taps)
    if packing == "quad":  # [g, b, pair, c, r, s, k] → step, pair, tap, channel
        v = blocks.reshape(groups, -1, 2, 2, count, taps // 2, 2).transpose(0, 1, 4, 5, 2, 6, 3)
    elif packing == "pair8":
        v = blocks.reshape(groups, -1, 8, count, taps // 2, 2).transpose(0, 1, 3, 4, 2, 5)
    elif packing == "lane8":
        v = blocks.transpose(0, 1, 3, 4, 2)
    else:
        v = blocks.reshape(groups, -1, 8, count, taps // 4, 4).transpose(0, 1, 3, 4, 2, 5)
    return np.ascontiguousarray(v).reshape(-1)


def _per_channel(values: np.ndarray, groups: int, block: int, dtype: type) -> np.ndarray:
    """Pad [groups·channels] to [groups·padded]."""
    values = np.asarray(values)
    channels = values.size // groups
    full: np.ndarray = np.zeros((groups, round_up(channels, block)), dtype)
    full[:, :channels] = values.reshape(groups, channels)
    return full.reshape(-1)


def _steps(
    runs: np.ndarray, in_pitch: int, dilation: int, stride: int, groups: int, channels: int
) -> dict[str, int]:
    steps = {
        "frame_step": stride * in_pitch,
        "run_step": dilation * in_pitch,
        "runs": runs.shape[1],
        "run": runs.shape[2],
        "groups": groups,
        "group_in": channels if groups > 1 else 0,
        "channels": runs.shape[0] // groups,
    }
    for name in ("runs", "run", "groups", "group_in", "channels"):
        if steps[name] > 65535:
            raise Refusal(f"A layer with {steps[name]} for {name} is beyond the kernels (65,535); split it.")
    return steps


def pack_conv(
    weights: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    packing: str,
    in_pitch: int,
    dilation: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> PackedConv:
    """Pack an integer convolution.

    Parameters
    ----------
    weights : int8 [out, in / groups, taps], ONNX order; tap 0 meets the oldest frame.
    bias, multiplier, shift : [out] integers of the requantization.
    packing : ``toolchain.TARGETS[target].packing``; "byte8" for int8 activations.
    in_pitch : elements between frames of the input.
    """
    weights = np.asarray(weights, np.int8)
    runs, _ = _runs(weights, in_pitch, dilation, groups)
    block = PACKINGS[packing].block
    columns = [_per_channel(v, groups, block, np.int32) for v in (bias, multiplier, shift)]
    return PackedConv(
        weights=_interleaved(runs, packing, groups),
        requant=np.stack(columns, axis=1),
        bias=None,
        history=dilation * (weights.shape[2] - 1),
        **_steps(runs, in_pitch, dilation, stride, groups, weights.shape[1]),
    )


SHORT_PITCH, SHORT_WINDOW = 16, 48
"""Most elements of a frame, and of all taps, that ``m7_short`` writes straight-line code for."""


def short_bytes(taps: int, pitch: int) -> int:
    """Bytes that a pair of output channels takes in the stream of a straight-line convolution."""
    return 16 + 4 * taps * pitch


@dataclass(frozen=True)
class PackedShort:
    """A ``vk_short`` (Cortex-M7): the stream and the distance between taps.

    Attributes
    ----------
    stream : int16, flat
        For every pair of output channels: two biases (int32), the weights by steps of two taps, channel after
        channel, two multipliers (int32). Sixteen bytes of zeros end it: the code reads ahead.
    run_bytes : int
        Between the taps' frames in the window.
    shape : (taps, pitch)
    """

    stream: np.ndarray
    run_bytes: int
    shape: tuple[int, int]

    def initializer(self, stream: str, code: str) -> str:
        """Write the C initializer, given the names of the stream and of the code."""
        return f"{{{stream}, {code}, {self.run_bytes}, {short_bytes(*self.shape)}}}"


def is_short(weights: tuple[int, int, int], in_pitch: int, stride: int, groups: int, shift: int = 0) -> bool:
    """Whether a convolution of these weights [out, in, taps] has straight-line code on a Cortex-M7.

    Its weights take up the ``shift`` of the requantization, for which int16 has eight bits to spare.
    """
    small = in_pitch <= SHORT_PITCH and weights[2] * in_pitch <= SHORT_WINDOW
    return small and stride == 1 and groups == 1 and shift <= 8


def pack_short(
    weights: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    in_pitch: int,
    dilation: int = 1,
) -> PackedShort:
    """Pack a convolution for which `is_short` holds; parameters as of `pack_conv`.

    y = sat((acc·2^k·M + 2^31) >> 32) is the same number with weights·2^k and bias·2^k: acc·2^k is proven to
    fit.
    """
    out, channels, taps = weights.shape
    pairs = (out + 1) // 2
    scale = np.left_shift(1, np.asarray(shift, np.int64))
    full = np.zeros((2 * pairs, taps, in_pitch), np.int64)
    full[:out, :, :channels] = np.asarray(weights, np.int64).transpose(0, 2, 1) * scale[:, None, None]
    words = np.zeros((2, 2 * pairs), np.int32)
    words[0, :out] = np.asarray(bias, np.int64) * scale
    words[1, :out] = multiplier
    biases, multipliers = (row.reshape(pairs, 2).view(np.int16) for row in words)
    # [pair, channel, step, 2 taps] → step, channel
    steps = full.reshape(pairs, 2, -1, 2).transpose(0, 2, 1, 3).reshape(pairs, -1)
    stream = np.concatenate([biases, steps.astype(np.int16), multipliers], axis=1).reshape(-1)
    return PackedShort(
        np.concatenate([stream, np.zeros(8, np.int16)]), 2 * dilation * in_pitch, (taps, in_pitch)
    )


def joined_bytes(steps: int) -> int:
    """Bytes that a pair of output channels takes in the stream of a joined sum, by its steps of two."""
    return 16 + 8 * steps


def pack_joined_stream(
    weights: np.ndarray, bias: np.ndarray, multiplier: np.ndarray, shift: int
) -> np.ndarray:
    """Order a joined sum for a Cortex-M7 (``m7_joined``), as `pack_short` does.

    Parameters
    ----------
    weights : int [out, 2·steps]
        By taps, pad lanes as zeros; times 2^shift they are int16.
    bias, multiplier : int [out]
    shift : int
    """
    out, columns = weights.shape
    pairs = (out + 1) // 2
    full = np.zeros((2 * pairs, columns), np.int64)
    full[:out] = np.asarray(weights, np.int64) << shift
    words = np.zeros((2, 2 * pairs), np.int32)
    words[0, :out] = np.asarray(bias, np.int64) << shift
    words[1, :out] = multiplier
    biases, multipliers = (row.reshape(pairs, 2).view(np.int16) for row in words)
    steps = full.reshape(pairs, 2, -1, 2).transpose(0, 2, 1, 3).reshape(pairs, -1)
    stream = np.concatenate([biases, steps.astype(np.int16), multipliers], axis=1).reshape(-1)
    return np.concatenate([stream, np.zeros(8, np.int16)])


JOINED_LANES = 8
"""Output channels in a vector of the other processors' joined sums."""


def pack_joined_lanes(weights: np.ndarray) -> np.ndarray:
    """Order the weights of a joined sum, int [out, Σ pitches], for vectors: [block, element, 8 channels]."""
    out, columns = weights.shape
    full = np.zeros((round_up(out, JOINED_LANES), columns), np.int16)
    full[:out] = weights
    return full.reshape(-1, JOINED_LANES, columns).transpose(0, 2, 1).reshape(-1)


def joined_curve(knots: np.ndarray, first: int, shift: int) -> tuple[np.ndarray, int, int] | None:
    """Lay a function table out for `m7_joined`: a power of two lines, of which the first and last are flat.

    So only which line it is needs clamping, and no input: beyond the table nothing is multiplied by it.

    Parameters
    ----------
    knots : int16 [n]
        As ``tables.FunctionTable`` has them; what is looked up is saturated to int16 before.

    Returns
    -------
    lines : int32 [2^bits, 2]
        Slope a and offset b of each 2^shift inputs: (a·u + b) >> 16 is the result, modulo 2^32.
    first, bits : int
        Input of the first line; lines are clamped to so many bits.
    None where a table can't be laid out so.
    """
    span = (knots.size - 1) << shift
    is_whole = (first, span) == (-32768, 65536)
    if shift == 0 or shift > 15 or not (is_whole or -32768 <= first <= first + span <= 32767):
        return None
    left = knots[:-1].astype(np.int64)
    slopes = np.diff(knots.astype(np.int64))
    highest = int(knots[-1])
    if is_whole:  # no int16 reaches the last knot
        highest = int(left[-1] + ((slopes[-1] * ((1 << shift) - 1) + (1 << shift >> 1)) >> shift))
    if slopes[0]:
        left, slopes, first = np.append(knots[0], left), np.append(0, slopes), first - (1 << shift)
    bits = max(1, int(slopes.size + bool(slopes[-1]) - 1).bit_length())
    after = (1 << bits) - slopes.size
    left, slopes = np.append(left, np.full(after, highest)), np.append(slopes, np.zeros(after, np.int64))
    starts = np.arange(slopes.size, dtype=np.int64) << shift
    offsets = (left << shift) + (1 << shift >> 1) - slopes * starts
    lines = np.stack([slopes, offsets], axis=1) << 16 - shift
    return ((lines + 2**31) % 2**32 - 2**31).astype(np.int32), first, bits


def pack_dense(
    weights: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    packing: str,
    in_pitch: int,
) -> PackedConv:
    """Pack a dense layer, weights int8 [out, in]: a convolution with one tap."""
    return pack_conv(
        np.asarray(weights)[:, :, None], bias, multiplier, shift, packing=packing, in_pitch=in_pitch
    )


def phases_as_channels(weights: np.ndarray, stride: int, out_pitch: int) -> np.ndarray:
    """Turn ConvTranspose weights into those of a convolution over (phase, channel).

    Parameters
    ----------
    weights : [in, out, taps], ONNX order, one group.
    stride : output frames per input frame.
    out_pitch : elements between output frames, ≥ out.

    Returns
    -------
    numpy.ndarray
        [stride·out_pitch, in, ceil(taps / stride)]: row p·out_pitch + c gives y[t·stride + p, c] =
        Σ_j w[:, c, p + j·stride]·x[t − j]; pad lanes are zero rows.
    """
    channels, out, taps = weights.shape
    reach = -(-taps // stride)
    full = np.zeros((channels, out, reach * stride), weights.dtype)
    full[:, :, :taps] = weights
    phases = np.zeros((stride, out_pitch, channels, reach), weights.dtype)
    # [in, out, j, p] → [p, out, in, oldest first]
    phases[:, :out] = full.reshape(channels, out, reach, stride).transpose(3, 1, 0, 2)[..., ::-1]
    return phases.reshape(stride * out_pitch, channels, reach)


def per_phase(values: np.ndarray, stride: int, out_pitch: int) -> np.ndarray:
    """Repeat per-channel values [out] for (phase, channel) rows, zero in pad lanes."""
    row = np.zeros(out_pitch, np.asarray(values).dtype)
    row[: len(values)] = values
    return np.tile(row, stride)


def pack_transposed(
    weights: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    packing: str,
    in_pitch: int,
    stride: int,
    out_pitch: int,
) -> PackedConv:
    """Pack an integer ConvTranspose (one group), weights int8 [in, out, taps].

    Call the kernel with out_step = stride·out_pitch: input frame t writes output frames t·stride …, which
    lie side by side. The window reaches back ceil(taps / stride) − 1 input frames (`history`).
    """
    rows = phases_as_channels(np.asarray(weights, np.int8), stride, out_pitch)
    tables = (per_phase(np.asarray(v), stride, out_pitch) for v in (bias, multiplier, shift))
    return pack_conv(rows, *tables, packing=packing, in_pitch=in_pitch)


def pack_conv_f32(
    weights: np.ndarray,
    bias: np.ndarray,
    *,
    in_pitch: int,
    dilation: int = 1,
    stride: int = 1,
    groups: int = 1,
) -> PackedConv:
    """Pack a float convolution, weights [out, in / groups, taps]: blocks of 8 channels, [tap][8]."""
    weights = np.asarray(weights, np.float32)
    runs, _ = _runs(weights, in_pitch, dilation, groups)
    out, count, run = runs.shape
    channels = out // groups
    full = np.zeros((groups, round_up(channels, 8), count, run), np.float32)
    full[:, :channels] = runs.reshape(groups, channels, count, run)
    flat = full.reshape(groups, -1, 8, count, run).transpose(0, 1, 3, 4, 2)
    return PackedConv(
        weights=np.ascontiguousarray(flat).reshape(-1),
        requant=None,
        bias=_per_channel(np.asarray(bias, np.float32), groups, 8, np.float32),
        history=dilation * (weights.shape[2] - 1),
        **_steps(runs, in_pitch, dilation, stride, groups, weights.shape[1]),
    )


def pack_transposed_f32(
    weights: np.ndarray, bias: np.ndarray, *, in_pitch: int, stride: int, out_pitch: int
) -> PackedConv:
    """Pack a float ConvTranspose (one group), weights [in, out, taps]; see `pack_transposed`."""
    rows = phases_as_channels(np.asarray(weights, np.float32), stride, out_pitch)
    return pack_conv_f32(rows, per_phase(np.asarray(bias, np.float32), stride, out_pitch), in_pitch=in_pitch)


@dataclass(frozen=True)
class PackedDepthwise:
    """A ``vk_depthwise`` (or ``vk_depthwise_float``): weights [taps, pitch], tables [pitch]."""

    weights: np.ndarray
    requant: np.ndarray | None
    bias: np.ndarray | None
    frame_step: int
    tap_step: int
    taps: int
    pitch: int
    history: int

    def initializer(self, weights: str, table: str) -> str:
        """Write the C initializer, given the names of the two tables."""
        return f"{{{weights}, {table}, {self.frame_step}, {self.tap_step}, {self.taps}, {self.pitch}}}"


def pack_depthwise(
    weights: np.ndarray,
    bias: np.ndarray,
    multiplier: np.ndarray,
    shift: np.ndarray,
    *,
    in_pitch: int,
    dilation: int = 1,
    stride: int = 1,
) -> PackedDepthwise:
    """Pack a depthwise integer convolution, weights int8 [channels, 1, taps] or [channels, taps]."""
    weights = np.asarray(weights, np.int8).reshape(len(weights), -1)
    table = np.zeros((in_pitch, 3), np.int32)
    table[: len(weights)] = np.stack([np.asarray(v) for v in (bias, multiplier, shift)], axis=1)
    return PackedDepthwise(requant=table, bias=None, **_depthwise(weights, in_pitch, dilation, stride))


def pack_depthwise_f32(
    weights: np.ndarray, bias: np.ndarray, *, in_pitch: int, dilation: int = 1, stride: int = 1
) -> PackedDepthwise:
    """Pack a depthwise float convolution, weights [channels, 1, taps] or [channels, taps]."""
    weights = np.asarray(weights, np.float32).reshape(len(weights), -1)
    row = np.zeros(in_pitch, np.float32)
    row[: len(weights)] = bias
    return PackedDepthwise(requant=None, bias=row, **_depthwise(weights, in_pitch, dilation, stride))


def _depthwise(weights: np.ndarray, in_pitch: int, dilation: int, stride: int) -> dict:
    channels, taps = weights.shape
    full = np.zeros((taps, in_pitch), weights.dtype)
    full[:, :channels] = weights.T
    return {
        "weights": full.reshape(-1),
        "frame_step": stride * in_pitch,
        "tap_step": dilation * in_pitch,
        "taps": taps,
        "pitch": in_pitch,
        "history": dilation * (taps - 1),
    }
