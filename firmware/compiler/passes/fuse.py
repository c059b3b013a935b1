"""Rewrites before anything is scheduled: fold what is constant, turn Q/DQ islands into integer arithmetic.

Each function is one pass, graph → graph; ``pipeline.py`` gives their order.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from firmware.compiler.graph import ALIGN, Constant, Graph, Node, Quant, Tensor
from firmware.compiler.judge import arithmetic
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.conv import lower_transposed
from firmware.compiler.ops.quantization import rescale

MOVES = ("Shuffle", "Delay")
TABLED = ("Tanh", "Sigmoid", "Exp", "Softplus", "Sin", "Erf", "Leaky", "Clip")
CLAMPED = ("Conv", "ConvTranspose", "Add", "Sub", "Mul", "Affine", "Leaky")
"""Operators that may have a clamp between them and their Quantize."""
BOUNDED = (*CLAMPED, "Rescale", "Clip")
"""Operators on integers that keep the bounds of what they write."""


def fold_affine(graph: Graph) -> Graph:
    """Fold a gain and offset per channel (a BatchNorm, a scale) into the convolution it follows."""
    nodes = {n.name: n for n in graph.nodes}
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        if node.op != "Affine":
            continue
        current = Graph(graph.name, tuple(nodes.values()), tensors, graph.inputs, graph.outputs)
        source = current.producer().get(node.inputs[0])
        if source is None or node.inputs[0] in graph.outputs or len(current.consumers()[node.inputs[0]]) != 1:
            continue
        if source.op not in ("Conv", "ConvTranspose", "Affine"):
            continue
        joined = _scaled(source, node)
        if joined is not None:
            del nodes[source.name]
            nodes[node.name] = joined
    return graph.with_nodes(nodes.values())


def _scaled(source: Node, affine: Node) -> Node | None:
    """Scale a convolution's (or another affine's) outputs."""
    outputs = next(iter(affine.constants.values())).values.size
    gain = affine.constants["gain"].real if "gain" in affine.constants else np.ones(outputs)
    offset = affine.constants["offset"].real if "offset" in affine.constants else np.zeros(outputs)
    if any(c.scale is not None for c in affine.constants.values()) or np.any(gain == 0):
        return None
    if source.op == "Affine":
        if any(c.scale is not None for c in source.constants.values()):
            return None
        before = source.constants.get("gain", Constant(np.ones(outputs))).real
        shift = source.constants.get("offset", Constant(np.zeros(outputs))).real
        constants = {"gain": Constant(before * gain), "offset": Constant(shift * gain + offset)}
        return Node(affine.name, "Affine", source.inputs, affine.outputs, {}, constants)
    weight = source.constants["weight"]
    if weight.scale is None:
        scaled = Constant(weight.values * gain[:, None, None])
    else:
        scale = np.broadcast_to(np.asarray(weight.scale, np.float64), (outputs,)) * np.abs(gain)
        scaled = Constant(weight.values * np.sign(gain).astype(np.int64)[:, None, None], scale, 0)
    bias = source.constants["bias"].real if "bias" in source.constants else np.zeros(outputs)
    constants = {"weight": scaled, "bias": Constant(bias * gain + offset)}
    return Node(affine.name, source.op, source.inputs, affine.outputs, source.attrs, constants)


def fold_delays(graph: Graph) -> Graph:
    """Join shifts along time; fold padding into the convolutions behind, crops into the transposed before.

    Every rewrite is exact at both ends of an offline signal too. Zeros never join a transposed convolution:
    its own frames beyond a crop are not zero.
    """
    changed = True
    while changed:
        changed = False
        producer, consumers = graph.producer(), graph.consumers()
        for node in graph.nodes:
            if node.op != "Delay":
                continue
            source = producer.get(node.inputs[0])
            frames, trim = node.attrs["frames"], node.attrs["trim"]
            readers = consumers[node.outputs[0]]
            alone = (
                source is not None
                and len(consumers[source.outputs[0]]) == 1
                and source.outputs[0] not in graph.outputs
            )
            nodes = list(graph.nodes)
            if readers and node.outputs[0] not in graph.outputs and all(_shifts(r, node) for r in readers):
                for reader in readers:
                    before = reader.attrs["before"] + frames
                    padded = reader.attrs["padded"] + frames - trim
                    moved = reader.with_attrs(before=before, padded=padded)
                    nodes[nodes.index(reader)] = replace(moved, inputs=node.inputs)
                nodes.remove(node)
            elif source is not None and alone and source.op == "ConvTranspose" and frames <= 0 <= trim:
                joined = source.with_attrs(
                    crop=source.attrs["crop"] - frames, trim=source.attrs["trim"] + trim
                )
                nodes[nodes.index(source)] = replace(joined, outputs=node.outputs)
                nodes.remove(node)
            elif source is not None and alone and source.op == "Delay" and _joins(source, node):
                joined = source.with_attrs(
                    frames=source.attrs["frames"] + frames, trim=source.attrs["trim"] + trim
                )
                nodes[nodes.index(source)] = replace(joined, outputs=node.outputs)
                nodes.remove(node)
            else:
                continue
            graph = graph.with_nodes(nodes)
            changed = True
            break
    return graph


def _shifts(reader: Node, delay: Node) -> bool:
    """Whether a convolution's own padding can take up a shift of its input: no crop ever meets a pad."""
    if reader.op != "Conv" or reader.attrs["phases"] != 1:
        return False
    before, after = reader.attrs["before"], reader.attrs["padded"] - reader.attrs["before"]
    return (delay.attrs["frames"] >= 0 or before <= 0) and (delay.attrs["trim"] <= 0 or after <= 0)


