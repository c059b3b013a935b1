"""The bodies of ``Ear`` and ``SourceFilter``: a texture's two ends in standard ONNX."""

from __future__ import annotations

import numpy as np
from onnx import FunctionProto, TensorProto, numpy_helper

from common.audio import SAMPLE_RATE_HZ
from train.export.body import Body, function
from train.models.noise import GOLDEN, WORD
from train.models.source_filter import ear, sound
from train.models.source_filter.ear import HOP


class _TextureBody(Body):
    def number(self, value: float) -> str:
        """A float32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.float32)))

    def word(self, value: int) -> str:
        """A uint32 scalar."""
        return self.Constant(value=numpy_helper.from_array(np.array(value, np.uint32)))

    def padded(self, value: str, axis: int, before: int, after: int) -> str:
        """Zeros on either side of an axis."""
        pads = self.integers(before, after)
        return self.Pad(value, pads, self.number(0.0), self.integers(axis))

    def part(self, value: str, axis: int, begin: int, end: int) -> str:
        """A slice."""
        return self.Slice(value, self.integers(begin), self.integers(end), self.integers(axis))

    def scaled_log(self, power: str, floor: float, middle: float, scale: float) -> str:
        """``(log(power + floor) + middle) · scale``."""
        logs = self.Log(self.Add(power, self.number(floor)))
        return self.Mul(self.Add(logs, self.number(middle)), self.number(scale))

    def wrapped(self, value: str) -> str:
        """The signed 32-bit number in the low bits of each int64."""
        low = self.BitwiseAnd(value, self.integer(WORD))
        high = self.Sub(low, self.integer(1 << 32))
        return self.Where(self.Less(low, self.integer(1 << 31)), low, high)

    def sine(self, word: str) -> str:
        """Of a turn that is 2^32."""
        return self.Sin(self.Mul(self.float(word), self.number(2 * np.pi / sound.TURN)))

    def float(self, value: str) -> str:
        """As float32."""
        return self.Cast(value, to=TensorProto.FLOAT)

    def each(self, value: str) -> str:
        """``[1, T]`` as ``[1, T, 1]``."""
        return self.Unsqueeze(value, self.integers(2))

    def flat(self, value: str) -> str:
        """``[1, T, 256]`` as ``[1, 256·T]``."""
        return self.Reshape(value, self.integers(1, -1))

    def pulses(self, control: str) -> str:
        """The pulse train, [1, 256·T]."""
        octaves = self.Gather(control, self.integer(0), axis=1)
        octaves = self.Clip(octaves, self.number(sound.LOWEST_OCTAVE), self.number(sound.HIGHEST_OCTAVE))
        hz = self.Mul(self.Pow(self.number(2.0), octaves), self.number(sound.PITCH_HZ))
        before = self.Concat(self.part(hz, 1, 0, 1), self.part(hz, 1, 0, -1), axis=1)
        rate = self.number(0.5 * sound.TURN / SAMPLE_RATE_HZ)
        old, new = (self.Cast(self.Mul(x, rate), to=TensorProto.INT64) for x in (before, hz))
        bend = self.Div(self.Sub(new, old), self.integer(HOP))
        within = self.Range(self.integer(0), self.integer(HOP), self.integer(1))
        steps = self.Add(self.each(old), self.Mul(self.each(bend), within))
        phase = self.CumSum(self.flat(steps), self.integer(1))
        half = self.Div(self.wrapped(self.Mul(phase, self.integer(2))), self.integer(2))
        count = self.Floor(self.Div(self.number(sound.BRIGHTEST_HZ), self.Max(before, hz)))
        odd = self.Cast(count, to=TensorProto.INT64)
        odd = self.Add(self.Mul(odd, self.integer(2)), self.integer(1))
        size = self.integers(1, 1, HOP)
        odd, counts = (self.flat(self.Expand(self.each(x), size)) for x in (odd, count))
        below, above = self.sine(half), self.sine(self.wrapped(self.Mul(half, odd)))
        small = self.Less(self.Abs(below), self.number(1e-5))
        ratio = self.Div(above, self.Where(small, self.number(1.0), below))
        ratio = self.Sub(self.Where(small, self.float(odd), ratio), self.number(1.0))
        level = self.Div(self.number(0.5 * sound.PULSE_RMS), self.Sqrt(self.Mul(counts, self.number(0.5))))
        return self.Mul(ratio, level)

    def turned(self, spectrum: str) -> str:
        """Bins [1, T, 257, 2], each turned back by its own part of a turn."""
        angle = sound.turns().double().numpy() * (-2 * np.pi)
        by = np.stack([np.cos(angle), np.sin(angle)])[:, None, None, :, None].astype(np.float32)
        cosine, sine = (self.Constant(value=numpy_helper.from_array(part)) for part in by)
        signs = self.Constant(value=numpy_helper.from_array(np.array([-1.0, 1.0], np.float32)))
        crossed = self.Mul(self.Gather(spectrum, self.integers(1, 0), axis=3), signs)
        return self.Add(self.Mul(spectrum, cosine), self.Mul(crossed, sine))

    def hiss(self, frames: str) -> str:
        """Bins of the noise, [1, T, 257, 2]."""
        count = self.Range(self.integer(0), self.Mul(frames, self.integer(sound.SIZE)), self.integer(1))
        count = self.Add(count, self.Mul(self.attribute("seed"), self.integer(GOLDEN)))
        x = self.Cast(self.BitwiseAnd(count, self.integer(WORD)), to=TensorProto.UINT32)
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B), (16, None)):
            x = self.BitwiseXor(x, self.BitShift(x, self.word(shift), direction="RIGHT"))
            if factor is not None:
                x = self.Mul(x, self.word(factor))
        signed = self.float(self.wrapped(self.Cast(x, to=TensorProto.INT64)))
        parts = self.Mul(signed, self.number(3**0.5 * sound.HISS_RMS / 2.0**31))
        return self.padded(self.Reshape(parts, self.integers(1, -1, HOP, 2)), 2, 0, 1)

    def gains(self, numbers: str, bands: int) -> tuple[str, str]:
        """Gains of pulses and noise, [1, T, 257, 1] each."""
        share = self.Transpose("share", perm=[1, 0])
        lowest, highest = self.number(sound.LOWEST_LOG), self.number(sound.HIGHEST_LOG)
        tone = self.MatMul(share, self.part(numbers, 1, 0, bands))
        noise = self.MatMul(share, self.part(numbers, 1, bands, 2 * bands))
        noise = self.Add(noise, self.number(sound.NOISE_OFFSET))
        tone, noise = (self.Clip(x, lowest, highest) for x in (tone, noise))
        two = self.number(2.0)
        power = self.Add(
            self.Mul(self.Exp(self.Mul(tone, two)), self.number(sound.PULSE_RMS**2)),
            self.Exp(self.Mul(noise, two)),
        )
        power = self.Log(
            self.Add(self.ReduceMean(power, self.integers(1), keepdims=1), self.number(sound.POWER_FLOOR))
        )
        off = self.Tanh(self.part(numbers, 1, 2 * bands, 2 * bands + 1))
        gain = self.Sub(off, self.Mul(power, self.number(0.5)))
        tone, noise = (
            self.Unsqueeze(self.Transpose(self.Exp(self.Add(x, gain)), perm=[0, 2, 1]), self.integers(3))
            for x in (tone, noise)
        )
        return tone, noise

    def level(self, control: str) -> str:
        """By what every frame is multiplied, [1, T, 1]."""
        told = self.Div(self.part(control, 1, 2, 3), self.number(ear.LOUDNESS_SCALE))
        told = self.Mul(self.Sub(told, self.number(ear.LOUDNESS_MIDDLE)), self.number(0.5))
        return self.Transpose(self.Exp(told), perm=[0, 2, 1])


def ear_function() -> FunctionProto:
    """``Ear(audio [1, 1, 256·T], window, bank [B, 513], weight [768]) {hop} -> [1, B + 1, T]``."""
    b = _TextureBody()
    hop = b.integer(HOP)
    past = b.Reshape(b.padded("audio", 2, ear.SIZE - HOP, 0), b.integers(1, -1, 1))
    bins = b.STFT(past, hop, "window", b.integer(ear.SIZE))
    power = b.Transpose(b.ReduceSumSquare(bins, b.integers(3), keepdims=0), perm=[0, 2, 1])
    power = b.MatMul("bank", power)
    bands = b.scaled_log(power, ear.BAND_FLOOR, ear.BAND_MIDDLE, ear.BAND_SCALE)
    late = b.padded("audio", 2, ear.LOUDNESS_SIZE - HOP, 0)
    weight = b.Unsqueeze("weight", b.integers(0, 1))
    square = b.Conv(b.Mul(late, late), weight, strides=[HOP])
    loudness = b.scaled_log(square, ear.LOUDNESS_FLOOR, ear.LOUDNESS_MIDDLE, ear.LOUDNESS_SCALE)
    b.Concat(bands, loudness, name="heard", axis=1)
    return function("Ear", ["audio", "window", "bank", "weight"], "heard", b, ["hop"])


def source_filter_function(bands: int) -> FunctionProto:
    """``SourceFilter(numbers [1, 2·B + 1, T], control [1, 3, T], share, window) {seed} -> [1, 1, 256·T]``."""
    b = _TextureBody()
    frames = b.Squeeze(b.Shape("numbers", start=2, end=3), b.integers(0))
    tone, noise = b.gains("numbers", bands)
    source = b.Unsqueeze(b.padded(b.pulses("control"), 1, HOP, 0), b.integers(2))
    spectrum = b.STFT(source, b.integer(HOP), "window", b.integer(sound.SIZE))
    bins = b.Add(b.Mul(tone, b.turned(spectrum)), b.Mul(noise, b.hiss(frames)))
    mirrored = b.Slice(bins, b.integers(HOP - 1), b.integers(0), b.integers(2), b.integers(-1))
    sign = b.Constant(value=numpy_helper.from_array(np.array([1.0, -1.0], np.float32)))
    whole = b.Concat(bins, b.Mul(mirrored, sign), axis=2)
    made = b.DFT(whole, b.integer(sound.SIZE), b.integer(2), inverse=1)
    made = b.Mul(b.Gather(made, b.integer(0), axis=3), "window")
    made = b.Mul(b.part(b.padded(made, 1, 1, 0), 1, 0, -1), b.level("control"))
    early, late = b.part(made, 2, 0, HOP), b.part(made, 2, HOP, sound.SIZE)
    late = b.part(b.padded(late, 1, 1, 0), 1, 0, -1)
    b.Reshape(b.Add(early, late), b.integers(1, 1, -1), name="audio")
    return function("SourceFilter", ["numbers", "control", "share", "window"], "audio", b, ["seed"])
