"""Networks as a stranger exports them from torch: they run, or one sentence says what to use instead."""

from __future__ import annotations

import io
import logging
import re

import numpy as np
import onnx
import pytest

from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.pipeline import compile_onnx

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402

FRAMES = 48


class Around(nn.Module):
    """A convolution on either side of what is tried."""

    def __init__(self, inner: nn.Module, middle: int = 6, after: int = 6):
        super().__init__()
        self.before, self.inner = nn.Conv1d(2, middle, 3, padding=1), inner
        self.after = nn.Conv1d(after, 1, 3, padding=1)

    def forward(self, x):
        return self.after(self.inner(self.before(x)))


class Function(nn.Module):
    """A function as a module."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def forward(self, x):
        return self.function(x)


class WaveNet(nn.Module):
    """Gated dilated layers, residuals and summed skips, padded on the left."""

    def __init__(self, width: int = 6):
        super().__init__()
        self.inlet, self.outlet = nn.Conv1d(2, width, 1), nn.Conv1d(width, 1, 1)
        self.layers = nn.ModuleList(nn.Conv1d(width, 2 * width, 2, dilation=2**k) for k in range(4))
        self.mixes = nn.ModuleList(nn.Conv1d(width, width, 1) for _ in range(4))

    def forward(self, x):
        x, skips = self.inlet(x), 0
        for k, (layer, mix) in enumerate(zip(self.layers, self.mixes, strict=True)):
            value, gate = layer(F.pad(x, (2**k, 0))).chunk(2, 1)
            bent = torch.tanh(value) * torch.sigmoid(gate)
            skips, x = skips + bent, x + mix(bent)
        return self.outlet(torch.relu(skips))


class Unpadded(nn.Module):
    """Convolutions without padding; what skips them is cropped to their length."""

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv1d(2, 2, 3, dilation=2**k) for k in range(3))

    def forward(self, x):
        for layer in self.layers:
            bent = torch.tanh(layer(x))
            x = x[..., -bent.shape[-1] :] + bent
        return x


class Tcn(nn.Module):
    """Weight-normed convolutions padded on both sides and chomped, dropout, a residual."""

    def __init__(self):
        super().__init__()
        norm = nn.utils.parametrizations.weight_norm
        self.first = norm(nn.Conv1d(2, 8, 3, padding=4, dilation=2))
        self.second = norm(nn.Conv1d(8, 8, 3, padding=8, dilation=4))
        self.skip = nn.Conv1d(2, 8, 1)

    def forward(self, x):
        h = F.dropout(F.relu(self.first(x)[:, :, :-4]), 0.1, self.training)
        return F.relu(F.relu(self.second(h)[:, :, :-8]) + self.skip(x))


class UNet(nn.Module):
    """Down by strides, up by transposed convolutions, one skip."""

    def __init__(self):
        super().__init__()
        self.down = nn.Sequential(nn.Conv1d(2, 8, 4, stride=2, padding=1), nn.BatchNorm1d(8), nn.ReLU6())
        self.deep = nn.Sequential(nn.Conv1d(8, 16, 4, stride=2, padding=1), nn.LeakyReLU(0.2))
        self.up = nn.ConvTranspose1d(16, 8, 4, stride=2, padding=1)
        self.last = nn.ConvTranspose1d(16, 1, 4, stride=2, padding=1)

    def forward(self, x):
        half = self.down(x)
        return torch.tanh(self.last(torch.cat([F.silu(self.up(self.deep(half))), half], 1)))


class Separable(nn.Module):
    """Depthwise, grouped and pointwise convolutions, a slope per channel, a gated half."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(2, 2, 5, padding=2, groups=2),
            nn.Conv1d(2, 12, 1),
            nn.PReLU(12),
            nn.Conv1d(12, 12, 3, padding=1, groups=4),
            nn.GLU(1),
            nn.Hardtanh(),
            nn.Conv1d(6, 1, 1),
        )

    def forward(self, x):
        return self.net(x)


class Recurrent(nn.Module):
    """A GRU between transposes and a dense layer."""

    def __init__(self, kind=nn.GRU):
        super().__init__()
        self.cell, self.dense = kind(2, 5, batch_first=True), nn.Linear(5, 1)

    def forward(self, x):
        return self.dense(self.cell(x.transpose(1, 2))[0]).transpose(1, 2)


