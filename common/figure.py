"""Figures in one style: drawn by matplotlib on light paper, or as SVG in the colours of a page."""

from __future__ import annotations

import html
import io
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.colors import Colormap
    from matplotlib.figure import Figure

INK, FAINT, GRID, PAPER, GROUND = "#22252b", "#8b8d92", "#dddddd", "#fbfaf7", "#ffffff"
# Okabe & Ito's palette, which colour-blind readers can tell apart and which stands on white and on black;
# two greys after it
COLOURS = (
    *("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8f7d5c", "#7478b3"),
    *("#9a9a9a", "#6a6e75"),
)
# Colours of the drawing → variables of page.css, so that a dark page has light axes
_THEME = {
    INK: "var(--ink)",
    "#000000": "var(--ink)",
    FAINT: "var(--faint)",
    GRID: "var(--line)",
    GROUND: "var(--card)",
    PAPER: "none",
}
SHADE = COLOURS[0]
_IMAGE_DPI = 110  # of what is no line: spectrograms, crowds of dots


def new_figure(
    rows: int = 1, columns: int = 1, width: float = 10.0, height: float = 3.2, **more: Any
) -> tuple[Figure, np.ndarray]:
    """Start a figure in the project's style, without pyplot's global state.

    Parameters
    ----------
    rows, columns : int
        Of the axes.
    width, height : float
        Inches; text is 9 points.
    **more
        For :meth:`matplotlib.figure.Figure.subplots`.

    Returns
    -------
    figure, axes
        Axes [rows, columns].
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.size": 9,
        "text.color": INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titlecolor": INK,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
        "axes.facecolor": GROUND,
        "grid.color": GRID,
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
        axes = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, axes


def shades() -> Colormap:
    """From nothing to full colour, for grids that stand on light and dark paper."""
    from matplotlib.colors import LinearSegmentedColormap

    return LinearSegmentedColormap.from_list("shades", [f"{SHADE}00", f"{SHADE}ff"])


def as_svg(figure: Figure, says: str) -> str:
    """Draw a figure as an SVG element for a page.

    Parameters
    ----------
    figure : Figure
        Of any style; the colours of :func:`new_figure` follow the page into dark mode.
    says : str
        What it shows, for those who cannot see it.
    """
    import matplotlib as mpl

    for axes in figure.axes:
        if (legend := axes.get_legend()) is not None:
            legend.set_frame_on(False)
    stream = io.StringIO()
    # a fixed salt and no date: the same data gives the same page
    with mpl.rc_context({"svg.hashsalt": "vaectrol", "svg.fonttype": "none"}):
        figure.savefig(
            stream,
            format="svg",
            dpi=_IMAGE_DPI,
            bbox_inches="tight",
            facecolor=PAPER,
            metadata={"Date": None},
        )
    svg = stream.getvalue()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[^"]*">', "<g>", svg)  # several figures stand on one page
    svg = re.sub("|".join(_THEME), lambda found: _THEME[found.group().lower()], svg, flags=re.IGNORECASE)
    return svg.replace("<svg ", f'<svg role="img" aria-label="{html.escape(says, quote=True)}" ', 1)
