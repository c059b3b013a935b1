"""The sound of a voice: harmonics of one pitch and bands of noise, whose levels a network says.

Of every frame t of 192 samples the network says K + B numbers, and the control says octaves above 220 Hz and
the loudness. Levels and pitch are those at the frame's end; they are told again at the end of every quarter
of it, q = 1 … 4, which is 48 samples:

    A_t[k]    exp(clamp(o_k + ℓ, −14, 1)); 0 where o_k + ℓ ≤ −13.9
    s_t       step of the phase, whole: 220 · 2^octaves · 2^32 / 48000
    s_q       s_{t−1} + ⌊(s_t − s_{t−1}) · q / 4⌋
    a_q[k]    (A_{t−1}[k] + (A_t[k] − A_{t−1}[k]) · q / 4) · fade(k · s_q)
    fade(s)   clamp((0.47 · 2^32 − s) / (0.05 · 2^32), 0, 1)
    g_q[b]    exp(n_b between that of t − 1 and that of t); 0 where ≤ −11.9, clamped to −12 … 2.5
    out[i]    Σ_k (a + (a' − a) · i / 48) · sin(2π · k · φ_i / 2^32) + Σ_b (g + (g' − g) · i / 48) · u_b[i]
    φ_i       φ_{i−1} + s + ⌊(s' − s) / 48⌋₀ · i

with a, g, s of the quarter's begin, a', g', s' of its end, i = 0 … 47, ⌊·⌋₀ rounded to zero, and everything
silent before frame 0. The phase is a whole number, so that it is the same on every machine. u_b is white
noise through the band's filter, as in ``train/models/hit/sound.py``. A sum of harmonics whose levels a
network says is DDSP (Engel et al. 2020).
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from train.models.domain import domain_node
from train.models.hit.bands import band_filters
from train.models.hit.shape import NOISE_HIGHEST, NOISE_LOWEST, NOISE_OFF
from train.models.hit.sound import hit_noise
from train.models.source_filter.sound import TURN, wrapped
from train.models.voice.shape import (
    BANDS,
    FADE_FROM,
    FADE_TO,
    HARMONICS,
    HIGHEST_LOG,
    HIGHEST_OCTAVE,
    HOP,
    LOG_PER_DB,
    LOUDNESS_DB,
    LOWEST_LOG,
    LOWEST_OCTAVE,
    PITCH_HZ,
    TAPS,
)

QUARTER = 48
QUARTERS = HOP // QUARTER
LEVEL_OFF = LOWEST_LOG + 0.1
BANK_QUARTERS = 10_240
"""Some ten seconds of banded noise to train with."""


def log_loudness(control: Tensor) -> Tensor:
    """Natural log of the level that a control ``[N, C, T]`` asks for, ``[N, 1, T]``."""
    return (control[:, 2:3] * LOUDNESS_DB - LOUDNESS_DB) * LOG_PER_DB


def steps_of(octaves: Tensor) -> Tensor:
    """Step of the phase, int64, of octaves above 220 Hz."""
    hz = PITCH_HZ * torch.exp2(octaves.clamp(LOWEST_OCTAVE, HIGHEST_OCTAVE))
    return (hz * (TURN / SAMPLE_RATE_HZ)).to(torch.int64)


def before(x: Tensor, first: Tensor) -> Tensor:
    """The frame before each, ``first`` before the first; time is the last axis."""
    return torch.cat([first, x[..., :-1]], -1)


class HarmonicBank(nn.Module):
    """Numbers ``[N, K + B, T]`` and control ``[N, C, T]`` to a sound ``[N, 1, 192·T]``; causal.

    Parameters
    ----------
    harmonics, bands : int
        K and B.
    seed : int
        Which noise is made outside training.
    """

    def __init__(self, harmonics: int = HARMONICS, bands: int = BANDS, seed: int = 1):
        super().__init__()
        self.harmonics, self.bands, self.seed = harmonics, bands, seed
        filters = torch.from_numpy(np.ascontiguousarray(band_filters(bands, TAPS)[:, ::-1]))
        self.register_buffer("filters", filters[:, None], persistent=False)
        self.register_buffer("order", torch.arange(1, harmonics + 1), persistent=False)
        self.register_buffer("within", torch.arange(QUARTER) / QUARTER, persistent=False)
        self.filters: Tensor
        self.order: Tensor
        self.within: Tensor
        self._bank: Tensor | None = None

    def forward(self, numbers: Tensor, control: Tensor) -> Tensor:
        """Sound."""
        if torch.onnx.is_in_onnx_export():
            attributes = {"harmonics": self.harmonics, "hop": HOP, "seed": self.seed}
            shape = (numbers.shape[0], 1, numbers.shape[2] * HOP)
            return domain_node("HarmonicBank", (numbers, control, self.filters), attributes, shape)
        level = log_loudness(control)
        tones, noise = numbers[:, : self.harmonics] + level, numbers[:, self.harmonics :] + level
        made = self.tones(tones, control[:, 0]) + self.hiss(noise)
        return made.reshape(len(numbers), 1, -1)

    # Harmonics ------------------------------------------------------------------------------------

    def tones(self, logs: Tensor, octaves: Tensor) -> Tensor:
        """Harmonics of log amplitudes ``[N, K, T]`` at octaves ``[N, T]``: ``[N, quarters, 48]``."""
        step = steps_of(octaves)
        older = before(step, step[:, :1])
        q = torch.arange(1, QUARTERS + 1, device=step.device)
        ends = (older[..., None] + ((step - older)[..., None] * q >> 2)).flatten(1)  # [N, 4T]
        begins = before(ends, step[:, :1])
        bend = torch.div(ends - begins, QUARTER, rounding_mode="trunc")
        i = torch.arange(QUARTER, device=step.device)
        phase = torch.cumsum((begins[..., None] + bend[..., None] * i).flatten(1), 1)  # [N, S]
        levels = self.levels(logs, ends)
        kept = int((levels.detach().amax((0, 2)) > 0).sum().clamp(min=1))
        wave = self.sines(phase, kept).to(logs.dtype)
        wave = wave.unflatten(2, (-1, QUARTER))  # [N, K, 4T, 48]
        levels = levels[:, :kept]
        old = torch.einsum("nkf,nkfi->nfi", before(levels, torch.zeros_like(levels[..., :1])), wave)
        new = torch.einsum("nkf,nkfi->nfi", levels, wave)
        return old + (new - old) * self.within.to(logs.dtype)

    @staticmethod
    def sines(phase: Tensor, kept: int) -> Tensor:
        """Sines of the first harmonics, ``[N, kept, S]``, each the one before turned by the phase."""
        angle = wrapped(phase).float() * (2 * torch.pi / TURN)
        first = torch.polar(torch.ones_like(angle), angle)
        turned = [first]
        for _ in range(1, kept):
            turned.append(turned[-1] * first)
        return torch.stack([one.imag for one in turned], 1)

    def levels(self, logs: Tensor, ends: Tensor) -> Tensor:
        """Amplitudes at the end of every quarter, ``[N, K, 4T]``, of steps ``[N, 4T]`` there."""
        amplitude = torch.exp(logs.clamp(LOWEST_LOG, HIGHEST_LOG)) * (logs > LEVEL_OFF)
        older = before(amplitude, torch.zeros_like(amplitude[..., :1]))
        q = torch.arange(1, QUARTERS + 1, device=logs.device, dtype=logs.dtype) / QUARTERS
        between = (older[..., None] + (amplitude - older)[..., None] * q).flatten(2)
        return between * self.fade(ends[:, None] * self.order[:, None]).to(logs.dtype)

    @staticmethod
    def fade(steps: Tensor) -> Tensor:
        """How much of a harmonic whose phase goes by ``steps`` is left below half the sample rate."""
        return ((FADE_TO * TURN - steps) / ((FADE_TO - FADE_FROM) * TURN)).clamp(0, 1)

    # Noise ----------------------------------------------------------------------------------------

    def hiss(self, logs: Tensor) -> Tensor:
        """Noise of log gains ``[N, B, T]``: ``[N, quarters, 48]``."""
        logs = logs.clamp(NOISE_LOWEST, NOISE_HIGHEST)
        older = before(logs, torch.full_like(logs[..., :1], NOISE_LOWEST))
        q = torch.arange(1, QUARTERS + 1, device=logs.device, dtype=logs.dtype) / QUARTERS
        between = (older[..., None] + (logs - older)[..., None] * q).flatten(2)
        gains = torch.exp(between) * (between > NOISE_OFF)
        banded = (self.drawn if self.training else self.counted)(gains.shape[0], gains.shape[2])
        banded = banded.to(logs.dtype)
        old = torch.einsum("nbf,nfbi->nfi", before(gains, torch.zeros_like(gains[..., :1])), banded)
        new = torch.einsum("nbf,nfbi->nfi", gains, banded)
        return old + (new - old) * self.within.to(logs.dtype)

    def drawn(self, batch: int, quarters: int) -> Tensor:
        """Banded noise from random places of a long one, ``[N, quarters, B, 48]``."""
        if self._bank is None:
            generator = torch.Generator().manual_seed(self.seed)
            white = torch.rand(BANK_QUARTERS * QUARTER + TAPS - 1, generator=generator) * 2 - 1
            self._bank = self._through_bands(white)
        places = torch.randint(0, BANK_QUARTERS - quarters, (batch,))
        return torch.stack([self._bank[p : p + quarters] for p in places.tolist()])

    def counted(self, batch: int, quarters: int) -> Tensor:
        """Banded noise by the count of samples, the same for all, ``[N, quarters, B, 48]``."""
        white = hit_noise(self.seed, 0, quarters * QUARTER, TAPS - 1)
        return self._through_bands(white)[None].expand(batch, -1, -1, -1)

    def _through_bands(self, white: Tensor) -> Tensor:
        banded = F.conv1d(white[None, None], self.filters)[0]
        return banded.reshape(self.bands, -1, QUARTER).transpose(0, 1).contiguous()
