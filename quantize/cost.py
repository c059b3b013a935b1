"""What a model costs on a board: the one question this room may ask the compiler."""

from __future__ import annotations

import onnx

from firmware.compiler import Budget
from quantize.graph.graph import Graph
from quantize.graph.layers import layers


def predict(model: onnx.ModelProto, board: str, block: int = 48, *, as_if_quantized: bool = True) -> Budget:
    """Ask the compiler what a model costs on a board (predicted, not measured).

    A float model is counted as if rounded to W8A16, or, without `as_if_quantized`, in float arithmetic.
    """
    from firmware.compiler import budget

    return budget(model, board=board, block=block, as_if_quantized=as_if_quantized)


def layer_cycles(graph: Graph, board: str) -> dict[int, float]:
    """Predicted cycles per second (per event for event models) of every linear layer, by position.

    Where the compiler makes several layers of one, the costliest counts; one it does not list is left out.
    """
    cycles_of: dict[str, float] = {}
    for layer in predict(graph.to_model(), board).layers:
        cycles = float(layer.get("cycles_per_event", 0.0) or layer["cycles_per_second"])
        cycles_of[layer["origin"]] = max(cycles_of.get(layer["origin"], 0.0), cycles)
    return {
        position: cycles_of[node.outputs[0]]
        for position, node, _ in layers(graph)
        if node.outputs[0] in cycles_of
    }


def sizes(graph: Graph, model: onnx.ModelProto, board: str) -> dict[str, str]:
    """Bytes and predicted cycles of the float model, in float arithmetic, and of its integers."""
    before = predict(graph.to_model(), board, as_if_quantized=False)
    after = predict(model, board)
    out = {
        "board": f"{board}; float → integers; cycles are predicted, not measured",
        "parameters": f"{before.parameters:,} → {after.parameters:,}",
        "weight bytes": f"{before.weight_bytes:,} → {after.weight_bytes:,}",
        "state bytes": f"{before.state_bytes:,} → {after.state_bytes:,}",
        "worst callback": f"{before.cpu_worst:.2%} → {after.cpu_worst:.2%} of the processor",
    }
    if after.cycles_per_second:
        out["cycles per second"] = f"{before.cycles_per_second:,.0f} → {after.cycles_per_second:,.0f}"
        out["mean"] = f"{before.cpu_mean:.2%} → {after.cpu_mean:.2%} of the processor"
    else:
        events = [sum(layer["cycles_per_event"] for layer in b.layers) for b in (before, after)]
        out["cycles per event"] = f"{events[0]:,.0f} → {events[1]:,.0f}"
    return out
