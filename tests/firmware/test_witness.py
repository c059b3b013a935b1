"""Every compile holds the reading of the file to onnxruntime, and says so; a misreading is refused."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from typer.testing import CliRunner

import vaectrol
from common.refusal import Refusal
from firmware.compiler import budget
from firmware.compiler.ops.base import READERS
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import quantized, random_graph
from tests.firmware.onnx_cases import Case, node, weights

pytestmark = pytest.mark.fast

MODELS = Path(__file__).resolve().parents[2] / "firmware" / "models"
CASE = Case(
    17,
    (
        node("Conv", "x", "w", outputs=("c",), pads=[2, 0]),
        node("LeakyRelu", "c", outputs=("bent",), alpha=0.3),
        node("Mul", "bent", "x"),
    ),
    (("w", weights(4, 4, 3)),),
)


@pytest.fixture
def misread(monkeypatch):
    """A reader that takes LeakyRelu's slope for another."""
    read = READERS["LeakyRelu"]

    def wrong(builder, known):
        read(builder, replace(known, attributes={"alpha": 0.35}))

    monkeypatch.setitem(READERS, "LeakyRelu", wrong)


@pytest.mark.parametrize("streaming", [True, False])
def test_a_misreading_is_refused_with_the_first_tensor_that_differs(misread, streaming):
    with pytest.raises(Refusal, match=r"tensor 'bent' \(node 'the_leakyrelu', LeakyRelu\)"):
        compile_onnx(CASE.model(streaming))


def test_without_a_witness_a_misreading_passes(misread):
    assert "witness" not in compile_onnx(CASE.model(), witness=False).report


def test_a_wrong_rank_is_refused_by_onnxs_own_inference(monkeypatch):
    def wrong(builder, known):
        act = builder.act(known.input[0])
        builder.values[known.output[0]] = act.moved("reshape", (1, 1, 4, 12), (1, 1, 4, 12))

    monkeypatch.setitem(READERS, "Relu", wrong)
    case = Case(17, (node("Relu", "x", outputs=("r",)), node("Relu", "r")))
    with pytest.raises(Refusal, match=r"tensor 'r': it is read as \[1, 1, 4, 12\], and ONNX infers"):
        compile_onnx(case.model())


def model_of(nodes, shape, opset, constants=()):
    """A model of one input and one output, y, whose shape nobody states."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_empty_tensor_value_info("y")],
        [onnx.numpy_helper.from_array(value, name) for name, value in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


@pytest.mark.parametrize(
    ("nodes", "shape", "opset", "constants"),
    [
        ([helper.make_node("Squeeze", ["x"], ["y"], axes=[1, 0])], [1, 1, "frames"], 7, ()),
        (
            [
                helper.make_node("Unsqueeze", ["x"], ["u"], axes=[1]),
                helper.make_node("Squeeze", ["u"], ["y"], axes=[1, 0, 1, 1]),
            ],
            [1, 5, 12],
            10,
            (),
        ),
        (
            [helper.make_node("ConvTranspose", ["x", "w"], ["y"], output_shape=[2], strides=[2])],
            [1, 5, 8],
            18,
            (("w", weights(5, 1, 8)),),
        ),
    ],
    ids=["unsorted axes", "axes said twice", "output_shape"],
)
def test_where_onnx_infers_a_wrong_rank_the_witness_settles_it(nodes, shape, opset, constants):
    """ONNX 1.23 infers these wrongly; onnxruntime has the shape that is read here."""
    model = model_of(nodes, shape, opset, constants)
    assert compile_onnx(model, "host").report["witness"]["by"].startswith("onnxruntime")


def test_a_doubted_shape_that_no_witness_tells_is_refused(monkeypatch):
    from firmware.compiler.read import witness

    def absent(reading, model=None):
        raise witness._CannotRun("there is none")

    monkeypatch.setattr(witness, "_open", absent)
    monkeypatch.setattr(witness, "_HELD", {})
    model = model_of([helper.make_node("Squeeze", ["x"], ["y"], axes=[1, 0])], [1, 1, "frames"], 7)
    with pytest.raises(Refusal, match=r"it is read as \[frames\], and ONNX infers \[1, frames\]"):
        compile_onnx(model, "host")


def test_the_witnesses_own_error_is_not_the_models():
    """onnxruntime's sigmoid of −12.8 is 2.4 % off the truth, which is 2.7e-6."""
    nodes = [
        helper.make_node("Mul", ["x", "small"], ["s"]),
        helper.make_node("Add", ["s", "low"], ["l"]),
        helper.make_node("Sigmoid", ["l"], ["y"]),
    ]
    constants = (("small", np.float32([1e-4])), ("low", np.float32([-12.804365])))
    compile_onnx(model_of(nodes, [1, 4, 12], 17, constants), "host")


