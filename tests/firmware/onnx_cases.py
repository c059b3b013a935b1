"""Legal but unusual nodes: what older opsets wrote otherwise, and attributes that are seldom given.

Each case is a small model and its feeds. ``OBEYED`` must give the numbers of onnxruntime (or of ONNX's
evaluator) in every reader that knows the operator; ``REFUSED`` must end in a sentence with the given words.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper


@dataclass(frozen=True)
class Case:
    """One node among constants, ``x`` → ``y``, the operator's name first in its identifier."""

    opset: int
    nodes: tuple[onnx.NodeProto, ...]
    constants: tuple[tuple[str, np.ndarray], ...] = ()
    channels: int = 4
    frames: int = 12
    words: tuple[str, ...] = ()
    outputs: tuple[str, ...] = ("y",)
    functions: tuple[Any, ...] = ()
    domains: tuple[tuple[str, int], ...] = ()
    rank: int = 3

    def model(self, streaming: bool = False) -> onnx.ModelProto:
        """The model, its time axis symbolic or fixed."""
        last: int | str = "frames" if streaming else self.frames
        shape = [1, self.channels, last] if self.rank == 3 else [1, self.channels]
        nodes = [onnx.NodeProto.FromString(n.SerializeToString()) for n in self.nodes]
        for index, one in enumerate(nodes):
            if any(other.name == one.name for other in nodes[:index]):
                one.name = f"{one.name}_{index}"
        graph = helper.make_graph(
            nodes,
            "case",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
            [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in self.outputs],
            [numpy_helper.from_array(np.asarray(v), n) for n, v in self.constants],
        )
        opsets = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(d, v) for d, v in self.domains)]
        return helper.make_model(
            graph,
            opset_imports=opsets,
            functions=list(self.functions),
            ir_version=10 if self.opset > 20 else 8,
        )

    def feed(self) -> dict[str, np.ndarray]:
        """A signal."""
        shape = (1, self.channels, self.frames) if self.rank == 3 else (1, self.channels)
        return {"x": np.random.default_rng(5).normal(size=shape).astype(np.float32)}


def node(op: str, *inputs: str, outputs: tuple[str, ...] = ("y",), **attributes: Any) -> onnx.NodeProto:
    """A node with a name of its own."""
    return helper.make_node(op, list(inputs), list(outputs), name=f"the_{op.lower()}", **attributes)


def weights(*shape: int, seed: int = 1) -> np.ndarray:
    """Random float32."""
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def ints(*values: int) -> np.ndarray:
    """A list of whole numbers."""
    return np.array(values, np.int64)


def reals(*values: float) -> np.ndarray:
    """A list of float32."""
    return np.array(values, np.float32)


HIDDEN = 3
GRU_WEIGHTS = (("w", weights(1, 3 * HIDDEN, 4)), ("r", weights(1, 3 * HIDDEN, HIDDEN, seed=2)))
GRU_BIAS = ("b", weights(1, 6 * HIDDEN, seed=3))
GRU_BIAS_AND_START = (GRU_BIAS, ("h0", np.zeros((1, 1, HIDDEN), np.float32)))


def gru(
    *inputs: str, opset: int = 21, constants: tuple = (), words: tuple[str, ...] = (), **attributes
) -> Case:
    """A GRU between the transposes that bring [1, channels, frames] to it and back."""
    axis = (("one", ints(1)),) if opset >= 13 else ()
    squeeze = (
        node("Squeeze", "h", "one", outputs=("s",))
        if axis
        else node("Squeeze", "h", outputs=("s",), axes=[1])
    )
    return Case(
        opset,
        (
            node("Transpose", "x", outputs=("t",), perm=[2, 0, 1]),
            node("GRU", "t", "w", "r", *inputs, outputs=("h",), hidden_size=HIDDEN, **attributes),
            squeeze,
            node("Transpose", "s", perm=[1, 2, 0]),
        ),
        (*GRU_WEIGHTS, *axis, *constants),
        words=words,
    )


