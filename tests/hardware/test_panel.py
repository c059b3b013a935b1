"""Panels that fit a rack: Eurorack dimensions, room for fingers, nothing of the board forgotten."""

from __future__ import annotations

import itertools
import math
import re
import tomllib
from pathlib import Path

import pytest

from common.refusal import Refusal
from hardware.board import available_boards, load_board
from hardware.panel import (
    HEIGHT_MM,
    RAIL_MM,
    PanelFile,
    Row,
    board_parts,
    check,
    load_panel,
    panel_of,
    place,
    printed_names,
    svg,
    write_dxf,
)
from tests.browser import CHROMIUM, browser

pytestmark = pytest.mark.fast

PANELS = ("patch_sm", "rpi")
DOCS = Path(__file__).resolve().parents[2] / "hardware" / "panels"


@pytest.mark.parametrize("name", PANELS)
def test_mounting_holes_are_where_rails_have_them(name):
    panel = load_panel(name)
    assert panel.width_mm == pytest.approx(panel.hp * 5.08 - 0.3, abs=0.01)
    xs = sorted({x for x, _ in panel.mounts})
    assert xs[0] == 7.5
    assert xs[1] == pytest.approx(7.5 + (panel.hp - 3) * 5.08)
    assert sorted({y for _, y in panel.mounts}) == [3.0, 125.5]
    # rails have a thread every HP: both columns must be whole HP apart
    assert (xs[1] - xs[0]) / 5.08 == pytest.approx(panel.hp - 3)


@pytest.mark.parametrize("name", PANELS)
def test_every_part_of_the_board_is_on_the_panel(name):
    board = load_board("rpi4" if name == "rpi" else name)
    assert {part.name for part in load_panel(name).parts} == board_parts(board)


def test_the_pi_panel_serves_both_pis():
    assert board_parts(load_board("rpi4")) == board_parts(load_board("rpi5"))


@pytest.mark.parametrize("name", PANELS)
def test_dxf_and_svg_have_the_same_holes(name, tmp_path):
    import ezdxf

    panel = load_panel(name)
    write_dxf(panel, tmp_path / "panel.dxf")
    document = ezdxf.readfile(tmp_path / "panel.dxf")
    assert document.units == ezdxf.units.MM
    circles = document.modelspace().query('CIRCLE[layer=="DRILL"]')
    cut = sorted(
        (round(c.dxf.center.x, 2), round(HEIGHT_MM - c.dxf.center.y, 2), round(c.dxf.radius, 2))
        for c in circles
    )
    number = r'([\d.]+)"'
    pattern = rf'class="(?:hole|mount)" cx="{number} cy="{number} r="{number}'
    drawn = sorted(tuple(round(float(v), 2) for v in m) for m in re.findall(pattern, svg(panel)))
    assert cut == drawn
    outline = document.modelspace().query('LWPOLYLINE[layer=="OUTLINE"]')[0]
    assert max(point[0] for point in outline) == panel.width_mm
    assert max(point[1] for point in outline) == HEIGHT_MM


@pytest.mark.parametrize("name", PANELS)
def test_the_drawings_in_the_tree_are_of_today(name, tmp_path):
    assert (DOCS / f"{name}.svg").read_text() == svg(load_panel(name)), "run `vaectrol board panel`"
    assert (DOCS / f"{name}.dxf").exists()


@pytest.mark.parametrize("name", PANELS)
def test_every_part_of_a_drawing_is_a_group_that_says_which(name):
    panel = load_panel(name)
    groups = re.findall(
        r'<g id="(\w+)" data-part="(\w+)" data-kind="(\w+)">\n<circle class="cap"', svg(panel)
    )
    assert groups == [(part.name, part.name, part.kind) for part in panel.parts]


@pytest.mark.parametrize("name", available_boards())
def test_every_board_has_a_panel_to_look_at(name):
    board = load_board(name)
    panel = panel_of(board)
    names = [part.name for part in panel.parts]
    assert len(set(names)) == len(names)
    pinned = board_parts(board)
    assert pinned <= set(names)
    for index, part in enumerate(panel.parts):
        reach = part.size.keep_out_mm / 2
        assert reach <= part.x_mm <= panel.width_mm - reach
        assert RAIL_MM + part.size.hole_mm / 2 <= part.y_mm <= HEIGHT_MM - RAIL_MM - part.size.hole_mm / 2
        for other in panel.parts[:index]:
            apart = math.hypot(part.x_mm - other.x_mm, part.y_mm - other.y_mm)
            assert apart >= (part.size.keep_out_mm + other.size.keep_out_mm) / 2, (part.name, other.name)


@pytest.mark.parametrize("name", available_boards())
def test_no_two_knobs_or_jacks_of_a_panel_have_the_same_name(name):
    board = load_board(name)
    panel = panel_of(board)
    printed = {part.name: part.label for part in panel.parts if part.kind in ("knob", "jack")}
    assert all(printed.values())
    assert len(set(printed.values())) == len(printed)
    assert printed.items() <= printed_names(board).items()