def interleaved(x):
    """Sub-pixel upsampling by 3."""
    batch, channels, frames = x.shape
    return (
        x.view(batch, channels // 3, 3, frames).permute(0, 1, 3, 2).reshape(batch, channels // 3, 3 * frames)
    )


class Attention(nn.Module):
    """Self-attention over the signal."""

    def __init__(self):
        super().__init__()
        self.heads = nn.MultiheadAttention(6, 2, batch_first=True)

    def forward(self, x):
        h = x.transpose(1, 2)
        return self.heads(h, h, h, need_weights=False)[0].transpose(1, 2)


RUN = {
    "wavenet": WaveNet,
    "unpadded": Unpadded,
    "tcn": Tcn,
    "unet": UNet,
    "separable": Separable,
    "gru": Recurrent,
    "lstm": lambda: Recurrent(nn.LSTM),
    "gelu": lambda: Around(nn.Sequential(nn.GELU(), nn.GELU(approximate="tanh"))),
    "elu": lambda: Around(nn.Sequential(nn.ELU(0.7), nn.SELU(), nn.CELU(0.5))),
    "swish": lambda: Around(nn.Sequential(nn.Hardswish(), nn.Mish(), nn.SiLU())),
    "abs": lambda: Around(Function(torch.abs)),
    "snake": lambda: Around(Function(lambda x: x + torch.sin(1.5 * x) ** 2 / 1.5)),
    "average": lambda: Around(nn.Sequential(nn.AvgPool1d(2), nn.AvgPool1d(3, stride=1, padding=1))),
    "largest": lambda: Around(nn.MaxPool1d(3)),
    "subpixel": lambda: Around(Function(interleaved), after=2),
    "nearest": lambda: Around(nn.Upsample(scale_factor=4, mode="nearest")),
}
REFUSED = {
    "groupnorm": (lambda: Around(nn.GroupNorm(2, 6)), "use BatchNormalization"),
    "squeeze": (lambda: Around(Function(lambda x: x * x.mean(-1, keepdim=True))), "a stream has no end"),
    "attention": (lambda: Around(Attention()), "attention|stream"),
    "reflect": (lambda: Around(nn.Conv1d(6, 6, 5, padding=2, padding_mode="reflect")), "pad with zeros"),
    "overlap": (lambda: Around(nn.MaxPool1d(3, stride=2, padding=1)), "strided Conv"),
    "softmax": (lambda: Around(nn.Softmax(1)), "use Sigmoid"),
    "softsign": (lambda: Around(nn.Softsign()), "multiply by a gain instead|use Tanh"),
    "corners": (
        lambda: Around(nn.Upsample(scale_factor=2, mode="linear", align_corners=True)),
        "nearest|no mult",
    ),
}


def exported(net: nn.Module, dynamo: bool) -> onnx.ModelProto:
    """Export by one of torch's two exporters, with a dynamic time axis."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    x = torch.zeros(1, 2, FRAMES)
    if dynamo:
        frames = {2: 12 * torch.export.Dim("blocks", min=2, max=1 << 16)}
        made = torch.onnx.export(net, (x,), dynamo=True, dynamic_shapes=(frames,), verbose=False)
        assert made is not None
        return made.model_proto
    file = io.BytesIO()
    axes = {"x": {2: "frames"}, "y": {2: "heard"}}
    torch.onnx.export(net, (x,), file, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return onnx.load_from_string(file.getvalue())


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*RUN])
def test_a_foreign_network_runs(name, capsys):
    torch.manual_seed(3)
    net = RUN[name]().eval()
    program = compile_onnx(exported(net, dynamo=sorted(RUN).index(name) % 2 == 0))
    source, heard = program.report["ports"]
    assert (source["direction"], heard["direction"]) == ("input", "output")
    x = torch.randn(1, 2, FRAMES)
    with torch.no_grad():
        truth = net(x)[0].numpy()
    model = load_host(program)
    late = heard["latency_ticks"] // heard["period_ticks"]
    found = model.process({source["label"]: x.numpy()}, FRAMES * source["period_ticks"])[heard["label"]]
    found = found[:, late:]
    frames = min(found.shape[1], truth.shape[1])
    assert frames >= FRAMES // 6 - 4
    np.testing.assert_allclose(found[:, :frames], truth[:, :frames], atol=1e-5)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [*REFUSED])
def test_what_cannot_stream_is_refused_in_one_helpful_sentence(name, capsys):
    make, advice = REFUSED[name]
    with pytest.raises(Refusal) as refusal:
        compile_onnx(exported(make().eval(), dynamo=False))
    text = str(refusal.value)
    assert re.search(advice, text), text
    assert text.startswith("node '")
    assert text.endswith(".")
    assert "\n" not in text
    assert len(text) < 330