def resize(opset: int, scales: np.ndarray, words: tuple[str, ...] = (), **attributes: Any) -> Case:
    """A resize by scales; opset 10 and 11 onward differ in where they stand."""
    inputs = (
        ("x", "scales") if opset == 10 else ("x", "", "scales") if opset >= 13 else ("x", "roi", "scales")
    )
    constants = (("scales", scales), ("roi", reals())) if opset in (11, 12) else (("scales", scales),)
    return Case(opset, (node("Resize", *inputs, **attributes),), constants, words=words)


def guarded_softplus(beta: float, threshold: float) -> Case:
    """Softplus with the comparison that torch's newer exporter writes around it."""
    nodes = [
        node("Mul", "x", "loud", outputs=("z",)),
        node("Mul", "z", "beta", outputs=("scaled",)),
        node("Softplus", "scaled", outputs=("bent",)),
        node("Div", "bent", "beta", outputs=("soft",)),
        node("Greater", "scaled", "threshold", outputs=("above",)),
        node("Where", "above", "z", "soft"),
    ]
    if beta == 1:
        nodes = [nodes[0], node("Softplus", "z", outputs=("soft",)), *nodes[4:]]
        nodes[2].input[0] = "z"
    numbers = {"loud": 12.0, "beta": beta, "threshold": threshold}
    return Case(18, tuple(nodes), tuple((n, np.float32(v)) for n, v in numbers.items()))


UP2, UP3 = reals(1, 1, 2), reals(1, 1, 3)
SPLIT = ("a", "b")

