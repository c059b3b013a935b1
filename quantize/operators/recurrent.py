"""Recurrent units: in float by torch's own, in integers by ``firmware/compiler/judge/recurrent.py``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch

from common.refusal import Refusal
from firmware.compiler.judge import recurrent as judge
from quantize.graph.graph import Graph, Node
from quantize.integers.arithmetic import straight_through
from quantize.operators.record import Call, Operator, register

Tensor = torch.Tensor
Rows = tuple[np.ndarray, np.ndarray, np.ndarray]


def gru(node: Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    """ONNX GRU, forward, any layout 0; gates z, r, h; Y [T, 1, N, H] and the last state."""
    x, w, r = inputs[0], inputs[1][0], inputs[2][0]
    hidden = node.attributes["hidden_size"]
    if node.attributes["layout"]:
        raise Refusal(f"node {node.name!r} (GRU) must have layout 0.")
    wb, rb = _bias(inputs, 6 * hidden, x).chunk(2)
    state = _state(inputs, 5, hidden, x)
    if node.attributes["linear_before_reset"]:
        order = _rows(hidden, (1, 0, 2))
        parameters = [w[order], r[order], wb[order], rb[order]]
        y, last = torch.gru(x, state[None], parameters, True, 1, 0.0, False, False, False)
        return y[:, None], last
    frames = []
    for frame in x:
        a = frame @ w.T + wb
        zr = torch.sigmoid(a[:, : 2 * hidden] + state @ r[: 2 * hidden].T + rb[: 2 * hidden])
        z, reset = zr[:, :hidden], zr[:, hidden:]
        h = (reset * state) @ r[2 * hidden :].T + rb[2 * hidden :]
        state = (1 - z) * torch.tanh(a[:, 2 * hidden :] + h) + z * state
        frames.append(state)
    return torch.stack(frames)[:, None], state[None]


def lstm(node: Node, inputs: list[Any]) -> tuple[Tensor, Tensor, Tensor]:
    """ONNX LSTM, forward, layout 0, no peepholes; gates i, o, f, c; Y [T, 1, N, H] and the last states."""
    x, w, r = inputs[0], inputs[1][0], inputs[2][0]
    hidden = node.attributes["hidden_size"]
    if node.attributes["layout"] or (len(inputs) > 7 and inputs[7] is not None):
        raise Refusal(f"node {node.name!r} (LSTM) must have layout 0 and no peepholes.")
    wb, rb = _bias(inputs, 8 * hidden, x).chunk(2)
    order = _rows(hidden, (0, 2, 3, 1))
    states = (_state(inputs, 5, hidden, x)[None], _state(inputs, 6, hidden, x)[None])
    parameters = [w[order], r[order], wb[order], rb[order]]
    y, state, cell = torch.lstm(x, states, parameters, True, 1, 0.0, False, False, False)
    return y[:, None], state, cell


def _rows(hidden: int, gates: tuple[int, ...]) -> Tensor:
    """Rows of gates in torch's order."""
    return torch.cat([torch.arange(gate * hidden, (gate + 1) * hidden) for gate in gates])


def _optional(inputs: Sequence[Any], place: int) -> Any:
    """An input that may be absent."""
    return inputs[place] if len(inputs) > place else None


def _bias(inputs: Sequence[Any], size: int, x: Tensor) -> Tensor:
    """Both biases, one after the other."""
    given = _optional(inputs, 3)
    return torch.zeros(size, dtype=x.dtype) if given is None else given[0]


def _state(inputs: Sequence[Any], place: int, hidden: int, x: Tensor) -> Tensor:
    """A first state [N, H]."""
    given = _optional(inputs, place)
    if given is None:
        return torch.zeros(x.shape[1], hidden, dtype=x.dtype)
    return given[0].expand(x.shape[1], hidden).contiguous()


