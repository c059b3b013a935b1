"""Sizes of an expression, what it is told of a frame, and what its answers mean.

frame    192 samples, as of a voice
told     latents of the voice; octaves above 220 Hz; octaves from the last note to this one; velocity, −1 … 1;
         gate; exp(−age / a) for six ages a since the gate rose; exp(−time / s) for three since it fell, 0
         before; one of four events, none of them where nobody says; three noises, smooth and each slower
answers  loudness, (dB + 40) / 40, as a voice is told it; pitch beside the note's, in 50 cents; breath, the
         log gain of the noise beside what the voice says of it
"""

from __future__ import annotations

from dataclasses import dataclass

from train.models.voice.shape import AGES_S, HOP

EVENTS = ("pluck", "bow", "blow", "strike")
SINCE_S = (0.03, 0.1, 0.3)
CURVES = ("loudness", "cents", "breath")
NOISE_S = (0.03, 0.1, 0.4)
"""Time constants of the channels of noise, each smoothed twice: nothing that plays a note jumps."""
NOISES = len(NOISE_S)
CENTS = 50.0
CLOCKS = ("gate", *(f"age_{age:g}" for age in AGES_S), *(f"since_{since:g}" for since in SINCE_S))
NOTE = ("pitch", "interval", "velocity")
SEEN_FRAMES, SEEN_EVERY = 64, 8
"""What the encoder reads: every eighth frame of two seconds."""
SEEN = len(CURVES) + 3


def told_names(voice_latents: int) -> tuple[str, ...]:
    """Channels of what an expression is told, in their order."""
    return (
        *(f"z{i + 1}" for i in range(voice_latents)),
        *NOTE,
        *CLOCKS,
        *EVENTS,
        *(f"noise_{i + 1}" for i in range(NOISES)),
    )


@dataclass(frozen=True)
class ExpressionShape:
    """Sizes of the networks; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Of how a note is played, beside all that is told.
    voice_latents : int
        Of the voice it is trained for.
    width : int
        Channels.
    kernels : tuple of int
        Taps of the residuals, one each.
    encoder : int
        Channels of the encoder.
    """

    latents: int = 2
    voice_latents: int = 8
    width: int = 32
    kernels: tuple[int, ...] = (1, 1, 1)
    encoder: int = 24

    @property
    def told(self) -> int:
        """Channels of what it is told."""
        return len(told_names(self.voice_latents))

    @property
    def macs_per_sample(self) -> float:
        """Multiplications, per sample."""
        w = self.width
        return (w * (self.latents + self.told) + sum(self.kernels) * w * w + w * len(CURVES)) / HOP
