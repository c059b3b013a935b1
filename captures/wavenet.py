"""NAM's WaveNet: arrays of layers with a residual and a head path, as versions 0.5 to 0.7 configure them.

One layer: a dilated convolution of the residual signal plus a mix of the condition (the input), a curve
(gated or blended by a second one, where asked for), a 1 × 1 convolution back to the residual signal. The
curve's result goes to the head as it is, or through a 1 × 1 convolution of its own. FiLM (Perez et al.,
arXiv 1709.07871) scales and shifts a signal by two dense layers of the condition.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from captures.curves import curve_of
from captures.document import Part
from captures.graph import INPUT, Curve, Sketch
from captures.weights import Weights
from common.refusal import Refusal

FILMS = (
    "conv_pre_film",
    "conv_post_film",
    "input_mixin_pre_film",
    "input_mixin_post_film",
    "activation_pre_film",
    "activation_post_film",
    "layer1x1_post_film",
    "head1x1_post_film",
)
"""In the order of their weights."""
GATINGS = ("none", "gated", "blended")
MEANS_ROWS = 8
"""Outputs of a head's layer from which on reading one signal less is worth a mean of two.

A mean is taken as soon as there are two signals for it, while they are in the cache."""


@dataclass(frozen=True)
class _Film:
    """One modulation: whether it shifts beside its gain, and the groups of its dense layer."""

    is_shifting: bool
    groups: int


@dataclass(frozen=True)
class _Array:
    """Configuration of one array of layers."""

    inputs: int
    condition: int
    channels: int
    bottleneck: int
    kernels: list[int]
    dilations: list[int]
    curves: list[Curve]
    gatings: list[str]
    second_curves: list[Curve]
    head_outputs: int
    head_taps: int
    head_dilation: int
    has_head_bias: bool
    groups: int
    mix_groups: int
    back_groups: int | None
    head1x1: tuple[int, int] | None
    films: dict[str, _Film]

    @property
    def head_inputs(self) -> int:
        """Channels that a layer gives to the head."""
        return self.bottleneck if self.head1x1 is None else self.head1x1[0]

    @property
    def reach(self) -> int:
        """Samples before the present one that it reads."""
        layers = sum((k - 1) * d for k, d in zip(self.kernels, self.dilations, strict=True))
        return layers + (self.head_taps - 1) * self.head_dilation


def wavenet(config: Part, weights: Weights, sketch: Sketch, outputs: int | None = 1) -> tuple[str, str, int]:
    """Read a WaveNet's configuration and weights into the sketch; ``outputs``: channels it must have."""
    arrays = [_read_array(part) for part in config.parts("layers")]
    if not arrays:
        raise config.wrong("layers", "is empty")
    condition, reach = INPUT, 1
    if "condition_dsp" in config:
        condition, reach = _condition(config.part("condition_dsp"), sketch)
    _check_chain(config, arrays, has_condition=condition != INPUT)
    residual, head = INPUT, None
    for index, array in enumerate(arrays):
        is_last = index == len(arrays) - 1
        residual, head = _array(array, residual, condition, head, weights, sketch, is_last=is_last)
        reach += array.reach
    assert head is not None
    channels = head.weight.shape[0]
    if "head" not in config and outputs not in (None, channels):
        raise config.wrong("layers", f"end in {channels} channels, and only captures of one are played")
    if "head" not in config:
        scale = weights.number()
        result = head.scaled(scale).written(sketch)
    else:
        result, more, scale = _post_head(config.part("head"), sketch, head, weights)
        reach += more
    if not np.isfinite(scale):
        raise config.wrong("head_scale", "is not finite")
    sizes = " and ".join(f"{a.channels} × {len(a.dilations)}" for a in arrays)
    return result, f"WaveNet of {sizes} layers", reach


