"""Pulses at a pitch and noise, each through gains that a network says, at a loudness that is told.

The domain operator ``SourceFilter`` stands last in a texture's decoder. Here is its definition in numpy; the
engine plays it hop by hop (``engine/dsp/source_filter.h``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.ops.domain import hash32
from firmware.compiler.ops.hop_ends.ear import CLOSE, HOP, LOUDNESS_MIDDLE, LOUDNESS_SCALE, check_bands
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode

SIZE, BINS = 2 * HOP, HOP + 1
GOLDEN = 0x9E3779B9
LOWEST_LOG, HIGHEST_LOG, NOISE_OFFSET = -14.0, 6.0, -2.0
PITCH_HZ, LOWEST_OCTAVE, HIGHEST_OCTAVE, BRIGHTEST_HZ = 220.0, -3.5, 4.25, 18_000.0
PULSE_RMS, POWER_FLOOR, HISS_RMS = 0.25, 1e-12, 16.0
CONTROLS = 3


@dataclass(frozen=True)
class SourceAttributes(Attributes):
    """Which noise it makes."""

    seed: int


@dataclass(frozen=True)
class SourceConstants:
    """What the engine needs beside the network's numbers.

    Attributes
    ----------
    share : ndarray, shape (bands, 257)
        Of every bin in every band; those of a bin add up to 1.
    seed : int
    """

    share: np.ndarray
    seed: int

    @property
    def numbers(self) -> int:
        """How many numbers the network says of a hop."""
        return 2 * len(self.share) + 1


def constants_of(node: Node) -> SourceConstants:
    """Return the constants of a ``SourceFilter`` node."""
    return SourceConstants(node.constants["share"].real, node.attributes_as(SourceAttributes).seed)


@reader("SourceFilter")
def read_source_filter(builder: Builder, node: OnnxNode) -> None:
    """Check the constants, and that the network has so many numbers for them."""
    numbers, control = (builder.canonical(name) for name in node.input[:2])
    share, window = (builder.const(name).real for name in node.input[2:])
    check_bands(share, BINS, "share")
    if np.abs(share.sum(axis=0) - 1).max() > CLOSE:
        raise Refusal("the shares of a bin do not add up to 1.")
    if window.shape != (SIZE,) or np.abs(window - smooth_window()).max() > CLOSE:
        raise Refusal(
            f"its window is not the smooth one of {SIZE} samples, and the engine has no other; "
            "a texture of before 2026-12 must be trained again."
        )
    wanted = {numbers: 2 * len(share) + 1, control: CONTROLS}
    for name, count in wanted.items():
        if builder.shapes[name][1] != count:
            raise Refusal(
                f"{name!r} has {builder.shapes[name][1]} channels, and its constants ask for {count}."
            )
    builder.same_rate(builder.shapes[numbers][2], builder.shapes[control][2])
    result = builder.add_node(
        "SourceFilter",
        [numbers, control],
        channels=1,
        length=builder.shapes[numbers][2] * HOP,
        hint=node.output[0],
        attrs=SourceAttributes(int(node.attributes["seed"])),
        constants={"share": Constant(share)},
    )
    builder.result(node, result)


def smooth_window() -> np.ndarray:
    """That of Vorbis, float64 [512]: squares of halves that overlap add up to 1, and its edges are smooth."""
    return np.sin(0.5 * np.pi * np.sin(np.pi * np.arange(SIZE) / SIZE) ** 2)


def pulses(octaves: np.ndarray) -> np.ndarray:
    """The pulse train, [hops · 256]; phases in whole numbers, the rest in double precision."""
    told = np.clip(octaves, LOWEST_OCTAVE, HIGHEST_OCTAVE).astype(np.float32)
    hz = np.power(np.float32(2), told) * np.float32(PITCH_HZ)
    before = np.concatenate([hz[:1], hz[:-1]])
    old, new = ((x * np.float32(2.0**31 / SAMPLE_RATE_HZ)).astype(np.int64) for x in (before, hz))
    bend = np.trunc((new - old) / HOP).astype(np.int64)
    phase = np.cumsum((old[:, None] + bend[:, None] * np.arange(HOP)).ravel())
    half = wrapped(phase << 1) >> 1
    count = np.floor(np.float32(BRIGHTEST_HZ) / np.maximum(before, hz)).astype(np.int64).repeat(HOP)
    odd = 2 * count + 1
    below, above = (np.sin(2 * np.pi * x / 2.0**32) for x in (half, wrapped(half * odd)))
    small = np.abs(below) < 1e-5
    ratio = np.where(small, odd, above / np.where(small, 1.0, below))
    return (ratio - 1.0) * (0.5 * PULSE_RMS / np.sqrt(0.5 * count))


def wrapped(x: np.ndarray) -> np.ndarray:
    """The signed 32-bit number in the low bits of each."""
    x = x & 0xFFFFFFFF
    return np.where(x >= 1 << 31, x - (1 << 32), x)


def gains(c: SourceConstants, numbers: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Gains of every bin for pulses and noise, [257, hops] each; of power 1 but for the last number."""
    bands = len(c.share)
    tone = np.clip(c.share.T @ numbers[:bands], LOWEST_LOG, HIGHEST_LOG)
    noise = np.clip(c.share.T @ numbers[bands : 2 * bands] + NOISE_OFFSET, LOWEST_LOG, HIGHEST_LOG)
    power = (np.exp(2 * tone) * PULSE_RMS**2 + np.exp(2 * noise)).mean(axis=0)
    gain = np.tanh(numbers[2 * bands]) - 0.5 * np.log(power + POWER_FLOOR)
    return np.exp(tone + gain), np.exp(noise + gain)


