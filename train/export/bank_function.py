"""The body of ``HarmonicBank``: a voice's end in standard ONNX."""

from __future__ import annotations

import numpy as np
from onnx import FunctionProto, TensorProto, numpy_helper

from common.audio import SAMPLE_RATE_HZ
from train.export.body import Body, function
from train.models.hit.shape import NOISE_HIGHEST, NOISE_LOWEST, NOISE_OFF
from train.models.hit.sound import NOISE_BITS
from train.models.noise import GOLDEN, WORD
from train.models.source_filter.sound import TURN
from train.models.voice import bank, shape

QUARTER, QUARTERS = bank.QUARTER, bank.QUARTERS


class _BankBody(Body):
    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.float32)))

    def word(self, value: int) -> str:
        """A uint32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.uint32)))

    def table(self, values: np.ndarray) -> str:
        """A constant."""
        return self.Constant(value=numpy_helper.from_array(values))

    def part(self, value: str, axis: int, begin: int, end: int) -> str:
        """A slice."""
        return self.Slice(value, self.integers(begin), self.integers(end), self.integers(axis))

    def last(self, value: str) -> str:
        """One axis more, the last."""
        return self.Unsqueeze(value, self.integers(-1))

    def before(self, value: str, first: str) -> str:
        """What came before along axis 2."""
        return self.Concat(first, self.part(value, 2, 0, -1), axis=2)

    def first_of(self, value: str, fill: float) -> str:
        """A frame like the first of ``value [1, C, T]``, of one number."""
        nothing = self.Mul(self.part(value, 2, 0, 1), self.number(0.0))
        return self.Add(nothing, self.number(fill))

    def quarters(self, older: str, newer: str) -> str:
        """``[1, C, T]`` twice to ``[1, C, 4·T]``: straight from the one to the other."""
        q = self.table(np.arange(1, QUARTERS + 1, dtype=np.float32) / np.float32(QUARTERS))
        between = self.Add(self.last(older), self.Mul(self.last(self.Sub(newer, older)), q))
        return self.Reshape(between, self.integers(0, 0, -1))

    def ramps(self, ends: str, parts: str) -> str:
        """Sum of parts ``[1, C, 4·T, 48]`` at levels that go straight from end to end of quarters."""
        begins = self.before(ends, self.first_of(ends, 0.0))
        old, new = (
            self.ReduceSum(self.Mul(self.last(x), parts), self.integers(1), keepdims=0)
            for x in (begins, ends)
        )
        within = self.table((np.arange(QUARTER) / QUARTER).astype(np.float32))
        return self.Add(old, self.Mul(self.Sub(new, old), within))

    def steps(self, control: str) -> tuple[str, str]:
        """Steps of the phase at the begins and ends of quarters, int64 [1, 1, 4·T] each."""
        octaves = self.part(control, 1, 0, 1)
        low, high = self.number(shape.LOWEST_OCTAVE), self.number(shape.HIGHEST_OCTAVE)
        hz = self.Mul(self.Pow(self.number(2.0), self.Clip(octaves, low, high)), self.number(shape.PITCH_HZ))
        step = self.Cast(self.Mul(hz, self.number(TURN / SAMPLE_RATE_HZ)), to=TensorProto.INT64)
        first = self.part(step, 2, 0, 1)
        older = self.before(step, first)
        q = self.integers(*range(1, QUARTERS + 1))
        way = self.Mul(self.last(self.Sub(step, older)), q)
        # floor, where integer division goes to zero
        shifted = self.Sub(way, self.Mod(way, self.integer(QUARTERS)))
        ends = self.Add(self.last(older), self.Div(shifted, self.integer(QUARTERS)))
        ends = self.Reshape(ends, self.integers(0, 0, -1))
        return self.before(ends, first), ends

    def sines(self, begins: str, ends: str, harmonics: str) -> str:
        """Sines of every harmonic, [1, K, 4·T, 48]; harmonics: int64 [K]."""
        bend = self.Div(self.Sub(ends, begins), self.integer(QUARTER))
        i = self.Range(self.integer(0), self.integer(QUARTER), self.integer(1))
        steps = self.Add(self.last(begins), self.Mul(self.last(bend), i))
        phase = self.CumSum(self.Reshape(steps, self.integers(1, 1, -1)), self.integer(2))
        word = self.BitwiseAnd(self.Mul(phase, harmonics), self.integer(WORD))
        high = self.Sub(word, self.integer(1 << 32))
        signed = self.Where(self.Less(word, self.integer(1 << 31)), word, high)
        angle = self.Mul(self.Cast(signed, to=TensorProto.FLOAT), self.number(2 * np.pi / TURN))
        return self.Reshape(self.Sin(angle), self.integers(0, 0, -1, QUARTER))

    def tones(self, logs: str, control: str) -> str:
        """Harmonics, [1, 4·T, 48]."""
        begins, ends = self.steps(control)
        count = self.Squeeze(self.Shape(logs, start=1, end=2), self.integers(0))
        order = self.Range(self.integer(1), self.Add(count, self.integer(1)), self.integer(1))
        order = self.Unsqueeze(order, self.integers(0, 2))
        low, high = self.number(shape.LOWEST_LOG), self.number(shape.HIGHEST_LOG)
        sounds = self.Cast(self.Greater(logs, self.number(bank.LEVEL_OFF)), to=TensorProto.FLOAT)
        amplitude = self.Mul(self.Exp(self.Clip(logs, low, high)), sounds)
        older = self.before(amplitude, self.first_of(amplitude, 0.0))
        steps = self.Cast(self.Mul(ends, order), to=TensorProto.FLOAT)
        left = self.Sub(self.number(shape.FADE_TO * TURN), steps)
        fade = self.Div(left, self.number((shape.FADE_TO - shape.FADE_FROM) * TURN))
        fade = self.Clip(fade, self.number(0.0), self.number(1.0))
        return self.ramps(self.Mul(self.quarters(older, amplitude), fade), self.sines(begins, ends, order))

    def hiss(self, logs: str, frames: str) -> str:
        """Noise, [1, 4·T, 48]."""
        logs = self.Clip(logs, self.number(NOISE_LOWEST), self.number(NOISE_HIGHEST))
        between = self.quarters(self.before(logs, self.first_of(logs, NOISE_LOWEST)), logs)
        sounds = self.Cast(self.Greater(between, self.number(NOISE_OFF)), to=TensorProto.FLOAT)
        banded = self.Conv(self.white(frames), "filters")
        banded = self.Reshape(banded, self.integers(0, 0, -1, QUARTER))
        return self.ramps(self.Mul(self.Exp(between), sounds), banded)

    def white(self, frames: str) -> str:
        """White noise from so many samples ahead that the filters are full, [1, 1, S]."""
        samples = self.Mul(frames, self.integer(shape.HOP))
        n = self.Range(self.integer(1 - shape.TAPS), samples, self.integer(1))
        key = self.Cast(self.BitwiseAnd(self.key(), self.integer(WORD)), to=TensorProto.INT64)
        top = self.hashed(self.Add(n, key))
        shifted = self.BitShift(top, self.word(32 - NOISE_BITS), direction="RIGHT")
        wide = self.Cast(shifted, to=TensorProto.INT64)
        half = 1 << (NOISE_BITS - 1)
        signed = self.Where(self.Less(wide, self.integer(half)), wide, self.Sub(wide, self.integer(2 * half)))
        noise = self.Div(self.Cast(signed, to=TensorProto.FLOAT), self.number(half))
        return self.Unsqueeze(noise, self.integers(0, 1))

    def key(self) -> str:
        """What the noise of the first hit begins at."""
        return self.Cast(
            self.hashed(self.Mul(self.attribute("seed"), self.integer(GOLDEN))), to=TensorProto.INT64
        )

    def hashed(self, value: str) -> str:
        """``hash32`` of the low bits of an int64, as uint32."""
        x = self.Cast(self.BitwiseAnd(value, self.integer(WORD)), to=TensorProto.UINT32)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
            x = self.BitwiseXor(x, self.BitShift(x, self.word(shift), direction="RIGHT"))
            if factor is not None:
                x = self.Mul(x, self.word(factor))
        return x


def harmonic_bank(harmonics: int) -> FunctionProto:
    """``HarmonicBank(numbers [1, K + B, T], control [1, C, T], filters [B, 1, taps]) -> [1, 1, 192·T]``."""
    b = _BankBody()
    frames = b.Squeeze(b.Shape("numbers", start=2, end=3), b.integers(0))
    told = b.Sub(b.part("control", 1, 2, 3), b.number(1.0))
    level = b.Mul(told, b.number(shape.LOUDNESS_DB * shape.LOG_PER_DB))
    tones = b.Add(b.part("numbers", 1, 0, harmonics), level)
    noise = b.Add(b.part("numbers", 1, harmonics, 1 << 30), level)
    both = b.Add(b.tones(tones, "control"), b.hiss(noise, frames))
    b.Reshape(both, b.integers(1, 1, -1), name="audio")
    return function(
        "HarmonicBank", ["numbers", "control", "filters"], "audio", b, ["harmonics", "hop", "seed"]
    )
