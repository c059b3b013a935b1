"""Pictures of a sound's beginning: in mel bands, and in single bins at the low end."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.audio import SAMPLE_RATE_HZ


class MelPicture(nn.Module):
    """Log-mel picture of the first moments of a sound, ``[N, 1, S]`` to ``[N, mels, frames]``.

    Parameters
    ----------
    seconds : float
        How much is looked at; shorter sounds are padded with silence.
    mels, size, hop : int
        Bands, FFT size and hop in samples.
    lowest_hz : float
        Where the lowest band begins.
    """

    FLOOR, SCALE = 1e-3, 0.25  # of power; of its log

    def __init__(
        self,
        seconds: float = 1.5,
        mels: int = 64,
        size: int = 1024,
        hop: int = 256,
        lowest_hz: float = 20.0,
    ):
        super().__init__()
        from librosa.filters import mel

        self.samples = round(seconds * SAMPLE_RATE_HZ)
        self.size, self.hop, self.mels = size, hop, mels
        self.frames = 1 + self.samples // hop
        window = torch.hann_window(size)
        self.register_buffer("window", window, persistent=False)
        bank = mel(sr=SAMPLE_RATE_HZ, n_fft=size, n_mels=mels, fmin=lowest_hz, fmax=20_000.0, norm=None)
        self.register_buffer("bank", torch.tensor(bank, dtype=torch.float32)[:, :, None], persistent=False)
        self.register_buffer("basis", _basis(size, torch.arange(size // 2 + 1)), persistent=False)
        self.window: Tensor
        self.bank: Tensor
        self.basis: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """The picture."""
        half = self.size // 2
        x = F.pad(audio[..., : self.samples], (half, half + max(0, self.samples - audio.shape[-1])))
        if torch.onnx.is_in_onnx_export():  # as a convolution, which every runtime has
            spectrum = F.conv1d(x, self.basis, stride=self.hop)
            power = spectrum[:, : half + 1] ** 2 + spectrum[:, half + 1 :] ** 2
        else:
            found = torch.stft(
                x[:, 0], self.size, self.hop, window=self.window, center=False, return_complex=True
            )
            power = found.real**2 + found.imag**2
        return torch.log(F.conv1d(power, self.bank) + self.FLOOR) * self.SCALE


class LowPicture(nn.Module):
    """Log-power picture of a sound's low end in single bins, ``[N, 1, S]`` to ``[N, bins, frames]``.

    A mel picture's windows are too short to tell one kick's pitch from another's.

    Parameters
    ----------
    seconds : float
        How much is looked at; shorter sounds are padded with silence.
    highest_hz : float
        Where it ends.
    size, hop : int
        Of the windows, samples.
    """

    FLOOR, SCALE = 1e-2, 0.2  # of power; of its log

    def __init__(self, seconds: float = 0.256, highest_hz: float = 1200.0, size: int = 2048, hop: int = 256):
        super().__init__()
        self.samples = round(seconds * SAMPLE_RATE_HZ)
        self.size, self.hop = size, hop
        self.bins = round(highest_hz * size / SAMPLE_RATE_HZ)
        self.frames = 1 + (self.samples - 1) // hop
        self.register_buffer("basis", _basis(size, torch.arange(1, self.bins + 1)), persistent=False)
        self.basis: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """The picture; its first window begins with the sound's first half in its second."""
        half = self.size // 2
        x = F.pad(audio[..., : self.samples], (half, max(0, self.samples - audio.shape[-1])))
        x = F.pad(x, (0, (self.frames - 1) * self.hop + self.size - x.shape[-1]))
        spectrum = F.conv1d(x, self.basis, stride=self.hop)
        power = spectrum[:, : self.bins] ** 2 + spectrum[:, self.bins :] ** 2
        return torch.log(power + self.FLOOR) * self.SCALE


def _basis(size: int, bins: Tensor) -> Tensor:
    """Cosines, then negative sines, of some bins of a transform, windowed: ``[2 · bins, 1, size]``."""
    angle = 2 * torch.pi / size * (bins.double()[:, None] * torch.arange(size).double()[None])
    return (torch.cat([torch.cos(angle), -torch.sin(angle)]).float() * torch.hann_window(size))[:, None]
