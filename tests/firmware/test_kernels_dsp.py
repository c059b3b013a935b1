"""PQMF and filtered noise: the fast forms give what the definitions give, in blocks of any size."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.kernelgen import pqmf
from tests.firmware.kernel_runner import Array, Call, Struct, make_calls

pytestmark = pytest.mark.fast

TARGETS = ["host", "host-asan", "m7", "aarch64", "wasm"]


def bank_of(prototype, bands, synthesis):
    """The definition, docs/design.md#model-file: the impulse responses."""
    taps = len(prototype)
    k, n = np.arange(bands)[:, None], np.arange(taps)[None] - (taps - 1) / 2
    phase = (-1.0) ** k * np.pi / 4 * (-1 if synthesis else 1)
    return 2 * prototype * np.cos((2 * k + 1) * np.pi / (2 * bands) * n + phase)


def bank_struct(tables, bands):
    fields = [("P", Array(tables.window, b"")), ("P", Array(tables.twiddle, b""))]
    return Struct([*fields, ("H", bands), ("H", tables.folds)])


def in_blocks(rng, frames):
    """Borders of blocks that are all of different sizes."""
    cuts = [0]
    while cuts[-1] < frames:
        cuts.append(min(frames, cuts[-1] + int(rng.integers(1, 6))))
    return list(itertools.pairwise(cuts))


SHAPES = [(2, 4), (2, 20), (4, 24), (8, 64), (16, 32), (16, 256), (16, 480), (32, 320), (64, 512)]


@pytest.mark.parametrize("bands,taps", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_fast_synthesis_equals_the_direct_form(target, bands, taps):
    rng = np.random.default_rng(bands + taps)
    prototype = rng.normal(size=taps) * np.hanning(taps + 2)[1:-1]
    frames = 2 * taps // bands + 5
    x = rng.normal(size=(frames, bands)).astype(np.float32)
    direct = np.zeros(frames * bands + taps)
    bank = bank_of(prototype, bands, True)
    for t in range(frames):
        direct[t * bands : t * bands + taps] += x[t].astype(np.float64) @ bank
    direct = direct[: frames * bands]
    tables = pqmf.tables(prototype, bands, synthesis=True)
    # one call on the whole, state and all
    state, y = (
        Array(np.zeros(tables.state_floats, np.float32), b""),
        Array(np.zeros(frames * bands, np.float32), b""),
    )
    call = Call("vk_pqmf_synthesis", [bank_struct(tables, bands), state, Array(x, b""), bands, y, frames])
    found = make_calls(target, [call])[0]
    scale = np.abs(direct).max()
    np.testing.assert_allclose(found[4], direct, atol=1e-5 * scale, rtol=0)
    if target == "host":  # and the same in blocks, exactly
        memory, parts = np.zeros(tables.state_floats, np.float32), []
        for a, b in in_blocks(rng, frames):
            y = Array(np.zeros((b - a) * bands, np.float32), b"")
            call = Call(
                "vk_pqmf_synthesis",
                [bank_struct(tables, bands), Array(memory, b""), Array(x[a:b], b""), bands, y, b - a],
            )
            got = make_calls(target, [call])[0]
            memory = got[2]
            parts.append(got[4])
        np.testing.assert_array_equal(np.concatenate(parts), found[4])


@pytest.mark.parametrize("bands,taps", SHAPES)
@pytest.mark.parametrize("target", TARGETS)
def test_fast_analysis_equals_the_direct_form(target, bands, taps):
    rng = np.random.default_rng(bands + taps)
    prototype = rng.normal(size=taps) * np.hanning(taps + 2)[1:-1]
    frames = 2 * taps // bands + 3
    x = rng.normal(size=frames * bands).astype(np.float32)
    padded = np.concatenate([np.zeros(taps - 1), x.astype(np.float64)])
    bank = bank_of(prototype, bands, False)[:, ::-1]
    direct = np.stack([bank @ padded[t * bands + bands - 1 :][:taps] for t in range(frames)])
    tables = pqmf.tables(prototype, bands, synthesis=False)
    state, y = (
        Array(np.zeros(tables.state_floats, np.float32), b""),
        Array(np.zeros((frames, bands), np.float32), b""),
    )
    call = Call("vk_pqmf_analysis", [bank_struct(tables, bands), state, Array(x, b""), y, bands, frames])
    found = make_calls(target, [call])[0]
    np.testing.assert_allclose(found[4], direct, atol=1e-5 * np.abs(direct).max(), rtol=0)


def test_a_bank_without_a_fast_form_is_refused_with_its_numbers():
    with pytest.raises(Refusal, match="12 bands and 48 taps"):
        pqmf.tables(np.ones(48), 12, synthesis=True)
    with pytest.raises(Refusal, match="multiple of 32"):
        pqmf.tables(np.ones(129), 16, synthesis=True)


def noise(bands, samples, seed):
    """The contract's generator, in Python integers."""
    x = [(m * bands + b + seed * 0x9E3779B9) % 2**32 for m in range(samples) for b in range(bands)]
    out = []
    for v in x:
        v = ((v ^ (v >> 16)) * 0x7FEB352D) % 2**32
        v = ((v ^ (v >> 15)) * 0x846CA68B) % 2**32
        v ^= v >> 16
        out.append((v - 2**32 if v >= 2**31 else v) / 2**31)
    return np.array(out).reshape(samples, bands)


@pytest.mark.parametrize(
    "bands,taps,hop,seed",
    [(1, 1, 1, 0), (16, 1, 1, 3), (3, 5, 4, 7), (2, 9, 3, 2**31 + 5), (2, 64, 70, 1), (1, 65, 33, 2)],
)
@pytest.mark.parametrize("target", TARGETS)
def test_filtered_noise_equals_its_definition_across_calls(target, bands, taps, hop, seed):
    rng = np.random.default_rng(1)
    frames = 6
    filters = rng.normal(size=(frames, bands * taps)).astype(np.float32)
    source = noise(bands, frames * hop, seed)
    wanted = np.zeros((frames * hop, bands))
    for n in range(frames * hop):
        for k in range(min(taps, n + 1)):
            wanted[n] += filters[n // hop].reshape(bands, taps)[:, k] * source[n - k]
    settings = Struct([("I", seed), ("H", bands), ("H", taps), ("H", hop)])
    memory, parts = np.zeros(1, np.uint32), []
    for a, b in ((0, 1), (1, 4), (4, 6)):
        y = Array(np.zeros(((b - a) * hop, bands), np.float32), b"")
        call = Call(
            "vk_filtered_noise",
            [settings, Array(memory, b""), Array(filters[a:b], b""), bands * taps, y, bands, b - a],
        )
        found = make_calls(target, [call])[0]
        memory = found[0]
        parts.append(found[2])
    np.testing.assert_allclose(np.concatenate(parts), wanted, atol=1e-5, rtol=0)
