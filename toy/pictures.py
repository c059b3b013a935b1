"""The pictures in this room's README: ``python -m toy.pictures`` draws them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import PARTS
from common.figure import COLOURS, GRID, new_figure
from common.files import write_picture
from common.spectrogram import add_level_bar, draw_spectrogram, levels_db
from toy import drums, rhythms
from toy.effects import EFFECTS, OVERSAMPLING, oversampled

FOLDER = Path(__file__).with_name("pictures")


def draw_drums() -> None:
    """One hit of every recipe: its spectrogram over 0.7 s, 60 dB deep from its loudest place."""
    recipes = [(label, recipe) for label, made in drums.RECIPES.items() for recipe in made]
    columns = 5
    rows = -(-len(recipes) // columns)
    figure, axes = new_figure(rows, columns, 10.5, 8.2, sharex=True, sharey=True)
    for place, (axis, (label, recipe)) in enumerate(zip(axes.flat, recipes, strict=True)):
        audio, _ = recipe(drums.Factors(0.5, 0.5, 0.5, 0.5, 0.5), np.random.default_rng(0))
        shown = np.zeros(round(0.7 * SAMPLE_RATE_HZ))
        shown[: min(len(shown), len(audio))] = audio[: len(shown)]
        shown *= 1.0 / spectral_peak(shown)
        image = draw_spectrogram(axis, shown, SAMPLE_RATE_HZ, depth_db=60, labels=False)
        axis.set_title(
            f"{label}: {recipe.__name__.removeprefix(label + '_')}".replace("_", " "), fontsize=8.5
        )
        if place % columns == 0:
            axis.set_ylabel("kHz")
        if place + columns >= len(recipes):
            axis.set_xlabel("time, s")
    add_level_bar(figure, image, list(axes.flat), "level below the loudest, dB")
    write_picture(FOLDER / "drums.png", figure)


def spectral_peak(audio: np.ndarray) -> float:
    """Amplitude of the loudest place of a sound's spectrogram."""
    return float(10 ** (levels_db(audio).max() / 20))


def draw_rhythms() -> None:
    """One pattern of every style, a dot per stroke: height the part, size the velocity, place the timing."""
    figure, axes = new_figure(4, 3, 10, 7.5)
    by_style: dict[str, rhythms.Pattern] = {}
    for index in range(0, 200, rhythms.TAKES_PER_PHRASE):
        one = rhythms.pattern(2, index)
        if not one.fill:
            by_style.setdefault(one.style, one)
    for axis in axes.flat[len(by_style) :]:
        axis.remove()
    for number, (axis, (style, one)) in enumerate(zip(axes.flat, sorted(by_style.items()), strict=False)):
        part, step = np.nonzero(one.grid[:9])
        when = step + one.grid[18:][part, step]
        axis.scatter(when, part, s=70 * one.grid[9:18][part, step] ** 2, color=COLOURS[0], linewidths=0)
        for beat in range(0, one.steps + 1, 4):
            axis.axvline(beat - 0.5, color=GRID, lw=0.7, zorder=0)
        axis.set_xlim(-0.5, 31.5)
        axis.set_ylim(-0.8, 8.8)
        axis.set_xticks([])
        axis.set_yticks(
            range(9),
            [name.replace("_", " ") for name in PARTS] if number % 3 == 0 else [""] * 9,
            fontsize=6.5,
        )
        axis.set_title(f"{style}, {one.bpm:.0f} bpm", fontsize=8.5, loc="left")
    write_picture(FOLDER / "rhythms.png", figure)


def draw_effects() -> None:
    """Each distortion at the middle of its ranges: curve and spectrum of a 220 Hz sine through it."""
    figure, axes = new_figure(2, len(EFFECTS), 10, 4)
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    dry = 0.6 * np.sin(2 * np.pi * 220 * t)
    for (name, effect), (curve, spectrum) in zip(EFFECTS.items(), axes.T, strict=True):
        middle = {key: (low + high) / 2 for key, (low, high) in effect.ranges.items()}

        def shape(x: np.ndarray, effect: Any = effect, middle: dict[str, Any] = middle) -> np.ndarray:
            return effect.curve(x, float(OVERSAMPLING * SAMPLE_RATE_HZ), **middle)

        wet = oversampled(dry, shape)
        curve.plot(dry[24_000:24_440], wet[24_000:24_440], color=COLOURS[1], lw=1.3)
        curve.set_title(name, fontsize=9, loc="left")
        power = 20 * np.log10(np.abs(np.fft.rfft(wet * np.hanning(len(wet)))) / 12_000 + 1e-7)
        spectrum.semilogx(power, color=COLOURS[0], lw=0.8)
        spectrum.set_xlim(100, 22_000)
        spectrum.set_xticks([200, 2000, 20_000], ["0.2", "2", "20"])
        spectrum.set_xlabel("frequency, kHz", fontsize=7)
        curve.set_xlabel("dry", fontsize=7)
        spectrum.set_ylim(-110, 5)
        for axis in (curve, spectrum):
            axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("wet", fontsize=8)
    axes[1, 0].set_ylabel("level, dB", fontsize=8)
    write_picture(FOLDER / "effects.png", figure)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    draw_drums()
    draw_rhythms()
    draw_effects()
