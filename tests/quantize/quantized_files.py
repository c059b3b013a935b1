"""Digest what quantization writes: small models of every kind, random graphs, the factory models' weights.

A change of structure must leave it alone. ``python -m tests.quantize.quantized_files before.txt`` writes the
list; after the change, ``python -m tests.quantize.quantized_files --against before.txt`` compares: status 1
when a file differs. Times that a file's metadata mention are left out; the rest is the same on one machine.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from quantize.cost import layer_cycles
from quantize.data.calibration_set import CalibrationSet, from_metadata, from_pool
from quantize.data.tune import Effort
from quantize.formats.qdq import read_qdq
from quantize.formats.tflite import to_tflite
from quantize.graph.graph import Graph
from quantize.graph.load import load_graph
from quantize.integers.plan import Plan, make_plan
from quantize.procedure import Settings, run_procedure
from tests.digest_list import run
from tests.quantize.models import small_drive, small_drum, small_rhythm, small_stream
from tests.quantize.random_graphs import random_feed, random_graph

ROOT = Path(__file__).resolve().parents[2]
TIMES = ("seconds", "cpu_s")
FEW = Effort(steps=3)
NONE = Effort(steps=0)
WAYS = {
    "16": Settings(effort=NONE),
    "8": Settings(effort=NONE, activations="8", equalise=True),
    "mixed": Settings(effort=NONE, activations="mixed", least_snr_db=25.0),
    "pruned": Settings(effort=FEW, keep=0.7),
    "rounds": Settings(effort=FEW, keep=0.6, rounds=2, rewind=True, criterion="activation", scope="local"),
    "magnitude": Settings(effort=FEW, keep=0.8, criterion="magnitude", activations="8", per_cycle=False),
}
"""Settings by name: together they touch every part of the room."""


def digest_of(model: onnx.ModelProto) -> str:
    """SHA-256 of a file without the times in its metadata."""
    copy = onnx.ModelProto.FromString(model.SerializeToString())
    for entry in copy.metadata_props:
        if entry.key == "vaectrol.quantization":
            note = json.loads(entry.value)
            note["stages"] = [{k: v for k, v in s.items() if k not in TIMES} for s in note["stages"]]
            entry.value = json.dumps(note, sort_keys=True)
    return _sha(copy.SerializeToString())


def _sha(data: bytes | str) -> str:
    return hashlib.sha256(data.encode() if isinstance(data, str) else data).hexdigest()


def digest_of_plan(plan: Plan) -> str:
    """SHA-256 of what is integer, what is not and why, and which tensors share a scale."""
    parts: list[Any] = [sorted(plan.integer), sorted(plan.fused.items()), sorted(plan.scale_class.items())]
    return _sha(repr([*parts, sorted(plan.left.items()), sorted(plan.bits.items())]))


def every_operator(in_tflite: bool = False) -> Graph:
    """A graph with the operators that neither the decoders nor the random graphs have.

    `in_tflite` leaves out what TFLite has no kernel for.
    """
    random = np.random.default_rng(5)
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def constant(value: Any, kind: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.asarray(value, kind), f"k{len(constants)}"))
        return constants[-1].name

    def node(op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        names = [f"t{len(nodes)}_{k}" for k in range(outputs)]
        nodes.append(helper.make_node(op, inputs, names, name=f"n{len(nodes)}", **attributes))
        return names[0]

    def weight(*shape: int) -> str:
        return constant(random.standard_normal(shape) / np.sqrt(np.prod(shape[1:])))

    c = node("Flatten", "c")
    c = node("Gemm", c, weight(8, 12), weight(12), alpha=0.5, beta=2.0)
    c = node("Relu", c)
    c = node("MatMul", c, weight(12, 8))
    c = c if in_tflite else node("Elu", c, alpha=0.7)
    c = node("Gemm", c, weight(16, 8), weight(16), transB=1)
    c = node("Tanh", c)
    c = node("Unsqueeze", c, constant([2], np.int64))
    held = node("Expand", c, constant([1, 16, 24], np.int64))
    x = node("Conv", "x", weight(16, 3, 3), weight(16), pads=[2, 0], kernel_shape=[3])
    x = node("Add", x, held)
    x = node("Slice", x, constant([0], np.int64), constant([12], np.int64), constant([1], np.int64))
    if not in_tflite:
        x = node("Pad", x, constant([0, 0, 1, 0, 0, 1], np.int64))
    x = node("Conv", x, weight(12, 12, 3), weight(12), kernel_shape=[3])
    x = node("Resize", x, "", constant([1.0, 1.0, 2.0]), mode="nearest")
    x = node("Sub", x, constant(random.standard_normal((1, 12, 1))))
    x = node("Sigmoid", x)
    groups = 1 if in_tflite else 4
    wide = weight(12, 12 // groups, 4)
    x = node("ConvTranspose", x, wide, weight(12), strides=[2], pads=[1, 1], group=groups)
    x = node("Softplus", x)
    x = node("Conv", x, weight(8, 12, 1), weight(8), kernel_shape=[1])
    x = x if in_tflite else node("Neg", x)
    x = node("Mul", x, node("Exp", node("Sin", x)))
    x = node("Conv", x, weight(8, 8, 2), weight(8), dilations=[3], pads=[3, 0], kernel_shape=[2])
    x = node("LeakyRelu", x)
    x = node("Clip", x, constant(-0.5), constant(2.0))
    x = node("Squeeze", node("Unsqueeze", x, constant([3], np.int64)), constant([3], np.int64))
    low = node("Split", x, outputs=2, axis=1, num_outputs=2)
    x = node("Concat", low, node("Add", low, f"{low[:-1]}1"), low, axis=1)
    x = node("Transpose", node("Transpose", x, perm=[0, 2, 1]), perm=[0, 2, 1])
    x = node("Resize", x, "", constant([1.0, 1.0, 2.0]), mode="nearest" if in_tflite else "linear")
    node("Conv", x, weight(3, 12, 1), weight(3), kernel_shape=[1])
    nodes[-1].output[0] = "y"
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "every_operator",
        [value("x", TensorProto.FLOAT, [1, 3, 24]), value("c", TensorProto.FLOAT, [1, 8, 1])],
        [value("y", TensorProto.FLOAT, [1, 3, None])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
    model.ir_version = 10
    return load_graph(model)


def _calibration_sets(scratch: Path) -> Iterator[tuple[str, CalibrationSet]]:
    yield "drum", from_metadata(load_graph(small_drum(scratch / "drum.onnx")), count=4, batch=1)
    yield "stream", from_metadata(load_graph(small_stream(scratch / "stream.onnx")), count=4, batch=1)
    yield "rhythm", from_metadata(load_graph(small_rhythm(scratch / "rhythm.onnx")), count=4)
    audio = [0.3 * np.random.default_rng(1).standard_normal(48_000).astype(np.float32)]
    yield "drive", from_metadata(load_graph(small_drive(scratch / "drive.onnx")), 0, audio, count=4, batch=1)
    for seed in range(12):
        feeds = [random_feed(seed + k) for k in range(4)]
        yield f"random_{seed}", from_pool(random_graph(seed), feeds, "random feeds")
    random = np.random.default_rng(2)
    feeds = [
        {
            "x": random.standard_normal((1, 3, 24)).astype(np.float32),
            "c": random.standard_normal((1, 8, 1)).astype(np.float32),
        }
        for _ in range(4)
    ]
    yield "every_operator", from_pool(every_operator(), feeds, "random feeds")
    yield "every_kernel", from_pool(every_operator(in_tflite=True), feeds, "random feeds")


def digests() -> Iterator[tuple[str, str]]:
    """Yield (what, SHA-256) of every file written; a refusal's sentence stands for a digest."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as scratch:
        for name, calibration_set in _calibration_sets(Path(scratch)):
            yield f"{name}/plan", digest_of_plan(make_plan(calibration_set.graph))
            for way, settings in WAYS.items():
                torch.manual_seed(0)
                yield from _made(f"{name}/{way}", calibration_set, settings)
            try:
                yield f"{name}/cycles", _sha(repr(layer_cycles(calibration_set.graph, "patch_sm")))
            except Refusal as why:
                yield f"{name}/cycles", str(why)
    for path in sorted((ROOT / "firmware" / "models").glob("*.int8.onnx")):
        read = read_qdq(onnx.load(str(path)))
        yield f"{path.stem}/read", digest_of_plan(read.plan)
        graph = load_graph(read.plan.graph.to_model())
        audio = [0.3 * np.random.default_rng(1).standard_normal(24_000).astype(np.float32)]
        calibration_set = from_metadata(graph, 0, audio, count=3, batch=1)
        yield from _made(f"{path.stem}/16", calibration_set, Settings(effort=NONE, adapt=False))
        yield f"{path.stem}/cycles", _sha(repr(layer_cycles(graph, "patch_sm")))


def _made(name: str, calibration_set: CalibrationSet, settings: Settings) -> Iterator[tuple[str, str]]:
    """Quantize, and write the result as TFLite too."""
    try:
        outcome = run_procedure(calibration_set, settings)
    except Refusal as why:
        yield name, str(why)
        return
    yield name, digest_of(outcome.model)
    yield f"{name}/read", digest_of_plan(read_qdq(outcome.model).plan)
    try:
        frames = 24 if not calibration_set.graph.about.inputs else 16
        yield f"{name}/tflite", _sha(to_tflite(outcome.quantized, frames))
    except Refusal as why:
        yield f"{name}/tflite", str(why)


if __name__ == "__main__":
    sys.exit(run(__doc__, digests, "digests"))
