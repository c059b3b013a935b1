"""A buzz at the frame rate: how far a line stands out of the envelope of what is above 4 kHz.

A decoder whose gains jump from frame to frame modulates its own noise at the frame rate. The ear hears a
buzz; a spectrogram of the sound shows nothing, the spectrum of its squared envelope does.
"""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ

ABOVE_HZ = 4000.0
AROUND_HZ = 150.0  # what the line is compared with, on either side
LONGEST_S = 0.5
SHORTEST_S = 0.05
END_DB = 40.0  # the envelope is looked at until it fell by so much
SMOOTH_S = 0.005


def envelope_line_db(audio: np.ndarray, line_hz: float = 1000.0) -> float:
    """Power of a line in the squared envelope above 4 kHz over that of its neighbourhood, dB; 0 is no line.

    Parameters
    ----------
    audio : ndarray, shape (n,)
        One hit; its first half second is looked at, until it fell by 40 dB.
    line_hz : float
        Where the line is looked for.
    """
    from scipy.ndimage import uniform_filter1d
    from scipy.signal import butter, sosfilt

    sound = np.zeros(round(LONGEST_S * SAMPLE_RATE_HZ))
    sound[: len(audio)] = audio[: len(sound)]
    high = butter(4, ABOVE_HZ, "high", fs=SAMPLE_RATE_HZ, output="sos")
    envelope = sosfilt(high, sound) ** 2
    slow = uniform_filter1d(envelope, round(SMOOTH_S * SAMPLE_RATE_HZ))
    if slow.max() < 1e-12:
        return 0.0
    ends = int(np.flatnonzero(slow > slow.max() * 10 ** (-END_DB / 10))[-1]) + 1
    ends = max(ends, round(SHORTEST_S * SAMPLE_RATE_HZ))
    # Divided by its slow course, so that the tail counts like the attack and the fall makes no spectrum.
    flat = envelope[:ends] / np.maximum(slow[:ends], slow.max() * 1e-6) - 1.0
    power = np.abs(np.fft.rfft(flat * np.hanning(ends))) ** 2
    step_hz = SAMPLE_RATE_HZ / ends
    hz = np.arange(len(power)) * step_hz
    line = np.abs(hz - line_hz) <= 1.01 * step_hz  # the main lobe of the window
    around = (np.abs(hz - line_hz) <= AROUND_HZ) & (np.abs(hz - line_hz) > 3 * step_hz)
    return float(10 * np.log10((power[line].mean() + 1e-20) / (power[around].mean() + 1e-20)))
