"""The attributes of ``attributes.py`` in torch, exact in value and with a gradient.

Onsets are cut at one half going forward and let the gradient of the probability through going back (the
straight-through estimator, Bengio et al. 2013), so that the figure a knob is trained on is the figure it is
judged by.
"""

from __future__ import annotations

import torch
from torch import Tensor

from common.drums import PARTS
from train.attributes.rhythm import HIGH, LOW, STEPS, STEPS_PER_BEAT, STREAMS, WEIGHTS

V = len(PARTS)


def soft_attributes(pattern: Tensor, slope: Tensor | None = None) -> Tensor:
    """Measure patterns.

    Parameters
    ----------
    pattern : Tensor, shape (N, 27, 32)
        Onsets as probabilities.
    slope : Tensor, shape (N, 9, 32), optional
        What the onsets' gradient goes through instead of the probabilities. A probability near 0 or 1 has
        none; the same logits, divided by a temperature, still have some.

    Returns
    -------
    Tensor, shape (N, 6)
        In the order of the knobs.
    """
    way = pattern[:, :V] if slope is None else slope
    onset = (pattern[:, :V] >= 0.5).float() + way - way.detach()
    velocity, micro = pattern[:, V : 2 * V], pattern[:, 2 * V :]
    count = onset.sum((1, 2))
    low, high = onset[:, list(LOW)].sum((1, 2)), onset[:, list(HIGH)].sum((1, 2))
    on_beat = torch.zeros(STEPS, device=pattern.device)
    on_beat[::STEPS_PER_BEAT] = 1.0

    def average(values: Tensor, weight: Tensor) -> Tensor:
        return (values * weight).sum((1, 2)) / weight.sum((1, 2)).clamp(min=1.0)

    mean_velocity = average(velocity, onset)
    variance = average((velocity - mean_velocity[:, None, None]) ** 2, onset)
    return torch.stack(
        [
            count / STEPS,
            _syncopation(onset),
            (high - low) / (high + low).clamp(min=1.0),
            average(micro, onset * (1 - on_beat)) - average(micro, onset * on_beat),
            torch.sqrt(variance + 1e-10) - 1e-5,
            _complexity(onset),
        ],
        1,
    )


# Step reached from each step (rows) after 1 to 31 more (columns), and how much heavier it is.
AHEAD = torch.tensor([[(here + far) % STEPS for far in range(1, STEPS)] for here in range(STEPS)])
HEAVIER = (
    torch.tensor(WEIGHTS, dtype=torch.float32)[AHEAD] - torch.tensor(WEIGHTS, dtype=torch.float32)[:, None]
)


def _syncopation(onset: Tensor) -> Tensor:
    """Longuet-Higgins and Lee, with the reach of each note's silence as a product of rests."""
    ahead, heavier = AHEAD.to(onset.device), HEAVIER.clamp(min=0.0).to(onset.device)
    total = torch.zeros(len(onset), device=onset.device)
    for stream in STREAMS:
        hit = 1 - torch.prod(1 - onset[:, list(stream)], 1)
        reach = torch.cumprod(1 - hit[:, ahead], 2)
        total = total + (hit * (reach * heavier).amax(2)).sum(1)
    return total


def _complexity(onset: Tensor) -> Tensor:
    """Mean entropy, in bits, over the voices and places of the beat that are in use.

    Its slope is that of a share between 1/16 and 15/16: at what always or never sounds the true slope is
    infinite, and clamped it would be nothing, so that a repeating pattern could never leave itself.
    """
    beats = onset.reshape(len(onset), V, STEPS // STEPS_PER_BEAT, STEPS_PER_BEAT)
    used = (beats.detach().amax((2, 3)) >= 0.5).float()[:, :, None]
    share = beats.mean(2)
    p, inner = share.detach().clamp(1e-4, 1 - 1e-4), share.detach().clamp(1 / 16, 15 / 16)
    entropy = -(p * torch.log2(p) + (1 - p) * torch.log2(1 - p))
    entropy = entropy + torch.log2((1 - inner) / inner) * (share - share.detach())
    return (entropy * used).sum((1, 2)) / (used.sum((1, 2)) * STEPS_PER_BEAT).clamp(min=1.0)