def _joins(first: Node, second: Node) -> bool:
    """Whether two shifts are one: not where the second puts zeros where the first took frames away."""
    return (first.attrs["frames"] >= 0 or second.attrs["frames"] <= 0) and (
        first.attrs["trim"] <= 0 or second.attrs["trim"] >= 0
    )


def sink_dequantize(graph: Graph) -> Graph:
    """Move Dequantize behind moves, so that integers are moved, not floats."""
    tensors = dict(graph.tensors)
    nodes: list[Node] = []
    integers: dict[str, str] = {}
    for node in graph.nodes:
        quants = {tensors[integers[n]].quant for n in node.inputs if n in integers}
        sinks = node.op in MOVES or node.op == "Concat"
        if sinks and all(n in integers for n in node.inputs) and len(quants) == 1 and node.inputs:
            (y,) = node.outputs
            name = fresh(f"{y}_q", tensors)
            tensors[name] = replace(tensors[y], name=name, quant=next(iter(quants)))
            nodes.append(replace(node, inputs=tuple(integers[n] for n in node.inputs), outputs=(name,)))
            nodes.append(Node(y, "Dequantize", (name,), (y,)))
            nodes[-2] = replace(nodes[-2], name=name)
            integers[y] = name
            continue
        nodes.append(node)
        if node.op == "Dequantize":
            integers[node.outputs[0]] = node.inputs[0]
    return remove_dead(graph.with_nodes(nodes, tensors))


def integerize(graph: Graph) -> Graph:
    """Turn every DQ → operator → Q into the operator on integers; what has no Q around it stays float.

    A clamp between operator and Q follows the Q. Where input and output types differ, int8 is widened first,
    or narrowed last, which is exact.
    """
    tensors = dict(graph.tensors)
    consumers = graph.consumers()
    source = {n.outputs[0]: n.inputs[0] for n in graph.nodes if n.op == "Dequantize"}
    nodes: dict[str, Node] = {n.name: n for n in graph.nodes}
    alias: dict[str, str] = {}
    for node in graph.nodes:
        if node.op == "Quantize":
            _requantize(node, source, tensors, nodes, alias)
            continue
        if not node.inputs or not all(n in source for n in node.inputs) or node.op == "Dequantize":
            continue
        if any(n in graph.outputs for n in node.outputs):
            continue
        target = _target(node, graph, consumers)
        if target is None:
            continue
        quantize, clip = target
        output = tensors[quantize.outputs[0]].quant
        assert output is not None
        integers = [alias.get(source[n], source[n]) for n in node.inputs]
        made = _integer_nodes(node, integers, quantize.outputs[0], output, tensors)
        if made is None:
            continue
        absorbed = [clip.name] if clip is not None else []
        if clip is not None:
            _clamp(made, clip, tensors)
        for name in (node.name, quantize.name, *absorbed):
            nodes.pop(name, None)
        for new in made:
            nodes[new.name] = new
    renamed = [
        replace(n, inputs=tuple(alias.get(i, i) for i in n.inputs))
        if any(i in alias for i in n.inputs)
        else n
        for n in nodes.values()
    ]
    return remove_dead(graph.with_nodes(renamed, tensors))


