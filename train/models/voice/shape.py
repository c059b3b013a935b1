"""Sizes of a voice, and what the numbers of its network mean to the sound (``bank.py``).

frame      192 samples: the network answers 250 times a second
control    octaves above 220 Hz; octaves since the frame before, times 20; loudness, (dB + 40) / 40;
           gate; exp(−age / a) for six ages a, the time since the gate rose
harmonics  log amplitude of each, less the loudness: o + ℓ, ℓ = (40 · loudness − 40) · ln 10 / 20
noise      log gain of each band, less the loudness
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from common.audio import SAMPLE_RATE_HZ

HOP = 192
"""Samples of a frame."""
FRAMES_PER_S = SAMPLE_RATE_HZ // HOP
HARMONICS, BANDS, TAPS = 60, 24, 128
PITCH_HZ = 220.0
LOWEST_OCTAVE, HIGHEST_OCTAVE = -3.5, 4.5
BEND = 20.0
LOUDNESS_DB = 40.0
AGES_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CONTROLS = ("pitch", "bend", "loudness", "gate", *(f"age_{age:g}" for age in AGES_S))
LOG_PER_DB = math.log(10) / 20
FADE_FROM, FADE_TO = 0.42, 0.47
"""Of the sample rate: harmonics are whole below the one and gone above the other."""
LOWEST_LOG, HIGHEST_LOG = -14.0, 1.0
"""Of a harmonic; −14 is −122 dB and counts as nothing."""


@dataclass(frozen=True)
class VoiceShape:
    """Sizes of the networks; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    width : int
        Channels of the control network.
    dilations : tuple of int
        One residual each.
    encoder : int
        Channels of the encoder.
    """

    latents: int = 8
    width: int = 64
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    encoder: int = 96

    @property
    def answers(self) -> int:
        """Numbers that the network says of a frame."""
        return HARMONICS + BANDS

    @property
    def macs_per_sample(self) -> float:
        """Multiplications of the control network, per sample."""
        w = self.width
        return (w * (self.latents + len(CONTROLS)) + len(self.dilations) * 3 * w * w + w * self.answers) / HOP
