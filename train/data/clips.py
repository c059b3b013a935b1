"""Clips of one length out of any data set of sounds, and what is known of each; a data kind cuts them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

NO_EFFECT = "no effect"


@dataclass(frozen=True)
class Clip:
    """What is known of a clip.

    Attributes
    ----------
    name : str
        Of the item it was cut from, with its number.
    data_set : str
        Kind of the data set.
    sound : str
        What was played: a drum's class, or the phrase's file without its number.
    effect : str
        What was done to it; ``no effect`` for hits and dry sides.
    parameters : dict of str to float
        Of the effect.
    dry : int
        Place of the dry clip of a wet one among the same split's clips; −1 for others.
    struck : bool
        Whether it is a hit, which begins at its first sample, and no piece of something longer.
    """

    name: str
    data_set: str
    sound: str
    effect: str = NO_EFFECT
    parameters: dict[str, float] = field(default_factory=dict)
    dry: int = -1
    struck: bool = False


def fitted(audio: np.ndarray, samples: int) -> np.ndarray:
    """Cut or padded with silence to ``samples``."""
    return np.pad(audio[:samples], (0, max(0, samples - len(audio)))).astype(np.float32)
