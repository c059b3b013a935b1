"""Sounds for an ear to learn from: one-shots struck as drummers struck, what is no drum, noise and silence.

Everything that the ear should say of a mixture is known, for it was mixed here. A stroke counts as audible
when its first 20 ms are no more than 20 dB below all else that sounds in them: what others cover is neither
asked for nor held against the ear.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.signal import fftconvolve, lfilter

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES, PARTS
from common.refusal import Refusal
from train.data.kinds.ear import OTHER, PATTERN, STROKE
from train.models.ear.network import GROUP_OF, GROUPS, HOP, SCENES

if TYPE_CHECKING:
    from train.data.kinds.ear import EarItem
    from train.data.store import DataSet

BEFORE_S = 1.5
"""What was struck so long before a mixture begins still rings in it."""
COVERED_DB = -20.0
HEAD = SAMPLE_RATE_HZ // 50
TOGETHER = SAMPLE_RATE_HZ * 30 // 1000
"""Strokes so near are one event of several groups, as is usual (Böck, Krebs and Schedl 2012)."""
LATE = 64
"""Samples of a stroke that a hop must hold to show it."""
RINGS_HOPS = SAMPLE_RATE_HZ // HOP
"""A scene is of drums so long after a stroke."""
FULL = 32767.0
COLOUR_BINS = 512

CLASS_OF_PART = {
    "kick": "kick",
    "snare": "snare",
    "hat_closed": "hat_closed",
    "hat_open": "hat_open",
    "tom_low": "tom",
    "tom_mid": "tom",
    "tom_high": "tom",
    "crash": "cymbal",
    "ride": "cymbal",
}
STAND_INS = {
    "snare": ("clap", 0.15),
    "tom": ("perc", 0.15),
    "cymbal": ("perc", 0.2),
    "hat_closed": ("perc", 0.1),
}
"""What a class's part is struck on instead, and how often: performances know no claps and no percussion."""
SOONER, DOUBLED, HURRIED = 0.4, 0.3, 0.25
"""How often an instrument fades sooner or is made of two, and how often a performance is hurried."""
FADES_S, HURRIES = (0.04, 0.5), (1.25, 1.8)
LEVELS_DB = {"kick": 0.0, "snare": -2.0, "hat_closed": -10.0, "hat_open": -10.0, "tom": -3.0, "clap": -4.0}
OTHER_LEVEL_DB = -8.0


@dataclass(frozen=True)
class Event:
    """Strokes at once.

    Attributes
    ----------
    at : int
        Sample of the first of them.
    groups : ndarray of bool, shape (5,)
    loudest : int
        Group of the one with most energy.
    instrument : int
        Of that one.
    clear_db : float
        How far the clearest of them is above all else in its first 20 ms.
    """

    at: int
    groups: np.ndarray
    loudest: int
    instrument: int
    clear_db: float = 0.0

    @property
    def hop(self) -> int:
        """The hop in which it should be found."""
        return (self.at + LATE) // HOP


@dataclass
class Mixture:
    """A sound and what is in it.

    Attributes
    ----------
    audio : float32 ndarray, whole hops
    events : list of Event
    covered : list of int
        Samples of strokes that others cover.
    scene : int
        Of :data:`SCENES`, where no stroke was; -1 where it is not clear.
    """

    audio: np.ndarray
    events: list[Event] = field(default_factory=list)
    covered: list[int] = field(default_factory=list)
    scene: int = -1


