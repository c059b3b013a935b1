"""Recordings of any length: every minute of a file is one item, and what is short is one too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar, NotRequired

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.reading.recording import Stream
from common.refusal import LeftOut
from train.data import audio as sound
from train.data.clips import Clip, fitted
from train.data.kinds.base import (
    Batch,
    Held,
    Options,
    Preparation,
    Unit,
    Watch,
    held_out,
    leave_out,
    offsets,
    work,
)
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import SourceFile
from train.data.store import DataSet, Joined
from train.data.workshop import Result, Workshop

SHORTEST_S = 0.03
LONGEST_S = 36_000.0
SPAN_S = 60
"""Of an item. A file is read and kept a span at a time, so that its length asks for no memory."""
MARGIN_S = 1
"""Read on either side of a span, so that the resampler hears no border; whole seconds, so that spans meet."""
SILENCE_DB = -66.0
SILENCE_KEPT_S = 1.0
SILENCE_FADE = 240
SPECTRUM = 2048
NOTHING_DB = -75.0
"""A frequency this far below the loudest one holds nothing to learn."""


@dataclass(frozen=True)
class TextureOptions(Held):
    """What can be said of a folder of recordings."""


class TextureItem(Item):
    """A minute of a file, or all of a shorter one; ``span`` counts them. ``label`` is the file's folder."""

    span: int
    label: str
    samples: int
    seconds: float
    peak_db: float
    loudness_lufs: float
    licence: NotRequired[str]


class TextureFacts(FileFacts):
    """What was found in a span of a file.

    ``silent_seconds`` were taken out; ``highest_hz`` is the highest frequency with something in it;
    ``crest_db`` the peak above the root mean square.
    """

    format: str
    rate_hz: int
    channels: int
    mono: str
    seconds: float
    silent_seconds: float
    peak_db: float
    crest_db: float
    clipped: int
    dc: float
    highest_hz: float


@dataclass(frozen=True)
class Mix:
    """How a file becomes mono: a channel or all; its offset, and the gain that keeps it below 1."""

    how: str
    channel: int | None
    dc: float
    gain: float

    def mono(self, audio: np.ndarray) -> np.ndarray:
        """``[n, channels]`` to ``[n]``."""
        mixed = audio.mean(axis=1) if self.channel is None else audio[:, self.channel]
        return (mixed - self.dc) * self.gain


