"""What a MIDI message does to an instrument, by the ``[midi]`` table of its file: script columns and values.

Where keys sound at once, each takes the voice that was let go first; where all are held, the one that was
pressed first, which goes over to the new key without a stroke.

One player serves a file, a cable and a test: it knows neither time nor sound. A column is one of
`firmware.script.cv_script`, so that what was played can be written down and rendered again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypedDict

from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.schema import LoadedInstrument, MidiNote, MidiTable

Move = tuple[str, float]
"""A column of a CV script, and its value from now on."""
ALL_SOUND_OFF, ALL_NOTES_OFF = 120, 123
WHEEL = 8192.0
"""What the pitch wheel says at its lower end, below 0."""


class KeyColumns(TypedDict):
    """What a range of keys does, by script columns; "" and empty for nothing."""

    low: int
    high: int
    strikes: str
    gate: str
    velocity: list[str]
    pitch: list[str]
    pitchVolts: tuple[float, float]
    middle: int
    sets: list[Move]
    lane: int
    """Its place among entries of which a key takes one."""
    lanes: int
    """How many those are; they lie side by side."""


class ControllerColumns(TypedDict):
    """What a controller moves, and the positions at its ends."""

    cc: int
    columns: list[str]
    range: tuple[float, float]


class MidiColumns(TypedDict):
    """The whole table by script columns, for those who play it elsewhere."""

    channel: int | None
    clock: int | None
    start: bool
    bend: float
    keys: list[KeyColumns]
    controllers: list[ControllerColumns]


class Message(Protocol):
    """A message of ``mido``; which fields it has depends on its type."""

    type: str


@dataclass(frozen=True)
class _Key:
    """What one entry of the table's notes does, by script columns."""

    span: tuple[int, int]
    strikes: str
    gate: str
    velocity: list[str]
    pitch: list[str]
    pitch_volts: tuple[float, float]
    middle: int
    sets: list[Move]
    lane: int
    lanes: int


@dataclass
class _Lane:
    """Which key one of several entries plays, and since when it does, or does nothing."""

    key: tuple[int, int] | None = None
    note: int = -1
    since: int = 0


