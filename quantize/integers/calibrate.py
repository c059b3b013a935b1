"""Calibration: what range each quantized tensor takes on real feeds, and the scales that follow."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import torch

from common.refusal import Refusal
from quantize.graph.graph import Feed
from quantize.graph.network import Network
from quantize.integers.plan import Plan
from quantize.integers.ranges import Histogram, estimate
from quantize.operators import known

# below this share of the fed range a scale would overflow float32 arithmetic or mean a dead tensor
SMALLEST_RANGE = 1e-12
# 16 bits have 90 dB: a quarter of a bit is well spent on peaks that calibration did not see
HEADROOM_16 = 1.25


@dataclass
class Observations:
    """What calibration saw.

    Attributes
    ----------
    histograms : dict of str to Histogram
        One for each quantized tensor.
    means : dict of str to ndarray [C]
        Mean of each channel (axis 1), for bias correction.
    energies : dict of str to ndarray [C]
        Mean square of each channel.
    peaks : dict of str to ndarray [C]
        Largest magnitude of each channel, for equalisation and dead channels.
    frames : int
        Frames (last axis) seen, summed over the batch.
    """

    histograms: dict[str, Histogram] = field(default_factory=dict)
    means: dict[str, np.ndarray] = field(default_factory=dict)
    energies: dict[str, np.ndarray] = field(default_factory=dict)
    peaks: dict[str, np.ndarray] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    frames: int = 0

    def add(self, name: str, values: np.ndarray) -> None:
        """Count the values of one tensor [N, C, ...]."""
        if not np.isfinite(values).all():
            raise Refusal(
                f"tensor {name!r} becomes NaN or infinite on the calibration data; check the model "
                "and the data."
            )
        self.histograms.setdefault(name, Histogram()).add(values)
        if values.ndim >= 2:
            axes = tuple(a for a in range(values.ndim) if a != 1)
            size = values.size // max(values.shape[1], 1)
            mean, peak = values.mean(axes, dtype=np.float64), np.abs(values).max(axes)
            energy = np.square(values, dtype=np.float64).mean(axes)
            seen = self.counts.get(name, 0)
            share = size / (seen + size)
            self.means[name] = self.means.get(name, 0.0) * (1 - share) + mean * share
            self.energies[name] = self.energies.get(name, 0.0) * (1 - share) + energy * share
            self.peaks[name] = np.maximum(self.peaks.get(name, 0.0), peak)
            self.counts[name] = seen + size


def observe(network: Network, tensors: Iterable[str], feeds: Iterable[Feed]) -> Observations:
    """Run the float network over the feeds and record the named tensors."""
    tensors = list(tensors)
    seen = Observations()
    with torch.no_grad():
        for feed in feeds:
            fed = {k: torch.from_numpy(np.asarray(v)) for k, v in feed.items()}
            values = network(fed, keep=tensors, outputs=False)
            for name in tensors:
                if name in values:
                    seen.add(name, values[name].numpy())
            seen.frames += max(int(v.shape[-1]) * int(v.shape[0]) for v in feed.values())
    if not seen.frames:
        raise Refusal("there is nothing to calibrate with; give data that the model was trained for.")
    return seen


def activation_tensors(plan: Plan) -> list[str]:
    """Quantized tensors that are computed (constants left out)."""
    return [t for t in plan.scale_class if t not in plan.graph.constants]


def scales_from(plan: Plan, seen: Observations, method: str = "minmax") -> dict[str, float]:
    """Scale of every class: the widest of its members, so that no member clips more than it chose to.

    Parameters
    ----------
    plan : Plan
        Which tensors share a scale, and how wide they are.
    seen : Observations
        From :func:`observe`.
    method : str
        A range estimator of ``quantize.integers.ranges``.

    Returns
    -------
    dict of str to float
        Class representative → scale, exactly a float32.
    """
    largest = _known_reach(plan) | _settled_reach(plan)
    useful, exact = useful_ranges(plan), plan.exact_scales()
    scales: dict[str, float] = {}
    for root, members in plan.members().items():
        if root in exact:
            scales[root] = exact[root]
            continue
        bits = plan.bits.get(root, 16)
        top = (1 << (bits - 1)) - 1
        ranges = []
        for name in members:
            if name in plan.graph.constants:
                ranges.append(float(np.abs(plan.graph.constants[name]).max(initial=0.0)))
            elif name in largest:
                ranges.append(largest[name])
            elif name in seen.histograms:
                room = HEADROOM_16 if bits == 16 and method == "minmax" else 1.0
                wanted = room * estimate(seen.histograms[name], method, bits)
                ranges.append(min(wanted, useful.get(name, np.inf)))
        width = max(ranges, default=0.0)
        if not np.isfinite(width):
            raise Refusal(f"tensor {members[0]!r} has an infinite range; check the calibration data.")
        # a tensor that is always 0 keeps a harmless scale
        scales[root] = (
            float(np.float32(max(width, SMALLEST_RANGE) / top)) if width else float(np.float32(1.0 / top))
        )
    return scales


def _known_reach(plan: Plan) -> dict[str, float]:
    """Tensors whose largest magnitude their operator knows, and that magnitude."""
    found = {}
    for node in plan.graph.nodes:
        record = known(node)
        if record is not None and record.largest is not None:
            found[node.outputs[0]] = record.largest
    return found


def _settled_reach(plan: Plan) -> dict[str, float]:
    """Joined sums that nobody reads but one function, and the input at which that moves no more.

    All of a model's have one scale then, and share one table.
    """
    consumers, outputs = plan.graph.consumers(), set(plan.graph.output_names)
    found = {}
    for position in plan.joins:
        name = plan.graph.nodes[position].outputs[0]
        readers = consumers[name]
        record = known(readers[0]) if len(readers) == 1 and name not in outputs else None
        if record is not None and record.settles is not None:
            found[name] = record.settles
    return found


def useful_ranges(plan: Plan) -> dict[str, float]:
    """Largest magnitude of a tensor that can matter, for those that nobody reads but what clips.

    What lies beyond a clip's bounds saturates in any case, so integers need not reach it.
    """
    consumers, outputs = plan.graph.consumers(), set(plan.graph.output_names)
    bounds: dict[str, tuple[float, float]] = {}  # a tensor → the values beyond which nothing changes
    for position in sorted(plan.integer, reverse=True):
        node = plan.graph.nodes[position]
        record = known(node)
        if record is None or record.matters is None:
            continue
        own = record.matters(node, plan.graph, bounds.get(node.outputs[0]))
        if own is None:
            continue
        name = node.inputs[0]
        if len(consumers[name]) == 1 and name not in outputs and own[0] <= 0.0 <= own[1]:
            bounds[name] = own
    return {name: max(-low, high) for name, (low, high) in bounds.items() if max(-low, high) > 0}


def dead_channels(plan: Plan, seen: Observations) -> dict[str, list[int]]:
    """Channels that stayed at exactly zero on all feeds, by tensor."""
    return {
        name: np.flatnonzero(peak == 0.0).tolist()
        for name, peak in seen.peaks.items()
        if name in plan.scale_class and (peak == 0.0).any()
    }
