"""Cross-layer equalisation: the same function with channels of more equal range.

A channel may be scaled where it is made and scaled back where it is read, through every operator that
commutes with a positive factor (ReLU, leaky ReLU, sums, data movement), residual streams included (Nagel
et al., "Data-free quantization", arXiv 1906.04721; the balance between activations and weights is Xiao et
al., "SmoothQuant", arXiv 2211.10438).
"""

from __future__ import annotations

import numpy as np

from quantize.graph.channels import NOTHING, PINNED, Channels, trace_channels
from quantize.graph.graph import Graph
from quantize.graph.layers import layers
from quantize.integers.calibrate import Observations
from quantize.operators import along, groups_of, known, layer_of

BALANCE = 0.5  # 1 flattens the activations, 0 the weights that read them
STEEPEST = 64.0  # a nearly dead channel is not blown up further than this


def equalise(graph: Graph, seen: Observations) -> Graph:
    """Rescale channels so that activations and weights are easier to quantize.

    Parameters
    ----------
    graph : Graph
        Float graph.
    seen : Observations
        Channel peaks of its activations on calibration data.

    Returns
    -------
    Graph
        Equal to `graph` up to float rounding.
    """
    channels = trace_channels(graph)
    fixed = _fixed_roots(channels)
    peaks: dict[int, float] = {}
    for name, peak in seen.peaks.items():
        labels = channels.labels.get(name)
        if labels is None or labels.ndim < 2 or labels.shape[1] != peak.size:
            continue
        for root, value in zip(
            channels.roots(channels.along(labels, 1)).tolist(), peak.tolist(), strict=True
        ):
            peaks[root] = max(peaks.get(root, 0.0), value)
    readers = _reader_peaks(channels)
    factors = _factors(channels, {r: p for r, p in peaks.items() if r not in fixed}, readers)
    result = graph.copy()
    done: set[str] = set()
    for node in graph.nodes:
        layer = layer_of(node)
        for place, name in enumerate(node.inputs):
            if name in done or name not in channels.axes:
                continue
            done.add(name)
            value = result.constants[name].astype(np.float64)
            for axis, labels in enumerate(channels.axes[name]):
                if labels is None:
                    continue
                vector = np.array([factors.get(root, 1.0) for root in channels.roots(labels).tolist()])
                reads = layer is not None and place == 1 and axis == layer.input_axis(node)
                value = value * along(vector if reads else 1.0 / vector, axis, value.ndim)
            result.constants[name] = value.astype(np.float32)
    return result


def _fixed_roots(channels: Channels) -> set[int]:
    """Labels that pass an operator which does not commute with a factor, or a grouped layer."""
    fixed = {PINNED, NOTHING}
    for node in channels.graph.nodes:
        record = known(node)
        grouped = groups_of(node) > 1
        if record is not None and record.passes_factors and not grouped:
            continue
        for name in (*node.inputs, *node.outputs):
            if name in channels.labels:
                fixed.update(np.unique(channels.roots(channels.labels[name])).tolist())
    return fixed


def _reader_peaks(channels: Channels) -> dict[int, float]:
    """Largest weight that reads each label, relative to its layer's largest."""
    found: dict[int, float] = {}
    for _, node, layer in layers(channels.graph):
        if node.inputs[1] not in channels.axes:
            continue
        weight = np.abs(channels.graph.constants[node.inputs[1]])
        axis = layer.input_axis(node)
        labels = channels.axes[node.inputs[1]][axis]
        if labels is None or weight.max() == 0:
            continue
        peak = weight.max(axis=tuple(a for a in range(weight.ndim) if a != axis)) / weight.max()
        for root, value in zip(channels.roots(labels).tolist(), peak.tolist(), strict=True):
            found[root] = max(found.get(root, 0.0), value)
    return found


def _factors(channels: Channels, peaks: dict[int, float], readers: dict[int, float]) -> dict[int, float]:
    """Divisor of every label, geometric mean 1 within a family."""
    families: dict[int, list[int]] = {}
    for root, family in channels.families().items():
        if peaks.get(root, 0.0) > 0 and readers.get(root, 0.0) > 0:
            families.setdefault(family, []).append(root)
    factors: dict[int, float] = {}
    for roots in families.values():
        raw = np.array([peaks[r] ** BALANCE / readers[r] ** (1 - BALANCE) for r in roots])
        raw = raw / np.exp(np.log(raw).mean())
        for root, value in zip(roots, np.clip(raw, 1 / STEEPEST, STEEPEST).tolist(), strict=True):
            factors[root] = value
    return factors
