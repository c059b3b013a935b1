"""A drum's sound from what its network says of a hit: stays float, and trains through."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F

from common.audio import SAMPLE_RATE_HZ
from quantize.graph.graph import VAECTROL_DOMAIN, Node
from quantize.operators.domain import hash32
from quantize.operators.record import Operator, register

Tensor = torch.Tensor
FRAME = 48
NOISE_BITS = 10
GOLDEN = 0x9E3779B9


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


register(Operator("HitSound", hit_sound, VAECTROL_DOMAIN, operands=lambda node: node.inputs[:4], sounds=True))
