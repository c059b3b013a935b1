"""Manuals: one page an instrument and board, every control on it, nothing over anything else."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from pathlib import Path

import pytest

import vaectrol
from firmware.build import generate
from firmware.instruments.presets import load_presets
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.manual.facts import JACK, manual_of
from firmware.manual.figure import card, numbered
from firmware.manual.write import POINTS, manual_html, write_manual
from hardware.board import available_boards, load_board
from hardware.panel import HEIGHT_MM, panel_of
from tests.browser import CHROMIUM, browser

SHORT = [("drum", "patch_sm"), ("groove", "rpi4"), ("rhythm", "host"), ("drive", "patch_init")]
WHOLE = [(name, board) for name in available_instruments() for board in available_boards()]
A4_PX = 794
try:
    import weasyprint
except (ImportError, OSError):
    weasyprint = None
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
needs_pdf = pytest.mark.skipif(weasyprint is None, reason="WeasyPrint is not here: pip install weasyprint")

# Boxes of everything that holds words: leaves of the page, and words in drawings.
BOXES = """
(() => {
  const found = [];
  for (const one of document.querySelectorAll('h1, h2, p, li, td, th, svg text')) {
    const b = one.getBoundingClientRect();
    const text = one.textContent.trim();
    if (b.width && text) found.push([text, b.left, b.top, b.right, b.bottom]);
  }
  return found;
})()
"""

# How far the page, or a part of it that can be pushed aside, is wider than its place.
WIDER = """
Math.max(...[document.documentElement, ...document.querySelectorAll('.scroll')]
  .map((one) => one.scrollWidth - one.clientWidth))
