"""The differentiable twin of the instrument `modal`: positions of its knobs to one stroke of sound.

What ``firmware/engine/instruments/modal.c`` does sample by sample is done here all at once. Inside a block a
bank is a matrix; from block to block its rotators are a linear recurrence, which takes a logarithmic number
of steps (Blelloch 1990). While the pitch falls a block is a frame of 48 samples and has a matrix of its own;
afterwards blocks are longer and share one. Filters are their frequency responses. It is the first stroke
after a reset, at full level, without an accent. The idea of a modal bank with gradients: Diaz et al.,
"Rigid-body sound synthesis with differentiable modal resonators" (2023).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from common.audio import SAMPLE_RATE_HZ
from train.models.modal.parameters import C1_HZ, ENDS
from train.models.noise import GOLDEN, WORD, hash32

FRAME = 48
MODES = 32
SEED = 7
STROKE = 1
"""Number of the first stroke after a reset, by which its noise is drawn."""
C1_CYCLES = C1_HZ / SAMPLE_RATE_HZ
LN_1000 = 6.90775528
MOST_LOSS, MOST_CYCLES = 0.1, 0.5
FADED, FADE_RATE = 9.4, 20.0
DEAD, MOST_LIFT, LOUDEST = 11.5, 16.0, 0.9
LONGER = 5
"""Frames in a block once the pitch has settled."""
TAIL = 9_600
"""Samples of silence that keep a filter's end from coming round to its begin."""


def _told(positions: Tensor) -> dict[str, Tensor]:
    """What the engine reads at positions ``[N, 16]``: a column ``[N]`` for each name."""
    return {
        name: low + (high - low) * positions[:, at] for at, (name, (low, high)) in enumerate(ENDS.items())
    }


@dataclass(frozen=True)
class Bank:
    """Coefficients of modes in some frames, ``[N, frames, 32]``; where frames do not differ, one of them."""

    turns: Tensor
    loss: Tensor
    gain: Tensor

    def loudness(self) -> Tensor:
        """Sum of what modes are struck with, ``[N, frames]``."""
        return self.gain.abs().sum(-1)

    def powers(self, block: int) -> tuple[Tensor, Tensor]:
        """Parts of each rotator's step to the powers 0 … B, ``[N, blocks, B + 1, 32]``: cosine and sine."""
        step = torch.arange(block + 1, dtype=torch.float32)[:, None]
        angle = 2 * math.pi * self.turns[:, :, None] * step
        kept = torch.exp(-self.loss[:, :, None] * step)
        return kept * torch.cos(angle), kept * torch.sin(angle)


def _signed_hash(words: Tensor) -> Tensor:
    word = hash32(words & WORD)
    return (torch.where(word >= 1 << 31, word - (1 << 32), word).double() / 2.0**31).float()


def scattered() -> Tensor:
    """Where scattered modes go, −1 … 1, ``[32]``; the first stays."""
    order = torch.arange(MODES)
    return torch.where(order > 0, _signed_hash(order + SEED * GOLDEN), 0.0)


def noise(samples: int) -> Tensor:
    """The noise of the first stroke, ``[samples]``."""
    key = hash32(torch.tensor([(SEED * GOLDEN + STROKE) & WORD]))
    return _signed_hash(torch.arange(samples) + key)


def _bank(told: dict[str, Tensor], cycles: Tensor) -> Bank:
    """Modes above ``cycles [N, frames]`` of the first."""
    order = torch.arange(1, MODES + 1, dtype=torch.float32)
    ratio = told["stretch"][:, None] * torch.log(order) + told["scatter"][:, None] * scattered()
    turns = (cycles[:, :, None] * torch.exp(ratio)[:, None]).clamp(max=MOST_CYCLES)
    first = torch.exp(-told["decay"]) * (LN_1000 / SAMPLE_RATE_HZ)
    loss = (first[:, None] * torch.exp(told["damping"][:, None] * ratio)).clamp(max=MOST_LOSS)
    place = torch.sin(math.pi * order * told["position"][:, None])
    fade = (FADED - FADE_RATE * turns).clamp(0.0, 1.0)
    gain = (torch.exp(told["brightness"][:, None] * ratio) * place)[:, None] * fade
    return Bank(turns, loss[:, None], gain)


def _pitch(told: dict[str, Tensor], frames: int) -> Tensor:
    """Cycles a sample of the first mode, ``[N, frames]``."""
    age = torch.arange(frames, dtype=torch.float32) * FRAME
    settles = torch.exp(told["settle"])[:, None] * SAMPLE_RATE_HZ
    left = (1.0 - age / settles).clamp(min=0.0)
    return C1_CYCLES * torch.exp2(told["pitch"][:, None] + told["bend"][:, None] * left**3)


