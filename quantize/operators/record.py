"""What the room knows of one ONNX operator, and the register that records enter themselves into.

Everything else of the room asks a record: no other file decides by an operator's name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

import numpy as np

from common.refusal import Refusal
from quantize.graph.graph import Graph, Node
from quantize.operators.layer import Layer

if TYPE_CHECKING:
    import torch

    from quantize.formats.tflite_writer import Writer

TorchForm = Callable[[Node, list[Any]], Any]
Bounds = tuple[float, float]
WeightsForm = Callable[[Node, Graph, float], dict[int, tuple[np.ndarray, float]]]
"""(node, graph, scale of what it reads) → by input: integers and their scale."""
STANDARD_DOMAINS = ("", "ai.onnx")
QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
"""What this room writes into a quantized file."""
QUANTIZED = (QUANTIZE, "QLinearConv", "ConvInteger")
"""Operators that a float model does not have."""


class Channels(Enum):
    """How the channels of an operator that neither is a layer nor moves numbers go together."""

    PINNED = "none that it reads or makes may be removed"
    KEPT = "each output channel is a function of its input channel"
    UNITED = "operands are joined channel by channel"


class Scale(Enum):
    """Which scale an operator gives the integers that it makes."""

    OWN = "calibrated for itself"
    SAME = "that of what it reads"


@dataclass(frozen=True)
class Movement:
    """An operator that moves numbers and computes nothing: channels and integers follow by running it.

    Attributes
    ----------
    padding : int or None
        Place of the input that fills new places.
    blends : callable
        Node → whether it blends neighbouring frames, so that only channels can follow.
    pins : callable
        (node, graph) → whether no channel of it may be removed.
    """

    padding: int | None = None
    blends: Callable[[Node], bool] = lambda node: False
    pins: Callable[[Node, Graph], bool] = lambda node, graph: False


@dataclass(frozen=True)
class Trim:
    """A graph that loses channels: what is left of each tensor, for nodes that say sizes.

    Attributes
    ----------
    graph : Graph
        As it was.
    result : Graph
        As it becomes; its nodes are corrected in place.
    masks : dict of str to ndarray of bool
        For every activation which elements stay, at the size of a trace.
    """

    graph: Graph
    result: Graph
    masks: dict[str, np.ndarray]

    def knows(self, name: str) -> bool:
        """Whether a tensor is an activation whose channels were traced."""
        return name in self.masks

    def untouched(self, name: str) -> bool:
        """Whether nothing of a tensor goes, as far as is known."""
        return name not in self.masks or bool(self.masks[name].all())

    def rank(self, name: str) -> int:
        """Axes of a tensor."""
        return self.masks[name].ndim

    def width(self, name: str, axis: int = 1) -> int:
        """Size along an axis before."""
        return int(self.masks[name].shape[axis])

    def along(self, name: str, axis: int) -> np.ndarray:
        """Whether each index of an axis has anything left."""
        mask = self.masks[name]
        return np.asarray(mask.any(axis=tuple(a for a in range(mask.ndim) if a != axis % mask.ndim)))

    def left(self, name: str, axis: int) -> int:
        """Size along an axis after."""
        return int(self.along(name, axis).sum())

    def give(self, node: Node, place: int, values: Sequence[int], stem: str) -> None:
        """Give a node its own copy of a shape-like constant as its input at a place."""
        name = f"{node.outputs[0]}/{stem}"
        self.result.constants[name] = np.array(values, np.int64)
        while len(node.inputs) <= place:
            node.inputs.append("")
        node.inputs[place] = name


@dataclass(frozen=True)
class Call:
    """One operator at work in integers.

    Attributes
    ----------
    node : Node
        What is executed.
    inputs : list of Tensor
        Whole numbers of its operands.
    graph : Graph
        For its constants.
    scale_of : callable
        Tensor name → its scale, float64 that is exactly a float32.
    width_of : callable
        Tensor name → bits.
    settings : sequence of Tensor
        What else it reads, as it is now: weights that are tuned; None where one is absent.
    """

    node: Node
    inputs: list[torch.Tensor]
    graph: Graph
    scale_of: Callable[[str], torch.Tensor]
    width_of: Callable[[str], int]
    settings: Sequence[torch.Tensor | None] = ()

    def scale(self, index: int) -> torch.Tensor:
        """Scale of an operand."""
        return self.scale_of(self.node.inputs[index])

    def bits(self, index: int) -> int:
        """Width of an operand."""
        return self.width_of(self.node.inputs[index])

    @property
    def made_scale(self) -> torch.Tensor:
        """Scale of the result."""
        return self.scale_of(self.node.outputs[0])

    @property
    def made_bits(self) -> int:
        """Width of the result."""
        return self.width_of(self.node.outputs[0])


def first_input(node: Node) -> list[str]:
    """The first input alone."""
    return node.inputs[:1]


def two_inputs(node: Node) -> list[str]:
    """Both operands."""
    return node.inputs[:2]


def all_inputs(node: Node) -> list[str]:
    """Every input."""
    return list(node.inputs)


@dataclass(frozen=True)
class Operator:
    """The record of one operator.

    Attributes
    ----------
    name, domain : str
        As ONNX has them.
    form : callable
        In torch: (node, inputs, None where absent) → output, or a tuple of them; a batch above 1 is allowed.
    operands : callable
        Node → the inputs that are signals, constants in their place included; the others are settings.
    trainable_settings : bool
        Whether float constants beyond the operands are weights that fine-tuning may move.
    channels : Channels
        How channels go together, where neither `layer` nor `movement` says so.
    layer : Layer or None
        What a convolution or matrix product says of its weights.
    movement : Movement or None
        What an operator that only moves numbers says of its channels.
    shrink : callable or None
        Corrects what the node says of sizes when channels are gone: (trim, node, the node as it was).
    homogeneous : bool
        Whether a positive factor on a channel passes through; it does through layers and movements.
    scale : Scale
        Scale of the integers that it makes; movements keep that of what they read.
    integer : callable or None
        Call → whole numbers. None: it runs in float, unless it is a layer or a movement, which the network
        executes in integers by what they say of themselves.
    weights : callable or None
        Integers of its weights as they are written, where it is no layer.
    obstacle : callable
        (node, graph) → why this one can't run in integers, "" when it can.
    fuses : bool
        Whether the requantization of the layer before takes it over, as a lower bound of 0.
    largest : float or None
        Largest magnitude that it ever makes, where no data are needed to know.
    exact_scale : float or None
        The one scale that the integers of its result have; they are of 16 bits.
    settles : float or None
        Input beyond which it is worth no more bits: it has all but reached its limit.
    matters : callable or None
        (node, graph, bounds of its output) → the bounds of its input beyond which nothing changes.
    weighted : bool
        Whether inputs after the first count as parameters of the model.
    transparent : bool
        Whether it gives back what it reads, so that reading a file leaves it out.
    rewrite : callable or None
        Replaces the node by others when a file is read: (graph, node).
    counted : bool
        Whether a second input may say how many samples went before (noise that is a hash of a counter).
    sounds : bool
        Whether it makes the sound of what a network says of a hit; it stands last, and a task may play itself
        what the network says.
    tflite : callable or None
        Writes the node as TFLite: (writer, node).
    """

    name: str
    form: TorchForm
    domain: str = ""
    operands: Callable[[Node], list[str]] = first_input
    trainable_settings: bool = True
    channels: Channels = Channels.PINNED
    layer: Layer | None = None
    movement: Movement | None = None
    shrink: Callable[[Trim, Node, Node], None] | None = None
    homogeneous: bool = False
    scale: Scale = Scale.OWN
    integer: Callable[[Call], torch.Tensor] | None = None
    weights: WeightsForm | None = None
    obstacle: Callable[[Node, Graph], str] = lambda node, graph: ""
    fuses: bool = False
    largest: float | None = None
    exact_scale: float | None = None
    settles: float | None = None
    matters: Callable[[Node, Graph, Bounds | None], Bounds | None] | None = None
    weighted: bool = False
    transparent: bool = False
    rewrite: Callable[[Graph, Node], None] | None = None
    counted: bool = False
    sounds: bool = False
    tflite: Callable[[Writer, Node], None] | None = None

    @property
    def has_integers(self) -> bool:
        """Whether it has an integer form."""
        return self.layer is not None or self.movement is not None or self.integer is not None

    @property
    def keeps_scale(self) -> bool:
        """Whether operands and results share one scale."""
        return self.movement is not None or self.scale is Scale.SAME

    @property
    def passes_factors(self) -> bool:
        """Whether a positive factor on a channel of what it reads is a factor on what it makes."""
        return self.homogeneous or self.layer is not None or self.movement is not None


RECORDS: dict[tuple[str, str], Operator] = {}
"""(domain, name) → record."""


def register(*records: Operator) -> None:
    """Enter records; a later one of the same name takes the place of an earlier one."""
    for record in records:
        RECORDS[record.domain, record.name] = record


def known(node: Node) -> Operator | None:
    """Record of a node's operator; None when the room does not know it."""
    domain = "" if node.domain in STANDARD_DOMAINS else node.domain
    return RECORDS.get((domain, node.op))


def form_of(node: Node) -> TorchForm:
    """Give the torch function of a node.

    Raises
    ------
    Refusal
        If the operator is not one of docs/design.md#model-file.
    """
    record = known(node)
    if record is None:
        raise Refusal(
            f"node {node.name!r} uses {node.domain + ':' if node.domain else ''}{node.op}, which "
            "can't be quantized "
            "or kept in float here; see quantize/README.md for the operators and what to use instead."
        )
    return record.form


def layer_of(node: Node) -> Layer | None:
    """What a convolution or matrix product says of its weights; None for any other operator."""
    record = known(node)
    return record.layer if record else None


def is_layer(operator: str) -> bool:
    """Whether a standard operator is a convolution or a matrix product."""
    record = RECORDS.get(("", operator))
    return record is not None and record.layer is not None


def movement_of(node: Node) -> Movement | None:
    """How an operator that only moves numbers moves them; None for any other operator."""
    record = known(node)
    return record.movement if record else None
