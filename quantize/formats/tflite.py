"""Write a quantized model as TFLite, for LiteRT: W8A8 and 16×8, float edges included, one fixed length."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
import torch

from common.refusal import Refusal
from quantize.data.examples import tensors
from quantize.formats.tflite_writer import Writer, laid_out
from quantize.graph.channels import example_feeds
from quantize.graph.graph import Graph
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.plan import Plan, Quantized, can_fuse
from quantize.operators import known


def to_tflite(model: Quantized, frames: int) -> bytes:
    """Write a model for `frames` frames of its slowest input.

    Parameters
    ----------
    model : Quantized
        Plan, scales and integers.
    frames : int
        Length that the file is fixed to.

    Raises
    ------
    Refusal
        For an operator that LiteRT has no kernel for.
    """
    plan, graph = model.plan, model.plan.graph
    w = Writer(graph, _shapes(graph, frames), model, plan.width, plan.fused)
    w.begin()
    for position, node in enumerate(graph.nodes):
        w.position, w.integer = position, position in plan.integer
        if w.integer and can_fuse(node) and node.inputs[0] in plan.fused:
            continue  # done by its layer
        record = known(node)
        if record is None or record.tflite is None:
            raise Refusal(f"node {node.name!r} ({node.op}) has no kernel in TFLite; export to onnx instead.")
        record.tflite(w, node)
    return w.end()


def float_tflite(model: onnx.ModelProto, frames: int = 1) -> bytes:
    """Write a float model as it is, nothing quantized: for the bench, which times LiteRT beside us.

    Parameters
    ----------
    model : ModelProto
        Standard ONNX; input lengths as stated there.
    frames : int
        Length of inputs whose length is not stated.

    Raises
    ------
    Refusal
        For an operator that LiteRT has no kernel for.
    """
    nothing_quantized = Plan(load_graph(model), set(), {}, {})
    return to_tflite(Quantized(nothing_quantized, {}, {}), frames)


def _shapes(graph: Graph, frames: int) -> dict[str, tuple[int, ...]]:
    names = [name for node in graph.nodes for name in node.outputs if name]
    with torch.no_grad():
        values = Network(graph)(tensors(example_feeds(graph, frames)), keep=[*names, *graph.input_names])
    return {name: tuple(value.shape) for name, value in values.items()}


def run_tflite(data: bytes, feed: dict[str, np.ndarray], order: Sequence[str]) -> list[np.ndarray]:
    """Run a file in LiteRT's reference kernels.

    Parameters
    ----------
    data : bytes
        The file.
    feed : dict of str to ndarray [1, C, T]
        Inputs.
    order : sequence of str
        Names of the file's inputs, in order.

    Returns
    -------
    list of ndarray [1, C, T]
        Outputs.
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    interpreter = Interpreter(
        model_content=data, experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    interpreter.allocate_tensors()
    for name, detail in zip(order, interpreter.get_input_details(), strict=True):
        interpreter.set_tensor(detail["index"], laid_out(feed[name].astype(np.float32)))
    interpreter.invoke()
    results = []
    for detail in interpreter.get_output_details():
        value = interpreter.get_tensor(detail["index"])
        results.append(value[:, 0].transpose(0, 2, 1) if value.ndim == 4 else value)
    return results
