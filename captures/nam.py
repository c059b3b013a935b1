"""``.nam`` files (Neural Amp Modeler): the head of the file, and the smaller architectures.

Read from the format's public definition (versions 0.5 to 0.7): sdatkinson/NeuralAmpModelerCore, its
documentation pages and the order in which it takes up weights. The arithmetic here is our own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from captures.capture import Capture
from captures.curves import read_curve
from captures.document import Part
from captures.graph import INPUT, Sketch
from captures.wavenet import wavenet
from captures.weights import Weights
from common.refusal import Refusal

VERSIONS = ("0.5", "0.6", "0.7")
"""Major and minor versions of the file that are known."""
SAME_EPSILON = 1e-9


def is_nam(document: Part) -> bool:
    """Tell a ``.nam`` file by what it holds."""
    return "architecture" in document and "config" in document


def read_nam(document: Part, size: float | None = None) -> Capture:
    """Read a ``.nam`` file.

    Parameters
    ----------
    document : Part
    size : float, optional
        0 to 1: which of several sizes in one file; the largest when omitted.

    Raises
    ------
    Refusal
        An unknown version or architecture, another count of weights, a field that is missing or wrong.
    """
    version = document.text("version")
    if ".".join(version.split(".")[:2]) not in VERSIONS:
        raise Refusal(
            f"{document.where} is a .nam file of version {version}; {', '.join(VERSIONS)} are known, so "
            "export it with another version of the trainer."
        )
    architecture = document.text("architecture")
    if architecture == CONTAINER:
        return _chosen(document, size)
    if architecture not in ARCHITECTURES:
        raise Refusal(
            f"{document.where} has the architecture {architecture!r}; known are "
            f"{', '.join((*ARCHITECTURES, CONTAINER))}."
        )
    weights, sketch, config = Weights(document), Sketch(), document.part("config")
    for key in ("in_channels", "out_channels"):
        if config.integer(key, 1) != 1:
            raise config.wrong(key, f"is {config.integer(key)}, and only captures of one channel are played")
    result, words, reach = ARCHITECTURES[architecture](config, weights, sketch)
    capture = Capture(f"NAM {version}", words, sketch, result, weights.close(words), reach)
    return _with_metadata(capture, document)


def _with_metadata(capture: Capture, document: Part) -> Capture:
    """Add what the file says of itself."""
    rate = document.number("sample_rate") if "sample_rate" in document else None
    if rate is not None and not 8_000 <= rate <= 384_000:
        raise document.wrong("sample_rate", f"is {rate:g} Hz")
    about = document.part("metadata") if "metadata" in document else Part({}, document.where)
    facts: dict[str, float | str] = {
        key: about.number(key)
        for key in ("loudness", "gain", "input_level_dbu", "output_level_dbu")
        if key in about
    }
    facts |= {
        key: about.text(key) for key in ("gear_type", "gear_make", "gear_model", "tone_type") if key in about
    }
    training = about.part("training") if "training" in about else Part({}, document.where)
    if "validation_esr" in training:
        facts["validation_esr"] = training.number("validation_esr")
    return replace(
        capture,
        rate_hz=rate,
        title=about.text("name", ""),
        author=about.text("modeled_by", ""),
        facts=facts,
    )


def _chosen(document: Part, size: float | None) -> Capture:
    """Of a file of several sizes, the smallest that reaches ``size``."""
    models = list(document.part("config").parts("submodels"))
    if not models:
        raise document.wrong("submodels", "is empty")
    wanted = 1.0 if size is None else size
    found = next((m for m in models if m.number("max_value") >= wanted - SAME_EPSILON), models[-1])
    inner = found.part("model")
    capture = read_nam(inner)
    return capture if capture.rate_hz else replace(capture, rate_hz=_with_metadata(capture, document).rate_hz)


def _lstm(config: Part, weights: Weights, sketch: Sketch) -> tuple[str, str, int]:
    """Cells one after the other, then one dense layer.

    The file's first states are read and left: players let half a second of silence run through before, after
    which nothing is left of them, and a module starts from zero.
    """
    layers, hidden = config.integer("num_layers"), config.integer("hidden_size", most=4096)
    inputs, x = config.integer("input_size"), INPUT
    if inputs != 1:
        raise config.wrong("input_size", f"is {inputs}, and only captures of one input are played")
    for _ in range(layers):
        both = weights.take(4 * hidden, inputs + hidden)
        bias, _ = weights.take(4 * hidden), weights.take(2, hidden)
        x = sketch.lstm(x, both[:, :inputs], both[:, inputs:], bias)
        inputs = hidden
    result = sketch.dense(x, weights.take(1, hidden), weights.take(1), "head")
    return result, f"LSTM of {layers} × {hidden}", 0


def _convnet(config: Part, weights: Weights, sketch: Sketch) -> tuple[str, str, int]:
    """Convolutions of two taps, each with a curve; then one dense layer."""
    channels, dilations = config.integer("channels"), config.integers("dilations")
    normalised, groups = config.flag("batchnorm"), config.integer("groups", 1)
    x, inputs = INPUT, 1
    for dilation in dilations:
        if inputs % groups or channels % groups:
            raise config.wrong("groups", f"is {groups}, which does not divide {inputs} and {channels}")
        weight = weights.take(channels, inputs // groups, 2)
        bias = None if normalised else weights.take(channels)
        if normalised:
            mean, variance, gain, offset = (weights.take(channels) for _ in range(4))
            factor = gain / np.sqrt(np.maximum(variance + weights.number(), 1e-12))
            weight, bias = weight * factor[:, None, None], offset - factor * mean
        x = sketch.conv(x, weight, bias, dilation, groups)
        x = sketch.curve(x, read_curve(config, "activation", channels))
        inputs = channels
    result = sketch.dense(x, weights.take(1, channels), weights.take(1), "head")
    return result, f"ConvNet of {channels} channels", 1 + sum(dilations)


def _linear(config: Part, weights: Weights, sketch: Sketch) -> tuple[str, str, int]:
    """One filter."""
    taps = config.integer("receptive_field", most=65_536)
    # the file's first weight is that of the newest sample
    weight = weights.take(1, 1, taps)[:, :, ::-1]
    bias = weights.take(1) if config.flag("bias") else None
    return sketch.conv(INPUT, weight, bias), f"filter of {taps} taps", taps


CONTAINER = "SlimmableContainer"
ARCHITECTURES: dict[str, Callable[[Part, Weights, Sketch], tuple[str, str, int]]] = {
    "WaveNet": wavenet,
    "LSTM": _lstm,
    "ConvNet": _convnet,
    "Linear": _linear,
}
"""Reads the configuration and its weights into the sketch: what leaves it, its name in words, its reach."""
