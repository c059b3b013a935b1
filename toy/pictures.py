"""The pictures in this room's README: ``python -m toy.pictures`` draws them anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.drums import PARTS
from toy import drums, rhythms
from toy.effects import EFFECTS, OVERSAMPLING, oversampled

FOLDER = Path(__file__).with_name("pictures")
PAPER = "#fbfaf7"


def draw_drums() -> None:
    """One hit of every recipe: its spectrogram over 0.7 s, 60 dB deep."""
    from matplotlib.figure import Figure

    recipes = [(label, recipe) for label, made in drums.RECIPES.items() for recipe in made]
    figure = Figure(figsize=(10, 8), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(5, 5, sharex=True, sharey=True)
    for axis, (label, recipe) in zip(axes.flat, recipes, strict=True):
        audio, _ = recipe(drums.Factors(0.5, 0.5, 0.5, 0.5, 0.5), np.random.default_rng(0))
        shown = np.zeros(round(0.7 * SAMPLE_RATE_HZ))
        floor = 1e-7 * np.random.default_rng(0).standard_normal(len(shown))
        shown[: min(len(shown), len(audio))] = audio[: len(shown)]
        axis.specgram(shown + floor, NFFT=512, Fs=SAMPLE_RATE_HZ, noverlap=384, cmap="magma", scale="dB")
        image = axis.images[-1]
        top = float(image.get_array().max())
        image.set_clim(top - 60, top)
        axis.set_ylim(0, 16_000)
        axis.set_yticks([0, 8000, 16_000], ["0", "8k", "16k Hz"], fontsize=7)
        axis.set_xticks([0, 0.3, 0.6], ["0", "0.3", "0.6 s"], fontsize=7)
        axis.set_title(f"{label}: {recipe.__name__.removeprefix(label + '_')}", fontsize=8.5, loc="left")
    figure.savefig(FOLDER / "drums.png", dpi=80)


def draw_rhythms() -> None:
    """One pattern of every style, a dot per stroke: height the voice, size the velocity, place the timing."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 7.5), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(4, 3)
    by_style: dict[str, rhythms.Pattern] = {}
    for index in range(0, 200, rhythms.TAKES_PER_PHRASE):
        one = rhythms.pattern(2, index)
        if not one.fill:
            by_style.setdefault(one.style, one)
    for axis in axes.flat[len(by_style) :]:
        axis.remove()
    for number, (axis, (style, one)) in enumerate(zip(axes.flat, sorted(by_style.items()), strict=False)):
        voice, step = np.nonzero(one.grid[:9])
        when = step + one.grid[18:][voice, step]
        axis.scatter(when, voice, s=70 * one.grid[9:18][voice, step] ** 2, color="#0072B2", linewidths=0)
        for beat in range(0, one.steps + 1, 4):
            axis.axvline(beat - 0.5, color="#dddddd", lw=0.7, zorder=0)
        axis.set_xlim(-0.5, 31.5)
        axis.set_ylim(-0.8, 8.8)
        axis.set_xticks([])
        axis.set_yticks(range(9), PARTS if number % 3 == 0 else [""] * 9, fontsize=6.5)
        axis.set_title(f"{style}, {one.bpm:.0f} bpm", fontsize=8.5, loc="left")
    figure.savefig(FOLDER / "rhythms.png", dpi=80)


def draw_effects() -> None:
    """Each distortion at the middle of its ranges: curve and spectrum of a 220 Hz sine through it."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained", facecolor=PAPER)
    axes = figure.subplots(2, len(EFFECTS))
    t = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
    dry = 0.6 * np.sin(2 * np.pi * 220 * t)
    for (name, effect), (curve, spectrum) in zip(EFFECTS.items(), axes.T, strict=True):
        middle = {key: (low + high) / 2 for key, (low, high) in effect.ranges.items()}

        def shape(x: np.ndarray, effect: Any = effect, middle: dict[str, Any] = middle) -> np.ndarray:
            return effect.curve(x, float(OVERSAMPLING * SAMPLE_RATE_HZ), **middle)

        wet = oversampled(dry, shape)
        curve.plot(dry[24_000:24_440], wet[24_000:24_440], color="#D55E00", lw=1.3)
        curve.set_title(name, fontsize=9, loc="left")
        power = 20 * np.log10(np.abs(np.fft.rfft(wet * np.hanning(len(wet)))) / 12_000 + 1e-7)
        spectrum.semilogx(power, color="#0072B2", lw=0.8)
        spectrum.set_xlim(100, 22_000)
        spectrum.set_ylim(-110, 5)
        for axis in (curve, spectrum):
            axis.tick_params(labelsize=7)
    axes[0, 0].set_ylabel("wet over dry", fontsize=8)
    axes[1, 0].set_ylabel("dB", fontsize=8)
    figure.savefig(FOLDER / "effects.png", dpi=80)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    draw_drums()
    draw_rhythms()
    draw_effects()
