"""The rhythm VAE: 32 steps × 9 voices × (onset, velocity, microtiming).

The decoder is an event graph: one evaluation per pattern, ``z [1, Nz, 1]`` and ``attributes [1, 6, 1]`` to
``pattern [1, 27, 32]``. A layer mixes the inputs, a transposed convolution lays out 8 places, two more halve
the step twice, and a last convolution writes the 27 channels: onset probabilities, velocities in 0..1,
microtiming in ±0.5 step.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from train.models.blocks import SLOPE
from train.models.voices import VOICES

STEPS = 32

PLACES = 8


@dataclass(frozen=True)
class RhythmShape:
    """Sizes of a rhythm VAE; channels in multiples of 4.

    Attributes
    ----------
    latents, attributes : int
        Sizes of the two inputs.
    hidden : int
        Width of the layer that mixes the inputs.
    channels : int
        Width of the rest of the decoder.
    encoder : int
        Width of the encoder, which is generous: it stays on the desktop, and a poor one wastes the latents.
    """

    latents: int = 16
    attributes: int = 6
    hidden: int = 64
    channels: int = 48
    encoder: int = 96


class RhythmDecoder(nn.Module):
    """``z [N, Nz, 1]``, ``attributes [N, 6, 1]`` to ``pattern [N, 27, 32]``."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        c = shape.channels
        self.body = nn.Sequential(
            nn.Conv1d(shape.latents + shape.attributes, shape.hidden, 1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose1d(shape.hidden, c, PLACES, stride=PLACES),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(c, c, 3, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose1d(c, c, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.ConvTranspose1d(c, c, 4, stride=2, padding=1),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(c, 3 * len(VOICES), 5, padding=2),
        )

    def logits(self, z: Tensor, attributes: Tensor) -> Tensor:
        """Everything before the output laws."""
        return self.body(torch.cat([z, attributes], 1))

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The pattern."""
        onset, velocity, micro = self.logits(z, attributes).split(len(VOICES), 1)
        return torch.cat([torch.sigmoid(onset), torch.sigmoid(velocity), torch.tanh(micro) * 0.5], 1)


class RhythmEncoder(nn.Module):
    """``pattern [N, 27, 32]`` to ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        c = shape.encoder
        self.body = nn.Sequential(
            nn.Conv1d(3 * len(VOICES), c, 5, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(c, c, 5, stride=2, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(c, c, 5, stride=2, padding=2),
            nn.LeakyReLU(SLOPE),
        )
        self.head = nn.Sequential(
            nn.Linear(c * STEPS // 4, 4 * c),
            nn.LeakyReLU(SLOPE),
            nn.Linear(4 * c, 2 * c),
            nn.LeakyReLU(SLOPE),
            nn.Linear(2 * c, 2 * shape.latents),
        )

    def forward(self, pattern: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each pattern."""
        mean, log_variance = self.head(self.body(pattern).flatten(1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


class RhythmVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        self.shape = shape
        self.encoder = RhythmEncoder(shape)
        self.decoder = RhythmDecoder(shape)
