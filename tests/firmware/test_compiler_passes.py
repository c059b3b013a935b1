"""The passes keep the graph consistent, and a pass that does not is named."""

from __future__ import annotations

from dataclasses import fields, replace

import pytest

from firmware.compiler.graph import Attributes, Graph, Node, Tensor
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.activation import ClipAttributes, CurveAttributes
from firmware.compiler.ops.movement import DelayAttributes
from firmware.compiler.passes.verify import BrokenGraph, verify
from firmware.compiler.pipeline import PASSES, optimise
from firmware.compiler.read.load import load
from tests.firmware.compiler_graphs import quantized, random_graph


def event(*nodes: Node) -> Graph:
    """Make an event graph of one channel and four frames, from x to the last node's output."""
    names = ["x", *(name for node in nodes for name in node.outputs)]
    return Graph("g", nodes, {n: Tensor(n, 1, 4) for n in names}, ("x",), (names[-1],), event=True)


def clip(attrs: Attributes) -> Node:
    """Make a clamp of x."""
    return Node("y", "Clip", ("x",), ("y",), attrs)


def test_attributes_of_the_operators_own_class_are_accepted():
    verify(event(clip(ClipAttributes(0.0, 1.0))), "this")


@pytest.mark.parametrize("attrs", [Attributes(), DelayAttributes()])
def test_attributes_of_another_class_are_a_bug_of_the_pass_that_left_them(attrs):
    with pytest.raises(BrokenGraph, match=r"after that pass: y has .*, which is no ClipAttributes"):
        verify(event(clip(attrs)), "that pass")


def test_attributes_cannot_be_read_as_those_of_another_operator():
    node = clip(ClipAttributes(0.0, 1.0))
    assert node.attributes_as(ClipAttributes).high == 1.0
    with pytest.raises(AssertionError, match="no DelayAttributes"):
        node.attributes_as(DelayAttributes)


def test_a_tensor_read_before_it_is_written_is_a_bug_of_the_pass():
    first, second = clip(ClipAttributes(0.0, 1.0)), Node("z", "Tanh", ("y",), ("z",), CurveAttributes())
    broken = replace(event(first, second), nodes=(second, first))
    with pytest.raises(BrokenGraph, match="after that pass: z reads y before it is written"):
        verify(broken, "that pass")


def test_every_operator_says_which_attributes_it_has():
    for op, family in FAMILIES.items():
        kind = family.ops[op]
        assert issubclass(kind, Attributes)
        assert kind.__dataclass_params__.frozen
        assert kind is Attributes or fields(kind)


@pytest.mark.parametrize("kind", ["float", "int16"])
def test_the_passes_run_in_the_order_of_their_table(kind):
    model, builder = random_graph(3, batch_norm=kind == "float")
    seen: list[str] = []
    optimise(load(model if kind == "float" else quantized(builder, kind)), lambda name, _: seen.append(name))
    assert seen == ["load", *(name for name, _ in PASSES)]
