"""One record an operator: what the records say of themselves, and that nothing else decides by a name."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from quantize.graph.graph import Node
from quantize.operators import known
from quantize.operators.record import DEQUANTIZE, QUANTIZED, RECORDS, Operator

pytestmark = pytest.mark.fast

ROOM = Path(__file__).resolve().parents[2] / "quantize"
NAMES = {name for _, name in RECORDS} | {*QUANTIZED, DEQUANTIZE}


MAKERS = ("make_node", "node", "step")
"""Functions whose first argument is the operator of a node that is made: that decides nothing."""


def literals(path: Path) -> set[str]:
    """Every string of a file that is no docstring and no operator of a node it makes."""
    tree = ast.parse(path.read_text(), str(path))
    told = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef))
        and node.body
        and isinstance(node.body[0], ast.Expr)
    }
    told |= {
        id(node.args[0])
        for node in ast.walk(tree)
        if isinstance(node, ast.Call)
        and node.args
        and getattr(node.func, "attr", getattr(node.func, "id", "")) in MAKERS
    }
    constants = [n for n in ast.walk(tree) if isinstance(n, ast.Constant) and id(n) not in told]
    return {n.value for n in constants if isinstance(n.value, str)}


def test_no_file_beside_the_records_decides_by_an_operators_name():
    for path in sorted(ROOM.rglob("*.py")):
        if path.parent.name != "operators":
            named = literals(path) & NAMES
            assert not named, f"{path.relative_to(ROOM)} names {', '.join(sorted(named))}; ask the record"


def test_an_operator_is_known_in_one_file():
    found: dict[str, list[str]] = {}
    for path in sorted((ROOM / "operators").glob("*.py")):
        for name in literals(path) & NAMES:
            found.setdefault(name, []).append(path.name)
    assert {name: files for name, files in found.items() if len(files) > 1} == {}


@pytest.mark.parametrize("record", RECORDS.values(), ids=lambda record: record.name)
def test_a_record_does_not_contradict_itself(record: Operator):
    assert (record.layer is None) or (record.movement is None)
    if record.layer is not None or record.movement is not None:
        assert record.integer is None  # the network executes it by what it says of itself
    if record.fuses or record.matters is not None or record.largest is not None:
        assert record.integer is not None
    assert known(Node(record.name, [], [], domain=record.domain)) is record