def _requantize(
    node: Node,
    source: dict[str, str],
    tensors: dict[str, Tensor],
    nodes: dict[str, Node],
    alias: dict[str, str],
) -> None:
    """DQ → Q: nothing when both have one scale, else a change of scale."""
    if node.inputs[0] not in source or node.name not in nodes:
        return
    origin = source[node.inputs[0]]
    origin = alias.get(origin, origin)
    x, y = tensors[origin], tensors[node.outputs[0]]
    if x.quant == y.quant:
        alias[y.name] = origin
        del nodes[node.name]
    else:
        nodes[node.name] = replace(rescale(node.name, x, y), outputs=node.outputs)


def _target(node: Node, graph: Graph, consumers: dict[str, list[Node]]) -> tuple[Node, Node | None] | None:
    """Find the one Quantize that reads a node's output, and the clamp between them if there is one."""
    readers = consumers[node.outputs[0]]
    if len(readers) == 1 and readers[0].op == "Clip" and node.op in CLAMPED:
        clip = readers[0]
        behind = consumers[clip.outputs[0]]
        if len(behind) == 1 and behind[0].op == "Quantize" and clip.outputs[0] not in graph.outputs:
            return behind[0], clip
        return None
    if len(readers) == 1 and readers[0].op == "Quantize":
        return readers[0], None
    return None


def _clamp(made: list[Node], clip: Node, tensors: dict[str, Tensor]) -> None:
    """Clamp what the last node writes: rounding is monotonic, so it may come after the Quantize."""
    last = made[-1]
    (name,) = last.outputs
    free = fresh(f"{name}_free", tensors)
    tensors[free] = replace(tensors[name], name=free)
    made[-1] = replace(last, name=free, outputs=(free,))
    quant = tensors[name].quant
    assert quant is not None
    clamp = FAMILIES["Clip"].integer(clip, [quant], quant, [tensors[name].channels])
    assert clamp is not None
    made.append(replace(clamp, name=name, inputs=(free,), outputs=(name,)))


def _integer_nodes(
    node: Node, inputs: list[str], output: str, quant: Quant, tensors: dict[str, Tensor]
) -> list[Node] | None:
    """Make the integer form of a node, with widenings and narrowings where types differ."""
    family = FAMILIES[node.op]
    kinds = {tensors[n].dtype for n in inputs} | {quant.dtype}
    made: list[Node] = []
    names = list(inputs)
    if node.op == "Concat":
        names = _rescaled_operands(node, inputs, quant, tensors, made)
        tensors[output] = replace(tensors[output], quant=quant)
        made.append(Node(output, "Concat", tuple(names), (output,)))
        return made
    if len(kinds) > 1:
        for i, name in enumerate(names):
            old = tensors[name]
            if old.dtype == "int8":
                assert old.quant is not None
                wide = fresh(f"{name}_wide", tensors)
                tensors[wide] = replace(old, name=wide, quant=replace(old.quant, dtype="int16"))
                made.append(rescale(wide, old, tensors[wide]))
                names[i] = wide
    _spread_for_table(node, names, quant, tensors, made)
    wide_quant = replace(quant, dtype="int16") if len(kinds) > 1 else quant
    known = [tensors[n].quant for n in names]
    channels = [tensors[n].channels for n in names]
    shaped = replace(node, inputs=tuple(names))
    integer = family.integer(shaped, known, wide_quant, channels)  # type: ignore[arg-type]
    if integer is None:
        for new in made:
            del tensors[new.outputs[0]]
        return None
    if wide_quant == quant:
        tensors[output] = replace(tensors[output], quant=quant)
        made.append(replace(integer, name=output, inputs=tuple(names), outputs=(output,)))
        return made
    wide = fresh(f"{output}_wide", tensors)
    tensors[wide] = replace(tensors[output], name=wide, quant=wide_quant)
    tensors[output] = replace(tensors[output], quant=quant)
    made.append(replace(integer, name=wide, inputs=tuple(names), outputs=(wide,)))
    if quant.dtype == "int16":
        made[-1] = replace(made[-1], name=output, outputs=(output,))
        del tensors[wide]
    else:
        made.append(rescale(output, tensors[wide], tensors[output]))
    return made


