"""Noise that depends on the sample count only."""

import numpy as np
import torch

from train.models.noise import FilteredNoise, counted_noise, filter_noise, hash32


def lowbias32(x: int) -> int:
    """Wellons' hash, written out in Python integers."""
    x ^= x >> 16
    x = x * 0x7FEB352D % 2**32
    x ^= x >> 15
    x = x * 0x846CA68B % 2**32
    return x ^ (x >> 16)


def test_the_hash_is_lowbias32():
    words = [0, 1, 2, 12345, 2**31, 2**32 - 1]
    assert hash32(torch.tensor(words)).tolist() == [lowbias32(w) for w in words]


def test_noise_follows_the_formula():
    bands, seed = 3, 7
    noise = counted_noise(bands, 50, seed)
    for b, m in ((0, 0), (2, 13), (1, 49)):
        word = lowbias32((m * bands + b + seed * 0x9E3779B9) % 2**32)
        signed = word - 2**32 if word >= 2**31 else word
        assert noise[b, m].item() == np.float32(signed / 2**31)


def test_a_longer_stretch_begins_like_a_shorter_one():
    assert torch.equal(counted_noise(16, 100, 1)[:, :40], counted_noise(16, 40, 1))


def test_it_is_white_and_bands_are_strangers():
    noise = counted_noise(16, 20_000, 1).numpy()
    assert np.abs(noise.mean(1)).max() < 0.02
    assert np.allclose(noise.std(1), 1 / np.sqrt(3), atol=0.01)
    correlation = np.corrcoef(noise) - np.eye(16)
    assert np.abs(correlation).max() < 0.03
    spectrum = np.abs(np.fft.rfft(noise[0])) ** 2
    parts = spectrum[1:10_001].reshape(10, 1000).mean(1)
    assert parts.max() / parts.min() < 1.3


def test_filters_are_held_for_a_hop_and_look_back_only():
    bands, taps, hop, frames = 2, 3, 4, 6
    filters = torch.randn(1, bands * taps, frames)
    noise = counted_noise(bands, frames * hop, 1)
    made = filter_noise(filters, noise[None], bands, hop)[0]
    for b, n in ((0, 0), (1, 5), (0, 23)):
        want = sum(
            float(filters[0, b * taps + k, n // hop]) * float(noise[b, n - k]) for k in range(taps) if n >= k
        )
        assert abs(float(made[b, n]) - want) < 1e-6


def test_training_draws_fresh_noise():
    layer = FilteredNoise(2, 1)
    filters = torch.ones(1, 2, 16)
    assert not torch.equal(layer(filters), layer(filters))
    layer.eval()
    assert torch.equal(layer(filters), layer(filters))
