"""The networks of a voice: frames of a note to z, z and control to the numbers of a bank of harmonics.

    analysed frames ─ convolutions ─ pooled ─ z [Z] ─┐
                    pitch, loudness, gate, age ──────┴─ causal convolutions ─ numbers ─ HarmonicBank ─ audio

z is the timbre of a whole note. Everything that a hand or a curve does, the control says.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.models.blocks import SLOPE, CausalConv, Residual, pooled, reader
from train.models.hit.shape import NOISE_LOWEST
from train.models.voice.bank import HarmonicBank
from train.models.voice.shape import (
    AGES_S,
    BANDS,
    BEND,
    CONTROLS,
    FRAMES_PER_S,
    HARMONICS,
    LOG_PER_DB,
    LOUDNESS_DB,
    LOWEST_LOG,
    PITCH_HZ,
    VoiceShape,
)

SEEN_FRAMES, SEEN_EVERY = 128, 4
"""What the encoder reads: every fourth frame of two seconds."""
SEEN = HARMONICS + BANDS + 2
LOUDEST_PART, QUIETEST_PART, PART_SCALE = 6.0, -12.0, 0.25
"""Of log levels less the loudness, as the encoder sees them."""


def control_of(f0: Tensor, loudness: Tensor, first: Tensor, held: Tensor) -> Tensor:
    """The control ``[N, C, T]`` of a stretch of a note.

    Parameters
    ----------
    f0, loudness : Tensor, shape (N, T)
        Hz, dB.
    first, held : Tensor, shape (N,)
        Which frame of its note the stretch begins at; how many frames the note is held.
    """
    octaves = torch.log2(f0 / PITCH_HZ)
    bend = torch.diff(octaves, dim=1, prepend=octaves[:, :1]) * BEND
    frame = first[:, None] + torch.arange(f0.shape[1])
    ages = torch.tensor(AGES_S)[:, None]
    age = torch.exp(-(frame[:, None] / FRAMES_PER_S) / ages)
    gate = (frame < held[:, None]).float()
    rows = torch.stack([octaves, bend, (loudness + LOUDNESS_DB) / LOUDNESS_DB, gate], 1)
    return torch.cat([rows, age], 1)


def seen_of(f0: Tensor, loudness: Tensor, harmonics: Tensor, noise: Tensor) -> Tensor:
    """What the encoder reads of a note, ``[SEEN, SEEN_FRAMES]``.

    Parameters
    ----------
    f0, loudness : Tensor, shape (T,)
    harmonics, noise : Tensor, shape (T, HARMONICS), (T, BANDS)
        Log levels.
    """
    part = slice(0, SEEN_FRAMES * SEEN_EVERY, SEEN_EVERY)
    f0, loudness, harmonics, noise = f0[part], loudness[part], harmonics[part], noise[part]
    level = (loudness * LOG_PER_DB)[:, None]
    harmonics = torch.where(harmonics <= LOWEST_LOG, QUIETEST_PART, harmonics - level)
    noise = torch.where(noise <= NOISE_LOWEST, QUIETEST_PART, noise - level)
    parts = torch.cat([harmonics, noise], 1).clamp(QUIETEST_PART, LOUDEST_PART) * PART_SCALE
    told = torch.stack([torch.log2(f0 / PITCH_HZ), (loudness + LOUDNESS_DB) / LOUDNESS_DB], 1)
    seen = torch.cat([parts, told], 1).T
    missing = SEEN_FRAMES - seen.shape[1]
    if missing > 0:
        end = torch.full((SEEN, 1), QUIETEST_PART * PART_SCALE)
        end[-2], end[-1] = seen[-2, -1], -1.0
        seen = torch.cat([seen, end.expand(-1, missing)], 1)
    return seen


class VoiceEncoder(nn.Module):
    """Frames ``[N, SEEN, SEEN_FRAMES]`` to the posterior's ``(mean, log-variance)``, each ``[N, Z]``."""

    def __init__(self, shape: VoiceShape):
        super().__init__()
        width = shape.encoder
        self.layers = reader(SEEN, width)
        self.inner = nn.Sequential(nn.Linear(3 * width, width), nn.LeakyReLU(SLOPE))
        self.mean = nn.Linear(width, shape.latents)
        self.log_variance = nn.Linear(width, shape.latents)

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor]:
        """Read the whole note, its strongest moments and its beginning."""
        h = self.layers(seen)
        read = self.inner(pooled(h))
        return self.mean(read), self.log_variance(read).clamp(-8.0, 3.0)


class VoiceNetwork(nn.Module):
    """``z [N, Z, T]`` and control ``[N, C, T]`` to numbers ``[N, K + B, T]``; causal."""

    FIRST_TONE, FIRST_NOISE = -5.0, -9.0

    def __init__(self, shape: VoiceShape):
        super().__init__()
        self.inlet = CausalConv(shape.latents + len(CONTROLS), shape.width, 1)
        self.layers = nn.Sequential(
            *(Residual(shape.width, 3, d) for d in shape.dilations), nn.LeakyReLU(SLOPE)
        )
        self.outlet = nn.Conv1d(shape.width, shape.answers, 1)
        with torch.no_grad():
            assert self.outlet.bias is not None
            self.outlet.bias[:HARMONICS] = self.FIRST_TONE
            self.outlet.bias[HARMONICS:] = self.FIRST_NOISE

    def forward(self, z: Tensor, control: Tensor) -> Tensor:
        """Say the levels."""
        return self.outlet(self.layers(self.inlet(torch.cat([z, control], 1))))


class VoiceDecoder(nn.Module):
    """``latent [N, Z, T]`` and control ``[N, C, T]`` to ``audio [N, 1, 192·T]``."""

    def __init__(self, shape: VoiceShape):
        super().__init__()
        self.network: nn.Module = VoiceNetwork(shape)
        self.sound = HarmonicBank()

    def forward(self, z: Tensor, control: Tensor) -> Tensor:
        """Sound."""
        return self.sound(self.network(z, control), control)


class VoiceVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: VoiceShape):
        super().__init__()
        self.shape = shape
        self.encoder = VoiceEncoder(shape)
        self.decoder = VoiceDecoder(shape)
