"""Phrases by name, the same for everyone: what an instrument with an audio input is shown with."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from common.refusal import Refusal
from toy.guitar import guitar

PHRASES: dict[str, Callable[[], np.ndarray]] = {"guitar": guitar}


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
