"""Mixed precision: 8-bit activations wherever the ear does not need 16.

Widths change only at linear layers and at the float edges: tensors that meet in a sum, a product, a table
or a data movement form one choice. Each choice is tried alone at 8 bits; noises add, so they are then taken
in order of noise for what they save until the target is reached, and the result is measured.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from quantize.calibrate import Observations, scales_from
from quantize.examples import Example, run
from quantize.graph import LINEAR
from quantize.plan import Plan, quantized_inputs
from quantize.qat import QuantizedNetwork
from quantize.quality import snr_db


@dataclass
class Choice:
    """Classes that change width together.

    Attributes
    ----------
    roots : tuple of str
        Scale classes.
    snr_db : float
        Output SNR against all-16-bit-or-float reference when only these have 8 bits.
    macs : float
        Share of the multiply-accumulates that read them.
    """

    roots: tuple[str, ...]
    snr_db: float
    macs: float


def width_groups(plan: Plan) -> list[tuple[str, ...]]:
    """Scale classes that must have one width."""
    parent = {root: root for root in plan.members()}

    def find(name: str) -> str:
        while parent[name] != name:
            name = parent[name]
        return name

    for position in plan.integer:
        node = plan.graph.nodes[position]
        if node.op in LINEAR:
            continue
        tensors = [n for n in (*quantized_inputs(node, plan.graph), *node.outputs) if n in plan.scale_class]
        for name in tensors[1:]:
            parent[find(plan.scale_class[name])] = find(plan.scale_class[tensors[0]])
    groups: dict[str, list[str]] = {}
    for root in parent:
        groups.setdefault(find(root), []).append(root)
    return [tuple(sorted(g)) for g in groups.values()]


def search(
    plan: Plan,
    seen: Observations,
    examples: list[Example],
    least_snr_db: float,
    macs: dict[str, float],
    estimators: tuple[str, str] = ("minmax", "mse"),
    progress: Callable[[float], None] | None = None,
) -> list[Choice]:
    """Set ``plan.bits`` to 8 where the output SNR against float stays at or above `least_snr_db`.

    Parameters
    ----------
    plan : Plan
        Changed in place.
    seen : Observations
        Of its tensors.
    examples : list of Example
        To measure on.
    least_snr_db : float
        Output SNR to keep.
    macs : dict of str to float
        Scale class → share of the multiply-accumulates that read it.
    estimators : (str, str)
        Range estimators for 16 and 8 bits.

    Returns
    -------
    list of Choice
        All choices, the most worthwhile first, as measured alone.
    """

    def measure(small: set[str]) -> float:
        for root in plan.members():
            plan.bits[root] = 8 if root in small else 16
        network = QuantizedNetwork(plan, mixed_scales(plan, seen, estimators))
        values = [
            snr_db(wanted, made[name])
            for example in examples
            for made in [run(network, example.feed)]
            for name, wanted in example.taught.items()
        ]
        return float(np.mean(values))

    choices = []
    groups = width_groups(plan)
    for index, group in enumerate(groups):
        choices.append(Choice(group, measure(set(group)), sum(macs.get(r, 0.0) for r in group)))
        if progress:
            progress((index + 1) / (len(groups) + 4))
    choices.sort(key=lambda c: 10 ** (-c.snr_db / 10) / max(c.macs, 1e-6))
    low, high = 0, len(choices)
    while low < high:  # the longest prefix that keeps the target
        middle = (low + high + 1) // 2
        if measure({r for c in choices[:middle] for r in c.roots}) >= least_snr_db:
            low = middle
        else:
            high = middle - 1
    measure({r for c in choices[:low] for r in c.roots})
    return choices


def mixed_scales(
    plan: Plan, seen: Observations, estimators: tuple[str, str] = ("minmax", "mse")
) -> dict[str, float]:
    """Scales with one estimator for 16-bit classes and another for 8-bit ones."""
    wide, narrow = (scales_from(plan, seen, e) for e in estimators)
    return {root: narrow[root] if plan.bits.get(root, 16) == 8 else wide[root] for root in plan.members()}
