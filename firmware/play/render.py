"""`vaectrol play`: an instrument rendered on this machine from a CV script, as the module would sound."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from common.files import whole
from common.refusal import LeftOut, Refusal
from common.spool import largest, release, spans, spooled
from firmware.build import Built, generate, host_library
from firmware.instruments import kinds
from firmware.play.host import HostInstrument, Rendered
from firmware.play.pieces import blank, put, rendered_pieces
from firmware.script.cv_script import Script, Signals, check, events, read_script, readings
from firmware.tables.put import TableFiles
from hardware.board import Board

CV_FULL_SCALE_VOLTS = 10.0
"""±1 in a CV track."""
KNOB_MARGIN = 0.005
"""Of a knob's travel, lost at each end: ``engine/control/panel.c``."""


LONGEST_S = 3600.0
TAIL_S = 1.0
"""To ring after a script's last row."""
PIECE_FRAMES = 65_536
"""Of a sound file, read at once."""
FILTER_HALF = 10
"""Half of `scipy.signal.resample_poly`'s filter, in samples of the slower rate."""

Scribe = Callable[[Built, Mapping[str, int]], Script]
"""Writes the script for an instrument and its parameters, OSC address → number."""
Sound = Path | NDArray[np.float32]
"""An audio file, or one channel at the rate of the board."""


@dataclass(frozen=True)
class Played:
    """What a play made; nothing is written yet.

    Attributes
    ----------
    seconds, took_s : float
        Length of the sound and time of the rendering alone.
    sound : array, shape (channels, ticks), float32
        What is heard: the audio outputs, or drums that the gates strike where an instrument has none.
    struck : str
        Name of the drum that the gates strike; empty where the instrument has a sound of its own.
    gates_in : array, shape (gates, ticks), float32
        Volts at the gate inputs and buttons.

    All arrays lie on the disk (`common.spool`), so that an hour is played in the memory of a second.
    """

    seconds: float
    took_s: float
    sound: NDArray[np.float32]
    struck: str
    rendered: Rendered
    gates_in: NDArray[np.float32]
    built: Built

    @property
    def peak(self) -> float:
        """Largest sample of what is heard."""
        return largest(self.sound)


def open_instrument(
    instrument: str | Path,
    folder: Path,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    board: str | Path | Board = "host",
) -> tuple[Built, HostInstrument]:
    """Build an instrument as `board` would have it for this machine, and load it."""
    built = generate(instrument, board, folder, models=models, block=block, target="host")
    return built, HostInstrument(host_library(built))


