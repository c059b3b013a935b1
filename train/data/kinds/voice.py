"""Notes of pitched instruments: pitch, loudness, harmonics and noise of every frame, by instrument."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, NotRequired

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.reading.recording import read_recording
from common.refusal import LeftOut
from train.analysis.note import pitch
from train.analysis.note.harmonics import analysed
from train.analysis.note.loudness import loudness_db
from train.analysis.note.segments import STEP_FRAMES, Segment, pitched_share, segments
from train.data import audio as sound
from train.data.clips import Clip, fitted
from train.data.kinds.base import Batch, Held, Options, Preparation, Unit, Watch, held_out, offsets
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import SourceFile
from train.data.store import DataSet, Joined
from train.data.workshop import Result, Workshop
from train.models.voice.shape import HOP

LONGEST_S = 600.0
LEAST_PITCHED = 0.5
STRAYS_CENTS, DEEP_DB = 80.0, 40.0
"""How far a frame may be off the note; frames this far below its loudest are taken to be on it."""
OCTAVE_CENTS = 150.0
NAMED = re.compile(r"(?<![A-Za-z])([A-Ga-g])([#b♯♭]?)(-?\d)(?!\d)")
SEMITONES = {"c": 0, "d": 2, "e": 4, "f": 5, "g": 7, "a": 9, "b": 11}


@dataclass(frozen=True)
class NoteOptions(Held):
    """What can be said of a folder of notes."""


class NoteItem(Item):
    """A note: its instrument, its key as heard (69 is 440 Hz), frames of 192 samples in all and while held.

    ``named`` is the key that its file's name or a manifest says; ``swell`` what hands did to its loudness, as
    a manifest says: MIDI's expression, 0 to 127, at its begin and where it is let go.
    """

    label: str
    key: float
    frames: int
    held: int
    samples: int
    seconds: float
    named: NotRequired[int]
    velocity: NotRequired[int]
    swell: NotRequired[list[int]]
    licence: NotRequired[str]


class NoteFacts(FileFacts):
    """What was found in a file: its length, how much is pitched, its notes, and octaves its name is off."""

    seconds: float
    pitched: float
    notes: int
    octaves_off: int
    cents: float
    mono: str
    rate_hz: int


class NoteSet(Preparation[NoteItem, NoteFacts]):
    """Notes or phrases of one pitch at a time, in folders by instrument; what is not pitched is left out."""

    options_type: ClassVar[type[Options]] = NoteOptions
    also_called: ClassVar[tuple[str, ...]] = ("notes",)
    wanted: NoteOptions

    def options(self) -> dict[str, Any]:
        """What was held out."""
        return {**held_out(self.wanted)}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        return [Unit(f.relative, self.key(f), partial(self._read, f)) for f in self.source.files]

    @staticmethod
    def _read(file: SourceFile) -> Result:
        """Cut a file into its notes and analyse each."""
        recording = read_recording(file.path, LONGEST_S)
        mono, how = sound.to_mono(recording.audio)
        x = sound.resample(mono, recording.rate_hz)
        if not len(x) or sound.decibels(float(np.abs(x).max())) < sound.SILENCE_DB:
            raise LeftOut("is silent")
        named = named_key(file)
        loudness = loudness_db(x, -(-len(x) // HOP))
        found = _told(file, x, named) if named is not None and file.row.get("held_s") else _heard(x, loudness)
        result = Result()
        off, cents = 0, []
        for number, segment in enumerate(found.segments):
            part = x[segment.first * HOP : segment.end * HOP]
            hz = segment.hz
            if named is not None and len(found.segments) == 1:
                hz = pitch.true_octave(part, hz, pitch.hz_of(named))
            frames = segment.end - segment.first
            part = np.pad(part, (0, max(0, frames * HOP - len(part))))
            f0 = frequencies(part, hz, loudness[segment.first : segment.end])
            heard = pitch.key_of(float(np.median(f0)))
            if named is not None and len(found.segments) == 1:
                apart = 100 * (heard - named)
                octaves = round(apart / 1200)
                if octaves and abs(apart - 1200 * octaves) < OCTAVE_CENTS:
                    off = octaves
                cents.append(apart - 1200 * octaves)
            levels = analysed(part, f0)
            stem = file.relative.rsplit(".", 1)[0]
            entry: NoteItem = {
                "name": stem if len(found.segments) == 1 else f"{stem}:{number}",
                "file": file.relative,
                "label": "/".join(file.folders) or ".",
                "group": str(file.row.get("group") or "/".join(file.folders) or stem),
                "key": round(heard, 3),
                "frames": frames,
                "held": segment.held - segment.first,
                "samples": frames * HOP,
                "seconds": frames * HOP / SAMPLE_RATE_HZ,
            }
            if named is not None:
                entry["named"] = named
            if file.row.get("velocity"):
                entry["velocity"] = int(float(file.row["velocity"]))
            if (swell := swell_of(file)) is not None:
                entry["swell"] = swell
            if file.row.get("licence"):
                entry["licence"] = str(file.row["licence"])
            if file.row.get("split"):
                entry["given_split"] = str(file.row["split"])
            result.add(
                entry,
                audio=np.clip(np.rint(part * 32768.0), -32768, 32767).astype(np.int16),
                f0=f0.astype(np.float32),
                loudness=loudness[segment.first : segment.end],
                harmonics=levels.harmonics,
                noise=levels.noise,
            )
        result.facts = {
            "seconds": len(x) / SAMPLE_RATE_HZ,
            "pitched": found.pitched,
            "notes": len(found.segments),
            "octaves_off": off,
            "cents": float(np.median(cents)) if cents else 0.0,
            "mono": how,
            "rate_hz": recording.rate_hz,
        }
        return result

    def finish(self, batch: Batch[NoteItem, NoteFacts]) -> Notes:
        """Instruments are kept whole, unless a manifest says otherwise."""
        groups = [item["group"] for item in batch.items]
        self.split(batch, groups, ["note"] * len(groups), self.wanted)
        return {"groups": len(set(groups))}

    def arrays(self, batch: Batch[NoteItem, NoteFacts]) -> dict[str, np.ndarray | Joined]:
        """Notes end to end, by samples and by frames."""
        from train.models.voice.shape import BANDS, HARMONICS

        lengths = batch.lengths()
        frames = sum(lengths) // HOP
        return {
            "audio": Joined((sum(lengths),), np.int16, batch.pieces("audio")),
            "offsets": offsets(lengths),
            "f0": Joined((frames,), np.float32, batch.pieces("f0")),
            "loudness": Joined((frames,), np.float32, batch.pieces("loudness")),
            "harmonics": Joined((frames, HARMONICS), np.float16, batch.pieces("harmonics")),
            "noise": Joined((frames, BANDS), np.float16, batch.pieces("noise")),
        }

    @staticmethod
    def clips(data: DataSet[NoteItem], split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
        """A note is one clip."""
        for index in data.split(split).tolist():
            item = data.manifest[index]
            yield Clip(item["name"], data.kind, item["label"]), fitted(data.texture(index), samples)


@dataclass(frozen=True)
class Found:
    """The notes of a file, and how much of it is pitched."""

    segments: list[Segment]
    pitched: float


def _told(file: SourceFile, x: np.ndarray, named: int) -> Found:
    """One note, as a manifest has it that says key and how long it was held."""
    frames = -(-len(x) // HOP)
    held = min(frames, round(float(file.row["held_s"]) * SAMPLE_RATE_HZ / HOP))
    heard = pitch.coarse(x)
    loud = loudness_db(x, frames)[::STEP_FRAMES][: len(heard.hz)]
    sounds = (loud > loud.max() - 20) & (heard.voicing > pitch.VOICED)
    if not sounds.any():
        raise LeftOut("is not pitched at all; notes need a pitch")
    share = pitched_share(heard, loud)
    hz = float(np.median(heard.hz[sounds]))
    near = round(12 * np.log2(hz / pitch.hz_of(named))) % 12 in (0, 11, 1)
    return Found([Segment(0, held, frames, hz if near else pitch.hz_of(named))], share)


def _heard(x: np.ndarray, loudness: np.ndarray) -> Found:
    """The notes that are heard."""
    heard = pitch.coarse(x)
    loud = loudness[::STEP_FRAMES][: len(heard.hz)]
    share = pitched_share(heard, loud)
    if share < LEAST_PITCHED:
        raise LeftOut(
            f"is pitched in {100 * share:.0f} % of its sound; notes need {100 * LEAST_PITCHED:.0f} %"
        )
    found = segments(heard, loud)
    if not found:
        raise LeftOut("has no note longer than an eighth of a second")
    return Found(found, share)


def named_key(file: SourceFile) -> int | None:
    """The key that a manifest's column ``key`` or the file's name says, C4 being 60; None without either."""
    if str(file.row.get("key", "")).strip().isdigit():
        return int(file.row["key"])
    told = NAMED.findall(file.stem)
    if not told:
        return None
    letter, sign, octave = told[-1]
    shift = {"#": 1, "♯": 1, "b": -1, "♭": -1}.get(sign, 0)
    key = 12 * (int(octave) + 1) + SEMITONES[letter.lower()] + shift
    return key if 12 <= key <= 120 else None


def swell_of(file: SourceFile) -> list[int] | None:
    """MIDI's expression at a note's begin and end, by a manifest's column ``swell``; None without one."""
    words = str(file.row.get("swell", "")).split()
    return [int(word) for word in words] if len(words) == 2 and all(map(str.isdigit, words)) else None


def frequencies(x: np.ndarray, hz: float, loudness: np.ndarray) -> np.ndarray:
    """Frequency of every frame of a note at about ``hz``; where it is quiet, that of its louder frames."""
    rough = np.full(len(loudness), hz)
    loud = loudness > loudness.max() - DEEP_DB
    cents = 1200 * np.log2(np.maximum(pitch.refined(x, rough), 1) / hz)
    cents = np.clip(cents, -STRAYS_CENTS, STRAYS_CENTS)
    middle = float(np.median(cents[loud]))
    return np.asarray(hz * 2 ** (np.where(loud, cents, middle) / 1200))