@dataclass(frozen=True, eq=False)
class _Head:
    """A head's convolution, not written yet, of the sum of what the layers give: (a mean of how many, it)."""

    signals: list[tuple[int, str]]
    dilation: int
    weight: np.ndarray
    bias: np.ndarray | None

    def scaled(self, factor: float) -> _Head:
        """Times a number."""
        bias = None if self.bias is None else self.bias * factor
        return replace(self, weight=self.weight * factor, bias=bias)

    def written(self, sketch: Sketch) -> str:
        """Write it: of one tap as the sum of a layer for every signal, which is the same number.

        That sum runs in one accumulator on the module, where a chain of sums is rounded each time. Means of
        the fewest signals come first: the first layer has the coarsest weights.
        """
        first, *rest = (signal for _, signal in self.signals)
        if self.weight.shape[2] > 1:
            for signal in rest:
                first = sketch.add(first, signal, "skip")
            return sketch.conv(first, self.weight, self.bias, self.dilation, stem="head")
        total = ""
        for count, signal in sorted(self.signals, key=lambda pair: pair[0]):
            bias = None if total else self.bias
            made = sketch.conv(signal, count * self.weight, bias, self.dilation, stem="head")
            total = sketch.add(total, made, "heads") if total else made
        return total


def _averaged(signals: list[tuple[int, str]], sketch: Sketch) -> list[tuple[int, str]]:
    """The same with means of as many signals each in place of two, while two of them are alike."""
    while len(signals) > 1 and signals[-1][0] == signals[-2][0]:
        *before, (count, first), (_, second) = signals
        signals = [*before, (2 * count, sketch.mean(first, second))]
    return signals


def _check_chain(config: Part, arrays: list[_Array], has_condition: bool) -> None:
    """Hold neighbouring arrays together."""
    for index, array in enumerate(arrays):
        where = f"layers[{index}]"
        if index == 0 and array.inputs != 1:
            raise config.wrong(where, f"reads {array.inputs} channels where the input has 1")
        if not has_condition and array.condition != 1:
            raise config.wrong(where, f"has a condition of {array.condition} channels where the input has 1")
        if index:
            before = arrays[index - 1]
            if array.inputs != before.channels:
                raise config.wrong(where, f"reads {array.inputs} channels of the {before.channels} before it")
            if array.head_inputs != before.head_outputs:
                raise config.wrong(
                    where, f"adds {array.head_inputs} channels to the head's {before.head_outputs}"
                )


def _condition(part: Part, sketch: Sketch) -> tuple[str, int]:
    """A WaveNet of its own that makes the condition of the input."""
    if part.text("architecture") != "WaveNet":
        raise part.wrong(
            "architecture", f"is {part.text('architecture')!r}, and a condition is read of a WaveNet"
        )
    weights = Weights(part)
    result, words, reach = wavenet(part.part("config"), weights, sketch, None)
    weights.close(words)
    return result, reach


def _array(
    array: _Array,
    x: str,
    condition: str,
    head: _Head | None,
    weights: Weights,
    sketch: Sketch,
    *,
    is_last: bool,
) -> tuple[str, _Head]:
    """One array; the head of the one before is written here, where its output is added to."""
    x = sketch.dense(x, weights.take(array.channels, array.inputs), stem="rechannel")
    signals = [] if head is None else [(1, head.written(sketch))]
    has_means = array.head_taps == 1 and array.head_outputs >= MEANS_ROWS
    for index in range(len(array.dilations)):
        unused = is_last and index == len(array.dilations) - 1
        x, skip = _layer(array, index, x, condition, weights, sketch, is_residual_unused=unused)
        signals.append((1, skip))
        if has_means:
            signals = _averaged(signals, sketch)
    weight = weights.take(array.head_outputs, array.head_inputs, array.head_taps)
    bias = weights.take(array.head_outputs) if array.has_head_bias else None
    return x, _Head(signals, array.head_dilation, weight, bias)