def _envelope(told: dict[str, Tensor], frames: int) -> Tensor:
    """Level of noise and bow, ``[N, samples]``."""
    end = (torch.arange(frames, dtype=torch.float32) + 1) * FRAME
    attack = torch.exp(told["attack"])[:, None] * SAMPLE_RATE_HZ
    fallen = torch.exp(-told["length"])[:, None] * (LN_1000 / SAMPLE_RATE_HZ) * (end - attack).clamp(min=0.0)
    ends = (end / attack).clamp(max=1.0) * torch.exp(-fallen) * (fallen < DEAD)
    begins = torch.nn.functional.pad(ends, (1, 0))[:, :-1]
    part = torch.arange(FRAME) / FRAME
    return (begins[:, :, None] + (ends - begins)[:, :, None] * part).flatten(1)


def _sawtooth(cycles: Tensor) -> Tensor:
    """A sawtooth with rounded jumps, ``[N, samples]``, of so many cycles a sample in each frame."""
    begins = FRAME * (torch.cumsum(cycles.double(), 1) - cycles.double())
    begins = (begins - begins.detach().floor()).float()
    step = cycles[:, :, None]
    at = begins[:, :, None] + step * torch.arange(FRAME)
    at = at - at.detach().floor()
    rise = (1.0 - at / step).clamp(min=0.0).square()
    fall = ((at - 1.0) / step + 1.0).clamp(min=0.0).square()
    return (2.0 * at - 1.0 + rise - fall).flatten(1)


def _corner(log_hz: Tensor) -> Tensor:
    return 1.0 - torch.exp(torch.exp(log_hz) * (-2 * math.pi / SAMPLE_RATE_HZ))