def test_a_wrong_pass_is_refused(monkeypatch):
    from firmware.compiler import pipeline

    def wrong(graph):
        nodes = [
            replace(n, constants={k: replace(c, values=c.values * 1.01) for k, c in n.constants.items()})
            for n in graph.nodes
        ]
        return graph.with_nodes(nodes)

    monkeypatch.setattr(pipeline, "PASSES", (*pipeline.PASSES, ("spoil", wrong)))
    with pytest.raises(Refusal, match="after the passes"):
        compile_onnx(CASE.model())


def test_several_lengths_are_tried_and_reported():
    heard = compile_onnx(CASE.model(streaming=True)).report["witness"]
    assert heard["by"].startswith("onnxruntime")
    assert heard["frames"] == [8, 9, 17]
    assert heard["largest_difference"] < 1e-5


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.int8.onnx")), ids=lambda path: path.stem)
def test_the_factory_models_agree_with_onnxruntime(path):
    heard = compile_onnx(path, "m7", "patch_sm").report["witness"]
    assert heard["by"].startswith("onnxruntime") and heard["frames"]


@pytest.mark.parametrize("kind", ["float", "int16", "int8", "uint8"])
def test_random_networks_agree_with_onnxruntime(kind):
    for seed in range(100, 108):
        model, builder = random_graph(seed, batch_norm=kind == "float")
        heard = compile_onnx(model if kind == "float" else quantized(builder, kind)).report["witness"]
        assert heard["by"].startswith("onnxruntime"), seed


def test_a_signal_too_short_for_the_windows_is_lengthened():
    case = Case(17, (node("Conv", "x", "w"),), (("w", weights(2, 4, 30)),))
    heard = compile_onnx(case.model(streaming=True)).report["witness"]
    assert heard["frames"][0] >= 30


def test_where_onnxruntime_lacks_an_operator_onnx_itself_is_the_witness():
    outputs = ("y", "state")
    case = Case(27, (node("CausalConvWithState", "x", "w", outputs=outputs),), (("w", weights(4, 1, 3)),))
    assert compile_onnx(case.model(streaming=True)).report["witness"]["by"].startswith("onnx ")


def test_where_nobody_can_run_a_file_that_is_said():
    """A domain operator without its function: the compiler knows it by name, nobody else does."""
    noise = node("FilteredNoise", "x", domain="vaectrol", bands=1, taps=4, hop=2, seed=1)
    heard = compile_onnx(Case(21, (noise,), domains=(("vaectrol", 1),)).model()).report["witness"]
    assert heard["by"] == "" and "FilteredNoise" in heard["unheard"]


def test_a_file_that_onnxruntime_refuses_is_refused_with_its_reason():
    case = Case(
        17,
        (node("Conv", "x", "w", outputs=("c",)), node("Add", "x", "c")),
        (("w", weights(4, 4, 3)),),
    )
    with pytest.raises(Refusal, match=r"lengths|Add"):
        compile_onnx(case.model(streaming=True))