def _grouped(weights: Weights, outputs: int, inputs: int, taps: int, groups: int) -> np.ndarray:
    """Weights of a grouped convolution, as ONNX has them."""
    return weights.take(outputs, inputs // groups, taps)


def _layer(
    array: _Array,
    index: int,
    x: str,
    condition: str,
    weights: Weights,
    sketch: Sketch,
    *,
    is_residual_unused: bool,
) -> tuple[str, str]:
    """One layer: the residual signal behind it, and what it gives to the head."""
    inner, gating = array.bottleneck, array.gatings[index]
    wide = inner if gating == "none" else 2 * inner
    taps, dilation = array.kernels[index], array.dilations[index]
    conv = _grouped(weights, wide, array.channels, taps, array.groups), weights.take(wide)
    mix = _grouped(weights, wide, array.condition, 1, array.mix_groups)
    back = head = None
    if array.back_groups is not None:
        back = _grouped(weights, array.channels, inner, 1, array.back_groups), weights.take(array.channels)
    if array.head1x1 is not None:
        outputs, groups = array.head1x1
        head = _grouped(weights, outputs, inner, 1, groups), weights.take(outputs)
    sizes = dict(
        zip(FILMS, (array.channels, wide, array.condition, wide, wide, inner, array.channels), strict=False)
    )
    sizes["head1x1_post_film"] = array.head_inputs
    films = {
        name: _film_weights(array.films[name], sizes[name], array.condition, weights)
        for name in FILMS
        if name in array.films
    }

    def film(name: str, signal: str) -> str:
        return _modulated(sketch, signal, condition, *films[name]) if name in films else signal

    before = x
    z = film("conv_post_film", sketch.conv(film("conv_pre_film", x), *conv, dilation, array.groups, "layer"))
    mixed = sketch.conv(film("input_mixin_pre_film", condition), mix, None, 1, array.mix_groups, "mix")
    z = film("activation_pre_film", sketch.add(z, film("input_mixin_post_film", mixed)))
    z = _curved(array, index, z, sketch)
    z = film("activation_post_film", z)
    if back is not None and not is_residual_unused:
        made = sketch.conv(z, *back, 1, array.back_groups or 1, "back")
        x = sketch.add(before, film("layer1x1_post_film", made), "residual")
    if head is None or array.head1x1 is None:
        return x, z
    return x, film("head1x1_post_film", sketch.conv(z, *head, 1, array.head1x1[1], "skip"))


def _curved(array: _Array, index: int, z: str, sketch: Sketch) -> str:
    """The curve; gated: times a second one, blended: mixed with what went in by it."""
    curve, gating = array.curves[index], array.gatings[index]
    if gating == "none":
        return sketch.curve(z, curve)
    value, control = sketch.halves(z, array.bottleneck)
    made, share = sketch.curve(value, curve), sketch.curve(control, array.second_curves[index])
    if gating == "gated":
        return sketch.multiply(made, share)
    difference = sketch.add(made, sketch.scale(value, -1.0))
    return sketch.add(value, sketch.multiply(share, difference), "blend")


FilmWeights = tuple[_Film, int, np.ndarray, np.ndarray]


def _film_weights(film: _Film, size: int, condition: int, weights: Weights) -> FilmWeights:
    """Take up the dense layer of one modulation."""
    rows = size * (2 if film.is_shifting else 1)
    return film, size, _grouped(weights, rows, condition, 1, film.groups), weights.take(rows)


def _modulated(
    sketch: Sketch, x: str, condition: str, film: _Film, size: int, weight: np.ndarray, bias: np.ndarray
) -> str:
    """Times what the condition says, and where it shifts plus that."""
    made = sketch.conv(condition, weight, bias, 1, film.groups, "film")
    if not film.is_shifting:
        return sketch.multiply(x, made)
    gain, shift = sketch.halves(made, size)
    return sketch.add(sketch.multiply(x, gain), shift)


def _post_head(part: Part, sketch: Sketch, head: _Head, weights: Weights) -> tuple[str, int, float]:
    """Convolutions behind all arrays, a curve before each; the head scale comes last among the weights."""
    channels = head.weight.shape[0]
    inner, outputs = part.integer("channels"), part.integer("out_channels")
    if outputs != 1:
        raise part.wrong("out_channels", f"is {outputs}, and only captures of one channel are played")
    kernels = part.integers("kernel_sizes")
    convs, inputs = [], channels
    for index, taps in enumerate(kernels):
        made = outputs if index == len(kernels) - 1 else inner
        convs.append((weights.take(made, inputs, taps), weights.take(made)))
        inputs = made
    scale = weights.number()
    x = head.scaled(scale).written(sketch)
    inputs = channels
    for kernel, offset in convs:
        x = sketch.curve(x, curve_of(part, "activation", part.fields.get("activation"), inputs))
        x = sketch.conv(x, kernel, offset, stem="head")
        inputs = kernel.shape[0]
    return x, sum(taps - 1 for taps in kernels), scale


def _read_array(part: Part) -> _Array:
    """Read the configuration of one array."""
    channels, dilations = part.integer("channels", most=1024), part.integers("dilations")
    bottleneck, count = part.integer("bottleneck", channels, most=1024), len(dilations)
    if ("kernel_size" in part) == ("kernel_sizes" in part):
        raise part.wrong("kernel_size", "must be there, or kernel_sizes, and not both")
    kernels = (
        part.integers("kernel_sizes") if "kernel_sizes" in part else [part.integer("kernel_size")] * count
    )
    if len(kernels) != count:
        raise part.wrong("kernel_sizes", f"has {len(kernels)} entries for {count} dilations")
    gatings = _each(part, "gating_mode", count, "gated" if part.flag("gated", False) else "none")
    for name in gatings:
        if name not in GATINGS:
            raise part.wrong("gating_mode", f"is {name!r}, none of {', '.join(GATINGS)}")
    second = _each(part, "secondary_activation", count, "Sigmoid")
    curves = [curve_of(part, "activation", c, bottleneck) for c in _each(part, "activation", count, None)]
    head = part.part("head") if "head" in part else None
    active_head = _active(part, "head1x1")
    back = _active(part, "layer1x1")
    has_back = back is not None or "layer1x1" not in part
    if not has_back and bottleneck != channels:
        raise part.wrong("bottleneck", f"is {bottleneck}, but without layer1x1 it must be {channels}")
    films = _films(part)
    if "layer1x1_post_film" in films and (not has_back or any(g != "blended" for g in gatings)):
        # the format's own player leaves it out unless blended, its description does not: nothing to hold to
        raise part.wrong(
            "layer1x1_post_film", "is active in a layer that is not blended, which players disagree on"
        )
    if "head1x1_post_film" in films and active_head is None:
        raise part.wrong("head1x1_post_film", "is active without head1x1")
    return _checked(
        part,
        _Array(
            inputs=part.integer("input_size"),
            condition=part.integer("condition_size"),
            channels=channels,
            bottleneck=bottleneck,
            kernels=kernels,
            dilations=dilations,
            curves=curves,
            gatings=gatings,
            second_curves=[
                Curve("") if g == "none" else curve_of(part, "secondary_activation", c, bottleneck)
                for g, c in zip(gatings, second, strict=True)
            ],
            head_outputs=part.integer("head_size") if head is None else head.integer("out_channels"),
            head_taps=1 if head is None else head.integer("kernel_size"),
            head_dilation=1 if head is None else head.integer("head_dilation", 1),
            has_head_bias=part.flag("head_bias") if head is None else head.flag("bias"),
            groups=part.integer("groups_input", 1),
            mix_groups=part.integer("groups_input_mixin", 1),
            back_groups=(1 if back is None else back.integer("groups", 1)) if has_back else None,
            head1x1=None
            if active_head is None
            else (active_head.integer("out_channels"), active_head.integer("groups", 1)),
            films=films,
        ),
    )


def _checked(part: Part, array: _Array) -> _Array:
    """Groups must divide what they group."""
    wide = [array.bottleneck if g == "none" else 2 * array.bottleneck for g in array.gatings]
    pairs = [("groups_input", array.groups, (array.channels, *wide))]
    pairs.append(("groups_input_mixin", array.mix_groups, (array.condition, *wide)))
    if array.back_groups:
        pairs.append(("layer1x1.groups", array.back_groups, (array.channels, array.bottleneck)))
    if array.head1x1:
        pairs.append(("head1x1.groups", array.head1x1[1], (array.head1x1[0], array.bottleneck)))
    for name, groups, sizes in pairs:
        if any(size % groups for size in sizes):
            raise part.wrong(name, f"is {groups}, which does not divide {' and '.join(map(str, sizes[:2]))}")
    return array


def _each(part: Part, key: str, count: int, default: Any) -> list[Any]:
    """One entry a layer, of a list or of one for all."""
    found = part.fields.get(key)
    found = default if found is None else found
    if found is None:
        raise part.wrong(key, "is missing")
    if not isinstance(found, list):
        return [found] * count
    if len(found) != count:
        raise part.wrong(key, f"has {len(found)} entries for {count} dilations")
    return [default if entry is None else entry for entry in found]


def _active(part: Part, key: str) -> Part | None:
    """An object that is there and says that it is active."""
    if key not in part:
        return None
    found = part.part(key)
    return found if found.flag("active", True) else None


def _films(part: Part) -> dict[str, _Film]:
    """The modulations that are active."""
    found = {}
    for name in FILMS:
        if name not in part or part.fields[name] is False:
            continue
        film = _active(part, name)
        if film is not None:
            found[name] = _Film(film.flag("shift", True), film.integer("groups", 1))
            if found[name].groups > 1:
                raise Refusal(
                    f"{film.where}: a modulation of {found[name].groups} groups is not read; export without."
                )
    return found
