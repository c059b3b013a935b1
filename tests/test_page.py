"""The frame of all pages: whole, readable at every width and by everybody, and the only one."""

from __future__ import annotations

import base64
import io
from pathlib import Path

import numpy as np
import pytest
import soundfile

from common.figure import COLOURS, INK, new_figure
from common.page import PREDICTED, Cell, Finding, Heard, Page, Sound, number, sound_source
from common.spectrogram import card
from tests.pages import CHROMIUM, check_page, overflow

ROOT = Path(__file__).resolve().parents[1]


def tone(hz: float = 1000.0, seconds: float = 0.2) -> np.ndarray:
    return 0.5 * np.sin(2 * np.pi * hz * np.arange(int(48_000 * seconds)) / 48_000)


def everything(folder: Path) -> Page:
    """A page with one of each part, in shapes that tempt it to grow too wide."""
    page = Page("Everything & more", "One of each part.", "Hash 00ff.")
    page.opening.figures({"CPU, mean": "34.8 %", "worst callback": Cell("103 %", grave=True)})
    beside = Sound("kick.wav", sound_source(tone(), 48_000), card(tone(), 48_000, "A tone"))
    page.opening.findings(
        [
            Finding("fine", "All is well."),
            Heard(Finding("fix", "This <one> clips.", ["a/very/long/name" * 9 + ".wav"]), [beside] * 3),
        ]
    )
    section = page.section("Tables", "Wide ones scroll.", tag="predicted")
    section.table(
        ["layer", *(f"figure {n}, ms" for n in range(30))], [["x" * 90, *range(30)]], note=PREDICTED
    )
    section.table(
        ["file", "share", "why"], [[Cell("a" * 200, code=True), Cell(bar=0.5), Cell("b", link="b.html")]]
    )
    section = page.section("Pictures", level=3)
    figure, axes = new_figure(width=12)
    axes[0, 0].plot([1, 2], [3, 4], color=INK)
    axes[0, 0].set_title("a title")
    section.picture(figure, 'what "it" shows', "A caption.")
    png = folder / "drawn.png"
    figure.savefig(png)
    section.picture(png, "the same as a file")
    section.points(["one", Cell("vaectrol demo", code=True)])
    section.text("w" * 300)
    (folder / "b.html").touch()
    return page


def test_a_page_of_everything_is_whole(tmp_path):
    text = everything(tmp_path).html()
    check_page(text, tmp_path)
    assert "Everything &amp; more" in text and "This &lt;one&gt; clips." in text
    assert text.index("This &lt;one&gt;") < text.index("All is well.")  # the gravest first
    assert PREDICTED in text
    assert INK not in text.replace("--ink: " + INK, "")  # drawings follow the page's colours
    assert everything(tmp_path).html() == text


@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
@pytest.mark.parametrize("width", [400, 1280])
def test_no_page_is_wider_than_its_window(tmp_path, width):
    page = tmp_path / "page.html"
    page.write_text(everything(tmp_path).html())
    assert overflow(page, width) == 0


def test_there_is_one_frame_for_all_pages():
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT)
        if inside.parts[0] in (".venv", "tests", "build", "shared"):
            continue
        text = path.read_text().lower()
        assert "<style" not in text and "<!doctype" not in text, inside


def test_spectrograms_are_drawn_in_one_place():
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT)
        if inside.parts[0] not in (".venv", "tests", "build", "shared"):
            assert ".specgram(" not in path.read_text(), inside


def test_a_sound_on_a_page_is_what_was_given():
    source = sound_source(tone(), 48_000)
    kind, data = source.split(",", 1)
    assert kind == "data:audio/flac;base64"
    audio, rate = soundfile.read(io.BytesIO(base64.b64decode(data)))
    assert rate == 48_000
    assert np.abs(audio - tone()).max() < 1e-4


@pytest.mark.parametrize(
    ("value", "written"),
    [
        (3, "3"),
        (123_456, "123,456"),
        (12_345.6, "12,346"),
        (0.12345, "0.123"),
        (-2.5, "−2.50"),
        (1e-7, "1.00e−07"),
        (120.0, "120"),
        (3.0, "3.00"),
        (0.0, "0"),
        (float("inf"), "∞"),
        (float("nan"), "–"),
    ],
)
def test_numbers_are_written_for_people(value, written):
    assert number(value) == written


@pytest.mark.parametrize("text", ["34.8 %", "−80 dB", "1,234", "2.78 ms", "0.5×", "±3 dB", "1e−07", "∞"])
def test_numbers_stand_to_the_right(text):
    assert Cell(text).is_number


@pytest.mark.parametrize("text", ["12 take.wav", "kick", "", "3/4", "ordinary (1.1×)"])
def test_words_stand_to_the_left(text):
    assert not Cell(text).is_number


def test_the_colours_can_be_told_apart():
    assert len(set(COLOURS)) == len(COLOURS) == 10