@dataclass(frozen=True)
class Take:
    """A one-shot, int16, its peak at full scale.

    Attributes
    ----------
    codes : int16 ndarray
    label : str
    instrument : int
        Number of its instrument; -1 of one that is made of two.
    fade : float
        Samples over which it falls to 1/e beside its own decay; 0 leaves it as it is.
    beneath : Take or None
        What is struck with it, as one instrument.
    """

    codes: np.ndarray
    label: str
    instrument: int
    fade: float = 0.0
    beneath: Take | None = None

    @property
    def audio(self) -> np.ndarray:
        """Its sound, float32, at a peak of about 1."""
        sound = self.codes.astype(np.float32) / np.float32(FULL)
        if self.beneath is not None:
            other = np.float32(0.7) * self.beneath.audio[: len(sound)]
            sound[: len(other)] += other
        if self.fade:
            sound *= np.exp(np.arange(len(sound), dtype=np.float32) * np.float32(-1.0 / self.fade))
        return sound

    def at_speed(self, speed: float) -> Take:
        """The same played faster, as of a smaller drum, or slower."""
        places = np.arange(0.0, len(self.codes) - 1.0, speed)
        codes = np.interp(places, np.arange(len(self.codes)), self.codes)
        return Take(np.rint(codes).astype(np.int16), self.label, self.instrument)


class Material:
    """One split of a data set of kind ear, in memory.

    Parameters
    ----------
    data : DataSet
    split : str
    speeds : sequence of float
        Every one-shot is there at these speeds too, among those of another instrument.
    varied : bool
        Whether kits also have instruments that fade sooner, and such as are made of two of a class, and
        performances are also played much faster.

    Raises
    ------
    Refusal
        When it lacks one-shots, or performances.
    """

    def __init__(
        self, data: DataSet[EarItem], split: str, speeds: Sequence[float] = (), varied: bool = False
    ):
        self.varied = varied
        self.instruments: dict[str, list[Take]] = {}
        self.by_class: dict[str, list[str]] = {label: [] for label in CLASSES}
        self.performances: list[np.ndarray] = []
        self.others: dict[str, list[np.ndarray]] = {}
        louder: dict[str, list[tuple[float, Take]]] = {}
        for index in data.split(split).tolist():
            item = data.manifest[index]
            if item["sort"] == STROKE:
                group = f"{item['group']} {item['label']}"
                number = len(louder) if group not in louder else louder[group][0][1].instrument
                take = Take(_codes(data, index), item["label"], number)
                louder.setdefault(group, []).append((item["peak_db"], take))
            elif item["sort"] == PATTERN:
                first, end = data.arrays["stroke_offsets"][index : index + 2]
                self.performances.append(np.array(data.arrays["strokes"][first:end]))
            elif item["sort"] == OTHER:
                self.others.setdefault(item["label"], []).append(
                    _codes(data, index).astype(np.float32) / np.float32(FULL)
                )
        for group, takes in louder.items():
            self.instruments[group] = [take for _, take in sorted(takes, key=lambda pair: pair[0])]
        self.count = len(self.instruments)
        for group, own in list(self.instruments.items()):
            for speed in speeds:
                self.instruments[f"{group} at {speed:g}"] = [take.at_speed(speed) for take in own]
        for group, own in self.instruments.items():
            self.by_class[own[0].label].append(group)
        if not louder or not self.performances:
            lacks = "performances" if louder else "one-shots"
            raise Refusal(
                f"{data.directory} has no {lacks} in its {split} split; add those of another drummer or kit "
                "and prepare again"
            )

    def kit(self, rng: np.random.Generator) -> dict[str, list[Take]]:
        """Instruments for the parts of a performance; a part whose class is missing has none."""
        found = {}
        all_percussion = rng.random() < 0.08
        for part in PARTS:
            label = CLASS_OF_PART[part]
            other, often = STAND_INS.get(label, ("", 0.0))
            if all_percussion and rng.random() < 0.7:
                label = "perc"
            elif rng.random() < often and self.by_class[other]:
                label = other
            names = self.by_class[label] or self.by_class[CLASS_OF_PART[part]]
            if names:
                found[part] = self.instruments[names[int(rng.integers(len(names)))]]
                if self.varied:
                    found[part] = self._variant(found[part], names, rng)
        return found

    def _variant(self, takes: list[Take], names: list[str], rng: np.random.Generator) -> list[Take]:
        """An instrument that is not in the data, made of those that are."""
        if rng.random() < SOONER:
            fade = float(np.exp(rng.uniform(*np.log(FADES_S)))) * SAMPLE_RATE_HZ
            takes = [replace(take, fade=fade) for take in takes]
        if rng.random() < DOUBLED:
            others = self.instruments[names[int(rng.integers(len(names)))]]
            places = np.linspace(0, len(others) - 1, len(takes)).round().astype(int).tolist()
            pairs = zip(takes, places, strict=True)
            takes = [replace(take, instrument=-1, beneath=others[place]) for take, place in pairs]
        return takes


