"""Pools of feeds with the float model's answers and, from a run, those of the data: to tune and judge on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import torch

from quantize.graph.graph import Feed, Graph
from quantize.graph.network import Network


@dataclass
class Example:
    """One batch.

    Attributes
    ----------
    feed : dict of str to ndarray [N, C, T]
        Inputs.
    taught : dict of str to ndarray
        Outputs of the float model.
    truth : dict of str to ndarray or None
        What the data says the outputs should be.
    """

    feed: Feed
    taught: dict[str, np.ndarray]
    truth: dict[str, np.ndarray] | None = None


def tensors(feed: Feed) -> dict[str, torch.Tensor]:
    """Arrays as torch tensors."""
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in feed.items()}


def run(network: Network, feed: Feed) -> dict[str, np.ndarray]:
    """Outputs of a network, without gradients."""
    with torch.no_grad():
        return {name: value.numpy() for name, value in network(tensors(feed)).items()}


def teach(
    graph: Graph, feeds: Iterable[Feed], truths: Iterable[dict[str, np.ndarray] | None] | None = None
) -> list[Example]:
    """Answer every feed with the float model."""
    teacher = Network(graph)
    feeds = list(feeds)
    known: Iterator[dict[str, np.ndarray] | None] = iter(
        truths if truths is not None else [None] * len(feeds)
    )
    return [Example(feed, run(teacher, feed), truth) for feed, truth in zip(feeds, known, strict=True)]
