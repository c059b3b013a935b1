"""The reference networks of the bench: RAVE's ``raspberry``, NAM's A1-nano, MLPerf Tiny's anomaly detector.

Shapes are from the published configurations (acids-ircam/RAVE ``v1.gin`` + ``raspberry.gin``; NAM "nano";
mlcommons/tiny ``anomaly_detection``, its autoencoder);
the weights are random, so a report says what such a network costs and nothing about how it sounds. Each
can be had in float, W8A16 and W8A8: a graph is built op by op on a calibration signal, so that every
activation has a scale.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common import model_metadata
from common.audio import SAMPLE_RATE_HZ

OPSET, DOMAIN = 21, "vaectrol"
FORMATS = ("float", "w8a16", "w8a8")


class Wire:
    """A tensor of the graph and its values on the calibration signal.

    Attributes
    ----------
    name : as an integer tensor behind DequantizeLinear in the quantized formats.
    values : float64 [channels, frames].
    """

    def __init__(self, name: str, values: np.ndarray) -> None:
        self.name, self.values = name, values


class Builder:
    """Writes ONNX nodes in one of `FORMATS` while it computes the float values."""

    def __init__(self, form: str, seed: int) -> None:
        self.form = form
        self.rng = np.random.default_rng(seed)
        self.nodes: list[Any] = []
        self.initializers: list[Any] = []
        self._scales: dict[str, float] = {}
        self._count = 0

    def _name(self, stem: str) -> str:
        self._count += 1
        return f"{stem}_{self._count}"

    def constant(self, stem: str, values: np.ndarray) -> str:
        """Add an initializer; returns its name."""
        from onnx import numpy_helper

        name = self._name(stem)
        self.initializers.append(numpy_helper.from_array(np.array(values, order="C"), name))
        return name

    def node(self, operator: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; returns the output's name."""
        from onnx import helper

        out = self._name(operator.lower())
        self.nodes.append(
            helper.make_node(operator, inputs, [out], name=f"{out}", domain=domain, **attributes)
        )
        return out

    def quantize(self, name: str, values: np.ndarray, scale: float | None = None) -> Wire:
        """Put Quantize and Dequantize behind `name`, scaled to the largest value seen; nothing in float."""
        if self.form == "float":
            return Wire(name, values)
        limit = 32767 if self.form == "w8a16" else 127
        scale = scale or float(np.float32(max(1e-6, np.abs(values).max()) * 1.05 / limit))
        dtype = np.int16 if self.form == "w8a16" else np.int8
        at, zero = (
            self.constant("scale", np.array(scale, np.float32)),
            self.constant("zero", np.array(0, dtype)),
        )
        q = self.node("QuantizeLinear", [name, at, zero])
        out = self.node("DequantizeLinear", [q, at, zero])
        self._scales[out] = scale
        return Wire(out, values)

    def _weights(self, weights: np.ndarray, bias: np.ndarray, axis: int, x: Wire) -> tuple[str, str]:
        if self.form == "float":
            return self.constant("weight", weights.astype(np.float32)), self.constant(
                "bias", bias.astype(np.float32)
            )
        other = tuple(k for k in range(3) if k != axis)
        scale = (np.abs(weights).max(axis=other) / 127).astype(np.float32)
        shaped = scale.reshape([-1 if k == axis else 1 for k in range(3)])
        q = np.clip(np.round(weights / shaped), -127, 127).astype(np.int8)
        w = self.node(
            "DequantizeLinear",
            [
                self.constant("weight", q),
                self.constant("scale", scale),
                self.constant("zero", np.zeros_like(scale, np.int8)),
            ],
            axis=axis,
        )
        bias_scale = (scale * np.float32(self._scales[x.name])).astype(np.float32)
        qb = np.round(bias / bias_scale).astype(np.int32)
        b = self.node(
            "DequantizeLinear",
            [
                self.constant("bias", qb),
                self.constant("scale", bias_scale),
                self.constant("zero", np.zeros_like(qb)),
            ],
            axis=0,
        )
        return w, b

    def conv(self, x: Wire, outputs: int, taps: int, *, dilation: int = 1, gain: float = 1.0) -> Wire:
        """Causal convolution with random weights and bias."""
        inputs = x.values.shape[0]
        weights = self.rng.standard_normal((outputs, inputs, taps)) * gain / np.sqrt(inputs * taps)
        bias = 0.02 * self.rng.standard_normal(outputs)
        padded = np.pad(x.values, ((0, 0), ((taps - 1) * dilation, 0)))
        frames = x.values.shape[1]
        y = sum(weights[:, :, k] @ padded[:, k * dilation : k * dilation + frames] for k in range(taps))
        w, b = self._weights(weights, bias, 0, x)
        name = self.node(
            "Conv",
            [x.name, w, b],
            kernel_shape=[taps],
            dilations=[dilation],
            pads=[(taps - 1) * dilation, 0],
            strides=[1],
        )
        return self.quantize(name, y + bias[:, None])

    def upsample(self, x: Wire, outputs: int, stride: int) -> Wire:
        """Transposed convolution of 2·stride taps, its tail cropped: causal."""
        inputs, taps = x.values.shape[0], 2 * stride
        weights = self.rng.standard_normal((inputs, outputs, taps)) / np.sqrt(inputs * 2)
        bias = 0.02 * self.rng.standard_normal(outputs)
        frames = x.values.shape[1]
        y = np.zeros((outputs, frames * stride + taps - stride))
        for k in range(taps):
            y[:, k : k + frames * stride : stride] += weights[:, :, k].T @ x.values
        w, b = self._weights(weights, bias, 1, x)
        name = self.node(
            "ConvTranspose", [x.name, w, b], kernel_shape=[taps], strides=[stride], pads=[0, taps - stride]
        )
        return self.quantize(name, y[:, : frames * stride] + bias[:, None])

    def leaky(self, x: Wire, slope: float = 0.2) -> Wire:
        """LeakyRelu; keeps the scale of its input."""
        y = np.where(x.values > 0, x.values, slope * x.values)
        return self.quantize(self.node("LeakyRelu", [x.name], alpha=slope), y, self._scales.get(x.name))

    def curve(self, operator: str, x: Wire) -> Wire:
        """Tanh or Sigmoid."""
        y = np.tanh(x.values) if operator == "Tanh" else 1 / (1 + np.exp(-x.values))
        return self.quantize(self.node(operator, [x.name]), y)

    def binary(self, operator: str, a: Wire, b: Wire) -> Wire:
        """Add or Mul."""
        y = a.values + b.values if operator == "Add" else a.values * b.values
        return self.quantize(self.node(operator, [a.name, b.name]), y)

    def split(self, x: Wire, sizes: list[int]) -> list[Wire]:
        """Cut the channels; the parts keep the scale."""
        from onnx import helper

        names = [self._name("split") for _ in sizes]
        cuts = self.constant("sizes", np.array(sizes, np.int64))
        self.nodes.append(helper.make_node("Split", [x.name, cuts], names, name=names[0], axis=1))
        parts = np.split(x.values, np.cumsum(sizes)[:-1], axis=0)
        return [self.quantize(n, v, self._scales.get(x.name)) for n, v in zip(names, parts, strict=True)]

    def finish(self, name: str, ports: dict[str, Any], metadata: dict[str, Any], functions: list[Any]) -> Any:
        """Return the ModelProto."""
        from onnx import TensorProto, helper

        inputs = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, "frames"])
            for n, c in ports["in"].items()
        ]
        outputs = [
            helper.make_tensor_value_info(n, TensorProto.FLOAT, [1, c, None]) for n, c in ports["out"].items()
        ]
        graph = helper.make_graph(self.nodes, name, inputs, outputs, self.initializers)
        opsets = [helper.make_opsetid("", OPSET)]
        if functions:
            opsets.append(helper.make_opsetid(DOMAIN, 1))
        model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=10)
        model_metadata.write(model, metadata)
        return model


