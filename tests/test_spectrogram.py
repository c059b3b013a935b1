"""Spectrograms say where a sound lies in time, frequency and level."""

from __future__ import annotations

import base64
import io
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from common.figure import as_svg
from common.spectrogram import (
    ROWS,
    card,
    draw_spectrogram,
    levels_db,
    mosaic_figure,
    new_figure,
    spectrogram_figure,
)

RATE_HZ = 48_000


def tone(hz: float, amplitude: float, seconds: float = 0.5) -> np.ndarray:
    return amplitude * np.sin(2 * np.pi * hz * np.arange(int(RATE_HZ * seconds)) / RATE_HZ)


@pytest.mark.parametrize(("amplitude", "level"), [(1.0, 0.0), (0.1, -20.0), (0.0, -200.0)])
def test_a_sine_has_its_own_level(amplitude, level):
    hz = 64 * RATE_HZ / 1024
    found = levels_db(tone(hz, amplitude))
    assert found[64, found.shape[1] // 2] == pytest.approx(level, abs=0.01)


@pytest.mark.parametrize("hz", [200.0, 1000.0, 5000.0, 20_000.0])
def test_a_sine_stands_where_the_axis_says(hz):
    _, axes = new_figure()
    axis = axes[0, 0]
    image = draw_spectrogram(axis, tone(hz, 1.0), RATE_HZ)
    array = np.asarray(image.get_array())
    row = int(array[:, array.shape[1] // 2].argmax())
    _, right, bottom, top = image.get_extent()
    height = bottom + (row + 0.5) / len(array) * (top - bottom)
    ticks = dict(zip([float(t.get_text()) for t in axis.get_yticklabels()], axis.get_yticks(), strict=True))
    wanted = np.interp(1127 * np.log1p(hz / 700), 1127 * np.log1p(np.array([1000 * k for k in ticks]) / 700),
                       list(ticks.values()))  # fmt: skip
    assert abs(height - wanted) < 0.02 * (top - bottom)
    assert right == pytest.approx(0.5)


def test_every_spectrogram_names_seconds_kilohertz_and_decibels():
    figure = spectrogram_figure([(f"sound {n}", tone(440, 0.5, 0.1)) for n in range(3)], RATE_HZ)
    svg = as_svg(figure, "three")
    for words in ("time, s", "kHz", "level, dB of full scale", "sound 2"):
        assert words in svg
    spectrogram_figure([("one", tone(440, 0.5, 0.01))], RATE_HZ, top_db=None)
    spectrogram_figure([("nothing", np.zeros(0))], RATE_HZ, top_db=None)


@pytest.mark.parametrize("seconds", [0.001, 0.02, 0.5, 3.0, 70.0])
@pytest.mark.parametrize("top_db", [0.0, None])
def test_a_card_shows_the_same_levels_and_a_few_round_ticks(seconds, top_db):
    """Its picture decoded and beside what is drawn with axes; its axes named; two to six ticks of time."""
    audio = tone(2000, 0.1, seconds)
    drawing = ElementTree.fromstring(card(audio, RATE_HZ, "A <tone>", top_db).markup)
    svg = "{http://www.w3.org/2000/svg}"
    assert drawing.get("aria-label") == "A <tone>"
    image = drawing.find(f"{svg}image")
    found = Image.open(io.BytesIO(base64.b64decode(image.get("href").partition(",")[2])))
    codes = np.asarray(found, float)[::-1]
    _, axes = new_figure()
    drawn = draw_spectrogram(axes[0, 0], audio, RATE_HZ, top_db=top_db)
    level = np.asarray(drawn.get_array())
    expected = (level - drawn.norm.vmin) / (drawn.norm.vmax - drawn.norm.vmin) * 255
    assert codes.shape[0] == ROWS
    middle = expected[:, expected.shape[1] // 2]
    assert np.abs(codes[:, codes.shape[1] // 2] - middle.clip(0, 255)).max() < (1 if seconds <= 0.5 else 12)
    texts = [text.text for text in drawing.findall(f"{svg}text")]
    assert texts[-2:] == ["time, s", "frequency, kHz"] and texts[-8:-2] == ["0", "1", "2", "5", "10", "20"]
    times = [float(text) for text in texts[:-8]]
    assert 2 <= len(times) <= 7 and times[0] == 0 and times[-1] <= seconds * (1 + 1e-6)


def test_a_mosaic_has_each_sound_in_its_tile():
    pitches = [300, 3000, 700, 6000, 1500]
    figure = mosaic_figure([(f"{hz} Hz", tone(hz, 0.5, 0.5)) for hz in pitches], RATE_HZ, columns=2)
    whole = np.asarray(figure.axes[0].images[0].get_array().filled(np.nan))
    tiles = [
        whole[round(len(whole) * row / 3) :][: len(whole) // 3, column * whole.shape[1] // 2 :][
            :, : whole.shape[1] // 2
        ]
        for row in (2, 1, 0)
        for column in (0, 1)
    ]
    loudest = [int(np.nanargmax(np.nanmean(tile[:ROWS, :40], axis=1))) for tile in tiles[:5]]
    assert np.argsort(loudest).tolist() == np.argsort(pitches).tolist()
    assert np.isnan(tiles[5]).all()
    assert [text.get_text() for text in figure.axes[0].texts] == [f"{hz} Hz" for hz in pitches]
