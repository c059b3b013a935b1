"""From sound to a log-mel picture and back: the scale that the mel VAE sees, and Griffin and Lim's phases.

A picture has lost the phases and, within a band, which bin sounded. The bins come back as the non-negative
power spectrum that has these mel bands (Lee and Seung's multiplicative updates, NIPS 2000: librosa's own
``mel_to_stft`` finds the same in seconds a clip where this takes tens of milliseconds); the phases come from
``librosa.griffinlim`` (Griffin and Lim 1984, momentum of Perraudin et al. 2013).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ

FLOOR_DB = -80.0
SPAN_DB = 40.0  # of one unit of a picture
LOW_HZ, HIGH_HZ = 20.0, 20_000.0
UPDATES = 40


@dataclass(frozen=True)
class Vocoder:
    """Sizes of a picture ``[mels, frames]``; a full-scale sine is 1, silence −1.

    Attributes
    ----------
    mels, frames : int
        Bands, and windows in time.
    size, hop : int
        FFT size and hop, samples.
    """

    mels: int = 80
    frames: int = 96
    size: int = 2048
    hop: int = 512

    @property
    def samples(self) -> int:
        """Audio that a picture shows."""
        return self.frames * self.hop

    @cached_property
    def bank(self) -> np.ndarray:
        """Mel filters, ``[mels, size // 2 + 1]``."""
        from librosa.filters import mel

        return mel(sr=SAMPLE_RATE_HZ, n_fft=self.size, n_mels=self.mels, fmin=LOW_HZ, fmax=HIGH_HZ, norm=None)

    @cached_property
    def band_hz(self) -> np.ndarray:
        """Middle of every band, Hz."""
        from librosa import mel_frequencies

        return mel_frequencies(n_mels=self.mels + 2, fmin=LOW_HZ, fmax=HIGH_HZ)[1:-1]

    def picture(self, audio: np.ndarray) -> np.ndarray:
        """Log-mel pictures of clips, ``[N, samples]`` to ``[N, mels, frames]``, float32."""
        import torch

        with torch.no_grad():
            bins = torch.stft(
                torch.from_numpy(np.ascontiguousarray(audio, dtype=np.float32)),
                self.size,
                self.hop,
                window=torch.hann_window(self.size),
                center=True,
                pad_mode="constant",
                return_complex=True,
            )[..., : self.frames]
            power = (bins.real**2 + bins.imag**2) / (self.size / 4) ** 2
            mel = torch.from_numpy(self.bank) @ power
            level = 10 * torch.log10(mel + 10 ** (FLOOR_DB / 10))
        return (level / SPAN_DB + 1).numpy()

    def sound(self, picture: np.ndarray, rounds: int = 32) -> np.ndarray:
        """Audio ``[samples]`` of a picture ``[mels, frames]``; the same every time.

        Parameters
        ----------
        picture : ndarray
            As from :meth:`picture`, or a model's.
        rounds : int
            Iterations of Griffin and Lim.
        """
        import librosa

        floor = 10 ** (FLOOR_DB / 10)
        mel = np.maximum(10 ** ((picture.astype(np.float64) - 1) * SPAN_DB / 10) - floor, 0.0)
        mel = mel * (self.size / 4) ** 2
        if not mel.any():
            return np.zeros(self.samples, np.float32)
        bank = self.bank.astype(np.float64)
        wanted = bank.T @ mel
        power = wanted / np.maximum(bank.sum(0)[:, None], 1e-3)
        for _ in range(UPDATES):
            power *= wanted / np.maximum(bank.T @ (bank @ power), 1e-12)
        audio = librosa.griffinlim(np.sqrt(power), n_iter=rounds, hop_length=self.hop, random_state=0)
        return np.pad(audio, (0, self.samples - len(audio))).astype(np.float32)

    def describe(self) -> dict[str, Any]:
        """As it stands in a model file, for whoever turns sounds into its input."""
        return {
            "mels": self.mels,
            "frames": self.frames,
            "size": self.size,
            "hop": self.hop,
            "low_hz": LOW_HZ,
            "high_hz": HIGH_HZ,
            "floor_db": FLOOR_DB,
            "span_db": SPAN_DB,
        }