class Texture(Preparation[TextureItem, TextureFacts]):
    """Recordings from 30 ms to ten hours; nothing is dropped for being short, silence is shortened."""

    options_type: ClassVar[type[Options]] = TextureOptions
    wanted: TextureOptions

    def options(self) -> dict[str, Any]:
        """What was held out."""
        return {**held_out(self.wanted)}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """Look through every file first, then one a span."""
        files = self.source.files
        looks = [Unit(f.relative, self.key(f, stage="look"), partial(self._look, f)) for f in files]
        found = work(shop, looks, watch, "looking")
        facts = {fact["file"]: fact for fact in found.facts}
        reasons = {one["file"]: one["reason"] for one in found.left_out}
        units = []
        for file in files:
            if file.relative not in facts:
                key = self.key(file, stage="look")
                units.append(Unit(file.relative, key, partial(leave_out, reasons[file.relative])))
                continue
            known = facts[file.relative]
            mix = Mix(known["how"], known["channel"], known["dc"], known["gain"])
            spans = max(1, -(-known["frames"] // (SPAN_S * known["rate_hz"])))
            for span in range(spans):
                key = self.key(file, stage="span", span=span)
                units.append(Unit(file.relative, key, partial(self._span, file, mix, span, spans)))
        return units

    @staticmethod
    def _look(file: SourceFile) -> Result:
        """Read a file through: how it becomes mono, its offset, its peak."""
        with Stream(file.path, LONGEST_S) as stream:
            if stream.frames < SHORTEST_S * stream.rate_hz:
                raise LeftOut(
                    f"lasts {1000 * stream.frames / stream.rate_hz:.0f} ms; a texture needs 30 ms or more"
                )
            powers, mixed = np.zeros(stream.channels), 0.0
            sums, peak = np.zeros(stream.channels), 0.0
            for _, piece in stream.pieces(SPAN_S * stream.rate_hz):
                powers += (piece**2).sum(axis=0)
                mixed += float((piece.mean(axis=1) ** 2).sum())
                sums += piece.sum(axis=0)
                peak = max(peak, float(np.abs(piece).max()))
            if sound.decibels(peak) < SILENCE_DB:
                raise LeftOut(f"is silent (peak {sound.decibels(peak):.0f} dBFS)")
            how, channel = "mono" if stream.channels == 1 else "average", None
            # as in `audio.to_mono`: 3 dB below what uncorrelated channels lose, they cancel
            if stream.channels > 1 and mixed < 0.5 * powers.mean() / stream.channels:
                loudest = int(np.argmax(powers))
                if powers.sum() > 1.05 * powers[loudest]:
                    how, channel = f"channel {loudest + 1}: the others are out of phase with it", loudest
            offset = float((sums.mean() if channel is None else sums[channel]) / stream.frames)
            known = {"how": how, "channel": channel, "dc": offset, "gain": min(1.0, 1.0 / peak)}
            return Result(facts={**stream.facts, **known, "frames": stream.frames})

    def _span(self, file: SourceFile, mix: Mix, span: int, spans: int) -> Result:
        """One minute of a file, at 48 kHz, its silence shortened."""
        with Stream(file.path, LONGEST_S) as stream:
            rate = stream.rate_hz
            begin = max(0, (span * SPAN_S - MARGIN_S) * rate)
            end = min(stream.frames, ((span + 1) * SPAN_S + MARGIN_S) * rate)
            mono = mix.mono(stream.part(begin, end))
            told = stream.facts
        whole = sound.resample(mono, rate)
        first = (span * SPAN_S - begin // rate) * SAMPLE_RATE_HZ
        audio = whole[first : first + SPAN_S * SAMPLE_RATE_HZ]
        kept = without_long_silence(audio)
        peak = float(np.abs(audio).max())
        rms = float(np.sqrt(np.mean(kept**2)))
        stem = file.relative.rsplit(".", 1)[0]
        facts: dict[str, object] = {
            **{name: told[name] for name in ("format", "rate_hz", "channels")},  # type: ignore[literal-required]
            "mono": mix.how,
            "seconds": len(audio) / SAMPLE_RATE_HZ,
            "silent_seconds": (len(audio) - len(kept)) / SAMPLE_RATE_HZ,
            "peak_db": sound.decibels(peak / mix.gain),
            "crest_db": sound.decibels(peak) - sound.decibels(rms),
            "clipped": sound.clipped_samples(mono),
            "dc": mix.dc,
            "highest_hz": highest_hz(kept),
        }
        entry: TextureItem = {
            "name": stem if spans == 1 else f"{stem}:{span}",
            "file": file.relative,
            "span": span,
            "label": "/".join(file.folders) or ".",
            "group": group_of(file),
            "samples": len(kept),
            "seconds": len(kept) / SAMPLE_RATE_HZ,
            "peak_db": sound.decibels(peak),
            "loudness_lufs": sound.loudness_lufs(kept),
        }
        if file.row.get("licence"):
            entry["licence"] = str(file.row["licence"])
        if file.row.get("split"):
            entry["given_split"] = str(file.row["split"])
        result = Result(facts=facts)
        codes = np.clip(np.rint(kept * 32768.0), -32768, 32767).astype(np.int16)
        result.add(entry, audio=codes, picture=picture(kept))
        return result

    def finish(self, batch: Batch[TextureItem, TextureFacts]) -> Notes:
        """Whole files and their takes on one side; every folder on every side it can be."""
        groups = [item["group"] for item in batch.items]
        self.split(batch, groups, [item["label"] for item in batch.items], self.wanted)
        return {"groups": len(set(groups))}

    def arrays(self, batch: Batch[TextureItem, TextureFacts]) -> dict[str, np.ndarray | Joined]:
        """Everything end to end, the spans of a file beside each other."""
        lengths = batch.lengths()
        return {
            "audio": Joined((sum(lengths),), np.int16, batch.pieces("audio")),
            "offsets": offsets(lengths),
            "pictures": np.stack(list(batch.pieces("picture"))),
        }

    @staticmethod
    def clips(data: DataSet[TextureItem], split: str, samples: int) -> Iterator[tuple[Clip, np.ndarray]]:
        """Cut each item end to end; a rest shorter than half a clip is left out."""
        for index in data.split(split).tolist():
            item, audio = data.manifest[index], data.texture(index)
            for number in range(max(1, (len(audio) + samples // 2) // samples)):
                clip = Clip(f"{item['name']} {number}", data.kind, item["label"])
                yield clip, fitted(audio[number * samples : (number + 1) * samples], samples)


def group_of(file: SourceFile) -> str:
    """What is never cut by a split: what a manifest says, or the file with its other takes."""
    if file.row.get("group"):
        return str(file.row["group"])
    stem = re.sub(r"([-_ ]*(take|rr|vl|v|t)?[-_ ]*\d+)?$", "", Path(file.relative).stem, flags=re.I)
    return "/".join([*file.folders, stem or file.stem])


def without_long_silence(audio: np.ndarray) -> np.ndarray:
    """Shorten every silence of more than a second to one second, with a fade over 5 ms where it was cut.

    A silence is frames of 10 ms whose peak is below −66 dBFS.
    """
    frame = SAMPLE_RATE_HZ // 100
    count = len(audio) // frame
    if count == 0:
        return audio
    levels = np.abs(audio[: count * frame].reshape(count, frame)).max(axis=1)
    silent = np.concatenate([[0], (levels < 10 ** (SILENCE_DB / 20)).astype(np.int8), [0]])
    starts, ends = np.flatnonzero(np.diff(silent) == 1), np.flatnonzero(np.diff(silent) == -1)
    most = round(SILENCE_KEPT_S * 100)
    pieces: list[np.ndarray] = []
    done = 0
    for start, end in zip(starts, ends, strict=True):
        if end - start <= most:
            continue
        before = start + most // 2
        pieces.append(audio[done * frame : before * frame].copy())
        done = int(end) - (most - most // 2)
    pieces.append(audio[done * frame :].copy())
    fade = np.linspace(0, 1, SILENCE_FADE, endpoint=False)
    for left, right in pairwise(pieces):
        left[-SILENCE_FADE:] *= fade[::-1]
        right[:SILENCE_FADE] *= fade
    return np.concatenate(pieces)


def spectrum(audio: np.ndarray) -> np.ndarray:
    """Mean power of the bins of 2048 samples, float64 [1025]."""
    size = SPECTRUM
    padded = np.pad(audio, (0, -len(audio) % size if len(audio) else size))
    window = np.hanning(size)
    total = np.zeros(size // 2 + 1)
    for frames in np.array_split(padded.reshape(-1, size), max(1, len(padded) // (256 * size))):
        total += (np.abs(np.fft.rfft(frames * window)) ** 2).sum(axis=0)
    return total / max(1, len(padded) // size)


def highest_hz(audio: np.ndarray) -> float:
    """Highest frequency that is not far below the loudest."""
    power = spectrum(audio)
    there = np.flatnonzero(power > power.max() * 10 ** (NOTHING_DB / 10))
    return float(there[-1] if len(there) else 0) * SAMPLE_RATE_HZ / SPECTRUM


def picture(audio: np.ndarray) -> np.ndarray:
    """Mean spectrum in thirds of an octave, dB, float32 [29]: what kind of sound it is, at any level."""
    power = spectrum(audio)
    hz = np.arange(len(power)) * SAMPLE_RATE_HZ / SPECTRUM
    edges = 30.0 * 2 ** (np.arange(30) / 3)
    bands = np.array([power[(hz >= a) & (hz < b)].sum() for a, b in pairwise(edges)])
    levels = 10 * np.log10(bands / max(bands.sum(), 1e-20) + 1e-6)
    return levels.astype(np.float32)
