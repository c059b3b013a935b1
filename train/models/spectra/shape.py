"""Sizes of a spectral network, and what goes in and comes out.

hop        256 samples: the network answers 187.5 times a second
control    octaves above 220 Hz; exp(−age / a) for six ages a, the time since the note began
magnitudes log magnitudes on an axis of which a harmonic is four bins wide; the note's loudest moment is 0
"""

from __future__ import annotations

from dataclasses import dataclass

from common.audio import SAMPLE_RATE_HZ
from train.models.spectra.spsi import BINS, HOP

PER_HARMONIC = 4
"""Bins of the axis: so wide is a Hann window's lobe, whatever its size."""
PITCH_HZ = 220.0
LOWEST_OCTAVE, HIGHEST_OCTAVE = -2.5, 4.0
AGES_S = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0)
CONTROLS = ("pitch", *(f"age_{age:g}" for age in AGES_S))
LOWEST_LOG, HIGHEST_LOG = -10.0, 0.5
MOMENTS = 64
"""Of a note: every hop at first, then ever fewer, to two seconds."""
SCALE_HZ = SAMPLE_RATE_HZ * PER_HARMONIC / (BINS * 2)
"""Pitch at which a bin of the axis is as wide as one of the sound: 187.5 Hz."""
HOP_S = HOP / SAMPLE_RATE_HZ


@dataclass(frozen=True)
class SpectraShape:
    """Sizes of the networks; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    width : int
        Channels of the decoder.
    layers : int
        Its residuals.
    encoder : int
        Channels of the encoder.
    """

    latents: int = 8
    width: int = 112
    layers: int = 3
    encoder: int = 64

    @property
    def macs_per_sample(self) -> float:
        """Multiplications of the decoder, per sample."""
        inner = self.latents + len(CONTROLS) + self.layers * self.width + BINS
        return self.width * inner / HOP
