"""The latent adversary of Fader networks: it reads the attributes off z; the encoder learns to hide them.

Lample et al., "Fader Networks" (NeurIPS 2017); on continuous attributes cut into quantile bins, Devis et
al., "Continuous descriptor-based control for deep audio synthesis" (arXiv 2302.13542).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F


class LatentAdversary(nn.Module):
    """Tell the quantile bin of every attribute from z: ``[N, Z]`` to logits ``[N, attributes, bins]``.

    Parameters
    ----------
    latents, attributes, bins, hidden : int
        Sizes.
    """

    def __init__(self, latents: int, attributes: int, bins: int, hidden: int):
        super().__init__()
        self.attributes, self.bins = attributes, bins
        self.body = nn.Sequential(
            nn.Linear(latents, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, hidden),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden, attributes * bins),
        )

    def forward(self, z: Tensor) -> Tensor:
        """Logits of the bins."""
        return self.body(z).reshape(-1, self.attributes, self.bins)

    def loss(self, z: Tensor, knobs: Tensor) -> Tensor:
        """Cross-entropy against the bins of ``knobs [N, attributes]`` in [−1, 1], in nats per attribute."""
        wanted = ((knobs + 1.0) * 0.5 * self.bins).long().clamp(0, self.bins - 1)
        return F.cross_entropy(self(z).flatten(0, 1), wanted.flatten())
