"""What makes a performance go on: the clock of this computer, or its sound card."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from firmware.play.host import Rendered
from firmware.play.live.performance import Performance
from firmware.play.pieces import blank, put

TURN_S = 0.0005
"""Python's own is 5 ms: longer than a chunk."""
SLEPT_S = 1.0
"""Later than that, nobody waits for what was missed."""

Heard = Callable[[Rendered], None]
"""Told of every chunk that was rendered."""


@contextmanager
def _taking_turns() -> Iterator[None]:
    """Have Python's threads wait less for each other: who listens shall not keep from rendering."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(TURN_S)
    try:
        yield
    finally:
        sys.setswitchinterval(before)


def nobody(chunk: Rendered) -> None:
    """Hear nothing."""


def by_the_clock(
    performance: Performance,
    chunk: int,
    seconds: float,
    *,
    audio: Callable[[slice], NDArray[np.float32]] | None = None,
    heard: Heard = nobody,
    stop: threading.Event | None = None,
) -> Rendered:
    """Play so long in real time, or until interrupted, and keep what sounded.

    Parameters
    ----------
    chunk : int
        Samples rendered at a time, whole blocks.
    audio : callable, optional
        Gives what comes in, in a span of samples.
    stop : Event, optional
        Ends it before its time.
    """
    block, rate_hz = performance.block, performance.rate_hz
    chunks = max(1, round(seconds * rate_hz / chunk))
    made = blank(performance.host, chunks * chunk, block)
    began = time.monotonic()
    with suppress(KeyboardInterrupt), _taking_turns():
        for number in range(chunks):
            if stop is not None and stop.is_set():
                break
            ahead = number * chunk / rate_hz - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            span = slice(number * chunk, (number + 1) * chunk)
            rendered = performance.render(chunk, audio(span) if audio is not None else None)
            put(made, span, rendered, block)
            heard(rendered)
    ticks = performance.ticks
    return Rendered(
        made.audio[:, :ticks], made.cv[:, :ticks], made.gates[:ticks], made.positions[: ticks // block]
    )


def not_kept(
    performance: Performance,
    chunk: int,
    *,
    seconds: float | None = None,
    audio: Callable[[slice], NDArray[np.float32]] | None = None,
    heard: Heard = nobody,
    stop: threading.Event | None = None,
) -> None:
    """Play in real time for so long, or until interrupted, and keep nothing; see `by_the_clock`."""
    began, at = time.monotonic(), 0
    ends = float("inf") if seconds is None else seconds * performance.rate_hz
    with suppress(KeyboardInterrupt), _taking_turns():
        while performance.ticks < ends and not (stop is not None and stop.is_set()):
            ahead = at / performance.rate_hz - (time.monotonic() - began)
            if ahead < -SLEPT_S:
                began, at = time.monotonic(), 0
            elif ahead > 0:
                time.sleep(ahead)
            span = slice(performance.ticks, performance.ticks + chunk)
            heard(performance.render(chunk, audio(span) if audio is not None else None))
            at += chunk


def sound_library() -> Any:
    """Return the library of sound cards.

    Raises
    ------
    Refusal
        It is not installed, or there is no card.
    """
    try:
        import sounddevice
    except (ImportError, OSError):
        raise Refusal(
            "--live needs the sound-card library: pip install sounddevice (and PortAudio); or use the ALSA "
            "program that `vaectrol build INSTRUMENT --board rpi4` makes."
        ) from None
    try:
        sounddevice.query_devices(kind="output")
    except (ValueError, sounddevice.PortAudioError) as error:
        raise Refusal(f"there is no sound card to play through: {error}.") from None
    return sounddevice


def through_card(
    card: Any,
    performance: Performance,
    chunk: int,
    seconds: float | None,
    *,
    heard: Heard = nobody,
    stop: threading.Event | None = None,
) -> None:
    """Play through the sound card for so long, or until interrupted.

    Parameters
    ----------
    card : module
        Of `sound_library`.
    """
    inputs = performance.host.info.audio_in

    def callback(indata: NDArray, outdata: NDArray, frames: int, *_: object) -> None:
        audio = np.zeros((inputs, frames), np.float32)
        audio[: indata.shape[1]] = indata.T[:inputs]
        rendered = performance.render(frames, audio)
        outdata[:] = rendered.audio.T[:, : outdata.shape[1]]
        heard(rendered)

    rate_hz = int(performance.rate_hz)
    stream = card.Stream(samplerate=rate_hz, blocksize=chunk, channels=2, callback=callback)
    with stream, suppress(KeyboardInterrupt), _taking_turns():
        (stop or threading.Event()).wait(seconds)