def _filtered(sound: Tensor, low: Tensor, high: Tensor | None) -> Tensor:
    """``[N, samples]`` through two one-pole low-passes and, if any, two high-passes."""
    samples = sound.shape[1]
    whole = samples + TAIL
    back = torch.exp(-2j * math.pi * torch.arange(whole // 2 + 1) / whole)
    response = (low[:, None] / (1.0 - (1.0 - low[:, None]) * back)) ** 2
    if high is not None:
        response = response * (1.0 - high[:, None] / (1.0 - (1.0 - high[:, None]) * back)) ** 2
    return torch.fft.irfft(torch.fft.rfft(sound, whole) * response, whole)[:, :samples]


def _exciter(told: dict[str, Tensor], cycles: Tensor, loudness: Tensor) -> tuple[Tensor, Tensor]:
    """What drives the bank and what goes past it, each ``[N, samples]``."""
    frames = cycles.shape[1]
    kind = 2.0 * told["exciter"] - 1.0
    strike, saw = (-kind).clamp(min=0.0), kind.clamp(min=0.0)
    soft = 1.0 - strike - saw
    length = torch.exp(told["length"]) * (SAMPLE_RATE_HZ / LN_1000)
    ring = torch.exp(told["decay"]) * (SAMPLE_RATE_HZ / LN_1000)
    gathers = length * ring / (length + ring)
    above = cycles * SAMPLE_RATE_HZ * torch.exp(-told["hardness"])[:, None]
    lift = (1.0 + above**2).clamp(max=MOST_LIFT) / (loudness + 0.01)
    hiss = noise(frames * FRAME)[None]
    bow = _sawtooth(cycles) if bool((saw > 0).any()) else torch.zeros(1, 1)
    envelope = _envelope(told, frames)
    first = torch.zeros(frames * FRAME)
    first[0] = 1.0
    each = lift.repeat_interleave(FRAME, 1) * envelope
    inward = each * (
        (soft / torch.sqrt(gathers / 6.0 + 1.0))[:, None] * hiss
        + (saw * 3.0 / (gathers + 1.0))[:, None] * bow
    )
    inward = inward + (strike * lift[:, 0])[:, None] * first
    low, high = _corner(told["hardness"]), _corner(told["colour"])
    beside = envelope * (soft[:, None] * hiss + saw[:, None] * bow) + (strike * 2.5 / low)[:, None] * first
    past = (told["direct"] ** 2)[:, None] * _filtered(beside, low, high)
    return _filtered(inward, low, None), past


def _within(bank: Bank, x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """What blocks ``x [N, blocks, B]`` leave in the rotators and sound like by themselves.

    Returns the rotators' two parts that are added at each block's end, ``[N, blocks, 32]`` each, the sound
    ``[N, blocks, B]``, and the matrices by which an earlier state sounds, ``[N, blocks or 1, 64, B]``.
    """
    block = x.shape[-1]
    cosine, sine = bank.powers(block)
    response = (bank.gain[:, :, None] * sine[:, :, :block]).sum(-1)
    spectrum = torch.fft.rfft(x, 2 * block) * torch.fft.rfft(response, 2 * block)
    alone = torch.fft.irfft(spectrum, 2 * block)[..., :block]
    re = bank.gain * _each(x, cosine[:, :, :block].flip(2))
    im = bank.gain * _each(x, sine[:, :, :block].flip(2))
    heard = torch.cat([sine[:, :, 1:], cosine[:, :, 1:]], -1).transpose(-1, -2)
    return re, im, alone, heard


def _each(rows: Tensor, matrices: Tensor) -> Tensor:
    """Multiply the rows ``[N, blocks, A]`` with their block's matrix or the one of all, ``[N, ·, A, B]``."""
    if matrices.shape[1] == 1:
        return rows @ matrices[:, 0]
    return (rows[:, :, None] @ matrices)[:, :, 0]


def _recur(step: Tensor, added: Tensor, state: Tensor) -> Tensor:
    """States ``s[b + 1] = step[b] · s[b] + added[b]`` before each block and after the last, complex.

    step : ``[N, blocks or 1, 32]``; added : ``[N, blocks, 32]``; state : ``[N, 32]``, before the first block.
    """
    blocks = added.shape[1]
    shared = step.shape[1] == 1
    total = torch.cat([added[:, :1] + step[:, :1] * state[:, None], added[:, 1:]], 1)
    gap = 1
    while gap < blocks:
        past = total[:, :-gap] * (step if shared else step[:, gap:])
        total = torch.cat([total[:, :gap], total[:, gap:] + past], 1)
        if shared:
            step = step * step
        elif 2 * gap < blocks:
            step = torch.cat([step[:, :gap], step[:, gap:] * step[:, :-gap]], 1)
        gap *= 2
    return torch.cat([state[:, None], total], 1)


def _ring(bank: Bank, x: Tensor, state: Tensor) -> tuple[Tensor, Tensor]:
    """Sound ``[N, blocks, B]`` of a bank that ``x [N, blocks, B]`` drives, and its state afterwards."""
    re, im, alone, heard = _within(bank, x)
    block = x.shape[-1]
    angle, kept = 2 * math.pi * block * bank.turns, torch.exp(-block * bank.loss)
    states = _recur(torch.polar(kept.expand_as(angle), angle), torch.complex(re, im), state)
    before = torch.cat([states.real[:, :-1], states.imag[:, :-1]], -1)
    return alone + _each(before, heard), states[:, -1]


def stroke(positions: Tensor, frames: int = 1000) -> Tensor:
    """Sound of one stroke.

    Parameters
    ----------
    positions : Tensor, shape (N, 16)
        0 … 1, in the order of `parameters.NAMES`.
    frames : int
        Length, in frames of 48 samples; it must outlast the fall of the pitch.

    Returns
    -------
    Tensor, shape (N, frames · 48)
        At 48 kHz, as the module plays it at full level.
    """
    told = _told(positions.clamp(0.0, 1.0))
    settles = int(torch.exp(told["settle"].detach()).max() * SAMPLE_RATE_HZ / FRAME) + 1
    # what is left after the fall is a whole number of longer blocks
    falls = min(frames, settles + (frames - settles) % LONGER)
    cycles = _pitch(told, frames)
    moving, still = _bank(told, cycles[:, :falls]), _bank(told, cycles[:, -1:])
    loudness = torch.cat([moving.loudness(), still.loudness().expand(-1, frames - falls)], 1)
    into, past = _exciter(told, cycles, loudness)
    first = into[:, : falls * FRAME].unflatten(1, (falls, FRAME))
    sound, state = _ring(moving, first, torch.zeros(len(into), MODES, dtype=torch.complex64))
    sound = sound.flatten(1)
    if falls < frames:
        later = into[:, falls * FRAME :].unflatten(1, (-1, LONGER * FRAME))
        sound = torch.cat([sound, _ring(still, later, state)[0].flatten(1)], 1)
    gain = torch.exp(told["drive"])[:, None]
    return torch.tanh(gain * (sound + past)) * (LOUDEST / torch.tanh(gain))
