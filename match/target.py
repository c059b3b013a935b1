"""A sound to be matched: one stroke of a drum, or a sentence why it is none."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.reading.recording import read_recording
from common.refusal import LeftOut, Refusal
from train.data.audio import one_shot

SHORTEST_S = 0.03
LONGEST_S = 6.0
"""Of the file: a hit lasts two seconds at most, and silence around it is cut off."""


@dataclass(frozen=True)
class Target:
    """One stroke.

    Attributes
    ----------
    name : str
        Of its file, without the ending.
    audio : ndarray, shape (n,)
        Mono at 48 kHz from the onset on, its peak at 1.
    """

    name: str
    audio: np.ndarray


def read_target(path: Path) -> Target:
    """Read a sound file.

    Raises
    ------
    Refusal
        When it is missing, unreadable, silent, a song or a click.
    """
    if not path.is_file():
        raise Refusal(f"there is no sound file {path}; check the path")
    try:
        # as much as the intake reads, so that the sentence about a song is this one
        seconds = read_recording(path, 3600.0).facts["seconds"]
        if seconds > LONGEST_S:
            raise Refusal(
                f"{path} lasts {seconds:.0f} s, and a drum hit two at most; cut one stroke out of it"
            )
        audio, shot, _ = one_shot(path)
    except LeftOut as why:
        raise Refusal(f"{path} {why}; give a recording of one drum stroke") from None
    if shot["seconds"] < SHORTEST_S:
        raise Refusal(
            f"{path} sounds for {1000 * shot['seconds']:.0f} ms, which is a click; a stroke of at least "
            f"{1000 * SHORTEST_S:.0f} ms can be matched"
        )
    return target_of(path.stem, audio)


def target_of(name: str, audio: np.ndarray) -> Target:
    """Bring a stroke's peak to 1."""
    return Target(name, (audio / max(1e-9, float(np.abs(audio).max()))).astype(np.float32))


def padded(targets: list[Target], samples: int) -> np.ndarray:
    """Strokes with silence after them, float32 [N, 1, samples]."""
    out = np.zeros((len(targets), 1, samples), np.float32)
    for row, target in enumerate(targets):
        out[row, 0, : len(target.audio)] = target.audio[:samples]
    return out


def seconds_of(target: Target) -> float:
    """Length of a stroke."""
    return len(target.audio) / SAMPLE_RATE_HZ