def _pqmf_synthesis(bands: int, taps: int) -> Any:
    from onnx import helper

    node = helper.make_node(
        "ConvTranspose", ["subbands", "bank"], ["audio"], strides=[bands], pads=[0, taps - bands]
    )
    return helper.make_function(
        DOMAIN,
        "PQMFSynthesis",
        ["subbands", "bank", "prototype"],
        ["audio"],
        [node],
        [helper.make_opsetid("", OPSET)],
        [],
    )


def raspberry(form: str = "w8a16", seed: int = 1) -> Any:
    """Return the decoder of RAVE's ``raspberry``: 128 latents at 1/2048 of the rate, 16 bands.

    Residual layers are two convolutions of 3 taps (dilation 1, 3, 5 and 1), capacity 16; the output is
    tanh(wave) × sigmoid(loudness) in 16 PQMF bands. 0.97 M parameters; 129 MMAC/s at 48 kHz besides the PQMF,
    119 at the 44.1 kHz that RAVE runs at.
    """
    b = Builder(form, seed)
    latent, bands, taps, frames = 128, 16, 512, 6
    z = b.rng.standard_normal((latent, frames))
    x = b.quantize("z", z)
    x = b.conv(x, 256, 7)
    for channels, ratio in zip((128, 64, 32, 16), (4, 4, 4, 2), strict=True):
        x = b.upsample(b.leaky(x), channels, ratio)
        for dilation in (1, 3, 5):
            y = b.conv(b.leaky(x), channels, 3, dilation=dilation)
            y = b.conv(b.leaky(y), channels, 3, gain=0.3)
            x = b.binary("Add", x, y)
    wave = b.curve("Tanh", b.conv(x, bands, 7))
    loudness = b.curve("Sigmoid", b.conv(x, 1, 3))
    subbands = b.binary("Mul", wave, loudness)
    n = np.arange(taps) - (taps - 1) / 2
    prototype = np.sinc(n / (2 * bands) * 1.1) * np.kaiser(taps, 9.0)
    prototype = (prototype / prototype.sum() * bands).astype(np.float32).astype(np.float64)
    k = np.arange(bands)[:, None]
    phase = -((-1.0) ** k) * np.pi / 4
    bank = 2 * prototype * np.cos((2 * k + 1) * np.pi / (2 * bands) * n + phase)
    audio = b.node(
        "PQMFSynthesis",
        [
            subbands.name,
            b.constant("bank", bank[:, None].astype(np.float32)),
            b.constant("prototype", prototype.astype(np.float32)),
        ],
        domain=DOMAIN,
    )
    b.nodes[-1].output[0] = "audio"
    del audio
    rate = f"1/{bands * 4 * 4 * 4 * 2}"
    metadata = _metadata("raspberry", form, [("z", "latent", rate, latent)], [("audio", 1)])
    ports = {"in": {"z": latent}, "out": {"audio": 1}}
    return b.finish(f"raspberry_{form}", ports, metadata, [_pqmf_synthesis(bands, taps)])