"""


@cache
def facts(name, board):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return manual_of(generate(name, board, Path(folder)))


def overlaps(boxes):
    """Pairs that share more than half a pixel in both directions."""
    return [
        (a[0], b[0])
        for at, a in enumerate(boxes)
        for b in boxes[:at]
        if min(a[3], b[3]) - max(a[1], b[1]) > 0.5 and min(a[4], b[4]) - max(a[2], b[2]) > 0.5
    ]


def looked_at(cases, tmp_path):
    with browser() as chromium:
        for name, board in cases:
            manual = facts(name, board)
            pages = {"page": manual_html(manual, POINTS[0]), "card": card(manual)}
            for what, text in pages.items():
                file = tmp_path / f"{name}-{board}-{what}.{'html' if what == 'page' else 'svg'}"
                file.write_text(text, encoding="utf-8")
                for width in (1280, A4_PX, 400) if what == "page" else (1280,):
                    chromium.size(width, 1000)
                    chromium.open(file.as_uri())
                    boxes = chromium.run(
                        BOXES if what == "page" else BOXES.replace("h1, h2, p, li, td, th, ", "")
                    )
                    assert len(boxes) > 10
                    assert overlaps(boxes) == [], (name, board, what, width)
                    if what == "page":
                        assert chromium.run(WIDER) <= 0, (name, board, width)


@needs_chromium
def test_nothing_lies_over_anything_else(tmp_path):
    looked_at(SHORT, tmp_path)


@needs_chromium
@pytest.mark.slow
def test_nothing_lies_over_anything_else_on_any_board(tmp_path):
    looked_at(WHOLE, tmp_path)


@needs_pdf
@pytest.mark.slow
@pytest.mark.parametrize("board", available_boards())
@pytest.mark.parametrize("name", available_instruments())
def test_every_manual_is_one_page(name, board, tmp_path):
    assert write_manual(name, board, tmp_path).pages == 1


@pytest.mark.parametrize(("name", "board"), SHORT)
def test_the_page_says_every_control_gate_output_and_preset(name, board):
    manual, loaded = facts(name, board), load_instrument(name)
    page = manual_html(manual, POINTS[0])
    text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)).replace("&#39;", "'")
    there = {part.name for part in manual.panel.parts}
    for row in [*loaded.spec.control, *(one for one in loaded.spec.gate if there & set(one.jacks))]:
        assert row.words in text, row.to
    for output in loaded.spec.output:
        assert (output.words in text) == (output.jack in there), output.jack
    for preset in load_presets(loaded):
        assert preset.name in text and preset.words in text
    assert "Predicted, never measured on a board." in text
    assert "{" not in " ".join(manual.ideas)
    numbers = re.findall(r'class="callout".*?>(\d+)</text>', page)
    assert sorted(set(map(int, numbers))) == [row.number for row in manual.rows]
    for where in (name for row in manual.rows for name in row.where.replace("\u00a0", " ").split(", ")):
        assert where == "button" or f">{where}</text>" in page


@pytest.mark.parametrize("name", available_instruments())
def test_every_instrument_has_ideas_for_a_patch(name):
    """Of jacks that a Patch SM has, so that its manual names three at least."""
    labels = {part.name: part.label for part in panel_of(load_board("patch_sm")).parts}
    ideas = load_instrument(name).spec.ideas
    assert sum(all(jack in labels for jack in JACK.findall(idea)) for idea in ideas) >= 3


@pytest.mark.parametrize(("name", "board"), [*SHORT, ("ear", "patch_sm"), ("modal", "patch_sm")])
def test_the_numbers_of_a_figure_lie_apart_and_on_the_panel(name, board):
    manual = facts(name, board)
    text = numbered(manual)
    found = re.findall(r'callout"><circle cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', text)
    badges = [tuple(map(float, one)) for one in found]
    assert len(badges) == sum(len(row.parts) for row in manual.rows)
    for at, (x, y, radius) in enumerate(badges):
        assert radius <= x <= manual.panel.width_mm - radius
        for other_x, other_y, _ in badges[:at]:
            assert math.hypot(x - other_x, y - other_y) >= 2 * radius, (x, y)


def test_the_card_has_the_panels_holes_at_true_size():
    manual = facts("drum", "patch_sm")
    drawn = card(manual)
    width = manual.panel.width_mm
    assert f'width="{width}mm" height="{HEIGHT_MM}mm" viewBox="0 0 {width} {HEIGHT_MM}"' in drawn
    holes = re.findall(r'class="cut" cx="([\d.]+)" cy="([\d.]+)" r="([\d.]+)"', drawn)
    cut = {(float(x), float(y)): 2 * float(r) for x, y, r in holes}
    for part in manual.panel.parts:
        assert cut[part.x_mm, part.y_mm] >= part.size.hole_mm
    assert set(manual.panel.mounts) <= set(cut)


def test_the_command_writes_page_and_card(tmp_path, capsys):
    assert vaectrol.main(["manual", "drum", "--board", "patch_sm", "-o", str(tmp_path), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    names = {Path(file).name for file in told["files"]}
    assert {"drum-patch_sm.html", "drum-patch_sm.card.svg"} <= names
    if weasyprint is not None:
        assert (tmp_path / "drum-patch_sm.pdf").read_bytes().startswith(b"%PDF")
        assert told["pages"] == 1 and not told["missing"]


def test_without_a_printer_the_page_is_still_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("firmware.manual.write._printer", lambda: None)
    assert vaectrol.main(["manual", "drum", "--board", "patch_sm", "-o", str(tmp_path)]) == 0
    assert "no PDF without WeasyPrint" in capsys.readouterr().out
    assert sorted(file.suffix for file in tmp_path.iterdir()) == [".html", ".svg"]


def test_a_board_that_cannot_carry_it_is_refused(tmp_path, capsys):
    board = tmp_path / "slow.toml"
    board.write_text('extends = "patch_sm"\nname = "slow"\n[processor]\nclock_hz = 20e6\n')
    assert vaectrol.main(["manual", "drum", "--board", str(board), "-o", str(tmp_path / "out")]) == 2
    assert "so there is no manual for it there" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_boards_are_known():
    assert {board for _, board in SHORT} <= set(available_boards())
    assert all(load_board(board).audio.outputs for _, board in SHORT)
