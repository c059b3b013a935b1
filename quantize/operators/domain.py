"""Functions of the firmware: filter banks, counted noise and the sound of a hit, which stay float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from common.audio import SAMPLE_RATE_HZ
from quantize.graph.graph import VAECTROL_DOMAIN, Node
from quantize.operators.convolution import write_upsampling
from quantize.operators.record import Operator, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor
FRAME = 48
NOISE_BITS = 10
GOLDEN = 0x9E3779B9


def hash32(x: Tensor) -> Tensor:
    """Wellons' lowbias32 on int64 tensors that hold uint32 values (nullprogram.com/blog/2018/07/31)."""
    mask = 0xFFFFFFFF
    x = x & mask
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & mask
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & mask  # int64 wraps; the low 32 bits are right
    return x ^ (x >> 16)


def filtered_noise(node: Node, inputs: list[Any]) -> Tensor:
    """Seeded noise through a short FIR whose taps follow the frames; taps [N, B·K, T] → [N, B, T·hop]."""
    taps = inputs[0]
    bands, order = int(node.attributes["bands"]), int(node.attributes["taps"])
    hop, seed = int(node.attributes["hop"]), int(node.attributes["seed"])
    frames = taps.shape[-1]
    start = inputs[1] if len(inputs) > 1 and inputs[1] is not None else 0  # samples since reset
    m = torch.arange(1 - order, frames * hop, dtype=torch.int64) + start
    band = torch.arange(bands, dtype=torch.int64)[:, None]
    raw = hash32(m * bands + band + ((seed * 0x9E3779B9) & 0xFFFFFFFF))
    raw = torch.where(raw >= 1 << 31, raw - (1 << 32), raw)
    noise = torch.where(m < 0, torch.zeros(1, dtype=torch.float64), raw.to(torch.float64) / 2.0**31)
    noise = noise.to(taps.dtype)
    held = taps.reshape(taps.shape[0], bands, order, frames)
    y = torch.zeros(1, dtype=taps.dtype)
    for k in range(order):
        shifted = noise[:, order - 1 - k : order - 1 - k + frames * hop].reshape(1, bands, frames, hop)
        y = y + held[:, :, k, :, None] * shifted
    return y.reshape(taps.shape[0], bands, frames * hop)


def pqmf_synthesis(node: Node, inputs: list[Any]) -> Tensor:
    """Subbands [N, M, T] → audio [N, 1, T·M], causal."""
    subbands, bank = inputs[0], inputs[1]
    m = bank.shape[0]
    return F.conv_transpose1d(subbands, bank, stride=m)[..., : subbands.shape[-1] * m]


def pqmf_analysis(node: Node, inputs: list[Any]) -> Tensor:
    """Audio [N, 1, T·M] → subbands [N, M, T]; frame t ends at sample (t+1)·M − 1."""
    audio, bank = inputs[0], inputs[1]
    m, length = bank.shape[0], bank.shape[-1]
    # the bank holds impulse responses; conv1d correlates
    return F.conv1d(F.pad(audio, (length - m, 0)), bank.flip(-1), stride=m)


def hit_sound(node: Node, inputs: list[Any]) -> Tensor:
    """Modes, banded noise and a transient: (modes, glide, noise, transient) [N, C, 1] → [N, 1, S]."""
    modes, glide, noise, transient, anchors, spreads, filters, grid, fade = inputs
    samples, seed = int(node.attributes["samples"]), int(node.attributes["seed"])
    gliding = int(node.attributes["gliding"])
    audio = _tones(modes[..., 0], glide[..., 0], anchors, spreads, gliding, samples)
    audio = audio + _noise(noise[..., 0], filters, grid, samples, seed)
    stroke = transient[..., 0] * fade
    audio = audio + F.pad(stroke, (0, samples - stroke.shape[1]))
    return audio[:, None].to(modes.dtype)