def nano(form: str = "w8a16", seed: int = 2) -> Any:
    """Return a network of NAM's A1-nano shape: two dilated WaveNet arrays, 732 MAC/sample."""
    b = Builder(form, seed)
    audio = b.quantize("audio", 0.5 * b.rng.standard_normal((1, 4096)))
    head: Wire | None = None
    x = b.conv(audio, 4, 1)
    arrays = ((4, [2**k for k in range(7)], 2), (2, [2 ** (k % 10) for k in (7, 8, 9, *range(10))], 1))
    for index, (channels, dilations, head_size) in enumerate(arrays):
        if index:
            x = b.conv(x, channels, 1)
        for dilation in dilations:
            mixed = b.binary("Add", b.conv(x, channels, 3, dilation=dilation), b.conv(audio, channels, 1))
            active = b.curve("Tanh", mixed)
            head = active if head is None else b.binary("Add", head, active)
            x = b.binary("Add", x, b.conv(active, channels, 1, gain=0.5))
        assert head is not None
        head = b.conv(head, head_size, 1)
    assert head is not None
    b.node("Identity", [head.name])
    b.nodes[-1].output[0] = "audio_out"
    metadata = _metadata("nano", form, [("audio", "audio", "1", 1)], [("audio_out", 1)])
    return b.finish(f"nano_{form}", {"in": {"audio": 1}, "out": {"audio_out": 1}}, metadata, [])