def _codes(data: DataSet[EarItem], index: int) -> np.ndarray:
    first, end = data.arrays["offsets"][index : index + 2]
    return np.array(data.arrays["audio"][first:end])


def decibels(db: float) -> float:
    """As a factor."""
    return float(10 ** (db / 20))


def drums(
    material: Material, rng: np.random.Generator, samples: int, bed: np.ndarray | None = None
) -> Mixture:
    """A performance on a kit drawn anew, at a tempo near its own, perhaps over something else."""
    played = material.performances[int(rng.integers(len(material.performances)))]
    speed = rng.uniform(0.8, 1.25)
    if material.varied and rng.random() < HURRIED:
        speed = rng.uniform(*HURRIES)
    length_s = samples / SAMPLE_RATE_HZ
    last = max(0.0, float(played[-1, 0]) / speed - length_s)
    begin = rng.uniform(0.0, last) if last else 0.0
    seconds = played[:, 0] / speed - begin
    near = (seconds >= -BEFORE_S) & (seconds < length_s)
    kit = material.kit(rng)
    levels = {
        part: LEVELS_DB.get(takes[0].label, OTHER_LEVEL_DB) + rng.normal(0.0, 4.0)
        for part, takes in kit.items()
    }
    lead = round(BEFORE_S * SAMPLE_RATE_HZ)
    whole = np.zeros(lead + samples, np.float32)
    if bed is not None:
        whole[lead:] += bed
    struck: list[tuple[int, np.ndarray, Take]] = []
    for second, (_, number, velocity) in zip(seconds[near], played[near], strict=True):
        part = PARTS[int(number)]
        if part not in kit:
            continue
        takes = kit[part]
        layer = velocity * (len(takes) - 1) + rng.normal(0.0, 0.1 * len(takes))
        take = takes[int(np.clip(round(layer), 0, len(takes) - 1))]
        gain = decibels(levels[part]) * max(0.05, float(velocity)) ** 1.3
        at = lead + round(float(second) * SAMPLE_RATE_HZ)
        sound = take.audio[: len(whole) - at] * np.float32(gain)
        whole[at : at + len(sound)] += sound
        struck.append((at, sound, take))
    found = Mixture(whole[lead:])
    _tell(found, whole, lead, struck)
    return found


def _tell(found: Mixture, whole: np.ndarray, lead: int, struck: list[tuple[int, np.ndarray, Take]]) -> None:
    """Write down the events among what was struck."""
    open_events: list[list[tuple[int, float, float, Take]]] = []
    for at, sound, take in sorted(struck, key=lambda one: one[0]):
        head = sound[:HEAD]
        own = float(head @ head)
        rest = whole[at : at + len(head)] - head
        clear = 10 * np.log10((own + 1e-12) / (float(rest @ rest) + 1e-12))
        if at < lead:
            continue
        if clear < COVERED_DB or own < 1e-9:
            found.covered.append(at - lead)
        elif open_events and at - open_events[-1][0][0] <= TOGETHER:
            open_events[-1].append((at, own, clear, take))
        else:
            open_events.append([(at, own, clear, take)])
    for strokes in open_events:
        groups = np.zeros(len(GROUPS), bool)
        groups[[GROUP_OF[take.label] for *_, take in strokes]] = True
        *_, loudest = max(strokes, key=lambda one: one[1])
        clear = max(one[2] for one in strokes)
        named = GROUP_OF[loudest.label], loudest.instrument
        found.events.append(Event(strokes[0][0] - lead, groups, *named, float(clear)))


