"""Round-trip latency through a loopback cable: emit an impulse, find it, repeat, report the spread.

The delay counted is the one a player hears of a program between input and output: from the captured sample
whose block the impulse answers, to the captured sample in which the impulse comes back. It is the
buffers (periods × block) and, beyond them, converters, driver and cable. These figures are *measured*.

ALSA is looked up at run time, as the Pi port does (``firmware/ports/rpi/alsa.h``); signatures and numbers are
those of alsa-lib's public interface.
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ctypes import byref, c_char_p, c_int, c_long, c_uint, c_ulong, c_void_p
from typing import Any

import numpy as np

from bench.report.schema import LatencyReport, RoundTrip, Spread
from common.refusal import Refusal

LIBRARY = "libasound.so.2"
PLAYBACK, CAPTURE, INTERLEAVED = 0, 1, 3
FORMATS: dict[int, Any] = {10: np.dtype("<i4"), 2: np.dtype("<i2")}
"""SND_PCM_FORMAT_S32_LE and S16_LE, the wider first."""
CHANNELS = 2
LATE = (-32, -86)
"""EPIPE (xrun) and ESTRPIPE (suspended): the stream can go on after a restart."""
FIFO_PRIORITY = 85
WINDOW_S = 0.5
LEVEL = 0.9
LEAST_PEAK = 0.01
LEAST_OVER_NOISE = 20.0

_HANDLER = ctypes.CFUNCTYPE(None, c_char_p, c_int, c_char_p, c_int, c_char_p)
_SILENT = _HANDLER(lambda *_: None)


class SoundCard:
    """Both directions of one ALSA device, block by block, as a program between input and output runs it.

    Parameters
    ----------
    device : ALSA name, as ``hw:1`` or ``default``.
    rate_hz, block, periods : as the program to be judged has them.

    Raises
    ------
    Refusal
        No ALSA, no such card, or one that doesn't do this rate and block.
    """

    def __init__(self, device: str, rate_hz: int, block: int, periods: int):
        self.device, self.rate_hz, self.block, self.periods = device, rate_hz, block, periods
        self.xruns = 0
        self._running = False
        self._format, self._kind = next(iter(FORMATS.items()))
        try:
            self._alsa = ctypes.CDLL(LIBRARY)
        except OSError:
            raise Refusal(
                f"no sound: {LIBRARY} is not installed; run `sudo apt install libasound2`."
            ) from None
        self._declare()
        self._play = self._open(PLAYBACK, "play")
        try:
            self._capture = self._open(CAPTURE, "record")
        except Refusal:
            self._alsa.snd_pcm_close(self._play)
            raise
        # one clock where the card can; plugins can't and start one after the other
        self._linked = self._alsa.snd_pcm_link(self._play, self._capture) >= 0
        self._heard = np.zeros((block, CHANNELS), self._kind)
        self._sent = np.zeros((block, CHANNELS), self._kind)

    def __enter__(self) -> SoundCard:
        return self

    def __exit__(self, *_: object) -> None:
        for pcm in (self._capture, self._play):
            self._alsa.snd_pcm_drop(pcm)
            self._alsa.snd_pcm_close(pcm)

    def exchange(self, sent: np.ndarray) -> np.ndarray:
        """Play `sent` on every output and return as many samples of input 1; zeros after an xrun.

        Raises
        ------
        Refusal
            The card is gone.
        """
        top = float(np.iinfo(self._kind).max)
        blocks = -(-len(sent) // self.block)
        out = np.zeros(blocks * self.block)
        out[: len(sent)] = sent
        heard = np.zeros(blocks * self.block)
        if not self._running:
            self._start()
        for begin in range(0, len(out), self.block):
            window = slice(begin, begin + self.block)
            self._heard[:] = 0  # ALSA's null device leaves it as it was
            if not self._moved(self._alsa.snd_pcm_readi, self._capture, self._heard):
                return np.zeros(len(sent))
            heard[window] = self._heard[:, 0] / top
            self._sent[:] = (out[window] * top).astype(self._kind)[:, None]
            if not self._moved(self._alsa.snd_pcm_writei, self._play, self._sent):
                return np.zeros(len(sent))
        return heard[: len(sent)]

    def _moved(self, transfer: Callable[..., int], pcm: c_void_p, wire: np.ndarray) -> bool:
        """Read or write one block; False after an xrun, with the stream stopped."""
        done = 0
        while done < self.block:
            frames = int(transfer(pcm, wire[done:].ctypes.data, self.block - done))
            if frames in LATE:
                self.xruns += 1
                self._running = False
                return False
            if frames <= 0:
                raise Refusal(f"the sound card {self.device} stopped: {self._said(frames)}.")
            done += frames
        return True

    def _start(self) -> None:
        """Fill every period with silence and let both directions run."""
        for pcm in (self._play, self._capture):
            self._alsa.snd_pcm_drop(pcm)
            self._checked(self._alsa.snd_pcm_prepare(pcm))
        self._sent[:] = 0
        for _ in range(self.periods):
            self._moved(self._alsa.snd_pcm_writei, self._play, self._sent)
        if not self._linked:
            self._checked(self._alsa.snd_pcm_start(self._capture))
        self._checked(self._alsa.snd_pcm_start(self._play))
        self._running = True

    def _open(self, direction: int, verb: str) -> c_void_p:
        pcm = c_void_p()
        error = self._alsa.snd_pcm_open(byref(pcm), self.device.encode(), direction, 0)
        if error >= 0:
            formats = FORMATS if direction == PLAYBACK else {self._format: self._kind}
            for code, kind in formats.items():
                error = self._configure(pcm, code)
                if error >= 0:
                    self._format, self._kind = code, kind
                    return pcm
            self._alsa.snd_pcm_close(pcm)
        raise Refusal(
            f"no sound: {self.device} does not {verb} 2 × {self.rate_hz} Hz in {self.periods} periods of "
            f"{self.block} ({self._said(error)}); `aplay -l` lists the cards, --device names one."
        )

    def _configure(self, pcm: c_void_p, code: int) -> int:
        alsa, hw, sw = self._alsa, c_void_p(), c_void_p()
        rate, periods, period = c_uint(self.rate_hz), c_uint(self.periods), c_ulong(self.block)
        alsa.snd_pcm_hw_params_malloc(byref(hw))
        try:
            for error in (
                alsa.snd_pcm_hw_params_any(pcm, hw),
                alsa.snd_pcm_hw_params_set_access(pcm, hw, INTERLEAVED),
                alsa.snd_pcm_hw_params_set_format(pcm, hw, code),
                alsa.snd_pcm_hw_params_set_channels(pcm, hw, CHANNELS),
                alsa.snd_pcm_hw_params_set_rate_near(pcm, hw, byref(rate), None),
                alsa.snd_pcm_hw_params_set_period_size_near(pcm, hw, byref(period), None),
                alsa.snd_pcm_hw_params_set_periods_near(pcm, hw, byref(periods), None),
                alsa.snd_pcm_hw_params(pcm, hw),
            ):
                if error < 0:
                    return int(error)
        finally:
            alsa.snd_pcm_hw_params_free(hw)
        if (rate.value, period.value, periods.value) != (self.rate_hz, self.block, self.periods):
            return -22  # EINVAL: the nearest it can do is something else
        alsa.snd_pcm_sw_params_malloc(byref(sw))
        try:
            alsa.snd_pcm_sw_params_current(pcm, sw)
            # it starts when told to, not at the first write
            alsa.snd_pcm_sw_params_set_start_threshold(pcm, sw, c_ulong(2 * self.block * self.periods))
            return int(alsa.snd_pcm_sw_params(pcm, sw))
        finally:
            alsa.snd_pcm_sw_params_free(sw)

    def _declare(self) -> None:
        """State the types that ctypes can't guess, and keep the library's own complaints off the terminal."""
        alsa = self._alsa
        alsa.snd_strerror.restype = c_char_p
        alsa.snd_pcm_open.argtypes = [c_void_p, c_char_p, c_int, c_int]
        for name in ("snd_pcm_readi", "snd_pcm_writei"):
            getattr(alsa, name).restype = c_long
            getattr(alsa, name).argtypes = [c_void_p, c_void_p, c_ulong]
        alsa.snd_lib_error_set_handler(_SILENT)

    def _said(self, error: int) -> str:
        return self._alsa.snd_strerror(c_int(error)).decode()

    def _checked(self, error: int) -> None:
        # already running, where the two are linked
        if error < 0 and error != -77:
            raise Refusal(f"the sound card {self.device} does not start: {self._said(error)}.")


@contextmanager
def first_in_line() -> Iterator[bool]:
    """Run under SCHED_FIFO where that is granted; yields whether it was."""
    try:
        before, parameter = os.sched_getscheduler(0), os.sched_getparam(0)
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(FIFO_PRIORITY))
    except (AttributeError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        os.sched_setscheduler(0, before, parameter)


def round_trip(
    exchange: Callable[[np.ndarray], np.ndarray],
    rate_hz: float,
    repeats: int = 20,
    progress: Callable[[int], None] | None = None,
) -> RoundTrip:
    """Measure the round trip: emit an impulse, find it, repeat.

    Parameters
    ----------
    exchange : samples out → as many samples in, as the audio driver does both at once.
    rate_hz : samples per second.
    repeats : impulses; each begins elsewhere in its block.
    progress : told how many are done.

    Returns
    -------
    RoundTrip
        ``samples`` and ``ms``: median, min, max and spread; ``histogram``: [samples, count] rows; ``lost``:
        impulses that did not come back; ``incomplete`` with a sentence where the card went away half-way
        (what came before is kept).

    Raises
    ------
    Refusal
        No impulse came back.
    """
    delays: list[int] = []
    incomplete, tried = "", 0
    for k in range(repeats):
        sent = np.zeros(int(WINDOW_S * rate_hz), np.float32)
        at = int(0.01 * rate_hz) + 37 * k
        sent[at] = LEVEL
        try:
            heard = np.abs(np.asarray(exchange(sent), np.float64))
        except Refusal as refusal:
            incomplete = str(refusal)
            break
        tried += 1
        peak = int(heard.argmax())
        noise = float(np.median(heard)) + 1e-6
        if heard[peak] > LEAST_OVER_NOISE * noise and heard[peak] > LEAST_PEAK and peak >= at:
            delays.append(peak - at)
        if progress is not None:
            progress(k + 1)
    if not delays:
        raise Refusal(
            incomplete
            or "no impulse came back; is a cable between output 1 and input 1, and are the levels up?"
        )
    found = np.array(delays)
    samples: Spread = {
        "median": float(np.median(found)),
        "min": int(found.min()),
        "max": int(found.max()),
        "spread": int(found.max() - found.min()),
    }
    trip: RoundTrip = {
        "samples": samples,
        "ms": {
            "median": _ms(samples["median"], rate_hz),
            "min": _ms(samples["min"], rate_hz),
            "max": _ms(samples["max"], rate_hz),
            "spread": _ms(samples["spread"], rate_hz),
        },
        "histogram": [[value, count] for value, count in sorted(Counter(delays).items())],
        "found": len(delays),
        "lost": tried - len(delays),
    }
    if incomplete:
        trip["incomplete"] = incomplete
    return trip


def _ms(samples: float, rate_hz: float) -> float:
    return round(1e3 * samples / rate_hz, 4)


def measure(
    device: str,
    rate_hz: int,
    block: int,
    periods: int,
    repeats: int,
    progress: Callable[[int], None] | None = None,
) -> LatencyReport:
    """Measure a sound card with a cable from output 1 to input 1.

    Returns
    -------
    LatencyReport
        As ``round_trip``, with the settings, ``xruns``, the share of the buffers, and the machine.
    """
    from bench.live.timing import machine

    with SoundCard(device, rate_hz, block, periods) as card, first_in_line() as fifo:
        found = round_trip(card.exchange, rate_hz, repeats, progress)
    buffers = block * periods
    return {
        "kind": "vaectrol latency",
        "device": device,
        "rate_hz": rate_hz,
        "block": block,
        "periods": periods,
        "repeats": repeats,
        **found,
        "buffers_ms": _ms(buffers, rate_hz),
        "beyond_buffers_ms": _ms(found["samples"]["median"] - buffers, rate_hz),
        "xruns": card.xruns,
        "fifo": fifo,
        "machine": machine(),
    }
