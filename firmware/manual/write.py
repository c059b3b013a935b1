"""`vaectrol manual`: the page as HTML and PDF, the card as SVG and PDF.

The PDF is the HTML page, laid out by WeasyPrint on A4: one source for both. It is optional (``pip install
'vaectrol[manual]'``); without it the page and the card are written, and the command says what is missing.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common.files import whole, write_text
from common.page import template
from common.refusal import DoesNotFit
from firmware.build import generate
from firmware.manual.facts import Manual, manual_of
from firmware.manual.figure import card, numbered
from hardware.board import Board
from hardware.panel import HEIGHT_MM

if TYPE_CHECKING:
    from weasyprint import HTML

POINTS = (8.4, 7.8, 7.2, 6.6, 6.0)
"""Sizes of the type, the first that leaves it on one page."""
NARROW_MM, WIDE_MM, WIDE_PANEL_MM = 62, 84, 80.0
NARROWEST_SHEET_MM, BELOW_CARD_MM = 105, 8
MARGIN_MM = 12
MISSING = (
    "no PDF without WeasyPrint: `pip install 'vaectrol[manual]'` (it needs Pango: apt install libpango-1.0-0)"
)


@dataclass
class Written:
    """Files that were made, pages of the manual's PDF, and what is missing, in words."""

    files: list[Path] = field(default_factory=list)
    pages: int = 0
    missing: str = ""


def write_manual(
    instrument: str | Path, board: str | Path | Board, out: Path, models: Mapping[str, Path] | None = None
) -> Written:
    """Write NAME-BOARD.html and .pdf, NAME-BOARD.card.svg and .card.pdf into `out`.

    Raises
    ------
    DoesNotFit
        The board has no time for the instrument.
    """
    with tempfile.TemporaryDirectory(prefix="vaectrol-manual-") as folder:
        built = generate(instrument, board, Path(folder), models=models)
        if built.report["cpu_worst"] > 1.0 and built.board.processor.target != "host":
            raise DoesNotFit(
                f"{built.name} would need {built.report['cpu_worst']:.0%} of the processor of "
                f"{built.board.name} (predicted), so there is no manual for it there; choose another board."
            )
        manual = manual_of(built)
    stem = out / f"{built.name}-{built.board.name}"
    html, drawn = _printer(), card(manual)
    page, document = manual_html(manual, POINTS[0]), None
    if html is not None:
        for points in POINTS:
            page = manual_html(manual, points)
            document = html(string=page).render()
            if len(document.pages) == 1:
                break
    written = Written(missing="" if html is not None else MISSING)
    out.mkdir(parents=True, exist_ok=True)
    for suffix, text in ((".html", page), (".card.svg", drawn)):
        write_text(Path(f"{stem}{suffix}"), text)
        written.files.append(Path(f"{stem}{suffix}"))
    if html is not None and document is not None:
        written.pages = len(document.pages)
        sheets = {".pdf": document, ".card.pdf": html(string=_sheet(drawn, manual)).render()}
        for suffix, sheet in sheets.items():
            with whole(Path(f"{stem}{suffix}")) as part:
                sheet.write_pdf(part)
            written.files.append(Path(f"{stem}{suffix}"))
    return written


def _printer() -> type[HTML] | None:
    try:
        from weasyprint import HTML
    except (ImportError, OSError):  # OSError: Pango is missing
        return None
    return HTML


def manual_html(manual: Manual, points: float) -> str:
    """Write the page with type of `points`."""
    from markupsafe import Markup

    wide = manual.panel.width_mm > WIDE_PANEL_MM
    values: dict[str, Any] = {
        "manual": manual,
        "points": points,
        "figure": Markup(numbered(manual)),
        "figure_mm": WIDE_MM if wide else NARROW_MM,
    }
    return template(Path(__file__).with_name("page.html")).render(values)


def _sheet(drawn: str, manual: Manual) -> str:
    """Put the card on a sheet that is just large enough; print it at 100 %."""
    from markupsafe import Markup

    return template(Path(__file__).with_name("card.html")).render(
        title=manual.title,
        width_mm=max(manual.panel.width_mm + 2 * MARGIN_MM, NARROWEST_SHEET_MM),
        height_mm=HEIGHT_MM + 2 * MARGIN_MM + BELOW_CARD_MM,
        margin_mm=MARGIN_MM,
        drawn=Markup(drawn),
        frame=f"{manual.panel.width_mm:g} × {HEIGHT_MM:g}",
    )
