"""What a file says is obeyed or refused by name, as by the compiler: its half of the table."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import torch
from onnx import helper

from common.refusal import Refusal
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.operators.record import RECORDS
from tests.firmware.compiler_graphs import session
from tests.firmware.onnx_cases import OBEYED, REFUSED, Case, node, weights

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[2]
KNOWN = {
    name: case
    for name, case in OBEYED.items()
    if all(("", n.op_type) in RECORDS or n.op_type == "Upsample" for n in case.nodes)
}


def outcome(case: Case) -> np.ndarray | str:
    """The network's numbers, or the refusal."""
    try:
        network = Network(load_graph(case.model()))
        with torch.no_grad():
            return network({"x": torch.from_numpy(case.feed()["x"])})["y"].numpy()
    except Refusal as refusal:
        return str(refusal)


@pytest.mark.parametrize("name", KNOWN)
def test_the_quantizer_obeys_what_a_file_says(name):
    case = KNOWN[name]
    expected = session(case.model()).run(None, case.feed())[0]
    got = outcome(case)
    assert not isinstance(got, str), got
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-5)


def test_most_cases_concern_the_quantizer_too():
    assert len(KNOWN) > 50


@pytest.mark.parametrize("name", KNOWN)
def test_what_was_read_in_any_opset_is_written_in_one_that_means_the_same(name):
    case = KNOWN[name]
    graph = load_graph(case.model())
    if not graph.nodes:
        return
    written = graph.to_model()
    expected = session(case.model()).run(None, case.feed())[0]
    np.testing.assert_allclose(run_onnx(written, case.feed())[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_the_quantizer_refuses_by_name_what_it_does_not_obey(name):
    case = REFUSED[name]
    said = outcome(case)
    quantized = any(n.op_type == "DequantizeLinear" for n in case.nodes)
    assert isinstance(said, str), "it was accepted"
    assert quantized or all(word in said for word in case.words) or "can't be quantized" in said, said


@pytest.mark.parametrize(
    "case",
    [
        Case(
            13,
            (
                node("Conv", "x", "w", outputs=("c",), pads=[1, 1]),
                node("Split", "c", outputs=("a", "b", "d", "e"), axis=1),
                node(kind, "a", "b", "d"),
            ),
            (("w", weights(8, 4, 3)),),
        )
        for kind in ("Max", "Min", "Sum", "Mean")
    ],
    ids=["max", "min", "sum", "mean"],
)
def test_all_operands_of_a_maximum_count(case):
    expected = session(case.model()).run(None, case.feed())[0]
    np.testing.assert_allclose(outcome(case), expected, rtol=1e-5, atol=1e-5)


def test_padding_of_channels_by_reflection_is_not_passed_over():
    case = Case(
        13, (node("Pad", "x", "p", mode="reflect"),), (("p", np.array([0, 1, 2, 0, 0, 0], np.int64)),)
    )
    assert "pads other axes" in outcome(case)


def test_resizing_channels_is_not_passed_over():
    case = Case(13, (node("Resize", "x", "", "s"),), (("s", np.array([1, 2, 2], np.float32)),))
    assert "another axis" in outcome(case)


def test_a_function_of_the_file_is_expanded():
    function = helper.make_function(
        "mine",
        "Twice",
        ["a"],
        ["b"],
        [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 17)],
    )
    case = Case(17, (node("Twice", "x", domain="mine"),), functions=(function,), domains=(("mine", 1),))
    np.testing.assert_allclose(outcome(case), 2 * case.feed()["x"], rtol=1e-6)


def test_readers_have_no_defaults_of_their_own():
    for path in ROOT.glob("quantize/**/*.py"):
        assert not re.search(r"attributes\.get\(|helper\.get_attribute", path.read_text()), path
