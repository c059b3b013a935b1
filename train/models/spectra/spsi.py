"""Sound of magnitudes, in a single pass: the twin of ``firmware/engine/dsp/spsi.c``, which says how.

After Beauregard, Harish and Wyse, "Single pass spectrogram inversion" (DSP 2015). Here a partial's place is
found from its two highest bins, exactly for a Hann window, and it is drawn as the window's lobe: so the axis
of the magnitudes may be wider or narrower than that of the sound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal

HOP, SIZE, BINS, PARTIALS = 256, 1024, 512, 128
DIAGONAL = float(np.float32(0.70710678))
LOBE = (2.96607671e-4, -6.38892189e-3, 6.73896371e-2, -3.94625713e-1, 9.99997961e-1)
"""Of x², by which 1 − x² / 4 is multiplied."""
HIGHEST = 510.0
WINDOW = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(SIZE) / SIZE)


@dataclass(frozen=True)
class Asked:
    """What is asked of a frame; see ``vk_spsi_asked``."""

    scale: float = 1.0
    grid: float = 0.0
    pull: float = 0.0
    stretch: float = 0.0
    tone: float = 1.0
    noise: float = 0.0


def hash32(x: np.ndarray) -> np.ndarray:
    """Wellons' lowbias32, as engine/dsp/hash.h."""
    x = np.asarray(x, np.uint32).copy()
    with np.errstate(over="ignore"):
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x ^= x >> np.uint32(shift)
            x *= np.uint32(factor)
        return x ^ x >> np.uint32(16)


def lobe(x: np.ndarray) -> np.ndarray:
    """Transform of a Hann window ``x`` bins from its middle, |x| ≤ 2."""
    z = x * x
    return np.asarray(np.polyval(LOBE, z) * (1 - z / 4))


