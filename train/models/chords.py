"""The chord VAE: 16 slots × (12 roots, 10 qualities, hold), eight latents.

The decoder is an event graph: one evaluation per progression, ``z [1, 8, 1]`` and ``attributes [1, 3, 1]`` to
``scores [1, 23, 16]``. Two layers mix the inputs, a transposed convolution lays gated planes of all 16 slots
out at once, and two convolutions over the slots, beside a plain mix of the planes, write the scores.

A slot holds the chord before it with the probability that the sigmoid of its last score says; else its root
and quality are drawn by the softmax of theirs. So a chord that stays costs a fraction of a nat, and a
progression is read off from left to right: hold where the score is above 0, else the best root and quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.chords import QUALITIES, ROOTS, SLOTS
from train.attributes.chords import measure
from train.models.blocks import SLOPE

Q = len(QUALITIES)
SCORES = ROOTS + Q + 1
LARGEST_SCORE = 12.0
PHRASE = 4  # slots that the encoder reads at once: two bars
FIRST_LOG_VARIANCE = -3.0


@dataclass(frozen=True)
class ChordsShape:
    """Sizes of a chord VAE; channels in multiples of 4.

    Attributes
    ----------
    latents, attributes : int
        Sizes of the two inputs.
    hidden : int
        Width of the layers that mix the inputs.
    planes : int
        Channels laid out over the slots, each with a gate.
    channels : int
        Width of the convolution over them.
    encoder : int
        Width of the encoder's convolutions.
    """

    latents: int = 8
    attributes: int = 3
    hidden: int = 128
    planes: int = 24
    channels: int = 48
    encoder: int = 128


class ChordsDecoder(nn.Module):
    """``z [N, 8, 1]``, ``attributes [N, 3, 1]`` to ``scores [N, 23, 16]``."""

    def __init__(self, shape: ChordsShape):
        super().__init__()
        self.planes = shape.planes
        self.inlet = nn.Conv1d(shape.latents + shape.attributes, shape.hidden, 1)
        self.mix = nn.Conv1d(shape.hidden, shape.hidden, 1)
        self.bend = nn.LeakyReLU(SLOPE)
        self.lay = nn.ConvTranspose1d(shape.hidden, 2 * shape.planes, SLOTS, stride=SLOTS)
        self.near = nn.Conv1d(shape.planes, shape.channels, 3, padding=1)
        self.outlet = nn.Conv1d(shape.channels, SCORES, 3, padding=1)
        self.direct = nn.Conv1d(shape.planes, SCORES, 1, bias=False)

    def logits(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The scores before they are bounded.

        What happens before the slots are laid out is written as products of matrices: the same numbers as the
        layers give, in less time.
        """
        x = torch.cat([z, attributes], 1)[:, :, 0]
        x = self.bend(F.linear(x, self.inlet.weight[:, :, 0], self.inlet.bias))
        x = x + self.bend(F.linear(x, self.mix.weight[:, :, 0], self.mix.bias))
        assert self.lay.bias is not None
        laid = (x @ self.lay.weight.flatten(1)).reshape(len(x), -1, SLOTS) + self.lay.bias[:, None]
        return self._drawn(laid)

    def _drawn(self, laid: Tensor) -> Tensor:
        """The slots as laid out, gated and drawn together."""
        planes, gates = laid.split(self.planes, 1)
        planes = planes * torch.sigmoid(gates)
        return self.direct(planes) + self.outlet(self.bend(self.near(planes)))

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The scores, layer by layer, as they are exported."""
        x = self.bend(self.inlet(torch.cat([z, attributes], 1)))
        x = x + self.bend(self.mix(x))
        return self._drawn(self.lay(x)).clamp(-LARGEST_SCORE, LARGEST_SCORE)


class ChordsEncoder(nn.Module):
    """``progression [N, 23, 16]`` to ``(mean, log-variance)``, each ``[N, 8]``."""

    def __init__(self, shape: ChordsShape):
        super().__init__()
        width = shape.encoder
        self.latents = shape.latents
        self.inlet = nn.Conv1d(SCORES, width, PHRASE, stride=PHRASE)
        self.near = nn.Conv1d(width, width, 3, padding=1)
        self.flat = nn.Linear(width * SLOTS // PHRASE, 2 * width)
        self.deep = nn.Linear(2 * width, 2 * width)
        self.outlet = nn.Linear(2 * width, 2 * shape.latents)
        with torch.no_grad():  # little noise at first, or the means grow to drown it and never come back
            self.outlet.bias[shape.latents :] = FIRST_LOG_VARIANCE

    def forward(self, progression: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each progression."""
        x = F.leaky_relu(self.inlet(progression), SLOPE)
        x = x + F.leaky_relu(self.near(x), SLOPE)
        x = F.leaky_relu(self.flat(x.flatten(1)), SLOPE)
        x = x + F.leaky_relu(self.deep(x), SLOPE)
        mean, log_variance = self.outlet(x).split(self.latents, 1)
        return mean, log_variance.clamp(-10.0, 4.0)


class ChordsVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: ChordsShape):
        super().__init__()
        self.shape = shape
        self.decoder = ChordsDecoder(shape)
        self.encoder = ChordsEncoder(shape)


def planes_of(chords: Tensor) -> Tensor:
    """Write numbers of chords ``[N, 16]``, int64, as the encoder reads them: ``[N, 23, 16]``, 0 or 1."""
    roots = F.one_hot(chords // Q, ROOTS)
    qualities = F.one_hot(chords % Q, Q)
    held = F.pad((chords[:, 1:] == chords[:, :-1]).long(), (1, 0))
    return torch.cat([roots, qualities, held[:, :, None]], 2).transpose(1, 2).float()


def read_chords(scores: Tensor) -> Tensor:
    """Read numbers of chords ``[N, 16]`` off scores ``[N, 23, 16]``, as the instrument does."""
    best = scores[:, :ROOTS].argmax(1) * Q + scores[:, ROOTS : ROOTS + Q].argmax(1)
    held = scores[:, -1] > 0
    chords = [best[:, 0]]
    for slot in range(1, SLOTS):
        chords.append(torch.where(held[:, slot], chords[-1], best[:, slot]))
    return torch.stack(chords, 1)


def missed_nats(logits: Tensor, chords: Tensor) -> Tensor:
    """Nats that the progressions ``[N, 16]`` cost by the scores, summed over the slots: ``[N]``."""
    root = F.cross_entropy(logits[:, :ROOTS], chords // Q, reduction="none")
    quality = F.cross_entropy(logits[:, ROOTS : ROOTS + Q], chords % Q, reduction="none")
    fresh = -(root + quality)
    hold, change = F.logsigmoid(logits[:, -1, 1:]), F.logsigmoid(-logits[:, -1, 1:])
    same = chords[:, 1:] == chords[:, :-1]
    later = torch.where(same, torch.logaddexp(hold, change + fresh[:, 1:]), change + fresh[:, 1:])
    return -(fresh[:, 0] + later.sum(1))


def measured(chords: Tensor) -> Tensor:
    """Attributes ``[N, 3]`` of numbers of chords ``[N, 16]``."""
    planes = planes_of(chords)
    changes = (chords[:, 1:] != chords[:, :-1]).float()
    return measure(planes[:, :ROOTS], planes[:, ROOTS : ROOTS + Q], changes)


def expected(logits: Tensor) -> Tensor:
    """Attributes ``[N, 3]`` of what is read off the scores, with a gradient.

    Forward, those of the chords that are read; backward, of their probabilities, slot by slot (the
    straight-through estimator, Bengio et al. 2013).
    """
    root, quality = logits[:, :ROOTS].softmax(1), logits[:, ROOTS : ROOTS + Q].softmax(1)
    change = torch.sigmoid(-logits[:, -1])
    roots, qualities, changes = [root[:, :, 0]], [quality[:, :, 0]], []
    for slot in range(1, SLOTS):
        moved = change[:, slot, None]
        same = (root[:, :, slot] * roots[-1]).sum(1) * (quality[:, :, slot] * qualities[-1]).sum(1)
        changes.append(change[:, slot] * (1 - same))
        roots.append(torch.lerp(roots[-1], root[:, :, slot], moved))
        qualities.append(torch.lerp(qualities[-1], quality[:, :, slot], moved))
    soft = measure(torch.stack(roots, 2), torch.stack(qualities, 2), torch.stack(changes, 1))
    return soft + (measured(read_chords(logits)) - soft).detach()
