"""The encoder of the per-hit drum: how a hit looks at moments close together at first, far apart later.

Four views: a log-mel picture of the first second and a half; single bins below 1.2 kHz, which tell a kick's
pitch; steps of a millisecond over the first 64 ms, which tell how it begins; the first 11 ms of the waveform.
Pictures are averaged between moments. From there a straight line leads to the latents beside a small network:
the straight one, which is close to principal components, holds for kits that were never met, where
convolutions alone learn the kits by heart. It never leaves the desktop.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.blocks import SLOPE
from train.models.hit.picture import LowPicture, MelPicture
from train.models.hit.shape import HitShape

WAVE = 512  # samples of the waveform that are looked at
DROPPED = 0.1  # part of what is seen that is withheld in training
LEAST_SPREAD = 0.05  # of a feature over the training sounds

# First frames of the moments between which each picture is averaged; the last moment ends with the picture.
WHOLE = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 64, 85, 113, 150, 200)
STROKE = (0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32, 36, 40, 48)
LOW = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 28, 36)


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
        self.whole, self.low = MelPicture(), LowPicture()
        self.stroke = MelPicture(0.064, 32, 256, 48, lowest_hz=94.0)
        pictures = ((self.whole, WHOLE), (self.low, LOW), (self.stroke, STROKE))
        for number, (picture, moments) in enumerate(pictures):
            self.register_buffer(f"between{number}", _means(picture.frames, moments), persistent=False)
        bands = (self.whole.mels, self.low.bins, self.stroke.mels)
        features = sum(b * len(m) for b, m in zip(bands, (WHOLE, LOW, STROKE), strict=True)) + WAVE
        self.register_buffer("middle", torch.zeros(features))
        self.register_buffer("spread", torch.ones(features))
        self.middle: Tensor
        self.spread: Tensor
        self.pitch = nn.Sequential(
            nn.Conv1d(self.low.bins, 48, 5, stride=2, padding=2),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(48, 48, 5, stride=4, padding=2),
            nn.LeakyReLU(SLOPE),
        )
        pitch = 48 * (1 + (self.low.frames - 1) // 8)
        self.drop = nn.Dropout(DROPPED)
        self.bent = nn.Linear(features + pitch, shape.encoder)
        self.activation = nn.LeakyReLU(SLOPE)
        self.straight = nn.Linear(features, 2 * shape.latents)
        self.head = nn.Linear(shape.encoder, 2 * shape.latents)

    def look(self, audio: Tensor) -> Views:
        """What it sees of a sound: nothing here is learnt."""
        wave = F.pad(audio[..., :WAVE], (0, max(0, WAVE - audio.shape[-1])))
        return Views(self.whole(audio), self.low(audio), self.stroke(audio), wave)

    def features(self, seen: Views) -> Tensor:
        """The pictures' means between moments, and the waveform: ``[N, features]``."""
        means = [
            (view @ getattr(self, f"between{number}")).flatten(1) for number, view in enumerate(seen[:3])
        ]
        return torch.cat([*means, seen.wave.flatten(1)], 1)

    def settle(self, seen: Views) -> None:
        """Take middle and spread of every feature from the training's sounds."""
        with torch.no_grad():
            rows = self.features(Views(*(view.float() for view in seen)))
            self.middle.copy_(rows.mean(0))
            self.spread.copy_(rows.std(0).clamp(min=LEAST_SPREAD))

    def judge(self, seen: Views) -> tuple[Tensor, Tensor]:
        """Posterior of what was seen."""
        x = self.drop((self.features(seen) - self.middle) / self.spread)
        bent = self.activation(self.bent(torch.cat([x, self.pitch(seen.low).flatten(1)], 1)))
        mean, log_variance = (self.straight(x) + self.head(bent)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each sound."""
        return self.judge(self.look(audio))


def _means(frames: int, moments: Sequence[int]) -> Tensor:
    """A matrix that averages frames between moments, ``[frames, moments]``."""
    out = torch.zeros(frames, len(moments))
    for column, (first, end) in enumerate(zip(moments, (*moments[1:], frames), strict=True)):
        out[first:end, column] = 1 / (end - first)
    return out
