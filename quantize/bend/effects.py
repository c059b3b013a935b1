"""What bending each site does to what the model plays, and which four differ most."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
import onnx
from numpy.typing import NDArray

from common.audio import SAMPLE_RATE_HZ
from common.model_metadata import ModelMetadata
from quantize.bend.material import Feed
from quantize.bend.sites import Site
from quantize.bend.surgery import INPUT, bend_anywhere
from quantize.graph.runtime import session

BANDS, SLICES = 16, 6
WINDOW, HOP = 1024, 512
FLOOR_DB = 60.0
"""Below the loudest of what the unbent model plays there is nothing to hear."""
CYCLES_A_VALUE = 7.0
"""Of a scale or bias of one value on a Cortex-M7: by the compiler's cost model, on the factory drum."""
EVENTS_A_SECOND = SAMPLE_RATE_HZ / 96.0
"""At most: EVALUATION_TICKS in firmware/engine/instruments/hit.h."""
CLOCK_HZ = 480e6
LEAST_DB, LEAST_PATTERN = 0.3, 0.02
"""Root mean square of an effect that is proposed, in dB of a sound and in a pattern's values."""
CANDIDATES = 40
DIFFERENT = 0.5
"""Cosine below which two effects are two."""

Signal = NDArray[np.float32]


@dataclass(frozen=True)
class Poke:
    """One way to touch a site: a move and its value; None: the standard deviation of the site's values."""

    name: str
    words: str
    move: str
    value: float | None


POKES = (
    Poke("zero", "×0", "scale", 0.0),
    Poke("double", "×2", "scale", 2.0),
    Poke("sigma", "+1σ", "bias", None),
    Poke("swap", "swap", "swap", 1.0),
)


class _Bent:
    """A model with one bent site."""

    def __init__(self, model: onnx.ModelProto, site: Site, feeds: Sequence[Feed], slow: str):
        bent, bends = bend_anywhere(model, [site], tuple(poke.move for poke in POKES))
        self.opened, self.feeds, self.slow = session(bent), feeds, slow
        self.at = {one.name.rpartition(".")[2]: at for at, one in enumerate(bends)}
        self.rest = np.array([one.neutral for one in bends], np.float32)

    def play(self, move: str, value: float) -> list[Signal] | None:
        """What it plays for each feed; None where the site has no such move."""
        if move not in self.at:
            return None
        values = self.rest.copy()
        values[self.at[move]] = value
        return [
            self.opened.run(
                None, {**feed, INPUT: np.repeat(values[None, :, None], feed[self.slow].shape[-1], 2)}
            )[0][0]
            for feed in self.feeds
        ]


@dataclass
class Effect:
    """What the pokes of one site do.

    Attributes
    ----------
    played : dict
        Poke → what the model plays for each feed, ``[channels, frames]``.
    vector : ndarray
        Differences to the unbent model over all pokes: dB in bands and slices of time, or a pattern's values.
    """

    site: Site
    played: dict[str, list[Signal]] = field(default_factory=dict)
    vector: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))

    @property
    def strength(self) -> float:
        """Root mean square of the vector."""
        return float(np.sqrt(np.mean(self.vector**2))) if self.vector.size else 0.0


def is_sound(about: ModelMetadata) -> bool:
    """Whether the model plays audio."""
    return about.output_with("audio") is not None