def test_two_parts_of_one_name_are_refused():
    board = load_board("patch_sm")
    twin = board.adcs[1].model_copy(update={"label": "CV 1"})
    board = board.model_copy(update={"adcs": (board.adcs[0], twin, *board.adcs[2:])})
    file = PanelFile.model_validate(tomllib.loads((DOCS / "patch_sm.toml").read_text()))
    with pytest.raises(Refusal, match="cv_1 and cv_2 of patch_sm are both called 'CV 1'"):
        check(place(file, board), board, "x.toml")


def test_the_pi_panel_leaves_room_for_real_knobs():
    for name in PANELS:
        knobs = [part for part in load_panel(name).parts if part.kind == "knob"]
        apart = [b.x_mm - a.x_mm for a, b in itertools.pairwise(knobs) if a.y_mm == b.y_mm]
        assert len(apart) == 3 and min(apart) >= 17.0


BOXES = """
[...document.querySelectorAll('svg text')].map((one) => {
  const b = one.getBoundingClientRect();
  return [one.textContent, b.left, b.top, b.right, b.bottom];
})
"""


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
@pytest.mark.parametrize("width", [1280, 400])
def test_no_words_of_a_panel_lie_over_others_or_leave_it(width, tmp_path):
    with browser() as chromium:
        for name in available_boards():
            page = tmp_path / f"{name}.html"
            drawn = re.sub(
                r' width="[\d.]+mm" height="[\d.]+mm"',
                ' width="100%"',
                svg(panel_of(load_board(name))),
                count=1,
            )
            page.write_text(f'<!doctype html><body style="margin:0">{drawn}</body>', encoding="utf-8")
            chromium.size(width, 900)
            chromium.open(page.as_uri())
            boxes = chromium.run(BOXES)
            assert len(boxes) > 10
            for at, (text, left, top, right, bottom) in enumerate(boxes):
                assert left >= 0 and right <= width, (name, text)
                for other, *(x0, y0, x1, y1) in boxes[:at]:
                    assert not (left < x1 and x0 < right and top < y1 and y0 < bottom), (name, text, other)
            outputs = "[...document.querySelectorAll('svg > rect')].slice(1)"
            wide = chromium.run(f"{outputs}.map((one) => one.getBoundingClientRect().width)")
            inside = {part.label for part in panel_of(load_board(name)).parts if part.is_output}
            written = [right - left for text, left, _, right, _ in boxes if text in inside]
            assert len(written) == len(wide) and max(written) < min(wide), name


def test_a_board_finds_its_own_panel_first():
    assert panel_of(load_board("patch_sm")) == load_panel("patch_sm")
    assert panel_of(load_board("rpi5")) == load_panel("rpi")


CROWDED = (
    Row(y_mm=30, kind="knob", parts=("knob_1", "knob_2", "knob_3", "knob_4")),
    Row(y_mm=38, kind="jack", parts=("cv_1", "cv_2", "cv_3", "cv_4")),
)


def described(**changes) -> PanelFile:
    rows = (
        Row(y_mm=30, kind="knob", parts=("knob_1", "knob_2", "knob_3", "knob_4")),
        Row(y_mm=60, kind="jack", parts=("cv_1", "cv_2", "cv_3", "cv_4")),
    )
    return PanelFile(**({"board": "rpi4", "title": "x", "hp": 14, "rows": rows} | changes))


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"rows": CROWDED}, r"cv_1 and knob_1 are 8\.0 mm apart and need 12\.[78] mm"),
        ({"hp": 8}, "knob_1 reaches over the edge"),
        ({"rows": (Row(y_mm=12, kind="jack", parts=("cv_1",)),)}, "has no place"),
        ({"rows": (Row(y_mm=60, kind="jack", parts=("cv_9",)),)}, "rpi4 has no cv_9"),
        ({}, "has no place on the panel"),
    ],
)
def test_a_panel_that_cannot_be_built_is_refused(changes, sentence):
    board = load_board("rpi4")
    panel = place(described(**changes), board)
    if "apart" in sentence or "edge" in sentence:  # this much is on the panel at all
        board = board.model_copy(
            update={"audio": board.audio.model_copy(update={"inputs": 0, "outputs": 0})}
            | {field: () for field in ("dacs", "gates_in", "gates_out", "buttons", "leds")}
        )
    with pytest.raises(Refusal, match=sentence):
        check(panel, board, "x.toml")


def test_bad_files_are_refused_in_a_sentence(tmp_path):
    bad = tmp_path / "p.toml"
    bad.write_text('board = "rpi4"\ntitle = "x"\nhp = 3\nrows = []\n')
    with pytest.raises(Refusal, match=r"p\.toml line 3: hp"):
        load_panel(bad)
    with pytest.raises(Refusal, match="choose patch_sm, rpi"):
        load_panel("nothing")
