"""The panel with numbers at its parts, and a card of the panel's true size that says what each part does."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from html import escape

from firmware.manual.facts import Manual
from hardware.panel import HEIGHT_MM, Panel, Part, svg

BADGE_MM = 1.9
BADGE_AT: Mapping[str, tuple[float, float]] = {"knob": (6.3, 6.0), "jack": (5.9, 1.5)}
"""Where a number stands beside its part; small parts as jacks."""
LABEL_MM, SMALL_MM, NAME_MM, EM_PER_LETTER = 2.4, 1.9, 1.5, 0.66
"""Sizes of the card's words and of the panel's names below them; the width of a wide letter, in ems."""
CLEARANCE_MM = 0.4
"""A card's hole is so much wider than what goes through."""
THROUGH_MM: Mapping[str, float] = {"knob": 7.2, "jack": 6.2, "button": 6.8, "toggle": 5.2, "led": 3.2}


def numbered(manual: Manual) -> str:
    """Draw the panel with the numbers of the table beside its parts; as wide as there is room."""
    drawn = svg(manual.panel)
    label = f"Panel of {manual.board} with the numbers of the table beside its parts"
    drawn = re.sub(
        r' width="[\d.]+mm" height="[\d.]+mm"',
        f' role="img" aria-label="{escape(label, quote=True)}"',
        drawn,
        count=1,
    )
    at = {part.name: part for part in manual.panel.parts}
    badges = [
        _badge(at[name], row.number, manual.panel.width_mm)
        for row in manual.rows
        for name in row.parts
        if name in at
    ]
    return drawn.replace("</svg>", "\n".join([*badges, "</svg>"]))


def _badge(part: Part, number: int, width_mm: float) -> str:
    """Draw a number to the right of its part; where the panel ends, lower and as far right as it goes."""
    right, down = BADGE_AT.get(part.kind, BADGE_AT["jack"])
    x, y = part.x_mm + right, part.y_mm + down
    if (over := x + BADGE_MM + 0.2 - width_mm) > 0:
        x, y = x - over, part.y_mm + math.sqrt(right**2 - (right - over) ** 2)
    return (
        f'<g class="callout"><circle cx="{x:g}" cy="{y:g}" r="{BADGE_MM}" fill="#fff" stroke="#b3341f" '
        f'stroke-width="0.3"/><text x="{x:g}" y="{y + 0.75:g}" font-size="2.1" font-weight="bold" '
        f'text-anchor="middle" fill="#b3341f">{number}</text></g>'
    )


def card(manual: Manual) -> str:
    """Draw the overlay card at true size (1 user unit = 1 mm): cut along the lines, lay it over the panel."""
    panel = manual.panel
    width, middle = panel.width_mm, panel.width_mm / 2
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}mm" height="{HEIGHT_MM}mm" '
        f'viewBox="0 0 {width} {HEIGHT_MM}" role="img" aria-label="Overlay card of {escape(manual.title)}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f"<title>{escape(manual.title)}, card for {panel.hp} HP</title>",
        f'<rect width="{width}" height="{HEIGHT_MM}" fill="#fff" stroke="#000" stroke-width="0.2"/>',
        f'<text x="{middle:g}" y="15" font-size="{_size(manual.title, width * 0.8, 4.6):g}" '
        f'font-weight="bold" text-anchor="middle" fill="#1d2b36">{escape(manual.title)}</text>',
        f'<text x="{middle:g}" y="19" font-size="2" text-anchor="middle" fill="#555">Vaectrol</text>',
    ]
    lines += [_hole(x, y, 3.2) for x, y in panel.mounts]
    room = {part.name: _room(panel, part) for part in panel.parts}
    for part in panel.parts:
        lines.append(_hole(part.x_mm, part.y_mm, THROUGH_MM[part.kind] + CLEARANCE_MM))
        lines += _words(part, manual.functions.get(part.name, ""), room[part.name])
    return "\n".join([*lines, "</svg>", ""])


def _hole(x: float, y: float, diameter: float) -> str:
    return (
        f'<circle class="cut" cx="{x:g}" cy="{y:g}" r="{diameter / 2:g}" fill="none" stroke="#000" '
        'stroke-width="0.2"/>'
    )


def _room(panel: Panel, part: Part) -> float:
    """Width for a part's words: to the middle between it and its neighbours, and within the card."""
    others = [other.x_mm for other in panel.parts if other.y_mm == part.y_mm and other is not part]
    apart = min([abs(x - part.x_mm) for x in others], default=panel.width_mm)
    return min(apart, 2 * part.x_mm, 2 * (panel.width_mm - part.x_mm)) - 0.8


def _size(text: str, room_mm: float, largest_mm: float) -> float:
    return round(min(largest_mm, room_mm / (EM_PER_LETTER * max(1, len(text)))), 2)


def _words(part: Part, does: str, room_mm: float) -> list[str]:
    """What a part does above it, the panel's own name for it below."""
    small = part.kind in ("led", "button", "toggle")
    above, below = (8.3, 9.0) if part.kind == "knob" else (4.7, 5.6)
    lines = []
    if does:
        fill = "#b3341f" if part.is_output else "#1d2b36"
        y = part.y_mm + 5.2 if small else part.y_mm - above
        size = _size(does, room_mm, SMALL_MM if small else LABEL_MM)
        lines.append(
            f'<text x="{part.x_mm:g}" y="{y:g}" font-size="{size:g}" '
            f'font-weight="bold" text-anchor="middle" fill="{fill}">{escape(does)}</text>'
        )
    if part.label:
        lines.append(
            f'<text x="{part.x_mm:g}" y="{part.y_mm + below:g}" font-size="{NAME_MM}" text-anchor="middle" '
            f'fill="#555">{escape(part.label)}</text>'
        )
    return lines
