"""One middle for the latents of every class: its knob says what it is, and z which of its sounds."""

from __future__ import annotations

import torch
from torch import Tensor, nn

MEMORY = 0.97  # of a class's running mean, per hit of it


class ClassCentres(nn.Module):
    """Pull each class's latents to mean 0 and mean square 1.

    A batch has too few hits of a class to tell its mean, so running means are kept; the pull on a hit is the
    gradient of half their squares. With it, z at rest is every class's middle, and latents drawn without a
    thought to the class suit each.

    Parameters
    ----------
    classes, latents : int
        Sizes.
    """

    def __init__(self, classes: int, latents: int):
        super().__init__()
        self.register_buffer("means", torch.zeros(classes, latents))
        self.register_buffer("squares", torch.ones(classes, latents))
        self.means: Tensor
        self.squares: Tensor

    def forward(self, mean: Tensor, log_variance: Tensor, labels: Tensor, counted: Tensor) -> Tensor:
        """The pull, of posteriors ``[N, Z]``; only the ``counted`` hits are pulled and remembered."""
        variance = log_variance.exp()
        with torch.no_grad():
            for label in labels[counted].unique():
                rows = counted & (labels == label)
                kept = MEMORY ** int(rows.sum())
                self.means[label] = kept * self.means[label] + (1 - kept) * mean[rows].mean(0)
                square = (mean[rows] ** 2 + variance[rows]).mean(0)
                self.squares[label] = kept * self.squares[label] + (1 - kept) * square
        aside = mean * self.means[labels]
        wide = 0.25 * (mean**2 + variance) * (self.squares[labels] - 1)
        return ((aside + wide).sum(1) * counted).mean()
