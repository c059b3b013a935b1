"""The encoder of the per-hit drum: it looks at the whole hit, its low end, its stroke and waveform.

A log-mel picture of the first second and a half tells the sound; single bins below 1.2 kHz tell a kick's
pitch and where it glides; steps of a millisecond over the first 64 ms tell how it begins; the first 11 ms of
the waveform tell the phases. It never leaves the desktop.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.blocks import SLOPE
from train.models.hit.picture import LowPicture, MelPicture
from train.models.hit.shape import HitShape

WAVE = 512  # samples of the waveform that are looked at


class Views(NamedTuple):
    """What the encoder looks at: three pictures ``[N, bands, frames]`` and ``[N, 1, WAVE]``."""

    whole: Tensor
    low: Tensor
    stroke: Tensor
    wave: Tensor


class HitEncoder(nn.Module):
    """Audio ``[N, 1, S]`` to the posterior's ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: HitShape):
        super().__init__()
        width = shape.encoder
        narrow = width - width // 4
        self.whole, self.low = MelPicture(), LowPicture()
        self.stroke = MelPicture(0.064, 32, 256, 48, lowest_hz=94.0)
        self.whole_body = _body(self.whole.mels, (narrow, width, width, width))
        self.low_body = _body(self.low.bins, (narrow, narrow, narrow))
        self.stroke_body = _body(self.stroke.mels, (narrow - 8, narrow - 8))
        self.wave_body = nn.Sequential(
            nn.Conv1d(1, 16, 16, stride=8, padding=4),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(16, 16, 5, stride=4, padding=2),
            nn.LeakyReLU(SLOPE),
        )
        features = width * _after(self.whole.frames, 4) + narrow * _after(self.low.frames, 3)
        features += (narrow - 8) * _after(self.stroke.frames, 2) + 16 * (WAVE // 32)
        self.head = nn.Linear(features, 2 * shape.latents)

    def look(self, audio: Tensor) -> Views:
        """What it sees of a sound: nothing here is learnt."""
        wave = F.pad(audio[..., :WAVE], (0, max(0, WAVE - audio.shape[-1])))
        return Views(self.whole(audio), self.low(audio), self.stroke(audio), wave)

    def judge(self, seen: Views) -> tuple[Tensor, Tensor]:
        """Posterior of what was seen."""
        bodies = (self.whole_body, self.low_body, self.stroke_body, self.wave_body)
        parts = [body(view) for body, view in zip(bodies, seen, strict=True)]
        mean, log_variance = self.head(torch.cat([p.flatten(1) for p in parts], 1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each sound."""
        return self.judge(self.look(audio))


def _body(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Convolutions that halve the frames each time."""
    layers: list[nn.Module] = []
    for out in widths:
        layers += [
            nn.Conv1d(channels, out, 5, stride=2, padding=2),
            nn.GroupNorm(4, out),
            nn.LeakyReLU(SLOPE),
        ]
        channels = out
    return nn.Sequential(*layers)


def _after(frames: int, halvings: int) -> int:
    for _ in range(halvings):
        frames = (frames + 1) // 2
    return frames