OBEYED: dict[str, Case] = {
    "resize10_nearest": resize(10, UP3, mode="nearest"),
    "resize10_linear": resize(10, UP2, mode="linear"),
    "resize11_default_coordinates": resize(11, UP2, mode="linear"),
    "resize11_asymmetric": resize(11, UP3, mode="linear", coordinate_transformation_mode="asymmetric"),
    "resize13_half_pixel_nearest": resize(13, UP3),
    "resize13_prefer_ceil": resize(13, UP2, nearest_mode="round_prefer_ceil"),
    "resize13_asymmetric_floor": resize(
        13, UP3, nearest_mode="floor", coordinate_transformation_mode="asymmetric"
    ),
    "resize13_pytorch_half_pixel": resize(
        13, UP2, mode="linear", coordinate_transformation_mode="pytorch_half_pixel"
    ),
    "resize19_axes": resize(19, reals(2), axes=[2]),
    "resize19_half_pixel_symmetric": resize(
        19, UP2, mode="linear", coordinate_transformation_mode="half_pixel_symmetric"
    ),
    "resize18_sizes": Case(
        18, (node("Resize", "x", "", "", "sizes", mode="linear"),), (("sizes", ints(1, 4, 36)),)
    ),
    "conv_transpose_of_stride_one": Case(
        17, (node("ConvTranspose", "x", "w", group=4),), (("w", weights(4, 1, 2)),)
    ),
    "upsample7": Case(8, (node("Upsample", "x", scales=[1.0, 1.0, 3.0]),)),
    "upsample9_linear": Case(9, (node("Upsample", "x", "s", mode="linear"),), (("s", UP2),)),
    "split11_sizes": Case(
        11,
        (node("Split", "x", outputs=SPLIT, axis=1, split=[1, 3]), node("Mul", "b", "a")),
    ),
    "split11_equal": Case(11, (node("Split", "x", outputs=SPLIT, axis=1), node("Sub", "b", "a"))),
    "split13_sizes": Case(
        13, (node("Split", "x", "n", outputs=SPLIT, axis=-2), node("Mul", "b", "a")), (("n", ints(1, 3)),)
    ),
    "split18_num_outputs": Case(
        18, (node("Split", "x", outputs=SPLIT, axis=1, num_outputs=2), node("Sub", "a", "b"))
    ),
    "clip6_attributes": Case(9, (node("Clip", "x", min=-0.5, max=0.25),)),
    "clip6_one_attribute": Case(10, (node("Clip", "x", max=0.25),)),
    "clip11_inputs": Case(11, (node("Clip", "x", "", "high"),), (("high", np.float32(0.25)),)),
    "clip13_inputs": Case(
        13, (node("Clip", "x", "low", "high"),), (("low", np.float32(-0.5)), ("high", np.float32(0.25)))
    ),
    "pad2_attributes": Case(9, (node("Pad", "x", pads=[0, 0, 3, 0, 0, 1]),)),
    "pad11_inputs": Case(11, (node("Pad", "x", "p"),), (("p", ints(0, 0, 3, 0, 0, 1)),)),
    "pad18_axes": Case(18, (node("Pad", "x", "p", "", "a"),), (("p", ints(3, 1)), ("a", ints(-1)))),
    "slice1_attributes": Case(9, (node("Slice", "x", starts=[1], ends=[3], axes=[1]),)),
    "slice1_without_axes": Case(9, (node("Slice", "x", starts=[0, 1], ends=[1, 4]),)),
    "slice10_inputs": Case(
        10,
        (node("Slice", "x", "s", "e", "a", "t"),),
        (("s", ints(3)), ("e", ints(-5)), ("a", ints(1)), ("t", ints(-2))),
    ),
    "squeeze11_axes": Case(
        11, (node("Unsqueeze", "x", outputs=("u",), axes=[1]), node("Squeeze", "u", axes=[-3]))
    ),
    "squeeze13_axes": Case(
        13,
        (node("Unsqueeze", "x", "a", outputs=("u",)), node("Squeeze", "u", "a")),
        (("a", ints(2)),),
    ),
    "flatten_default_axis": Case(9, (node("Flatten", "x", outputs=("f",)), node("Relu", "f")), frames=1),
    "reshape5": Case(9, (node("Reshape", "x", "s"),), (("s", ints(0, 2, -1)),)),
    "transpose_twice": Case(
        9, (node("Transpose", "x", outputs=("t",), perm=[0, 2, 1]), node("Transpose", "t", perm=[0, 2, 1]))
    ),
    "dropout7": Case(9, (node("Dropout", "x", ratio=0.5),)),
    "dropout12_at_rest": Case(
        17, (node("Dropout", "x", "r", "t"),), (("r", np.float32(0.5)), ("t", np.array(False)))
    ),
    "batchnorm9": Case(
        9,
        (node("BatchNormalization", "x", "g", "b", "m", "v", epsilon=0.01, momentum=0.3),),
        (("g", weights(4)), ("b", weights(4, seed=2)), ("m", weights(4, seed=3)), ("v", weights(4) ** 2)),
    ),
    "batchnorm15": Case(
        15,
        (node("BatchNormalization", "x", "g", "b", "m", "v"),),
        (("g", weights(4)), ("b", weights(4, seed=2)), ("m", weights(4, seed=3)), ("v", weights(4) ** 2)),
    ),
    "conv1_kernel_shape": Case(
        9, (node("Conv", "x", "w", kernel_shape=[3], pads=[2, 0]),), (("w", weights(2, 4, 3)),)
    ),
    "conv_auto_pad": Case(9, (node("Conv", "x", "w", auto_pad="VALID"),), (("w", weights(2, 4, 3)),)),
    "conv_transpose_output_padding": Case(
        11,
        (node("ConvTranspose", "x", "w", strides=[3], output_padding=[1], pads=[1, 0]),),
        (("w", weights(4, 2, 5)),),
    ),
    "gemm7": Case(
        9,
        (node("Gemm", "x", "w", "c", alpha=0.5, beta=2.0, transB=1),),
        (("w", weights(3, 4)), ("c", weights(3))),
        rank=2,
    ),
    "leaky_relu_default": Case(9, (node("LeakyRelu", "x"),)),
    "elu_alpha": Case(9, (node("Elu", "x", alpha=0.3),)),
    "selu_default": Case(9, (node("Selu", "x"),)),
    "hard_sigmoid_default": Case(9, (node("HardSigmoid", "x"),)),
    "prelu9": Case(9, (node("PRelu", "x", "s"),), (("s", weights(4, 1)),)),
    "max_pool8": Case(9, (node("MaxPool", "x", kernel_shape=[3], strides=[3]),)),
    "average_pool_pads": Case(
        9, (node("AveragePool", "x", kernel_shape=[3], pads=[2, 0], count_include_pad=1),)
    ),
    "gru_default": gru(),
    "gru7_linear_before_reset": gru("b", opset=9, linear_before_reset=1, constants=(GRU_BIAS,)),
    "lstm_default": Case(
        21,
        (
            node("Transpose", "x", outputs=("t",), perm=[2, 0, 1]),
            node("LSTM", "t", "w", "r", "b", outputs=("h",), hidden_size=HIDDEN),
            node("Squeeze", "h", "one", outputs=("s",)),
            node("Transpose", "s", perm=[1, 2, 0]),
        ),
        (
            ("w", weights(1, 4 * HIDDEN, 4)),
            ("r", weights(1, 4 * HIDDEN, HIDDEN, seed=2)),
            ("b", weights(1, 8 * HIDDEN, seed=3)),
            ("one", ints(1)),
        ),
    ),
    "gru_activations_written_out": gru("b", activations=["Sigmoid", "Tanh"], constants=(GRU_BIAS,)),
    "gru_activations_in_other_letters": gru(activations=["sigmoid", "TANH"]),
    "sum8": Case(9, (node("Sum", "x", "x"),)),
    "mean8": Case(9, (node("Relu", "x", outputs=("r",)), node("Mean", "x", "r"))),
    "constant12_floats": Case(
        13, (node("Constant", outputs=("k",), value_floats=[0.5]), node("Mul", "x", "k"))
    ),
    "neg_pow": Case(
        13, (node("Pow", "x", "two", outputs=("p",)), node("Neg", "p")), (("two", np.float32(2)),)
    ),
    "gelu_tanh": Case(20, (node("Gelu", "x", approximate="tanh"),)),
    "softplus_as_torch_guards_it": guarded_softplus(1.0, 20.0),
    "softplus_of_a_beta_as_torch_guards_it": guarded_softplus(2.5, 20.0),
    "gru_as_torch_writes_it": Case(
        21,
        (
            node("Transpose", "x", outputs=("t",), perm=[2, 0, 1]),
            node("GRU", "t", "w", "r", "b", "", "h0", outputs=("h",), hidden_size=3, linear_before_reset=1),
            node("Transpose", "h", outputs=("p",), perm=[0, 2, 1, 3]),
            node("Shape", "p", outputs=("shape",)),
            node("Slice", "shape", "zero", "one", outputs=("s0",)),
            node("Slice", "shape", "one", "two", outputs=("s1",)),
            node("Slice", "shape", "two", "three", outputs=("s2",)),
            node("Slice", "shape", "three", "four", outputs=("s3",)),
            node("Mul", "s2", "s3", outputs=("product",)),
            node("Reshape", "product", "minus", outputs=("last",)),
            node("Concat", "s0", "s1", "last", outputs=("whole",), axis=0),
            node("Reshape", "p", "whole", outputs=("flat",)),
            node("Transpose", "flat", perm=[1, 2, 0]),
        ),
        (
            *GRU_WEIGHTS,
            *GRU_BIAS_AND_START,
            *((n, ints(i)) for i, n in enumerate(("zero", "one", "two", "three", "four"))),
            ("minus", ints(-1)),
        ),
    ),
    "depth_of_two_moves": Case(
        13,
        (
            node("Reshape", "x", "s", outputs=("r",)),
            node("Transpose", "r", outputs=("t",), perm=[0, 2, 1, 3]),
            node("Reshape", "t", "z"),
        ),
        (("s", ints(1, 2, 2, 12)), ("z", ints(1, 4, -1))),
    ),
}

