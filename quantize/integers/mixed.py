"""Mixed precision: 8-bit activations wherever 16 are not needed.

Widths change only at linear layers and at the float edges: tensors that meet in a sum, a product, a table
or a data movement form one choice. Each choice is tried alone at 8 bits; harms nearly add, so the choices are
ordered by harm for what they save, and the longest beginning of that order is taken that the goal allows, and
then every further choice that it still allows. What counts is always measured together, not added up.

Harm is measured against the data, where they say what is right: a signal-to-noise ratio is decided by the
loud part of a sound, and the noise of 8 bits is audible in its decay.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from quantize.data.examples import Example, run
from quantize.data.quality import compare_truth, lost_percent, measure_that_counts, snr_db
from quantize.graph.graph import Graph
from quantize.graph.network import Network
from quantize.integers.calibrate import Observations, scales_from
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import Plan, quantized_inputs
from quantize.operators import layer_of

LEAST_HARM = 1e-9  # chance makes some choices sound better; they are no harm


@dataclass(frozen=True)
class Goal:
    """What the integers may cost, and how that is measured.

    Attributes
    ----------
    harm : callable
        Quantized network → harm: a figure that falls as it sounds better, 0 when nothing is lost.
    most : float
        The most that is allowed.
    told : callable
        Harm → words.
    """

    harm: Callable[[QuantizedNetwork], float]
    most: float
    told: Callable[[float], str]


def goal_by_noise(examples: Sequence[Example], least_snr_db: float) -> Goal:
    """Output noise against the float model's answers, as a power ratio, at most that of `least_snr_db`."""

    def harm(network: QuantizedNetwork) -> float:
        values = [
            snr_db(wanted, made[name])
            for example in examples
            for made in [run(network, example.feed)]
            for name, wanted in example.taught.items()
        ]
        return float(10.0 ** (-np.mean(values) / 10.0))

    def told(ratio: float) -> str:
        return f"{-10.0 * np.log10(max(ratio, 1e-30)):.1f} dB of SNR"

    return Goal(harm, 10.0 ** (-least_snr_db / 10.0), told)


def goal_by_truth(examples: Sequence[Example], graph: Graph, most_percent: float) -> Goal:
    """Loss of the measure that counts against what the data say, in percent of the float graph's own.

    Parameters
    ----------
    examples : sequence of Example
        With truths; none of the test split.
    graph : Graph
        The float model whose integers are meant.
    most_percent : float
        What may be lost.
    """
    kind = graph.about.kind

    def measured(network: Network) -> tuple[str, float, bool]:
        rows = [
            compare_truth(wanted, made[name], kind)
            for example in examples
            for made in [run(network, example.feed)]
            for name, wanted in (example.truth or {}).items()
        ]
        key, larger = measure_that_counts(rows[0], "")
        return key, float(np.mean([row[key] for row in rows])), larger

    key, base, larger_is_better = measured(Network(graph))

    def harm(network: QuantizedNetwork) -> float:
        _, value, _ = measured(network)
        return lost_percent(value, base, larger_is_better)

    return Goal(harm, most_percent, lambda percent: f"{percent:.1f} % of {key}")


@dataclass
class Choice:
    """Classes that change width together.

    Attributes
    ----------
    roots : tuple of str
        Scale classes.
    harm : float
        When only these have 8 bits, beyond that of 16 bits everywhere.
    macs : float
        Share of the multiply-accumulates that read them.
    """

    roots: tuple[str, ...]
    harm: float
    macs: float


def width_groups(plan: Plan) -> list[tuple[str, ...]]:
    """Scale classes that must have one width; without those that need 16 bits."""
    wide = set(plan.exact_scales())
    parent = {root: root for root in plan.members()}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for position in plan.integer:
        node = plan.graph.nodes[position]
        if layer_of(node) is not None:
            continue
        tensors = [n for n in (*quantized_inputs(node), *node.outputs) if n in plan.scale_class]
        for name in tensors[1:]:
            parent[find(plan.scale_class[name])] = find(plan.scale_class[tensors[0]])
    groups: dict[str, list[str]] = {}
    for root in parent:
        groups.setdefault(find(root), []).append(root)
    return [tuple(sorted(g)) for g in groups.values() if wide.isdisjoint(g)]


def search(
    plan: Plan,
    seen: Observations,
    goal: Goal,
    macs: dict[str, float],
    estimators: tuple[str, str] = ("minmax", "mse"),
    progress: Callable[[float], None] | None = None,
    rounded: QuantizedNetwork | None = None,
) -> list[Choice]:
    """Set ``plan.bits`` to 8 wherever the goal allows it.

    Parameters
    ----------
    plan : Plan
        Changed in place.
    seen : Observations
        Of its tensors.
    goal : Goal
        What it may cost.
    macs : dict of str to float
        Scale class → share of the multiply-accumulates that read it.
    estimators : (str, str)
        Range estimators for 16 and 8 bits.
    progress : callable, optional
        Called with the share done.
    rounded : QuantizedNetwork, optional
        Where weights were rounded with care: what plain rounding costs would hide what widths cost.

    Returns
    -------
    list of Choice
        All choices, the most worthwhile first, as measured alone.
    """
    groups = width_groups(plan)
    asked = 0
    # each alone, all at 16, about log2 of them for the beginning, and the rest once more
    most_asked = 2 * len(groups) + len(groups).bit_length() + 2

    def harm(small: set[str]) -> float:
        nonlocal asked
        for root in plan.members():
            plan.bits[root] = 8 if root in small else 16
        network = QuantizedNetwork(plan, mixed_scales(plan, seen, estimators))
        if rounded is not None:
            network.take_weights(rounded)
        found = goal.harm(network)
        asked += 1
        if progress:
            progress(min(1.0, asked / most_asked))
        return found if np.isfinite(found) else np.inf

    least = harm(set())
    choices = [
        Choice(group, max(harm(set(group)) - least, LEAST_HARM), sum(macs.get(r, 0.0) for r in group))
        for group in groups
    ]
    choices.sort(key=lambda c: c.harm / max(c.macs, 1e-6))

    def roots(some: list[Choice]) -> set[str]:
        return {root for choice in some for root in choice.roots}

    low, high = 0, len(choices)
    while low < high:  # the longest beginning that the goal allows
        middle = (low + high + 1) // 2
        if harm(roots(choices[:middle])) <= goal.most:
            low = middle
        else:
            high = middle - 1
    taken = choices[:low]
    # the one that follows is too much; those behind it, which save less for their harm, may still fit
    for choice in choices[low + 1 :]:
        if harm(roots([*taken, choice])) <= goal.most:
            taken.append(choice)
    small = roots(taken)
    for root in plan.members():
        plan.bits[root] = 8 if root in small else 16
    return choices


def mixed_scales(
    plan: Plan, seen: Observations, estimators: tuple[str, str] = ("minmax", "mse")
) -> dict[str, float]:
    """Scales with one estimator for 16-bit classes and another for 8-bit ones."""
    wide, narrow = (scales_from(plan, seen, e) for e in estimators)
    return {root: narrow[root] if plan.bits.get(root, 16) == 8 else wide[root] for root in plan.members()}
