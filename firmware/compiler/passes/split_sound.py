"""What the engine does itself is taken off a graph: what is left is the network.

A drum's graph ends in its sound. A texture's begins with an ear, or ends in a source and a filter. A voice's
ends in a bank of harmonics. What tells a voice how notes are played goes by its hops, and has no such ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

from common.refusal import Refusal
from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops.hit import INPUTS, HitConstants, constants_of
from firmware.compiler.ops.hop_ends import ear, harmonic_bank, source_filter
from firmware.compiler.ops.hop_ends.ear import HOP, EarConstants
from firmware.compiler.ops.hop_ends.harmonic_bank import BankConstants
from firmware.compiler.ops.hop_ends.source_filter import SourceConstants

TICKS_PER_HOP = 64
"""Of networks that go by hops: so finely they can be cut."""
SOUNDS = ("SourceFilter", "HarmonicBank")
SPREAD = ("modes", "glide", "noise")
"""Results that are read once an evaluation: converting them is part of it. A transient is read once a hit."""


def split_sound(graph: Graph) -> tuple[Graph, HitConstants | None]:
    """Take a ``HitSound`` off the end of a graph.

    Returns
    -------
    Graph
        With its inputs as outputs, called modes, glide, noise and transient; the same where there is none.
    HitConstants or None
        What the engine needs to play them.

    Raises
    ------
    Refusal
        A sound that is not the graph's only output.
    """
    sounds = [node for node in graph.nodes if node.op == "HitSound"]
    if not sounds:
        return graph, None
    sound = sounds[0]
    if len(sounds) > 1 or graph.outputs != sound.outputs or not graph.event:
        raise Refusal(
            "HitSound must be the only output of a graph of events; export the model without others."
        )
    labels = {name: label for name, label in graph.labels.items() if name not in graph.outputs}
    labels |= dict(zip(sound.inputs, INPUTS, strict=True))
    nodes = [node for node in graph.nodes if node is not sound]
    return replace(graph, outputs=sound.inputs, labels=labels).with_nodes(nodes), constants_of(sound)


@dataclass(frozen=True)
class Ends:
    """What the engine does before and after a network: hears, or makes a sound."""

    ear: EarConstants | None = None
    source: SourceConstants | None = None
    bank: BankConstants | None = None

    @property
    def hop(self) -> int:
        """Samples of a hop."""
        return HOP if self.bank is None else harmonic_bank.HOP


def split_ends(graph: Graph) -> tuple[Graph, Ends]:
    """Take an ``Ear`` off the beginning of a graph, or a sound that goes by hops off its end.

    Returns
    -------
    Graph
        With its input called ``heard``, or its output called ``numbers``; a hop then has
        :data:`TICKS_PER_HOP` ticks, as it has where all of a graph goes by hops. Else the same.
    Ends

    Raises
    ------
    Refusal
        An ear that hears something else than the graph's only input, or a sound that is not its only output.
    """
    ears = [node for node in graph.nodes if node.op == "Ear"]
    sounds = [node for node in graph.nodes if node.op in SOUNDS]
    if not ears and not sounds:
        hop = _hop_of_all(graph)
        return (_by_hop(graph, graph.nodes, hop) if hop >= TICKS_PER_HOP else graph), Ends()
    labels = dict(graph.labels)
    inputs, outputs = graph.inputs, graph.outputs
    found = Ends()
    if ears:
        if len(ears) > 1 or ears[0].inputs != inputs or graph.event or ears[0].outputs[0] in outputs:
            raise Refusal(
                "Ear must hear the only input of a graph that streams; export the model without others."
            )
        inputs = ears[0].outputs
        labels[inputs[0]] = "heard"
        found = replace(found, ear=ear.constants_of(ears[0]))
    if sounds:
        if len(sounds) > 1 or sounds[0].outputs != outputs or graph.event:
            raise Refusal(
                f"{sounds[0].op} must be the only output of a graph that streams; export it without others."
            )
        outputs = sounds[0].inputs[:1]
        labels[outputs[0]] = "numbers"
        if sounds[0].op == "HarmonicBank":
            found = replace(found, bank=harmonic_bank.constants_of(sounds[0]))
        else:
            found = replace(found, source=source_filter.constants_of(sounds[0]))
    if found.ear is not None and found.bank is not None:
        raise Refusal("Ear and HarmonicBank go by different hops; export them in files of their own.")
    kept = [node for node in graph.nodes if node not in (*ears, *sounds)]
    rest = _by_hop(replace(graph, inputs=inputs, outputs=outputs), kept, found.hop)
    used = {*rest.inputs, *rest.outputs}
    return replace(rest, labels={n: label for n, label in labels.items() if n in used}), found


def _hop_of_all(graph: Graph) -> int:
    """Samples of the hop by which every tensor goes; 0 where they differ or the graph has no clock."""
    rates = {tensor.rate for tensor in graph.tensors.values() if tensor.rate}
    if graph.event or len(rates) != 1:
        return 0
    samples = 1 / (rates.pop() * graph.ticks_per_sample)
    return int(samples) if samples.denominator == 1 else 0


def _by_hop(graph: Graph, nodes: Sequence[Node], hop: int) -> Graph:
    """The same with ticks that are parts of a hop, as all that is left goes by hops."""
    left = graph.with_nodes(list(nodes))
    tensors = {
        name: replace(
            tensor, rate=tensor.rate * graph.ticks_per_sample * hop / TICKS_PER_HOP if tensor.rate else None
        )
        for name, tensor in left.tensors.items()
    }
    if any(tensor.rate != Fraction(1, TICKS_PER_HOP) for tensor in tensors.values()):
        raise Refusal(
            f"a part of the network does not go by hops of {hop} samples; the engine knows no other."
        )
    return replace(left, tensors=tensors, ticks_per_sample=Fraction(TICKS_PER_HOP, hop), by_hop=TICKS_PER_HOP)
