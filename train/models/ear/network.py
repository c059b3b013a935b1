"""The ear: log-mel bands, causal convolutions, and four answers a hop of 256 samples.

    audio ─ Ear ─ log-mel ─ convolutions ─┬─ onset, groups   logits
                                          ├─ scene           logits, to be averaged over a second
                                          └─ embedding       where a sound lies among sounds

Onset says "a stroke began in this hop". The groups say what the newest stroke was: the more hops have passed
since it began, the surer they are. What comes of these numbers is ``picking.py``; the engine's form of that
is ``firmware/engine/instruments/ear.h``.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

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
    channels : int
        Of the convolutions.
    dilations : tuple of int
        One residual each.
    embedding : int
        Numbers by which strokes are compared.
    """

    bands: int = 40
    channels: int = 40
    dilations: tuple[int, ...] = (1, 2, 4, 8)
    embedding: int = 16

    @property
    def memory(self) -> int:
        """Hops of the past that an answer depends on."""
        return 2 + 2 * sum(self.dilations)


class EarNetwork(nn.Module):
    """``audio [N, 1, 256·T]`` to strokes ``[N, 6, T]``, scene ``[N, 4, T]``, embedding ``[N, E, T]``."""

    def __init__(self, shape: EarShape):
        super().__init__()
        self.shape = shape
        self.ear = Ear(shape.bands)
        self.inlet = CausalConv(shape.bands, shape.channels, 3)
        self.layers = nn.Sequential(
            *(Residual(shape.channels, 3, d) for d in shape.dilations), nn.LeakyReLU(SLOPE)
        )
        self.strokes = nn.Conv1d(shape.channels, 1 + len(GROUPS), 1)
        self.scene = nn.Conv1d(shape.channels, len(SCENES), 1)
        self.embedding = nn.Conv1d(shape.channels, shape.embedding, 1)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Listen."""
        features = self.layers(self.inlet(self.ear(audio)[:, :-1]))
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
