"""The plain VAE of Kingma and Welling (2014) on 8×8 digits: it shows that the method is right."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

PIXELS = 64


@dataclass(frozen=True)
class DigitsShape:
    """Sizes of the digits VAE."""

    latents: int = 4
    hidden: int = 128


class DigitsEncoder(nn.Module):
    """Images ``[N, 64, 1]`` to ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: DigitsShape):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(PIXELS, shape.hidden), nn.ReLU(), nn.Linear(shape.hidden, 2 * shape.latents)
        )

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each image."""
        mean, log_variance = self.body(images.flatten(1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


class DigitsDecoder(nn.Module):
    """``z [N, latents, 1]`` to ink ``[N, 64, 1]`` in 0..1."""

    def __init__(self, shape: DigitsShape):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(shape.latents, shape.hidden, 1), nn.ReLU(), nn.Conv1d(shape.hidden, PIXELS, 1)
        )

    def logits(self, z: Tensor) -> Tensor:
        """Before the sigmoid."""
        return self.body(z)

    def forward(self, z: Tensor) -> Tensor:
        """Ink."""
        return self.logits(z).sigmoid()


class DigitsVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: DigitsShape):
        super().__init__()
        self.shape = shape
        self.encoder = DigitsEncoder(shape)
        self.decoder = DigitsDecoder(shape)