def _spread_for_table(
    node: Node, names: list[str], quant: Quant, tensors: dict[str, Tensor], made: list[Node]
) -> None:
    """Give a function of 8-bit values kept in int16 one table knot per value: multiply them by 2^7."""
    x = tensors[names[0]].quant
    if (
        node.op not in TABLED
        or x is None
        or x.dtype != "int16"
        or x.bound > 255
        or (x.scale == quant.scale and node.op in ("Leaky", "Clip"))
    ):
        return
    old, spread = names[0], fresh(f"{names[0]}_spread", tensors)
    step = 1 << arithmetic.TABLE_SHIFT
    scaled = Quant(x.scale / step, "int16", x.low * step, x.high * step)
    tensors[spread] = replace(tensors[old], name=spread, quant=scaled)
    made.append(rescale(spread, tensors[old], tensors[spread]))
    names[0] = spread


def _rescaled_operands(
    node: Node, inputs: list[str], quant: Quant, tensors: dict[str, Tensor], made: list[Node]
) -> list[str]:
    """Bring the operands of a concatenation to the output's scale."""
    names = []
    for index, name in enumerate(inputs):
        old = tensors[name]
        if old.quant == quant or (
            old.quant
            and old.dtype == quant.dtype
            and old.quant.scale == quant.scale
            and old.quant.low >= quant.low
            and old.quant.high <= quant.high
        ):
            names.append(name)
            continue
        scaled = fresh(f"{node.name}_part{index}", tensors)
        tensors[scaled] = replace(old, name=scaled, quant=quant)
        made.append(rescale(scaled, old, tensors[scaled]))
        names.append(scaled)
    return names


def fold_clips(graph: Graph) -> Graph:
    """Let the operator before a clamp on integers keep its bounds: one trip through memory less.

    The bounds of a tensor must hold 0 (silence), and a clamp that does not stays a node of its own.
    """
    tensors = dict(graph.tensors)
    nodes = {n.name: n for n in graph.nodes}
    consumers = graph.consumers()
    for node in graph.nodes:
        quant = tensors[node.outputs[0]].quant if node.op == "Clip" else None
        if quant is None or "table" in node.constants:
            continue
        source = next((n for n in nodes.values() if node.inputs[0] in n.outputs), None)
        low, high = node.attrs["lowest"], node.attrs["highest"]
        if (
            source is None
            or source.op not in BOUNDED
            or "table" in source.constants
            or len(consumers[node.inputs[0]]) != 1
            or node.inputs[0] in graph.outputs
            or not low <= 0 <= high
        ):
            continue
        tensors[node.outputs[0]] = replace(
            tensors[node.outputs[0]],
            quant=replace(quant, low=max(low, quant.low), high=min(high, quant.high)),
        )
        del nodes[source.name]
        nodes[node.name] = replace(source, name=node.name, outputs=node.outputs)
    return graph.with_nodes(nodes.values(), tensors)


def lower(graph: Graph) -> Graph:
    """Rewrite transposed convolutions as convolutions with (phase, channel) outputs."""
    nodes = []
    for node in graph.nodes:
        if node.op != "ConvTranspose":
            nodes.append(node)
            continue
        lowered = lower_transposed(node)
        stride = node.attrs["stride"]
        constants = dict(lowered.constants)
        for kind, constant in node.constants.items():
            if kind != "weight":
                scale = constant.scale
                if scale is not None and scale.size > 1:
                    scale = np.tile(scale, stride)
                constants[kind] = Constant(np.tile(constant.values, stride), scale, constant.axis)
        weight = lowered.constants["weight"]
        if weight.scale is not None and weight.scale.size > 1:
            constants["weight"] = Constant(weight.values, np.tile(weight.scale, stride), 0)
        nodes.append(replace(lowered, constants=constants))
    return graph.with_nodes(nodes)


