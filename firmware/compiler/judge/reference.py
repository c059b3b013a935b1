"""The judge: a graph evaluated offline in numpy, integers exactly, floats in double precision."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Graph
from firmware.compiler.ops import FAMILIES


def run(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Evaluate a graph on whole signals.

    Parameters
    ----------
    graph : Graph
        After any pass of the pipeline before ``add_endpoints``.
    feeds : mapping of input name to ndarray
        ``[channels, frames]`` or ``[1, channels, frames]``, under the names of the ONNX file.

    Returns
    -------
    dict of output name to float64 ndarray, shape (channels, frames)

    Raises
    ------
    Refusal
        When an input is missing or has the wrong number of channels.
    """
    values = trace(graph, feeds)
    return {graph.labels.get(n, n): np.asarray(values[n], np.float64) for n in graph.outputs}


def trace(graph: Graph, feeds: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Evaluate a graph and keep every tensor: integers as int64, floats as float64."""
    values: dict[str, np.ndarray] = {}
    for name in graph.inputs:
        label = graph.labels.get(name, name)
        if label not in feeds:
            raise Refusal(
                f"input {label!r} is missing; the model takes "
                f"{[graph.labels.get(n, n) for n in graph.inputs]}."
            )
        array = np.asarray(feeds[label], np.float32)
        array = array[0] if array.ndim == 3 else array
        channels = graph.tensors[name].channels
        array = array[:, None] if array.ndim == 1 else array
        if array.shape[0] == 1 != channels and array.shape[1] == channels and graph.tensors[name].length == 1:
            array = array.T
        if array.ndim != 2 or array.shape[0] != channels:
            raise Refusal(f"input {label!r} has the shape {list(array.shape)}; give [{channels}, frames].")
        values[name] = array.astype(np.float64)
    for node in graph.nodes:
        (result,) = node.outputs
        values[result] = FAMILIES[node.op].reference(node, graph, [values[n] for n in node.inputs])
    return values
