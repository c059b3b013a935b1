"""Valid ONNX graphs drawn from the operator schemas: random opsets, attributes, ranks, layouts and types.

Nothing here knows which operators the compiler reads. What an attribute may be is taken from the schema: its
kind, its default, the words its documentation quotes. A node is kept when onnxruntime (or, where that lacks
it, ONNX's own evaluator) runs it to finite numbers, twice the same.
"""

from __future__ import annotations

import functools
import math
import re
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

OLDEST, NEWEST = 7, onnx.defs.onnx_opset_version()
FRAMES = 48
"""Frames of a signal whose length is symbolic: a whole number of most hops."""
TRIES = 30
MOST_ELEMENTS = 1 << 14
LARGEST = 1e4
WHOLE = (0, 1, 1, 1, 2, 2, 3, 4, -1, -1, -2, 5, 8)
REAL = (0.0, 1.0, 1.0, -1.0, 0.5, 0.1, 2.0, -0.3, 1e-3, 10.0)
KINDS = {
    f"tensor({name})": dtype
    for name, dtype in {
        "float": np.float32,
        "double": np.float64,
        "float16": np.float16,
        "int64": np.int64,
        "int32": np.int32,
        "int16": np.int16,
        "int8": np.int8,
        "uint8": np.uint8,
        "uint16": np.uint16,
        "bool": np.bool_,
    }.items()
}
FAVOURED = (
    *("Add", "Sub", "Mul", "Div", "Sum", "Neg", "Pow", "Conv", "ConvTranspose", "Gemm", "MatMul", "Relu"),
    *("LeakyRelu", "PRelu", "Elu", "Clip", "Tanh", "Sigmoid", "Softplus", "Sin", "Exp", "Erf", "Gelu"),
    *("HardSigmoid", "HardSwish", "Mish", "BatchNormalization", "AveragePool", "MaxPool", "ReduceMean"),
    *("ReduceSum", "GlobalAveragePool", "GRU", "Concat", "Split", "Slice", "Pad", "Gather", "Reshape"),
    *("Transpose", "Squeeze", "Unsqueeze", "Expand", "Tile", "Flatten", "Resize", "Upsample", "Identity"),
    *("Cast", "Dropout", "QuantizeLinear", "DequantizeLinear", "Shape", "Max", "Softmax", "Where"),
)
"""What exporters of networks write most: drawn more often than the rest of the schemas."""


@functools.cache
def operators(opset: int) -> dict[str, Any]:
    """The schemas of an opset's standard operators that take a tensor and are not deprecated."""
    found = {}
    for name in sorted({s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}):
        try:
            schema = onnx.defs.get_schema(name, opset, "")
        except onnx.defs.SchemaError:
            continue
        if not schema.deprecated and schema.inputs:
            found[name] = schema
    return found


@functools.cache
def words(op_type: str, version: int, name: str) -> tuple[str, ...]:
    """What a text attribute may be: its default, and what its documentation quotes."""
    attribute = onnx.defs.get_schema(op_type, version, "").attributes[name]
    quoted = re.findall(r"[\"'`]([A-Za-z_]+)[\"'`]", attribute.description)
    quoted += re.findall(r"\b[A-Z]+(?:_[A-Z]+)+\b", attribute.description)
    default = helper.get_attribute_value(attribute.default_value) if attribute.default_value.name else b""
    return tuple(
        dict.fromkeys([*([default.decode()] if isinstance(default, bytes) and default else []), *quoted])
    )


