"""The sound of a struck drum: modes, banded noise and a transient, by what a network says of one hit.

The domain operator ``HitSound`` stands last in a drum's graph. Here is its definition in numpy; the engine
plays it frame by frame (``engine/dsp/modes.h``, ``bands.h``), and keeps to it while those numbers rest.
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

FRAME = 48  # VK_HIT_FRAME of engine/dsp/modes.h
TAPS = 128  # VK_BAND_TAPS of engine/dsp/bands.h
MOST_MODES, MOST_BANDS, MOST_GAINS, MOST_TRANSIENT = 64, 64, 1280, 512  # bands.h, modes.h, instruments/hit.h
EVALUATION_TICKS, RESTING_TICKS = 96, 108
"""In which the network is asked once, for a hit, which waits for it, and else: engine/instruments/hit.h."""
NOISE_BITS = 10
GOLDEN = 0x9E3779B9
INPUTS = ("modes", "glide", "noise", "transient")
CONSTANTS = ("anchors", "spreads", "filters", "grid", "fade")


@dataclass(frozen=True)
class HitAttributes(Attributes):
    """The first ``gliding`` modes glide; ``samples`` is the length, ``seed`` which noise it makes."""

    gliding: int
    samples: int
    seed: int


@dataclass(frozen=True)
class HitConstants:
    """What the engine needs beside the network's numbers.

    Attributes
    ----------
    anchors_hz, spreads : ndarray, shape (modes,)
        Middle frequencies, and the log ratio by which a mode may leave them.
    filters : ndarray, shape (bands, 128)
        Symmetric impulse responses.
    grid_frames : ndarray of int, shape (points,)
        Where in time the noise's gains are told; milliseconds.
    fade : ndarray, shape (transient samples,)
    gliding, seed : int
    """

    anchors_hz: np.ndarray
    spreads: np.ndarray
    filters: np.ndarray
    grid_frames: np.ndarray
    fade: np.ndarray
    gliding: int
    seed: int

    @property
    def channels(self) -> dict[str, int]:
        """Channels of each of the network's outputs."""
        points, bands = len(self.grid_frames), len(self.filters)
        return {
            "modes": 5 * len(self.anchors_hz),
            "glide": 2,
            "noise": points * bands,
            "transient": len(self.fade),
        }


def constants_of(node: Node) -> HitConstants:
    """Return the constants of a ``HitSound`` node."""
    a = node.attributes_as(HitAttributes)
    real = {name: node.constants[name].real for name in CONSTANTS}
    return HitConstants(
        real["anchors"],
        real["spreads"],
        real["filters"],
        real["grid"].astype(np.int64),
        real["fade"],
        a.gliding,
        a.seed,
    )


@reader("HitSound")
def read_hit_sound(builder: Builder, node: OnnxNode) -> None:
    """Check the constants, and that the network has so many numbers for them."""
    constants = dict(zip(CONSTANTS, (builder.const(n).real for n in node.input[4:]), strict=True))
    filters = constants["filters"]
    if filters.ndim != 3 or filters.shape[1] != 1:
        raise Refusal(f"its filters have the shape {list(filters.shape)}; give [bands, 1, {TAPS}].")
    constants = {k: v[:, 0] if k == "filters" else v.reshape(-1) for k, v in constants.items()}
    attrs = HitAttributes(*(int(node.attributes[name]) for name in ("gliding", "samples", "seed")))
    _check(constants, attrs)
    result = builder.add_node(
        "HitSound",
        (sources := [builder.canonical(name) for name in node.input[:4]]),
        channels=1,
        length=attrs.samples,
        hint=node.output[0],
        attrs=attrs,
        constants={name: Constant(value) for name, value in constants.items()},
    )
    wanted = constants_of(builder.nodes[-1]).channels
    for name, source in zip(INPUTS, sources, strict=True):
        channels, length = builder.shapes[source][1:]
        if (channels, length) != (wanted[name], 1):
            raise Refusal(
                f"its {name} has the shape [1, {channels}, {length}], and its constants ask for "
                f"[1, {wanted[name]}, 1]."
            )
    builder.result(node, result)


def _check(constants: dict[str, np.ndarray], attrs: HitAttributes) -> None:
    """Refuse what the engine has no room or no code for."""
    modes, grid, fade = len(constants["anchors"]), constants["grid"], constants["fade"]
    bands, taps = constants["filters"].shape
    if not all(np.all(np.isfinite(v)) for v in constants.values()):
        raise Refusal("one of its constants is not finite.")
    if len(constants["spreads"]) != modes or not 4 <= modes <= MOST_MODES or modes % 4:
        raise Refusal(
            f"it has {modes} anchors and {len(constants['spreads'])} spreads; give as many of both, a "
            f"multiple of 4 up to {MOST_MODES}."
        )
    if not 0 <= attrs.gliding <= modes or attrs.gliding % 4:
        raise Refusal(f"{attrs.gliding} of its {modes} modes glide; give a multiple of 4.")
    if taps != TAPS or bands % 4 or not 4 <= bands <= MOST_BANDS:
        raise Refusal(f"it has {bands} bands of {taps} taps; give a multiple of 4 of {TAPS} taps each.")
    if not np.allclose(constants["filters"], constants["filters"][:, ::-1], atol=1e-6):
        raise Refusal("its filters are not symmetric.")
    whole = np.array_equal(grid, np.rint(grid)) and len(grid) > 1 and grid[0] == 0
    if not whole or np.any(np.diff(grid) <= 0) or grid[-1] * FRAME != attrs.samples:
        raise Refusal(
            f"its grid must rise from 0 in whole milliseconds to the end of its {attrs.samples} samples."
        )
    if len(grid) * bands > MOST_GAINS or not 1 <= len(fade) <= MOST_TRANSIENT:
        raise Refusal(
            f"it tells {len(grid) * bands} gains and a transient of {len(fade)} samples; the engine has room "
            f"for {MOST_GAINS} and {MOST_TRANSIENT}."
        )