def _tones(
    modes: Tensor, glide: Tensor, anchors: Tensor, spreads: Tensor, gliding: int, samples: int
) -> Tensor:
    """The gliding modes sample by sample; the others as their frames times a turn within one."""
    frequency, decay, level, cosine, sine = modes.reshape(len(modes), 5, -1).unbind(1)
    kind = modes.dtype
    hz = (anchors * torch.exp(torch.tanh(frequency) * spreads)).double()
    fall = torch.exp(torch.tanh(decay * 0.5) * -3.2) / 0.06
    level = torch.exp(level.clamp(-12.0, 1.5)) * (level > -11.49)
    level = level * torch.rsqrt(cosine**2 + sine**2 + 1e-8)
    cosine, sine = cosine * level, sine * level

    def turned(turns: Tensor) -> tuple[Tensor, Tensor]:
        angle = (2 * torch.pi * (turns - torch.floor(turns).detach())).to(kind)
        return torch.cos(angle), torch.sin(angle)

    amount = torch.exp(glide[:, :1].clamp(-6.0, 3.0) - 1.5).double()
    seconds = (0.025 * torch.exp(torch.tanh(glide[:, 1:]) * 1.6)).double()
    t = torch.arange(samples, dtype=torch.float64)[None] / SAMPLE_RATE_HZ
    warped = t + amount * seconds * (1.0 - torch.exp(-t / seconds))
    total = torch.zeros(len(modes), samples, dtype=kind)
    for k in range(gliding):
        c, s = turned(hz[:, k, None] * warped)
        wave = s * cosine[:, k, None] + c * sine[:, k, None]
        total = total + torch.exp(-t.to(kind) * fall[:, k, None]) * wave
    hz, fall, cosine, sine = (part[:, None, gliding:] for part in (hz, fall, cosine, sine))
    begin, within = (
        torch.arange(count, dtype=torch.float64)[None, :, None] * step / SAMPLE_RATE_HZ
        for count, step in ((samples // FRAME, FRAME), (FRAME, 1))
    )
    c, s = turned(hz * begin)
    slow, fast = torch.exp(-begin.to(kind) * fall), torch.exp(-within.to(kind) * fall)
    imaginary, real = (s * cosine + c * sine) * slow, (c * cosine - s * sine) * slow
    c, s = turned(hz * within)
    static = imaginary @ (c * fast).transpose(1, 2) + real @ (s * fast).transpose(1, 2)
    return total + static.reshape(len(modes), samples)


def _noise(logs: Tensor, filters: Tensor, grid: Tensor, samples: int, seed: int) -> Tensor:
    """Counted noise in bands times their gains."""
    batch, points, frames = len(logs), grid.shape[0], samples // FRAME
    logs = logs.reshape(batch, points, -1).clamp(-12.0, 2.5)
    at = torch.arange(frames + 1)
    places = grid.round().to(torch.int64)
    left = torch.searchsorted(places, at, right=True).clamp(1, points - 1) - 1
    part = ((at - places[left]) / (places[left + 1] - places[left])).to(logs.dtype)[None, :, None]
    between = logs[:, left] * (1 - part) + logs[:, left + 1] * part
    gains = (torch.exp(between) * (between > -11.9)).transpose(1, 2)  # [N, bands, frames + 1]
    start = hash32(torch.tensor((seed * GOLDEN) & 0xFFFFFFFF))
    top = hash32(torch.arange(1 - filters.shape[-1], samples) + start) >> (32 - NOISE_BITS)
    half = 1 << (NOISE_BITS - 1)
    white = torch.where(top >= half, top - 2 * half, top).to(logs.dtype) / half
    banded = F.conv1d(white[None, None], filters)[0].reshape(-1, frames, FRAME)
    older = torch.einsum("nbf,bfk->nfk", gains[..., :-1], banded)
    newer = torch.einsum("nbf,bfk->nfk", gains[..., 1:], banded)
    within = torch.arange(FRAME, dtype=logs.dtype) / FRAME
    return (older + (newer - older) * within).reshape(batch, samples)


def _write_synthesis(w: Writer, node: Node) -> None:
    """A transposed convolution by the bank."""
    out = node.outputs[0]
    x = w.as_float(node.inputs[0])
    bank = w.graph.constants[node.inputs[1]].astype(np.float32)
    weight = w.constant(f"{out}/bank", bank.transpose(1, 2, 0)[:, None])
    bias = w.constant(f"{out}/none", np.zeros(1, np.float32))
    write_upsampling(w, node, x, weight, bias, bank.shape[0], 0)


def _write_analysis(w: Writer, node: Node) -> None:
    """A convolution by the bank turned round."""
    out = node.outputs[0]
    x = w.as_float(node.inputs[0])
    bank = w.graph.constants[node.inputs[1]].astype(np.float32)[..., ::-1]
    bands, _, taps = bank.shape
    weight = w.constant(f"{out}/bank", np.ascontiguousarray(bank.transpose(0, 2, 1)[:, None]))
    bias = w.constant(f"{out}/none", np.zeros(bands, np.float32))
    x = w.padded(x, (taps - bands, 0), out)
    fields = {"padding": w.VALID, "strideH": 1, "strideW": bands}
    w.add("CONV_2D", [x, weight, bias], [w.result(out)], "Conv2DOptions", **fields)


def _write_noise(w: Writer, node: Node) -> None:
    """Taps times stored noise: exact, since the noise is counted and the length is fixed."""
    out = node.outputs[0]
    x = w.as_float(node.inputs[0])
    bands, order = int(node.attributes["bands"]), int(node.attributes["taps"])
    hop, seed = int(node.attributes["hop"]), int(node.attributes["seed"])
    frames = w.shapes[node.inputs[0]][2]
    n = torch.arange(frames * hop, dtype=torch.int64)
    raw = hash32(n[:, None] * bands + torch.arange(bands) + ((seed * 0x9E3779B9) & 0xFFFFFFFF)).numpy()
    noise = (np.where(raw >= 1 << 31, raw - (1 << 32), raw) / 2.0**31).astype(np.float32)
    total: int | None = None
    for k in range(order):
        shifted = np.zeros_like(noise)
        shifted[k:] = noise[: len(noise) - k]
        corners = [
            w.constant(f"{out}/{label}{k}", np.array([0, 0, 0, value], np.int32))
            for label, value in (("from", k), ("to", bands * order), ("step", order))
        ]
        corners[2] = w.constant(f"{out}/steps{k}", np.array([1, 1, 1, order], np.int32))
        taken = w.tensor(f"{out}/tap{k}", [1, 1, frames, bands], w.FLOAT)
        w.add(
            "STRIDED_SLICE", [x, *corners], [taken], "StridedSliceOptions", beginMask=0b0111, endMask=0b0111
        )
        if hop > 1:
            held = w.tensor(f"{out}/held{k}", [1, 1, frames * hop, bands], w.FLOAT)
            size = w.constant(f"{out}/size{k}", np.array([1, frames * hop], np.int32))
            w.add("RESIZE_NEAREST_NEIGHBOR", [taken, size], [held], "ResizeNearestNeighborOptions")
            taken = held
        stored = w.constant(f"{out}/noise{k}", shifted[None, None])
        last, shape = k == order - 1, [1, 1, frames * hop, bands]
        whole = last and total is None
        product = w.result(out) if whole else w.tensor(f"{out}/product{k}", shape, w.FLOAT)
        w.add("MUL", [taken, stored], [product], "MulOptions")
        if total is None:
            total = product
            continue
        added = w.result(out) if last else w.tensor(f"{out}/sum{k}", shape, w.FLOAT)
        w.add("ADD", [total, product], [added], "AddOptions")
        total = added


register(
    Operator("PQMFSynthesis", pqmf_synthesis, VAECTROL_DOMAIN, tflite=_write_synthesis),
    Operator("PQMFAnalysis", pqmf_analysis, VAECTROL_DOMAIN, tflite=_write_analysis),
    Operator("FilteredNoise", filtered_noise, VAECTROL_DOMAIN, counted=True, tflite=_write_noise),
    Operator("HitSound", hit_sound, VAECTROL_DOMAIN, operands=lambda node: node.inputs[:4], sounds=True),
)
