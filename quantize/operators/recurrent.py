"""Recurrent units, in float."""

from __future__ import annotations

from typing import Any

import torch

from common.refusal import Refusal
from quantize.graph.graph import Node
from quantize.operators.record import Operator, register

Tensor = torch.Tensor


def gru(node: Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    """ONNX GRU, forward, any layout 0; gates z, r, h; Y [T, 1, N, H] and the last state."""
    x, w, r = inputs[0], inputs[1][0], inputs[2][0]
    hidden = node.attributes["hidden_size"]
    if node.attributes["layout"]:
        raise Refusal(f"node {node.name!r} (GRU) must have layout 0.")
    bias = (
        inputs[3][0] if len(inputs) > 3 and inputs[3] is not None else torch.zeros(6 * hidden, dtype=x.dtype)
    )
    state = (
        inputs[5][0]
        if len(inputs) > 5 and inputs[5] is not None
        else torch.zeros(x.shape[1], hidden, dtype=x.dtype)
    )
    if state.shape[0] != x.shape[1]:
        state = state.expand(x.shape[1], hidden)
    after = node.attributes["linear_before_reset"]
    wb, rb = bias[: 3 * hidden], bias[3 * hidden :]
    frames = []
    for frame in x:
        a = frame @ w.T + wb
        zr = torch.sigmoid(a[:, : 2 * hidden] + state @ r[: 2 * hidden].T + rb[: 2 * hidden])
        z, reset = zr[:, :hidden], zr[:, hidden:]
        if after:
            h = reset * (state @ r[2 * hidden :].T + rb[2 * hidden :])
        else:
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
    given = [inputs[k] if len(inputs) > k else None for k in (3, 5, 6)]
    bias = torch.zeros(8 * hidden, dtype=x.dtype) if given[0] is None else given[0][0]
    zero = torch.zeros(x.shape[1], hidden, dtype=x.dtype)
    state, cell = (zero if s is None else s[0].expand(x.shape[1], hidden) for s in given[1:])
    driven = x @ w.T + bias[: 4 * hidden] + bias[4 * hidden :]
    frames = []
    for frame in driven:
        total = frame + state @ r.T
        i, o, f = torch.sigmoid(total[:, : 3 * hidden]).chunk(3, 1)
        cell = f * cell + i * torch.tanh(total[:, 3 * hidden :])
        state = o * torch.tanh(cell)
        frames.append(state)
    return torch.stack(frames)[:, None], state[None], cell[None]


register(Operator("GRU", gru, weighted=True), Operator("LSTM", lstm, weighted=True))
