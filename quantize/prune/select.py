"""Structured pruning: which channels to give up, by what they contribute and what they cost.

Criteria (a score for each channel, summed over what is tied to it, normalised per layer family):

magnitude   norm of the weights that make and read the channel (Li et al., arXiv 1608.08710)
activation  mean |activation| × norm of the weights that read it (after Sun et al., "Wanda", arXiv 2306.11695)
taylor      first-order change of the output when it goes: E[(Σ w·∂⟨v, output⟩/∂w)²] over random v. The
loss's own
            gradient (Molchanov et al., arXiv 1906.10771) vanishes when the teacher is the model itself;
            this does not.
regression  the same of what the channels that stay can't say in its place: for weights that are fitted anew
(`refit.py`). The least worth goes first, and the others are asked again.

With ``per_cycle`` the score is divided by the predicted cycles that the channel's removal saves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from common.refusal import Refusal
from quantize.data.examples import Example, tensors
from quantize.graph.channels import NOTHING, Channels, trace_channels
from quantize.graph.graph import Graph, Node
from quantize.graph.layers import layers
from quantize.graph.network import Network
from quantize.integers.calibrate import observe
from quantize.operators import Layer
from quantize.prune.surgery import Costs, Kept, compose, layer_costs, remove, take

REGRESSION = "regression"
CRITERIA = ("magnitude", "activation", "taylor", REGRESSION)
MULTIPLE = 4  # the kernels' register block counts channels by fours
GLOBAL_LIMIT = 0.9  # a family loses no more than this share while ranking is global
PROBES = 8  # random output directions of the Taylor criterion, per example


@dataclass(frozen=True)
class Ranking:
    """What decides which channels go.

    Attributes
    ----------
    criterion : str
        One of `CRITERIA`; see the module.
    per_cycle : bool
        Divide a channel's score by the cycles that its removal saves.
    scope : {"global", "local"}
        One ranking for all layers (up to 90 % of a family), or the same share of every family.
    ticks : int
        Base ticks of a trace of the graph.
    cycles : callable or None
        Graph → predicted cycles of its layers, by position; multiply-accumulates stand in where it is silent.
    """

    criterion: str = "taylor"
    per_cycle: bool = True
    scope: str = "global"
    ticks: int = 1
    cycles: Callable[[Graph], dict[int, float]] | None = None


@dataclass
class Step:
    """One pruning.

    Attributes
    ----------
    graph : Graph
        What is left.
    kept : dict
        Constant → surviving indices per axis, in the original's numbering.
    macs : float
        Share of the original's cost that is left, in (0, 1].
    widths : dict of str to (int, int)
        Family (its first layer's output) → channels before, after.
    """

    graph: Graph
    kept: Kept
    macs: float
    widths: dict[str, tuple[int, int]]


def element_scores(
    channels: Channels, criterion: str, pool: Sequence[Example], network: Network | None = None
) -> dict[int, float]:
    """Score of every prunable root label; larger is more worth keeping."""
    if criterion not in CRITERIA:
        raise Refusal(f"there is no pruning criterion {criterion!r}; choose one of {', '.join(CRITERIA)}.")
    network = network or Network(channels.graph)
    families = channels.families()
    scores = dict.fromkeys(families, 0.0)
    if criterion == REGRESSION:
        return _unexplained(channels, network, pool)
    if criterion == "taylor":
        parts = _taylor(channels, network, pool)
    elif criterion == "activation":
        parts = _activation(channels, network, pool)
    else:
        parts = _magnitude(channels)
    for labels, values in parts:
        roots = channels.roots(labels)
        for root in np.unique(roots).tolist():
            if root in scores:
                scores[root] += float(values[roots == root].sum())
    return scores


def _traced_layers(channels: Channels) -> list[tuple[Node, Layer]]:
    return [(n, layer) for _, n, layer in layers(channels.graph) if n.inputs[1] in channels.axes]


def _magnitude(channels: Channels) -> list[tuple[np.ndarray, np.ndarray]]:
    parts = []
    for node, _ in _traced_layers(channels):
        weight = channels.graph.constants[node.inputs[1]]
        for axis, labels in enumerate(channels.axes[node.inputs[1]]):
            if labels is not None:
                other = tuple(a for a in range(weight.ndim) if a != axis)
                energy = (weight.astype(np.float64) ** 2).sum(other)
                parts.append((labels, energy / max(float(energy.mean()), 1e-30)))
    return parts


def _activation(
    channels: Channels, network: Network, pool: Sequence[Example]
) -> list[tuple[np.ndarray, np.ndarray]]:
    traced = _traced_layers(channels)
    seen = observe(network, {node.inputs[0] for node, _ in traced}, (e.feed for e in pool))
    parts = []
    for node, layer in traced:
        axes = channels.axes[node.inputs[1]]
        weight = channels.graph.constants[node.inputs[1]].astype(np.float64)
        axis = layer.input_axis(node)
        labels = axes[axis]
        if labels is None or node.inputs[0] not in seen.peaks:
            continue
        other = tuple(a for a in range(weight.ndim) if a != axis)
        size = np.sqrt(seen.energies[node.inputs[0]])
        reach = np.sqrt((weight**2).sum(other))
        if size.size != reach.size:
            continue
        contribution = (size * reach) ** 2
        parts.append((labels, contribution / max(float(contribution.sum()), 1e-30) * contribution.size))
    return parts


def _taylor(
    channels: Channels, network: Network, pool: Sequence[Example]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Estimate, to first order, the squared change of the outputs when a channel goes to zero."""
    random = torch.Generator().manual_seed(0)
    trained = [node for node, _ in _traced_layers(channels) if node.inputs[1] in network.index]
    born = {id(node): channels.births_of(node) for node in trained}
    totals = {id(node): np.zeros(born[id(node)].size) for node in trained}
    names = [node.outputs[0] for node in trained]
    for example in pool:
        values = network(tensors(example.feed), keep=names)
        outputs = [values[name] for name in channels.graph.output_names]
        inner = [values[name] for name in names]
        for probe in range(max(1, PROBES // len(pool))):
            target = sum(
                (o * torch.randn(o.shape, generator=random, dtype=o.dtype)).sum() / np.sqrt(o.numel())
                for o in outputs
            )
            last = probe == max(1, PROBES // len(pool)) - 1
            gradients = torch.autograd.grad(target, inner, retain_graph=not last, allow_unused=True)
            for node, value, gradient in zip(trained, inner, gradients, strict=True):
                if gradient is not None:
                    # what the channel adds to the output, over all its frames, for each example of the batch
                    change = (value * gradient).sum(tuple(range(2, value.ndim))).detach().numpy()
                    change = change.reshape(change.shape[0], -1) if change.ndim > 1 else change[None]
                    totals[id(node)] += (change**2).mean(0)
    return [(born[id(node)], totals[id(node)]) for node in trained]


def _unexplained(channels: Channels, network: Network, pool: Sequence[Example]) -> dict[int, float]:
    """Estimate what a channel moves the outputs by beyond what the others of its family explain of it.

    Of every signal that layers read: covariance of the channels, and mean square of the gradient.
    """
    random = torch.Generator().manual_seed(0)
    signals: dict[str, np.ndarray] = {}
    for node, layer in _traced_layers(channels):
        labels = channels.labels[node.inputs[0]]
        signals[node.inputs[0]] = channels.roots(channels.along(labels, layer.channel_axis(labels.ndim)))
    moments = {name: np.zeros((roots.size, roots.size)) for name, roots in signals.items()}
    pulls = {name: np.zeros(roots.size) for name, roots in signals.items()}
    inner = [name for name in signals if name not in channels.graph.input_names]
    for example in pool:
        values = network(tensors(example.feed), keep=inner)
        read = [values[name] for name in inner]
        target = sum(
            (o * torch.randn(o.shape, generator=random, dtype=o.dtype)).sum()
            for o in (values[name] for name in channels.graph.output_names)
        )
        gradients = torch.autograd.grad(target, read, allow_unused=True)
        for name, value, gradient in zip(inner, read, gradients, strict=True):
            axis = 1 if value.ndim == 3 else value.ndim - 1
            rows = value.detach().double().movedim(axis, 0).reshape(value.shape[axis], -1)
            rows = rows - rows.mean(1, keepdim=True)
            moments[name] += (rows @ rows.T / rows.shape[1]).numpy()
            if gradient is not None:
                pulls[name] += gradient.double().movedim(axis, 0).flatten(1).pow(2).sum(1).numpy()
    families: dict[int, list[int]] = {}
    for root, family in channels.families().items():
        families.setdefault(family, []).append(root)
    scores: dict[int, float] = {}
    for roots in families.values():
        touched = {n: s for n, s in signals.items() if n in inner and set(s.tolist()) & set(roots)}
        scores |= _eliminated(roots, touched, moments, pulls)
    return scores


def _eliminated(
    roots: list[int],
    signals: dict[str, np.ndarray],
    moments: dict[str, np.ndarray],
    pulls: dict[str, np.ndarray],
) -> dict[int, float]:
    """Score of a family's channels, by leaving out the one that the others explain best, again and again."""
    left, scores, worst = list(roots), {}, 0.0
    precision = {}
    for name, moment in moments.items():
        if name in signals:
            floor = 1e-6 * max(float(np.trace(moment)) / len(moment), 1e-30)
            precision[name] = np.linalg.inv(moment + floor * np.eye(len(moment)))
    while left:
        found = dict.fromkeys(left, 0.0)
        for name, own in signals.items():
            parts = pulls[name] / np.diag(precision[name])
            for place, root in enumerate(own.tolist()):
                if root in found:
                    found[root] += float(parts[place])
        least = min(left, key=lambda root: found[root])
        worst = max(worst, found[least])
        scores[least] = worst
        left.remove(least)
        for name, own in signals.items():
            for place in np.flatnonzero(own == least).tolist():
                p = precision[name]
                p = p - np.outer(p[:, place], p[place]) / p[place, place]
                p[place, place] = 1.0
                precision[name] = p
    return scores


def savings(channels: Channels, costs: Costs) -> dict[int, float]:
    """Cost that goes when one root label goes alone."""
    found = dict.fromkeys(channels.families(), 0.0)
    for cost, entering, leaving in zip(costs.per_pair, costs.inputs, costs.outputs, strict=True):
        for labels, other in ((entering, leaving), (leaving, entering)):
            for root, count in zip(*np.unique(labels, return_counts=True), strict=True):
                if int(root) in found:
                    found[int(root)] += cost * count * other.size
    return found


def choose(
    channels: Channels,
    scores: dict[int, float],
    costs: Costs,
    target: float,
    *,
    scope: str = "global",
    multiple: int = MULTIPLE,
) -> set[int]:
    """Pick the root labels to remove so that the cost falls to `target` of what it is.

    Parameters
    ----------
    channels : Channels
        Labels of the graph.
    scores : dict of int to float
        Worth of every root label.
    costs : Costs
        Of the same graph.
    target : float
        Share of the cost to keep, in (0, 1].
    scope : {"global", "local"}
        One ranking for all layers (up to 90 % of a family), or the same share of every family.
    multiple : int
        Channel counts stay multiples of this.

    Raises
    ------
    Refusal
        If even the smallest network costs more.
    """
    families: dict[int, list[int]] = {}
    for root, family in channels.families().items():
        families.setdefault(family, []).append(root)
    last = _last_of_their_tensor(channels, scores)
    ranked = {f: sorted(roots, key=lambda r: (r in last, scores[r])) for f, roots in families.items()}
    whole = costs.total(set())

    def kept_count(size: int, wanted: float) -> int:
        least = min(size, multiple)
        return min(size, max(least, int(np.ceil(round(wanted, 6) / multiple)) * multiple))

    def local(share: float) -> set[int]:
        gone: set[int] = set()
        for roots in ranked.values():
            gone.update(roots[: len(roots) - kept_count(len(roots), share * len(roots))])
        return gone

    order = np.sort(np.array([scores[r] for r in scores]))

    def ranking(share: float) -> set[int]:
        cut = order[min(len(order) - 1, int((1 - share) * len(order)))] if share < 1 else -np.inf
        gone: set[int] = set()
        for roots in ranked.values():
            above = sum(scores[r] >= cut for r in roots)
            floor = (1 - GLOBAL_LIMIT) * len(roots)
            gone.update(roots[: len(roots) - kept_count(len(roots), max(above, floor))])
        return gone

    rules: list[Callable[[float], set[int]]] = [local] if scope == "local" else [ranking, local]
    for rule in rules:
        if costs.total(rule(0.0)) > target * whole:
            continue
        low, high = 0.0, 1.0
        for _ in range(24):
            middle = (low + high) / 2
            if costs.total(rule(middle)) <= target * whole:
                low = middle
            else:
                high = middle
        return rule(low)
    least = costs.total(local(0.0)) / whole
    raise Refusal(
        f"pruning can't reach {target:.0%} of the cost: with {multiple} channels in every layer "
        f"{least:.0%} is left; "
        "ask for less, or train a smaller model."
    )


def _last_of_their_tensor(channels: Channels, scores: dict[int, float]) -> set[int]:
    """The worthiest root label of each tensor that could lose all of its own, as a part of a split could."""
    found = set()
    for labels in channels.labels.values():
        roots = [r for r in np.unique(channels.roots(labels)).tolist() if r != NOTHING]
        if roots and all(r in scores for r in roots):
            found.add(max(roots, key=lambda r: scores[r]))
    return found


def prune(
    graph: Graph,
    pool: Sequence[Example],
    target: float,
    ranking: Ranking = Ranking(),
    network: Network | None = None,
) -> Step:
    """Remove channels until `target` of the cost is left.

    Parameters
    ----------
    graph : Graph
        Float graph.
    pool : sequence of Example
        Feeds for the criteria that look at data.
    target : float
        Share of the multiply-accumulates to keep.
    ranking : Ranking
        What decides.
    network : Network, optional
        That of the graph, where there is one already.
    """
    channels = trace_channels(graph)
    families = channels.families()
    if not families:
        raise Refusal("no channel of this model can be pruned: every one is tied to an input or an output.")
    costs = layer_costs(channels, ranking.ticks)
    scores = element_scores(channels, ranking.criterion, pool, network)
    if ranking.per_cycle:
        cycles = ranking.cycles(graph) if ranking.cycles else None
        saved = savings(channels, layer_costs(channels, ranking.ticks, cycles) if cycles else costs)
        scores = {root: score / max(saved[root], 1e-12) for root, score in scores.items()}
    removed = choose(channels, scores, costs, target, scope=ranking.scope)
    trimmed = remove(channels, removed)
    return Step(
        trimmed.graph,
        trimmed.kept,
        costs.total(removed) / costs.total(set()),
        _widths(channels, families, removed),
    )


def _widths(channels: Channels, families: dict[int, int], removed: set[int]) -> dict[str, tuple[int, int]]:
    table: dict[str, tuple[int, int]] = {}
    for family in dict.fromkeys(families.values()):
        roots = [r for r, f in families.items() if f == family]
        layer = next(n for n, born in channels.births if set(channels.roots(born).tolist()) & set(roots))
        table[layer.outputs[0]] = (len(roots), len([r for r in roots if r not in removed]))
    return table


def prune_iteratively(
    graph: Graph,
    pool: Sequence[Example],
    target: float,
    tune: Callable[[Graph], Graph],
    ranking: Ranking = Ranking(),
    *,
    rounds: int = 3,
    rewind: bool = False,
) -> Step:
    """Prune in rounds, fine-tuning between them; with `rewind` survivors restart from the original weights.

    Rewinding is the trimming of Esling et al. ("Diet deep generative audio models", DAFx-20) after the
    lottery ticket: the tuned weights only decide who stays.

    Parameters
    ----------
    graph, pool, target, ranking
        See :func:`prune`.
    tune : callable
        Fine-tunes a graph between rounds and returns it.
    rounds : int
        How many; the cost falls geometrically. The last round is left for the caller to tune.
    rewind : bool
        Give the survivors the weights of `graph` after every round.
    """
    current, share = graph, 1.0
    kept: Kept = {}
    widths: dict[str, tuple[int, int]] = {}
    for index in range(rounds):
        goal = target ** ((index + 1) / rounds)
        step = prune(current, pool, min(1.0, goal / share), ranking)
        kept = compose(kept, step.kept)
        share *= step.macs
        widths = {
            name: (widths.get(name, (before, 0))[0], after) for name, (before, after) in step.widths.items()
        } | {k: v for k, v in widths.items() if k not in step.widths}
        current = step.graph
        if index + 1 < rounds:
            current = tune(current)
        if rewind:
            current = rewound(current, graph, kept)
    return Step(current, kept, share, widths)


def rewound(graph: Graph, original: Graph, kept: Kept) -> Graph:
    """Give a pruned graph the original's weights."""
    result = graph.copy()
    for name, axes in kept.items():
        if name in result.constants and name in original.constants:
            result.constants[name] = take(original.constants[name], axes)
    return result