def integer_rows(node: Node, constants: Sequence[np.ndarray | None]) -> Rows:
    """Four sums a unit of a layer, from its ONNX inputs behind the first: W, R and B."""
    weight, recurrent = (np.asarray(v, np.float64)[0] for v in constants[:2] if v is not None)
    rows = len(weight)
    bias = _optional(constants, 2)
    both = np.zeros(2 * rows) if bias is None else np.asarray(bias, np.float64)[0]
    if node.op == "LSTM":
        return weight, recurrent, both[:rows] + both[rows:]
    before = not node.attributes["linear_before_reset"]
    return judge.gru_rows(weight, recurrent, both[:rows], both[rows:], resets_before=before)


def _settled(node: Node, constants: Sequence[np.ndarray | None], scale: float) -> judge.RecurrentIntegers:
    """The integers of a layer whose input is int16."""
    layer = judge.settled_integers(*integer_rows(node, constants), scale, 1 << 15)
    if layer is None:
        raise Refusal(
            f"node {node.name!r} ({node.op}) adds up to more than 128, which integers do not reach; "
            "retrain it with smaller weights."
        )
    return layer


def _weights(node: Node, graph: Graph, scale: float) -> dict[int, tuple[np.ndarray, float]]:
    """W and R as int16; biases stay what they are."""
    layer = _settled(node, [graph.constants[n] if n else None for n in node.inputs[1:4]], scale)
    one = 2.0 ** (judge.FRACTION + layer.shift)
    parts = [(layer.weight, 1 / (one * scale)), (layer.recurrent, 1 / (one * judge.STATE_SCALE))]
    if node.op == "GRU":
        parts = [(judge.gru_gates(values), unit) for values, unit in parts]
    return {k + 1: (values[None].astype(np.int16), unit) for k, (values, unit) in enumerate(parts)}


def _integers(call: Call) -> Tensor:
    """The judge's integers; their gradient is that of the float unit."""
    scale, node = call.scale(0), call.node
    with torch.no_grad():
        constants = [None if v is None else v.detach().numpy() for v in call.settings]
        x = call.inputs[0].to(torch.int64).numpy().transpose(0, 2, 1)
        layer = _settled(node, constants, float(scale))
        run = judge.lstm
        if node.op == "GRU":
            run = judge.gru if node.attributes["linear_before_reset"] else judge.gru_before
        made = run(layer, x).transpose(0, 2, 1)[:, None]

    def real() -> Tensor:
        form = lstm if node.op == "LSTM" else gru
        y = form(node, [call.inputs[0] * scale.to(torch.float32), *call.settings])[0]
        return y / judge.STATE_SCALE

    return straight_through(real, torch.from_numpy(np.ascontiguousarray(made)).to(torch.float32))


def _trim(graph: Graph, node: Node) -> None:
    """Leave out first states of zeros, and last states that nobody reads."""
    read = graph.consumers().keys() | set(graph.output_names)
    if not any(name in read for name in node.outputs[1:]):
        del node.outputs[1:]
    if all(not name or not np.any(graph.constants.get(name, 1)) for name in node.inputs[4:]):
        del node.inputs[4:]


def _obstacle(node: Node, graph: Graph) -> str:
    """Why a layer stays in float."""
    if any(name and name not in graph.constants for name in node.inputs[1:4]):
        return "its weights are computed"
    if any(name for name in node.inputs[4:]):
        return "it begins from a state of its own or has peepholes"
    if node.attributes["layout"]:
        return "its batch comes first"
    if len(node.outputs) > 1:
        return "its last state is read"
    constants = [graph.constants[name] if name else None for name in node.inputs[1:4]]
    # the scale of audio up to 1: the real one is not known yet
    if judge.recurrent_integers(*integer_rows(node, constants), 2.0**-15, 1 << 15) is None:
        return f"its sums pass 128, or it has more than {judge.MOST_COLUMNS} states and inputs"
    return ""


def _record(name: str, form: Callable[[Node, list[Any]], Any]) -> Operator:
    return Operator(
        name,
        form,
        weighted=True,
        exact_scale=judge.STATE_SCALE,
        integer=_integers,
        weights=_weights,
        obstacle=_obstacle,
        rewrite=_trim,
    )


register(_record("GRU", gru), _record("LSTM", lstm))
