"""MIDI of any tempo, resolution and metre to the nine-voice, 32-step grid.

The grid lives in ticks, so tempo never matters; a step is a sixteenth of whatever the file calls a quarter.
A window is as many whole bars as fit into 32 steps, two at most: two bars of 4/4 (32 steps), of 3/4 or 6/8
(24), one bar of 5/4 (20) … The steps that a window does not reach stay empty and ``steps`` says how many
count.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from common.drums import PARTS
from common.reading.midi_file import read_midi
from common.refusal import LeftOut, Refusal

STEPS = 32
MIN_ONSETS = 4
# More than any hour of drumming holds; one wrong number in a file can claim thousands of hours
MAX_NOTES = 100_000
MAX_BARS = 10_000
MAX_BYTES = 10_000_000
FACTORY_MAP = Path(__file__).with_name("drum_map.toml")


class PerformanceFacts(TypedDict):
    """What a MIDI file says of itself: ``channel`` where it is not 10, and notes that the table lacks."""

    ticks_per_beat: int
    type: int
    channel: NotRequired[int]
    unmapped_notes: NotRequired[list[int]]
    unmapped_count: NotRequired[int]


@dataclass(frozen=True)
class Performance:
    """Drum notes of one MIDI file, in ticks."""

    notes: tuple[tuple[int, int, int], ...]  # (tick, note, velocity)
    ticks_per_beat: int
    length_ticks: int
    bpm: float
    meters: tuple[tuple[int, int, int], ...]  # (tick, numerator, denominator)
    facts: PerformanceFacts


def read_map(path: Path | None = None) -> dict[int, int]:
    """Read the table of notes: MIDI note to voice index.

    Raises
    ------
    Refusal
        When it cannot be read or a voice or note is wrong.
    """
    path = path or FACTORY_MAP
    try:
        tables = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise Refusal(f"cannot read the drum map {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise Refusal(
            f"the drum map {path} is not TOML: {error}; start from train/data/drum_map.toml"
        ) from error
    table: dict[int, int] = {}
    for voices in tables.values():
        for voice, notes in voices.items():
            if voice not in PARTS:
                raise Refusal(f"the drum map {path} has a voice '{voice}'; there are {', '.join(PARTS)}")
            for note in notes:
                if not 0 <= int(note) <= 127 or table.get(int(note), PARTS.index(voice)) != PARTS.index(
                    voice
                ):
                    raise Refusal(
                        f"note {note} in the drum map {path} is out of range or given to two voices"
                    )
                table[int(note)] = PARTS.index(voice)
    return table


def read_performance(path: Path, table: dict[int, int]) -> Performance:
    """Read a MIDI file's drum notes.

    Drums are channel 10. A file that has nothing there but exactly one other channel, all of whose notes are
    in the map with a kick or snare among them, is taken for drums too: many packs are written that way.

    Raises
    ------
    LeftOut
        When it is no MIDI file, is damaged, counts in SMPTE frames, has no drums, or far too many.
    """
    file = read_midi(path, MAX_BYTES)
    tick, tempos, meters = 0, [], []
    channels: dict[int, list[tuple[int, int, int]]] = {}
    for tick, message in file.messages:
        if message.type == "note_on" and message.velocity > 0:
            channels.setdefault(message.channel, []).append((tick, message.note, message.velocity))
        elif message.type == "set_tempo":
            tempos.append(60e6 / message.tempo)
        elif message.type == "time_signature":
            meters.append((tick, message.numerator, message.denominator))
    notes = channels.get(9, [])
    count = sum(len(played) for played in channels.values())
    if count > MAX_NOTES:
        raise LeftOut(f"has {count:,} notes, more than {MAX_NOTES:,}; cut it into shorter files")
    facts: PerformanceFacts = {"ticks_per_beat": file.ticks_per_beat, "type": file.type}
    if not notes:
        others = [channel for channel, played in channels.items() if played]
        if len(others) == 1 and _looks_like_drums(channels[others[0]], table):
            notes = channels[others[0]]
            facts["channel"] = others[0] + 1
        else:
            where = (
                f"notes only on channels {', '.join(str(c + 1) for c in sorted(others))}"
                if others
                else "no notes"
            )
            raise LeftOut(f"has no drums: {where}; drums belong on channel 10")
    unmapped = sorted({note for _, note, _ in notes if note not in table})
    if unmapped:
        facts["unmapped_notes"] = unmapped
        facts["unmapped_count"] = sum(note not in table for _, note, _ in notes)
    mapped = tuple(note for note in notes if note[1] in table)
    if not mapped:
        raise LeftOut(f"has no drums in the map (its notes: {', '.join(map(str, unmapped))}); see --drum-map")
    return Performance(
        notes=mapped,
        ticks_per_beat=file.ticks_per_beat,
        length_ticks=tick,
        bpm=round(float(tempos[0]) if tempos else 120.0, 3),
        meters=tuple(meters) or ((0, 4, 4),),
        facts=facts,
    )


def _looks_like_drums(notes: list[tuple[int, int, int]], table: dict[int, int]) -> bool:
    backbone = any(table.get(note) in (0, 1) for _, note, _ in notes)
    return backbone and all(note in table for _, note, _ in notes)


@dataclass(frozen=True)
class Window:
    """One grid cut from a performance."""

    grid: np.ndarray  # float32 [27, 32]
    bar: int
    meter: str
    steps: int


def windows(performance: Performance, table: dict[int, int], hop_bars: int) -> tuple[list[Window], int]:
    """Cut a performance into grids.

    Parameters
    ----------
    performance : Performance
    table : dict
        Note to voice.
    hop_bars : int
        Bars between the starts of neighbouring windows.

    Returns
    -------
    grids : list of Window
        Those with at least four onsets (a whole file with fewer keeps its fullest window).
    empty : int
        How many windows were too empty.

    Raises
    ------
    LeftOut
        When a bar does not fit on the grid (the metre is named), or there are thousands of them.
    """
    step_ticks = performance.ticks_per_beat / 4
    played = np.array(performance.notes, np.int64)
    notes = played[:, 0], np.array([table[int(note)] for note in played[:, 1]]), played[:, 2]
    found: list[Window] = []
    spare: list[Window] = []
    bar_number = 0
    sections = _sections(performance)
    for start, stop, beats, unit in sections:
        bar_steps = 16 * beats / unit
        name = f"{beats}/{unit}"
        if bar_steps < 1 or bar_steps != int(bar_steps) or bar_steps > STEPS:
            raise LeftOut(f"is in {name}: such a bar has no whole number of sixteenths up to {STEPS}")
        bars_each = min(2, int(STEPS // bar_steps))
        steps = int(bars_each * bar_steps)
        bar_ticks = bar_steps * step_ticks
        bars = max(1, int(np.ceil((stop - start) / bar_ticks - 1e-6)))
        if bar_number + bars > MAX_BARS:
            raise LeftOut(
                f"lasts {bar_number + bars:,} bars, more than {MAX_BARS:,}: a time in it is wrong, or cut it "
                "into shorter files"
            )
        for first in range(0, max(1, bars - bars_each + 1), hop_bars):
            window_start = start + first * bar_ticks
            grid = _grid(notes, window_start, step_ticks, steps)
            window = Window(grid, bar_number + first, name, steps)
            (found if grid[:9].sum() >= MIN_ONSETS else spare).append(window)
        bar_number += bars
    if not found:
        fullest = max(spare, key=lambda window: float(window.grid[:9].sum()))
        if fullest.grid[:9].sum() == 0:
            raise LeftOut("has no drum notes inside its bars")
        return [fullest], len(spare) - 1
    return found, len(spare)


def _sections(performance: Performance) -> list[tuple[float, float, int, int]]:
    """Stretches of one metre: (start tick, stop tick, numerator, denominator)."""
    changes: list[tuple[int, int, int]] = []
    for tick, beats, unit in performance.meters:
        if changes and changes[-1][0] == tick:
            changes.pop()
        if not changes or changes[-1][1:] != (beats, unit):
            changes.append((tick, beats, unit))
    if changes[0][0] > 0:
        changes.insert(0, (0, 4, 4))
    last = max(performance.notes[-1][0] + 1, performance.length_ticks)
    ends = [tick for tick, _, _ in changes[1:]] + [last]
    return [
        (float(tick), float(max(end, tick + 1)), beats, unit)
        for (tick, beats, unit), end in zip(changes, ends, strict=True)
        if end > tick
    ]


def _grid(
    notes: tuple[np.ndarray, np.ndarray, np.ndarray], start: float, step_ticks: float, steps: int
) -> np.ndarray:
    """Put the notes around one window on the grid; of two on one step and voice the louder stays (a flam)."""
    grid = np.zeros((27, STEPS), np.float32)
    ticks, voices, velocities = notes
    low, high = np.searchsorted(ticks, [start - step_ticks, start + (steps + 1) * step_ticks])
    exact = (ticks[low:high] - start) / step_ticks
    step = np.floor(exact + 0.5).astype(np.int64)
    inside = np.nonzero((step >= 0) & (step < steps))[0]
    # softest first, so that the loudest is written last; of equals the earlier stays
    order = inside[np.lexsort((-exact[inside], velocities[low:high][inside]))]
    voice, step = voices[low:high][order], step[order]
    grid[voice, step] = 1.0
    grid[9 + voice, step] = velocities[low:high][order] / 127
    grid[18 + voice, step] = exact[order] - step
    return grid
