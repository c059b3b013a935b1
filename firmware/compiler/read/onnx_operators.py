"""What is known of ONNX: per operator the versions, attributes and inputs that both readers obey.

What a file says is either obeyed or refused in one sentence, and never passed over: an attribute, an input,
a value or a version that ``OPERATORS`` does not list is refused by name (``onnx_nodes.checked``). Defaults
and the list of inputs come from the schema of the file's own opset, as the ``onnx`` package has them, so that
they cannot be wrong here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import onnx

STANDARD = ("", "ai.onnx")
MICROSOFT = "com.microsoft"
VAECTROL = "vaectrol"


@dataclass(frozen=True)
class Rule:
    """What an attribute, or an input that carries a setting, may be.

    Attributes
    ----------
    values : tuple, optional
        The only values that are understood; without them any.
    advice : str
        What to do instead, the end of the sentence.
    given : bool
        False where the input or output must be left out.
    """

    values: tuple[Any, ...] | None = None
    advice: str = ""
    given: bool = True


OBEYED = Rule()
IDLE = Rule()
"""It changes nothing of what a trained network computes: a seed, a momentum, how float8 saturates."""


def only(*values: Any, advice: str) -> Rule:
    """Allow some values."""
    return Rule(values, advice)


def absent(advice: str) -> Rule:
    """Allow nothing: the input or output must be left out."""
    return Rule(None, advice, False)


@dataclass(frozen=True)
class Operator:
    """What is known of one operator.

    Attributes
    ----------
    versions : tuple of int
        Opsets at which its definition changed and whose meaning is implemented (``since_version`` in ONNX).
    attributes : mapping of name to Rule
        Every attribute of those versions.
    fixed : tuple of str
        Inputs, by the names of the newest version, that must be known before a signal arrives.
    inputs : mapping of name to Rule
        Inputs that not every value is understood of, or that must be left out.
    outputs : mapping of name to Rule
        Outputs that must be left out; any other output beyond the first may be there while nobody reads it,
        unless ``results`` lists it.
    results : tuple of str
        Outputs that are made.
    """

    versions: tuple[int, ...]
    attributes: Mapping[str, Rule] = field(default_factory=dict)
    fixed: tuple[str, ...] = ()
    inputs: Mapping[str, Rule] = field(default_factory=dict)
    outputs: Mapping[str, Rule] = field(default_factory=dict)
    results: tuple[str, ...] = ()


@dataclass(frozen=True)
class Signature:
    """The schema of an operator that the ``onnx`` package does not know."""

    inputs: tuple[str, ...]
    optional: tuple[str, ...] = ()
    attributes: Mapping[str, Any] = field(default_factory=dict)


REQUIRED = object()
_SPATIAL = {name: OBEYED for name in ("auto_pad", "dilations", "kernel_shape", "pads", "strides")}
_SWITCH = only(0, 1, advice="write 0 or 1")
_REDUCED = {"axes": OBEYED, "keepdims": _SWITCH, "noop_with_empty_axes": _SWITCH}
_IN_FLOAT = only(0, onnx.TensorProto.FLOAT, advice="leave it out, so that it computes in float32")
_RECURRENT = {
    "activations": OBEYED,
    "activation_alpha": only((), None, advice="the default Sigmoid and Tanh have none"),
    "activation_beta": only((), None, advice="the default Sigmoid and Tanh have none"),
    "clip": only(None, advice="leave its clip out"),
    "direction": only("forward", advice="a stream runs forward only, not backward in time"),
    "hidden_size": OBEYED,
    "layout": _SWITCH,
    "output_sequence": IDLE,
}
_UNBLOCKED = only(0, advice="quantize weights per channel, not in blocks")
_WHOLE_FRAMES = only(0, advice="pool without it, so that every result has a whole window")

OPERATORS: dict[str, Operator] = {
    "Abs": Operator((6, 13)),
    "Add": Operator((7, 13, 14)),
    "AveragePool": Operator(
        (7, 10, 11, 19, 22), {**_SPATIAL, "ceil_mode": _WHOLE_FRAMES, "count_include_pad": _SWITCH}
    ),
    "BatchNormalization": Operator(
        (7, 9, 14, 15),
        {
            "epsilon": OBEYED,
            "momentum": IDLE,
            "spatial": only(1, advice="keep one mean and one variance for each channel"),
            "training_mode": only(0, advice="export the model with model.eval()"),
        },
        fixed=("scale", "B", "input_mean", "input_var"),
        outputs={
            name: absent("it is in training mode; export the model with model.eval()")
            for name in ("mean", "var", "saved_mean", "saved_var", "running_mean", "running_var")
        },
    ),
    "Cast": Operator(
        (6, 9, 13, 19, 21, 23, 24, 25, 28), {"to": OBEYED, "saturate": IDLE, "round_mode": IDLE}
    ),
    "CastLike": Operator((15, 19, 21, 23, 24, 25), {"saturate": IDLE, "round_mode": IDLE}),
    "CausalConvWithState": Operator((27,), {"activation": OBEYED}, fixed=("weight", "bias")),
    "Ceil": Operator((6, 13)),
    "Celu": Operator((12, 28), {"alpha": OBEYED}),
    "Clip": Operator((6, 11, 12, 13), {"min": OBEYED, "max": OBEYED}),
    "Concat": Operator((4, 11, 13), {"axis": OBEYED}),
    "Constant": Operator(
        (1, 9, 11, 12, 13, 19, 21, 23, 24, 25),
        {
            **{n: OBEYED for n in ("value", "value_float", "value_floats", "value_int", "value_ints")},
            "sparse_value": absent("store the constant densely"),
            "value_string": absent("a network holds numbers only"),
            "value_strings": absent("a network holds numbers only"),
        },
    ),
    "ConstantOfShape": Operator((9, 20, 21, 23, 24, 25), {"value": OBEYED}, fixed=("input",)),
    "Conv": Operator((1, 11, 22), {**_SPATIAL, "group": OBEYED}, fixed=("W", "B")),
    "ConvTranspose": Operator(
        (1, 11, 22),
        {**_SPATIAL, "group": OBEYED, "output_padding": OBEYED, "output_shape": OBEYED},
        fixed=("W", "B"),
    ),
    "Cos": Operator((7, 22)),
    "DequantizeLinear": Operator(
        (10, 13, 19, 21, 23, 24, 25, 28),
        {"axis": OBEYED, "block_size": _UNBLOCKED, "output_dtype": _IN_FLOAT},
        fixed=("x_scale", "x_zero_point"),
    ),
    "Div": Operator((7, 13, 14)),
    "Dropout": Operator(
        (7, 10, 12, 13, 22),
        {"ratio": IDLE, "seed": IDLE},
        inputs={"training_mode": only(False, advice="export the model with model.eval()")},
    ),
    "Elu": Operator((6, 22), {"alpha": OBEYED}),
    "Equal": Operator((7, 11, 13, 19)),
    "Erf": Operator((9, 13)),
    "Exp": Operator((6, 13)),
    "Expand": Operator((8, 13), fixed=("shape",)),
    "Flatten": Operator((1, 9, 11, 13, 21, 23, 24, 25), {"axis": OBEYED}),
    "Floor": Operator((6, 13)),
    "GRU": Operator(
        (3, 7, 14, 22),
        {
            **_RECURRENT,
            "linear_before_reset": _SWITCH,
        },
        fixed=("W", "R", "B"),
        inputs={"sequence_lens": absent("it would end the sequence early")},
        results=("Y", "Y_h"),
    ),
    "LSTM": Operator(
        (1, 7, 14, 22),
        {
            **_RECURRENT,
            "input_forget": only(0, advice="leave input_forget out"),
        },
        fixed=("W", "R", "B"),
        inputs={
            "sequence_lens": absent("it would end the sequence early"),
            "P": absent("peepholes are not supported"),
        },
        results=("Y", "Y_h"),
    ),
    "Gather": Operator((1, 11, 13), {"axis": OBEYED}),
    "Gelu": Operator((20,), {"approximate": only("none", "tanh", advice="use none or tanh")}),
    "Gemm": Operator((7, 9, 11, 13), {"alpha": OBEYED, "beta": OBEYED, "transA": _SWITCH, "transB": _SWITCH}),
    "GlobalAveragePool": Operator((1, 22)),
    "Greater": Operator((7, 9, 13)),
    "HardSigmoid": Operator((6, 22), {"alpha": OBEYED, "beta": OBEYED}),
    "HardSwish": Operator((14, 22)),
    "Identity": Operator((1, 13, 14, 16, 19, 21, 23, 24, 25)),
    "LeakyRelu": Operator((6, 16), {"alpha": OBEYED}),
    "Less": Operator((7, 9, 13)),
    "Log": Operator((6, 13)),
    "MatMul": Operator((1, 9, 13)),
    "Max": Operator((6, 8, 12, 13)),
    "MaxPool": Operator(
        (1, 8, 10, 11, 12, 22), {**_SPATIAL, "ceil_mode": _WHOLE_FRAMES, "storage_order": IDLE}
    ),
    "Mean": Operator((6, 8, 13)),
    "Min": Operator((6, 8, 12, 13)),
    "Mish": Operator((18, 22)),
    "Mul": Operator((7, 13, 14)),
    "Neg": Operator((6, 13)),
    "PRelu": Operator((7, 9, 16), fixed=("slope",)),
    "Pad": Operator(
        (2, 11, 13, 18, 19, 21, 23, 24, 25),
        {
            "mode": only("constant", "reflect", "edge", advice="pad with zeros, or by reflect or edge"),
            "pads": OBEYED,
            "value": OBEYED,
        },
        fixed=("pads", "constant_value", "axes"),
    ),
    "Pow": Operator((7, 12, 13, 15), fixed=("Y",)),
    "QuantizeLinear": Operator(
        (10, 13, 19, 21, 23, 24, 25, 28),
        {
            "axis": OBEYED,
            "block_size": _UNBLOCKED,
            "output_dtype": OBEYED,
            "precision": _IN_FLOAT,
            "saturate": IDLE,
        },
        fixed=("y_scale", "y_zero_point"),
    ),
    "Range": Operator((11, 27), {"stash_type": IDLE}, fixed=("start", "limit", "delta")),
    "Reciprocal": Operator((6, 13)),
    "ReduceMean": Operator((1, 11, 13, 18), _REDUCED, fixed=("axes",)),
    "ReduceSum": Operator((1, 11, 13), _REDUCED, fixed=("axes",)),
    "Relu": Operator((6, 13, 14)),
    "Reshape": Operator((5, 13, 14, 19, 21, 23, 24, 25), {"allowzero": _SWITCH}, fixed=("shape",)),
    "Resize": Operator(
        (10, 11, 13, 18, 19),
        {
            "antialias": only(0, advice="resize without it"),
            "axes": OBEYED,
            "coordinate_transformation_mode": OBEYED,
            "cubic_coeff_a": IDLE,  # used by mode cubic alone
            "exclude_outside": only(0, advice="leave it out"),
            "extrapolation_value": IDLE,  # used by tf_crop_and_resize alone
            "keep_aspect_ratio_policy": only(
                "stretch", advice="use stretch, so that the factor is the one that is written"
            ),
            "mode": only("nearest", "linear", advice="use nearest, or linear with half_pixel"),
            "nearest_mode": OBEYED,
        },
        fixed=("roi", "scales", "sizes"),
    ),
    "Selu": Operator((6, 22), {"alpha": OBEYED, "gamma": OBEYED}),
    "Shape": Operator((1, 13, 15, 19, 21, 23, 24, 25), {"start": OBEYED, "end": OBEYED}),
    "Sigmoid": Operator((6, 13)),
    "Sin": Operator((7, 22)),
    "Size": Operator((1, 13, 19, 21, 23, 24, 25)),
    "Slice": Operator(
        (1, 10, 11, 13),
        {"starts": OBEYED, "ends": OBEYED, "axes": OBEYED},
        fixed=("starts", "ends", "axes", "steps"),
    ),
    "Softmax": Operator((1, 11, 13), {"axis": OBEYED}),
    "Softplus": Operator((1, 22)),
    "Split": Operator(
        (2, 11, 13, 18), {"axis": OBEYED, "num_outputs": OBEYED, "split": OBEYED}, fixed=("split",)
    ),
    "Sqrt": Operator((6, 13)),
    "Squeeze": Operator((1, 11, 13, 21, 23, 24, 25), {"axes": OBEYED}, fixed=("axes",)),
    "Sub": Operator((7, 13, 14)),
    "Sum": Operator((6, 8, 13)),
    "Tanh": Operator((6, 13)),
    "Tile": Operator((6, 13), fixed=("repeats",)),
    "Transpose": Operator((1, 13, 21, 23, 24, 25), {"perm": OBEYED}),
    "Unsqueeze": Operator((1, 11, 13, 21, 23, 24, 25), {"axes": OBEYED}, fixed=("axes",)),
    "Upsample": Operator(
        (7, 9),
        {"mode": only("nearest", "linear", advice="use nearest or linear"), "scales": OBEYED},
        fixed=("scales",),
    ),
    "Where": Operator((9, 16)),
}
"""Operators of the standard domain; a test holds each entry to the schemas of its versions."""

OTHERS: dict[tuple[str, str], tuple[Operator, Signature]] = {
    (MICROSOFT, "DequantizeLinear"): (
        OPERATORS["DequantizeLinear"],
        Signature(("x", "x_scale", "x_zero_point"), ("x_zero_point",), {"axis": 1, "block_size": 0}),
    ),
    (MICROSOFT, "QuantizeLinear"): (
        OPERATORS["QuantizeLinear"],
        Signature(
            ("x", "y_scale", "y_zero_point"), ("y_zero_point",), {"axis": 1, "block_size": 0, "saturate": 1}
        ),
    ),
    (MICROSOFT, "Gelu"): (OPERATORS["Gelu"], Signature(("X",))),
    (VAECTROL, "PQMFSynthesis"): (
        Operator((1,), fixed=("bank", "prototype")),
        Signature(("subbands", "bank", "prototype")),
    ),
    (VAECTROL, "PQMFAnalysis"): (
        Operator((1,), fixed=("bank", "prototype")),
        Signature(("audio", "bank", "prototype")),
    ),
    (VAECTROL, "FilteredNoise"): (
        Operator((1,), {name: OBEYED for name in ("bands", "taps", "hop", "seed")}),
        Signature(("filters",), (), {"bands": REQUIRED, "taps": REQUIRED, "hop": REQUIRED, "seed": 0}),
    ),
    (VAECTROL, "HitSound"): (
        Operator(
            (1,),
            {name: OBEYED for name in ("gliding", "samples", "seed")},
            fixed=("anchors", "spreads", "filters", "grid", "fade"),
        ),
        Signature(
            ("modes", "glide", "noise", "transient", "anchors", "spreads", "filters", "grid", "fade"),
            (),
            {"gliding": REQUIRED, "samples": REQUIRED, "seed": 0},
        ),
    ),
    (VAECTROL, "Ear"): (
        Operator((1,), {"hop": OBEYED}, fixed=("window", "bank", "weight")),
        Signature(("audio", "window", "bank", "weight"), (), {"hop": REQUIRED}),
    ),
    (VAECTROL, "SourceFilter"): (
        Operator((1,), {"seed": OBEYED}, fixed=("share", "window")),
        Signature(("numbers", "control", "share", "window"), (), {"seed": 0}),
    ),
    (VAECTROL, "HarmonicBank"): (
        Operator((1,), {name: OBEYED for name in ("harmonics", "hop", "seed")}, fixed=("filters",)),
        Signature(("numbers", "control", "filters"), (), {"harmonics": REQUIRED, "hop": REQUIRED, "seed": 0}),
    ),
}
"""Operators of other domains: the project's own, and those of onnxruntime that its quantizer writes."""

CONSTANT = "Constant"
OF_SIZES = ("Shape", "Size")
"""Operators whose result depends on sizes alone, whatever the signal is."""
READ_AS_CONSTANTS = (CONSTANT, "DequantizeLinear", "Dropout", "QuantizeLinear", "Transpose")
"""Operators whose constants are read, not evaluated: integers keep their scales, and a dropout is nothing."""

EVALUATED = frozenset(OPERATORS) - {*READ_AS_CONSTANTS} | frozenset(
    (
        *("And", "CumSum", "EyeLike", "GatherElements", "GatherND", "GreaterOrEqual", "LessOrEqual", "Mod"),
        *("Not", "OneHot", "Or", "ReduceL1", "ReduceL2", "ReduceMax", "ReduceMin", "ReduceProd"),
        *("ReduceSumSquare", "Round", "ScatterElements", "ScatterND", "Sign", "Tan", "Trilu", "Xor"),
    )
)
"""Operators that may stand between constants: the evaluator that comes with ``onnx`` obeys all they say."""
