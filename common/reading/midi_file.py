"""MIDI files as people's programs write them: read whole, or left out with the reason."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from common.refusal import LeftOut

MOST_BYTES = 16_000_000


@dataclass(frozen=True)
class MidiFile:
    """A file's messages, all tracks in one.

    Attributes
    ----------
    ticks_per_beat : int
        A beat is a quarter note.
    type : int
        0 (one track) or 1 (several, played together).
    messages : list of (int, Message)
        Tick and message, in order; ``mido`` made them.
    """

    ticks_per_beat: int
    type: int
    messages: list[tuple[int, Any]]


def read_midi(path: Path, most_bytes: int = MOST_BYTES) -> MidiFile:
    """Read a MIDI file.

    Raises
    ------
    LeftOut
        When it is no MIDI file, is damaged, counts in SMPTE frames, or is far too long.
    OSError
        It cannot be opened.
    """
    import mido

    size = path.stat().st_size
    with open(path, "rb") as start:
        head = start.read(14)
    if not head:
        raise LeftOut("is empty (0 bytes)")
    if head[:4] != b"MThd":
        raise LeftOut("is not a MIDI file (no MThd at its start)")
    if len(head) == 14 and head[12] & 0x80:
        raise LeftOut("counts time in SMPTE frames, not in beats; export it with bars and beats")
    if size > most_bytes:
        raise LeftOut(f"has {size / 1e6:.0f} MB, more than {most_bytes / 1e6:.0f}; cut it into shorter files")
    try:
        file = mido.MidiFile(path)
        merged = list(mido.merge_tracks(file.tracks)) if file.type != 2 else []
    except Exception as error:  # mido's own, and what damaged bytes lead it to
        said = " ".join(str(error).split()) or type(error).__name__
        raise LeftOut(f"is damaged or truncated ({said})") from error
    if file.type == 2:
        raise LeftOut("is a type 2 file of unrelated patterns; export each as its own file")
    if file.ticks_per_beat <= 0:
        raise LeftOut("has no ticks per beat in its header")
    tick, messages = 0, []
    for message in merged:
        tick += message.time
        if message.type == "set_tempo" and message.tempo == 0:
            raise LeftOut("has a tempo of 0 microseconds per beat; set its tempo and export it again")
        messages.append((tick, message))
    return MidiFile(file.ticks_per_beat, file.type, messages)