def fold_shuffles(graph: Graph) -> Graph:
    """Reorder a convolution's outputs in place of a Shuffle behind it: sub-pixel upsampling becomes free."""
    for node in graph.nodes:
        if node.op != "Shuffle" or node.attrs["stride"] != 1:
            continue
        producer, consumers = graph.producer(), graph.consumers()
        source = producer.get(node.inputs[0])
        table = node.attrs["table"]
        if (
            source is None
            or source.op != "Conv"
            or source.attrs["phases"] != 1
            or source.attrs["groups"] != 1
            or len(consumers[node.inputs[0]]) != 1
            or node.inputs[0] in graph.outputs
            or len(np.unique(table)) != table.size
        ):
            continue
        order = table.reshape(-1)
        constants = {}
        for kind, constant in source.constants.items():
            rows = constant.values.shape[0]
            scale = constant.scale
            if (
                scale is not None
                and scale.size == source.constants["weight"].values.shape[0]
                and scale.size > 1
            ):
                scale = scale[order]
            constants[kind] = Constant(
                constant.values[order] if rows > 1 else constant.values, scale, constant.axis
            )
        attrs = {**source.attrs, "phases": node.attrs["produce"]}
        if "bound" in attrs:
            attrs["bound"] = np.asarray(attrs["bound"])[order]
        joined = Node(node.name, "Conv", source.inputs, node.outputs, attrs, constants)
        graph = graph.with_nodes([joined if n is node else n for n in graph.nodes if n is not source])
    return graph


def fresh(name: str, tensors: dict[str, Tensor]) -> str:
    """Make a name that no tensor has yet."""
    number, candidate = 1, name
    while candidate in tensors:
        number += 1
        candidate = f"{name}_{number}"
    return candidate


def remove_dead(graph: Graph) -> Graph:
    """Drop nodes nothing reads."""
    used = set(graph.outputs)
    alive = []
    for node in reversed(graph.nodes):
        if used & set(node.outputs):
            alive.append(node)
            used.update(node.inputs)
    return graph.with_nodes(reversed(alive))


def own_ends(graph: Graph) -> Graph:
    """Give linear upsampling that holds the first frame an input nobody else reads, as it writes there."""
    consumers = graph.consumers()
    nodes: list[Node] = []
    tensors = dict(graph.tensors)
    for node in graph.nodes:
        shared = len(consumers[node.inputs[0]]) > 1 or node.inputs[0] in (*graph.inputs, *graph.outputs)
        if node.op == "Lerp" and shared:
            (source,) = node.inputs
            own = fresh(f"{node.name}_own", tensors)
            tensors[own] = replace(tensors[source], name=own)
            nodes.append(Node(own, "Delay", (source,), (own,), {"frames": 0, "trim": 0}))
            node = replace(node, inputs=(own,))
        nodes.append(node)
    return graph.with_nodes(nodes, tensors)


def hold_rows(graph: Graph) -> Graph:
    """Let sums and products at the rate of the ticks read a slower operand where it lies.

    Nearest upsampling (of a FiLM gain, say) repeats a frame, or neighbouring channels of it, for every tick.
    Held in place it needs no memory of its own and is written once.
    """
    if graph.event:
        return graph
    producer = graph.producer()
    nodes = []
    for node in graph.nodes:
        y = graph.tensors[node.outputs[0]]
        if node.op in ("Add", "Sub", "Mul") and y.rate == 1 and len(set(node.inputs)) == 2:
            for index, name in enumerate(node.inputs):
                source = producer.get(name)
                if source is None or source.op != "Shuffle":
                    continue
                first = FAMILIES["Shuffle"].repeated(source)  # type: ignore[attr-defined]
                if first is None or first % ALIGN[y.dtype]:
                    continue
                inputs = list(node.inputs)
                inputs[index] = source.inputs[0]
                node = replace(
                    node.with_attrs(held=(index, source.attrs["produce"], first)), inputs=tuple(inputs)
                )
                break
        nodes.append(node)
    return remove_dead(graph.with_nodes(nodes))
