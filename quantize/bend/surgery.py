"""Graph surgery: sites of a quantized model get a new input that bends them.

All that is added is standard ONNX in integers, with the scales of the signals that were there, so the proofs
of no overflow stay as they are and every target computes the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, helper, numpy_helper

from common import model_metadata
from common.model_metadata import EVENT, Bend, ModelMetadata, TensorSpec
from common.refusal import Refusal
from quantize.bend.moves import BY_NAME, UNIT_STEP, Move, moves_at
from quantize.bend.sites import Site

INPUT = "bend"
MOST_CHANNELS = 48
"""Knobs and bends that an instrument has room for: TONE_KNOBS in firmware/engine/instruments/tone.h."""
ONE_STEP = 2.0**-6
"""Step of the weights of 1 that spread a channel: 64 of them."""


def slow_input(about: ModelMetadata, where: str) -> TensorSpec:
    """Return the input whose frames the bends share: the slowest that is no audio.

    Raises
    ------
    Refusal
        A model that is moved by nothing but audio.
    """
    moved = [one for one in about.inputs if one.role not in ("audio", INPUT)]
    if not moved:
        raise Refusal(
            f"{where} has no input but audio, so there is no clock for bends; bend one with latents."
        )
    return min(moved, key=lambda one: 0 if one.is_event else (one.frames_per_sample or 1))


def bend(
    model: onnx.ModelProto, sites: Sequence[Site], moves: Sequence[str], where: str = "the model"
) -> onnx.ModelProto:
    """Return a copy whose `sites` are bent by channels of the new input ``bend``.

    Parameters
    ----------
    model : ModelProto
        Quantized, with Vaectrol's metadata.
    sites : sequence of Site
    moves : sequence of str
        Names out of `MOVES`.

    Raises
    ------
    Refusal
        A model that is bent already, an unknown move, or more channels than an instrument has room for.
    """
    about = model_metadata.read(model, where)
    if about.bends:
        raise Refusal(f"{where} is bent already; bend the model it was made of.")
    unknown = [name for name in moves if name not in BY_NAME]
    if unknown:
        raise Refusal(f"there is no move {unknown[0]!r}; choose from {', '.join(BY_NAME)}.")
    _check_room([(site, moves_at(site, tuple(moves))) for site in sites], about, where)
    made, bends = bend_anywhere(model, sites, moves)
    slow = slow_input(about, where)
    spec = TensorSpec(
        name=INPUT,
        role=INPUT,
        rate=slow.rate,
        range=(min(min(one.table) for one in bends), max(max(one.table) for one in bends)),
        channels=[one.name for one in bends],
    )
    inputs = [one.model_dump(mode="json") for one in (*about.inputs, spec)]
    model_metadata.write(made, {"inputs": inputs, "bends": [one.model_dump(mode="json") for one in bends]})
    return made


def bend_anywhere(
    model: onnx.ModelProto, sites: Sequence[Site], moves: Sequence[str]
) -> tuple[onnx.ModelProto, list[Bend]]:
    """Bend any number of sites, and say by which channels; the metadata stay as they were."""
    work = _Work(model, slow_input(model_metadata.read(model), "the model"))
    bends: list[Bend] = []
    for number, site in enumerate(sites, 1):
        bends += work.bent(number, site, moves_at(site, tuple(moves)))
    return work.finished(len(bends)), bends


def _check_room(chosen: Sequence[tuple[Site, list[Move]]], about: ModelMetadata, where: str) -> None:
    counts = [len(here) for _, here in chosen]
    knobs = about.input_with("class", "attribute", "condition")
    room = MOST_CHANNELS - (len(knobs.channels) if knobs else 0)
    if sum(counts) > room:
        fit = int(np.searchsorted(np.cumsum(counts), room, side="right"))
        raise Refusal(
            f"{len(chosen)} sites with {', '.join(dict.fromkeys(m.name for _, h in chosen for m in h))} are "
            f"{sum(counts)} parameters; of {where} {fit} such sites fit; choose fewer with --sites, "
            "or fewer --moves."
        )


@dataclass
class _Work:
    """A copy of the model, and what is added to it."""

    source: onnx.ModelProto
    slow: TensorSpec
    model: onnx.ModelProto = field(default_factory=onnx.ModelProto)
    channels: list[str] = field(default_factory=list)
    before: list[NodeProto] = field(default_factory=list)
    after: dict[str, list[NodeProto]] = field(default_factory=dict)
    nodes: list[NodeProto] = field(default_factory=list)
    """Where the next node goes: one of the lists above."""
    bent_as: dict[str, str] = field(default_factory=dict)
    """What stands for a tensor of which some site is bent already."""

    def __post_init__(self) -> None:
        self.model.CopyFrom(self.source)

    def constant(self, name: str, value: np.ndarray) -> str:
        self.model.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def node(self, op: str, inputs: Sequence[str], output: str, **attributes: Any) -> str:
        self.nodes.append(helper.make_node(op, list(inputs), [output], name=f"{output}/{op}", **attributes))
        return output

    def rounded(self, value: str, name: str, step: float | tuple[str, str]) -> str:
        """Put a QDQ pair behind a float value: at a step of its own, or a site's (scale and zero)."""
        if isinstance(step, tuple):
            scale, zero = step
        else:
            scale = self.constant(f"{name}/scale", np.array(step, np.float32))
            zero = self.constant(f"{name}/zero", np.array(0, np.int16))
        self.node("QuantizeLinear", [value, scale, zero], f"{name}/integer")
        return self.node("DequantizeLinear", [f"{name}/integer", scale, zero], name)

    def repeated(self, value: str, name: str, times: int, step: float | tuple[str, str]) -> str:
        """Hold each frame for so many of the site's."""
        if times == 1:
            return value
        scales = self.constant(f"{name}/times", np.array([1, 1, times], np.float32))
        held = self.node(
            "Resize",
            [value, "", scales],
            f"{name}/held/float",
            mode="nearest",
            coordinate_transformation_mode="asymmetric",
            nearest_mode="floor",
        )
        return self.rounded(held, f"{name}/held", step)

    def spread(self, value: str, name: str, sign: int, offsets: np.ndarray) -> str:
        """Clip(sign · value + each channel's offset, 0, 1), exactly: a convolution of 1 × 1."""
        count = len(offsets)
        step = float(numpy_helper.to_array(self._initializer(f"{value}/scale")))
        weight = self._constant_rounded(
            f"{name}/weight", np.full((count, 1, 1), sign * 64, np.int8), ONE_STEP
        )
        bias_step = step * ONE_STEP
        integers = np.rint(offsets / bias_step).astype(np.int32)
        bias = self._constant_rounded(f"{name}/bias", integers, bias_step)
        shifted = self.node("Conv", [value, weight, bias], f"{name}/shifted/float", kernel_shape=[1])
        whole = self.rounded(shifted, f"{name}/shifted", UNIT_STEP)
        low = self.constant(f"{name}/low", np.array(0, np.float32))
        high = self.constant(f"{name}/high", np.array(1, np.float32))
        return self.rounded(self.node("Clip", [whole, low, high], f"{name}/float"), name, UNIT_STEP)

    def _constant_rounded(self, name: str, integers: np.ndarray, step: float) -> str:
        self.constant(f"{name}/integer", integers)
        scale = self.constant(f"{name}/scale", np.array(step, np.float32))
        zero = self.constant(f"{name}/zero", np.array(0, integers.dtype))
        return self.node("DequantizeLinear", [f"{name}/integer", scale, zero], name)

    def _initializer(self, name: str) -> TensorProto:
        return next(one for one in self.model.graph.initializer if one.name == name)

    def bent(self, number: int, site: Site, moves: Sequence[Move]) -> list[Bend]:
        """Bend one site, and say by which channels."""
        self.nodes = self.before
        channel: dict[str, str] = {}
        bends = []
        for move in moves:
            name = f"{INPUT}.{number}.{move.name}"
            tensor = f"{INPUT}/{number}/{move.name}"
            self.channels.append(f"{tensor}/float")
            own: float | tuple[str, str] = move.step(site)
            channel[move.name] = self.rounded(f"{tensor}/float", tensor, own)
            table = [float(value) for value in move.table(site)]
            bends.append(
                Bend(
                    name=name,
                    site=site.name,
                    table=table,
                    neutral=move.neutral,
                    words=f"{site.name}: {move.words}",
                )
            )
        self.nodes = self.after.setdefault(site.tensor, [])
        before = self.bent_as.get(site.tensor, site.tensor)
        value = self._within(f"{INPUT}/{number}", site, before, channel)
        self.bent_as[site.tensor] = value
        for node in self.model.graph.node:
            for at, name in enumerate(node.input):
                if name == before:
                    node.input[at] = value
        return bends

    def _within(self, prefix: str, site: Site, value: str, channel: dict[str, str]) -> str:
        """Bend a site, or take its part out of the whole, bend that, and put it back."""
        if not site.width:
            return self._applied(prefix, site, value, channel)
        own = (site.scale, site.zero)
        sizes = (site.first, site.channels, site.width - site.first - site.channels)
        places = ("before", "inside", "behind")
        names = [f"{prefix}/{place}" for place, size in zip(places, sizes, strict=True) if size]
        lengths = self.constant(f"{prefix}/lengths", np.array([size for size in sizes if size], np.int64))
        raw = [f"{name}/taken" for name in names]
        self.nodes.append(helper.make_node("Split", [value, lengths], raw, name=f"{prefix}/Split", axis=1))
        taken = [self.rounded(one, name, own) for one, name in zip(raw, names, strict=True)]
        at = names.index(f"{prefix}/inside")
        taken[at] = self._applied(prefix, site, taken[at], channel)
        joined = self.node("Concat", taken, f"{prefix}/joined/float", axis=1)
        return self.rounded(joined, f"{prefix}/joined", own)

    def _gain(self, prefix: str, site: Site, channel: dict[str, str]) -> str | None:
        gain = channel.get("scale")
        if "mask" in channel:
            rank = np.empty(site.channels)
            rank[list(site.order)] = np.arange(site.channels)
            weak = self.spread(channel["mask"], f"{prefix}/weak", 1, site.channels - rank)
            strong = self.spread(channel["mask"], f"{prefix}/strong", -1, rank + 1.0)
            gains = self.rounded(
                self.node("Mul", [weak, strong], f"{prefix}/kept/float"), f"{prefix}/kept", UNIT_STEP
            )
            gain = (
                gains
                if gain is None
                else self.rounded(
                    self.node("Mul", [gains, gain], f"{prefix}/gain/float"), f"{prefix}/gain", UNIT_STEP
                )
            )
        return gain

    def _applied(self, prefix: str, site: Site, value: str, channel: dict[str, str]) -> str:
        """Swap, gain, bias, threshold: whatever there is of them, in this order."""
        own = (site.scale, site.zero)

        def step(op: str, inputs: Sequence[str], name: str) -> str:
            return self.rounded(self.node(op, inputs, f"{prefix}/{name}/float"), f"{prefix}/{name}", own)

        def held(name: str) -> str:
            width = own if name in ("bias", "threshold") else UNIT_STEP
            return self.repeated(channel[name], f"{prefix}/{name}", site.repeat, width)

        if "swap" in channel:
            places = np.roll(np.arange(site.channels, dtype=np.int64), site.channels // 2)
            indices = self.constant(f"{prefix}/places", places)
            other = self.rounded(
                self.node("Gather", [value, indices], f"{prefix}/other/float", axis=1), f"{prefix}/other", own
            )
            share = held("swap")
            left = step("Sub", [value, step("Mul", [value, share], "own")], "left")
            value = step("Add", [left, step("Mul", [other, share], "part")], "swapped")
        gain = self._gain(prefix, site, channel)
        if gain is not None:
            value = step(
                "Mul", [value, self.repeated(gain, f"{prefix}/gains", site.repeat, UNIT_STEP)], "scaled"
            )
        if "bias" in channel:
            value = step("Add", [value, held("bias")], "biased")
        if "threshold" in channel:
            limit = held("threshold")
            over = step("Relu", [step("Sub", [value, limit], "less")], "over")
            # min(x + t, 0), and not −relu(−x − t): −32768 has no opposite
            more = step("Add", [value, limit], "more")
            under = step("Sub", [more, step("Relu", [more], "above")], "under")
            value = step("Add", [over, under], "kept_loud")
        return value

    def finished(self, channels: int) -> onnx.ModelProto:
        """Put the new nodes where they belong; the input is split into its channels first."""
        graph = self.model.graph
        like = next(one for one in graph.input if one.name == self.slow.name)
        frames = like.type.tensor_type.shape.dim[2]
        length: int | str = 1 if self.slow.rate == EVENT else (frames.dim_param or frames.dim_value)
        graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, channels, length]))
        self.nodes = []
        sizes = self.constant(f"{INPUT}/sizes", np.ones(channels, np.int64))
        if channels == 1:
            split = [helper.make_node("Identity", [INPUT], self.channels, name=f"{INPUT}/Identity")]
        else:
            split = [helper.make_node("Split", [INPUT, sizes], self.channels, name=f"{INPUT}/Split", axis=1)]
        nodes = [*split, *self.before]
        for node in graph.node:
            nodes.append(node)
            for name in node.output:
                nodes += self.after.get(name, [])
        kept = [NodeProto.FromString(node.SerializeToString()) for node in nodes]
        del graph.node[:]
        graph.node.extend(kept)
        onnx.checker.check_model(self.model)
        return self.model
