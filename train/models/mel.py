"""The mel VAE: a log-mel picture of a second of sound in, the same picture out, through a few numbers.

    picture ─ three times conv /2 ─ linear ─ z ─ conv up ×T/8 ─ three times (conv ─ conv up ×2) ─ picture

Bands are channels, so that all is one-dimensional over time. z belongs to the whole clip: one point for each
sound is what a map, a probe and a distance need. How much it says is its size: 80 bands × 96 frames through
4, 8, 16 or 32 numbers is a compression of 1,920 to 240.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

SLOPE = 0.125
STEPS = 8  # frames of the picture per frame of the innermost layer


@dataclass(frozen=True)
class MelShape:
    """Sizes of a mel VAE.

    Attributes
    ----------
    latents : int
        Size of z.
    mels, frames : int
        Of a picture; frames in multiples of 8.
    channels : int
        Width of both halves.
    """

    latents: int = 16
    mels: int = 80
    frames: int = 96
    channels: int = 128

    @property
    def compression(self) -> float:
        """Numbers of a picture per number of z."""
        return self.mels * self.frames / self.latents


class MelEncoder(nn.Module):
    """``picture [N, mels, frames]`` to the posterior's ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: MelShape):
        super().__init__()
        width = shape.channels
        layers: list[nn.Module] = []
        channels = shape.mels
        for _ in range(3):
            layers += [
                nn.Conv1d(channels, width, 6, stride=2, padding=2),
                nn.GroupNorm(4, width),
                nn.LeakyReLU(SLOPE),
            ]
            channels = width
        self.body = nn.Sequential(*layers)
        self.head = nn.Linear(width * (shape.frames // STEPS), 2 * shape.latents)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each picture."""
        mean, log_variance = self.head(self.body(picture).flatten(1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


class MelDecoder(nn.Module):
    """``z [N, latents, 1]`` to ``picture [N, mels, frames]``."""

    def __init__(self, shape: MelShape):
        super().__init__()
        width, places = shape.channels, shape.frames // STEPS
        layers: list[nn.Module] = [nn.ConvTranspose1d(shape.latents, width, places, stride=places)]
        for channels in (width, width, shape.mels):
            layers += [
                nn.LeakyReLU(SLOPE),
                nn.Conv1d(width, width, 3, padding=1),
                nn.LeakyReLU(SLOPE),
                nn.ConvTranspose1d(width, channels, 4, stride=2, padding=1),
            ]
        self.body = nn.Sequential(*layers)

    def forward(self, z: Tensor) -> Tensor:
        """The picture."""
        return self.body(z)


class MelVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: MelShape):
        super().__init__()
        self.shape = shape
        self.encoder = MelEncoder(shape)
        self.decoder = MelDecoder(shape)
