"""The filter bank keeps its promises: bands, reconstruction, causality, and the formula on the paper."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from train.models.pqmf import (
    PQMFAnalysis,
    PQMFSynthesis,
    analyse,
    design_prototype,
    measure_bank,
    modulate,
    synthesise,
)


@pytest.mark.parametrize(
    ("bands", "taps", "stopband_db", "snr_db"),
    [(16, 96, -40, 40), (16, 192, -55, 58), (8, 96, -54, 58), (4, 48, -54, 58)],
)
def test_reconstruction_is_near_perfect(bands, taps, stopband_db, snr_db):
    report = measure_bank(bands, taps)
    assert report.stopband_db < stopband_db
    assert report.snr_db > snr_db
    assert report.ripple_db < 0.12


def test_the_drum_bank_delays_by_less_than_a_millisecond():
    assert measure_bank(16, 96).delay_ms < 1.0


def test_a_sine_in_mid_band_lands_in_its_band_with_amplitude_one():
    bands, taps = 16, 96
    hz = 1500 * 3 + 750
    x = torch.sin(2 * torch.pi * hz * torch.arange(4800) / 48_000)[None, None]
    subbands = PQMFAnalysis(bands, taps)(x)[0, :, 20:]
    level = (2 * (subbands**2).mean(1)).sqrt()
    assert level.argmax() == 3
    assert level[3] == pytest.approx(1.0, abs=0.02)
    assert level[[0, 1, 5, 6, 7]].max() < 0.02


@settings(max_examples=20)
@given(st.integers(2, 40), st.integers(0, 39), st.integers(0, 2**31))
def test_neither_direction_looks_ahead(frames, cut, seed):
    cut = cut % frames
    generator = torch.Generator().manual_seed(seed)
    audio = torch.randn(1, 1, frames * 16, generator=generator)
    changed = audio.clone()
    changed[..., (cut + 1) * 16 :] += 1.0
    analysis, synthesis = PQMFAnalysis(16, 96), PQMFSynthesis(16, 96)
    assert torch.equal(analysis(audio)[..., : cut + 1], analysis(changed)[..., : cut + 1])
    subbands = torch.randn(1, 16, frames, generator=generator)
    later = subbands.clone()
    later[..., cut + 1 :] += 1.0
    stop = (cut + 1) * 16
    assert torch.allclose(synthesis(subbands)[..., :stop], synthesis(later)[..., :stop], atol=1e-6)


def test_the_bank_is_prototype_times_cosine():
    bank = PQMFSynthesis(16, 96)
    q = bank.prototype.numpy().astype(np.float64)
    n = np.arange(96) - 95 / 2
    for k in range(16):
        wanted = 2 * q * np.cos((2 * k + 1) * np.pi / 32 * n - (-1) ** k * np.pi / 4)
        assert np.abs(bank.bank[k, 0].numpy() - wanted).max() < 1e-6


def test_the_convolution_equals_the_sum_on_paper():
    rng = np.random.default_rng(0)
    h = modulate(design_prototype(4, 16), 4, synthesis=False)
    x = rng.standard_normal(64)
    ours = analyse(torch.tensor(x)[None, None], torch.tensor(h)[:, None])[0].numpy()
    for t in (0, 3, 9, 15):
        for k in range(4):
            want = sum(h[k, n] * x[t * 4 + 3 - n] for n in range(16) if t * 4 + 3 - n >= 0)
            assert ours[k, t] == pytest.approx(want, abs=1e-12)
    g = modulate(design_prototype(4, 16) * 4, 4, synthesis=True)
    s = rng.standard_normal((4, 16))
    made = synthesise(torch.tensor(s)[None], torch.tensor(g)[:, None])[0, 0].numpy()
    want = sum(g[k, 37 - 4 * t] * s[k, t] for k in range(4) for t in range(16) if 0 <= 37 - 4 * t < 16)
    assert made[37] == pytest.approx(want, abs=1e-12)


def test_odd_sizes_are_refused_in_words():
    with pytest.raises(ValueError, match="in steps of 32"):
        design_prototype(16, 100)
