"""Where a quantized model can be bent: every inner signal that other operators read, and how it behaves."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import pairwise

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from common.refusal import Refusal
from quantize.graph.runtime import session
from quantize.operators.record import DEQUANTIZE, QUANTIZE

REACH_QUANTILE = 0.999
LEAST_REACH_STEPS = 8
"""A signal that stays within so few steps of its scale has nothing to bend."""
PARTS = 8
"""Into which the channels of a slow signal are divided where whole signals do not differ enough."""
LEAST_PART = 4
"""Channels of the smallest part."""

Feed = Mapping[str, NDArray[np.float32]]


@dataclass(frozen=True)
class Site:
    """One inner signal, as the model's own material moves it.

    Attributes
    ----------
    name : str
        Without what quantization added: ``leaky_relu_1``.
    tensor : str
        Its name in the file.
    operator : str
        What computes it.
    step : float
        Scale of its integers.
    zero : str
        Name of their zero point in the file.
    scale : str
        Name of their scale in the file.
    reach : float
        What 99.9 % of its values stay within.
    spread : float
        Standard deviation of its values.
    order : tuple of int
        Its channels, the strongest first.
    repeat : int
        Frames of it for one frame of the slowest input.
    first, width : int
        Of a part: its first channel, and how many channels the whole signal has; 0, 0: it is the whole.
    """

    name: str
    tensor: str
    operator: str
    step: float
    scale: str
    zero: str
    reach: float
    spread: float
    order: tuple[int, ...]
    repeat: int
    first: int = 0
    width: int = 0

    @property
    def whole(self) -> str:
        """Name of the signal of which it may be a part."""
        return self.name.partition(":")[0]

    @property
    def channels(self) -> int:
        """How many channels it has."""
        return len(self.order)


@dataclass(frozen=True)
class _Found:
    name: str
    tensor: str
    operator: str
    scale: str
    zero: str


class Inside:
    """A quantized model whose inner signals can be read.

    Parameters
    ----------
    model : ModelProto
        Integers between QDQ pairs.
    where : str
        File name, for sentences.

    Raises
    ------
    Refusal
        A float model.
    """

    def __init__(self, model: onnx.ModelProto, where: str):
        self.model, self.where = model, where
        self.producer = {name: node for node in model.graph.node for name in node.output}
        self.inits = {one.name: numpy_helper.to_array(one) for one in model.graph.initializer}
        self.found = self._find()
        if not self.found:
            raise Refusal(
                f"{where} is a float model; bends are exact integers, so quantize it first: "
                f"vaectrol quantize RUN -o {where.split('.')[0]}.int8.onnx."
            )

    def _find(self) -> list[_Found]:
        graph = self.model.graph
        inputs = {one.name for one in graph.input}
        ends = {one.name for one in graph.output}
        read = {name for node in graph.node for name in node.input}
        found = []
        for node in graph.node:
            if node.op_type != DEQUANTIZE or node.output[0] in ends or node.output[0] not in read:
                continue
            rounded = self.producer.get(node.input[0])
            if rounded is None or rounded.op_type != QUANTIZE or rounded.input[0] in inputs:
                continue
            maker = self.producer.get(rounded.input[0])
            if maker is None or np.size(self.inits.get(node.input[1], np.zeros(2))) != 1:
                continue
            name = node.output[0].removesuffix("/dequantized")
            found.append(_Found(name, node.output[0], maker.op_type, node.input[1], node.input[2]))
        return found

    @cached_property
    def _session(self) -> object:
        opened = onnx.ModelProto()
        opened.CopyFrom(self.model)
        del opened.graph.output[:]
        for one in self.found:
            opened.graph.output.append(
                helper.make_tensor_value_info(one.tensor, onnx.TensorProto.FLOAT, None)
            )
        wanted = {one.tensor for one in self.found}
        kept = []
        for node in reversed(self.model.graph.node):  # what only the sound needs is not computed
            if wanted & set(node.output):
                wanted |= set(node.input)
                kept.append(node)
        del opened.graph.node[:]
        opened.graph.node.extend(reversed(kept))
        return session(opened)

    def run(self, feed: Feed) -> dict[str, NDArray[np.float32]]:
        """Inner signals by name, ``[channels, frames]``."""
        taken = {one.name for one in self._session.get_inputs()}  # type: ignore[attr-defined]
        fed = {name: value for name, value in feed.items() if name in taken}
        results = self._session.run(None, fed)  # type: ignore[attr-defined]
        return {one.name: value[0] for one, value in zip(self.found, results, strict=True)}

    def sites(self, feeds: Sequence[Feed], slow: str) -> list[Site]:
        """Every site, measured over `feeds`; what never moves is left out.

        Parameters
        ----------
        feeds : sequence of feeds
        slow : str
            The slowest input, whose frames the bends share.
        """
        runs = [(feed[slow].shape[-1], self.run(feed)) for feed in feeds]
        sites = []
        for one in self.found:
            values = [inner[one.name] for _, inner in runs]
            if any(v.ndim != 2 for v in values):
                continue
            frames = values[0].shape[1]
            if frames % runs[0][0]:
                continue  # slower than the input that would move it
            whole = np.concatenate(values, 1)
            step = float(self.inits[one.scale])
            reach = float(np.quantile(np.abs(whole), REACH_QUANTILE))
            if reach < LEAST_REACH_STEPS * step:
                continue
            power = np.sqrt((whole.astype(np.float64) ** 2).mean(1))
            order = tuple(int(c) for c in np.argsort(-power, kind="stable"))
            sites.append(
                Site(
                    one.name,
                    one.tensor,
                    one.operator,
                    step,
                    one.scale,
                    one.zero,
                    reach,
                    float(whole.std()),
                    order,
                    frames // runs[0][0],
                )
            )
        return sites


def parts_of(sites: Sequence[Site]) -> list[Site]:
    """Divide the sites that have a frame for each of the slowest input: there a part costs next to nothing.

    A layer that tells others what to do (as by FiLM) tells each of them by channels of its own, side by side.
    """
    found = []
    for site in sites:
        if site.repeat != 1 or site.channels < PARTS * LEAST_PART:
            continue
        ends = [round(n * site.channels / PARTS) for n in range(PARTS + 1)]
        for number, (first, end) in enumerate(pairwise(ends), 1):
            order = tuple(channel - first for channel in site.order if first <= channel < end)
            name = f"{site.name}:{number}"
            found.append(replace(site, name=name, order=order, first=first, width=site.channels))
    return found


def named(sites: Sequence[Site], pattern: str, where: str) -> list[Site]:
    """Sites whose whole name matches a regular expression (as torchbend selects), in the graph's order.

    A pattern with a colon is of parts too: ``conv1d_1:2``.

    Raises
    ------
    Refusal
        No regular expression, or nothing matches: the nearest names.
    """
    try:
        wanted = re.compile(pattern)
    except re.error as error:
        raise Refusal(f"--sites {pattern} is no regular expression ({error}); write one, or auto.") from None
    if ":" in pattern:
        sites = [*sites, *parts_of(sites)]
    chosen = [site for site in sites if wanted.fullmatch(site.name)]
    if not chosen:
        names = [site.name for site in sites]
        near = difflib.get_close_matches(pattern, names, 4, 0.0)
        raise Refusal(f"{where} has no site {pattern!r}; the nearest are {', '.join(near)}.")
    return chosen