def played_by_others(material: Material, rng: np.random.Generator, samples: int) -> np.ndarray:
    """Recordings of one folder, begun anywhere, a few after or over each other; at a peak of 1."""
    folder = list(material.others)[int(rng.integers(len(material.others)))]
    clips = material.others[folder]
    audio = np.zeros(samples, np.float32)
    at = 0
    while at < samples:
        clip = clips[int(rng.integers(len(clips)))]
        first = int(rng.integers(len(clip))) if rng.random() < 0.5 else 0
        speed = rng.uniform(0.7, 1.4) if rng.random() < 0.7 else 1.0
        piece = clip[first : first + int((samples - at) * speed) + 1]
        if speed != 1.0 and len(piece) > 1:
            places = np.arange(0.0, len(piece) - 1.0, speed)
            piece = np.interp(places, np.arange(len(piece)), piece).astype(np.float32)
        piece = piece[: samples - at]
        if first:
            piece = piece * np.minimum(1.0, np.arange(len(piece), dtype=np.float32) / 480)
        audio[at : at + len(piece)] += piece
        at += max(2400, int(len(piece) * rng.uniform(0.2, 1.0)))
    if rng.random() < 0.3:
        audio = np.tanh(audio * decibels(rng.uniform(6.0, 30.0)))
    return audio / max(1e-4, float(np.abs(audio).max()))


def noise(rng: np.random.Generator, samples: int) -> np.ndarray:
    """Noise of any colour, or hum, at a root mean square of about 0.3."""
    if rng.random() < 0.3:
        phase = 2 * np.pi * rng.choice((50.0, 60.0)) * np.arange(samples) / SAMPLE_RATE_HZ
        tones = [np.sin(k * phase + rng.uniform(0, 6)) / k ** rng.uniform(0.5, 2.0) for k in range(1, 12)]
        audio = np.sum(tones, axis=0)
    else:
        audio = rng.standard_normal(samples)
        pole = float(rng.choice((0.0, 0.9, 0.99)))
        audio = lfilter([1.0], [1.0, -pole], audio)
        if rng.random() < 0.3:
            audio = np.diff(audio, prepend=audio[0])
    return (0.3 * audio / max(1e-9, float(np.std(audio)))).astype(np.float32)


def colour(rng: np.random.Generator) -> np.ndarray:
    """Response of another microphone or mixer: a smooth curve of ±8 dB, of minimum phase, [256]."""
    octaves = np.linspace(0.0, 10.0, 7)
    places = np.log2(np.maximum(np.arange(COLOUR_BINS + 1), 1.0) * SAMPLE_RATE_HZ / (2 * COLOUR_BINS) / 24.0)
    curve = np.interp(places, octaves, rng.uniform(-8.0, 8.0, len(octaves))) * (np.log(10) / 20)
    cepstrum = np.fft.irfft(curve)
    folded = np.zeros_like(cepstrum)
    folded[0], folded[COLOUR_BINS] = cepstrum[0], cepstrum[COLOUR_BINS]
    folded[1:COLOUR_BINS] = 2.0 * cepstrum[1:COLOUR_BINS]
    return np.fft.irfft(np.exp(np.fft.rfft(folded)))[:256]