def hiss(seed: int, hops: int, first: int = 0) -> np.ndarray:
    """Bins of the noise of hops from ``first`` on, complex [hops, 257]."""
    words = hash32((first * SIZE + np.arange(hops * SIZE) + seed * GOLDEN) % 2**32).astype(np.int32)
    parts = (words * (3**0.5 * HISS_RMS / 2.0**31)).reshape(hops, HOP, 2)
    return np.pad(parts[..., 0] + 1j * parts[..., 1], ((0, 0), (0, 1)))


def sound(c: SourceConstants, numbers: np.ndarray, control: np.ndarray) -> np.ndarray:
    """The whole sound, [hops · 256]."""
    hops = numbers.shape[1]
    window = smooth_window()
    tone, noise = gains(c, numbers)
    train = np.concatenate([np.zeros(HOP), pulses(control[0])])
    frames = np.lib.stride_tricks.sliding_window_view(train, SIZE)[::HOP]
    k = np.arange(BINS)
    turn = np.exp(-2j * np.pi * ((k * k // 4 - 64 * k) % 1024) / 1024)
    bins = tone.T * turn * np.fft.rfft(frames * window) + noise.T * hiss(c.seed, hops)
    made = np.concatenate([np.zeros((1, SIZE)), (np.fft.irfft(bins, SIZE) * window)[:-1]])
    made = made * np.exp(0.5 * (control[2] / LOUDNESS_SCALE - LOUDNESS_MIDDLE))[:, None]
    late = np.concatenate([np.zeros((1, HOP)), made[:-1, HOP:]])
    return (made[:, :HOP] + late).ravel()


@family(SourceFilter=SourceAttributes)
class SourceFilter(Family):
    """Always last, and taken out of the graph before any C is written (``passes/split_sound.py``)."""

    def produce(self, node: Node) -> int:
        """A hop."""
        return HOP

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Hops in samples."""
        return lengths[0] * HOP

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The definition."""
        return sound(constants_of(node), inputs[0], inputs[1])[None]

    def work(self, node: Node, graph: Graph) -> Work:
        """Nothing within the network: the instrument that plays it counts it."""
        return Work("source_filter", calls=0)
