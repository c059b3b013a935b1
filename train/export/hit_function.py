"""The body of ``HitSound``: a drum's sound in standard ONNX, the definition that any runtime executes."""

from __future__ import annotations

import numpy as np
from onnx import FunctionProto, TensorProto, numpy_helper

from common.audio import SAMPLE_RATE_HZ
from train.export.body import Body, function
from train.models.hit import shape as meaning
from train.models.hit.shape import FRAME
from train.models.hit.sound import NOISE_BITS
from train.models.noise import GOLDEN, WORD

INPUTS = ["modes", "glide", "noise", "transient", "anchors", "spreads", "filters", "grid", "fade"]


def hit_sound(modes: int, bands: int, points: int, samples: int, taps: int, gliding: int) -> FunctionProto:
    """``HitSound(modes, glide, noise, transient, anchors …) {gliding, samples, seed} -> [1, 1, samples]``."""
    b = _HitBody(samples)
    parts = [b.tones(modes, gliding), b.banded(bands, points, taps), b.stroke()]
    b.Add(b.Add(parts[0], parts[1]), parts[2], name="audio")
    return function("HitSound", INPUTS, "audio", b, ["gliding", "samples", "seed"])


class _HitBody(Body):
    def __init__(self, samples: int):
        super().__init__()
        self.samples = samples

    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.float32)))

    def double(self, value: str) -> str:
        """In double precision."""
        return self.Cast(value, to=TensorProto.DOUBLE)

    def clamped(self, value: str, low: float, high: float) -> str:
        """Within bounds."""
        return self.Clip(value, self.number(low), self.number(high))

    def above(self, value: str, floor: float) -> str:
        """1 above a floor, else 0."""
        return self.Cast(self.Greater(value, self.number(floor)), to=TensorProto.FLOAT)

    def spread(self, value: str, span: float, middle: float) -> str:
        """``middle · exp(tanh(value) · span)``."""
        return self.Mul(self.Exp(self.Mul(self.Tanh(value), self.number(span))), self.number(middle))

    def seconds(self) -> str:
        """Time of every sample, double [1, samples]."""
        count = self.Range(self.integer(0), self.integer(self.samples), self.integer(1))
        rate = self.Constant(value=numpy_helper.from_array(np.array(SAMPLE_RATE_HZ, np.float64)))
        return self.Unsqueeze(self.Div(self.double(count), rate), self.integers(0))

    def tones(self, modes: int, gliding: int) -> str:
        """The modes, [1, 1, samples]; their phases in double precision."""
        rows = self.Reshape("modes", self.integers(5, modes, 1))
        row = [self.Gather(rows, self.integer(k), axis=0) for k in range(5)]
        column = self.integers(modes, 1)
        # The last bit of a float32 at 10 kHz is a turn of two degrees after a second.
        spread = self.Mul(self.Tanh(self.double(row[0])), self.double(self.Reshape("spreads", column)))
        hz = self.Mul(self.double(self.Reshape("anchors", column)), self.Exp(spread))
        tau = self.spread(self.Mul(row[1], self.number(0.5)), meaning.DECAY_SPAN, meaning.DECAY_MIDDLE_S)
        level = self.Exp(self.clamped(row[2], meaning.LEVEL_LOWEST, meaning.LEVEL_HIGHEST))
        level = self.Mul(level, self.above(row[2], meaning.LEVEL_OFF))
        square = self.Add(self.Mul(row[3], row[3]), self.Mul(row[4], row[4]))
        level = self.Div(level, self.Sqrt(self.Add(square, self.number(1e-8))))
        t = self.seconds()
        amount, time = (
            self.Gather(self.Reshape("glide", self.integers(2, 1)), self.integers(k), axis=0) for k in (0, 1)
        )
        amount = self.clamped(amount, meaning.GLIDE_LOWEST, meaning.GLIDE_HIGHEST)
        amount = self.Exp(self.Add(amount, self.number(meaning.GLIDE_OFFSET)))
        time = self.double(self.spread(time, meaning.GLIDE_TIME_SPAN, meaning.GLIDE_TIME_MIDDLE_S))
        one = self.Constant(value=numpy_helper.from_array(np.array(1.0, np.float64)))
        gone = self.Sub(one, self.Exp(self.Neg(self.Div(t, time))))
        warped = self.Add(t, self.Mul(self.Mul(self.double(amount), time), gone))
        slide, stay = (
            self.Expand(u, self.integers(count, self.samples))
            for u, count in ((warped, gliding), (t, modes - gliding))
        )
        turns = self.Mul(hz, self.Concat(slide, stay, axis=0))
        angle = self.Cast(self.Sub(turns, self.Floor(turns)), to=TensorProto.FLOAT)
        angle = self.Mul(angle, self.number(2 * np.pi))
        wave = self.Add(self.Mul(self.Sin(angle), row[3]), self.Mul(self.Cos(angle), row[4]))
        envelope = self.Exp(self.Neg(self.Div(self.Cast(t, to=TensorProto.FLOAT), tau)))
        total = self.ReduceSum(self.Mul(self.Mul(level, envelope), wave), self.integers(0), keepdims=1)
        return self.Unsqueeze(total, self.integers(0))

    def gains(self, bands: int, points: int) -> str:
        """Gains of the bands at every sample, [1, bands, samples]."""
        frames = self.samples // FRAME
        logs = self.Reshape("noise", self.integers(points, bands))
        logs = self.clamped(logs, meaning.NOISE_LOWEST, meaning.NOISE_HIGHEST)
        grid = self.Cast(self.Reshape("grid", self.integers(points, 1)), to=TensorProto.FLOAT)
        first, last = self.integers(0), self.integers(points - 1)
        left, right = (
            self.Slice(grid, self.integers(k), self.integers(points - 1 + k), first) for k in (0, 1)
        )
        now = self.Range(self.integer(0), self.integer(frames + 1), self.integer(1))
        now = self.Unsqueeze(self.Cast(now, to=TensorProto.FLOAT), self.integers(0))
        part = self.clamped(self.Div(self.Sub(now, left), self.Sub(right, left)), 0.0, 1.0)
        steps = self.Sub(
            self.Slice(logs, self.integers(1), self.integers(points), first),
            self.Slice(logs, first, last, first),
        )
        begin = self.Transpose(self.Gather(logs, self.integers(0), axis=0), perm=[1, 0])
        between = self.Add(begin, self.MatMul(self.Transpose(steps, perm=[1, 0]), part))
        gain = self.Mul(self.Exp(between), self.above(between, meaning.NOISE_OFF))
        second = self.integers(1)
        older = self.Slice(gain, self.integers(0), self.integers(frames), second)
        newer = self.Slice(gain, self.integers(1), self.integers(frames + 1), second)
        older, newer = (self.Unsqueeze(g, self.integers(2)) for g in (older, newer))
        within = np.arange(FRAME, dtype=np.float32)[None, None] / FRAME
        within = self.Constant(value=numpy_helper.from_array(within.astype(np.float32)))
        straight = self.Add(older, self.Mul(self.Sub(newer, older), within))
        return self.Reshape(straight, self.integers(1, bands, self.samples))

    def word(self, value: int) -> str:
        """A uint32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.uint32)))

    def hashed(self, count: str) -> str:
        """lowbias32 of integers, as uint32."""
        x = self.Cast(self.BitwiseAnd(count, self.integer(WORD)), to=TensorProto.UINT32)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
            x = self.BitwiseXor(x, self.BitShift(x, self.word(shift), direction="RIGHT"))
            if factor is not None:
                x = self.Mul(x, self.word(factor))
        return x

    def banded(self, bands: int, points: int, taps: int) -> str:
        """Noise in bands, [1, 1, samples]; it sounds before the hit, too."""
        start = self.hashed(self.Mul(self.attribute("seed"), self.integer(GOLDEN)))
        count = self.Range(self.integer(1 - taps), self.integer(self.samples), self.integer(1))
        x = self.hashed(self.Add(count, self.Cast(start, to=TensorProto.INT64)))
        top = self.Cast(self.BitShift(x, self.word(32 - NOISE_BITS), direction="RIGHT"), to=TensorProto.INT64)
        half = 1 << (NOISE_BITS - 1)
        signed = self.Where(self.Less(top, self.integer(half)), top, self.Sub(top, self.integer(2 * half)))
        white = self.Mul(self.Cast(signed, to=TensorProto.FLOAT), self.number(1.0 / half))
        white = self.Unsqueeze(white, self.integers(0, 1))
        sounds = self.Mul(self.Conv(white, "filters"), self.gains(bands, points))
        return self.ReduceSum(sounds, self.integers(1), keepdims=1)

    def stroke(self) -> str:
        """The transient, [1, 1, samples]."""
        faded = self.Mul(self.Reshape("transient", self.integers(1, 1, -1)), "fade")
        length = self.Squeeze(self.Shape(faded, start=2, end=3), self.integers(0))
        rest = self.Unsqueeze(self.Sub(self.integer(self.samples), length), self.integers(0))
        return self.Pad(faded, self.Concat(self.integers(0, 0, 0, 0, 0), rest, axis=0))