def in_a_room(audio: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Add a short reverberation, another colour and a little saturation, each sometimes."""
    if rng.random() < 0.4:
        length = round(rng.uniform(0.05, 0.5) * SAMPLE_RATE_HZ)
        decay = np.exp(-6.9 * np.arange(length) / length)
        tail = rng.standard_normal(length) * decay
        tail[: round(rng.uniform(0.001, 0.02) * SAMPLE_RATE_HZ)] = 0.0
        tail *= decibels(rng.uniform(-24.0, -9.0)) / max(1e-9, float(np.sqrt(tail @ tail)))
        audio = audio + fftconvolve(audio, tail)[: len(audio)]
    if rng.random() < 0.7:
        audio = fftconvolve(audio, colour(rng))[: len(audio)]
    if rng.random() < 0.2:
        audio = np.tanh(audio * decibels(rng.uniform(0.0, 12.0)))
    return audio.astype(np.float32)


def leveled(found: Mixture, rng: np.random.Generator, lowest_db: float, clipped: float) -> Mixture:
    """Bring the peak to anywhere between ``lowest_db`` and full scale; clip some far beyond."""
    peak = float(np.abs(found.audio).max())
    gain = decibels(rng.uniform(lowest_db, 0.0)) / max(1e-4, peak)
    if rng.random() < clipped:
        gain = decibels(rng.uniform(3.0, 24.0)) / max(1e-4, peak)
    found.audio = np.clip(found.audio * np.float32(gain), -1.0, 1.0).astype(np.float32)
    return found


def drawn(material: Material, rng: np.random.Generator, samples: int, others: float = 0.18) -> Mixture:
    """Any of all: mostly drums, bare or over others, also others alone, noise, and silence."""
    chance = rng.random()
    hiss = noise(rng, samples) * decibels(rng.uniform(-80.0, -30.0)) if rng.random() < 0.5 else 0.0
    if chance < 0.9 - others:
        bed = None
        if material.others and rng.random() < 0.3:
            bed = played_by_others(material, rng, samples) * np.float32(decibels(rng.uniform(-30.0, -6.0)))
        found = drums(material, rng, samples, bed)
        found.audio = in_a_room(found.audio, rng) + np.asarray(hiss, np.float32)
        return leveled(found, rng, -24.0, 0.1)
    if chance < 0.9 and material.others:
        audio = in_a_room(played_by_others(material, rng, samples), rng)
        found = Mixture(audio + np.asarray(hiss, np.float32), scene=SCENES.index("pitched"))
        return leveled(found, rng, -24.0, 0.1)
    if chance < 0.97:
        found = Mixture(noise(rng, samples), scene=SCENES.index("noise"))
        found.audio += np.float32(rng.uniform(-0.5, 0.5) if rng.random() < 0.3 else 0.0)
        return leveled(found, rng, -48.0, 0.2)
    quiet = noise(rng, samples) * np.float32(decibels(rng.uniform(-110.0, -60.0)))
    return Mixture(quiet, scene=SCENES.index("silence"))


@dataclass(frozen=True)
class Told:
    """What an ear should say of every hop of a mixture.

    Attributes
    ----------
    onset, onset_weight : float32 ndarray, shape (hops,)
    groups : float32 ndarray, shape (5, hops)
        Of the newest event.
    groups_weight : float32 ndarray, shape (hops,)
        In the hops after an event in which its groups are asked for; it rises to 1.
    instrument : int64 ndarray, shape (hops,)
        Where the newest event's is asked for; else -1.
    scene : int64 ndarray, shape (hops,)
        -1 where it is not asked for.
    """

    onset: np.ndarray
    onset_weight: np.ndarray
    groups: np.ndarray
    groups_weight: np.ndarray
    instrument: np.ndarray
    scene: np.ndarray


def told(found: Mixture, decided: int, sure: int) -> Told:
    """Write down what should be said.

    Parameters
    ----------
    found : Mixture
    decided : int
        Hops after an event in which its groups are asked for.
    sure : int
        Hop after an event in which its instrument is.
    """
    hops = len(found.audio) // HOP
    said = Told(
        np.zeros(hops, np.float32),
        np.ones(hops, np.float32),
        np.zeros((len(GROUPS), hops), np.float32),
        np.zeros(hops, np.float32),
        np.full(hops, -1),
        np.full(hops, found.scene),
    )
    for at in found.covered:
        said.onset_weight[at // HOP : at // HOP + 3] = 0.0
    for event in found.events:
        said.onset_weight[event.at // HOP : event.hop + 2] = 0.0
    starts = [event.hop for event in found.events] + [hops]
    for event, after in zip(found.events, starts[1:], strict=True):
        first, end = event.hop, min(event.hop + decided, after)
        if first >= hops:
            continue
        said.onset[first] = said.onset_weight[first] = 1.0
        said.groups[:, first:end] = event.groups[:, None]
        said.groups_weight[first:end] = np.arange(1, end - first + 1) / decided
        if first + sure < min(after, hops):
            said.instrument[first + sure] = event.instrument
        said.scene[first : first + RINGS_HOPS] = SCENES.index("drums")
    return said