@dataclass
class Drawing:
    """One graph on its way: the values it has so far, by name."""

    rng: np.random.Generator
    opset: int
    values: dict[str, np.ndarray] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    nodes: list[onnx.NodeProto] = field(default_factory=list)

    def pick(self, options: Any) -> Any:
        """One of several."""
        return options[int(self.rng.integers(len(options)))]

    def chance(self, share: float) -> bool:
        """True that often."""
        return bool(self.rng.random() < share)

    # ---- what a node says ----------------------------------------------------------------------------

    def attributes(self, schema: Any) -> dict[str, Any]:
        """Some attributes, at random."""
        found: dict[str, Any] = {}
        for name, attribute in schema.attributes.items():
            if not attribute.required and self.chance(0.6):
                continue
            value = self.attribute(schema, name, attribute)
            if value is not None:
                found[name] = value
        return found

    def attribute(self, schema: Any, name: str, attribute: Any) -> Any:
        """A value of an attribute's kind, or None where none can be drawn."""
        kind = attribute.type.name
        if kind == "INT":
            return int(self.pick((*WHOLE, TensorProto.FLOAT)))
        if kind == "FLOAT":
            return float(self.pick(REAL))
        if kind == "INTS":
            return [int(self.pick(WHOLE)) for _ in range(int(self.rng.integers(1, 5)))]
        if kind == "FLOATS":
            return [float(self.pick(REAL)) for _ in range(int(self.rng.integers(1, 5)))]
        if kind == "STRING":
            listed = words(schema.name, schema.since_version, name)
            return self.pick(listed) if listed else None
        if kind == "STRINGS":
            listed = words(schema.name, schema.since_version, name)
            return [self.pick(listed) for _ in range(2)] if listed else None
        if kind == "TENSOR":
            return numpy_helper.from_array(np.array([self.pick(REAL)], np.float32), "t")
        return None

    def constant(self, dtype: Any, like: tuple[int, ...]) -> np.ndarray:
        """A constant of a type, its sizes often those of a signal."""
        sizes = [1, 1, 2, 3, 4, *like, *like]
        rank = int(self.rng.integers(0, 5))
        shape = like if self.chance(0.15) else tuple(int(self.pick(sizes)) for _ in range(rank))
        shape = shape if math.prod(shape) <= MOST_ELEMENTS else ()
        if np.dtype(dtype).kind == "f":
            drawn = self.rng.normal(size=shape) * self.pick((0.3, 1.0, 2.0))
            return np.asarray(np.abs(drawn) if self.chance(0.3) else drawn).astype(dtype)
        if np.dtype(dtype).kind == "b":
            return np.asarray(self.rng.random(shape) < 0.5)
        if np.dtype(dtype).itemsize < 4:
            return np.asarray(self.rng.integers(0, 9, shape)).astype(dtype)
        count = () if self.chance(0.2) else (int(self.rng.integers(1, 5)),)
        if self.chance(0.3):  # sizes of a shape, in another order
            dims = [int(d) for d in self.rng.permutation([*like, 1])][: max(1, len(like))]
            return np.array([-1 if self.chance(0.2) else d for d in dims], dtype)
        entries = [*WHOLE, *like, int(np.prod(like)), np.iinfo(np.int32).max]
        return np.asarray(self.rng.choice(entries, count)).astype(dtype)

    def node(self, schema: Any) -> tuple[onnx.NodeProto, dict[str, np.ndarray]] | None:
        """Draw one node and the constants it reads; None where a needed input has no type of ours."""
        made: dict[str, np.ndarray] = {}
        bound: dict[str, Any] = {}
        inputs: list[str] = []
        like: tuple[int, ...] | None = None
        count = len(schema.inputs)
        formals = list(schema.inputs)
        if formals[-1].option.name == "Variadic":
            formals = formals[:-1] + [formals[-1]] * int(self.rng.integers(1, 4))
        for index, formal in enumerate(formals):
            if formal.option.name == "Optional" and self.chance(0.5):
                inputs.append("")
                continue
            kinds = [KINDS[t] for t in sorted(formal.types) if t in KINDS]
            kinds = [bound[formal.type_str]] if formal.type_str in bound else kinds
            live = [n for n, v in self.values.items() if v.dtype.type in kinds]
            if live and (index == 0 or self.chance(0.35 if count > 1 else 1.0)):
                name = live[-1] if self.chance(0.7) else self.pick(live)
                value = self.values[name]
            elif kinds and (index > 0 or like is not None):
                usual = [k for k in kinds if k in (np.float32, np.int64)]
                kind = self.pick(usual) if usual and self.chance(0.9) else self.pick(kinds)
                name = f"c{len(self.constants) + len(made)}"
                value = made[name] = self.constant(kind, like or (1,))
            else:
                return None
            like = value.shape if like is None else like
            bound.setdefault(formal.type_str, value.dtype.type)
            inputs.append(name)
        while inputs and not inputs[-1]:
            inputs.pop()
        if not any(n in self.values for n in inputs):
            return None
        several = schema.outputs[0].option.name == "Variadic"
        names = [f"v{len(self.nodes)}_{i}" for i in range(int(self.rng.integers(1, 4)) if several else 1)]
        try:
            node = helper.make_node(
                schema.name, inputs, names, name=f"n{len(self.nodes)}", **self.attributes(schema)
            )
        except (TypeError, ValueError):
            return None
        return node, made

    def grow(self) -> bool:
        """Add a node that runs; False where none was found."""
        known = operators(self.opset)
        for _ in range(4):
            favoured = [n for n in FAVOURED if n in known]
            schema = known[self.pick(favoured if self.chance(0.7) else list(known))]
            for _ in range(TRIES):
                drawn = self.node(schema)
                if drawn is None:
                    break
                node, made = drawn
                results = self.run(node, made)
                if results is None:
                    continue
                self.nodes.append(node)
                self.constants |= {n: v for n, v in made.items() if n in node.input}
                self.values |= results
                return True
        return False

    def run(self, node: onnx.NodeProto, made: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
        """What a node makes of the values so far; None where it does not run, or to nothing of use."""
        fed = {n: self.values[n] for n in node.input if n in self.values}
        held = {n: v for n, v in (self.constants | made).items() if n in node.input}
        model = model_of([node], fed, held, dict.fromkeys(node.output), self.opset)
        results = run_twice(model, fed)
        if results is None:
            return None
        for value in results.values():
            if value.dtype.type not in KINDS.values() or not 0 < value.size <= MOST_ELEMENTS:
                return None
            if value.ndim > 5 or (
                value.dtype.kind == "f" and not (np.all(np.isfinite(value)) and np.abs(value).max() < LARGEST)
            ):
                return None
        return results


def model_of(
    nodes: list[onnx.NodeProto],
    fed: dict[str, np.ndarray],
    held: dict[str, np.ndarray],
    outputs: dict[str, np.ndarray | None],
    opset: int,
    symbolic: bool = False,
) -> onnx.ModelProto:
    """A model; ``symbolic`` leaves the last of three axes of each input open."""

    def made(name: str, value: np.ndarray | None) -> onnx.ValueInfoProto:
        if value is None:
            return helper.make_empty_tensor_value_info(name)
        kind = helper.np_dtype_to_tensor_dtype(value.dtype)
        return helper.make_tensor_value_info(name, kind, [None] * value.ndim)

    def info(name: str, value: np.ndarray) -> onnx.ValueInfoProto:
        shape: list[int | str] = list(value.shape)
        if symbolic and value.ndim == 3:
            shape[2] = "frames"
        return helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), shape)

    graph = helper.make_graph(
        nodes,
        "drawn",
        [info(n, v) for n, v in fed.items()],
        [made(name, value) for name, value in outputs.items()],
        [numpy_helper.from_array(v, n) for n, v in held.items()],
    )
    ir = 8 if opset < 19 else 10
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=ir)


