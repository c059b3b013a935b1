"""Every node of a file, checked against what is known of its operator and brought into one form.

The compiler's reader and the quantizer's pass each node through ``checked`` before they look at it. A checked
node has the form of the newest version in the table whatever the file's opset: what older opsets wrote as an
attribute (the axes of a Squeeze, the limits of a Clip) is an input, and ``held`` has its values.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx

from common.refusal import Refusal
from firmware.compiler.read.onnx_operators import (
    OBEYED,
    OPERATORS,
    OTHERS,
    REQUIRED,
    STANDARD,
    VAECTROL,
    Operator,
    Rule,
)

LEAST_OPSET_OF_FORM = 18
"""From this opset on every checked node may be written as it is: all axes and limits are inputs there."""


@dataclass(frozen=True)
class Definition:
    """One version of a standard operator, as the ``onnx`` package has it.

    Attributes
    ----------
    version : int
        The opset that changed it last.
    inputs : tuple of (str, str)
        Name, and "Single", "Optional" or "Variadic".
    outputs : tuple of str
    least_inputs, most_inputs, most_outputs : int
    attributes : mapping of name to (kind, required, default)
    deprecated, variadic : bool
        ``variadic``: one of the outputs stands for any number.
    """

    version: int
    inputs: tuple[tuple[str, str], ...]
    outputs: tuple[str, ...]
    least_inputs: int
    most_inputs: int
    most_outputs: int
    attributes: Mapping[str, tuple[int, bool, Any]]
    deprecated: bool
    variadic: bool

    @property
    def defaults(self) -> dict[str, Any]:
        """Default of each attribute, None where there is none."""
        return {name: default for name, (_, _, default) in self.attributes.items()}


@functools.cache
def definition(op_type: str, opset: int) -> Definition | None:
    """Look up what an operator of the standard domain is in an opset; None when the opset has none."""
    try:
        schema: Any = onnx.defs.get_schema(op_type, opset, "")
    except onnx.defs.SchemaError:
        return None
    return Definition(
        schema.since_version,
        tuple((formal.name, formal.option.name) for formal in schema.inputs),
        tuple(formal.name for formal in schema.outputs),
        schema.min_input,
        schema.max_input,
        schema.max_output,
        {n: (int(a.type.value), a.required, _default(a)) for n, a in schema.attributes.items()},
        schema.deprecated,
        any(formal.option.name == "Variadic" for formal in schema.outputs),
    )


def newest(op_type: str) -> Definition:
    """The newest definition that the table and the ``onnx`` package know."""
    found = definition(op_type, OPERATORS[op_type].versions[-1])
    assert found is not None
    return found


@dataclass(frozen=True)
class OnnxNode:
    """A node whose every attribute and input is known and obeyed, in the form of the newest opset.

    Attributes
    ----------
    op_type, domain, name : str
    input, output : tuple of str
        Names of tensors, "" where an optional one is left out.
    attributes : mapping of name to value
        Each attribute of the newest version: as given, else the default of the file's opset; None where there
        is neither. Texts are str, lists are lists.
    held : mapping of name to ndarray
        Values of the inputs that the file's opset writes as attributes.
    proto : NodeProto
        The node as the file has it.
    """

    op_type: str
    domain: str
    name: str
    input: tuple[str, ...]
    output: tuple[str, ...]
    attributes: Mapping[str, Any]
    held: Mapping[str, np.ndarray]
    proto: onnx.NodeProto

    def optional(self, index: int) -> str | None:
        """Name of input ``index``, or None when it is not given."""
        return self.input[index] if index < len(self.input) and self.input[index] else None


@dataclass(frozen=True)
class Surroundings:
    """What a reader knows about the tensors that a node reads.

    Attributes
    ----------
    constant : callable
        The values of a tensor, or None when it is no constant.
    fixed : callable
        Whether a tensor is known, or will be with the lengths, before a signal arrives.
    rank : callable
        Axes of a tensor, or None when that is not known.
    read : collection of str
        Names that some node or the model's output reads.
    """

    constant: Callable[[str], np.ndarray | None]
    fixed: Callable[[str], bool]
    rank: Callable[[str], int | None]
    read: Collection[str]


def describe(node: onnx.NodeProto) -> str:
    """Name a node for a sentence."""
    name = node.name or (node.output[0] if node.output else "?")
    return f"node {name[:80]!r} ({node.op_type[:40]})"


def opset_of(model: onnx.ModelProto) -> int:
    """Version of the standard operators that a file is written in.

    Raises
    ------
    Refusal
        When it is newer than the ``onnx`` package.
    """
    opset = max([o.version for o in model.opset_import if o.domain in STANDARD] or [1])
    newest = onnx.defs.onnx_opset_version()
    if opset > newest:
        raise Refusal(
            f"the model is written in opset {opset}, and the onnx package here knows opsets up to {newest}; "
            "export it with opset_version=21."
        )
    return opset


def expanded(model: onnx.ModelProto) -> onnx.ModelProto:
    """Expand the file's own functions, except the domain operators that are known by name.

    Raises
    ------
    Refusal
    """
    foreign = [(f.domain, f.name) for f in model.functions if f.domain != VAECTROL]
    if not foreign:
        return model
    import onnx.inliner

    try:
        return onnx.inliner.inline_selected_functions(model, foreign, exclude=False)
    except Exception as error:
        said = str(error).strip().splitlines() or [type(error).__name__]
        raise Refusal(f"the model's functions cannot be expanded ({said[0][:160]}).") from None


def is_known(node: onnx.NodeProto) -> bool:
    """Tell whether a node's operator is in the table."""
    if node.domain in STANDARD:
        return node.op_type in OPERATORS
    return (node.domain, node.op_type) in OTHERS


