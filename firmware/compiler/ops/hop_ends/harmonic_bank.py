"""Harmonics of one pitch and bands of noise, whose levels a network says.

The domain operator ``HarmonicBank`` stands last in a voice's decoder. Here is its definition in numpy; the
engine plays it a quarter of a hop at a time (``engine/dsp/harmonics.h``, ``bands.h``).
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
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode

HOP, QUARTER = 192, 48
QUARTERS = HOP // QUARTER
MOST_HARMONICS, MOST_BANDS, TAPS = 64, 64, 128
"""VK_HARMONICS of engine/dsp/harmonics.h; VK_BANDS and VK_BAND_TAPS of bands.h."""
FEWEST_CONTROLS = 3
PITCH_HZ, LOWEST_OCTAVE, HIGHEST_OCTAVE = 220.0, -3.5, 4.5
LOUDNESS_DB, LOG_PER_DB = 40.0, np.log(10) / 20
LOWEST_LOG, LEVEL_OFF, HIGHEST_LOG = -14.0, -13.9, 1.0
NOISE_LOWEST, NOISE_OFF, NOISE_HIGHEST = -12.0, -11.9, 2.5
NOISE_BITS, GOLDEN = 10, 0x9E3779B9
TURN = 2.0**32
FADE_FROM, FADE_TO = 0.42, 0.47


@dataclass(frozen=True)
class BankAttributes(Attributes):
    """How many of the numbers are harmonics; which noise it makes."""

    harmonics: int
    seed: int


@dataclass(frozen=True)
class BankConstants:
    """What the engine needs beside the network's numbers.

    Attributes
    ----------
    harmonics : int
    filters : ndarray, shape (bands, 128)
        Symmetric impulse responses.
    seed : int
    """

    harmonics: int
    filters: np.ndarray
    seed: int


def constants_of(node: Node) -> BankConstants:
    """Return the constants of a ``HarmonicBank`` node."""
    told = node.attributes_as(BankAttributes)
    return BankConstants(told.harmonics, node.constants["filters"].real, told.seed)


@reader("HarmonicBank")
def read_harmonic_bank(builder: Builder, node: OnnxNode) -> None:
    """Check the constants, and that the network has so many numbers for them."""
    numbers, control = (builder.canonical(name) for name in node.input[:2])
    filters = builder.const(node.input[2]).real
    count = int(node.attributes["harmonics"])
    if int(node.attributes["hop"]) != HOP:
        raise Refusal(f"its hop is {node.attributes['hop']}; the engine sounds every {HOP} samples.")
    if filters.ndim != 3 or filters.shape[1:] != (1, TAPS) or len(filters) % 4 or len(filters) > MOST_BANDS:
        raise Refusal(
            f"its filters have the shape {list(filters.shape)}; give [bands, 1, {TAPS}], a multiple of 4 "
            f"bands up to {MOST_BANDS}."
        )
    filters = filters[:, 0]
    if not np.allclose(filters, filters[:, ::-1], atol=1e-6):
        raise Refusal("its filters are not symmetric.")
    if not 1 <= count <= MOST_HARMONICS:
        raise Refusal(f"it has {count} harmonics; the engine has room for {MOST_HARMONICS}.")
    if builder.shapes[numbers][1] != count + len(filters):
        raise Refusal(
            f"{numbers!r} has {builder.shapes[numbers][1]} channels, and its constants ask for "
            f"{count + len(filters)}."
        )
    if builder.shapes[control][1] < FEWEST_CONTROLS:
        raise Refusal(f"{control!r} needs pitch, bend and loudness, and has fewer channels.")
    builder.same_rate(builder.shapes[numbers][2], builder.shapes[control][2])
    result = builder.add_node(
        "HarmonicBank",
        [numbers, control],
        channels=1,
        length=builder.shapes[numbers][2] * HOP,
        hint=node.output[0],
        attrs=BankAttributes(count, int(node.attributes["seed"])),
        constants={"filters": Constant(filters)},
    )
    builder.result(node, result)


def steps_of(octaves: np.ndarray) -> np.ndarray:
    """Step of the phase, int64, of octaves above 220 Hz."""
    told = np.clip(octaves, LOWEST_OCTAVE, HIGHEST_OCTAVE).astype(np.float32)
    hz = np.power(np.float32(2), told) * np.float32(PITCH_HZ)
    return np.asarray((hz * np.float32(TURN / SAMPLE_RATE_HZ)).astype(np.int64))


def quarter_ends(step: np.ndarray) -> np.ndarray:
    """Steps at the end of every quarter, int64 [4 · hops], of those at the end of every hop."""
    older = np.concatenate([step[:1], step[:-1]])
    q = np.arange(1, QUARTERS + 1)
    return np.asarray((older[:, None] + ((step - older)[:, None] * q >> 2)).ravel())


def phases(first: int, ends: np.ndarray) -> np.ndarray:
    """The phase of every sample, int64, of a turn that is 2^32; ``ends``: steps at the ends of quarters."""
    begins = np.concatenate([[first], ends[:-1]])
    bend = np.trunc((ends - begins) / QUARTER).astype(np.int64)
    return np.asarray(np.cumsum((begins[:, None] + bend[:, None] * np.arange(QUARTER)).ravel()))


def fade(steps: np.ndarray) -> np.ndarray:
    """How much is left of what goes by such steps."""
    return np.asarray(np.clip((FADE_TO * TURN - steps) / ((FADE_TO - FADE_FROM) * TURN), 0, 1))


def _ramped(levels: np.ndarray) -> np.ndarray:
    """Levels at the ends of quarters as levels of samples, [n, 48 · quarters]."""
    begins = np.pad(levels, ((0, 0), (1, 0)))[:, :-1]
    part = np.arange(QUARTER) / QUARTER
    return np.asarray((begins[..., None] + (levels - begins)[..., None] * part).reshape(len(levels), -1))


def tones(logs: np.ndarray, octaves: np.ndarray) -> np.ndarray:
    """The harmonics, [hops · 192]; phases in whole numbers, the rest in double precision."""
    step = steps_of(octaves)
    ends = quarter_ends(step)
    turns = phases(int(step[0]), ends)
    amplitude = np.exp(np.clip(logs, LOWEST_LOG, HIGHEST_LOG)) * (logs > LEVEL_OFF)
    older = np.pad(amplitude, ((0, 0), (1, 0)))[:, :-1]
    q = np.arange(1, QUARTERS + 1) / QUARTERS
    between = (older[..., None] + (amplitude - older)[..., None] * q).reshape(len(logs), -1)
    order = np.arange(1, len(logs) + 1)
    levels = _ramped(between * fade(ends[None] * order[:, None]))
    total = np.zeros(len(turns))
    for k, level in zip(order, levels, strict=True):
        total += level * np.sin(2 * np.pi * ((turns * k) & 0xFFFFFFFF) / TURN)
    return total


def hiss(c: BankConstants, logs: np.ndarray) -> np.ndarray:
    """The noise, [hops · 192]."""
    logs = np.clip(logs, NOISE_LOWEST, NOISE_HIGHEST)
    older = np.pad(logs, ((0, 0), (1, 0)), constant_values=NOISE_LOWEST)[:, :-1]
    q = np.arange(1, QUARTERS + 1) / QUARTERS
    between = (older[..., None] + (logs - older)[..., None] * q).reshape(len(logs), -1)
    gains = _ramped(np.exp(between) * (between > NOISE_OFF))
    samples = gains.shape[1]
    start = int(hash32(np.array([c.seed * GOLDEN % 2**32]))[0])
    words = hash32((np.arange(1 - TAPS, samples) + start) % 2**32).astype(np.int32)
    x = (words >> (32 - NOISE_BITS)) / 2.0 ** (NOISE_BITS - 1)
    size = 1 << int(np.ceil(np.log2(len(x) + TAPS)))
    spectrum = np.fft.rfft(x, size)
    total = np.zeros(samples)
    for taps, gain in zip(c.filters, gains, strict=True):
        total += gain * np.fft.irfft(spectrum * np.fft.rfft(taps, size), size)[TAPS - 1 : TAPS - 1 + samples]
    return total


def sound(c: BankConstants, numbers: np.ndarray, control: np.ndarray) -> np.ndarray:
    """The whole sound, [hops · 192], of numbers [K + B, hops] and a control [C, hops]."""
    level = (control[2] * LOUDNESS_DB - LOUDNESS_DB) * LOG_PER_DB
    return tones(numbers[: c.harmonics] + level, control[0]) + hiss(c, numbers[c.harmonics :] + level)


@family(HarmonicBank=BankAttributes)
class HarmonicBank(Family):
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
        return Work("harmonic_bank", calls=0)
