"""Phrases by name, the same for everyone: what an instrument with an audio input is shown with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.refusal import Refusal
from toy.guitar import guitar
from toy.phrases import drum_loop

LOOP_S, LOOPS, FADE = 4.8, 3, 480
LOUDEST = 0.6


def beats() -> np.ndarray:
    """Three toy rhythms, each on a toy kit of its own: float32 [n], 14.4 s."""
    audio = np.concatenate([drum_loop(np.random.default_rng([5, n]), LOOP_S)[0] for n in range(LOOPS)])
    audio[-FADE:] *= np.linspace(1.0, 0.0, FADE)
    return (LOUDEST * audio / np.abs(audio).max()).astype(np.float32)


PHRASES: dict[str, Callable[[], np.ndarray]] = {"drums": beats, "guitar": guitar}


def play_phrase(name: str) -> np.ndarray:
    """Play a phrase: float32 [n] at 48 kHz.

    Raises
    ------
    Refusal
        No phrase has that name.
    """
    if name not in PHRASES:
        raise Refusal(f"there is no phrase called {name!r}; there is {', '.join(PHRASES)}.")
    return PHRASES[name]()
