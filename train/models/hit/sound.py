"""The sound of a per-hit drum, in closed form: what the engine plays while its latents rest.

    y[n] = Σ_modes A · exp(−t / τ) · sin(2π f · u(t) + φ)  +  Σ_b g_b[n] · u_b[n]  +  fade[n] · transient[n]

    t      n / 48 kHz
    u(t)   t for a static mode; t + a · tg · (1 − exp(−t / tg)) for a gliding one, whose
           frequency is f · (1 + a · exp(−t / tg))
    φ      the angle of (cosine, sine)
    g_b    log gains straight between the grid's points, read once a millisecond; gains straight in between
    u_b    white noise through the band's filter: Σ_k h_b[k] · x[n − k]
    fade   cos²(π/2 · n / transient), 0 from there on
    x[n]   the top 10 bits of hash32(n + hash32(seed · 0x9E3779B9 + hit)), signed, / 2^9; for n < 0 too

so that the noise is at its full level from sample 0 and a hit is the same hit on every target. In training
the noise is cut from a long bank made beforehand, at random places.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ
from train.models.domain import domain_node
from train.models.hit import shape as meaning
from train.models.hit.bands import band_filters
from train.models.hit.control import Hit
from train.models.hit.shape import FRAME, FRAMES_PER_S, HitShape
from train.models.noise import GOLDEN, WORD, hash32

NOISE_BITS = 10  # few enough for sums of 128 products in 32 bits
BANK_FRAMES = 10_240  # some ten seconds of banded noise to train with


def hit_noise(seed: int, hit: int, samples: int, before: int = 0) -> Tensor:
    """The noise of one hit, from ``before`` samples ahead of it, in [−1, 1): float32 [before + samples]."""
    start = hash32(torch.tensor((seed * GOLDEN + hit) & WORD))
    word = hash32((torch.arange(-before, samples) + start) & WORD)
    half = 1 << (NOISE_BITS - 1)
    top = word >> (32 - NOISE_BITS)
    return (torch.where(top >= half, top - 2 * half, top).double() / half).float()


class HitSound(nn.Module):
    """Audio ``[N, 1, 48 · frames]`` of a :class:`Hit`.

    Parameters
    ----------
    shape : HitShape
        Sizes and constants.
    seed : int
        Which noise it makes outside training.
    """

    def __init__(self, shape: HitShape, seed: int = 1):
        super().__init__()
        self.shape, self.seed = shape, seed
        filters = torch.from_numpy(np.ascontiguousarray(band_filters(shape.bands, shape.taps)[:, ::-1]))
        tables = {
            "anchors": torch.from_numpy(shape.anchors_hz),
            "spreads": torch.from_numpy(shape.spreads),
            "filters": filters[:, None],
            "lerp": torch.arange(FRAME) / FRAME,
            "fade": torch.cos(torch.arange(shape.transient) / shape.transient * torch.pi / 2) ** 2,
            **dict(zip(("left", "right_part"), self._grid(), strict=True)),
        }
        for name, table in tables.items():
            self.register_buffer(name, table, persistent=False)
        self.anchors: Tensor
        self.spreads: Tensor
        self.filters: Tensor
        self.lerp: Tensor
        self.fade: Tensor
        self.left: Tensor
        self.right_part: Tensor
        self._bank: Tensor | None = None
        self._counted: dict[int, Tensor] = {}

    def _grid(self) -> tuple[Tensor, Tensor]:
        """For every millisecond, the grid's point before it, and how far it is on the way to the next."""
        grid = np.array(self.shape.grid_ms)
        at = np.arange(grid[-1] + 1)
        left = np.clip(np.searchsorted(grid, at, side="right") - 1, 0, len(grid) - 2)
        part = (at - grid[left]) / (grid[left + 1] - grid[left])
        return torch.from_numpy(left), torch.from_numpy(part.astype(np.float32))

    # What the raw numbers mean --------------------------------------------------------------------

    def frequencies(self, modes: Tensor) -> Tensor:
        """Hz, ``[N, modes]``, of the row of frequencies."""
        return self.anchors.to(modes.dtype) * torch.exp(torch.tanh(modes) * self.spreads.to(modes.dtype))

    @staticmethod
    def decays(row: Tensor) -> Tensor:
        """Seconds, of the row of decays."""
        return meaning.DECAY_MIDDLE_S * torch.exp(torch.tanh(row * 0.5) * meaning.DECAY_SPAN)

    @staticmethod
    def levels(row: Tensor) -> Tensor:
        """Amplitudes, of the row of levels."""
        return torch.exp(row.clamp(meaning.LEVEL_LOWEST, meaning.LEVEL_HIGHEST)) * (row > meaning.LEVEL_OFF)

    @staticmethod
    def glide(raw: Tensor) -> tuple[Tensor, Tensor]:
        """Amount and seconds, each ``[N, 1]``, of ``[N, 2]``."""
        amount = torch.exp(
            raw[:, :1].clamp(meaning.GLIDE_LOWEST, meaning.GLIDE_HIGHEST) + meaning.GLIDE_OFFSET
        )
        return amount, meaning.GLIDE_TIME_MIDDLE_S * torch.exp(
            torch.tanh(raw[:, 1:]) * meaning.GLIDE_TIME_SPAN
        )

    # Parts ----------------------------------------------------------------------------------------

    def forward(self, hit: Hit, frames: int, start: Tensor | None = None, number: int = 0) -> Tensor:
        """Sum of all parts.

        Parameters
        ----------
        hit : Hit
            What the network said.
        frames : int
            Milliseconds to make.
        start : Tensor of int, shape (N,), optional
            Milliseconds after the stroke to begin at; 0 without it.
        number : int
            Which hit it is, for the noise outside training.
        """
        batch = hit.modes.shape[0]
        if torch.onnx.is_in_onnx_export():
            return self._node(hit, frames)
        if start is None:
            start = torch.zeros(batch, dtype=torch.long)
        return (
            self.tones(hit, frames, start)
            + self.noise(hit, frames, start, number)
            + self.stroke(hit, frames, start)
        )

    def _node(self, hit: Hit, frames: int) -> Tensor:
        """The domain operator in place of all this."""
        grid = torch.tensor(self.shape.grid_ms, dtype=torch.float32)
        attributes = {"gliding": self.shape.gliding, "samples": frames * FRAME, "seed": self.seed}
        tables = (self.anchors, self.spreads, self.filters, grid, self.fade)
        return domain_node("HitSound", (*hit, *tables), attributes, (1, 1, frames * FRAME))

    def tones(self, hit: Hit, frames: int, start: Tensor) -> Tensor:
        """The modes: the gliding ones sample by sample, the static ones as frames times a turn within one."""
        rows = hit.modes[..., 0].reshape(len(start), 5, self.shape.modes)
        exact = torch.float32 if self.training else torch.float64  # so many turns leave float32 no digits
        split = self.shape.gliding
        f, tau, level = (
            self.frequencies(rows[:, 0].to(exact)),
            self.decays(rows[:, 1]),
            self.levels(rows[:, 2]),
        )
        length = torch.rsqrt(rows[:, 3] ** 2 + rows[:, 4] ** 2 + 1e-8)
        cosine, sine = rows[:, 3] * length * level, rows[:, 4] * length * level
        omega = 2 * torch.pi * f
        t = (start[:, None] + torch.arange(frames)[None]).to(exact) / FRAMES_PER_S  # [N, T]
        within = torch.arange(FRAME, dtype=exact) / SAMPLE_RATE_HZ  # [48]

        amount, seconds = self.glide(hit.glide[..., 0])
        every = (t[:, :, None] + within).reshape(len(start), -1)
        warped = every + amount * seconds * (1 - torch.exp(-every / seconds))
        # of so many samples one sine is dear: both parts of a mode are one that begins elsewhere
        begin = torch.atan2(rows[:, 4, :split], rows[:, 3, :split]).to(exact)
        wave = torch.sin(warped[:, None] * omega[:, :split, None] + begin[:, :, None])
        slow = torch.exp(-t[:, None] / tau[:, :split, None]) * level[:, :split, None]
        fast = torch.exp(-within / tau[:, :split, None])
        wave = wave.reshape(len(start), split, frames, FRAME) * (slow[..., None] * fast[:, :, None])
        gliding = wave.sum(1)

        omega, tau = omega[:, split:], tau[:, split:]
        angle = t[:, :, None] * omega[:, None]
        slow = torch.exp(-t[:, :, None] / tau[:, None])
        real = torch.sin(angle) * cosine[:, None, split:] + torch.cos(angle) * sine[:, None, split:]
        imaginary = torch.cos(angle) * cosine[:, None, split:] - torch.sin(angle) * sine[:, None, split:]
        turn = within[None, :, None] * omega[:, None]
        fast = torch.exp(-within[None, :, None] / tau[:, None])
        static = (real * slow) @ (torch.cos(turn) * fast).transpose(1, 2)
        static = static + (imaginary * slow) @ (torch.sin(turn) * fast).transpose(1, 2)
        return (gliding + static).reshape(len(start), 1, -1).float()

    def gains(self, noise: Tensor, frames: int, start: Tensor) -> Tensor:
        """Gains of every band where frames begin, and where the last one ends, [N, T + 1, bands]."""
        logs = noise[..., 0].reshape(len(start), len(self.shape.grid_ms), self.shape.bands)
        at = (start[:, None] + torch.arange(frames + 1)[None]).clamp(max=self.shape.grid_ms[-1])
        left, part = self.left[at], self.right_part[at][..., None]
        rows = torch.arange(len(start))[:, None]
        logs = logs.clamp(meaning.NOISE_LOWEST, meaning.NOISE_HIGHEST)
        between = logs[rows, left] * (1 - part) + logs[rows, left + 1] * part
        return torch.exp(between) * (between > meaning.NOISE_OFF)

    def noise(self, hit: Hit, frames: int, start: Tensor, number: int = 0) -> Tensor:
        """Banded noise times its gains."""
        gains = self.gains(hit.noise, frames, start)
        banded = self.drawn(len(start), frames) if self.training else self.counted(number, frames, start)
        begin, end = (gains[:, :-1, None] @ banded)[:, :, 0], (gains[:, 1:, None] @ banded)[:, :, 0]
        return (begin + (end - begin) * self.lerp).reshape(len(start), 1, -1)

    def drawn(self, batch: int, frames: int) -> Tensor:
        """Banded noise from random places of the bank, [N, T, bands, 48]."""
        if self._bank is None:
            generator = torch.Generator().manual_seed(self.seed)
            white = torch.rand(BANK_FRAMES * FRAME + self.shape.taps - 1, generator=generator) * 2 - 1
            self._bank = self._through_bands(white)
        places = torch.randint(0, BANK_FRAMES - frames, (batch,))
        return torch.stack([self._bank[p : p + frames] for p in places.tolist()])

    def counted(self, number: int, frames: int, start: Tensor) -> Tensor:
        """Banded noise of a hit by its number, [N, T, bands, 48]."""
        last = int(start.max()) + frames
        known = self._counted.get(number)
        if known is None or len(known) < last:
            white = hit_noise(self.seed, number, last * FRAME, self.shape.taps - 1)
            known = self._through_bands(white)
            self._counted = {number: known}
        return torch.stack([known[s : s + frames] for s in start.tolist()])

    def _through_bands(self, white: Tensor) -> Tensor:
        banded = F.conv1d(white[None, None], self.filters)[0]
        return banded.reshape(self.shape.bands, -1, FRAME).transpose(0, 1).contiguous()

    def stroke(self, hit: Hit, frames: int, start: Tensor) -> Tensor:
        """The transient, from sample 0 of the hit."""
        length = self.shape.transient
        at = start[:, None] * FRAME + torch.arange(frames * FRAME)[None]
        padded = F.pad(hit.transient[..., 0] * self.fade, (0, 1))
        return torch.gather(padded, 1, at.clamp(max=length))[:, None]
