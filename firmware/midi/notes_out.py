"""What an instrument's gates played, as a MIDI file: drums on channel 10, pitches from channel 1 on."""

from __future__ import annotations

import io
from pathlib import Path

from common.files import write_bytes
from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.midi.pitched import pitched_notes
from firmware.play.hits import hits
from firmware.play.render import Played

DRUM_CHANNEL = 9  # counted from 0: the tenth
TICKS_A_BEAT = 960
NOTE_S = 0.05
PITCHED_VELOCITY = 89
"""Of notes with a pitch: 0.7 of the most, as of a hit that no voltage says."""
TEMPO = 500_000
"""Microseconds a quarter note, where no song gave another: 120 beats a minute."""


def check_writes_notes(instrument: str | Path) -> None:
    """Refuse an instrument whose gates are no notes.

    Raises
    ------
    Refusal
        There is nothing to write.
    """
    kind = load_instrument(instrument).spec.kind
    if not _writes(kind):
        able = [name for name in available_instruments() if _writes(load_instrument(name).spec.kind)]
        raise Refusal(f"a {kind} plays no notes that --midi-out could write; these do: {', '.join(able)}.")


def _writes(kind: str) -> bool:
    return bool(kinds.named(kind).midi_notes or kinds.named(kind).pitched)


def write_notes(played: Played, out: Path, tempo: int | None = None) -> int:
    """Write the hits of a rendering, whole or not at all.

    Parameters
    ----------
    tempo : int, optional
        Microseconds a quarter note, 500,000 when omitted: the file's beat. Times stay what
        they are, to half a tick of it.

    Returns
    -------
    int
        How many notes.

    Raises
    ------
    Refusal
        No gate that is a note reaches a jack of the board.
    """
    import mido

    tempo = tempo or TEMPO
    built = played.built
    notes = kinds.named(built.assignment.kind).midi_notes
    rate = built.board.audio.sample_rate_hz
    found = hits(built, played.rendered, notes)
    pitched = pitched_notes(built, played.rendered)
    if not found and not pitched:
        raise Refusal(
            f"nothing was written to {out}: no gate of {built.board.title} played a note; see its outputs."
        )

    def ticks(seconds: float) -> int:
        return round(seconds * 1_000_000 / tempo * TICKS_A_BEAT)

    events: list[tuple[int, int, int, int, int]] = []
    for part, struck in found.items():
        for number, (at, velocity) in enumerate(struck):
            begin = at / rate
            following = struck[number + 1][0] / rate if number + 1 < len(struck) else begin + 1.0
            end = max(ticks(begin) + 1, ticks(min(begin + NOTE_S, following)))
            if number + 1 < len(struck):
                end = min(end, max(ticks(begin), ticks(following)))
            events.append((ticks(begin), 1, notes[part], max(1, round(127 * velocity)), DRUM_CHANNEL))
            events.append((end, 0, notes[part], 0, DRUM_CHANNEL))
    for note in pitched:
        begin_tick = ticks(note.begin / rate)
        events.append((begin_tick, 1, note.key, PITCHED_VELOCITY, note.channel))
        events.append((max(begin_tick + 1, ticks(note.end / rate)), 0, note.key, 0, note.channel))
    track = mido.MidiTrack([mido.MetaMessage("set_tempo", tempo=tempo)])
    now = 0
    for tick, kind, key, velocity, channel in sorted(events):
        name = "note_on" if kind else "note_off"
        track.append(mido.Message(name, channel=channel, note=key, velocity=velocity, time=tick - now))
        now = tick
    track.append(mido.MetaMessage("end_of_track", time=max(0, ticks(played.seconds) - now)))
    file = mido.MidiFile(type=0, ticks_per_beat=TICKS_A_BEAT, tracks=[track])
    text = io.BytesIO()
    file.save(file=text)
    write_bytes(out, text.getvalue())
    return sum(len(struck) for struck in found.values()) + len(pitched)
