"""What a file says is obeyed, as onnxruntime obeys it, or refused by name: the table and its two readers."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx.reference import ReferenceEvaluator

from common.refusal import Refusal
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import optimise
from firmware.compiler.read.load import load
from firmware.compiler.read.onnx_operators import EVALUATED, OPERATORS
from tests.firmware.compiler_graphs import session
from tests.firmware.onnx_cases import OBEYED, REFUSED, guarded_softplus

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[2]


def schemas(op: str) -> list:
    """Every version of an operator that the installed onnx knows, oldest first."""
    found = [s for s in onnx.defs.get_all_schemas_with_history() if s.domain == "" and s.name == op]
    return sorted(found, key=lambda s: s.since_version)


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_the_table_lists_what_the_schemas_have_and_nothing_else(op):
    known = OPERATORS[op]
    versions = [s for s in schemas(op) if not s.deprecated]
    listed = [s for s in versions if s.since_version in known.versions]
    assert [s.since_version for s in listed] == [
        s.since_version for s in versions if s.since_version >= known.versions[0]
    ], "a version between two that are known is missing"
    assert {a for s in listed for a in s.attributes} == set(known.attributes)
    newest = {i.name for i in listed[-1].inputs}
    assert {*known.fixed, *known.inputs} <= newest
    outputs = {o.name for s in listed for o in s.outputs}
    assert {*known.outputs, *known.results} <= outputs


def test_what_is_evaluated_between_constants_is_an_operator_of_onnx():
    names = {s.name for s in onnx.defs.get_all_schemas_with_history() if s.domain == ""}
    assert names >= EVALUATED


def test_readers_have_no_defaults_of_their_own():
    for path in (*ROOT.glob("firmware/compiler/ops/*.py"), *ROOT.glob("firmware/compiler/read/*.py")):
        text = path.read_text()
        assert not re.search(r"\.attributes\.get\(|helper\.get_attribute|\battribute\(node", text) or (
            path.name == "onnx_nodes.py"
        ), path


def witness(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    """The numbers of onnxruntime, or of ONNX's evaluator where onnxruntime lacks the operator."""
    try:
        return session(model).run(None, feed)[0]
    except Exception:
        return ReferenceEvaluator(model).run(None, feed)[0]


@pytest.mark.parametrize("name", OBEYED)
def test_the_compiler_obeys_what_a_file_says(name):
    case = OBEYED[name]
    model, feed = case.model(), case.feed()
    expected = witness(model, feed)
    got = run(optimise(load(model, "case", streaming=False)), feed)["y"]
    np.testing.assert_allclose(got.reshape(-1), expected.reshape(-1), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", REFUSED)
def test_the_compiler_refuses_by_name_what_it_does_not_obey(name):
    case = REFUSED[name]
    with pytest.raises(Refusal) as caught:
        load(case.model(), "case", streaming=False)
    said = str(caught.value)
    assert all(word in said for word in case.words), said
    assert "\n" not in said


def test_a_choice_that_bends_a_softplus_is_no_guard():
    """Above 2, log(1 + exp(x)) is not yet x: such a file says something else."""
    with pytest.raises(Refusal, match="Greater"):
        load(guarded_softplus(1.0, 2.0).model())