def hit_noise(seed: int, hit: int, samples: int, before: int) -> np.ndarray:
    """The noise of one hit from `before` samples ahead of it, in [−1, 1), of 10 bits."""
    start = int(hash32(np.array([(seed * GOLDEN + hit) % 2**32]))[0])
    words = hash32((np.arange(-before, samples) + start) % 2**32).astype(np.int32)
    return (words >> (32 - NOISE_BITS)) / 2.0 ** (NOISE_BITS - 1)


def tones(c: HitConstants, modes: np.ndarray, glide: np.ndarray, samples: int) -> np.ndarray:
    """The modes in closed form, in double precision.

    Parameters
    ----------
    modes : ndarray, shape (5 · modes,)
        Rows of frequency, decay, level, cosine and sine of the start phase.
    glide : ndarray, shape (2,)
        Amount and time.
    """
    frequency, decay, level, cosine, sine = modes.reshape(5, -1)
    hz = c.anchors_hz * np.exp(np.tanh(frequency) * c.spreads)
    tau = 0.06 * np.exp(np.tanh(decay * 0.5) * 3.2)
    amplitude = np.exp(np.clip(level, -12.0, 1.5)) * (level > -11.49)
    amplitude /= np.sqrt(cosine**2 + sine**2 + 1e-8)
    amount, seconds = np.exp(np.clip(glide[0], -6.0, 3.0) - 1.5), 0.025 * np.exp(np.tanh(glide[1]) * 1.6)
    t = np.arange(samples) / SAMPLE_RATE_HZ
    warped = t + amount * seconds * (1.0 - np.exp(-t / seconds))
    total = np.zeros(samples)
    for k in range(len(hz)):
        angle = 2 * np.pi * hz[k] * (warped if k < c.gliding else t)
        total += amplitude[k] * np.exp(-t / tau[k]) * (np.sin(angle) * cosine[k] + np.cos(angle) * sine[k])
    return total


def banded_noise(c: HitConstants, logs: np.ndarray, samples: int, hit: int = 0) -> np.ndarray:
    """Noise in bands; `logs` are the gains' natural logs, point by point, shape (points · bands,)."""
    logs = np.clip(logs.reshape(len(c.grid_frames), -1), -12.0, 2.5)
    frames = np.arange(samples // FRAME + 1)
    between = np.stack([np.interp(frames, c.grid_frames, column) for column in logs.T])
    gains = np.exp(between) * (between > -11.9)
    x = hit_noise(c.seed, hit, samples, TAPS - 1)
    size = 1 << int(np.ceil(np.log2(len(x) + TAPS)))
    spectrum = np.fft.rfft(x, size)
    part = np.arange(FRAME) / FRAME
    total = np.zeros(samples)
    for taps, gain in zip(c.filters, gains, strict=True):
        band = np.fft.irfft(spectrum * np.fft.rfft(taps, size), size)[TAPS - 1 : TAPS - 1 + samples]
        total += (gain[:-1, None] + (gain[1:] - gain[:-1])[:, None] * part).ravel() * band
    return total


def sound(c: HitConstants, numbers: dict[str, np.ndarray], samples: int, hit: int = 0) -> np.ndarray:
    """Sum of all parts, shape (samples,); `numbers` by the names of ``INPUTS``, one dimension each."""
    total = tones(c, numbers["modes"], numbers["glide"], samples)
    total += banded_noise(c, numbers["noise"], samples, hit)
    length = min(samples, len(c.fade))
    total[:length] += (numbers["transient"] * c.fade)[:length]
    return total


def frame_work(c: HitConstants) -> tuple[Work, ...]:
    """What a frame of 48 samples of one sounding hit costs."""
    return (
        Work("modes_frame", outputs=len(c.anchors_hz), macs=c.gliding),
        Work("bands_frame", outputs=len(c.filters)),
    )


def meaning_work(c: HitConstants) -> Work:
    """What it costs to work out what the numbers of one evaluation mean."""
    return Work("modes_decode", outputs=len(c.anchors_hz))


@family(HitSound=HitAttributes)
class HitSound(Family):
    """Always last, and taken out of the graph before any C is written (``passes/split_sound.py``)."""

    def produce(self, node: Node) -> int:
        """The whole sound of one event."""
        return node.attributes_as(HitAttributes).samples

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Fixed."""
        return node.attributes_as(HitAttributes).samples

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The definition."""
        numbers = {name: value[:, 0] for name, value in zip(INPUTS, inputs, strict=True)}
        return sound(constants_of(node), numbers, node.attributes_as(HitAttributes).samples)[None]

    def work(self, node: Node, graph: Graph) -> Work:
        """Nothing within the network: the instrument that plays it counts it."""
        return Work("hit_sound", calls=0)
