"""Where every symbol stands on the sheet: sections below each other, in as many columns as they take."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from hardware.schematic.circuit import Circuit, Placed

GRID_MM = 2.54
"""KiCad's; pins and labels meet on it."""
PAPERS_MM = {"A3": (420.0, 297.0), "A2": (594.0, 420.0), "A1": (841.0, 594.0)}
MARGIN_MM = 10 * GRID_MM
COLUMN_MM = 30 * GRID_MM
"""A box, its pins, and a name of a net on both sides."""
SECTION_MM = 150.0
"""Height of a section that is drawn alone."""
TITLE_MM, GAP_MM = 3 * GRID_MM, 2 * GRID_MM
BOX_MM, SMALL_BOX_MM = 8 * GRID_MM, 4 * GRID_MM
PIN_MM = GRID_MM


@dataclass(frozen=True)
class Spot:
    """A symbol: the middle of its box, and half the box."""

    part: Placed
    x_mm: float
    y_mm: float
    half_width_mm: float
    half_height_mm: float

    def ends(self) -> Iterator[tuple[str, str, float, float, bool]]:
        """Every pin: number, net, where its end lies, and whether that is on the left."""
        for number, (x, y, left) in pin_places(self.part).items():
            yield number, self.part.nets[number], round(self.x_mm + x, 2), round(self.y_mm - y, 2), left


@dataclass(frozen=True)
class Sheet:
    """The whole drawing; titles with their places."""

    paper: str
    width_mm: float
    height_mm: float
    spots: tuple[Spot, ...]
    titles: tuple[tuple[str, float, float], ...]


def half_box(part: Placed) -> tuple[float, float]:
    """Half the width and height of a part's box."""
    left, right = part.symbol.sides
    rows = max(len(left), len(right))
    width = BOX_MM if len(part.symbol.pins) > 2 else SMALL_BOX_MM
    return width / 2, (rows + 1) * GRID_MM / 2


def pin_places(part: Placed) -> dict[str, tuple[float, float, bool]]:
    """Where each pin ends, from the middle of the box, y upwards; whether on the left."""
    half_width, half_height = half_box(part)
    found = {}
    for pins, sign in zip(part.symbol.sides, (-1, 1), strict=True):
        for row, pin in enumerate(pins):
            y = half_height - (row + 1) * GRID_MM
            found[pin.number] = (sign * (half_width + PIN_MM), round(y, 2), sign < 0)
    return found


def sheet_of(circuit: Circuit) -> Sheet:
    """Lay a circuit out on the smallest paper that takes it."""
    for paper, (width, height) in PAPERS_MM.items():
        spots, titles, columns = _packed(circuit, height - MARGIN_MM)
        if MARGIN_MM + columns * COLUMN_MM <= width or paper == list(PAPERS_MM)[-1]:
            break
    return Sheet(paper, width, height, tuple(spots), tuple(titles))


def section_sheet(circuit: Circuit, title: str) -> Sheet:
    """Lay one section out alone, on a sheet just large enough: for a step of the build guide."""
    alone = replace(circuit, sections=[one for one in circuit.sections if one[0] == title])
    spots, titles, columns = _packed(alone, SECTION_MM)
    bottom = max(spot.y_mm + spot.half_height_mm for spot in spots) + GAP_MM
    return Sheet("", MARGIN_MM + columns * COLUMN_MM, bottom, tuple(spots), tuple(titles))


def _packed(circuit: Circuit, bottom_mm: float) -> tuple[list[Spot], list[tuple[str, float, float]], int]:
    spots: list[Spot] = []
    titles: list[tuple[str, float, float]] = []
    column, y = 0, MARGIN_MM
    for title, references in circuit.sections:
        for place, reference in enumerate(references):
            part = circuit.parts[reference]
            half_width, half_height = half_box(part)
            tall = 2 * half_height + GAP_MM + (TITLE_MM if place == 0 else 0)
            if y + tall > bottom_mm:
                column, y = column + 1, MARGIN_MM
            x = MARGIN_MM + column * COLUMN_MM + COLUMN_MM / 2
            if place == 0:
                titles.append((title, x - COLUMN_MM / 2 + GRID_MM, y))
                y += TITLE_MM
            middle = _on_grid(y + half_height + GRID_MM, half_height)
            spots.append(Spot(part, _on_grid(x, half_width), middle, half_width, half_height))
            y = middle + half_height + GAP_MM
    return spots, titles, column + 1


def _on_grid(at_mm: float, half_mm: float) -> float:
    """Move the middle of a box so that its pins lie on the grid."""
    odd = round(2 * half_mm / GRID_MM) % 2
    steps = round(at_mm / GRID_MM)
    return round((steps + (0.5 if odd else 0.0)) * GRID_MM, 2)
