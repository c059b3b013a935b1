"""The page of `vaectrol dissect`: every site over time, and what touching it does to the sound."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.figure import new_figure, shades
from common.model_metadata import ModelMetadata
from common.page import PREDICTED, Cell, Page, Sound, sound_source
from quantize.bend.effects import POKES, Effect, Signal, cosine, is_sound
from quantize.bend.sites import Feed, Inside

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN_CHANNELS = 64
HEARD_S = 0.7
WINDOW = 2048


def loudness_db(sound: Signal) -> float:
    """Root mean square in dB of full scale."""
    return float(20.0 * np.log10(np.sqrt(np.mean(sound[0].astype(np.float64) ** 2)) + 1e-9))


def _spectrum(sound: Signal) -> tuple[np.ndarray, np.ndarray]:
    audio = sound[0].astype(np.float64)
    power = np.abs(np.fft.rfft(audio)) ** 2 + 1e-12
    return np.fft.rfftfreq(len(audio), 1.0 / SAMPLE_RATE_HZ), power


def centroid_hz(sound: Signal) -> float:
    """Mean frequency, weighted by power."""
    hz, power = _spectrum(sound)
    return float((hz * power).sum() / power.sum())


def noisiness(sound: Signal) -> float:
    """Spectral flatness: 0 is a tone, 1 white noise."""
    _, power = _spectrum(sound)
    return float(np.exp(np.log(power).mean()) / power.mean())


def pitch_hz(sound: Signal) -> float:
    """Frequency of the strongest partial."""
    hz, power = _spectrum(sound)
    return float(hz[np.argmax(power)])


MEASURED = (
    ("loudness, dB", loudness_db),
    ("centroid, Hz", centroid_hz),
    ("strongest partial, Hz", pitch_hz),
    ("noisiness", noisiness),
)


def dissection(
    title: str,
    about: ModelMetadata,
    inside: Inside,
    feeds: Sequence[Feed],
    plain: Sequence[Signal],
    found: Sequence[Effect],
    chosen: Sequence[Effect],
    shares: Sequence[float],
) -> Page:
    """Write the page.

    Parameters
    ----------
    plain : what the unbent model plays for each feed
    found, chosen : the effect of every site, and those of the sites proposed
    shares : of the processor, for bending each site by two moves
    """
    page = Page(
        f"{title}, dissected",
        "Every inner signal that can be bent, and what the sound becomes when it is touched.",
        "×0 silences a site, ×2 doubles it, +1σ adds a standard deviation, swap turns its channels by half.",
    )
    _proposal(page, chosen)
    _overview(page, found, chosen, shares)
    runs = [inside.run(feed) for feed in feeds]
    for effect in found:
        site = effect.site
        shown = slice(site.first, site.first + site.channels)
        _site(page, effect, about, plain, [run[site.whole][shown] for run in runs])
    return page


def _proposal(page: Page, chosen: Sequence[Effect]) -> None:
    names = [one.site.name for one in chosen]
    section = page.section(
        "Proposed", "The affordable sites whose effects differ most: `vaectrol bend --sites auto`."
    )
    section.table(
        ["cosine of effects", *names],
        [[Cell(a.site.name, code=True), *(round(cosine(a, b), 2) for b in chosen)] for a in chosen],
        "1: the same effect; 0: another altogether.",
    )


def _overview(page: Page, found: Sequence[Effect], chosen: Sequence[Effect], shares: Sequence[float]) -> None:
    section = page.section("Sites", f"Cost is of a scale and a bias. {PREDICTED}")
    proposed = {one.site.name for one in chosen}
    section.table(
        [
            "site",
            "made by",
            "channels",
            "frames a frame",
            "stays within",
            "effect, RMS",
            "cost, % CPU",
            "proposed",
        ],
        [
            [
                Cell(one.site.name, code=True),
                one.site.operator,
                one.site.channels,
                one.site.repeat,
                one.site.reach,
                one.strength,
                round(100 * share, 2),
                one.site.name in proposed,
            ]
            for one, share in zip(found, shares, strict=True)
        ],
    )


def _site(
    page: Page, effect: Effect, about: ModelMetadata, plain: Sequence[Signal], seen: list[Signal]
) -> None:
    site = effect.site
    section = page.section(site.name)
    event = seen[0].shape[1] == 1
    section.picture(
        _activations(seen, site.order, event),
        f"Activations of {site.name}: {site.channels} channels over {'events' if event else 'time'}",
    )
    if not is_sound(about):
        section.picture(_patterns(effect, plain), f"The pattern, unbent and with each poke of {site.name}")
        return
    section.table(
        ["figure", "unbent", *(poke.words for poke in POKES)],
        [
            [name, measure(plain[0]), *(measure(effect.played[poke.name][0]) for poke in POKES)]
            for name, measure in MEASURED
        ],
    )
    takes = [("unbent", plain[0]), *((poke.words, effect.played[poke.name][0]) for poke in POKES)]
    length = round(HEARD_S * SAMPLE_RATE_HZ)
    section.sounds(
        [
            Sound(f"{site.name}, {name}", sound_source(sound[0, :length], int(SAMPLE_RATE_HZ)))
            for name, sound in takes
        ],
        columns=5,
    )


def _activations(seen: list[Signal], order: Sequence[int], event: bool) -> Figure:
    figure, axes = new_figure(width=8, height=1.8)
    axis = axes[0, 0]
    values = np.concatenate(seen, 1) if event else seen[0]
    shown = values[list(order[:SHOWN_CHANNELS])]
    stride = max(1, shown.shape[1] // 400)
    axis.imshow(
        np.abs(shown[:, ::stride]), aspect="auto", interpolation="nearest", cmap=shades(), rasterized=True
    )
    axis.set_xlabel("event" if event else "time")
    axis.set_ylabel("channel, strongest first")
    axis.set_xticks([])
    return figure


def _patterns(effect: Effect, plain: Sequence[Signal]) -> Figure:
    takes = [("unbent", plain[0]), *((poke.words, effect.played[poke.name][0]) for poke in POKES)]
    figure, axes = new_figure(1, len(takes), 10, 1.8)
    parts = plain[0].shape[0] // 3
    for axis, (name, pattern) in zip(axes[0], takes, strict=True):
        axis.imshow(
            pattern[:parts],
            aspect="auto",
            interpolation="nearest",
            cmap=shades(),
            vmin=0,
            vmax=1,
            rasterized=True,
        )
        axis.set_title(name, fontsize=8)
        axis.set_xticks([])
        axis.set_yticks([])
    return figure
