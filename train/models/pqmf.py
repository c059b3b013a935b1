"""Pseudo-quadrature mirror filters: M cosine-modulated bands of a signal, each at 1/M of its rate.

The bank is Rothweiler's (ICASSP 1983) near-perfect-reconstruction design: one linear-phase low-pass
prototype ``p`` of ``L`` taps, moved to M bands by cosines,

    h_k[n] = 2·p[n]·cos((2k+1)·π/(2M)·(n − (L−1)/2) + (−1)^k·π/4)      analysis
    g_k[n] = 2·q[n]·cos((2k+1)·π/(2M)·(n − (L−1)/2) − (−1)^k·π/4)      synthesis, q = M·p

``p`` sums to 1, so that a sine of amplitude 1 in the middle of a band gives a subband of amplitude 1;
the factor M that zero stuffing costs is folded into the synthesis prototype ``q``. The prototype is a
Kaiser window times a sinc whose cutoff puts neighbouring bands at −3 dB where they meet (one number to
search: Creusere and Mitra, IEEE Trans. SP 43(3), 1995); the window's attenuation is the one whose worse
of stop-band and reconstruction ripple is best.

Both directions are causal. Analysis frame ``t`` looks at samples up to and including (t+1)·M−1; synthesis
frame ``t`` sounds from sample t·M on, its energy centred (L−1)/2 samples later. One after the other they
delay by L−M samples.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.domain import domain_node


@lru_cache(maxsize=32)
def design_prototype(bands: int, taps: int) -> np.ndarray:
    """Design the low-pass prototype of a near-perfect-reconstruction bank.

    Parameters
    ----------
    bands : int
        M.
    taps : int
        L, a multiple of ``2·bands``.

    Returns
    -------
    ndarray, shape (taps,)
        The prototype, symmetric, summing to 1.
    """
    from scipy.optimize import brentq
    from scipy.signal import firwin, kaiser_beta

    if bands < 2 or taps < 4 * bands or taps % (2 * bands):
        raise ValueError(f"a bank of {bands} bands needs {4 * bands} taps or more, in steps of {2 * bands}")
    carrier = np.exp(-1j * np.pi / (2 * bands) * (np.arange(taps) - (taps - 1) / 2))

    def candidate(attenuation_db: float) -> np.ndarray:
        window = ("kaiser", kaiser_beta(attenuation_db))

        def excess(cutoff: float) -> float:  # neighbours must meet at −3 dB
            return float(abs(carrier @ firwin(taps, cutoff, window=window))) - np.sqrt(0.5)

        return firwin(taps, brentq(excess, 0.2 / bands, 1.5 / bands), window=window)

    def merit_db(p: np.ndarray) -> float:
        response = np.abs(np.fft.rfft(p, 1 << 13))
        stopband = response[int(np.ceil(len(response) / bands)) :].max() / response[0]
        return float(-20 * np.log10(max(stopband, _reconstruction_ripple(p, bands))))

    return max((candidate(a) for a in np.arange(25.0, 105.0, 2.5)), key=merit_db)


def _reconstruction_ripple(prototype: np.ndarray, bands: int) -> float:
    """Largest deviation from 1 of the gain of analysis and synthesis together."""
    h = modulate(prototype, bands, synthesis=False)
    g = modulate(prototype * bands, bands, synthesis=True)
    overall = sum(np.convolve(a, b) for a, b in zip(h, g, strict=True)) / bands
    return float(np.abs(np.abs(np.fft.rfft(overall, 1 << 13)) - 1.0).max())


def modulate(prototype: np.ndarray, bands: int, *, synthesis: bool) -> np.ndarray:
    """Move a prototype to its bands: the formula at the top of this file.

    Parameters
    ----------
    prototype : ndarray, shape (L,)
        ``p`` for the analysis, ``q = M·p`` for the synthesis.
    bands : int
        M.
    synthesis : bool
        Which of the two phases to take.

    Returns
    -------
    ndarray, shape (bands, L)
        Impulse responses.
    """
    taps = len(prototype)
    k = np.arange(bands)[:, None]
    n = np.arange(taps)[None, :] - (taps - 1) / 2
    phase = (-1.0) ** k * np.pi / 4 * (-1.0 if synthesis else 1.0)
    return 2.0 * prototype[None, :] * np.cos((2 * k + 1) * np.pi / (2 * bands) * n + phase)


class PQMFAnalysis(nn.Module):
    """Audio to subbands, ``[N, 1, T·M]`` to ``[N, M, T]``; causal.

    Parameters
    ----------
    bands, taps : int
        M and L.
    """

    def __init__(self, bands: int, taps: int):
        super().__init__()
        self.bands, self.taps = bands, taps
        p = design_prototype(bands, taps)
        self.register_buffer("prototype", torch.tensor(p, dtype=torch.float32), persistent=False)
        bank = torch.tensor(modulate(p, bands, synthesis=False), dtype=torch.float32)[:, None]
        self.register_buffer("bank", bank, persistent=False)
        self.bank: Tensor
        self.prototype: Tensor

    def forward(self, audio: Tensor) -> Tensor:
        """Filter and decimate."""
        if torch.onnx.is_in_onnx_export():
            shape = (audio.shape[0], self.bands, audio.shape[2] // self.bands)
            return domain_node("PQMFAnalysis", (audio, self.bank, self.prototype), {}, shape)
        return analyse(audio, self.bank)


class PQMFSynthesis(nn.Module):
    """Subbands to audio, ``[N, M, T]`` to ``[N, 1, T·M]``; causal.

    Parameters
    ----------
    bands, taps : int
        M and L.
    """

    def __init__(self, bands: int, taps: int):
        super().__init__()
        self.bands, self.taps = bands, taps
        q = design_prototype(bands, taps) * bands
        self.register_buffer("prototype", torch.tensor(q, dtype=torch.float32), persistent=False)
        bank = torch.tensor(modulate(q, bands, synthesis=True), dtype=torch.float32)[:, None]
        self.register_buffer("bank", bank, persistent=False)
        self.bank: Tensor
        self.prototype: Tensor

    def forward(self, subbands: Tensor) -> Tensor:
        """Interpolate and sum."""
        if torch.onnx.is_in_onnx_export():
            shape = (subbands.shape[0], 1, subbands.shape[2] * self.bands)
            return domain_node("PQMFSynthesis", (subbands, self.bank, self.prototype), {}, shape)
        return synthesise(subbands, self.bank)


def analyse(audio: Tensor, bank: Tensor) -> Tensor:
    """Filter ``audio [N, 1, T·M]`` by impulse responses ``bank [M, 1, L]``, keep every M-th sample."""
    bands, _, taps = bank.shape
    return F.conv1d(F.pad(audio, (taps - bands, 0)), bank.flip(-1), stride=bands)


def synthesise(subbands: Tensor, bank: Tensor) -> Tensor:
    """Stuff ``subbands [N, M, T]`` with zeros, filter by ``bank [M, 1, L]`` and sum to ``[N, 1, T·M]``."""
    bands, _, taps = bank.shape
    return F.conv_transpose1d(subbands, bank, stride=bands)[..., : bands - taps]


@dataclass(frozen=True)
class BankReport:
    """What a bank measures.

    Attributes
    ----------
    bands, taps : int
        M and L.
    delay_ms : float
        Centre of the synthesis filters, (L−1)/2 samples, at 48 kHz.
    stopband_db : float
        Loudest response of the prototype from π/M on, dB below its pass-band.
    ripple_db : float
        Largest deviation of the overall gain from 1, dB.
    snr_db : float
        White noise through analysis and synthesis against itself delayed by L−M.
    """

    bands: int
    taps: int
    delay_ms: float
    stopband_db: float
    ripple_db: float
    snr_db: float


def measure_bank(bands: int, taps: int) -> BankReport:
    """Measure the stop-band and the reconstruction error of a bank."""
    p = design_prototype(bands, taps)
    response = np.abs(np.fft.rfft(p, 1 << 16))
    edge = int(np.ceil(len(response) / bands))
    h, g = modulate(p, bands, synthesis=False), modulate(p * bands, bands, synthesis=True)
    rng = np.random.default_rng(0)
    noise = torch.tensor(rng.standard_normal((1, 1, bands * 512)))
    back = synthesise(analyse(noise, torch.tensor(h)[:, None]), torch.tensor(g)[:, None])
    delay = taps - bands
    clean = noise[..., : noise.shape[-1] - delay]
    error = back[..., delay:] - clean
    tail = slice(taps, None)
    snr = 10 * torch.log10((clean[..., tail] ** 2).sum() / (error[..., tail] ** 2).sum())
    return BankReport(
        bands=bands,
        taps=taps,
        delay_ms=(taps - 1) / 2 / 48.0,
        stopband_db=float(20 * np.log10(response[edge:].max() / response[0])),
        ripple_db=float(20 * np.log10(1.0 + _reconstruction_ripple(p, bands))),
        snr_db=float(snr),
    )
