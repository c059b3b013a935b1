"""Functions of the firmware: filter banks and counted noise, which stay float."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F

from quantize.graph.graph import VAECTROL_DOMAIN, Node
from quantize.operators.convolution import write_upsampling
from quantize.operators.record import Operator, register

if TYPE_CHECKING:
    from quantize.formats.tflite_writer import Writer

Tensor = torch.Tensor


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
)
