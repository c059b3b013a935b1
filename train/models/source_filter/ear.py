"""What the encoder hears: log-mel bands and the loudness, once a hop of 256 samples, nothing of the future.

    window   = 0 up to 256; (1 − cos(π·(n − 256) / 512)) / 2 up to 768; (1 + cos(π·(n − 768) / 256)) / 2
    power_b  = Σ_k bank[b, k] · |Σ_n window[n] · x[n] · exp(−2πi·k·n / 1024)|²
    band_b   = 0.2 · (log(power_b + 1e-7) + 7)
    loudness = 0.5 · (log(Σ_n weight[n] · x[n]² + 1e-8) + 8)

Frame t ends with sample 256 t + 255. The window leans to what is new: its middle is 7 ms back, not 11.
The engine's form is ``firmware/engine/dsp/ear.h``.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.domain import domain_node
from train.models.source_filter.mel_bank import mel_bank

HOP = 256
SIZE = 1024
LOUDNESS_SIZE = 768
BAND_FLOOR, BAND_MIDDLE, BAND_SCALE = 1e-7, 7.0, 0.2
LOUDNESS_FLOOR, LOUDNESS_MIDDLE, LOUDNESS_SCALE = 1e-8, 8.0, 0.5


class Ear(nn.Module):
    """Log-mel bands and loudness, ``[N, 1, 256·T]`` to ``[N, bands + 1, T]``; loudness is the last row.

    Parameters
    ----------
    bands : int
        Mel bands.
    """

    def __init__(self, bands: int = 64):
        super().__init__()
        self.bands = bands
        bank = mel_bank(bands, SIZE // 2 + 1)
        window = leaning_window()
        bank /= bank.sum(1, keepdims=True) * np.sum(window**2)
        weight = np.hanning(LOUDNESS_SIZE + 1)[:-1]
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32), persistent=False)
        self.register_buffer("window", torch.tensor(window, dtype=torch.float32), persistent=False)
        self.register_buffer(
            "weight", torch.tensor(weight / weight.sum(), dtype=torch.float32), persistent=False
        )
        self.bank: Tensor
        self.window: Tensor
        self.weight: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """Hear."""
        if torch.onnx.is_in_onnx_export():
            shape = (audio.shape[0], self.bands + 1, audio.shape[2] // HOP)
            return domain_node("Ear", (audio, self.window, self.bank, self.weight), {"hop": HOP}, shape)
        past = F.pad(audio[:, 0], (SIZE - HOP, 0)).unfold(1, SIZE, HOP)
        power = self.bank @ torch.fft.rfft(past * self.window).abs().square().transpose(1, 2)
        bands = (torch.log(power + BAND_FLOOR) + BAND_MIDDLE) * BAND_SCALE
        square = past[..., -LOUDNESS_SIZE:].square() @ self.weight
        loudness = (torch.log(square + LOUDNESS_FLOOR) + LOUDNESS_MIDDLE) * LOUDNESS_SCALE
        return torch.cat([bands, loudness[:, None]], 1)


def leaning_window() -> np.ndarray:
    """Half a Hann window of 1024 and half a one of 512 behind it, float64 [1024]."""
    n = np.arange(SIZE)
    rise = 0.5 - 0.5 * np.cos(np.pi * (n - SIZE // 4) / (SIZE // 2))
    fall = 0.5 + 0.5 * np.cos(np.pi * (n - 3 * SIZE // 4) / (SIZE // 4))
    return np.where(n < SIZE // 4, 0.0, np.where(n < 3 * SIZE // 4, rise, fall))
