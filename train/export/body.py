"""How the body of a domain operator is written: nodes one after the other."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, NodeProto, helper, numpy_helper

from train.models.domain import DOMAIN

OPSET = 21


class Body:
    """Collects nodes; ``Body().Add(a, b)`` appends an Add and returns its output's name."""

    def __init__(self) -> None:
        self.nodes: list[NodeProto] = []

    def __getattr__(self, operator: str) -> Any:
        def append(*inputs: str, name: str | None = None, **attributes: Any) -> str:
            output = name or f"t{len(self.nodes)}"
            self.nodes.append(helper.make_node(operator, list(inputs), [output], **attributes))
            return output

        return append

    def integers(self, *values: int) -> str:
        """An int64 vector."""
        return self.Constant(value_ints=list(values))

    def integer(self, value: int) -> str:
        """An int64 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.int64)))

    def attribute(self, name: str) -> str:
        """An int attribute of the function, as an int64 scalar."""
        output = f"t{len(self.nodes)}"
        node = helper.make_node("Constant", [], [output])
        reference = node.attribute.add()
        reference.name, reference.ref_attr_name, reference.type = "value_int", name, AttributeProto.INT
        self.nodes.append(node)
        return output


def function(name: str, inputs: list[str], output: str, body: Body, attributes: list[str]) -> FunctionProto:
    """A model-local function of the domain."""
    return helper.make_function(
        DOMAIN, name, inputs, [output], body.nodes, [helper.make_opsetid("", OPSET)], attributes
    )