def well_formed(node: onnx.NodeProto, opset: int) -> tuple[Definition, dict[str, Any]]:
    """Hold a standard node to the form that its opset demands.

    Returns
    -------
    Definition
    dict of str to value
        The attributes that are given.

    Raises
    ------
    Refusal
    """
    where = describe(node)
    found = definition(node.op_type, opset)
    if found is None or found.deprecated:
        raise Refusal(
            f"{where}: opset {opset}, in which the model is written, has no operator {node.op_type[:40]}; "
            "export the model again."
        )
    given = _given(node, where)
    for name in given:
        if name not in found.attributes:
            raise Refusal(
                f"{where}: {node.op_type} has no attribute {name[:40]!r} in opset {opset}; "
                "export the model again."
            )
        kind, _, _ = found.attributes[name]
        if next(a.type for a in node.attribute if a.name == name) != kind:
            raise Refusal(
                f"{where}: its attribute {name!r} must be of the kind "
                f"{onnx.AttributeProto.AttributeType.Name(kind)}; export the model again."
            )
    for name, (_, required, _) in found.attributes.items():
        if required and name not in given:
            raise Refusal(f"{where}: its attribute {name!r} is missing; export the model again.")
    _inputs_fit(node, found, where)
    return found, given


@dataclass
class Draft:
    """A node on its way into the newest form.

    Attributes
    ----------
    node : NodeProto
        As the file has it.
    version : int
        The version of its definition.
    given : mapping
        The attributes that the file gives.
    attributes, inputs
        Of the newest form.
    around : Surroundings
    """

    node: onnx.NodeProto
    version: int
    given: Mapping[str, Any]
    attributes: dict[str, Any]
    inputs: list[str]
    around: Surroundings

    @property
    def where(self) -> str:
        """Name for a sentence."""
        return describe(self.node)


def unwritten(op_type: str, name: str, value: Any) -> bool:
    """Whether an attribute of a checked node says nothing that is not so anyway."""
    if value is None:
        return True
    if name in ("strides", "dilations", "pads", "output_padding"):
        return set(value) <= {1 if name in ("strides", "dilations") else 0}
    if op_type not in OPERATORS:
        return False
    return name == "kernel_shape" or newest(op_type).defaults.get(name) == value


