"""A prior: a small recurrent network that says which latents follow those that were, and how surely.

Latents rest, glide and jump, so that one Gaussian about what is expected fits none of the three. Each latent
has two, as in mixture density networks (Bishop 1994): one for going on, one for whatever else happens.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WAYS = 2
"""Gaussians of each latent."""
WIDEST = 4.0
"""Standard deviation that a network can say at most."""
NARROWEST = 0.004
HALF_LOG_TAU = 0.9189385332046727


@dataclass(frozen=True)
class Expectation:
    """What is said of the next frame.

    Attributes
    ----------
    middle, spread : Tensor, shape (…, 2, Z)
        Of both Gaussians.
    share : Tensor, shape (…, Z)
        Chance of the first.
    """

    middle: Tensor
    spread: Tensor
    share: Tensor

    def surprise(self, z: Tensor) -> Tensor:
        """Negative log-likelihood of what came, ``[…, Z]`` in nats."""
        away = (z[..., None, :] - self.middle) / self.spread
        each = -0.5 * away**2 - torch.log(self.spread) - HALF_LOG_TAU
        chances = torch.stack([self.share, 1.0 - self.share], -2)
        return -torch.logsumexp(each + torch.log(chances.clamp_min(1e-6)), -2)

    def drawn(self, chance: Tensor, noise: Tensor, temperature: Tensor | float = 1.0) -> Tensor:
        """A frame ``[…, Z]`` by even numbers 0 … 1 and normal ones of its shape.

        The temperature scales the spreads alone: which of both Gaussians it is stays as likely, so that a
        cool prior still leaves where it rests.
        """
        first = chance < self.share
        middle = torch.where(first, self.middle[..., 0, :], self.middle[..., 1, :])
        spread = torch.where(first, self.spread[..., 0, :], self.spread[..., 1, :])
        return middle + temperature * spread * noise


def expectation(z: Tensor, steps: Tensor, chances: Tensor) -> Expectation:
    """Read a network's answer about the frame after ``z [N, …, Z]``.

    Parameters
    ----------
    steps : Tensor, shape (N, …, 2 Z)
        From z to the middles.
    chances : Tensor, shape (N, …, 3 Z)
        0 … 1: both spreads over :data:`WIDEST`, and the share.
    """
    count = z.shape[-1]
    middle = z[..., None, :] + steps.unflatten(-1, (WAYS, count))
    spread = chances[..., : WAYS * count].unflatten(-1, (WAYS, count)) * WIDEST + NARROWEST
    return Expectation(middle, spread, chances[..., WAYS * count :])


class Prior(nn.Module):
    """The network as it is trained: a whole sequence at once.

    Parameters
    ----------
    latents, hidden : int
        Size of z and of what is remembered.
    """

    def __init__(self, latents: int, hidden: int):
        super().__init__()
        self.latents, self.hidden = latents, hidden
        self.cell = nn.GRU(latents, hidden, batch_first=True)
        self.steps = nn.Linear(hidden, WAYS * latents)
        self.chances = nn.Linear(hidden, (WAYS + 1) * latents)
        with torch.no_grad():
            self.steps.weight.mul_(0.1)
            self.steps.bias.zero_()
            self.chances.bias.copy_(torch.tensor([-4.0, -1.5, 1.0]).repeat_interleave(latents))

    def forward(self, z: Tensor, state: Tensor | None = None) -> tuple[Expectation, Tensor]:
        """What is expected after each frame of ``z [N, T, Z]``, and the last state ``[1, N, H]``."""
        remembered, last = self.cell(z, state)
        chances = torch.sigmoid(self.chances(remembered))
        return expectation(z, self.steps(remembered), chances), last

    @property
    def decoder(self) -> PriorFrame:
        """The same for one frame, as the model file holds it."""
        return PriorFrame(self)


class PriorFrame(nn.Module):
    """One frame: ``z [N, Z, 1]``, ``state [N, H, 1]`` to steps, chances and the state after it."""

    def __init__(self, prior: Prior):
        super().__init__()
        hidden = prior.hidden
        cell = prior.cell
        self.hears = nn.Conv1d(prior.latents, 3 * hidden, 1)
        self.recalls = nn.Conv1d(hidden, 3 * hidden, 1)
        self.steps = nn.Conv1d(hidden, WAYS * prior.latents, 1)
        self.chances = nn.Conv1d(hidden, (WAYS + 1) * prior.latents, 1)
        pairs = [
            (self.hears, cell.weight_ih_l0, cell.bias_ih_l0),
            (self.recalls, cell.weight_hh_l0, cell.bias_hh_l0),
            (self.steps, prior.steps.weight, prior.steps.bias),
            (self.chances, prior.chances.weight, prior.chances.bias),
        ]
        with torch.no_grad():
            for layer, weight, bias in pairs:
                assert layer.bias is not None
                assert isinstance(weight, Tensor) and isinstance(bias, Tensor)
                layer.weight.copy_(weight[..., None])
                layer.bias.copy_(bias)
        self.hidden = hidden

    def forward(self, z: Tensor, state: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Go on by one frame."""
        heard, recalled = self.hears(z), self.recalls(state)
        reset_heard, keep_heard, new_heard = heard.split(self.hidden, 1)
        reset_recalled, keep_recalled, new_recalled = recalled.split(self.hidden, 1)
        reset = torch.sigmoid(reset_heard + reset_recalled)
        keep = torch.sigmoid(keep_heard + keep_recalled)
        new = torch.tanh(new_heard + reset * new_recalled)
        after = new + keep * (state - new)
        return self.steps(after), torch.sigmoid(self.chances(after)), after


def mixed_in(prior: Prior, z: Tensor, share: float) -> Tensor:
    """Put frames that it drew itself in the place of some, so that it learns to go on from its own.

    All are drawn at once from what came before in the data: parallel scheduled sampling (Duckworth 2019).

    Parameters
    ----------
    z : Tensor, shape (N, T, Z)
    share : float
        Part of the frames.
    """
    with torch.no_grad():
        said, _ = prior(z)
        own = said.drawn(torch.rand_like(z), torch.randn_like(z))
    own = F.pad(own[:, :-1], (0, 0, 1, 0))
    chosen = torch.rand(*z.shape[:2], 1) < share
    chosen[:, 0] = False
    return torch.where(chosen, own, z)