def play(
    instrument: str | Path,
    *,
    board: str | Path | Board = "host",
    script: Path | Scribe | None = None,
    sounds: Mapping[str, Sound] | None = None,
    models: Mapping[str, Path] | None = None,
    seconds: float | None = None,
    block: int | None = None,
    tables: TableFiles | None = None,
    sound_volts: float = 5.0,
    progress: Callable[[int, int], None] | None = None,
) -> Played:
    """Render an instrument.

    Parameters
    ----------
    instrument : name or path of a TOML file.
    board : Board, name or path of a TOML file
        Whose jacks, converters, levels and voices; the arithmetic is the same on all of them.
    script : Path or Scribe, optional
        CSV, see `firmware.script.cv_script`; or what writes one for this instrument.
    sounds : mapping of jack to sound
        Audio as CV (±1 = ±`sound_volts`), as gate, or into ``audio_in_N`` (±1 = full scale).
    models : mapping of role to ONNX file
    seconds : float, optional
        Length; default: the script's (or the sounds') and a second to ring.
    block : int, optional
        Samples per callback; the board's when omitted.
    tables : TableFiles, optional
        Tables of latents that it holds from the start.

    Raises
    ------
    Refusal
        Anything wrong with the files, in one sentence.
    """
    check_seconds(seconds)
    cv = read_script(script) if isinstance(script, Path) else Script()
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        built, host = open_instrument(instrument, Path(folder), models, block, board)
        (tables or TableFiles()).put(host, instrument)
        if script is not None and not isinstance(script, Path):
            cv = script(built, host.parameters)
        gates = built.assignment.gate_names
        rate = built.board.audio.sample_rate_hz
        tracks = read_sounds(sounds or {}, rate)
        ticks = length_ticks(cv, tracks, rate, seconds, TAIL_S)
        check(cv, built.board, host.parameters, tracks, gates)
        used = block or built.board.audio.block
        rendered = blank(host, ticks, used)
        gates_in = spooled((len(built.board.gates_in) + len(built.board.buttons), ticks), "float32")
        resting = resting_knobs(built)

        def read(span: slice) -> Signals:
            volts = {
                jack: fitted(track[span], span.stop - span.start)
                * (1.0 if jack.startswith("audio_in") else sound_volts)
                for jack, track in tracks.items()
            }
            made = readings(cv, built.board, span, volts, resting)
            gates_in[:, span] = made.gates
            for array in (gates_in, *tracks.values()):
                release(array)
            return made

        began = time.perf_counter()
        commands = events(cv, built.board, host.parameters, gates)
        for span, part in rendered_pieces(host, ticks, used, read, commands):
            put(rendered, span, part, used)
            if progress is not None:
                progress(span.stop, ticks)
        took = time.perf_counter() - began
    sound, struck = heard(built, rendered)
    return Played(ticks / rate, took, sound, struck, rendered, gates_in, built)


def check_seconds(seconds: float | None) -> None:
    """Refuse a length that is no length."""
    if seconds is not None and not 0.0 < seconds <= LONGEST_S:
        raise Refusal(
            f"there is nothing to play in {seconds:g} s; give --seconds from 0.001 to {LONGEST_S:g}."
        )


def has_sound(built: Built) -> bool:
    """Whether any audio output of an instrument carries something."""
    return any(source >= 0 for source in built.assignment.audio_out)


def heard(built: Built, rendered: Rendered) -> tuple[NDArray[np.float32], str]:
    """Return what one hears, and what the gates play where the instrument has no sound of its own."""
    if has_sound(built):
        return rendered.audio, ""
    if kinds.named(built.assignment.kind).pitched:
        from firmware.midi.pitched import sound_notes

        return sound_notes(built, rendered)
    from firmware.play.struck import strike

    return strike(built, rendered)


def resting_knobs(built: Built) -> dict[str, float]:
    """Position of every knob at which its parameter is where it would be on a board without that knob."""
    names = [adc.name for adc in built.board.adcs]
    return {
        names[parameter.knob]: KNOB_MARGIN + parameter.rest * (1.0 - 2.0 * KNOB_MARGIN)
        for parameter in built.assignment.parameters
        if parameter.knob >= 0
    }


def length_ticks(
    cv: Script,
    tracks: Mapping[str, NDArray[np.float32]],
    rate_hz: float,
    seconds: float | None,
    tail_s: float,
) -> int:
    """Samples to play: as asked, or as long as the script and the sounds, and `tail_s` to ring.

    Raises
    ------
    Refusal
        There is nothing to play.
    """
    longest = max([cv.seconds, *(len(track) / rate_hz for track in tracks.values())])
    if seconds is None and longest == 0.0 and not cv.columns:
        raise Refusal("there is nothing to play: give --demo, --cv, --midi, --sound or --seconds.")
    return max(1, round(min(seconds if seconds is not None else longest + tail_s, LONGEST_S) * rate_hz))


def read_sounds(sounds: Mapping[str, Sound], rate_hz: float) -> dict[str, NDArray[np.float32]]:
    """Read what is a file; what is an array stays."""
    return {
        jack: read_sound(sound, rate_hz) if isinstance(sound, Path) else sound
        for jack, sound in sounds.items()
    }


