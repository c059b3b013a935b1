"""The instrument of this computer: rendered by the clock or through the sound card, exact to the sample."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from firmware.bridge.sinks.instrument import Length, Say
from firmware.bridge.sinks.notes import LiveNotes
from firmware.midi.player import MidiPlayer
from firmware.play.hits import wires
from firmware.play.host import Rendered
from firmware.play.live.outbox import Outbox
from firmware.play.live.pace import by_the_clock, not_kept, sound_library, through_card
from firmware.play.live.performance import Performance
from firmware.play.live.telemetry import report_values
from firmware.play.render import Sound, fitted, has_sound, heard, open_instrument, read_sounds, write_tracks
from firmware.play.verdict import complaint
from firmware.script.cv_script import Script
from hardware.board import Board

CHUNK_BLOCKS = 2
"""Rendered at a time: 2 ms at block 48; what comes in waits for the next."""


@dataclass(frozen=True)
class HostWanted:
    """What is to be played here, and what becomes of its sound.

    Attributes
    ----------
    sounds : mapping of ``audio_in_N`` to sound
        Silence follows where it is shorter than the performance.
    out : Path, optional
        WAV of the whole performance, by the clock.
    live : bool
        Through the sound card.
    """

    instrument: str | Path
    board: str | Path | Board = "host"
    models: Mapping[str, Path] = field(default_factory=dict)
    block: int | None = None
    sounds: Mapping[str, Sound] = field(default_factory=dict)
    out: Path | None = None
    live: bool = False


class HostInstrumentSide:
    """Builds an instrument and plays it; see `firmware.bridge.sinks.instrument.Instrument`.

    Parameters
    ----------
    folder : Path
        Where it is built.
    """

    def __init__(self, wanted: HostWanted, folder: Path):
        self.wanted = wanted
        self._card = sound_library() if wanted.live else None
        self.built, self.host = open_instrument(
            wanted.instrument, folder, wanted.models, wanted.block, wanted.board
        )
        self.parameters: dict[str, int] = self.host.parameters
        self.info: Any = self.host.info
        self.gates = self.built.assignment.gate_names
        self._names = list(self.parameters)
        self._rate_hz = self.built.board.audio.sample_rate_hz
        self._audio = self._inputs()
        self._gate_outs, self._cv_outs = wires(self.built)
        self.notes: Callable[[str, float], object] | None = None
        """Takes what the gates play, as MIDI targets and velocities."""
        self._notes = LiveNotes(self.built)
        self._volts: dict[str, float | None] = {}
        self._levels = 0
        self._performance: Performance | None = None
        self._said: list[str] = []
        self.files: list[Path] = []
        self.complaint: str | None = None

    @property
    def presets(self) -> int:
        """How many presets it has."""
        return int(self.info.presets)

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over at once, beside the outbox."""
        return self.host.post(kind, index, value)

    def position(self, name: str) -> float:
        """Position of a parameter."""
        return self.host.position(name)

    def describe(self) -> list[str]:
        """Title, kind, board and version."""
        spec = self.built.assignment.loaded.spec
        return [spec.title, spec.kind, self.built.board.name, self.built.version]

    def midi_player(self) -> MidiPlayer:
        """Return what knows the instrument's MIDI table."""
        assignment = self.built.assignment
        return MidiPlayer(assignment.loaded, self.parameters, assignment.choices)

    def values(self) -> Mapping[str, float | None]:
        """Positions and values of parameters, gates in, and volts of what goes out by its name."""
        return {**report_values(self.host.report(), self._names), **self._volts}

    def perform(self, outbox: Outbox, length: Length, say: Say, started: Callable[[], None]) -> None:
        """Render until the time is over or the user interrupts."""
        block = self.wanted.block or self.built.board.audio.block
        performance = Performance(self.built, self.host, outbox, block)
        self._performance = performance
        chunk = block * CHUNK_BLOCKS

        def listen(rendered: Rendered) -> None:
            self._tell(rendered, say)

        seconds, stop = length.seconds, length.stop
        started()
        if self._card is not None:
            through_card(self._card, performance, chunk, seconds, heard=listen, stop=stop)
        elif seconds is None or self.wanted.out is None:
            not_kept(performance, chunk, seconds=seconds, audio=self._audio, heard=listen, stop=stop)
        else:
            made = by_the_clock(performance, chunk, seconds, audio=self._audio, heard=listen, stop=stop)
            sound, _ = heard(self.built, made)
            self.files = write_tracks(self.wanted.out, sound, made, self.built)
            self.complaint = complaint(made, has_sound(self.built))

    def script(self) -> Script:
        """Write down what it was played by."""
        return self._performance.script() if self._performance is not None else Script()

    def close(self) -> None:
        """Leave nothing open: the library goes with the process."""

    def in_words(self) -> list[str]:
        """Say how long was played, and how to hear it again."""
        played = self._performance
        if played is None:
            return []
        said = [f"played {played.ticks / self._rate_hz:.1f} s, {played.obeyed} moves obeyed"]
        if played.forgotten:
            said.append(f"{played.forgotten} of them came too late for a script, and are not recorded")
        if played.outbox.dropped:
            said.append(f"{played.outbox.dropped} strokes came faster than it plays, and were dropped")
        return said

    def again(self, record: Path) -> str:
        """Return the command that renders a recording again, sample by sample."""
        wanted, played = self.wanted, self._performance
        seconds = played.ticks / self._rate_hz if played is not None else 0.0
        words = ["vaectrol", "play", str(wanted.instrument), "--cv", str(record), "--seconds", repr(seconds)]
        board = wanted.board if isinstance(wanted.board, str | Path) else wanted.board.name
        if str(board) != "host":
            words += ["--board", str(board)]
        if wanted.block:
            words += ["--block", str(wanted.block)]
        for role, file in wanted.models.items():
            words += ["--model", f"{role}={file}"]
        for jack, sound in wanted.sounds.items():
            words += ["--sound", f"{jack}={sound}"]
        return " ".join([*words, *(["--allow-silence"] if self.complaint else [])])

    def _tell(self, rendered: Rendered, say: Say) -> None:
        """Keep the last volts, and tell of every note and edge of a gate output."""
        if self.notes is not None:
            for target, value in self._notes.moves(rendered):
                self.notes(target, value)
        for name, at in self._cv_outs.items():
            self._volts[f"/out/{name.replace('.', '/')}"] = float(rendered.cv[at, -1])
        changed = np.flatnonzero(np.diff(rendered.gates, prepend=np.uint32(self._levels)))
        for tick in changed:
            levels = int(rendered.gates[tick])
            for name, at in self._gate_outs.items():
                if (levels ^ self._levels) >> at & 1:
                    say(f"gate_out/{name.replace('.', '/')}", float(levels >> at & 1))
            self._levels = levels

    def _inputs(self) -> Callable[[slice], NDArray[np.float32]] | None:
        """Read what comes in; refuse a sound for a jack that is no audio input."""
        sounds = self.wanted.sounds
        if not sounds:
            return None
        names = [f"audio_in_{number + 1}" for number in range(self.built.board.audio.inputs)]
        for jack in sounds:
            if jack not in names:
                raise Refusal(f"--sound {jack}: a bridge plays sounds into {' and '.join(names)} only.")
        tracks = read_sounds(sounds, self._rate_hz)
        rows = [tracks.get(name, np.zeros(1, np.float32)) for name in names]

        def piece(span: slice) -> NDArray[np.float32]:
            return np.stack([fitted(row[span], span.stop - span.start) for row in rows])

        return piece
