"""RTNeural's JSON, as AIDA-X and its relatives write it: layers one after the other, in Keras' order.

Read from the format's public definition: jatinchowdhury18/RTNeural (its model loader), AidaDSP/AIDA-X (gains
and the skip around the network). The arithmetic here is our own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from captures.capture import Capture
from captures.document import Part
from captures.graph import INPUT, Curve, Sketch
from common.refusal import Refusal

CURVES = {"": "", "tanh": "Tanh", "relu": "ReLU", "sigmoid": "Sigmoid", "elu": "ELU"}
RECURRENT_CURVES = ("", "tanh")
"""What the layer's own field may say: the cells have their curves built in."""


def is_rtneural(document: Part) -> bool:
    """Tell RTNeural's JSON by what it holds."""
    return "layers" in document and "in_shape" in document


def read_rtneural(document: Part) -> Capture:
    """Read a file of layers.

    Raises
    ------
    Refusal
        A layer or activation that is not known, weights of another shape, more than one input.
    """
    inputs = document.items("in_shape")[-1:]
    if inputs != [1]:
        raise Refusal(
            f"{document.where} reads {inputs[0] if inputs else 'no'} inputs, and only captures of one are "
            "played; knobs that were captured too are not read."
        )
    skip = document.integer("in_skip", 0, least=0)
    if skip > 1:
        raise document.wrong("in_skip", f"is {skip}, not 0 or 1")
    sketch, channels = Sketch(), 1
    gain_in = 10 ** (document.number("in_gain", 0.0) / 20)
    gain_out = 10 ** (document.number("out_gain", 0.0) / 20)
    x = entering = INPUT if gain_in == 1.0 else sketch.scale(INPUT, gain_in)
    names, count = [], 0
    for layer in document.parts("layers"):
        kind = layer.text("type")
        if kind not in LAYERS:
            raise Refusal(f"{layer.where} is of the type {kind!r}; known are {', '.join(LAYERS)}.")
        outputs = layer.items("shape")[-1:]
        if not outputs or isinstance(outputs[0], bool) or not isinstance(outputs[0], int) or outputs[0] < 1:
            raise layer.wrong("shape", "does not end in a number of channels")
        x, used = LAYERS[kind](layer, sketch, x, channels, outputs[0])
        channels, count = outputs[0], count + used
        names.append(f"{kind} {channels}")
    if channels != 1:
        raise document.wrong("layers", f"end in {channels} channels where a capture has one")
    if skip:
        x = sketch.add(x, entering, "skip")
    if gain_out != 1.0:
        x = sketch.scale(x, gain_out)
    about = document.part("metadata") if isinstance(document.fields.get("metadata"), dict) else document
    rates = [part.number(k) for part in (about, document) for k in ("samplerate", "sample_rate") if k in part]
    return Capture(
        "RTNeural",
        ", ".join(names),
        sketch,
        x,
        count,
        0,
        rate_hz=rates[0] if rates else None,
        title=about.text("name", ""),
        author=about.text("author", ""),
        licence=about.text("license", ""),
        facts={key: about.number(key) for key in ("esr",) if key in about},
    )


def _weights(layer: Part, *shapes: tuple[int, ...]) -> list[np.ndarray]:
    """The layer's tables, held to their shapes."""
    tables = layer.items("weights")
    if len(tables) != len(shapes):
        raise layer.wrong("weights", f"has {len(tables)} tables where {len(shapes)} are needed")
    return [
        layer.checked(f"weights[{i}]", table, shape)
        for i, (table, shape) in enumerate(zip(tables, shapes, strict=True))
    ]


def _curved(layer: Part, sketch: Sketch, x: str) -> str:
    """Apply the activation that the layer names."""
    name = layer.text("activation", "")
    if name not in CURVES:
        known = ", ".join(n for n in CURVES if n)
        raise Refusal(f"{layer.where}: activation {name!r} is none of {known}; export it with one of them.")
    return sketch.curve(x, Curve(CURVES[name]))


