"""A progression as sound and as a picture, for pages: plucked sines, nothing like an instrument of ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.chords import DEGREES, QUALITIES, SLOTS, SLOTS_PER_BAR, name_of
from common.figure import COLOURS, new_figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure

TONIC_MIDI = 48
SLOT_S = 0.5


def chords_sound(progression: np.ndarray, rate_hz: int = SAMPLE_RATE_HZ // 2) -> np.ndarray:
    """Play numbers ``[16]`` of chords, half a second each, held where they stay; float32."""
    samples = int(SLOT_S * rate_hz)
    out = np.zeros(samples * SLOTS + rate_hz, np.float32)
    changes = [at for at in range(SLOTS) if at == 0 or progression[at] != progression[at - 1]]
    for at, end in zip(changes, [*changes[1:], SLOTS], strict=True):
        root, quality = divmod(int(progression[at]), len(QUALITIES))
        notes = [
            TONIC_MIDI - 12 + root,
            *(TONIC_MIDI + (root + n) % 12 for n in list(QUALITIES.values())[quality]),
        ]
        time = np.arange((end - at) * samples + rate_hz // 2) / rate_hz
        envelope = np.minimum(1, time / 0.01) * np.exp(-1.2 * time)
        envelope *= np.clip((time[-1] - time) / 0.4, 0, 1)
        for note in notes:
            hz = 440 * 2 ** ((note - 69) / 12)
            tone = sum(np.sin(2 * np.pi * k * hz * time) / k**2 for k in (1, 2, 3))
            first = at * samples
            out[first : first + len(time)] += (0.08 * envelope * tone)[: len(out) - first].astype(np.float32)
    return out


def chords_figure(rows: Sequence[tuple[str, np.ndarray]], width: float = 7.0) -> Figure:
    """Draw progressions as squares, one row each: height is the root's degree, words the chord."""
    figure, axes = new_figure(len(rows), 1, width, 1.5 * len(rows))
    for axis, (title, progression) in zip(axes[:, 0], rows, strict=True):
        first = 0
        for at in range(1, SLOTS + 1):
            if at < SLOTS and progression[at] == progression[first]:
                continue
            root, quality = divmod(int(progression[first]), len(QUALITIES))
            axis.barh(root, at - first, left=first, height=0.9, color=COLOURS[quality % len(COLOURS)])
            axis.text(first + 0.1, root, name_of(int(progression[first])), fontsize=6, va="center")
            first = at
        axis.set_xlim(0, SLOTS)
        axis.set_ylim(-1, 12)
        axis.set_yticks([0, 5, 7, 9], [DEGREES[n] for n in (0, 5, 7, 9)], fontsize=7)
        axis.set_xticks(range(0, SLOTS, SLOTS_PER_BAR), [str(n + 1) for n in range(SLOTS // SLOTS_PER_BAR)])
        if title:
            axis.set_title(title, loc="left", fontsize=8)
    axes[-1, 0].set_xlabel("bar")
    return figure
