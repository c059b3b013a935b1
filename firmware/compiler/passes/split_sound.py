"""A drum's graph ends in its sound, which the engine plays: what is left is the network that says how."""

from __future__ import annotations

from dataclasses import replace

from common.refusal import Refusal
from firmware.compiler.graph import Graph
from firmware.compiler.ops.hit import INPUTS, HitConstants, constants_of

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
