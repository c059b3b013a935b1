"""Songs as halves of bars: the three ways in which chords are written down.

A line ``# tonic: C`` (or ``tonic: C``) says what the chords are counted from, and may come again where the
key changes; ``# title: …`` and ``# artist: …`` say whose they are.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.chords import SLOTS, SLOTS_PER_BAR
from common.reading.tables import decoded
from common.refusal import LeftOut, Refusal
from train.data.harmony.symbol import SILENT, chord_of, note_of

NO_CHORD = -1
MOST_REPEATS = 64
_HEAD = re.compile(r"#?\s*(title|artist|tonic|metre|bar)\s*:\s*(.*)", re.IGNORECASE)
_TIMED = re.compile(r"\s*[-+\d.e]+\t(.*)")
_TIMES = re.compile(r"\bx(\d+)\b")
_METRE = re.compile(r"\(\d+/\d+\)")


@dataclass
class Song:
    """What a file says.

    Attributes
    ----------
    title, artist : str
        Empty where it does not say.
    tonics : list of str
        In the order in which they hold.
    slots : list of int
        The chord of every half of a bar, ``NO_CHORD`` where none is heard.
    bar_s : float
        Seconds of a bar, where the file has times and no bars.
    """

    title: str = ""
    artist: str = ""
    tonics: list[str] = field(default_factory=list)
    slots: list[int] = field(default_factory=list)
    bar_s: float = 0.0
    tonic: int | None = None

    def head(self, name: str, value: str, place: str) -> None:
        """Take what a line of the head says."""
        if name == "tonic":
            self.tonic = note_of(value[:1].upper() + value[1:])
            if self.tonic is None:
                raise LeftOut(f"{place}: '{value}' is no tonic; write a note, as Eb")
            self.tonics.append(value)
        elif name == "bar":
            try:
                self.bar_s = float(value)
            except ValueError:
                self.bar_s = 0.0
            if not 0.2 <= self.bar_s <= 20.0:
                raise LeftOut(f"{place}: a bar of '{value}' seconds; it lasts 0.2 to 20")
        elif name in ("title", "artist"):
            setattr(self, name, value)

    def chord(self, symbol: str, place: str) -> int:
        """Read a symbol."""
        if symbol in SILENT:
            return NO_CHORD
        if self.tonic is None:
            raise LeftOut("says no tonic; add a line '# tonic: C' before its first chord")
        number = chord_of(symbol, self.tonic)
        if number is None:
            raise LeftOut(f"{place}: '{symbol}' is no chord known here; write it as Eb:min7 or Ebm7")
        return number


def read_song(path: Path) -> Song:
    """Read a file of chords: bars between ``|`` (Billboard's, or plain), or ``.lab`` with times.

    Raises
    ------
    LeftOut
        No bars, no tonic, or a symbol that is not known: with its line.
    """
    try:
        lines = decoded(path.read_bytes(), Path(path.name)).splitlines()
    except Refusal as error:
        raise LeftOut(f"cannot be read: {error}") from error
    song = Song()
    if path.suffix.lower() == ".lab":
        _read_times(lines, song)
    else:
        _read_bars(lines, song)
    if not song.slots:
        raise LeftOut("holds no chords; write bars as | C:maj | A:min |")
    return song


def _read_bars(lines: list[str], song: Song) -> None:
    last = NO_CHORD
    for number, line in enumerate(lines, start=1):
        place = f"line {number}"
        if found := _HEAD.fullmatch(line.strip()):
            song.head(found[1].lower(), found[2].strip(), place)
            continue
        if line.lstrip().startswith("#") or "|" not in line:
            continue
        timed = _TIMED.fullmatch(line)
        text = timed[1] if timed else line
        first, end = text.index("|"), text.rindex("|")
        before = text[:first].strip()
        if timed or not before or before.endswith((",", ":")):
            bars, rest = text[first + 1 : end], text[end + 1 :]
        else:  # plain text may begin and end with a chord
            bars, rest = text, ""
        row: list[int] = []
        for bar in bars.split("|"):
            tokens = _METRE.sub(" ", bar).split()
            if not tokens:
                continue
            chords: list[int] = []
            for token in tokens:
                last = last if token == "." else song.chord(token, place)
                chords.append(last)
            row += [chords[slot * len(chords) // SLOTS_PER_BAR] for slot in range(SLOTS_PER_BAR)]
        times = _TIMES.search(rest)
        song.slots += row * (min(MOST_REPEATS, max(1, int(times[1]))) if times else 1)


def _read_times(lines: list[str], song: Song) -> None:
    """Read segments ``start end chord``, in seconds; a bar lasts as long as most chords, if nothing says."""
    segments: list[tuple[float, int]] = []
    for number, line in enumerate(lines, start=1):
        place = f"line {number}"
        if found := _HEAD.fullmatch(line.strip()):
            song.head(found[1].lower(), found[2].strip(), place)
            continue
        words = line.split()
        if not words or line.lstrip().startswith("#"):
            continue
        try:
            seconds = float(words[1]) - float(words[0])
        except (ValueError, IndexError):
            raise LeftOut(f"{place}: '{line.strip()[:40]}' is not a start, an end and a chord") from None
        if len(words) != 3 or not 0.0 <= seconds <= 3600.0:
            raise LeftOut(f"{place}: '{line.strip()[:40]}' is not a start, an end and a chord")
        segments.append((seconds, song.chord(words[2], place)))
    lasting = [seconds for seconds, chord in segments if chord != NO_CHORD and seconds > 0.0]
    if not lasting:
        return
    song.bar_s = song.bar_s or float(np.median(lasting))
    at, done = 0.0, 0
    for seconds, chord in segments:
        at += seconds * SLOTS_PER_BAR / song.bar_s
        end = round(at)
        song.slots += [chord] * (end - done)
        done = max(done, end)


def windows(slots: list[int], hop_bars: int) -> list[int]:
    """First slots of all stretches of eight bars that hold a chord everywhere, so many bars apart.

    They are counted anew after every rest: a phrase begins where the chords do.
    """
    starts: list[int] = []
    first = 0
    for at in range(len(slots) + 1):
        if at == len(slots) or slots[at] == NO_CHORD:
            starts += range(first, at - SLOTS + 1, hop_bars * SLOTS_PER_BAR)
            first = at + 1 + (at + 1) % SLOTS_PER_BAR  # the next whole bar
    return starts