def checked(node: onnx.NodeProto, opset: int, around: Surroundings) -> OnnxNode:
    """Check a node against the table and the schema of its opset, and bring it into the newest form.

    Parameters
    ----------
    node : NodeProto
        Of an operator in the table.
    opset : int
        Version of the standard operators in the file.
    around : Surroundings

    Returns
    -------
    OnnxNode

    Raises
    ------
    Refusal
        With the node's name, for whatever is not in the table.
    """
    if node.domain not in STANDARD:
        return _of_another_domain(node, around)
    where, known = describe(node), OPERATORS[node.op_type]
    found, given = well_formed(node, opset)
    if found.version not in known.versions:
        raise Refusal(
            f"{where}: {node.op_type} as opset {opset} defines it (version {found.version}) is not known "
            f"here, only {_listed(known.versions)}; export the model with opset_version=21."
        )
    form = newest(node.op_type)
    attributes = form.defaults | found.defaults | given
    _values_are_known(known.attributes, attributes, where)
    draft = Draft(node, found.version, given, attributes, _inputs_of_newest(node, found, form), around)
    held = _held(draft, form)
    _inputs_are_known(known, form, draft, held)
    _outputs_are_known(node, known, found, around)
    op_type = SPECIAL[node.op_type](draft) if node.op_type in SPECIAL else node.op_type
    return OnnxNode(
        op_type, "", node.name, tuple(draft.inputs), tuple(node.output), draft.attributes, held, node
    )


def _held(draft: Draft, form: Definition) -> dict[str, np.ndarray]:
    """Make inputs of the attributes that are inputs in the newest form; drop those that are nothing there."""
    held: dict[str, np.ndarray] = {}
    places = {name: index for index, (name, _) in enumerate(form.inputs)}
    renamed = {"value": "constant_value"} if draft.node.op_type == "Pad" else {}
    for name in [n for n in draft.attributes if n not in form.attributes]:
        value = draft.attributes.pop(name)
        place = places.get(renamed.get(name, name))
        if place is None or name not in draft.given:
            continue
        draft.inputs += [""] * (place + 1 - len(draft.inputs))
        draft.inputs[place] = _fresh(f"{draft.node.output[0]}/{name}", draft.around)
        held[draft.inputs[place]] = np.array(value, np.float32 if _is_real(value) else np.int64)
    return held


def _given(node: onnx.NodeProto, where: str) -> dict[str, Any]:
    """Decode the attributes of a node."""
    found: dict[str, Any] = {}
    for attribute in node.attribute:
        if attribute.name in found:
            raise Refusal(
                f"{where}: its attribute {attribute.name[:40]!r} is given twice; export the model again."
            )
        if attribute.ref_attr_name:
            raise Refusal(
                f"{where}: its attribute {attribute.name[:40]!r} is that of a function, and there is none "
                "around it."
            )
        try:
            value = onnx.helper.get_attribute_value(attribute)
        except ValueError:
            raise Refusal(f"{where}: its attribute {attribute.name[:40]!r} has no value.") from None
        found[attribute.name] = _plain(value)
    return found


def _is_real(value: Any) -> bool:
    return isinstance(value, float) or (isinstance(value, list) and any(isinstance(v, float) for v in value))


def _fresh(name: str, around: Surroundings) -> str:
    """Make a name that nobody reads yet."""
    while name in around.read:
        name += "_"
    return name


def _listed(values: tuple[Any, ...]) -> str:
    """Join for a sentence."""
    *first, last = (str(v) for v in values)
    return f"{', '.join(first)} and {last}" if first else last


def _inputs_fit(node: onnx.NodeProto, found: Definition, where: str) -> None:
    """As many inputs and outputs as the definition has, and all that must be given."""
    if len(node.input) > found.most_inputs or len(node.output) > found.most_outputs:
        raise Refusal(
            f"{where}: it has {len(node.input)} inputs and {len(node.output)} outputs, more than "
            f"{node.op_type} takes in this opset; export the model again."
        )
    for index, (name, option) in enumerate(found.inputs):
        needed = option == "Single" or (option == "Variadic" and index < found.least_inputs)
        if needed and not (index < len(node.input) and node.input[index]):
            raise Refusal(f"{where}: its input {name!r} is missing; export the model again.")


