"""Spectrograms: the one way this project draws them, with seconds, kilohertz and decibels."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from common.figure import new_figure
from common.page import Picture, Sound, sound_source

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.image import AxesImage

WINDOW, HOP = 1024, 256
TOP_DB, DEPTH_DB = 0.0, 80.0
COLOURS = "magma"
RANGE = f"Brightness is the level, from full scale down to {DEPTH_DB:.0f} dB below it."
RELATIVE_RANGE = (
    f"Brightness is the level, from the loudest place of each sound down to {DEPTH_DB:.0f} dB below it."
)
ROWS = 192
FADE_S = 0.02
TICKS_KHZ = (0, 1, 2, 5, 10, 20)
CARD_WIDTH, CARD_HEIGHT, CARD_TICKS, CARD_COLUMNS = 179, 91, 6, 400
"""Of a card's picture: points, ticks of time at most, and frames at most."""
CARD_LEAST_PX = 214


def _mel(hz: np.ndarray | float) -> np.ndarray:
    """O'Shaughnessy's scale: even steps sound evenly apart, straight below 700 Hz, logarithmic above."""
    return 1127.0 * np.log1p(np.asarray(hz) / 700.0)


def levels_db(audio: np.ndarray, window: int = WINDOW, hop: int = HOP) -> np.ndarray:
    """Levels of Hann windows ``[window / 2 + 1, frames]``; 0 dB is a sine at full scale, −200 dB silence."""
    padded = np.pad(np.asarray(audio, float), (window // 2, window))
    framed = np.lib.stride_tricks.sliding_window_view(padded, window)[::hop]
    shape = np.hanning(window)
    amplitude = np.abs(np.fft.rfft(framed * shape, axis=1)) * (2.0 / shape.sum())
    return 20.0 * np.log10(np.maximum(amplitude, 1e-10)).T


def _on_mel(level: np.ndarray, rate_hz: float, highest_hz: float) -> np.ndarray:
    """Levels at even steps of the mel scale ``[ROWS, frames]``: between bins below, the loudest bin above."""
    edges_hz = 700.0 * np.expm1(np.linspace(0.0, _mel(highest_hz), ROWS + 1) / 1127.0)
    places = edges_hz / (rate_hz / 2.0) * (len(level) - 1)
    middle = (places[1:] + places[:-1]) / 2.0
    below = np.minimum(middle.astype(int), len(level) - 2)
    part = (middle - below)[:, None]
    between = level[below] * (1.0 - part) + level[below + 1] * part
    loudest = np.maximum.reduceat(level, np.minimum(places[:-1].round().astype(int), len(level) - 1), axis=0)
    return np.maximum(between, np.where((np.diff(places) > 1.0)[:, None], loudest, -np.inf))


def draw_spectrogram(
    axes: Axes,
    audio: np.ndarray,
    rate_hz: float,
    *,
    top_db: float | None = TOP_DB,
    depth_db: float = DEPTH_DB,
    highest_khz: float | None = None,
    labels: bool = True,
) -> AxesImage:
    """Draw one channel of sound: seconds to the right, kilohertz upwards on a mel scale.

    Parameters
    ----------
    audio : ndarray, shape (n,)
    top_db : float or None
        Level of the brightest colour; the loudest place of this sound with None.
    depth_db : float
        So much below it is black.
    highest_khz : float, optional
        Upper end of the axis; half the rate if omitted.
    labels : bool
        Whether the axes are named; the inner ones of a grid go without.

    Returns
    -------
    AxesImage
        For :func:`add_level_bar`.
    """
    level = levels_db(audio)
    top = float(level.max()) if top_db is None else top_db
    highest_hz = 1000.0 * highest_khz if highest_khz else rate_hz / 2.0
    image = axes.imshow(
        _on_mel(level, rate_hz, highest_hz),
        origin="lower",
        aspect="auto",
        extent=(0.0, max(len(audio), 1) / rate_hz, 0.0, float(_mel(highest_hz))),
        vmin=top - depth_db,
        vmax=top,
        cmap=COLOURS,
        interpolation="antialiased",
    )
    shown = [khz for khz in TICKS_KHZ if 1000.0 * khz <= highest_hz]
    axes.set_yticks([float(_mel(1000.0 * khz)) for khz in shown], [f"{khz:g}" for khz in shown])
    if labels:
        axes.set_xlabel("time, s")
        axes.set_ylabel("frequency, kHz")
    return image


def draw_bands(
    axes: Axes,
    level_db: np.ndarray,
    seconds: float,
    band_hz: np.ndarray,
    top_db: float = TOP_DB,
    depth_db: float = DEPTH_DB,
) -> AxesImage:
    """Draw levels that are in bands already.

    Parameters
    ----------
    level_db : ndarray, shape (bands, frames)
    band_hz : ndarray, shape (bands,)
        Middle of every band, rising.
    """
    image = axes.imshow(
        level_db,
        origin="lower",
        aspect="auto",
        extent=(0.0, seconds, -0.5, len(level_db) - 0.5),
        vmin=top_db - depth_db,
        vmax=top_db,
        cmap=COLOURS,
    )
    shown = [khz for khz in TICKS_KHZ if band_hz[0] <= 1000.0 * khz <= band_hz[-1]]
    places = np.interp([1000.0 * khz for khz in shown], band_hz, np.arange(len(band_hz)))
    axes.set_yticks(places, [f"{khz:g}" for khz in shown])
    return image


def add_level_bar(
    figure: Figure,
    image: AxesImage,
    axes: Axes | Sequence[Axes],
    says: str = "level, dB of full scale",
) -> None:
    """Put the scale of levels beside `axes`: at the edge of a single one, whatever stands beside others."""
    from matplotlib.axes import Axes

    if isinstance(axes, Axes):
        bar = figure.colorbar(image, cax=axes.inset_axes((1.012, 0.0, 0.018, 1.0)))
    else:
        bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.015)
    bar.set_label(says)
    bar.outline.set_visible(False)  # type: ignore[operator]


def spectrogram_figure(
    sounds: Sequence[tuple[str, np.ndarray]], rate_hz: float, columns: int = 2, top_db: float | None = TOP_DB
) -> Figure:
    """Draw sounds side by side on one scale of level.

    Parameters
    ----------
    sounds : sequence of (title, audio)
    top_db : float or None
        Level of the brightest colour; the loudest place of all the sounds with None.
    """
    columns = min(columns, len(sounds))
    rows = -(-len(sounds) // columns)
    figure, axes = new_figure(rows, columns, 2.7 * columns + 0.6, 1.75 * rows + 0.3, sharey=True)
    if top_db is None:
        top_db = max(float(levels_db(audio).max()) for _, audio in sounds)
    for axis in axes.flat[len(sounds) :]:
        axis.remove()
    image = None
    alike = len({len(audio) for _, audio in sounds}) == 1  # then the lowest axis says the time for all
    for place, (axis, (title, audio)) in enumerate(zip(axes.flat, sounds, strict=False)):
        image = draw_spectrogram(axis, audio, rate_hz, top_db=top_db, labels=False)
        axis.set_title(title)
        if place % columns == 0:
            axis.set_ylabel("kHz")
        else:
            axis.yaxis.set_visible(False)
        if place + columns >= len(sounds):
            axis.set_xlabel("time, s")
        elif alike:
            axis.xaxis.set_visible(False)
    if image is not None:
        add_level_bar(figure, image, list(axes.flat[: len(sounds)]))
    return figure


def mosaic_figure(sounds: Sequence[tuple[str, np.ndarray]], rate_hz: float, columns: int) -> Figure:
    """Draw many short sounds of one length as tiles of one picture: axes of their own would take seconds.

    Parameters
    ----------
    sounds : sequence of (title, audio), audio of equal lengths
    """
    tiles = [_on_mel(levels_db(audio), rate_hz, rate_hz / 2.0) for _, audio in sounds]
    height, width = tiles[0].shape
    gap_y, gap_x = round(0.28 * height), round(0.12 * width)
    rows = -(-len(sounds) // columns)
    whole = np.full((rows * (height + gap_y), columns * (width + gap_x)), np.nan)
    left = np.arange(columns) * (width + gap_x)
    bottom = np.arange(rows)[::-1] * (height + gap_y)
    for place, tile in enumerate(tiles):
        y, x = bottom[place // columns], left[place % columns]
        whole[y : y + height, x : x + width] = tile
    figure, axes = new_figure(1, 1, 2.7 * columns + 0.6, 1.75 * rows + 0.3)
    axis = axes[0, 0]
    image = axis.imshow(
        whole,
        origin="lower",
        aspect="auto",
        extent=(0, whole.shape[1], 0, whole.shape[0]),
        vmin=TOP_DB - DEPTH_DB,
        vmax=TOP_DB,
        cmap=COLOURS,
        interpolation="nearest",
    )
    axis.set_facecolor("none")
    axis.spines[:].set_visible(False)
    for place, (title, _) in enumerate(sounds):
        axis.text(left[place % columns], bottom[place // columns] + 1.04 * height, title)
    shown = [khz for khz in TICKS_KHZ if 2000.0 * khz <= rate_hz]
    up = np.array([float(_mel(1000.0 * khz)) for khz in shown]) / float(_mel(rate_hz / 2.0)) * height
    axis.set_yticks(np.concatenate([y + up for y in bottom]), [f"{khz:g}" for khz in shown] * rows)
    seconds = len(sounds[0][1]) / rate_hz
    along = np.array([0.0, 0.5, 1.0])
    ticks = np.concatenate([x + along * width for x in left])
    axis.set_xticks(ticks, [f"{part * seconds:g}" for part in along] * columns)
    axis.set_ylabel("frequency, kHz")
    axis.set_xlabel("time, s")
    add_level_bar(figure, image, axis)
    return figure


def player(
    title: str, audio: np.ndarray, rate_hz: int, note: str = "", top_db: float | None = TOP_DB
) -> Sound:
    """Make a short sound's player, inside the page, below its spectrogram.

    Parameters
    ----------
    audio : ndarray, shape (n,)
    note : str
        Stands below the title.
    top_db : float or None
        As :func:`draw_spectrogram` takes it.
    """
    return Sound(
        title, sound_source(audio, rate_hz), card(audio, rate_hz, f"Spectrogram of {title}", top_db), note
    )


def card(audio: np.ndarray, rate_hz: float, says: str, top_db: float | None = TOP_DB) -> Picture:
    """Draw one sound as small as a card beside a player needs it; the page says the range of levels.

    The element is written here: pages have hundreds, and matplotlib needs a tenth of a second for each.

    Parameters
    ----------
    audio : ndarray, shape (n,)
    says : str
        What it shows, for those who cannot see it.
    top_db : float or None
        As :func:`draw_spectrogram` takes it.
    """
    from markupsafe import Markup

    seconds = max(len(audio), 1) / rate_hz
    step = _tick_step(seconds)
    times = [n * step for n in range(int(seconds / step + 1e-9) + 1)]
    along = [(CARD_WIDTH * t / seconds, f"{t:g}") for t in times]
    highest = float(_mel(rate_hz / 2.0))
    up = [
        (CARD_HEIGHT * (1.0 - float(_mel(1000.0 * khz)) / highest), f"{khz:g}")
        for khz in TICKS_KHZ
        if 2000.0 * khz <= rate_hz
    ]
    ticks = "".join(
        f'<path d="M{x:.1f} {CARD_HEIGHT}v3.5"/><text x="{x:.1f}" y="{CARD_HEIGHT + 14}">{text}</text>'
        for x, text in along
    ) + "".join(
        f'<path d="M0 {y:.1f}h-3.5"/><text class="end" x="-7" y="{y + 3:.1f}">{text}</text>' for y, text in up
    )
    middle = CARD_HEIGHT / 2
    markup = (
        f'<svg class="levels" role="img" aria-label="{html.escape(says, quote=True)}" '
        f'viewBox="-38 -7 {CARD_WIDTH + 52} {CARD_HEIGHT + 43}" width="{CARD_WIDTH + 52}pt" '
        f'height="{CARD_HEIGHT + 43}pt" xmlns="http://www.w3.org/2000/svg">'
        f'<image width="{CARD_WIDTH}" height="{CARD_HEIGHT}" preserveAspectRatio="none" '
        f'href="data:image/png;base64,{_tile_png(audio, rate_hz, top_db)}"/>'
        f'<path d="M0 0v{CARD_HEIGHT}h{CARD_WIDTH}"/>{ticks}'
        f'<text x="{CARD_WIDTH / 2:g}" y="{CARD_HEIGHT + 28}">time, s</text>'
        f'<text x="-27" y="{middle:g}" transform="rotate(-90 -27 {middle:g})">frequency, kHz</text></svg>'
    )
    return Picture(Markup(markup), "", CARD_LEAST_PX)


def _tick_step(seconds: float) -> float:
    """Seconds between ticks, a round number, so that there are two to six."""
    steps = [mantissa * 10.0**power for power in range(-4, 5) for mantissa in (1, 2, 5)]
    return next((step for step in steps if seconds / step <= CARD_TICKS), steps[-1])


def _tile_png(audio: np.ndarray, rate_hz: float, top_db: float | None) -> str:
    """Return a PNG of the levels, 256 colours, in base64."""
    import matplotlib as mpl
    from PIL import Image

    level = _on_mel(levels_db(audio), rate_hz, rate_hz / 2.0)
    if level.shape[1] > CARD_COLUMNS:
        starts = np.linspace(0, level.shape[1], CARD_COLUMNS, endpoint=False).astype(int)
        level = np.add.reduceat(level, starts, axis=1) / np.diff([*starts, level.shape[1]])
    top = float(level.max()) if top_db is None else top_db
    codes = np.clip((level - top + DEPTH_DB) / DEPTH_DB, 0.0, 1.0) * 255.0
    tile = Image.fromarray(codes[::-1].round().astype(np.uint8))
    palette = (np.asarray(mpl.colormaps[COLOURS](np.arange(256)))[:, :3] * 255.0).round().astype(np.uint8)
    tile.putpalette(palette.tobytes())
    stream = io.BytesIO()
    tile.save(stream, format="PNG")
    return base64.b64encode(stream.getvalue()).decode()


def players(
    groups: Sequence[Sequence[tuple[str, np.ndarray, str]]], rate_hz: int, seconds: float
) -> list[list[Sound]]:
    """Players of the beginnings of sounds, group by group, each told by its title, audio and note."""
    return [
        [player(title, excerpt(audio, rate_hz, seconds), rate_hz, note) for title, audio, note in group]
        for group in groups
    ]


def excerpt(audio: np.ndarray, rate_hz: int, seconds: float) -> np.ndarray:
    """Cut the beginning of a sound; an abrupt end would click, and be seen, so it fades."""
    cut = np.array(audio[: round(seconds * rate_hz)], np.float32)
    if len(cut) < len(audio):
        fade = min(len(cut), round(FADE_S * rate_hz))
        cut[len(cut) - fade :] *= np.linspace(1, 0, fade, dtype=np.float32)
    return cut