class Spsi:
    """An inversion as time goes on."""

    def __init__(self) -> None:
        self.phase = np.zeros(BINS)
        self.sum = np.zeros(SIZE)
        self.frame, self.before = 0, 0.0

    def hop(self, logs: np.ndarray, asked: Asked = Asked()) -> np.ndarray:
        """Sound of a hop ``[256]`` by the log magnitudes ``[512]`` of the window that begins with it."""
        spectrum = self._spectrum(np.asarray(logs, float), asked)
        self.sum += np.fft.irfft(spectrum, SIZE) * 256 / 1.5 * WINDOW
        made = self.sum[:HOP].copy()
        self.sum = np.r_[self.sum[HOP:], np.zeros(HOP)]
        self.frame, self.before = self.frame + 1, asked.scale
        return made

    def _spectrum(self, logs: np.ndarray, asked: Asked) -> np.ndarray:
        end = int(min(HIGHEST / asked.scale, HIGHEST))
        rises = np.r_[False, logs[1 : end + 1] > logs[:end]]
        peaks = np.flatnonzero(rises[:-1] & ~rises[1:])
        dips = np.flatnonzero(~rises[:-1] & rises[1:])
        peaks = peaks[:PARTIALS]
        valleys = np.r_[0, dips[dips > peaks[0]][: len(peaks) - 1], end] if len(peaks) else np.array([0])
        low = np.exp(logs[valleys])
        places, heights, turns = self._partials(logs, np.interp(peaks, valleys, low), peaks, asked)
        if len(peaks):
            self.phase[:] = np.repeat(turns, np.diff(np.r_[valleys[:-1], BINS]))
        bins = np.zeros(BINS + 8, complex)
        hiss = self._hiss(valleys, low, asked)
        bins[4 : 4 + len(hiss)] = hiss
        jitter = hash32(np.uint32(self.frame * BINS) + peaks.astype(np.uint32)).view(np.int32) / 2**32
        at = heights * np.exp(2j * np.pi * (turns + (1 - asked.tone) * jitter))
        places = places * asked.scale
        inside = (places >= 0) & (places < HIGHEST)
        k = places[inside].astype(int)[:, None] + np.arange(-1, 3)
        shapes = lobe(k - places[inside, None]) * (1 - 2 * (k % 2))
        np.add.at(bins, k + 4, at[inside, None] * shapes)
        return bins[4 : 4 + BINS + 1]

    def _partials(
        self, logs: np.ndarray, low: np.ndarray, peaks: np.ndarray, asked: Asked
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Places on the axis, heights, phases in turns."""
        left, top, right = logs[peaks - 1], logs[peaks], logs[peaks + 1]
        ratio = np.exp(np.maximum(left, right) - top)
        apart = np.clip((2 * ratio - 1) / (1 + ratio), 0, 0.5)
        height = np.exp(top) / lobe(apart)
        power = np.maximum(height**2 - low**2, 0)
        place = drawn_to(peaks + np.where(left > right, -apart, apart), asked)
        before = self.before or asked.scale
        turn = self.phase[peaks] + place * (asked.scale + before) / 8
        return place, np.sqrt(power), turn - np.round(turn)

    def _hiss(self, valleys: np.ndarray, low: np.ndarray, asked: Asked) -> np.ndarray:
        """Of the bins from 0 on; eight share a random word."""
        ends = np.float32(asked.scale) * valleys[1:].astype(np.float32)
        if not len(ends):
            return np.zeros(0, complex)
        stop = int(np.ceil(ends[-1]))
        k = np.arange(stop)
        height = DIAGONAL * np.exp(asked.noise) * np.interp(k / asked.scale, valleys, low)
        random = hash32(~(np.uint32(self.frame * BINS) + (k - k % 8).astype(np.uint32)))
        random = random << (2 * (k % 8)).astype(np.uint32)
        signs = [np.where(random << np.uint32(bit) & np.uint32(1 << 31), -1.0, 1.0) for bit in (0, 1)]
        return np.asarray(height * (signs[0] + 1j * signs[1]))


def drawn_to(place: np.ndarray, asked: Asked) -> np.ndarray:
    """Places of partials, drawn to harmonics that are near."""
    if asked.grid <= 0:
        return place
    home = asked.grid * np.maximum(np.round(place / asked.grid), 1)
    zone = asked.pull * asked.grid
    kept = np.clip(2 * np.abs(place - home) / zone - 1, 0, 1) if zone > 0 else 1.0
    found = home + (place - home) * kept
    return np.asarray(found * (1 + asked.stretch * (found / asked.grid - 1)))


def magnitudes(audio: np.ndarray, size: int = SIZE, hop: int = HOP) -> np.ndarray:
    """Magnitudes ``[T, size / 2]`` of a sound; window t begins at sample t·hop, a sine of amplitude 1 has 1.

    Raises
    ------
    Refusal
        When a size is not a power of two, or windows do not overlap by three quarters.
    """
    if size < 4 or size & (size - 1):
        raise Refusal(f"a window of {size} samples is not a power of two; take {1 << size.bit_length()}")
    if 4 * hop != size:
        raise Refusal(f"a hop of {hop} samples is not a quarter of the window of {size}; take {size // 4}")
    audio = np.pad(audio, (0, max(0, size - len(audio))))
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[::hop]
    return np.asarray(np.abs(np.fft.rfft(frames * window, axis=1))[:, :-1] / (size / 4))


def inverted(wanted: np.ndarray) -> np.ndarray:
    """Sound of magnitudes ``[T, 512]``, as long as their windows."""
    spsi = Spsi()
    logs = np.log(np.maximum(wanted, 1e-9))
    hops = [spsi.hop(row) for row in logs]
    return np.concatenate([*hops, spsi.sum[: SIZE - HOP]])


def convergence_db(made: np.ndarray, wanted: np.ndarray) -> float:
    """Distance of two sets of magnitudes over the length of the wanted one."""
    return float(20 * np.log10(np.linalg.norm(made - wanted) / np.linalg.norm(wanted)))


def with_phases(wanted: np.ndarray, phases: np.ndarray) -> np.ndarray:
    """Sound of magnitudes ``[T, 512]`` at given phases."""
    spectra = np.pad(wanted * np.exp(1j * phases), ((0, 0), (0, 1)))
    out = np.zeros(HOP * (len(wanted) - 1) + SIZE)
    for t, row in enumerate(np.fft.irfft(spectra, SIZE, axis=1) * 256 / 1.5 * WINDOW):
        out[t * HOP : t * HOP + SIZE] += row
    return out