def test_half_precision_is_held_more_loosely():
    half = np.float16
    graph = helper.make_graph(
        [node("Conv", "x", "w", outputs=("c",)), node("Relu", "c")],
        "half",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT16, [1, 4, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT16, None)],
        [onnx.numpy_helper.from_array(weights(8, 4, 3).astype(half), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    heard = compile_onnx(model).report["witness"]
    assert heard["by"] and heard["largest_difference"] < 1e-2


def test_a_network_that_shakes_at_a_rounding_is_not_blamed():
    """Sine of a large number: float32 itself is off by 1e-3 there."""
    case = Case(
        17,
        (node("Mul", "x", "k", outputs=("big",)), node("Sin", "big")),
        (("k", np.float32(5000.0)),),
    )
    assert compile_onnx(case.model(streaming=True)).report["witness"]["by"]


def million() -> onnx.ModelProto:
    """Dilated convolutions with a million parameters."""
    nodes, constants, channels, last = [], [], 96, "x"
    for layer in range(36):
        constants.append((f"w{layer}", weights(channels, channels, 3, seed=layer) / 17))
        nodes.append(
            node(
                "Conv",
                last,
                f"w{layer}",
                outputs=(f"c{layer}",),
                pads=[2 << layer % 6, 0],
                dilations=[1 << layer % 6],
            )
        )
        last = "y" if layer == 35 else f"t{layer}"
        nodes.append(node("Tanh", f"c{layer}", outputs=(last,)))
    return Case(17, tuple(nodes), tuple(constants), channels=channels).model(streaming=True)


def test_a_million_parameters_are_witnessed_in_less_than_a_second():
    from firmware.compiler.pipeline import optimise
    from firmware.compiler.read.load import read
    from firmware.compiler.read.witness import hold_to_witness

    compile_onnx(CASE.model())  # loads onnxruntime
    reading = read(million())
    passed = optimise(reading.graph)
    before = time.process_time()
    hold_to_witness(reading, passed)
    assert time.process_time() - before < 1.0


def test_the_same_file_is_held_once_and_any_other_again(monkeypatch):
    from firmware.compiler.read import witness

    asked = []
    held = witness._held
    monkeypatch.setattr(witness, "_held", lambda *about: asked.append(about) or held(*about))
    model = CASE.model(streaming=True)
    model.doc_string = "held once"
    first = compile_onnx(model, name="first").report["witness"]
    assert compile_onnx(model, "m7", "patch_sm", name="second").report["witness"] == first
    assert len(asked) == 1
    changed = onnx.ModelProto.FromString(model.SerializeToString())
    (weight,) = (one for one in changed.graph.initializer if one.name == "w")
    weight.CopyFrom(onnx.numpy_helper.from_array(1.01 * onnx.numpy_helper.to_array(weight), "w"))
    compile_onnx(changed)
    assert len(asked) == 2


def test_a_misreading_of_a_file_that_was_read_right_is_refused(request):
    model = CASE.model(streaming=True)
    compile_onnx(model)
    request.getfixturevalue("misread")
    with pytest.raises(Refusal, match="LeakyRelu"):
        compile_onnx(model)


def test_a_budget_asks_no_witness(misread):
    assert budget(CASE.model(streaming=True)).parameters > 0


def test_the_command_says_who_was_the_witness_and_what_is_given_up(tmp_path):
    path = tmp_path / "small.onnx"
    onnx.save(CASE.model(streaming=True), str(path))
    app, runner = vaectrol.build_app(), CliRunner()
    done = runner.invoke(app, ["compile", str(path), "-o", str(tmp_path / "c")])
    assert done.exit_code == 0 and "agrees with onnxruntime" in done.output
    done = runner.invoke(app, ["compile", str(path), "-o", str(tmp_path / "d"), "--no-witness"])
    assert done.exit_code == 0 and "misreading" in done.output


def test_integers_at_the_output_are_compared_as_the_file_has_them():
    case = Case(
        17,
        (node("QuantizeLinear", "x", "s", "z"),),
        (("s", np.float32(0.05)), ("z", np.array(7, np.int8))),
    )
    from firmware.compiler.pipeline import optimise
    from firmware.compiler.read.load import read
    from firmware.compiler.read.witness import hold_to_witness

    model = case.model(streaming=True)
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT8
    reading = read(model)
    assert hold_to_witness(reading, optimise(reading.graph))["largest_difference"] < 0.01
