"""How near two renderings are, in the measures that the reports and the budgets use."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np

from common.refusal import Refusal
from train.kinds import trained_as

# the measure that counts, by what the data offer: (key, whether larger is better)
MEASURES = (("onset_f1", True), ("mr_stft", False), ("snr_db", True))
RESOLUTIONS = (2048, 512, 128)
SILENCE = 1e-7


def snr_db(reference: np.ndarray, other: np.ndarray) -> float:
    """Signal-to-noise ratio of `other` as a copy of `reference`, in dB (inf when equal)."""
    signal = float(np.sum(np.asarray(reference, np.float64) ** 2))
    noise = float(np.sum((np.asarray(reference, np.float64) - np.asarray(other, np.float64)) ** 2))
    if noise == 0.0:
        return float("inf")
    return 10.0 * float(np.log10(max(signal, 1e-30) / noise))


@cache
def _spectral(sizes: tuple[int, ...]) -> Any:
    from auraloss.freq import MultiResolutionSTFTLoss

    return MultiResolutionSTFTLoss(
        fft_sizes=list(sizes), hop_sizes=[s // 4 for s in sizes], win_lengths=list(sizes), eps=SILENCE
    )


def mr_stft(reference: np.ndarray, other: np.ndarray) -> float:
    """Multi-resolution STFT distance (auraloss: spectral convergence + log magnitude); audio [N, 1, S]."""
    import torch

    a = torch.from_numpy(np.asarray(reference, np.float32))
    b = torch.from_numpy(np.asarray(other, np.float32))
    sizes = tuple(s for s in RESOLUTIONS if s <= a.shape[-1]) or (a.shape[-1] // 2,)
    with torch.no_grad():
        return float(_spectral(sizes)(b, a))


def log_spectral_db(reference: np.ndarray, other: np.ndarray, size: int = 1024) -> float:
    """Log-spectral distance in dB: RMS over bins of the difference of levels, mean over frames; [N, 1, S]."""
    import torch

    levels = []
    window = torch.hann_window(size)
    for audio in (reference, other):
        x = torch.from_numpy(np.asarray(audio, np.float32)).reshape(-1, audio.shape[-1])
        x = torch.nn.functional.pad(x, (0, max(0, size - x.shape[-1])))
        power = torch.stft(x, size, size // 4, window=window, return_complex=True).abs() ** 2
        levels.append(10.0 * torch.log10(power + 1e-8))
    return float(((levels[0] - levels[1]) ** 2).mean(1).sqrt().mean())


def measure_that_counts(measures: Mapping[str, float], prefix: str = "truth/") -> tuple[str, bool]:
    """Choose the measure that a loss of quality is counted in: its key, and whether larger is better.

    Parameters
    ----------
    measures : mapping of str to float
        What was measured.
    prefix : str
        Of the keys that compare with what the data say; they are preferred to the plain ones.
    """
    for before in (prefix, ""):
        for key, larger in MEASURES:
            if before + key in measures:
                return before + key, larger
    raise Refusal("this model offers no measure of its quality.")


def lost_percent(value: float, base: float, larger_is_better: bool) -> float:
    """How much worse a figure is than another, in percent of that one; below 0 where it is better."""
    change = base - value if larger_is_better else value - base
    return 100.0 * change / max(abs(base), 1e-12)


def is_audio(output: np.ndarray) -> bool:
    """Whether an output is long enough and mono, so that spectra say something."""
    return output.ndim == 3 and output.shape[1] == 1 and output.shape[2] >= 256


def compare(reference: np.ndarray, other: np.ndarray, kind: str = "") -> dict[str, float]:
    """All measures that make sense for an output.

    Parameters
    ----------
    reference, other : ndarray [N, C, T]
        What is compared with what.
    kind : str
        The model's; a training kind may add measures of its own (`train/tasks/base.py`).
    """
    found = {"snr_db": snr_db(reference, other)}
    if is_audio(reference):
        found["mr_stft"] = mr_stft(reference, other)
        found["log_spectral_db"] = log_spectral_db(reference, other)
    task = trained_as(kind)
    return found | (task.agreement(reference, other) if task else {})


def compare_truth(wanted: np.ndarray, made: np.ndarray, kind: str = "") -> dict[str, float]:
    """Measures of an output against what the data say it should be."""
    task = trained_as(kind)
    own = task.truth(wanted, made) if task else {}
    if is_audio(wanted):
        return {"mr_stft": mr_stft(wanted, made), "log_spectral_db": log_spectral_db(wanted, made), **own}
    return own or {"snr_db": snr_db(wanted, made)}
