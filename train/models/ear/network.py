"""The ear: log-mel bands, causal convolutions, and four answers a hop of 256 samples.

    audio ─ Ear ─ log-mel ─ rises ─ convolutions ─┬─ onset, groups   logits
                                                  ├─ scene           logits, to be averaged over a second
                                                  └─ embedding       where a sound lies among sounds

Every band has filters of its own, rectified, before bands are mixed: what rises in one is not hidden by what
falls in another, as in spectral flux.

Onset says "a stroke began in this hop". The groups say what the newest stroke was: the more hops have passed
since it began, the surer they are. What comes of these numbers is ``picking.py``; the engine's form of that
is ``firmware/engine/instruments/ear.h``.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.blocks import SLOPE, CausalConv, Residual
from train.models.source_filter.ear import HOP as HOP
from train.models.source_filter.ear import Ear

GROUPS = ("kick", "snare", "hat", "tom", "perc")
SCENES = ("drums", "pitched", "noise", "silence")
GROUP_OF = {
    "kick": 0,
    "snare": 1,
    "clap": 1,
    "hat_closed": 2,
    "hat_open": 2,
    "cymbal": 2,
    "tom": 3,
    "perc": 4,
}
"""Of every class of one-shots."""
SURE_HOPS = 6
"""Hops after a stroke's own at which groups and embedding are read: 32 ms."""


@dataclass(frozen=True)
class EarShape:
    """Sizes of an ear; channels in multiples of 4.

    Attributes
    ----------
    bands : int
        Mel bands that it hears.
    rises : int
        Filters of each band by itself; 0 leaves them out.
    channels : int
        Of the convolutions.
    dilations : tuple of int
        One residual each.
    embedding : int
        Numbers by which strokes are compared.
    """

    bands: int = 40
    rises: int = 2
    channels: int = 40
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    embedding: int = 16

    @property
    def memory(self) -> int:
        """Hops of the past that an answer depends on."""
        return 2 + 2 * sum(self.dilations)


class Rises(nn.Module):
    """Filters of three hops, ``[N, bands, T]`` to ``[N, count·bands, T]``: at first the level and its rise.

    Parameters
    ----------
    bands, count : int
        Bands, and filters of each.
    """

    def __init__(self, bands: int, count: int):
        super().__init__()
        self.filters = CausalConv(bands, count * bands, 3, groups=bands)
        bias = self.filters.conv.bias
        assert bias is not None
        taps = torch.tensor([[0.0, 0.0, 0.5], [-1.0, -1.0, 2.0]])
        with torch.no_grad():
            for plane, begun in zip(range(count), taps, strict=False):
                self.filters.conv.weight[plane::count, 0] = begun
                bias[plane::count] = 1.0 - plane

    def forward(self, x: Tensor) -> Tensor:
        """Filter and rectify."""
        return F.leaky_relu(self.filters(x), SLOPE)


class EarNetwork(nn.Module):
    """``audio [N, 1, 256·T]`` to strokes ``[N, 6, T]``, scene ``[N, 4, T]``, embedding ``[N, E, T]``."""

    def __init__(self, shape: EarShape):
        super().__init__()
        self.shape = shape
        self.ear = Ear(shape.bands)
        self.rises = Rises(shape.bands, shape.rises) if shape.rises else nn.Identity()
        self.inlet = CausalConv(shape.bands * max(1, shape.rises), shape.channels, 1 if shape.rises else 3)
        self.layers = nn.Sequential(
            *(Residual(shape.channels, 3, d) for d in shape.dilations), nn.LeakyReLU(SLOPE)
        )
        self.strokes = nn.Conv1d(shape.channels, 1 + len(GROUPS), 1)
        self.scene = nn.Conv1d(shape.channels, len(SCENES), 1)
        self.embedding = nn.Conv1d(shape.channels, shape.embedding, 1)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Listen."""
        return self.answers(self.ear(audio)[:, :-1])

    def answers(self, bands: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is said of log-mel bands ``[N, bands, T]``."""
        features = self.layers(self.inlet(self.rises(bands)))
        return self.strokes(features), self.scene(features), self.embedding(features)


class EarModel(nn.Module):
    """The network, and what stands beside it while it learns.

    Parameters
    ----------
    shape : EarShape
    instruments : int
        Instruments of the training split: an embedding learns by telling them apart.
    """

    def __init__(self, shape: EarShape, instruments: int):
        super().__init__()
        self.decoder = EarNetwork(shape)
        self.instruments = nn.Linear(shape.embedding, max(1, instruments), bias=False)