def tcn(form: str, channels: int, curve: str = "", seed: int = 4) -> Any:
    """Return nine convolutions of three taps, dilated up to 32, at audio rate; `curve`: "" is leaky."""
    b = Builder(form, seed)
    x = b.quantize("audio", 0.5 * b.rng.standard_normal((1, 4096)))
    x = b.conv(x, channels, 3)
    for layer in range(8):
        x = b.conv(x, channels, 3, dilation=2 ** (layer % 6))
        x = b.curve(curve, x) if curve else b.leaky(x)
    x = b.conv(x, 1, 1)
    b.node("Identity", [x.name])
    b.nodes[-1].output[0] = "audio_out"
    metadata = _metadata("tcn", form, [("audio", "audio", "1", 1)], [("audio_out", 1)])
    return b.finish(f"tcn_{channels}_{form}", {"in": {"audio": 1}, "out": {"audio_out": 1}}, metadata, [])


def anomaly(form: str = "w8a16", seed: int = 3) -> Any:
    """Return a network of the shape of MLPerf Tiny's AD: ten dense layers on 640 numbers, 264,192 MAC.

    It runs once a millisecond here, so that it can be compared by cycles a multiply-accumulate.
    """
    b = Builder(form, seed)
    x = b.quantize("spectrum", b.rng.standard_normal((640, 64)))
    for units in (*[128] * 4, 8, *[128] * 4):
        x = b.conv(x, units, 1)
        x = b.quantize(b.node("Relu", [x.name]), np.maximum(x.values, 0))
    x = b.conv(x, 640, 1)
    b.node("Identity", [x.name])
    b.nodes[-1].output[0] = "again"
    metadata = _metadata("anomaly", form, [("spectrum", "control", "1/48", 640)], [("again", 640)])
    metadata["outputs"][0] |= {
        "role": "control",
        "rate": "1/48",
        "channels": [f"again{k}" for k in range(640)],
    }
    return b.finish(f"anomaly_{form}", {"in": {"spectrum": 640}, "out": {"again": 640}}, metadata, [])


def _metadata(
    name: str, form: str, inputs: list[tuple[str, str, str, int]], outputs: list[tuple[str, int]]
) -> dict[str, Any]:
    return {
        "format": 1,
        "kind": "reference",
        "name": f"{name}_{form}",
        "part": "decoder",
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "inputs": [
            {
                "name": n,
                "role": role,
                "rate": rate,
                "range": [-3, 3],
                "channels": [f"{n}{k}" for k in range(c)],
            }
            for n, role, rate, c in inputs
        ],
        "outputs": [
            {"name": n, "role": "audio", "rate": "1", "range": [-1, 1], "channels": [n] * c}
            for n, c in outputs
        ],
        "licence": "random weights, no data",
    }


DECODERS = {"raspberry": raspberry, "nano": nano, "anomaly": anomaly}


def write_decoder(name: str, form: str, folder: Path) -> Path:
    """Write ``NAME.FORM.onnx`` into `folder`; returns its path."""
    import onnx

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{form}.onnx"
    onnx.save(DECODERS[name](form), str(path))
    return path
