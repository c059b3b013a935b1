"""Better integers for given scales: adaptive rounding and bias correction, layer by layer, without training.

Adaptive rounding quantizes a layer's weights one tap after the other and lets the taps that are still free
make up for the error, weighed by how the layer's inputs correlate (optimal brain surgeon; Frantar et al.,
"GPTQ", arXiv 2210.17323); the inputs are those behind the layers that are rounded already. Bias correction
removes the mean error that is left (Nagel et al., arXiv 1906.04721).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from quantize.data.examples import tensors
from quantize.graph.graph import Feed, Node
from quantize.graph.layers import layers
from quantize.graph.network import Network
from quantize.integers.network import QuantizedNetwork
from quantize.integers.weights import TOP
from quantize.operators import Layer, bias_of

DAMPING = 0.01  # share of the mean diagonal, as in GPTQ
MOST_FRAMES = 4096


def _thin(rows: np.ndarray, shares: int) -> np.ndarray:
    return rows[:: max(1, len(rows) * shares // MOST_FRAMES)].astype(np.float64)


def round_adaptively(weight: np.ndarray, scale: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Quantize [Cout, D] weights so that their product with `rows` [n, D] changes least.

    Parameters
    ----------
    weight : ndarray [Cout, D]
        Float weights.
    scale : ndarray [Cout]
        Scale of each row.
    rows : ndarray [n, D]
        Inputs the layer sees.

    Returns
    -------
    ndarray [Cout, D]
        Whole numbers in [-127, 127].
    """
    hessian = rows.T @ rows
    diagonal = np.diag(hessian).copy()
    dead = diagonal == 0
    hessian[dead, dead] = 1.0
    hessian += np.eye(len(hessian)) * max(DAMPING * float(diagonal.mean()), 1e-12)
    order = np.argsort(-diagonal)  # the taps that matter most choose first
    inverse = np.linalg.inv(hessian[np.ix_(order, order)])
    factor = np.linalg.cholesky(inverse).T  # upper: row i holds how tap i's error spreads to the later ones
    work = weight[:, order].astype(np.float64).copy()
    integers = np.empty_like(work)
    for tap in range(work.shape[1]):
        integers[:, tap] = np.clip(np.rint(work[:, tap] / scale), -TOP, TOP)
        error = (work[:, tap] - integers[:, tap] * scale) / factor[tap, tap]
        work[:, tap + 1 :] -= error[:, None] * factor[tap, tap + 1 :][None, :]
    out = np.empty_like(integers)
    out[:, order] = integers
    return out


def refine(
    student: QuantizedNetwork, teacher: Network, feeds: Sequence[Feed], *, adapt: bool, correct: bool
) -> None:
    """Improve the integers of every layer; in place.

    Parameters
    ----------
    student : QuantizedNetwork
        Changed in place: weights become the exact values of their integers.
    teacher : Network
        The float network with the same tensor names.
    feeds : sequence of Feed
        Calibration data; a bias that makes the output on the last of them worse is taken back.
    adapt, correct : bool
        Which refinements to apply.
    """
    if adapt:
        for position, node, layer in layers(student.plan.graph):
            if position in student.plan.integer and layer.adapts(node) and _has_8_bits(student, position):
                rows = _layer_inputs(student, node, layer, feeds)
                _adapt_layer(student, position, node, layer, rows)
    if correct:
        _correct_biases(student, teacher, feeds[0], feeds[-1])


def _has_8_bits(student: QuantizedNetwork, position: int) -> bool:
    """Whether a layer's weights are int8: beside the largest layer of a joined sum they are int16."""
    join = student.plan.joined(position)
    return join is None or position == join.main.position


def _settled(student: QuantizedNetwork, position: int) -> str:
    """The first quantized tensor behind a layer."""
    join = student.plan.joined(position)
    return student.plan.graph.nodes[position if join is None else join.position].outputs[0]


def _outputs(network: Network, feed: Feed) -> list[torch.Tensor]:
    with torch.no_grad():
        values = network(tensors(feed))
    return [values[name] for name in network.graph.output_names]


def _error(student: QuantizedNetwork, feed: Feed, wanted: list[torch.Tensor]) -> float:
    """Squared error of the outputs, each over its own energy."""
    made = _outputs(student, feed)
    parts = [((m - w) ** 2).sum() / (w**2).sum().clamp(min=1e-30) for m, w in zip(made, wanted, strict=True)]
    return float(sum(parts))


def _layer_inputs(student: QuantizedNetwork, node: Node, layer: Layer, feeds: Sequence[Feed]) -> np.ndarray:
    """Rows that an adaptable layer sees behind the layers that are rounded already, [rows, D]."""
    shape = student.constant(node.inputs[1]).shape
    rows = []
    for feed in feeds:
        with torch.no_grad():
            x = student(tensors(feed), keep=[node.inputs[0]], outputs=False)[node.inputs[0]].numpy()
        rows.append(_thin(layer.rows(node, x, shape), len(feeds)))
    return np.concatenate(rows)


def _adapt_layer(
    student: QuantizedNetwork, position: int, node: Node, layer: Layer, rows: np.ndarray
) -> None:
    parameter = student.weights[student.index[node.inputs[1]]]
    weight = parameter.detach().numpy().astype(np.float64)
    scale = student.weight_scale(position).detach().numpy()
    rounded = [
        round_adaptively(matrix, scale, rows) * scale[:, None] for matrix in layer.matrices(node, weight)
    ]
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(layer.weight_of(node, rounded, weight.shape)))


def _correct_biases(student: QuantizedNetwork, teacher: Network, feed: Feed, judged: Feed) -> None:
    """Shift biases by the mean difference of their layer's output, in execution order.

    A shift that makes the model's output worse is taken back.
    """
    fed = tensors(feed)
    biased = [
        (_settled(student, position), bias_of(node))
        for position, node, layer in layers(student.plan.graph)
        if position in student.plan.integer and layer.along_time and bias_of(node)
        if node.outputs[0] not in student.plan.fused
    ]
    goal = _outputs(teacher, judged)
    least = _error(student, judged, goal)
    with torch.no_grad():
        wanted = teacher(fed, keep=[name for name, _ in biased], outputs=False)
        for name, parameter in biased:
            made = student(fed, keep=[name], outputs=False)[name]
            bias = student.weights[student.index[parameter]]
            before = bias.detach().clone()
            bias += (wanted[name] - made).to(torch.float64).mean((0, 2)).to(bias.dtype)
            error = _error(student, judged, goal)
            if error < least:
                least = error
            else:
                bias.copy_(before)
