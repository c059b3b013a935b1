"""The same sheet as SVG, for people without KiCad."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from hardware.panel import load_panel
from hardware.panel import svg as draw_panel
from hardware.schematic.circuit import Circuit
from hardware.schematic.layout import GRID_MM, PIN_MM, Sheet, Spot, section_sheet, sheet_of

INK, NET, FAINT = "#1d2b36", "#8a2b1a", "#5c6670"
TEXT_MM = 1.6
TITLE_AT_MM = 12.0
BOLD_WIDTH = 0.62
"""Of a letter of the title, as a share of its size, wide ones among them."""
BESIDE = {"knob": (9.6, 1.9, NET), "jack": (0.5, 1.35, "#fff"), "small": (5.8, 1.9, NET)}
"""Where a reference stands by its part, how large and in which ink: of a jack in its bore."""


def svg(circuit: Circuit) -> str:
    """Draw the schematic at true size (1 user unit = 1 mm)."""
    return _drawing(circuit, sheet_of(circuit), f"Schematic of the carrier for {circuit.board.title}")


def section_svg(circuit: Circuit, title: str) -> str:
    """Draw one section of it: what is soldered in one step."""
    return _drawing(circuit, section_sheet(circuit, title), f"{title}, {circuit.board.title}")


def panel_svg(circuit: Circuit) -> str:
    """Draw the panel with the references of the parts list beside its parts: what goes where."""
    panel = load_panel(circuit.name)
    at = {part.panel: part.reference for part in circuit.parts.values() if part.panel}
    badges = []
    for part in panel.parts:
        down, size, ink = BESIDE.get(part.kind, BESIDE["small"])
        badges.append(
            f'<text class="reference" x="{part.x_mm:g}" y="{part.y_mm + down:g}" font-size="{size:g}" '
            f'font-weight="bold" text-anchor="middle" fill="{ink}">{at[part.name]}</text>'
        )
    label = f"Panel of the carrier for {circuit.board.title}, with the references of its parts"
    drawn = draw_panel(panel).replace("<svg ", f'<svg role="img" aria-label="{escape(label)}" ', 1)
    return drawn.replace("</svg>", "\n".join([*badges, "</svg>"]))


def figures(circuit: Circuit) -> dict[str, str]:
    """Return every figure of the build guide by its file's name, without the carrier's."""
    steps = {
        f"{number}-{title.lower().replace(' ', '-')}": section_svg(circuit, title)
        for number, (title, _) in enumerate(circuit.sections, 1)
    }
    return {"panel": panel_svg(circuit), **steps}


def _drawing(circuit: Circuit, sheet: Sheet, title: str) -> str:
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{sheet.width_mm:g}mm" '
        f'height="{sheet.height_mm:g}mm" '
        f'viewBox="0 0 {sheet.width_mm:g} {sheet.height_mm:g}" font-family="Helvetica, Arial, sans-serif" '
        f'font-size="{TEXT_MM}" role="img" aria-label="{escape(title, quote=True)}">',
        f"<title>{escape(title)}</title>",
        f'<rect width="{sheet.width_mm:g}" height="{sheet.height_mm:g}" fill="#fff"/>',
        f'<text x="{TITLE_AT_MM:g}" y="12" font-size="{_title_mm(title, sheet):g}" font-weight="bold" '
        f'fill="{INK}">{escape(title)}</text>',
    ]
    for text, x, y in sheet.titles:
        lines.append(f'<text x="{x:g}" y="{y:g}" font-size="3" font-weight="bold" fill="{INK}">{text}</text>')
    for spot in sheet.spots:
        lines += _drawn(circuit, spot)
    return "\n".join([*lines, "</svg>", ""])


def _title_mm(title: str, sheet: Sheet) -> float:
    """Size of a title that ends on the sheet."""
    return round(min(5.0, (sheet.width_mm - 2 * TITLE_AT_MM) / (len(title) * BOLD_WIDTH)), 2)


def _drawn(circuit: Circuit, spot: Spot) -> Iterator[str]:
    x, y, wide, high = spot.x_mm, spot.y_mm, spot.half_width_mm, spot.half_height_mm
    reference = spot.part.reference
    yield f'<g id="{reference}">'
    yield (
        f'<rect x="{x - wide:g}" y="{y - high:g}" width="{2 * wide:g}" height="{2 * high:g}" fill="#fbf7e6" '
        f'stroke="{INK}" stroke-width="0.2"/>'
    )
    yield (
        f'<text x="{x - wide:g}" y="{y - high - 0.5:g}" fill="{INK}"><tspan font-weight="bold">{reference}'
        f"</tspan> {escape(circuit.value(reference))}</text>"
    )
    for number, net, at_x, at_y, left in spot.ends():
        inner = at_x + (PIN_MM if left else -PIN_MM)
        yield f'<path d="M{at_x:g} {at_y:g}H{inner:g}" stroke="{INK}" stroke-width="0.15"/>'
        name = spot.part.symbol.pin(number).name
        anchor = "start" if left else "end"
        yield (
            f'<text x="{inner + (0.5 if left else -0.5):g}" y="{at_y + 0.5:g}" font-size="1.3" '
            f'fill="{FAINT}" text-anchor="{anchor}">{escape(name)}</text>'
        )
        if net:
            outer = "end" if left else "start"
            yield (
                f'<text x="{at_x + (-0.5 if left else 0.5):g}" y="{at_y + 0.55:g}" fill="{NET}" '
                f'text-anchor="{outer}">{escape(net)}</text>'
            )
        else:
            half = GRID_MM / 5
            yield (
                f'<path class="open" d="M{at_x - half:g} {at_y - half:g}l{2 * half:g} {2 * half:g}m0 '
                f'{-2 * half:g}l{-2 * half:g} {2 * half:g}" stroke="{FAINT}" stroke-width="0.2"/>'
            )
    yield "</g>"
