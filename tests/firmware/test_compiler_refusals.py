"""Bad input ends in one sentence that names the node: never a crash, a hang, a blow-up or a traceback."""

from __future__ import annotations

import resource
import signal
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from common.refusal import Refusal
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.onnx_mutations import mutate

SECONDS_PER_FILE = 20
MEMORY_BYTES = 3 << 30


def feed(number: int, folder) -> str:
    """Compile a mutation; return what was said, or "" when it compiled."""
    path = folder / "hostile.onnx"
    path.write_bytes(mutate(number))
    try:
        compile_onnx(path)
    except Refusal as refusal:
        return str(refusal)
    return ""


def _too_long(*_):
    raise TimeoutError


def run_mutations(numbers, folder) -> int:
    """Feed mutations, each with its own time limit; return how many were refused."""
    refused = 0
    before = signal.signal(signal.SIGALRM, _too_long)
    try:
        for number in numbers:
            signal.alarm(SECONDS_PER_FILE)
            try:
                said = feed(number, folder)
            except BaseException as error:
                raise AssertionError(f"mutation {number}: {type(error).__name__}: {error}") from error
            finally:
                signal.alarm(0)
            assert "\n" not in said.strip() and len(said) < 1500, f"mutation {number}: {said}"
            refused += bool(said)
    finally:
        signal.signal(signal.SIGALRM, before)
    return refused


def test_hostile_files_are_refused_in_one_sentence(tmp_path):
    refused = run_mutations(range(250), tmp_path)
    assert refused > 100


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_ten_thousand_hostile_files_are_refused_in_one_sentence(tmp_path):
    """In a process whose memory is limited, so that a blow-up is an error."""
    code = (
        "import resource, sys, pathlib; "
        f"resource.setrlimit(resource.RLIMIT_AS, ({MEMORY_BYTES}, {MEMORY_BYTES})); "
        "from tests.firmware.test_compiler_refusals import run_mutations; "
        f"print(run_mutations(range(10_000), pathlib.Path({str(tmp_path)!r})))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert int(done.stdout.split()[-1]) > 5_000
    assert resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024 < MEMORY_BYTES


def model_of(*nodes, channels: int = 2, constants=(), length="frames") -> onnx.ModelProto:
    graph = helper.make_graph(
        list(nodes),
        "bad",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, channels, length])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


@pytest.mark.parametrize(
    ("node", "constants", "words"),
    [
        (helper.make_node("RNN", ["x"], ["y"], name="memory"), (), ["memory", "RNN", "GRU"]),
        (helper.make_node("Softmax", ["x"], ["y"], name="s"), (), ["'s'", "Sigmoid"]),
        (
            helper.make_node("Conv", ["x", "w"], ["y"], name="c"),
            (("w", np.zeros((4, 3, 3), np.float32)),),
            ["'c'", "3 channels"],
        ),
        (
            helper.make_node("Conv", ["x", "w"], ["y"], name="c"),
            (("w", np.full((4, 2, 3), np.nan, np.float32)),),
            ["'c'", "finite"],
        ),
        (
            helper.make_node("Conv", ["x", "w"], ["y"], name="c"),
            (("w", np.zeros((4, 2, 3, 3), np.float32)),),
            ["'c'", "1-D"],
        ),
        (
            helper.make_node("QuantizeLinear", ["x", "s"], ["y"], name="q"),
            (("s", np.float32(0)),),
            ["'q'", "positive"],
        ),
        (helper.make_node("Add", ["x", "missing"], ["y"], name="a"), (), ["'a'", "'missing'"]),
        (
            helper.make_node("GRU", ["x", "w", "w"], ["y"], name="g", direction="reverse", hidden_size=1),
            (("w", np.zeros((1, 3, 1), np.float32)),),
            ["'g'", "backward"],
        ),
        (
            helper.make_node("Reshape", ["x", "s"], ["y"], name="r"),
            (("s", np.array([1, 2, 480])),),
            ["'r'", "length"],
        ),
        (helper.make_node("GlobalAveragePool", ["x"], ["y"], name="p"), (), ["'p'", "no end"]),
        (helper.make_node("MatMul", ["x", "x"], ["y"], name="m"), (), ["'m'", "attention"]),
        (helper.make_node("Concat", ["x", "x"], ["y"], name="j", axis=2), (), ["'j'", "time"]),
    ],
)
def test_a_refusal_names_the_node_and_what_to_do(node, constants, words):
    with pytest.raises(Refusal) as caught:
        compile_onnx(model_of(node, constants=constants))
    assert all(word in str(caught.value) for word in words), str(caught.value)


def test_a_number_divided_by_the_length_of_the_signal_is_refused():
    nodes = (
        helper.make_node("Shape", ["x"], ["shape"], start=2),
        helper.make_node("Div", ["whole", "shape"], ["parts"], name="d"),
        helper.make_node("Reshape", ["x", "parts"], ["y"]),
    )
    with pytest.raises(Refusal, match=r"'d' .*a shape divides a number by a length along time\."):
        compile_onnx(model_of(*nodes, constants=(("whole", np.array([480])),)))


def test_a_cycle_and_a_batch_are_refused():
    with pytest.raises(Refusal, match="cycle"):
        compile_onnx(
            model_of(helper.make_node("Add", ["x", "y"], ["z"]), helper.make_node("Relu", ["z"], ["y"]))
        )
    model = model_of(helper.make_node("Relu", ["x"], ["y"]))
    model.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 8
    with pytest.raises(Refusal, match="batch"):
        compile_onnx(model)


def test_external_data_outside_of_the_models_folder_is_not_read(tmp_path):
    model = model_of(
        helper.make_node("Conv", ["x", "w"], ["y"]), constants=(("w", np.zeros((1, 2, 1), np.float32)),)
    )
    tensor = model.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entry = tensor.external_data.add()
    entry.key, entry.value = "location", "../../etc/passwd"
    (tmp_path / "m.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(Refusal, match="not beside"):
        compile_onnx(tmp_path / "m.onnx")


def test_a_model_too_large_for_the_board_is_refused_with_numbers():
    from firmware.compiler import budget

    rng = np.random.default_rng(0)
    constants = [(f"w{i}", rng.normal(size=(4096, 4096, 1)).astype(np.float32)) for i in range(1)]
    node = helper.make_node("Conv", ["x", "w0"], ["y"], name="huge")
    model = model_of(node, channels=4096, constants=constants)
    found = budget(model)
    assert not found.fits
    assert any("Patch SM" in reason for reason in found.reasons)
