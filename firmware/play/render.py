"""`vaectrol play`: an instrument rendered on this machine from a CV script, as the module would sound."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.refusal import LeftOut, Refusal
from firmware.build import Built, generate, host_library
from firmware.play.cv_script import Script, Signals, read_script, signals
from firmware.play.host import HostInstrument, Rendered

MAX_SECONDS = 3600

CV_FULL_SCALE_VOLTS = 10.0
"""±1 in a CV track."""


@dataclass(frozen=True)
class Played:
    """What a play made.

    Attributes
    ----------
    files : list of Path
        What was written.
    seconds, took_s : float
        Length of the sound and time of the rendering alone.
    peak : float
        Largest sample.
    """

    files: list[Path]
    seconds: float
    took_s: float
    peak: float
    rendered: Rendered
    signals: Signals
    built: Built


def open_instrument(
    instrument: str | Path, folder: Path, models: Mapping[str, Path] | None = None, block: int = 48
) -> tuple[Built, HostInstrument]:
    """Build an instrument for this machine and load it."""
    built = generate(instrument, "host", folder, models=models, block=block)
    return built, HostInstrument(host_library(built))


def play(
    instrument: str | Path,
    out: Path,
    *,
    script: Path | None = None,
    sounds: Mapping[str, Path] | None = None,
    models: Mapping[str, Path] | None = None,
    seconds: float | None = None,
    block: int = 48,
    tail_s: float = 1.0,
    sound_volts: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> Played:
    """Render an instrument.

    Parameters
    ----------
    instrument : name or path of a TOML file.
    out : Path
        WAV for the audio; CV and gate tracks are written beside it as ``OUT.cv.wav`` and ``OUT.gates.wav``.
    script : Path, optional
        CSV, see `firmware.play.cv_script`.
    sounds : mapping of jack to audio file
        Audio as CV (±1 = ±`sound_volts`), as gate, or into ``audio_in_N`` (±1 = full scale).
    models : mapping of role to ONNX file
    seconds : float, optional
        Length; default: the script's (or the sounds') and `tail_s`.
    block : int
        Samples per callback.

    Raises
    ------
    Refusal
        Anything wrong with the files, in one sentence.
    """
    cv = read_script(script) if script else Script()
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        built, host = open_instrument(instrument, Path(folder), models, block)
        rate = built.board.audio.sample_rate_hz
        tracks = {jack: read_sound(path, rate) for jack, path in (sounds or {}).items()}
        longest = max([cv.seconds, *(len(track) / rate for track in tracks.values())])
        ticks = round((seconds if seconds is not None else longest + tail_s) * rate)
        if not 1 <= ticks <= MAX_SECONDS * rate:
            raise Refusal("there is nothing to play: give --cv, a sound or --seconds (at most 3600).")
        volts = {
            jack: fitted(track, ticks) * (1.0 if jack.startswith("audio_in") else sound_volts)
            for jack, track in tracks.items()
        }
        played = signals(cv, built.board, ticks, host.parameters, volts)
        began = time.perf_counter()
        rendered = host.render(played, block, (lambda done: progress(done, ticks)) if progress else None)
        took = time.perf_counter() - began
    files = write_tracks(out, rendered, built)
    peak = float(np.abs(rendered.audio).max(initial=0.0))
    return Played(files, ticks / rate, took, peak, rendered, played, built)


def read_sound(path: Path, rate_hz: float) -> NDArray[np.float32]:
    """Read an audio file as one channel at `rate_hz`.

    Raises
    ------
    Refusal
        It is no sound, or not one that can be read; see :func:`common.recording.read_recording`.
    """
    from common.recording import read_recording

    try:
        recording = read_recording(path, MAX_SECONDS)
    except LeftOut as reason:
        raise Refusal(f"cannot read the sound {path}: it {reason}.") from None
    mono, rate = recording.audio.mean(axis=1), recording.rate_hz
    if rate != rate_hz:
        from math import gcd

        from scipy.signal import resample_poly

        common = gcd(int(rate_hz), int(rate))
        mono = resample_poly(mono, int(rate_hz) // common, int(rate) // common)
    return np.asarray(mono, np.float32)


def fitted(track: NDArray[np.float32], ticks: int) -> NDArray[np.float32]:
    """Cut or lengthen with zeros."""
    out = np.zeros(ticks, np.float32)
    out[: min(ticks, len(track))] = track[:ticks]
    return out


def write_tracks(out: Path, rendered: Rendered, built: Built) -> list[Path]:
    """Write audio, and the CV and gate outputs that carry something, each file whole or not at all."""
    assignment = built.assignment
    rate = int(built.board.audio.sample_rate_hz)
    stem = out.with_suffix("")
    files = [(out, rendered.audio.T)]
    cvs = [at for at, source in enumerate(assignment.cv_out) if source >= 0]
    gates = [at for at, source in enumerate(assignment.gate_out) if source >= 0]
    if cvs:
        files.append((Path(f"{stem}.cv.wav"), rendered.cv[cvs].T / CV_FULL_SCALE_VOLTS))
    if gates:
        levels = np.stack([rendered.gates >> at & 1 for at in gates], axis=1)
        files.append((Path(f"{stem}.gates.wav"), levels.astype(np.float32)))
    for path, data in files:
        write_wav(path, data, rate)
    return [path for path, _ in files]


def write_wav(path: Path, data: NDArray, rate_hz: int) -> None:
    """Write float32 WAV, shape (ticks, channels), through a temporary name."""
    import soundfile

    path.parent.mkdir(parents=True, exist_ok=True)
    handle, part = tempfile.mkstemp(dir=path.parent, suffix=".wav")
    os.close(handle)
    try:
        soundfile.write(part, data, rate_hz, subtype="FLOAT")
        Path(part).chmod(0o644)
        os.replace(part, path)
    except BaseException:
        Path(part).unlink(missing_ok=True)
        raise
