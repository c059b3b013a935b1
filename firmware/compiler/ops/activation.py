"""Activation functions: clamps and leaky slopes by arithmetic, every other by a table when in integers."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import WIDTH, Attributes, Constant, Graph, Node, Quant, Tensor, lanes
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.tables import FunctionTable, function_table, look_up, look_up_int8, table_int8
from firmware.compiler.ops.base import Family, Work, family, reader
from firmware.compiler.ops.elementwise import PointwiseAttributes, stored
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.layout import Layout, broadcast_shape, common_time, lay, lay_constant, seen, shown
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.read.values import ActValue
from firmware.compiler.write.writer import Writer

FUNCTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "Tanh": np.tanh,
    "Sigmoid": lambda x: 0.5 * (1.0 + np.tanh(0.5 * x)),
    "Exp": np.exp,
    "Softplus": lambda x: np.logaddexp(0.0, x),
    "Sin": np.sin,
    "Erf": np.vectorize(math.erf, otypes=[np.float64]),
}


@dataclass(frozen=True, eq=False)
class CurveAttributes(Attributes):
    """A function of one number; ``table``: what int16 looks it up in, once it does."""

    table: FunctionTable | None = field(default=None, kw_only=True)


@dataclass(frozen=True)
class ClipAttributes(CurveAttributes):
    """A clamp.

    Attributes
    ----------
    low, high : float
        Limits, in real numbers.
    limits : (int, int) or None
        The same in integers of the output's scale, once the clamp works on integers.
    """

    low: float = -np.inf
    high: float = np.inf
    limits: tuple[int, int] | None = None


@dataclass(frozen=True, eq=False)
class LeakyAttributes(CurveAttributes):
    """A slope for negative inputs; ``slopes``: the constant of that name in integers, once it has some."""

    slopes: arithmetic.Leaky | None = None


def _unary(
    builder: Builder, node: OnnxNode, op: str, attrs: Attributes, constants: dict[str, Constant] | None = None
) -> None:
    """Add an activation function; it commutes with the pending moves."""
    act = builder.act(node.input[0])
    base = builder.tensors[act.base]
    result = builder.add_node(
        op,
        [act.base],
        channels=base.channels,
        length=builder.shapes[act.base][2],
        hint=node.output[0],
        attrs=attrs,
        constants=constants,
    )
    builder.values[node.output[0]] = ActValue(result, act.shape, act.base_shape, act.chain)


@reader("Tanh", "Sigmoid", "Exp", "Softplus", "Sin", "Erf")
def read_function(builder: Builder, node: OnnxNode) -> None:
    """Smooth functions."""
    _unary(builder, node, node.op_type, CurveAttributes())


@reader("Relu")
def read_relu(builder: Builder, node: OnnxNode) -> None:
    """A clamp from below."""
    _unary(builder, node, "Clip", ClipAttributes(low=0.0))


@reader("Clip")
def read_clip(builder: Builder, node: OnnxNode) -> None:
    """A clamp between constant limits."""
    limits = []
    for index, unbounded in ((1, -np.inf), (2, np.inf)):
        given = node.optional(index)
        if given and builder.const(given).values.size != 1:
            raise Refusal("its limits are not one number each.")
        limits.append(float(builder.const(given).real.reshape(-1)[0]) if given else unbounded)
    if not limits[0] <= limits[1]:
        raise Refusal(
            f"its limits are {limits[0]:.3g} and {limits[1]:.3g}; the first must not exceed the second."
        )
    _unary(builder, node, "Clip", ClipAttributes(limits[0], limits[1]))


@reader("LeakyRelu")
def read_leaky(builder: Builder, node: OnnxNode) -> None:
    """One slope for negative inputs."""
    slope = float(node.attributes["alpha"])
    if not np.isfinite(slope):
        raise Refusal("its slope is not a finite number.")
    _unary(builder, node, "Leaky", LeakyAttributes(), {"slope": Constant(np.array([slope]))})


@reader("PRelu")
def read_prelu(builder: Builder, node: OnnxNode) -> None:
    """One slope, or one per channel; in an event graph one per element too."""
    act, slope = builder.act(node.input[0]), builder.const(node.input[1])
    if not np.all(np.isfinite(slope.real)):
        raise Refusal("its slopes are not all finite numbers.")
    layout = Layout.of(act.shape, common_time([act], act.shape))
    if broadcast_shape(builder, [act.shape, slope.values.shape]) != act.shape:
        raise Refusal(
            f"its slopes of shape {list(slope.values.shape)} have more elements than {shown(act.shape)}."
        )
    source = lay(builder, act, layout, node.input[0])
    rows, varies = lay_constant(slope, layout)
    channels, length = builder.shapes[source][1:]

    def added(
        op: str, inputs: list[str], attrs: Attributes, constants: dict[str, Constant] | None = None
    ) -> str:
        return builder.add_node(
            op,
            inputs,
            channels=channels,
            length=length,
            hint=node.output[0],
            attrs=attrs,
            constants=constants,
        )

    if varies:
        assert isinstance(length, int)
        slopes = stored(builder, source, rows, length, f"{node.output[0]}_slopes")
        below = added("Clip", [source], ClipAttributes(high=0.0))
        bent = added("Mul", [below, slopes], PointwiseAttributes())
        above = added("Clip", [source], ClipAttributes(low=0.0))
        result = added("Add", [above, bent], PointwiseAttributes())
    else:
        row = rows[:1, 0] if slope.values.size == 1 else rows[:, 0]
        result = added("Leaky", [source], LeakyAttributes(), {"slope": Constant(row)})
    builder.values[node.output[0]] = seen(builder, result, layout)


@reader("HardSigmoid")
def read_hard_sigmoid(builder: Builder, node: OnnxNode) -> None:
    """A slope, an offset and a clamp to 0..1."""
    act = builder.act(node.input[0])
    base = builder.tensors[act.base]
    alpha, beta = float(node.attributes["alpha"]), float(node.attributes["beta"])
    length = builder.shapes[act.base][2]
    line = builder.add_node(
        "Affine",
        [act.base],
        channels=base.channels,
        length=length,
        hint=f"{node.output[0]}_line",
        attrs=PointwiseAttributes(),
        constants={
            "gain": Constant(np.full(base.channels, alpha)),
            "offset": Constant(np.full(base.channels, beta)),
        },
    )
    result = builder.add_node(
        "Clip",
        [line],
        channels=base.channels,
        length=length,
        hint=node.output[0],
        attrs=ClipAttributes(0.0, 1.0),
    )
    builder.values[node.output[0]] = ActValue(result, act.shape, act.base_shape, act.chain)


@reader("Identity", "Dropout", "Cast")
def read_identity(builder: Builder, node: OnnxNode) -> None:
    """Nothing happens to an activation."""
    if node.op_type == "Cast":
        import onnx

        kinds = (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16)
        if node.attributes["to"] not in kinds:
            raise Refusal("it casts an activation to another type; use QuantizeLinear for integers.")
    builder.values[node.output[0]] = builder.value(node.input[0])


def bends(node: Node, y: Tensor) -> bool:
    """Whether a leaky slope and the clamp behind it are one kernel: int16, one slope, narrow bounds."""
    return (
        isinstance(node.attrs, LeakyAttributes)
        and node.attrs.slopes is not None
        and y.quant is not None
        and y.dtype == "int16"
        and (y.quant.low, y.quant.high) != arithmetic.LIMITS["int16"]
        and len(set(node.attrs.slopes.negative.tolist())) == 1
    )


@family(Clip=ClipAttributes, Leaky=LeakyAttributes, **dict.fromkeys(FUNCTIONS, CurveAttributes))
class Activations(Family):
    """In place in time, nothing remembered."""

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Clamp, slope, table or function."""
        (x,) = inputs
        quant = graph.tensors[node.outputs[0]].quant
        if quant is not None:
            return self._integer_reference(node, x, quant)
        if isinstance(node.attrs, ClipAttributes):
            return np.clip(x, node.attrs.low, node.attrs.high)
        if node.op == "Leaky":
            return np.where(x >= 0, x, x * node.constants["slope"].real.reshape(-1, 1))
        with np.errstate(over="ignore"):
            return FUNCTIONS[node.op](x)

    def _integer_reference(self, node: Node, x: np.ndarray, quant: Quant) -> np.ndarray:
        if "table" in node.constants:
            return look_up_int8(x, node.constants["table"].values)
        if (table := node.attributes_as(CurveAttributes).table) is not None:
            return look_up(x, table)
        if isinstance(node.attrs, ClipAttributes):
            assert node.attrs.limits is not None
            return np.clip(x, *node.attrs.limits)
        slopes = node.attributes_as(LeakyAttributes).slopes
        assert slopes is not None
        return arithmetic.leaky(x, slopes, quant.low, quant.high)

    def integer(self, node: Node, inputs: list[Quant], output: Quant, channels: list[int]) -> Node | None:
        """Clamp and slope where the scales agree, else a table."""
        (x,) = inputs
        if x.dtype != output.dtype:
            return None
        same, a = x.scale == output.scale, node.attrs
        if isinstance(a, ClipAttributes) and same:
            low, high = (
                int(np.clip(np.rint(v / output.scale), output.low, output.high)) for v in (a.low, a.high)
            )
            return replace(node, attrs=replace(a, limits=(low, high)))
        slopes = node.constants["slope"].real if node.op == "Leaky" else np.zeros(1)
        if node.op == "Leaky" and same and np.all((slopes >= 0) & (np.floor(slopes * 32768 + 0.5) <= 32767)):
            integers = arithmetic.leaky_multipliers(slopes, 1.0, x.bound, f"node {node.name!r}")
            return replace(node, attrs=LeakyAttributes(integers))
        if slopes.size > 1 and np.any(slopes != slopes[0]):
            return None

        def function(v: np.ndarray) -> np.ndarray:
            if isinstance(a, ClipAttributes):
                return np.clip(v, a.low, a.high)
            if node.op == "Leaky":
                return np.where(v >= 0, v, v * slopes[0])
            return FUNCTIONS[node.op](v)

        scales, bounds = (x.scale, output.scale), (output.low, output.high)
        if output.dtype == "int8":
            return replace(node, constants={"table": Constant(table_int8(function, scales, bounds))})
        assert isinstance(a, CurveAttributes)
        table = function_table(function, scales, (x.low, x.high), bounds, f"node {node.name!r} ({node.op})")
        return replace(node, attrs=replace(a, table=table), constants={})

    def work(self, node: Node, graph: Graph) -> Work:
        """One element after the other."""
        y = graph.tensors[node.outputs[0]]
        suffix = {"int16": "s16", "int8": "s8", "float32": "f32"}[y.dtype]
        table = node.attributes_as(CurveAttributes).table
        weight_bytes = sum(c.values.nbytes for kind, c in node.constants.items() if kind == "table")
        if table is not None:
            name, weight_bytes = "table" if table.is_plain else "table_fine", table.knots.nbytes
        else:
            name = "table" if weight_bytes else "bend" if bends(node, y) else node.op.lower()
        return Work(
            f"{name}_{suffix}",
            outputs=y.channels,
            reads=y.channels * WIDTH[y.dtype],
            weight_bytes=weight_bytes,
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_clip_…``, ``vk_leaky_…``, ``vk_table_…`` or the float function."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        suffix = out.suffix(y)
        rest = (out.src(0), x.frame, out.dst(), y.frame, out.frames, lanes(x, y))
        table = node.attributes_as(CurveAttributes).table
        if "table" in node.constants:
            whole = out.flat("table", y.dtype, node.constants["table"].values)
            out.check("any", whole)
            out.call("vk_table_s8", whole, *rest)
        elif table is not None and table.is_plain:
            whole = out.flat("table", y.dtype, table.knots)
            out.check("any", whole)
            out.call("vk_table_s16", whole, *rest)
        elif table is not None:
            fine = out.knots(table.knots, table.first, table.span, table.shift, y.dtype)
            out.call("vk_table_fine_s16", f"&{fine}", *rest)
        elif isinstance(node.attrs, ClipAttributes) and node.attrs.limits is not None:
            out.call(f"vk_clip_{suffix}", *node.attrs.limits, *rest)
        elif isinstance(node.attrs, ClipAttributes):
            out.call("vk_clip_f32", out.real(node.attrs.low), out.real(node.attrs.high), *rest)
        elif node.op == "Leaky":
            self._emit_leaky(node, graph, out)
        else:
            out.call(f"vk_{node.op.lower()}_f32", *rest)

    def _emit_leaky(self, node: Node, graph: Graph, out: Writer) -> None:
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        suffix = out.suffix(y)
        integers = node.attributes_as(LeakyAttributes).slopes
        if integers is not None:
            slopes = [str(int(v)) for v in integers.negative]
        else:
            slopes = [out.real(v) for v in node.constants["slope"].real]
        rest = (y.frame, out.frames)
        if bends(node, y):
            assert y.quant is not None
            bounds = (slopes[0], y.quant.low, y.quant.high)
            out.call("vk_bend_s16", *bounds, out.src(0), x.frame, out.dst(), *rest, lanes(x, y))
            return
        if len(set(slopes)) == 1:
            out.call(f"vk_leaky_{suffix}", slopes[0], out.src(0), x.frame, out.dst(), *rest, lanes(x, y))
        else:
            for channel, slope in enumerate(slopes):
                out.call(
                    f"vk_leaky_{suffix}",
                    slope,
                    f"{out.src(0)} + {channel}",
                    x.frame,
                    f"{out.dst()} + {channel}",
                    *rest,
                    1,
                )
        out.clip()