def _values_are_known(rules: Mapping[str, Rule], values: Mapping[str, Any], where: str) -> None:
    """Refuse what the table does not list."""
    for name, value in values.items():
        rule = rules.get(name)
        if rule is None:
            raise Refusal(f"{where}: its attribute {name!r} is not known; export the model without it.")
        if not rule.given and value is not None:
            raise Refusal(f"{where}: it has the attribute {name!r}; {rule.advice}.")
        plain = tuple(value) if isinstance(value, list) else value
        if rule.values is not None and plain not in rule.values:
            raise Refusal(f"{where}: its {name} is {_short(value)}, which is not supported; {rule.advice}.")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _inputs_of_newest(node: onnx.NodeProto, found: Definition, form: Definition) -> list[str]:
    """Put the inputs where the newest version has them."""
    if any(option == "Variadic" for _, option in found.inputs):
        return list(node.input)
    places = {name: index for index, (name, _) in enumerate(form.inputs)}
    inputs: list[str] = []
    for index, name in enumerate(node.input):
        place = places.get(found.inputs[index][0], index)
        inputs += [""] * (place + 1 - len(inputs))
        inputs[place] = name
    return inputs


def _inputs_are_known(
    known: Operator, form: Definition, draft: Draft, held: Mapping[str, np.ndarray]
) -> None:
    """Refuse inputs that are not obeyed, and settings that a signal decides."""
    for (formal, _), name in zip(form.inputs, draft.inputs, strict=False):
        if not name or name in held:
            continue
        rule = known.inputs.get(formal, OBEYED)
        if not rule.given:
            raise Refusal(f"{draft.where}: it has the input {formal!r}; leave it out, {rule.advice}.")
        if formal in known.fixed and not draft.around.fixed(name):
            raise Refusal(
                f"{draft.where}: its {formal}, {name[:60]!r}, must be a constant, but it depends on an "
                "input; only numbers known beforehand can be compiled."
            )
        if rule.values is not None:
            value = draft.around.constant(name)
            if value is None or value.size != 1 or value.reshape(-1)[0] not in rule.values:
                shown = "computed" if value is None else _short(value.tolist())
                raise Refusal(
                    f"{draft.where}: its {formal} is {shown}, which is not supported; {rule.advice}."
                )


def _outputs_are_known(
    node: onnx.NodeProto, known: Operator, found: Definition, around: Surroundings
) -> None:
    """Refuse outputs that nobody makes."""
    if found.variadic:
        return
    for index, name in enumerate(node.output):
        formal = found.outputs[index]
        if not name or formal in known.results or (index == 0 and not known.results):
            continue
        rule = known.outputs.get(formal)
        if rule is not None:
            raise Refusal(f"{describe(node)}: it has the output {formal!r}: {rule.advice}.")
        if name in around.read:
            raise Refusal(
                f"{describe(node)}: its output {formal!r} is not made here; use the first output only."
            )


def _of_another_domain(node: onnx.NodeProto, around: Surroundings) -> OnnxNode:
    """Check a node of the project's own domain, or of onnxruntime's."""
    where = describe(node)
    known, signature = OTHERS[node.domain, node.op_type]
    given = _given(node, where)
    for name, value in given.items():
        if name not in signature.attributes:
            raise Refusal(f"{where}: its attribute {name[:40]!r} is not known; export the model without it.")
        if not isinstance(value, int):
            raise Refusal(f"{where}: its attribute {name!r} must be a whole number.")
    attributes = dict(signature.attributes) | given
    if node.op_type in OPERATORS:
        attributes = newest(node.op_type).defaults | attributes
    missing = next((n for n, v in attributes.items() if v is REQUIRED), None)
    if missing:
        raise Refusal(f"{where}: its attribute {missing!r} is missing; export the model again.")
    _values_are_known(known.attributes, attributes, where)
    if len(node.input) > len(signature.inputs) or len(node.output) != 1:
        raise Refusal(
            f"{where}: it must have {len(signature.inputs)} inputs and one output; export the model again."
        )
    for index, formal in enumerate(signature.inputs):
        name = node.input[index] if index < len(node.input) else ""
        if not name and formal not in signature.optional:
            raise Refusal(f"{where}: its input {formal!r} is missing; export the model again.")
        if name and formal in known.fixed and not around.fixed(name):
            raise Refusal(f"{where}: its {formal!r}, {name[:60]!r}, must be a constant.")
    return OnnxNode(
        node.op_type, node.domain, node.name, tuple(node.input), tuple(node.output), attributes, {}, node
    )