def _dense(layer: Part, sketch: Sketch, x: str, inputs: int, outputs: int) -> tuple[str, int]:
    has_bias = len(layer.items("weights")) > 1
    shapes = [(inputs, outputs), (outputs,)] if has_bias else [(inputs, outputs)]
    weight, *bias = _weights(layer, *shapes)
    x = sketch.dense(x, weight.T, bias[0] if has_bias else None)
    return _curved(layer, sketch, x), inputs * outputs + (outputs if has_bias else 0)


def _conv(layer: Part, sketch: Sketch, x: str, inputs: int, outputs: int) -> tuple[str, int]:
    taps, dilation = layer.integers("kernel_size")[-1], layer.integers("dilation")[-1]
    groups = layer.integer("groups", 1)
    if inputs % groups or outputs % groups:
        raise layer.wrong("groups", f"is {groups}, which does not divide {inputs} and {outputs}")
    weight, bias = _weights(layer, (taps, inputs // groups, outputs), (outputs,))
    x = sketch.conv(x, weight.transpose(2, 1, 0), bias, dilation, groups)
    return _curved(layer, sketch, x), weight.size + bias.size


def _recurrent(layer: Part, inputs: int, units: int, gates: int, bias: tuple[int, ...]) -> list[np.ndarray]:
    if layer.text("activation", "") not in RECURRENT_CURVES:
        raise layer.wrong("activation", f"is {layer.text('activation')!r}, and these cells have tanh")
    return _weights(layer, (inputs, gates * units), (units, gates * units), bias)


def _lstm(layer: Part, sketch: Sketch, x: str, inputs: int, units: int) -> tuple[str, int]:
    weight, recurrent, bias = _recurrent(layer, inputs, units, 4, (4 * units,))
    return sketch.lstm(x, weight.T, recurrent.T, bias), weight.size + recurrent.size + bias.size


def _gru(layer: Part, sketch: Sketch, x: str, inputs: int, units: int) -> tuple[str, int]:
    weight, recurrent, bias = _recurrent(layer, inputs, units, 3, (2, 3 * units))
    x = sketch.gru(x, weight.T, recurrent.T, bias[0], bias[1])
    return x, weight.size + recurrent.size + bias.size


def _prelu(layer: Part, sketch: Sketch, x: str, inputs: int, outputs: int) -> tuple[str, int]:
    tables = layer.items("weights")
    one = bool(tables) and np.size(tables[0]) == 1
    (slopes,) = _weights(layer, (1, 1) if one else (1, inputs))
    full = np.broadcast_to(slopes.reshape(-1), (inputs,))
    return sketch.curve(x, Curve("PReLU", tuple(float(s) for s in full))), slopes.size


def _batchnorm(layer: Part, sketch: Sketch, x: str, inputs: int, outputs: int) -> tuple[str, int]:
    tables = len(layer.items("weights"))
    found = _weights(layer, *[(inputs,)] * (4 if tables == 4 else 2))
    gain, offset = (found[0], found[1]) if tables == 4 else (np.ones(inputs), np.zeros(inputs))
    mean, variance = found[-2:]
    factor = gain / np.sqrt(np.maximum(variance + layer.number("epsilon"), 1e-12))
    x = sketch.shift(sketch.scale(x, factor), offset - factor * mean)
    return x, tables * inputs


def _activation(layer: Part, sketch: Sketch, x: str, inputs: int, outputs: int) -> tuple[str, int]:
    return _curved(layer, sketch, x), 0


Reader = Callable[[Part, Sketch, str, int, int], tuple[str, int]]
LAYERS: dict[str, Reader] = {
    "dense": _dense,
    "time-distributed-dense": _dense,
    "conv1d": _conv,
    "lstm": _lstm,
    "gru": _gru,
    "prelu": _prelu,
    "batchnorm": _batchnorm,
    "activation": _activation,
}
"""(layer, sketch, signal, channels in, channels out) → signal, numbers read."""