class MidiPlayer:
    """Follows the notes, controllers and the clock of one instrument.

    Parameters
    ----------
    loaded : LoadedInstrument
        Whose file has a ``[midi]`` table.
    parameters : collection of str
        OSC addresses that the instrument has.
    choices : mapping
        Address → names along its travel, for positions that the file gives by name.

    Raises
    ------
    Refusal
        The file has no such table.
    """

    def __init__(
        self,
        loaded: LoadedInstrument,
        parameters: Collection[str],
        choices: Mapping[str, Sequence[str]] | None = None,
    ):
        if loaded.spec.midi is None:
            raise Refusal(
                f"{loaded.located.path.name} does not say what notes do; give it a [midi] table, as "
                "drum.toml has."
            )
        self.table: MidiTable = loaded.spec.midi
        self.file = loaded.located.path.name
        self._parameters = list(parameters)
        self._choices = choices or {}
        self._groups = kinds.named(loaded.spec.kind).groups
        self._keys = [
            self._key(note, lane, loaded) for note in self.table.note for lane in range(note.voices)
        ]
        self._lanes = [_Lane() for _ in self._keys]
        self._moment = 0
        self._held: Counter[str] = Counter()
        self._sounding: dict[tuple[int, int], list[str]] = {}
        self._bent, self._last = 0.0, -1
        self._pulses = 0
        self._running = True

    def play(self, message: Message) -> list[Move]:
        """Say what a message moves; nothing where the table does not name it."""
        kind = message.type
        if kind in ("clock", "start", "continue", "stop"):
            return list(self._transport(kind))
        channel = getattr(message, "channel", None)
        if channel is None or self.table.channel not in (None, channel + 1):
            return []
        if kind == "note_on" and message.velocity > 0:  # type: ignore[attr-defined]
            return list(self._press(channel, message.note, message.velocity))  # type: ignore[attr-defined]
        if kind in ("note_on", "note_off"):
            return list(self._release((channel, message.note)))  # type: ignore[attr-defined]
        if kind == "control_change":
            return list(self._turn(message.control, message.value))  # type: ignore[attr-defined]
        if kind == "pitchwheel":
            return list(self._bend(message.pitch))  # type: ignore[attr-defined]
        return []

    def columns(self) -> MidiColumns:
        """Write the table down by script columns."""
        keys = [
            KeyColumns(
                low=key.span[0],
                high=key.span[1],
                strikes=key.strikes,
                gate=key.gate,
                velocity=key.velocity,
                pitch=key.pitch,
                pitchVolts=key.pitch_volts,
                middle=key.middle,
                sets=key.sets,
                lane=key.lane,
                lanes=key.lanes,
            )
            for key in self._keys
        ]
        controllers = [
            ControllerColumns(cc=one.cc, columns=self._columns(one.to), range=one.range)
            for one in self.table.cc
        ]
        table = self.table
        return MidiColumns(
            channel=table.channel,
            clock=table.clock,
            start=table.start,
            bend=table.bend,
            keys=keys,
            controllers=controllers,
        )

    def _transport(self, kind: str) -> Iterator[Move]:
        if kind == "start":
            self._pulses = 0
            if self.table.start:
                yield "reset", 1.0
        if kind == "clock" and self._running and self.table.clock is not None:
            if self._pulses % self.table.clock == 0:
                yield "clock", 1.0
            self._pulses += 1
        elif kind != "clock":
            self._running = kind != "stop"

    def _of(self, note: int) -> Iterator[int]:
        """Numbers of the entries that a key plays: of those that lie side by side, one."""
        for number, key in enumerate(self._keys):
            if key.lane == 0 and key.span[0] <= note <= key.span[1]:
                side = range(number, number + key.lanes)
                yield min(side, key=lambda at: (self._lanes[at].key is not None, self._lanes[at].since))

    def _press(self, channel: int, note: int, velocity: int) -> Iterator[Move]:
        self._last = note
        self._moment += 1
        for number in list(self._of(note)):
            key, lane = self._keys[number], self._lanes[number]
            held, lane.key, lane.note, lane.since = lane.key, (channel, note), note, self._moment
            yield from key.sets
            yield from ((column, velocity / 127.0) for column in key.velocity)
            yield from ((column, self._position(key, note)) for column in key.pitch)
            if key.gate and key.lanes > 1:
                if held is None:
                    yield key.gate, 1.0
            elif key.gate:
                self._held[key.gate] += 1
                self._sounding.setdefault((channel, note), []).append(key.gate)
                if self._held[key.gate] == 1:
                    yield key.gate, 1.0
            if key.strikes:
                yield key.strikes, velocity / 127.0

    def _bend(self, wheel: int) -> Iterator[Move]:
        """The pitch of the last note, with the wheel; where keys sound at once, of all of them."""
        self._bent = self.table.bend * wheel / WHEEL
        for key, lane in zip(self._keys, self._lanes, strict=True):
            note = lane.note if key.lanes > 1 else self._last
            if key.span[0] <= note <= key.span[1]:
                yield from ((column, self._position(key, note)) for column in key.pitch)

    def _release(self, key: tuple[int, int]) -> Iterator[Move]:
        for gate in self._sounding.pop(key, []):
            self._held[gate] -= 1
            if not self._held[gate]:
                yield gate, 0.0
        self._moment += 1
        for entry, lane in zip(self._keys, self._lanes, strict=True):
            if lane.key == key:
                lane.key, lane.since = None, self._moment
                if entry.gate and entry.lanes > 1:
                    yield entry.gate, 0.0

    def _turn(self, number: int, value: int) -> Iterator[Move]:
        for controller in self.table.cc:
            if controller.cc == number:
                low, high = controller.range
                position = low + (high - low) * value / 127.0
                yield from ((column, position) for column in self._columns(controller.to))
        if number in (ALL_SOUND_OFF, ALL_NOTES_OFF):
            held = {lane.key for lane in self._lanes if lane.key is not None}
            for key in sorted({*self._sounding, *held}):
                yield from self._release(key)

    def _key(self, note: MidiNote, lane: int, loaded: LoadedInstrument) -> _Key:
        gate, pitch = note.gate_of(lane + 1), note.pitch_of(lane + 1)
        control = next((one for one in loaded.spec.control if one.to == pitch), None)
        return _Key(
            note.span,
            f"trigger/{note.trigger}" if note.trigger else "",
            f"gate/{gate}" if gate else "",
            self._columns(note.velocity),
            self._columns(pitch),
            control.volts if control is not None else (-5.0, 5.0),
            note.middle,
            [
                (column, position)
                for to, chosen in note.set.items()
                for column in self._columns(to)
                if (position := self._chosen(column, chosen)) is not None
            ],
            lane,
            note.voices,
        )

    def _chosen(self, column: str, chosen: float | str) -> float | None:
        """A position, given as one or by name; None where the model knows no such name."""
        if not isinstance(chosen, str):
            return chosen
        names = list(self._choices.get(column, ()))
        return names.index(chosen) / max(1, len(names) - 1) if chosen in names else None

    def _columns(self, to: str | None) -> list[str]:
        """Columns of a parameter as the file names it, or of a group of them."""
        if to is None:
            return []
        address = to.replace(".", "/")
        if to in self._groups:
            return [name for name in self._parameters if name.startswith(f"{address}/")]
        return [address] if address in self._parameters else []

    def _position(self, key: _Key, note: int) -> float:
        """Where one volt an octave would take the parameter, by a note and the wheel."""
        low, high = key.pitch_volts
        return min(1.0, max(0.0, ((note + self._bent - key.middle) / 12.0 - low) / (high - low)))
