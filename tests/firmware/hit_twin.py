"""The numpy twin of engine/dsp/modes.c and bands.c: the same numbers, rounded as there, bit for bit."""

from __future__ import annotations

import numpy as np

FRAME, TAPS = 48, 128
MAGIC = np.float32(12582912.0)
SILENT, REST, OFF = np.float32(-11.5129), np.float32(-16.0), np.float32(-11.49)
STEEPEST, BENT = np.float32(2.302585), np.float32(1e-3)
F = np.float32


def bits(x):
    return np.asarray(x, np.float32).view(np.uint32)


def value(word):
    return np.asarray(word, np.uint32).view(np.float32)


def quick_exp(x):
    x = np.asarray(x, np.float32)
    n = x * F(1.44269504) + MAGIC
    whole = n - MAGIC
    r = (x - whole * F(0.693359375)) + whole * F(2.12194440e-4)
    p = r * (F(1) / F(5040)) + F(1) / F(720)
    for divisor in (120, 24, 6):
        p = p * r + F(1) / F(divisor)
    p = p * r + F(0.5)
    y = (p * (r * r) + r) + F(1)
    return value(bits(y) + (bits(n) << np.uint32(23)))


def quick_tanh(x):
    x = np.maximum(np.minimum(np.asarray(x, np.float32), F(10)), F(-10))
    return F(1) - F(2) / (quick_exp(F(2) * x) + F(1))


def quick_turn(turns):
    turns = np.asarray(turns, np.float32)
    n = turns + turns + MAGIC
    r = (turns - F(0.5) * (n - MAGIC)) * F(6.28318531)
    z = r * r
    p = z * F(-2.50521084e-8) + F(2.75573192e-6)
    q = z * F(2.08767570e-9) + F(-2.75573192e-7)
    for odd, even in ((-1.98412698e-4, 2.48015873e-5), (8.33333333e-3, -1.38888889e-3)):
        p, q = p * z + F(odd), q * z + F(even)
    p, q = p * z + F(-1.66666667e-1), q * z + F(4.16666667e-2)
    flip = bits(n) << np.uint32(31)
    return value(bits((F(1) - F(0.5) * z) + (z * z) * q) ^ flip), value(bits(r + r * (z * p)) ^ flip)


