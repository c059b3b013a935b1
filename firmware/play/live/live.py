"""An instrument played in real time under OSC: through the sound card where there is one, else into a file.

Without a sound card the sound is paced by the clock and written at the end; with ``record`` everything that
came in by OSC is kept as a CV script, which `vaectrol play --cv` renders again.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.files import write_text
from common.refusal import Refusal
from firmware.midi.cable import MidiFollower, midi_input
from firmware.midi.player import MidiPlayer
from firmware.play.host import HostInstrument, Rendered
from firmware.play.live.osc import OscControl, OscServer
from firmware.play.pieces import blank, put
from firmware.play.render import has_sound, heard, open_instrument, write_tracks
from firmware.play.verdict import complaint
from firmware.script.cv_script import Script, Signals, script_text, signals
from hardware.board import Board

CHUNK_BLOCKS = 4
"""Blocks rendered at a time: 4 ms at block 48."""


@dataclass(frozen=True)
class Inputs:
    """What an instrument is played by, and whether it sounds.

    Attributes
    ----------
    osc_port : int or None
        UDP port to listen on.
    midi_port : str or None
        Name of a MIDI input, or the beginning of one.
    sound_card : bool
        Whether it is heard while it is played.
    """

    osc_port: int | None = None
    midi_port: str | None = None
    sound_card: bool = False


def play_live(
    instrument: str | Path,
    out: Path,
    *,
    models: Mapping[str, Path] | None,
    inputs: Inputs,
    seconds: float | None,
    block: int | None,
    record: Path | None,
    board: str | Path | Board = "host",
    tell: Callable[[str], None] = print,
) -> dict[str, Any]:
    """Play until `seconds` are over or the user interrupts.

    Parameters
    ----------
    tell : callable
        Told where the instrument listens, as soon as it does.

    Returns
    -------
    dict
        ``says`` (one line, and one more about addresses nothing here is called), ``files``, ``seconds``,
        ``messages``, ``unknown`` (address → how often it came), ``complaint`` (None, or what is wrong with
        the sound).

    Raises
    ------
    Refusal
        No sound card or no library for it; no length for a recording; a port that is taken.
    """
    card = _sound_library() if inputs.sound_card else None
    wrong: str | None = None
    if card is None and seconds is None:
        raise Refusal("without a sound card (--live) say how long to play: --seconds 60.")
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder, ExitStack() as stack:
        built, host = open_instrument(instrument, Path(folder), models, block, board)
        block = block or built.board.audio.block
        rate = built.board.audio.sample_rate_hz
        gates = built.assignment.gate_names
        title, kind = built.assignment.loaded.spec.title, built.assignment.kind
        control = OscControl(host, lambda: [title, kind, built.board.name, built.version])
        if inputs.osc_port is not None:
            server = stack.enter_context(OscServer(control, inputs.osc_port))
            tell(f"{title} listens for OSC on {server.host}:{server.port} (UDP); /report lists its addresses")
        if inputs.midi_port is not None:
            assignment = built.assignment
            player = MidiPlayer(assignment.loaded, host.parameters, assignment.choices)
            follower = MidiFollower(player, control, gates)
            tell(f"{title} follows {stack.enter_context(midi_input(inputs.midi_port, follower))}")
        chunk = block * CHUNK_BLOCKS
        quiet = signals(Script(), built.board, chunk, host.parameters, {})
        control.started = time.monotonic()
        if card is not None:
            _through_card(card, host, quiet, block, int(rate), seconds)
            files: list[Path] = []
            played_s = time.monotonic() - control.started
        else:
            assert seconds is not None
            rendered = _by_the_clock(host, quiet, block, chunk, rate, seconds)
            sound, _ = heard(built, rendered)
            files = write_tracks(out, sound, rendered, built)
            wrong = complaint(rendered, has_sound(built))
            played_s = rendered.gates.size / rate
    if record is not None:
        write_text(record, script_text(recorded_script(control.recorded)))
        files.append(record)
    made = [str(path) for path in files]
    return {
        "says": f"played {played_s:.1f} s, {len(control.recorded)} messages obeyed"
        + (f"; wrote {', '.join(made)}" if made else "")
        + "".join(f"\n{line}" for line in [*control.faults_in_words(), *control.unknown_in_words()]),
        "files": made,
        "seconds": played_s,
        "messages": len(control.recorded),
        "unknown": dict(control.unknown),
        "complaint": wrong,
    }


def _by_the_clock(
    host: HostInstrument, quiet: Signals, block: int, chunk: int, rate_hz: float, seconds: float
) -> Rendered:
    chunks = max(1, round(seconds * rate_hz / chunk))
    made = blank(host, chunks * chunk, block)
    put(made, slice(0, chunk), host.render(quiet, block), block)
    played = 1
    began = time.monotonic()
    with suppress(KeyboardInterrupt):
        for number in range(1, chunks):
            ahead = number * chunk / rate_hz - (time.monotonic() - began)
            if ahead > 0:
                time.sleep(ahead)
            put(made, slice(number * chunk, (number + 1) * chunk), host.render(quiet, block), block)
            played = number + 1
    ticks = played * chunk
    return Rendered(
        made.audio[:, :ticks], made.cv[:, :ticks], made.gates[:ticks], made.positions[: ticks // block]
    )


def _sound_library() -> Any:
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


def _through_card(
    card: Any, host: HostInstrument, quiet: Signals, block: int, rate_hz: int, seconds: float | None
) -> None:
    def callback(indata: NDArray, outdata: NDArray, frames: int, *_: object) -> None:
        inputs = np.repeat(quiet.inputs[:, :1], frames, axis=1)
        gates = np.zeros((quiet.gates.shape[0], frames), np.float32)
        audio = np.ascontiguousarray(indata.T[: quiet.audio.shape[0]])
        outdata[:] = host.render(Signals(inputs, gates, audio, []), block).audio.T[:, : outdata.shape[1]]

    stream = card.Stream(samplerate=rate_hz, blocksize=block * CHUNK_BLOCKS, channels=2, callback=callback)
    with stream, suppress(KeyboardInterrupt):
        if seconds is not None:
            time.sleep(seconds)
            return
        while True:
            time.sleep(1.0)


def recorded_script(recorded: list[tuple[float, str, float]]) -> Script:
    """Make a script of what came in: seconds, column and value of each."""
    columns: dict[str, list[tuple[float, float]]] = {}
    for at, column, value in recorded:
        columns.setdefault(column, []).append((at, value))
    points = {column: np.array(columns[column], np.float64) for column in sorted(columns)}
    seconds = max((at for at, _, _ in recorded), default=0.0)
    return Script(
        columns={name: (knots[:, 0], knots[:, 1]) for name, knots in points.items()}, seconds=seconds
    )
