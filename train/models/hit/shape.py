"""Sizes and constants of the per-hit drum; those that the engine needs travel in the model file.

The network (``control.py``) answers in raw numbers; this is what they mean to the sound (``sound.py``):

    modes      5 rows of ``modes`` numbers: frequency fr, decay de, level le, cosine co, sine si
    f          anchor · exp(tanh(fr) · spread)                    Hz
    τ          exp(tanh(de / 2) · 3.2 + ln 0.06)                  s
    A          exp(clamp(le, −12, 1.5)); 0 where le ≤ −11.49
    glide      a = exp(clamp(g0, −6, 3) − 1.5),  tg = exp(tanh(g1) · 1.6 + ln 0.025) s
    noise      natural log of the gain of every band at every point of the time grid, grid-major:
               number g · bands + b; clamped to −12 … 2.5 and 0 where ≤ −11.9
    transient  ``transient`` samples
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES

FRAME = 48  # samples in which the engine holds an envelope straight
FRAMES_PER_S = SAMPLE_RATE_HZ // FRAME
WINDOW_S = 2.0  # when a voice ends

DECAY_SPAN, DECAY_MIDDLE_S = 3.2, 0.06
LEVEL_LOWEST, LEVEL_OFF, LEVEL_HIGHEST = -12.0, -11.49, 1.5
GLIDE_LOWEST, GLIDE_HIGHEST, GLIDE_OFFSET = -6.0, 3.0, -1.5
GLIDE_TIME_SPAN, GLIDE_TIME_MIDDLE_S = 1.6, 0.025
NOISE_LOWEST, NOISE_OFF, NOISE_HIGHEST = -12.0, -11.9, 2.5

# Every millisecond of the stroke, every two up to where the bursts of a clap are, then by ratio.
GRID_MS = (
    *(0, 1, 2, 3, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30, 32, 34, 36, 38, 40),
    *(50, 63, 80, 101, 127, 160, 201, 253, 319, 402, 506, 636, 801, 1008, 1268, 1595, 2000),
)


@dataclass(frozen=True)
class HitShape:
    """Sizes of the per-hit drum; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    attributes : tuple of str
        Continuous knobs beside the classes.
    gliding, static : int
        Modes whose frequency glides, and those whose does not.
    bands, taps : int
        Bands of noise, and the length of each one's filter.
    transient : int
        Samples of the transient.
    trunk : tuple of int
        Channels of the layers that all heads share.
    noise_rank, transient_rank : int
        Numbers that the noise's gains and the transient are made of.
    encoder : int
        Channels of the encoder.
    looks : int
        How often the encoder mends its draft by what it would play.
    """

    latents: int = 16
    attributes: tuple[str, ...] = ("brightness", "decay")
    gliding: int = 12
    static: int = 52
    bands: int = 32
    taps: int = 128
    transient: int = 512
    trunk: tuple[int, ...] = (128, 160)
    noise_rank: int = 48
    transient_rank: int = 32
    encoder: int = 64
    looks: int = 2

    @property
    def knobs(self) -> list[str]:
        """Names of the knob channels, in order."""
        return [f"class:{name}" for name in CLASSES] + list(self.attributes)

    @property
    def modes(self) -> int:
        """All modes; the gliding ones come first."""
        return self.gliding + self.static

    @property
    def grid_ms(self) -> tuple[int, ...]:
        """Where in time the noise's gains are told, whole milliseconds from 0 to the end of the window."""
        return GRID_MS

    @cached_property
    def anchors_hz(self) -> np.ndarray:
        """Middle frequency of every mode's slot, float32 [modes]."""
        return np.concatenate(
            [np.geomspace(30.0, 900.0, self.gliding), np.geomspace(250.0, 14_000.0, self.static)]
        ).astype(np.float32)

    @cached_property
    def spreads(self) -> np.ndarray:
        """How far a mode may leave its anchor, natural log of the ratio, float32 [modes]."""
        low = np.log(900.0 / 30.0) / (self.gliding - 1)
        high = np.log(14_000.0 / 250.0) / (self.static - 1)
        return (1.2 * np.repeat([low, high], [self.gliding, self.static])).astype(np.float32)
