"""A small torch module whose tensors lie and are called as in an export of RAVE v1, scripted by torch itself.

It is written from the paper and from the names in exported files. What it computes is torch's: convolutions,
normalisation, and a bank applied sample by sample.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BANDS, TAPS = 4, 32


def padding(taps: int, dilation: int, is_causal: bool) -> tuple[int, int]:
    reach = (taps - 1) * dilation
    after = 0 if is_causal else (reach + 1) // 2
    return reach - after, after


class Conv(nn.Conv1d):
    """Zeros around, then torch's convolution."""

    def __init__(self, inputs, outputs, taps, causal, stride=1, dilation=1, groups=1):
        super().__init__(inputs, outputs, taps, stride, 0, dilation, groups, bias=False)
        self._pad = padding(taps, dilation, causal)

    def forward(self, x):
        return self._conv_forward(F.pad(x, self._pad), self.weight, self.bias)


class Pair(nn.Module):
    def __init__(self, width, dilation, causal):
        super().__init__()
        leaky = nn.LeakyReLU(0.2)
        convs = Conv(width, width, 3, causal, dilation=dilation), Conv(width, width, 3, causal)
        inner = nn.Sequential(leaky, convs[0], leaky, convs[1])
        self.net = holder(aligned=holder(branches=nn.ModuleList([inner, nn.Identity()])))

    @torch.jit.unused
    def forward(self, x):
        return x + self.net.aligned.branches[0](x)


class Stack(nn.Module):
    def __init__(self, width, causal):
        super().__init__()
        block = holder(net=nn.Sequential(*[Pair(width, d, causal) for d in (1, 3)]))
        self.net = holder(branches=nn.ModuleList([block]))

    @torch.jit.unused
    def forward(self, x):
        for block in self.net.branches:
            x = block.net(x)
        return x


class Up(nn.Module):
    def __init__(self, inputs, outputs, ratio):
        super().__init__()
        up = nn.ConvTranspose1d(inputs, outputs, 2 * ratio, ratio, ratio // 2, bias=False)
        self.net = nn.Sequential(nn.LeakyReLU(0.2), up)

    @torch.jit.unused
    def forward(self, x):
        return self.net(x)


def holder(**children) -> nn.Module:
    found = nn.Module()
    for name, child in children.items():
        found.add_module(name, child)
    return found


class Pqmf(nn.Module):
    def __init__(self, causal):
        super().__init__()
        k, t = np.arange(BANDS)[:, None], np.arange(TAPS)[None] - TAPS // 2
        low = np.hanning(TAPS + 2)[1:-1] / TAPS
        phase = (-1.0) ** k * np.pi / 4
        bank = 2 * low * np.cos((2 * k + 1) * np.pi / (2 * BANDS) * t + phase)
        bank[:, :5] = bank[:, -4:] = 0.0  # as a prototype that was filled up
        self.register_buffer("hk", torch.tensor(bank, dtype=torch.float32))
        self.before = TAPS if causal else TAPS // 2


class Rave(nn.Module):
    """Encode and decode; `shape` says what of a newer version it has."""

    def __init__(self, causal=False, latents=6, kept=4, width=4, noise=False, channels=1, ratios=(4, 2)):
        super().__init__()
        self.sr, self.n_channels, self.target_channels = 44_100, channels, channels
        self.latent_size, self.input_mode, self.resampler = kept, "pqmf", None
        self.pqmf = Pqmf(causal)
        net: list[nn.Module] = [Conv(BANDS, width, 7, causal)]
        for ratio in ratios:
            net += [nn.BatchNorm1d(width), nn.LeakyReLU(0.2)]
            net.append(Conv(width, 2 * width, 2 * ratio + 1, causal, stride=ratio))
            width *= 2
        net += [nn.LeakyReLU(0.2), Conv(width, 2 * latents, 5, causal, groups=2)]
        self.encoder = holder(encoder=holder(net=nn.Sequential(*net)))
        back: list[nn.Module] = [Conv(latents, width, 7, causal)]
        for ratio in reversed(ratios):
            back += [Up(width, width // 2, ratio), Stack(width // 2, causal)]
            width //= 2
        synth = [Conv(width, BANDS, 7, causal), Conv(width, 1, 3, causal)]
        synth += [Conv(width, BANDS, 3, causal)] if noise else []
        self.decoder = holder(net=nn.Sequential(*back), synth=holder(branches=nn.ModuleList(synth)))
        self.register_buffer("latent_pca", torch.linalg.qr(torch.randn(latents, latents))[0])
        self.register_buffer("latent_mean", 0.3 * torch.randn(latents))
        for module in self.modules():
            if isinstance(module, nn.BatchNorm1d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 2)
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.normal_(module.bias, 0, 0.1)

    def forward(self, x):
        return self.encoder.encoder.net(x)

    @torch.no_grad()
    def encoded(self, x: np.ndarray) -> np.ndarray:
        """Audio [samples] → latents [kept, frames]: the mean, on its axes."""
        bank = self.pqmf.hk.numpy().astype(np.float64)
        padded = np.pad(x, (self.pqmf.before, TAPS))
        frames = len(x) // BANDS
        bands = np.stack([bank @ padded[t * BANDS : t * BANDS + TAPS] for t in range(frames)], 1)
        bands[1::2, ::2] *= -1
        told = self.encoder.encoder.net(torch.tensor(bands[None], dtype=torch.float32))[0]
        mean = told[: len(self.latent_mean)] - self.latent_mean[:, None]
        return (self.latent_pca @ mean)[: self.latent_size].numpy()

    @torch.no_grad()
    def decoded(self, z: np.ndarray) -> np.ndarray:
        """Latents [kept, frames] → audio; what was left out is at its mean."""
        full = (
            self.latent_pca.T[:, : len(z)] @ torch.tensor(z, dtype=torch.float32) + self.latent_mean[:, None]
        )
        x = self.decoder.net(full[None])
        wave, loud, *_ = [branch(x) for branch in self.decoder.synth.branches]
        bands = (torch.tanh(wave) * 2 * torch.sigmoid(loud) ** 2.3)[0].numpy().astype(np.float64)
        bands[1::2, ::2] *= -1
        sound = np.zeros(bands.shape[1] * BANDS + 2 * TAPS)
        for t in range(bands.shape[1]):  # the bank's answer to a frame begins so much later
            start = t * BANDS + TAPS - (TAPS - BANDS - self.pqmf.before)
            sound[start : start + TAPS] += BANDS * (bands[:, t] @ self.pqmf.hk.numpy())
        return sound[TAPS : TAPS + bands.shape[1] * BANDS]


def exported(path: Path, model: nn.Module) -> Path:
    """Script and save."""
    torch.jit.script(model.eval()).save(str(path))
    return path
