"""Layers on other layouts than [1, channels, frames], and weights of four bits, as onnxruntime reads them."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.read.load import load
from tests.firmware.onnx_cases import Case, ints, node, weights

TURNED = node("Transpose", "x", outputs=("t",), perm=[0, 2, 1])
BACK = node("Transpose", "u", perm=[0, 2, 1])
ANYWHERE: dict[str, Case] = {
    "mean_over_channels": Case(17, (node("ReduceMean", "x", axes=[1]),)),
    "mean_over_channels_18": Case(18, (node("ReduceMean", "x", "a"),), (("a", ints(-2)),)),
    "sum_over_channels_last": Case(
        13, (TURNED, node("ReduceSum", "t", "a", outputs=("u",)), BACK), (("a", ints(2)),)
    ),
    "mean_taken_off": Case(
        18, (node("ReduceMean", "x", "a", outputs=("m",)), node("Sub", "x", "m")), (("a", ints(1)),)
    ),
    "prelu_channels_last": Case(
        17, (TURNED, node("PRelu", "t", "s", outputs=("u",)), BACK), (("s", weights(4)),)
    ),
    "prelu_one_slope": Case(17, (node("PRelu", "x", "s"),), (("s", weights(1)),)),
}
STATISTICS = tuple((n, np.abs(weights(4, seed=i)) + 0.1) for i, n in enumerate("gbmv"))
OVER_TIME: dict[str, Case] = {
    # with as many channels as frames they would pass for one value per channel
    "batch_normalization": Case(
        17, (TURNED, node("BatchNormalization", "t", *"gbmv", outputs=("u",)), BACK), STATISTICS, frames=4
    ),
    "slopes": Case(17, (node("PRelu", "x", "s"),), (("s", weights(4)),), frames=4),
    "row": Case(17, (node("Mul", "x", "s"),), (("s", weights(4)),), frames=4),
    "column": Case(
        17, (TURNED, node("Add", "t", "s", outputs=("u",)), BACK), (("s", weights(4, 1)),), frames=4
    ),
}
FIXED: dict[str, Case] = OVER_TIME | {
    "mean_over_time": Case(18, (node("ReduceMean", "x", "a"),), (("a", ints(2)),)),
    "mean_over_everything": Case(18, (node("ReduceMean", "x"),)),
    "sum_over_time_without_its_axis": Case(13, (node("ReduceSum", "x", "a", keepdims=0),), (("a", ints(2)),)),
    "mean_of_a_row": Case(18, (node("ReduceMean", "x", "a"),), (("a", ints(1)),), rank=2),
    "mean_over_all_frames": Case(17, (node("GlobalAveragePool", "x"),)),
    "one_frame_of_five": Case(17, (node("AveragePool", "x", kernel_shape=[1], strides=[5]),)),
    "two_frames_of_five": Case(17, (node("Conv", "x", "w", strides=[5]),), (("w", weights(3, 4, 2)),)),
    "joined_along_time": Case(17, (node("Concat", "x", "x", axis=2),)),
    "no_axes_no_mean": Case(18, (node("ReduceMean", "x", noop_with_empty_axes=1),)),
    "gemm_prelu_gemm": Case(
        17,
        (
            node("Gemm", "x", "w", outputs=("a",)),
            node("PRelu", "a", "s", outputs=("b",)),
            node("Gemm", "b", "v"),
        ),
        (("w", weights(4, 6)), ("s", weights(6)), ("v", weights(6, 2))),
        rank=2,
    ),
}


@pytest.mark.parametrize(
    ("name", "streaming"), [(n, s) for n in ANYWHERE for s in (True, False)] + [(n, False) for n in FIXED]
)
def test_every_layout_gives_the_numbers_of_onnxruntime(name, streaming):
    heard = compile_onnx((ANYWHERE | FIXED)[name].model(streaming)).report["witness"]
    assert heard["by"].startswith("onnxruntime")
    assert heard["largest_difference"] < 1e-5


@pytest.mark.parametrize(("kind", "low", "high"), [("INT4", -8, 8), ("UINT4", 0, 16)])
@pytest.mark.parametrize("beside", [False, True])
def test_weights_of_four_bits_are_weights(tmp_path, kind, low, high, beside):
    drawn = np.random.default_rng(3).integers(low, high, (5, 4, 3))
    packed = helper.make_tensor("q", getattr(TensorProto, kind), drawn.shape, drawn.reshape(-1).tolist())
    zero = helper.make_tensor("z", getattr(TensorProto, kind), (5,), [0, 1, 2, 3, 4])
    case = Case(
        21,
        (node("DequantizeLinear", "q", "s", "z", outputs=("w",), axis=0), node("Conv", "x", "w")),
        (("s", np.abs(weights(5)) + 0.01),),
    )
    model = case.model(streaming=True)
    model.graph.initializer.extend([packed, zero])
    path = tmp_path / "four.onnx"
    if beside:
        for tensor in (model.graph.initializer[-2],):
            raw = onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(tensor), "q")
            tensor.CopyFrom(raw)
        onnx.save(model, str(path), save_as_external_data=True, location="four.data", size_threshold=0)
    else:
        onnx.save(model, str(path))
    heard = compile_onnx(path).report["witness"]
    assert heard["by"] and heard["largest_difference"] < 1e-5


def test_signals_of_four_bits_are_refused_by_name():
    case = Case(
        21,
        (node("QuantizeLinear", "x", "s", "z", outputs=("q",)), node("DequantizeLinear", "q", "s", "z")),
        (("s", np.float32(0.1)),),
    )
    model = case.model(streaming=True)
    model.graph.initializer.append(helper.make_tensor("z", TensorProto.INT4, (), [0]))
    with pytest.raises(Refusal, match="its quantized type is int4"):
        load(model)


def test_a_stream_and_an_event_graph_are_told_what_is_true_of_them():
    over_time = Case(18, (node("ReduceMean", "x", "a"),), (("a", ints(2)),))
    with pytest.raises(Refusal, match="a stream has no end"):
        load(over_time.model(streaming=True))
    pooled = Case(17, (node("GlobalMaxPool", "x"),))
    with pytest.raises(Refusal, match="a stream has no end"):
        load(pooled.model(streaming=True))
    with pytest.raises(Refusal, match="as long as the signal"):
        load(pooled.model())


@pytest.mark.parametrize("name", OVER_TIME)
def test_what_varies_along_time_does_not_stream(name):
    with pytest.raises(Refusal, match=r"its second axis is time|its operands have the shapes"):
        load(OVER_TIME[name].model(streaming=True))


def broadcasting(seed: int) -> onnx.ModelProto:
    """Two values of one input in random ranks and orders of axes, and what broadcasts over what."""
    rng = np.random.default_rng(seed)
    channels, frames = (int(v) for v in rng.choice([1, 2, 4], 2))
    nodes, constants = [], []

    def constant(array: np.ndarray) -> str:
        name = f"c{len(constants)}"
        constants.append(numpy_helper.from_array(array, name))
        return name

    def step(op: str, *names: str, **attributes: object) -> str:
        made = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, list(names), [made], name=f"n{len(nodes)}", **attributes))
        return made

    def view(name: str, shape: list[int]) -> tuple[str, list[int]]:
        """The same numbers, with a sum, a squeeze or an order of axes of its own."""
        for _ in range(int(rng.integers(1, 4))):
            kind = rng.integers(4)
            if kind == 0 and len(shape) > 1:
                order = rng.permutation(len(shape)).tolist()
                name, shape = step("Transpose", name, perm=order), [shape[a] for a in order]
            elif kind == 1 and 1 in shape:
                axis = shape.index(1)
                name = step("Squeeze", name, constant(np.array([axis])))
                shape = shape[:axis] + shape[axis + 1 :]
            elif kind == 2 and len(shape) < 4:
                axis = int(rng.integers(len(shape) + 1))
                name = step("Unsqueeze", name, constant(np.array([axis])))
                shape = [*shape[:axis], 1, *shape[axis:]]
            elif kind == 3 and shape:
                axis = int(rng.integers(len(shape)))
                name = step("ReduceMean", name, constant(np.array([axis])), keepdims=1)
                shape = [1 if a == axis else d for a, d in enumerate(shape)]
        return name, shape

    left, right = view("x", [1, channels, frames]), view("x", [1, channels, frames])
    op = str(rng.choice(["Add", "Sub", "Mul"]))
    try:
        shape = list(np.broadcast_shapes(left[1], right[1]))
        value = step(op, left[0], right[0])
    except ValueError:
        value, shape = left
    sizes = [int(rng.choice([1, d])) for d in shape[int(rng.integers(len(shape) + 1)) :]]
    other = constant(rng.normal(size=sizes).astype(np.float32))
    step(op, *(other, value) if rng.random() < 0.5 else (value, other))
    graph = helper.make_graph(
        nodes,
        "broadcasting",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, frames])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)],
        constants,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def test_random_ranks_broadcast_as_onnxruntime_does():
    """The witness compares ranks, sizes and numbers; nothing here is beyond an event graph."""
    for seed in range(150):
        heard = compile_onnx(broadcasting(seed)).report["witness"]
        assert heard["by"].startswith("onnxruntime"), seed
        assert heard["largest_difference"] < 1e-5, seed


BRANCHES: dict[str, tuple[dict, dict, bool]] = {
    "valid_beside_whole": ({"strides": [1]}, {"strides": [1], "pads": [1, 1]}, False),
    "crop_of_one": ({"strides": [1], "pads": [1, 0]}, {"strides": [1], "pads": [0, 1]}, True),
    "remainders_of_a_stride": ({"strides": [4]}, {"strides": [4], "pads": [0, 1]}, True),
    "one_more_of_a_stride": ({"strides": [4]}, {"strides": [4], "pads": [2, 2]}, False),
}


@pytest.mark.parametrize("name", BRANCHES)
def test_lengths_that_differ_do_not_meet_in_a_stream(name):
    first, second, fit = BRANCHES[name]
    nodes = (
        node("Conv", "x", "w", outputs=("a",), **first),
        node("Conv", "x", "w", outputs=("b",), **second),
        node("Add", "a", "b"),
    )
    model = Case(17, nodes, (("w", weights(4, 4, 3)),)).model(streaming=True)
    if fit:
        assert compile_onnx(model).report["witness"]["largest_difference"] < 1e-5
        return
    with pytest.raises(Refusal, match=r"branches of different lengths meet, one is \d frames? longer"):
        load(model)


def test_a_shape_that_fits_at_one_length_only_is_refused():
    """[6, frames] to [48, -1] moves whole frames at 8 of them, and mixes them at 16."""
    case = Case(17, (node("Reshape", "x", "s"),), (("s", ints(1, 48, -1)),), channels=6)
    with pytest.raises(Refusal, match=r"mix distant frames"):
        load(case.model(streaming=True))


def test_a_reshape_that_lays_time_out_anew_is_refused():
    """Channels of 24 frames make one frame of 48: that is no matter of frames once there are more."""
    laid_out = Case(17, (node("Reshape", "x", "s"),), (("s", ints(48, 1, -1)),), channels=2, frames=48)
    with pytest.raises(Refusal, match=r"mix distant frames"):
        load(laid_out.model(streaming=True))


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (Case(17, (node("ReduceMean", "x", axes=[1], keepdims=2),)), "its keepdims is 2"),
        (Case(13, (node("ReduceSum", "x", noop_with_empty_axes=-1),)), "its noop_with_empty_axes is -1"),
        (Case(9, (node("Unsqueeze", "x", axes=[-1]),)), "count from the last"),
    ],
)
def test_what_onnx_leaves_open_is_refused_by_name(case, words):
    with pytest.raises(Refusal, match=words):
        load(case.model())
