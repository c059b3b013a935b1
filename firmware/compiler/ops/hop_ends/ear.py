"""What a texture's encoder hears: log-mel bands and the loudness of every hop.

The domain operator ``Ear`` stands first in an encoder's graph. Here is its definition in numpy; the engine
plays it (``engine/dsp/ear.h``), and the compiler writes what follows it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Window, Work, family, reader
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode

HOP, SIZE, LOUDNESS_SIZE = 256, 1024, 768
"""VK_HOP, VK_EAR_SIZE and VK_EAR_LOUDNESS of engine/dsp/ear.h."""
MOST_BANDS = 64
BAND_FLOOR, BAND_MIDDLE, BAND_SCALE = 1e-7, 7.0, 0.2
LOUDNESS_FLOOR, LOUDNESS_MIDDLE, LOUDNESS_SCALE = 1e-8, 8.0, 0.5
CLOSE = 1e-6


@dataclass(frozen=True)
class EarConstants:
    """What the engine needs to hear.

    Attributes
    ----------
    bank : ndarray, shape (bands, 513)
        Shares of the bins; a bin is in two neighbouring bands at most.
    weight : ndarray, shape (768,)
        Of the squares of the newest samples.
    """

    bank: np.ndarray
    weight: np.ndarray


def constants_of(node: Node) -> EarConstants:
    """Return the constants of an ``Ear`` node."""
    return EarConstants(node.constants["bank"].real, node.constants["weight"].real)


def neighbours(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """The lower band of every bin, and its shares in that and the next; None where there are more.

    Parameters
    ----------
    shares : ndarray, shape (bands, bins)
    """
    bands, bins = shares.shape
    band = np.minimum((shares != 0).argmax(axis=0), bands - 2)
    at = np.arange(bins)
    lower, upper = shares[band, at], shares[band + 1, at]
    rest = shares.copy()
    rest[band, at] = rest[band + 1, at] = 0
    return None if np.any(rest) else (band, lower, upper)


@reader("Ear")
def read_ear(builder: Builder, node: OnnxNode) -> None:
    """Check the constants."""
    source = builder.canonical(node.input[0])
    window, bank, weight = (builder.const(name).real for name in node.input[1:])
    channels, length = builder.shapes[source][1:]
    if channels != 1:
        raise Refusal(f"it hears one channel, and its input has {channels}.")
    if int(node.attributes["hop"]) != HOP:
        raise Refusal(f"its hop is {node.attributes['hop']}; the engine hears every {HOP} samples.")
    if window.shape != (SIZE,) or np.abs(window - leaning_window()).max() > CLOSE:
        raise Refusal(
            f"its window is not the leaning one of {SIZE} samples, and the engine has no other; "
            "a texture of before 2026-12 must be trained again."
        )
    if weight.shape != (LOUDNESS_SIZE,):
        raise Refusal(f"its weight has the shape {list(weight.shape)}; give [{LOUDNESS_SIZE}].")
    check_bands(bank, SIZE // 2 + 1, "bank")
    result = builder.add_node(
        "Ear",
        [source],
        channels=len(bank) + 1,
        length=length // HOP,
        hint=node.output[0],
        attrs=Attributes(),
        constants={"bank": Constant(bank), "weight": Constant(weight)},
    )
    builder.result(node, result)


def check_bands(shares: np.ndarray, bins: int, name: str) -> None:
    """Refuse bands that the engine has no room or no code for."""
    if shares.ndim != 2 or shares.shape[1] != bins or not np.all(np.isfinite(shares)):
        raise Refusal(f"its {name} has the shape {list(shares.shape)}; give [bands, {bins}].")
    if len(shares) % 4 or not 4 <= len(shares) <= MOST_BANDS:
        raise Refusal(f"it has {len(shares)} bands; give a multiple of 4 up to {MOST_BANDS}.")
    if neighbours(shares) is None:
        raise Refusal(f"a bin of its {name} lies in more than two neighbouring bands; make them triangles.")


def framed(x: np.ndarray, size: int) -> np.ndarray:
    """The newest ``size`` samples at the end of every hop, [frames, size]."""
    frames = len(x) // HOP
    past = np.concatenate([np.zeros(size - HOP), x[: frames * HOP]])
    return np.lib.stride_tricks.sliding_window_view(past, size)[::HOP]


@family(Ear=Attributes)
class Ear(Family):
    """Always first, and taken out of the graph before any C is written (``passes/split_sound.py``)."""

    def windows(self, node: Node) -> tuple[Window, ...]:
        """It waits for the newest of its samples."""
        return (Window(HOP, 0, HOP - 1),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Whole hops."""
        return lengths[0] // HOP

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The definition."""
        return heard(constants_of(node), inputs[0][0])

    def work(self, node: Node, graph: Graph) -> Work:
        """Nothing within the network: the instrument that hears with it counts it."""
        return Work("ear", calls=0)


def leaning_window() -> np.ndarray:
    """Zeros, half a Hann window of 1024, half a one of 512: float64 [1024]."""
    rise = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE // 2) / SIZE)
    fall = 0.5 + 0.5 * np.cos(4 * np.pi * np.arange(SIZE // 4) / SIZE)
    return np.concatenate([np.zeros(SIZE // 4), rise, fall])


def heard(constants: EarConstants, x: np.ndarray) -> np.ndarray:
    """Bands and loudness of a signal, [bands + 1, frames]."""
    power = constants.bank @ (np.abs(np.fft.rfft(framed(x, SIZE) * leaning_window())) ** 2).T
    square = framed(x, LOUDNESS_SIZE) ** 2 @ constants.weight
    bands = (np.log(power + BAND_FLOOR) + BAND_MIDDLE) * BAND_SCALE
    loudness = (np.log(square + LOUDNESS_FLOOR) + LOUDNESS_MIDDLE) * LOUDNESS_SCALE
    return np.concatenate([bands, loudness[None]])
