"""The partials that stand still, up to 14 kHz: peaks that rise out of what surrounds them, one a slot."""

from __future__ import annotations

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from train.analysis.hit.partials import slots, time_constant

SIZE = 16_384
FRAME_START = 48
AFTER = 96  # samples of the stroke that are passed over
WINDOW, HOP, FRAMES = 2048, 512, 40
QUIETEST = 1e-5  # of the loudest bin's energy
PROMINENCE = 4.0  # beyond the log of how many bins compete: chance peaks of noise stay below


def find_static(sound: np.ndarray, anchors_hz: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frequency (0 where nothing rises) and time constant of every slot's loudest partial.

    Parameters
    ----------
    sound : ndarray, shape (samples,)
        A hit without its gliding partials, at 48 kHz.
    anchors_hz : ndarray
        Middles of the slots.
    """
    taper = np.cos(np.arange(SIZE) / SIZE * np.pi / 2) ** 2
    part = np.pad(sound[AFTER : AFTER + SIZE], (0, max(0, SIZE + AFTER - len(sound))))[:SIZE]
    power = np.abs(np.fft.rfft(part * taper)) ** 2
    step = SAMPLE_RATE_HZ / SIZE
    padded = np.pad(sound, (0, WINDOW + HOP * FRAMES))
    frames = np.lib.stride_tricks.sliding_window_view(padded, WINDOW)[
        FRAME_START : FRAME_START + HOP * FRAMES : HOP
    ]
    over_time = np.abs(np.fft.rfft(frames * np.hanning(WINDOW).astype(np.float32))) ** 2
    seconds = np.arange(len(over_time)) * HOP / SAMPLE_RATE_HZ
    summed, loudest = np.concatenate([[0], np.cumsum(power)]), power.max() + 1e-12
    edges = slots(anchors_hz) / step
    found, decays = np.zeros(len(anchors_hz)), np.full(len(anchors_hz), 0.05)
    for slot in range(len(anchors_hz)):
        first, end = max(2, int(edges[slot])), int(edges[slot + 1]) + 1
        at = int(first + np.argmax(power[first:end]))
        around = max(8, end - first)
        left, right = max(0, at - around), min(len(power), at + around + 1)
        own = power[max(at - 2, 0) : at + 3].sum()
        mean = (summed[right] - summed[left] - own) / (right - left - 5)
        if power[at] < QUIETEST * loudest or power[at] < mean * (np.log(end - first + 8) + PROMINENCE):
            continue
        if power[at] < max(power[at - 1], power[at + 1]):
            continue
        below, here, above = np.log(power[at - 1 : at + 2] + 1e-20)
        aside = float(np.clip(0.5 * (below - above) / (below - 2 * here + above - 1e-12), -0.5, 0.5))
        found[slot] = (at + aside) * step
        bin_ = round(found[slot] * WINDOW / SAMPLE_RATE_HZ)
        decays[slot] = time_constant(over_time[:, bin_ - 1 : bin_ + 2].max(1), seconds)
    return found, decays
