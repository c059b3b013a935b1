"""The envelope VAE: the smallest pair of networks that trains, exports and runs on a board."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

POINTS = 32


@dataclass(frozen=True)
class EnvelopeShape:
    """Sizes of the envelope VAE."""

    latents: int = 2
    hidden: int = 32


class EnvelopeEncoder(nn.Module):
    """Envelopes ``[N, 32, 1]`` to ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: EnvelopeShape):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(POINTS, shape.hidden), nn.ReLU(), nn.Linear(shape.hidden, 2 * shape.latents)
        )

    def forward(self, levels: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each envelope."""
        mean, log_variance = self.body(levels.flatten(1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


class EnvelopeDecoder(nn.Module):
    """``z [N, latents, 1]`` to levels ``[N, 32, 1]`` in 0..1.

    Only the decoder goes to the board: it may use the operators of docs/design.md, and nothing else.
    """

    def __init__(self, shape: EnvelopeShape):
        super().__init__()
        self.inlet = nn.Conv1d(shape.latents, shape.hidden, 1)
        self.outlet = nn.Conv1d(shape.hidden, POINTS, 1)

    def forward(self, z: Tensor) -> Tensor:
        """Levels."""
        return self.outlet(self.inlet(z).relu()).sigmoid()


class EnvelopeVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: EnvelopeShape):
        super().__init__()
        self.encoder = EnvelopeEncoder(shape)
        self.decoder = EnvelopeDecoder(shape)