def run_model(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """Run a model by onnxruntime, or by ONNX's evaluator where that lacks something; None."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    names = [o.name for o in model.graph.output]
    try:
        session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        found = session.run(names, feeds)
    except Exception as error:
        if not re.search("NOT_IMPLEMENTED|Could not find an implementation|official support", str(error)):
            return None
        from onnx.reference import ReferenceEvaluator

        try:
            onnx.shape_inference.infer_shapes(model, strict_mode=True)
            with np.errstate(all="ignore"):
                found = ReferenceEvaluator(model).run(names, feeds)
        except Exception:
            return None
    if any(not isinstance(v, (np.ndarray, np.generic)) for v in found):
        return None
    return {n: np.asarray(v) for n, v in zip(names, found, strict=True)}


def run_twice(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray] | None:
    """The same where two runs agree."""
    first = run_model(model, feeds)
    second = run_model(model, feeds) if first is not None else None
    if first is None or second is None:
        return None
    same = all(np.array_equal(first[n], second[n], equal_nan=first[n].dtype.kind == "f") for n in first)
    return first if same else None


@dataclass(frozen=True)
class Drawn:
    """A valid graph.

    Attributes
    ----------
    model : ModelProto
    feeds : dict of str to ndarray
        A signal for each input, on which it runs.
    streams : bool
        Whether the length of its inputs is left open.
    """

    model: onnx.ModelProto
    feeds: dict[str, np.ndarray]
    streams: bool

    @property
    def about(self) -> str:
        """Opset and operators, for a line of text."""
        ops = " ".join(n.op_type for n in self.model.graph.node)
        return f"opset {self.model.opset_import[0].version}, {'stream' if self.streams else 'event'}: {ops}"


def draw_attempt(seed: int, number: int, attempt: int) -> Drawn | None:
    """The ``number``-th graph of a seed, as the ``attempt``-th try makes it; None where it makes none."""
    rng = np.random.default_rng([seed, number, attempt])
    drawing = Drawing(rng, int(rng.integers(OLDEST, NEWEST + 1)))
    streams = drawing.chance(0.5)
    channels = int(rng.integers(1, 7))
    frames = FRAMES if streams else int(drawing.pick((channels, channels, 1, 4, 8, 12)))
    shape: tuple[int, ...] = (1, channels, frames)
    if not streams and drawing.chance(0.3):
        shape = drawing.pick(
            ((1, channels), (channels, frames), (1, channels, 3, frames), (2, channels, frames))
        )
    kind = drawing.pick((np.float32,) * 12 + (np.float64, np.float16))
    fed = {f"x{i}": rng.normal(size=shape).astype(kind) for i in range(2 if drawing.chance(0.2) else 1)}
    drawing.values |= fed
    for _ in range(int(drawing.pick((1, 1, 2, 3, 4)))):
        if not drawing.grow():
            break
    if not drawing.nodes:
        return None
    made = [n for node in drawing.nodes for n in node.output]
    outputs = [n for n in drawing.nodes[-1].output]
    outputs += [n for n in made if n not in outputs and drawing.chance(0.1)]
    needed, kept = set(outputs), []
    for node in reversed(drawing.nodes):
        if needed & set(node.output):
            kept.insert(0, node)
            needed |= set(node.input)
    fed = {n: v for n, v in fed.items() if n in needed}
    held = {n: v for n, v in drawing.constants.items() if n in needed}
    results = {n: drawing.values[n] for n in outputs}
    model = model_of(kept, fed, held, results, drawing.opset, streams)
    if run_twice(model, fed) is None:
        return None
    return Drawn(model, fed, streams)