class Modes:
    """Modes that sound; `told` as vk_modes_decode leaves it, `state` as the frames go on."""

    def __init__(self, anchors, spreads, gliding):
        self.anchors, self.spreads, self.gliding = F(anchors), F(spreads), gliding

    def decode(self, raw):
        """vk_mode, [modes, 10]."""
        frequency, decay, level, c, s = np.asarray(raw, np.float32).reshape(5, -1)
        scale = F(1) / np.sqrt((c * c + s * s) + F(1e-8))
        cycles = self.anchors * quick_exp(quick_tanh(frequency) * self.spreads)
        fall = quick_exp(quick_tanh(F(0.5) * decay) * F(-3.2)) * (F(1) / F(60))
        level = np.where(level > OFF, np.minimum(level, F(1.5)), REST)
        turns = [*quick_turn(cycles), *quick_turn(cycles * F(FRAME))]
        level = level.astype(np.float32)
        phase = (c * scale, s * scale)
        self.told = np.stack([cycles, level, fall, quick_exp(level), *phase, *turns], 1)
        return self.told

    def decode_glide(self, raw):
        """vk_glide."""
        raw = np.asarray(raw, np.float32)
        amount = quick_exp(np.minimum(np.maximum(raw[0], F(-6)), F(3)) - F(1.5))
        bent = quick_tanh(raw[1]) * F(1.6)
        self.glide = np.array(
            [amount * (quick_exp(bent) * F(1200)), quick_exp(-bent) * (F(1) / F(1200))], np.float32
        )
        return self.glide

    def start(self):
        """vk_mode_state, [modes, 4]."""
        self.state = self.told[:, [4, 5, 1, 3]].copy()
        return self.state

    def frame(self, number, out):
        """Add one frame of sound to `out`, and return it."""
        first, second, leaves = self._warp(number)
        for k in range(0, len(self.told), 4):
            rows = slice(k, k + 4)
            ratio, amplitude, heard = self._faded(rows, F(number + 1))
            if not heard:
                continue
            if k >= self.gliding:
                self._static(rows, ratio, amplitude, out)
                continue
            cycles = self.told[rows, 0]
            if cycles.max() * leaves < BENT:
                self._sliding(rows, ratio, amplitude, cycles * (first + second), out)
                continue
            self._sliding(rows, ratio, amplitude, cycles * first, out[: FRAME // 2])
            self._sliding(rows, ratio, amplitude * _power_24(ratio), cycles * second, out[FRAME // 2 :])
        again = number % (len(self.told) // 4) * 4
        self.state[again : again + 4, 3] = quick_exp(self.state[again : again + 4, 2])
        return out

    def _warp(self, number):
        start = F(number * FRAME)
        extra, rate = self.glide
        at = [extra * quick_exp(np.maximum(-rate * (start + F(j * FRAME // 2)), F(-80))) for j in range(3)]
        half = F(FRAME // 2)
        return half + (at[0] - at[1]), half + (at[1] - at[2]), F(0.5) * (at[0] + at[2]) - at[1]

    def _faded(self, rows, frames):
        level, fall, was = self.told[rows, 1], self.told[rows, 2], self.state[rows, 2].copy()
        asked = np.maximum(level - fall * frames, REST)
        log = np.maximum(np.minimum(asked, was + STEEPEST), was - STEEPEST)
        x = (log - was) * (F(1) / F(FRAME))
        ratio = F(1) + x * (F(1) + x * (F(0.5) + x * (F(1) / F(6))))
        amplitude = self.state[rows, 3].copy()
        half = _power_24(ratio)
        self.state[rows, 3] = amplitude * (half * half)
        self.state[rows, 2] = log
        return ratio, amplitude, max(was.max(), log.max()) > SILENT

    def _turn(self, rows, c, s):
        re, im = self.state[rows, 0].copy(), self.state[rows, 1].copy()
        self.state[rows, 0] = re * c - im * s
        self.state[rows, 1] = re * s + im * c

    def _static(self, rows, ratio, amplitude, out):
        c, s, whole_c, whole_s = self.told[rows, 6:].T
        re, im = self.state[rows, 0], self.state[rows, 1]
        p, q = amplitude * im, (ratio * amplitude) * (im * c + re * s)
        a, b = (F(2) * ratio) * c, ratio * ratio
        self._turn(rows, whole_c, whole_s)
        for n in range(FRAME):
            out[n] += (p[0] + p[1]) + (p[2] + p[3])
            p, q = q, a * q - b * p

    def _sliding(self, rows, ratio, amplitude, turns, out):
        h = turns * (F(3.14159265) / F(len(out)))
        z = h * h
        s = h * (F(1) + z * (z * (F(1) / F(120)) - F(1) / F(6)))
        c = F(1) + z * (z * (F(1) / F(24) - z * (F(1) / F(720))) - F(0.5))
        re, im = self.state[rows, 0], self.state[rows, 1]
        lost = F(1) - ratio
        y, d = amplitude * im, amplitude * ((ratio * (s + s)) * (re * c - im * s) - lost * im)
        a, b = lost * lost + (F(4) * ratio) * (s * s), ratio * ratio
        self._turn(rows, *quick_turn(turns))
        for n in range(len(out)):
            out[n] += (y[0] + y[1]) + (y[2] + y[3])
            y = y + d
            d = b * d - a * y


def _power_24(x):
    x3 = (x * x) * x
    x6 = x3 * x3
    x12 = x6 * x6
    return x12 * x12


def hash32(x):
    x = np.asarray(x, np.uint32)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


class Bands:
    """Banded noise; `filters` are the bands' impulse responses."""

    def __init__(self, filters):
        self.peaks = np.abs(filters).max(1)
        self.taps = np.rint(filters / self.peaks[:, None] * 32767).astype(np.int64)
        self.logs = np.log(self.peaks).astype(np.float32)

    def start(self, key, gains):
        self.key = key
        self.newer = self._filter(*gains)

    def frame(self, gains):
        """One frame; gains (before, after, part) at its end."""
        older, self.newer = self.newer, self._filter(*gains)
        n = (self.key + np.arange(-TAPS + 1, FRAME)) % 2**32
        x = hash32(n).view(np.int32).astype(np.int64) >> 22
        self.key += FRAME
        sums = [np.convolve(x, taps)[TAPS - 1 : TAPS - 1 + FRAME] for taps, _ in (older, self.newer)]
        a, b = (F(s) * scale for s, (_, scale) in zip(sums, (older, self.newer), strict=True))
        return a + (b - a) * (np.arange(FRAME, dtype=np.float32) * (F(1) / F(FRAME)))

    def _filter(self, before, after, part):
        before, after = (np.clip(F(v), F(-12), F(2.5)) for v in (before, after))
        log = before + F(part) * (after - before)
        gain = np.where(log > F(-11.9), quick_exp(log + self.logs), F(0))
        sums = np.zeros(4, np.float32)
        for b in range(0, len(gain), 4):
            sums += gain[b : b + 4]
        whole = (sums[0] + sums[1]) + (sums[2] + sums[3])
        scale = F(32767) / whole if whole > 0 else F(0)
        share = (gain * scale + MAGIC).view(np.uint32).astype(np.uint16).view(np.int16).astype(np.int64)
        half = (share @ self.taps[:, : TAPS // 2] + (1 << 14)) >> 15
        return np.concatenate([half, half[::-1]]), whole * (F(1) / (F(32767) * F(512)))
