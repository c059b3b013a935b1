"""A sound of pulses at a pitch and of noise, each through its own gains, at a loudness that is told.

Of every hop t of 256 samples the network says 2·B + 1 numbers: log gains of B mel bands for the pulses, as
many for the noise, and how far the loudness may be off. The control says octaves above 220 Hz, voicing and
loudness, as ``ear.py`` scales it.

    tone_k  = clamp(Σ_b share[b, k] · o_b, −14, 6)
    noise_k = clamp(Σ_b share[b, k] · o_{B+b} − 2, −14, 6)
    gain    = −log(mean_k(exp(2·tone_k) / 16 + exp(2·noise_k)) + 1e-12) / 2 + tanh(o_{2B})
    made_t  = window · irfft(exp(tone + gain) · turn · rfft(window · pulses) + exp(noise + gain) · hiss)
    frame_t = exp(loudness_t − 4) · made_{t−1}
    window  = sin(π/2 · sin²(π·n / 512))
    turn_k  = exp(−2πi · (⌊k² / 4⌋ − 64·k) / 1024)
    out     = frame_t[0:256] + frame_{t−1}[256:512]

Gains without a bound blow up on key noise; tied to the loudness they cannot. The source-filter model is that
of the vocoder (Dudley 1939); to let a network say the filters is DDSP (Engel et al. 2020).

What a frame is made of is of the hop before, how loud it is of its own: so all but a multiplication can be
done while the next hop is collected, evenly, and an attack comes no later for it.

The window is that of Vorbis. Its edges are smooth, so that less of a loud bass spills into what is high and
quiet than with a half sine.

Equal cosines that begin together are a spike 25 dB above their mean, which clips. The turn moves the low ones
32 samples forward and the high ones as many back, and the peak falls by half of that (phases after Schroeder
1970). What is moved across a frame's border comes in at the other; the further, the more of a line at the
rate of hops.

The pulses are a sum of equal cosines up to 18 kHz, of constant power 1/16 whatever the pitch (the closed form
of Winham and Steiglitz 1970). Phases are whole numbers, so that they are the same on every machine. The hiss
is drawn bin by bin: a hash of frame and bin, as in ``train/models/noise.py``; in training it is drawn afresh.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from train.models.domain import domain_node
from train.models.noise import GOLDEN, WORD, hash32
from train.models.source_filter.ear import HOP, LOUDNESS_MIDDLE, LOUDNESS_SCALE
from train.models.source_filter.mel_bank import mel_bank

SIZE = 2 * HOP
BINS = HOP + 1
LOWEST_LOG, HIGHEST_LOG, NOISE_OFFSET = -14.0, 6.0, -2.0
PITCH_HZ, LOWEST_OCTAVE, HIGHEST_OCTAVE = 220.0, -3.5, 4.25
BRIGHTEST_HZ = 18_000.0
PULSE_RMS = 0.25
POWER_FLOOR = 1e-12
HISS_RMS = 16.0
"""Of either part of a bin: the noise has power 1."""
TURN = 2.0**32


class SourceFilter(nn.Module):
    """Numbers ``[N, 2·B + 1, T]`` and control ``[N, 3, T]`` to a sound ``[N, 1, 256·T]``; causal.

    Parameters
    ----------
    bands : int
        B.
    seed : int
        Which noise is made outside training.
    """

    def __init__(self, bands: int = 48, seed: int = 1):
        super().__init__()
        self.bands, self.seed = bands, seed
        share = mel_bank(bands, BINS)
        window = np.sin(0.5 * np.pi * np.sin(np.pi * np.arange(SIZE) / SIZE) ** 2)
        self.register_buffer("share", torch.tensor(share, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.tensor(window, dtype=torch.float32), persistent=False)
        turn = torch.polar(torch.ones(BINS), turns() * (-2 * torch.pi))
        self.register_buffer("turn", turn, persistent=False)
        self.share: Tensor
        self.window: Tensor
        self.turn: Tensor

    def forward(self, numbers: Tensor, control: Tensor) -> Tensor:
        """Sound."""
        count, frames = numbers.shape[0], numbers.shape[2]
        if torch.onnx.is_in_onnx_export():
            given = (numbers, control, self.share, self.window)
            return domain_node("SourceFilter", given, {"seed": self.seed}, (count, 1, frames * HOP))
        tone, noise = self.gains(numbers)
        hops = F.pad(pulses(control[:, 0]), (HOP, 0)).unfold(1, SIZE, HOP)
        spectrum = torch.fft.rfft(hops * self.window) * self.turn
        bins = tone.transpose(1, 2) * spectrum + noise.transpose(1, 2) * self.hiss(count, frames, tone.device)
        made = torch.fft.irfft(bins, SIZE) * self.window
        level = torch.exp(0.5 * (control[:, 2] / LOUDNESS_SCALE - LOUDNESS_MIDDLE))
        framed = F.pad(made, (0, 0, 1, 0))[:, :-1] * level[..., None]
        late = F.pad(framed[..., HOP:], (0, 0, 1, 0))[:, :-1]
        return (framed[..., :HOP] + late).reshape(count, 1, -1)

    def gains(self, numbers: Tensor) -> tuple[Tensor, Tensor]:
        """Gains of every bin for pulses and noise, ``[N, 257, T]``; of power 1 but for the last number."""
        tone, noise = numbers[:, : self.bands], numbers[:, self.bands : 2 * self.bands]
        tone = (self.share.T @ tone).clamp(LOWEST_LOG, HIGHEST_LOG)
        noise = (self.share.T @ noise + NOISE_OFFSET).clamp(LOWEST_LOG, HIGHEST_LOG)
        power = (torch.exp(2 * tone) * PULSE_RMS**2 + torch.exp(2 * noise)).mean(1, keepdim=True)
        gain = torch.tanh(numbers[:, 2 * self.bands :]) - 0.5 * torch.log(power + POWER_FLOOR)
        return torch.exp(tone + gain), torch.exp(noise + gain)

    def hiss(self, count: int, frames: int, device: torch.device) -> Tensor:
        """Bins of white noise of power 1, complex ``[N, T, 257]``; the last is 0."""
        if self.training:
            parts = torch.randn(count, frames, HOP, 2, device=device) * HISS_RMS
        else:
            frame = torch.arange(frames, device=device)[:, None] * SIZE
            words = hash32((frame + torch.arange(SIZE, device=device) + self.seed * GOLDEN) & WORD)
            signed = torch.where(words >= 1 << 31, words - (1 << 32), words).float()
            parts = (signed * (3**0.5 * HISS_RMS / 2.0**31)).reshape(1, frames, HOP, 2)
        return torch.view_as_complex(F.pad(parts, (0, 0, 0, 1)).contiguous())


def turns() -> Tensor:
    """By what part of a turn each bin of the pulses is late, float32 [257]."""
    k = torch.arange(BINS)
    return (k * k // 4 - 64 * k) % 1024 / 1024


def pulses(octaves: Tensor) -> Tensor:
    """Pulse train ``[N, 256·T]`` at a pitch ``[N, T]``, which it glides to from the one of the hop before."""
    hz = PITCH_HZ * torch.exp2(octaves.clamp(LOWEST_OCTAVE, HIGHEST_OCTAVE))
    before = torch.cat([hz[:, :1], hz[:, :-1]], 1)
    # of half a turn: the closed form divides sines of half angles
    old, new = ((x * (0.5 * TURN / SAMPLE_RATE_HZ)).to(torch.int64) for x in (before, hz))
    bend = torch.div(new - old, HOP, rounding_mode="trunc")
    phase = torch.cumsum(
        (old[..., None] + bend[..., None] * torch.arange(HOP, device=hz.device)).flatten(1), 1
    )
    half = wrapped(phase << 1) >> 1  # a quarter turn either way: its sine is small only near 0
    count = torch.floor(BRIGHTEST_HZ / torch.maximum(before, hz)).repeat_interleave(HOP, 1)
    odd = 2 * count.to(torch.int64) + 1
    below, above = (torch.sin(x.float() * (2 * torch.pi / TURN)) for x in (half, wrapped(half * odd)))
    small = below.abs() < 1e-5
    ratio = torch.where(small, odd.float(), above / torch.where(small, 1.0, below))
    return (ratio - 1.0) * (0.5 * PULSE_RMS / torch.sqrt(0.5 * count))


def wrapped(x: Tensor) -> Tensor:
    """The signed 32-bit number in the low bits of each."""
    x = x & WORD
    return torch.where(x >= 1 << 31, x - (1 << 32), x)