def effects(
    model: onnx.ModelProto,
    about: ModelMetadata,
    sites: Sequence[Site],
    feeds: Sequence[Feed],
    slow: str,
    progress: Callable[[str, int, int], None] | None = None,
) -> tuple[list[Signal], list[Effect]]:
    """Play `feeds` unbent and with every poke of every site.

    Parameters
    ----------
    progress : callable, optional
        Called with a site's name, its number and how many there are.

    Returns
    -------
    list of ndarray, list of Effect
        What the unbent model plays for each feed; and an effect for each site.
    """
    plain = [session(model).run(None, dict(feed))[0][0] for feed in feeds]
    measured = [features(sound, about, sound) for sound in plain]
    found = []
    for number, site in enumerate(sites, 1):
        if progress is not None:
            progress(site.name, number, len(sites))
        effect = Effect(site)
        parts = []
        play = _Bent(model, site, feeds, slow).play
        for poke in POKES:
            value = min(site.spread, site.reach) if poke.value is None else poke.value
            played = play(poke.move, value)
            effect.played[poke.name] = plain if played is None else played
            parts += [
                features(sound, about, plain[n]) - measured[n]
                for n, sound in enumerate(effect.played[poke.name])
            ]
        effect.vector = np.concatenate([part.ravel() for part in parts])
        found.append(effect)
    return plain, found


def features(sound: Signal, about: ModelMetadata, plain: Signal) -> NDArray[np.float64]:
    """Level in dB of bands over slices of time, above a floor; a pattern as it is."""
    if not is_sound(about):
        return sound.astype(np.float64)
    top = _bands(plain).max()
    return 10.0 * np.log10(np.maximum(_bands(sound), 10.0 ** (-FLOOR_DB / 10) * top + 1e-12))


def _bands(sound: Signal) -> NDArray[np.float64]:
    audio = np.pad(sound[0].astype(np.float64), (0, max(0, WINDOW - sound.shape[1])))
    starts = np.arange(0, len(audio) - WINDOW + 1, HOP)
    frames = audio[starts[:, None] + np.arange(WINDOW)] * np.hanning(WINDOW)
    power = np.abs(np.fft.rfft(frames, axis=1)) ** 2
    edges = np.unique(np.geomspace(1, WINDOW // 2, BANDS + 1).astype(int))
    inside = np.stack([power[:, low:high].sum(1) for low, high in pairwise(edges)], 1)
    return np.stack([part.mean(0) for part in np.array_split(inside, min(SLICES, len(inside)))])


def cosine(a: Effect, b: Effect) -> float:
    """Of the angle between two effect vectors: 1 is the same effect, 0 another altogether."""
    size = np.linalg.norm(a.vector) * np.linalg.norm(b.vector)
    return float(a.vector @ b.vector / size) if size else 1.0


def greatest_cosine(chosen: Sequence[Effect]) -> float:
    """Of any two of them; 0 where there are no two."""
    return max((cosine(a, b) for a, b in combinations(chosen, 2)), default=0.0)


def cost_share(site: Site, slow_frames_a_second: float, moves: int) -> float:
    """Estimate the share of a 480 MHz Cortex-M7 that moves of a site cost; events: 0 frames."""
    rate = EVENTS_A_SECOND if slow_frames_a_second == 0 else slow_frames_a_second
    return site.channels * site.repeat * rate * CYCLES_A_VALUE * moves / CLOCK_HZ


def choose(
    found: Sequence[Effect], costs: Sequence[float], count: int, budget: float, least: float
) -> list[Effect]:
    """Sites whose effects differ most: least greatest pairwise cosine, within the budget.

    Parameters
    ----------
    costs : of each effect's site
    count : how many; fewer where the budget or the model has no more
    least : strength below which a site is not proposed
    """
    able = [
        (one, cost) for one, cost in zip(found, costs, strict=True) if one.strength > least and cost <= budget
    ]
    able = sorted(able, key=lambda pair: -pair[0].strength)[:CANDIDATES]
    between = np.array([[cosine(a, b) for b, _ in able] for a, _ in able])
    for size in range(min(count, len(able)), 0, -1):
        best, least = None, np.inf
        for group in combinations(range(len(able)), size):
            if sum(able[at][1] for at in group) > budget:
                continue
            worst = max((between[a, b] for a, b in combinations(group, 2)), default=-1.0)
            if worst < least:
                best, least = group, worst
        if best is not None:
            order = [one.site.name for one in found]
            return sorted((able[at][0] for at in best), key=lambda one: order.index(one.site.name))
    return []