def read_sound(path: Path, rate_hz: float) -> NDArray[np.float32]:
    """Read an audio file as one channel at `rate_hz`.

    Raises
    ------
    Refusal
        It is no sound, or not one that can be read; see :func:`common.reading.recording.read_recording`.
    """
    from common.reading.recording import Stream

    try:
        with Stream(path, LONGEST_S) as file:
            mono = spooled((file.frames,), "float32")
            for span, audio in file.pieces(PIECE_FRAMES):
                mono[span] = audio.mean(axis=1)
                release(mono)
            file_hz = file.rate_hz
    except LeftOut as reason:
        raise Refusal(f"cannot read the sound {path}: it {reason}.") from None
    return mono if file_hz == rate_hz else _resampled(mono, file_hz, int(rate_hz))


def _resampled(mono: NDArray[np.float32], from_hz: int, to_hz: int) -> NDArray[np.float32]:
    """Resample piece by piece; each is given as much on both sides as the filter looks at."""
    from math import gcd

    from scipy.signal import resample_poly

    up, down = to_hz // gcd(to_hz, from_hz), from_hz // gcd(to_hz, from_hz)
    ticks = -(-len(mono) * up // down)
    out = spooled((ticks,), "float32")
    margin = -(-(FILTER_HALF * max(up, down) // up + 1) // down)  # in units of `down` frames in, `up` out
    step = max(1, PIECE_FRAMES // down)
    for first in range(0, -(-ticks // up), step):
        before = min(first, margin)
        frames = mono[(first - before) * down : (first + step + margin) * down]
        made = resample_poly(np.asarray(frames, np.float64), up, down)[before * up : (before + step) * up]
        out[first * up : (first + step) * up] = made[: ticks - first * up]
        release(mono)
        release(out)
    return out


def fitted(track: NDArray[np.float32], ticks: int) -> NDArray[np.float32]:
    """Cut or lengthen with zeros."""
    out = np.zeros(ticks, np.float32)
    out[: min(ticks, len(track))] = track[:ticks]
    return out


def write_tracks(out: Path, sound: NDArray[np.float32], rendered: Rendered, built: Built) -> list[Path]:
    """Write what is heard, and the CV and gate outputs that carry something, each file whole or not at all.

    Parameters
    ----------
    out : Path
        WAV of `sound`, shape (channels, ticks); CV and gates go beside it as ``OUT.cv.wav`` and
        ``OUT.gates.wav``.
    """
    assignment = built.assignment
    rate = int(built.board.audio.sample_rate_hz)
    stem = out.with_suffix("")
    cvs = [at for at, source in enumerate(assignment.cv_out) if source >= 0]
    gates = [at for at, source in enumerate(assignment.gate_out) if source >= 0]
    write_wav(out, len(sound), sound, lambda span: sound[:, span].T, rate)
    files = [out]
    if cvs:
        files.append(Path(f"{stem}.cv.wav"))
        write_wav(
            files[-1],
            len(cvs),
            rendered.cv,
            lambda span: rendered.cv[cvs, span].T / CV_FULL_SCALE_VOLTS,
            rate,
        )
    if gates:
        files.append(Path(f"{stem}.gates.wav"))

        def levels(span: slice) -> NDArray[np.float32]:
            high = [rendered.gates[span] >> at & 1 for at in gates]
            return np.stack(high, axis=1).astype(np.float32)

        write_wav(files[-1], len(gates), rendered.gates, levels, rate)
    return files


def write_wav(
    path: Path,
    channels: int,
    of: NDArray,
    piece: Callable[[slice], NDArray[np.float32]],
    rate_hz: int,
) -> None:
    """Write float32 WAV, whole or not at all.

    Parameters
    ----------
    of : array, shape (…, ticks)
        What it is made of.
    piece : callable
        Gives a span of it, shape (ticks, channels).
    """
    import soundfile

    with (
        whole(path) as part,
        soundfile.SoundFile(str(part), "w", rate_hz, channels, subtype="FLOAT", format="WAV") as file,
    ):
        for span in spans(of.shape[-1], through=[of]):
            file.write(piece(span))