def _plain(value: Any) -> Any:
    """Turn bytes into text and repeated fields into lists."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, (str, int, float, onnx.TensorProto)):
        return value
    try:
        return [_plain(v) for v in value]
    except TypeError:
        return value


def _default(attribute: Any) -> Any:
    """Default of an attribute in a schema, or None."""
    if not attribute.default_value.name:
        return None
    return _plain(onnx.helper.get_attribute_value(attribute.default_value))


# ---- where a table does not say it ---------------------------------------------------------------------


def _window(draft: Draft) -> str:
    """Convolution and pooling: lists that are left out are ones and zeros, and the kernel is the weights'."""
    attributes = draft.attributes
    weight = draft.around.constant(draft.inputs[1]) if len(draft.inputs) > 1 else None
    kernel = attributes["kernel_shape"]
    if weight is not None:
        taps = list(weight.shape[2:])
        if kernel is not None and kernel != taps:
            raise Refusal(
                f"{draft.where}: its kernel_shape is {kernel}, but its weights have {taps} taps; "
                "export the model again."
            )
        kernel = taps
    lists = (kernel, attributes["strides"], attributes["dilations"])
    axes = next((len(v) for v in lists if v is not None), len(attributes["pads"] or [0, 0]) // 2)
    auto = attributes["auto_pad"]
    if auto not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Refusal(
            f"{draft.where}: its auto_pad is {_short(auto)}, which ONNX does not know; write its pads."
        )
    if auto != "NOTSET" and any(attributes["pads"] or ()):
        raise Refusal(f"{draft.where}: it has both pads and auto_pad; write its pads alone.")
    filled = {
        "kernel_shape": kernel,
        "strides": [1] * axes,
        "dilations": [1] * axes,
        "pads": [0] * (2 * axes),
    }
    if "output_padding" in attributes:
        filled["output_padding"] = [0] * axes
    for name, value in filled.items():
        if attributes[name] is None:
            attributes[name] = value
    return draft.node.op_type


def _constant(draft: Draft) -> str:
    """One value, neither none nor two."""
    if len(draft.given) != 1:
        raise Refusal(f"{draft.where}: it must have exactly one value, and it has {len(draft.given)}.")
    return draft.node.op_type


def _recurrent(draft: Draft) -> str:
    """The default activations may be written out, in any case of letters."""
    names = draft.attributes["activations"]
    default = ["sigmoid", "tanh", "tanh"] if draft.node.op_type == "LSTM" else ["sigmoid", "tanh"]
    if names and [n.lower() for n in names] != default:
        raise Refusal(
            f"{draft.where}: its activations are {_short(names)}; use the default Sigmoid and Tanh."
        )
    if draft.attributes["hidden_size"] is None:
        raise Refusal(f"{draft.where}: its attribute 'hidden_size' is missing; export the model again.")
    return draft.node.op_type


def _resize(draft: Draft) -> str:
    """Opset 10 had neither coordinates nor roundings: position i/scale, rounded down."""
    if draft.version == 10:
        draft.attributes |= {"coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor"}
    names = ("mode", "coordinate_transformation_mode", "nearest_mode")
    mode, coordinates, rounding = (draft.attributes[name] for name in names)
    if coordinates == "tf_crop_and_resize":
        raise Refusal(f"{draft.where}: it crops (tf_crop_and_resize); slice first, then resize.")
    if mode == "nearest" and (coordinates, rounding) not in REPEATING:
        raise Refusal(
            f"{draft.where}: nearest upsampling with {coordinates} coordinates and {rounding} is not "
            "supported; use asymmetric coordinates with floor."
        )
    if mode == "linear" and coordinates not in BLENDING:
        raise Refusal(
            f"{draft.where}: linear upsampling with {coordinates} coordinates is not supported; use nearest, "
            "or linear with half_pixel."
        )
    if len(draft.inputs) > 1:
        draft.inputs[1] = ""  # the region of interest belongs to tf_crop_and_resize
    if not any(draft.inputs[2:]):
        raise Refusal(f"{draft.where}: it has neither scales nor sizes; export the model again.")
    return draft.node.op_type


def _upsample(draft: Draft) -> str:
    """The same as opset 10's Resize."""
    draft.attributes = newest("Resize").defaults | {
        "mode": draft.attributes["mode"],
        "coordinate_transformation_mode": "asymmetric",
        "nearest_mode": "floor",
    }
    draft.inputs = [draft.inputs[0], "", draft.inputs[1]]
    return "Resize"


def _softmax(draft: Draft) -> str:
    """Before opset 13 everything from ``axis`` on was one row; the same as today only for the last axis."""
    axis = draft.attributes["axis"]
    if draft.version < 13 and axis != -1 and axis + 1 != draft.around.rank(draft.inputs[0]):
        raise Refusal(
            f"{draft.where}: its axis is {axis}, and before opset 13 that flattens the axes behind it; "
            "export the model with opset_version=21."
        )
    return draft.node.op_type


def _split(draft: Draft) -> str:
    """Sizes, or a number of parts that is the number of outputs."""
    outputs, parts = len(draft.node.output), draft.attributes["num_outputs"]
    sized = len(draft.inputs) > 1 and bool(draft.inputs[1])
    if parts is not None and (sized or parts != outputs):
        raise Refusal(
            f"{draft.where}: its num_outputs is {parts} beside {outputs} outputs"
            f"{' and a list of sizes' if sized else ''}; export the model again."
        )
    if draft.version == 18 and not sized and parts is None:
        raise Refusal(f"{draft.where}: it has neither sizes nor num_outputs; export the model again.")
    draft.attributes["num_outputs"] = None if sized else outputs
    return draft.node.op_type


def _squeezing(draft: Draft) -> str:
    """Before opset 11 no axis counts from the last; ONNX's own inference takes it for another."""
    axes = draft.given.get("axes", [])
    if draft.version == 1 and min(axes, default=0) < 0:
        raise Refusal(
            f"{draft.where}: its axes {_short(axes)} count from the last, which opsets before 11 do not; "
            "export the model with opset_version=21."
        )
    return draft.node.op_type


HALF_PIXEL = ("half_pixel", "pytorch_half_pixel", "half_pixel_symmetric")
"""One and the same where the factor is whole and the result longer than one frame."""
REPEATING = {
    ("asymmetric", "floor"),
    *((c, r) for c in HALF_PIXEL for r in ("round_prefer_floor", "round_prefer_ceil")),
}
"""Coordinates and roundings with which nearest upsampling by a whole factor repeats every frame as often."""
BLENDING = (*HALF_PIXEL, "asymmetric", "align_corners")
"""Coordinates with which linear upsampling is understood (a stream refuses align_corners)."""

SPECIAL: dict[str, Callable[[Draft], str]] = {
    "AveragePool": _window,
    "Constant": _constant,
    "Conv": _window,
    "ConvTranspose": _window,
    "GRU": _recurrent,
    "LSTM": _recurrent,
    "MaxPool": _window,
    "Resize": _resize,
    "Softmax": _softmax,
    "Split": _split,
    "Squeeze": _squeezing,
    "Unsqueeze": _squeezing,
    "Upsample": _upsample,
}
"""What remains to be checked or filled in by hand; each returns the operator that the node is read as."""
