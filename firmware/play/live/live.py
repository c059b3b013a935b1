"""An instrument played in real time under OSC: through the sound card where there is one, else into a file.

Without a sound card the sound is paced by the clock and written at the end; with ``record`` everything that
came in is kept as a CV script, which `vaectrol play --cv` renders again, sample by sample.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.files import write_text
from common.refusal import Refusal
from firmware.midi.cable import MidiFollower, midi_input
from firmware.midi.player import MidiPlayer
from firmware.play.live.columns import Columns
from firmware.play.live.osc import OscControl, OscServer
from firmware.play.live.outbox import Outbox
from firmware.play.live.pace import by_the_clock, sound_library, through_card
from firmware.play.live.performance import Performance
from firmware.play.render import has_sound, heard, open_instrument, write_tracks
from firmware.play.verdict import complaint
from firmware.script.cv_script import script_text
from firmware.tables.put import TableFiles
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
    tables: TableFiles | None = None,
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
    card = sound_library() if inputs.sound_card else None
    wrong: str | None = None
    if card is None and seconds is None:
        raise Refusal("without a sound card (--live) say how long to play: --seconds 60.")
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder, ExitStack() as stack:
        built, host = open_instrument(instrument, Path(folder), models, block, board)
        (tables or TableFiles()).put(host, instrument)
        used = block or built.board.audio.block
        assignment = built.assignment
        title, kind = assignment.loaded.spec.title, assignment.kind
        outbox = Outbox()
        performance = Performance(built, host, outbox, used)
        columns = Columns(host, outbox.put, assignment.gate_names)
        control = OscControl(columns, lambda: [title, kind, built.board.name, built.version], keep=False)
        if inputs.osc_port is not None:
            server = stack.enter_context(OscServer(control, inputs.osc_port))
            tell(f"{title} listens for OSC on {server.host}:{server.port} (UDP); /report lists its addresses")
        if inputs.midi_port is not None:
            player = MidiPlayer(assignment.loaded, host.parameters, assignment.choices)
            follower = MidiFollower(player, control, assignment.gate_names)
            tell(f"{title} follows {stack.enter_context(midi_input(inputs.midi_port, follower))}")
        chunk = used * CHUNK_BLOCKS
        files: list[Path] = []
        if card is not None:
            through_card(card, performance, chunk, seconds)
        else:
            assert seconds is not None
            rendered = by_the_clock(performance, chunk, seconds)
            sound, _ = heard(built, rendered)
            files = write_tracks(out, sound, rendered, built)
            wrong = complaint(rendered, has_sound(built))
    played_s = performance.ticks / performance.rate_hz
    if record is not None:
        write_text(record, script_text(performance.script()))
        files.append(record)
    made = [str(path) for path in files]
    return {
        "says": f"played {played_s:.1f} s, {performance.obeyed} messages obeyed"
        + (f"; wrote {', '.join(made)}" if made else "")
        + "".join(f"\n{line}" for line in [*control.faults_in_words(), *control.unknown_in_words()]),
        "files": made,
        "seconds": played_s,
        "messages": performance.obeyed,
        "unknown": dict(control.unknown),
        "complaint": wrong,
    }
