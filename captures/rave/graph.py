"""A model of RAVE as two files: an encoder from audio to latents, a decoder back.

RAVE's bank turns the sign of every second band in every second frame. That is no filter, but over pairs of
frames it is: the bank is written as one of twice as many bands at half the rate, and pairs are taken apart
(analysis) or put together (synthesis) by a layer of ones.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from captures.graph import INPUT, OUTPUT, Curve, Sketch
from captures.rave.weights import Layer, Rave
from common import model_metadata
from common.version import version

if TYPE_CHECKING:
    import onnx

FORMAT = 1
LEAK = 0.2
GAIN_POWER = 2.3
LATENTS = "latents"
SPREAD = 3.0
"""Reach of a latent where no data say more: its training pulls it to a spread of 1."""


def encoder_of(rave: Rave, name: str) -> onnx.ModelProto:
    """Audio → latents [1, latents, frames]: the mean of what the encoder says."""
    sketch = Sketch()
    x = _analysed(sketch, rave)
    for index, layer in enumerate(rave.encoder):
        x = _layer(sketch, _leaky(sketch, x) if index else x, layer)
    model = sketch.model(
        x, given=(INPUT, 1, "samples"), made=(LATENTS, len(rave.axes), "frames"), name="encoder"
    )
    _write_about(model, rave, name, part="encoder", inputs=[_audio(INPUT)], outputs=[_latents(rave)])
    return model


def decoder_of(rave: Rave, name: str) -> onnx.ModelProto:
    """Latents [1, latents, frames] → audio. What the export left out of the latents stays at its mean."""
    sketch = Sketch()
    x = _layer(sketch, LATENTS, rave.entry)
    for up, stacks in rave.ups:
        x = _layer(sketch, _leaky(sketch, x), up)
        total = ""
        for stack in stacks:
            made = x
            for first, second in stack.pairs:
                inner = _layer(sketch, _leaky(sketch, made), first)
                inner = _layer(sketch, _leaky(sketch, inner), second)
                made = sketch.add(inner, made, "residual")
            total = sketch.add(total, made, "stacks") if total else made
        x = total
    wave = sketch.curve(_layer(sketch, x, rave.wave), Curve("Tanh"))
    x = sketch.multiply(wave, _gain(sketch, x, rave.loudness))
    x = _synthesised(sketch, x, rave)
    model = sketch.model(
        x, given=(LATENTS, len(rave.axes), "frames"), made=(OUTPUT, 1, "samples"), name="decoder"
    )
    _write_about(model, rave, name, part="decoder", inputs=[_latents(rave)], outputs=[_audio(OUTPUT)])
    return model


def _gain(sketch: Sketch, x: str, layer: Layer) -> str:
    """2·sigmoid(a)^2.3, as an exponential of a soft bound, which has no power in it."""
    bias = None if layer.bias is None else -layer.bias
    turned = Layer(-layer.weight, bias, layer.stride, layer.dilation, layer.before, layer.after)
    soft = sketch.node("Softplus", [_layer(sketch, x, turned)], "loudness_soft")
    power = sketch.shift(
        sketch.scale(soft, -GAIN_POWER, "loudness_power"), float(np.log(2.0)), "loudness_log"
    )
    return sketch.node("Exp", [power], "loudness")


def _leaky(sketch: Sketch, x: str) -> str:
    return sketch.curve(x, Curve("LeakyReLU", (LEAK,)), "leaky")


def _layer(sketch: Sketch, x: str, layer: Layer) -> str:
    return sketch.strided(
        x,
        layer.weight,
        layer.bias,
        stride=layer.stride,
        dilation=layer.dilation,
        pads=(layer.before, layer.after),
        is_up=layer.is_up,
    )


def _signed(rave: Rave, scale: float) -> np.ndarray:
    """The bank over a pair of frames, odd bands of the first negated: [2·bands, taps + bands]."""
    bands, taps = rave.bank.shape
    pair = np.zeros((2, bands, taps + bands))
    for frame in range(2):
        sign = np.where((np.arange(bands) % 2 == 1) & (frame == 0), -1.0, 1.0)
        pair[frame, :, frame * bands : frame * bands + taps] = sign[:, None] * rave.bank * scale
    return pair.reshape(2 * bands, -1)


def _shuffle(bands: int) -> np.ndarray:
    """Ones that put frame p of band b from channel p·bands + b: [2·bands, bands, 2]."""
    found = np.zeros((2, bands, bands, 2))
    for frame in range(2):
        found[frame, :, :, frame] = np.eye(bands)
    return found.reshape(2 * bands, bands, 2)


def _analysed(sketch: Sketch, rave: Rave) -> str:
    bands = len(rave.bank)
    kernel = _signed(rave, 1.0)
    before, after = rave.bank_before, kernel.shape[1] - 2 * bands - rave.bank_before
    kernel, before, after = _trimmed(kernel, before, after)
    pairs = sketch.strided(
        INPUT, kernel[:, None], None, stride=2 * bands, pads=(before, after), stem="analysis"
    )
    return sketch.strided(pairs, _shuffle(bands), None, stride=2, is_up=True, stem="frames")


def _trimmed(kernel: np.ndarray, before: int, after: int) -> tuple[np.ndarray, int, int]:
    """Without zeros at the ends, as far as padding allows; behind a negative padding zeros are added."""
    if after < 0:
        kernel, after = np.pad(kernel, ((0, 0), (0, -after))), 0
    used = np.flatnonzero(np.abs(kernel).max(0))
    first, last = min(int(used[0]), before), min(kernel.shape[1] - 1 - int(used[-1]), after)
    return kernel[:, first : kernel.shape[1] - last], before - first, after - last


def _synthesised(sketch: Sketch, x: str, rave: Rave) -> str:
    """Frames are put together by pairs, then each pair sounds."""
    bands, taps = rave.bank.shape
    pairs = sketch.strided(x, _shuffle(bands), None, stride=2, stem="pairs")
    kernel = _signed(rave, float(bands))
    cut = taps - bands - rave.bank_before
    if cut < 0:
        kernel, cut = np.pad(kernel, ((0, 0), (-cut, 0))), 0
    after = kernel.shape[1] - 2 * bands - cut
    used = np.flatnonzero(np.abs(kernel).max(0))
    first, last = min(int(used[0]), cut), min(kernel.shape[1] - 1 - int(used[-1]), after)
    kernel = kernel[:, first : kernel.shape[1] - last]
    pads = (cut - first, after - last)
    return sketch.strided(
        pairs, kernel[:, None], None, stride=2 * bands, pads=pads, is_up=True, stem="synthesis"
    )


def _audio(name: str) -> dict[str, Any]:
    return {"name": name, "role": "audio", "rate": "1", "range": [-1.0, 1.0], "channels": ["audio"]}


def _latents(rave: Rave) -> dict[str, Any]:
    names = [f"z{index + 1}" for index in range(len(rave.axes))]
    return {
        "name": LATENTS,
        "role": "latent",
        "rate": f"1/{rave.hop}",
        "range": [-2 * SPREAD, 2 * SPREAD],
        "channels": names,
    }


def _write_about(model: onnx.ModelProto, rave: Rave, name: str, **more: Any) -> None:
    table = np.linspace(-SPREAD, SPREAD, 17).tolist()
    model_metadata.write(
        model,
        {
            "format": FORMAT,
            "kind": "rave",
            "name": name,
            "title": name,
            "version": version(),
            "sample_rate_hz": rave.rate_hz,
            "latency_samples": 0,
            "latents": [
                {"name": f"z{i + 1}", "mean": 0.0, "std": 1.0, "quantiles": table}
                for i in range(len(rave.axes))
            ],
            "rave": {
                "hop_samples": rave.hop,
                "is_causal": rave.is_causal,
                "noise_left_out": rave.has_noise,
                **rave.facts,
            },
            **more,
        },
    )
