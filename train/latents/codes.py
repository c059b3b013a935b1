"""Nested codes of latents: one of a book, then one of the next book for what is left, and so on.

The codes of the first book lie on a square map. They learn as a self-organising map does (Kohonen 1982):
whoever is nearest draws its neighbours along, ever fewer of them, so that codes side by side are alike. All
books follow the means of what falls to them (van den Oord et al. 2017, appendix A.1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

LAST_REACH = 0.3
"""Of the map's pull, in codes: the nearest neighbours still get 0.4 % of it."""


class Codes(nn.Module):
    """Books of codes.

    Parameters
    ----------
    latents : int
        Size of z.
    side : int
        Codes along an edge of the map; a book has the square of it.
    stages : int
        Books.
    """

    counts: Tensor
    idle: Tensor
    grid: Tensor

    def __init__(self, latents: int, side: int, stages: int):
        super().__init__()
        size = side * side
        self.side = side
        self.books = nn.Parameter(0.1 * torch.randn(stages, size, latents), requires_grad=False)
        self.register_buffer("counts", torch.ones(stages, size))
        self.register_buffer("idle", torch.zeros(stages, size, dtype=torch.int64))
        places = torch.arange(size)
        self.register_buffer("grid", torch.stack([places % side, places // side], 1).float())

    @property
    def decoder(self) -> Codes:
        """What the model file holds: all of it."""
        return self

    def nearest(self, z: Tensor, stage: int) -> Tensor:
        """Numbers ``[M]`` of the codes of a book that are nearest to ``z [M, Z]``."""
        book = self.books[stage]
        return (z @ book.T - 0.5 * (book**2).sum(1)).argmax(1)

    def indices(self, z: Tensor) -> Tensor:
        """Numbers ``[M, S]`` of the codes that say ``z [M, Z]``."""
        found = []
        for stage in range(len(self.books)):
            found.append(self.nearest(z, stage))
            z = z - self.books[stage][found[-1]]
        return torch.stack(found, 1)

    def said(self, indices: Tensor) -> Tensor:
        """What codes ``[M, S]`` of the first S books say, ``[M, Z]``: the sum of their rows."""
        return sum((self.books[s][indices[:, s]] for s in range(indices.shape[1])), torch.zeros(()))

    def forward(self, latent: Tensor) -> tuple[Tensor, Tensor]:
        """``latent [1, Z, T]`` as the codes say it, and their numbers ``[1, S, T]``."""
        rows = latent[0].T
        found = self.indices(rows)
        return self.said(found).T[None], found.T[None].float()

    @torch.no_grad()
    def learn(self, z: Tensor, decay: float, reach: float, patience: int) -> Tensor:
        """Follow the means of ``z [M, Z]``; give the squared error that the books leave, ``[M]``.

        Parameters
        ----------
        decay : float
            Part of what was known that stays.
        reach : float
            How far over the map a code draws its neighbours along, in codes.
        patience : int
            Steps after which a code that nothing fell to is put where something is badly said.
        """
        left = z
        for stage, book in enumerate(self.books):
            found = self.nearest(left, stage)
            hits = torch.zeros(len(book)).index_add_(0, found, torch.ones(len(z)))
            sums = torch.zeros_like(book).index_add_(0, found, left)
            pulled, drawn = hits, sums
            if stage == 0 and reach > LAST_REACH:
                pull = torch.exp(-0.5 * (torch.cdist(self.grid, self.grid) / reach) ** 2)
                pulled, drawn = pull @ hits, pull @ sums
            kept = decay * self.counts[stage]
            total = kept + (1 - decay) * pulled
            moved = kept[:, None] * book + (1 - decay) * drawn
            book.copy_(moved / total.clamp_min(1e-6)[:, None])
            self.counts[stage] = total
            self.idle[stage] = torch.where(hits > 0, 0, self.idle[stage] + 1)
            left = left - book[found]
            self._revive(stage, left, found, patience)
        return (left**2).sum(1)

    def _revive(self, stage: int, left: Tensor, found: Tensor, patience: int) -> None:
        """Put a dead code beside the one whose frames are said worst; on the map, a neighbour."""
        dead = torch.nonzero(self.idle[stage] >= patience)[:, 0]
        if not len(dead):
            return
        book, error = self.books[stage], (left**2).sum(1)
        owed = torch.zeros(len(book)).index_add_(0, found, error)
        for one in dead.tolist():
            near = torch.ones(len(book), dtype=torch.bool)
            if stage == 0:
                near = (self.grid - self.grid[one]).abs().amax(1) <= 2
            worst = int(torch.where(near, owed, -1.0).argmax())
            mine = torch.nonzero(found == worst)[:, 0]
            if len(mine):
                far = mine[error[mine].argmax()]
                book[one] = book[worst] + 0.5 * left[far]
            owed[worst] *= 0.5
            self.counts[stage][one] = self.counts[stage].mean()
            self.idle[stage][one] = 0