REFUSED: dict[str, Case] = {
    "resize_keep_aspect": Case(
        18,
        (node("Resize", "x", "", "", "z", keep_aspect_ratio_policy="not_larger", axes=[2]),),
        (("z", ints(24)),),
        words=("'the_resize'", "keep_aspect_ratio_policy", "stretch"),
    ),
    "resize_antialias": resize(18, UP2, ("antialias",), mode="linear", antialias=1),
    "resize_exclude_outside": resize(13, UP2, ("exclude_outside",), mode="linear", exclude_outside=1),
    "resize_half_pixel_floor": resize(13, UP3, ("half_pixel", "floor"), nearest_mode="floor"),
    "resize_asymmetric_ceil": resize(
        13, UP3, ("asymmetric", "ceil"), nearest_mode="ceil", coordinate_transformation_mode="asymmetric"
    ),
    "resize_crop": Case(
        13,
        (node("Resize", "x", "roi", "s", coordinate_transformation_mode="tf_crop_and_resize"),),
        (("s", UP2), ("roi", reals(0, 0, 0, 1, 1, 1))),
        words=("'the_resize'", "crop"),
    ),
    "resize_cubic": resize(13, UP2, ("mode", "cubic"), mode="cubic"),
    "resize_nothing": Case(13, (node("Resize", "x"),), words=("scales", "sizes")),
    "upsample10_gone": Case(10, (node("Upsample", "x", "s"),), (("s", UP2),), words=("Upsample", "opset 10")),
    "split_num_outputs_and_sizes": Case(
        18,
        (node("Split", "x", "n", outputs=SPLIT, axis=1, num_outputs=2), node("Mul", "b", "a")),
        (("n", ints(2, 2)),),
        words=("'the_split'", "num_outputs"),
    ),
    "split_num_outputs_contradicts": Case(
        18,
        (node("Split", "x", outputs=SPLIT, axis=1, num_outputs=4), node("Mul", "b", "a")),
        words=("'the_split'", "num_outputs is 4"),
    ),
    "split_as_attribute_in_13": Case(
        13,
        (node("Split", "x", outputs=SPLIT, axis=1, split=[1, 3]), node("Mul", "b", "a")),
        words=("no attribute 'split' in opset 13",),
    ),
    "clip_attributes_in_13": Case(13, (node("Clip", "x", min=0.0),), words=("no attribute 'min'",)),
    "pad_wrap": Case(
        19, (node("Pad", "x", "p", mode="wrap"),), (("p", ints(0, 0, 2, 0, 0, 1)),), words=("mode", "wrap")
    ),
    "dropout_training": Case(
        17,
        (node("Dropout", "x", "r", "t"),),
        (("r", np.float32(0.5)), ("t", np.array(True))),
        words=("'the_dropout'", "training_mode", "model.eval()"),
    ),
    "dropout_mask_read": Case(
        13,
        (
            node("Dropout", "x", outputs=("d", "m")),
            node("Cast", "m", outputs=("c",), to=TensorProto.FLOAT),
            node("Mul", "d", "c"),
        ),
        words=("output 'mask'",),
    ),
    "batchnorm_training_outputs": Case(
        9,
        (node("BatchNormalization", "x", "g", "b", "m", "v", outputs=("y", "mm")),),
        tuple((n, np.ones(4, np.float32)) for n in "gbmv"),
        words=("training mode",),
    ),
    "batchnorm_training_mode": Case(
        15,
        (node("BatchNormalization", "x", "g", "b", "m", "v", training_mode=1),),
        tuple((n, np.ones(4, np.float32)) for n in "gbmv"),
        words=("training_mode", "model.eval()"),
    ),
    "batchnorm_spatial": Case(
        8,
        (node("BatchNormalization", "x", "g", "b", "m", "v", spatial=0),),
        tuple((n, np.ones((4, 12), np.float32)) for n in "gbmv"),
        words=("spatial",),
    ),
    "kernel_shape_contradicts": Case(
        13,
        (node("Conv", "x", "w", kernel_shape=[5]),),
        (("w", weights(2, 4, 3)),),
        words=("'the_conv'", "kernel_shape", "[5]", "[3]"),
    ),
    "pads_and_auto_pad": Case(
        13,
        (node("Conv", "x", "w", auto_pad="SAME_UPPER", pads=[1, 1]),),
        (("w", weights(2, 4, 3)),),
        words=("auto_pad", "pads"),
    ),
    "auto_pad_unknown": Case(
        13, (node("Conv", "x", "w", auto_pad="SAME"),), (("w", weights(2, 4, 3)),), words=("'SAME'",)
    ),
    "gru_sequence_lens": gru(
        "", "n", constants=(("n", np.array([5], np.int32)),), words=("'the_gru'", "sequence_lens")
    ),
    "gru_activations": gru(activations=["Sigmoid", "Relu"], words=("Relu", "Sigmoid and Tanh")),
    "gru_clip": gru(clip=1.0, words=("clip",)),
    "gru_reverse": gru(direction="reverse", words=("direction", "backward")),
    "reduce_max": Case(13, (node("ReduceMax", "x", axes=[1]),), words=("ReduceMax",)),
    "attribute_made_up": Case(13, (node("Relu", "x", alpha=0.5),), words=("'the_relu'", "'alpha'", "13")),
    "attribute_of_another_kind": Case(13, (node("LeakyRelu", "x", alpha=1),), words=("'alpha'", "FLOAT")),
    "attribute_missing": Case(13, (node("Concat", "x", "x"),), words=("'the_concat'", "'axis' is missing")),
    "input_missing": Case(13, (node("PRelu", "x"),), words=("'slope' is missing",)),
    "input_not_a_constant": Case(13, (node("PRelu", "x", "x"),), words=("slope", "must be a constant")),
    "too_many_inputs": Case(13, (node("Relu", "x", "x"),), words=("2 inputs",)),
    "too_old_to_broadcast": Case(6, (node("Add", "x", "x"),), words=("version 6", "opset_version=21")),
    "not_yet_in_opset": Case(13, (node("Gelu", "x"),), words=("opset 13", "no operator Gelu")),
    "opset_of_the_future": Case(99, (node("Relu", "x"),), words=("opset 99",)),
    "standard_name_in_another_domain": Case(
        13,
        (node("Relu", "x", domain="com.acme"),),
        domains=(("com.acme", 1),),
        words=("com.acme", "standard ONNX"),
    ),
    "standard_name_in_our_domain": Case(
        13, (node("Relu", "x", domain="vaectrol"),), domains=(("vaectrol", 1),), words=("'the_relu'", "Relu")
    ),
    "our_name_in_the_standard_domain": Case(
        13, (node("FilteredNoise", "x", bands=1, taps=4, hop=2),), words=("FilteredNoise",)
    ),
    "softmax11_flattens": Case(11, (node("Softmax", "x", axis=1),), words=("Softmax",)),
    "two_constants": Case(
        13,
        (node("Constant", outputs=("k",), value_float=1.0, value_int=1), node("Mul", "x", "k")),
        words=("exactly one value",),
    ),
    "quantized_in_blocks": Case(
        21,
        (
            node("DequantizeLinear", "q", "s", outputs=("w",), axis=1, block_size=2),
            node("Conv", "x", "w"),
        ),
        (("q", np.ones((2, 4, 1), np.int8)), ("s", np.ones((2, 2, 1), np.float32))),
        words=("block_size",),
    ),
}
