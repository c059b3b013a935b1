"""The chord VAE: 16 slots × (12 roots, 10 qualities, hold), one latent for each of eight bars.

The decoder is an event graph: one evaluation per progression, ``z [1, 8, 1]`` and ``attributes [1, 3, 1]`` to
``scores [1, 23, 16]``. A transposed convolution lays the latents out along the bars, each at its own, and the
attributes over all of them. Convolutions over bars read each beside its neighbours, and another transposed
one draws the two slots of every bar.

A slot holds the chord before it with the probability that the sigmoid of its last score says; else its root
and quality are drawn by the softmax of theirs. So a chord that stays costs a fraction of a nat, and a
progression is read off from left to right: hold where the score is above 0, else the best root and quality.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.chords import BARS, QUALITIES, ROOTS, SLOTS, SLOTS_PER_BAR
from train.attributes.chords import MINOR, measure
from train.models.blocks import SLOPE

Q = len(QUALITIES)
SCORES = ROOTS + Q + 1
LARGEST_SCORE = 12.0
FIRST_LOG_VARIANCE = -4.0
FIRST_REACH = 3.0  # of the first layer's weights on a latent, and of its bends, before training


@dataclass(frozen=True)
class ChordsShape:
    """Sizes of a chord VAE; widths in multiples of 4.

    Attributes
    ----------
    attributes : int
        Size of the second input; the first has a latent for every bar.
    width, encoder : int
        Channels of the decoder's and the encoder's convolutions.
    depth : int
        Of those over three bars, how many each has.
    """

    attributes: int = 3
    width: int = 128
    depth: int = 3
    encoder: int = 128


class ChordsDecoder(nn.Module):
    """``z [N, 8, 1]``, ``attributes [N, 3, 1]`` to ``scores [N, 23, 16]``."""

    def __init__(self, shape: ChordsShape):
        super().__init__()
        width = shape.width
        self.bend = nn.LeakyReLU(SLOPE)
        self.lay = nn.ConvTranspose1d(BARS + shape.attributes, width, BARS, stride=BARS)
        self.alone = nn.Conv1d(width, width, 1)
        self.near = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(shape.depth))
        self.outlet = nn.ConvTranspose1d(width, SCORES, SLOTS_PER_BAR, stride=SLOTS_PER_BAR)
        assert self.lay.bias is not None
        with torch.no_grad():  # each latent begins as its own bar's, read alike in all of them
            reach = torch.empty(width).uniform_(-FIRST_REACH, FIRST_REACH)
            self.lay.weight[:BARS] = torch.eye(BARS)[:, None, :] * reach[:, None]
            self.lay.weight[BARS:] = 0.5 * torch.randn(shape.attributes, width, 1)
            self.lay.bias.uniform_(-FIRST_REACH, FIRST_REACH)

    def logits(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The scores before they are bounded.

        The bars are laid out by a product of matrices: the same numbers as the layer gives, in less time.
        """
        x = torch.cat([z, attributes], 1)[:, :, 0]
        assert self.lay.bias is not None
        laid = (x @ self.lay.weight.flatten(1)).reshape(len(x), -1, BARS)
        return self._drawn(laid + self.lay.bias[:, None])

    def _drawn(self, laid: Tensor) -> Tensor:
        """The bars as laid out, read together and drawn."""
        x = self.bend(laid)
        x = x + self.bend(self.alone(x))
        for layer in self.near:
            x = x + self.bend(layer(x))
        return self.outlet(x)  # type: ignore[no-any-return]

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The scores, layer by layer, as they are exported."""
        laid = self.lay(torch.cat([z, attributes], 1))
        return self._drawn(laid).clamp(-LARGEST_SCORE, LARGEST_SCORE)


class ChordsEncoder(nn.Module):
    """``progression [N, 23, 16]`` to ``(mean, log-variance)``, each ``[N, 8]``: one of every bar."""

    def __init__(self, shape: ChordsShape):
        super().__init__()
        width = shape.encoder
        self.inlet = nn.Conv1d(SCORES, width, SLOTS_PER_BAR, stride=SLOTS_PER_BAR)
        self.alone = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(2))
        self.near = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(shape.depth))
        self.outlet = nn.Conv1d(width, 2, 1)
        assert self.outlet.bias is not None
        with torch.no_grad():  # little noise at first, or the means grow to drown it and never come back
            self.outlet.bias[1] = FIRST_LOG_VARIANCE

    def forward(self, progression: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each progression."""
        x = F.leaky_relu(self.inlet(progression), SLOPE)
        for layer in [*self.alone, *self.near]:
            x = x + F.leaky_relu(layer(x), SLOPE)
        mean, log_variance = self.outlet(x).unbind(1)
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


def likely(logits: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """How likely roots ``[N, 12, 16]``, qualities ``[N, 10, 16]``, changes ``[N, 15]`` are by the scores."""
    root, quality = logits[:, :ROOTS].softmax(1), logits[:, ROOTS : ROOTS + Q].softmax(1)
    change = torch.sigmoid(-logits[:, -1])
    roots, qualities, changes = [root[:, :, 0]], [quality[:, :, 0]], []
    for slot in range(1, SLOTS):
        moved = change[:, slot, None]
        same = (root[:, :, slot] * roots[-1]).sum(1) * (quality[:, :, slot] * qualities[-1]).sum(1)
        changes.append(change[:, slot] * (1 - same))
        roots.append(torch.lerp(roots[-1], root[:, :, slot], moved))
        qualities.append(torch.lerp(qualities[-1], quality[:, :, slot], moved))
    return torch.stack(roots, 2), torch.stack(qualities, 2), torch.stack(changes, 1)


def expected(logits: Tensor) -> Tensor:
    """Attributes ``[N, 3]`` of what is read off the scores, with a gradient.

    Forward, those of the chords that are read; backward, of their probabilities, slot by slot (the
    straight-through estimator, Bengio et al. 2013).
    """
    soft = measure(*likely(logits))
    return soft + (measured(read_chords(logits)) - soft).detach()


def still_missing(logits: Tensor, wanted: Tensor) -> Tensor:
    """Nats a slot that slots miss which have to turn minor, or bring another chord, or no longer do, ``[N]``.

    Of the slots that could turn, only the likeliest are asked to, as many as the attributes ``wanted [N, 3]``
    lack: slots that are alike would else all turn at the same place of a knob.
    """
    _, qualities, changes = likely(logits)
    chords = read_chords(logits)
    minor = MINOR[chords % Q] > 0.5
    moved = chords[:, 1:] != chords[:, :-1]
    soft = torch.einsum("nqt,q->nt", qualities, MINOR)
    return _missing(soft, minor, wanted[:, 2]) + _missing(changes, moved, wanted[:, 1])


def _missing(soft: Tensor, now: Tensor, share: Tensor) -> Tensor:
    """The same for one property that slots have ``now`` or not, likely by ``soft``, both ``[N, slots]``."""
    slots = soft.shape[1]
    lacking = torch.round(share * slots).long() - now.sum(1)
    more = (lacking > 0)[:, None]
    likelihood = torch.where(more, soft, 1 - soft)
    open_to_it = now != more
    order = likelihood.detach().masked_fill(~open_to_it, -1.0).argsort(dim=1, descending=True, stable=True)
    asked = (order.argsort(1) < lacking.abs()[:, None]) & open_to_it
    return -(likelihood.clamp(min=1e-6).log() * asked).sum(1) / slots
