"""One self-contained HTML page: headings, tables, findings in plain words and SVG figures."""

from __future__ import annotations

import html
import io
from typing import Any

INK, PAPER, FAINT = "#22252b", "#fbfaf7", "#8b8d92"
# Okabe & Ito's palette, which colour-blind readers can tell apart, and two greys
COLOURS = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#7a6a4f",
    "#5b5f97",
    "#9a9a9a",
    "#111111",
)
SPLIT_COLOURS = {"train": "#0072B2", "validation": "#E69F00", "test": "#D55E00"}
LEVELS = {"fix": "to mend", "look": "worth a look", "fine": "good to know"}

_STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.55 system-ui, sans-serif; color: #22252b; background: #fbfaf7; margin: 0; }
main { max-width: 68rem; margin: 0 auto; padding: 2.5rem 1.5rem 4rem; }
h1 { font-size: 1.7rem; margin: 0 0 1.2rem; letter-spacing: -.01em; }
h2 { font-size: 1.2rem; margin: 2.6rem 0 .2rem; }
p.note { margin: .1rem 0 .8rem; color: #5d6067; max-width: 46rem; }
.figures { display: flex; flex-wrap: wrap; gap: .7rem; margin: 0 0 1.6rem; }
.figures div { background: #fff; border: 1px solid #e4e1d8; border-radius: .5rem; padding: .6rem 1rem;
  min-width: 5.5rem; }
.figures b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
.figures span { color: #5d6067; font-size: .82rem; }
.finding { border-left: .28rem solid #c9c6bc; background: #fff; padding: .55rem 1rem; margin: .5rem 0;
  border-radius: 0 .4rem .4rem 0; }
.finding.fix { border-color: #D55E00; } .finding.look { border-color: #E69F00; }
.finding.fine { border-color: #009E73; }
.finding i { font-style: normal; font-size: .78rem; color: #5d6067; text-transform: uppercase;
  letter-spacing: .05em; display: block; }
details { margin: .3rem 0; font-size: .88rem; color: #44474e; } summary { cursor: pointer; }
code { font-size: .85em; overflow-wrap: anywhere; }
table { border-collapse: collapse; font-size: .88rem; background: #fff; margin: .4rem 0; }
th, td { text-align: left; padding: .28rem .8rem .28rem .6rem; border-bottom: 1px solid #eceae3;
  vertical-align: top; white-space: nowrap; }
td.long { white-space: normal; min-width: 20rem; }
th { color: #5d6067; font-weight: 600; } td.n { text-align: right; font-variant-numeric: tabular-nums; }
.scroll { overflow: auto; max-height: 26rem; width: fit-content; max-width: 100%; border: 1px solid #e4e1d8;
  border-radius: .4rem; margin: .4rem 0; background: #fff; } .scroll table { margin: 0; }
figure { margin: .6rem 0; } figure svg { max-width: 100%; height: auto; }
footer { margin-top: 3rem; color: #5d6067; font-size: .85rem; }
"""


class Page:
    """A page that is written from top to bottom; findings are collected and shown first."""

    def __init__(self, title: str):
        self.title = title
        self.parts: list[str] = []
        self.top: list[str] = []
        self.foot = ""

    def figures_in_words(self, figures: dict[str, str]) -> None:
        """Show a row of large numbers with their names."""
        boxes = "".join(
            f"<div><b>{html.escape(v)}</b><span>{html.escape(k)}</span></div>" for k, v in figures.items()
        )
        self.top.append(f'<div class="figures">{boxes}</div>')

    def findings_first(self, findings: list[dict[str, Any]]) -> None:
        """Show findings, the gravest first, each with the files it names folded away."""
        order = list(LEVELS)
        for finding in sorted(findings, key=lambda one: order.index(one["level"])):
            files = ""
            if finding["files"]:
                names = "<br>".join(f"<code>{html.escape(str(name))}</code>" for name in finding["files"])
                count = len(finding["files"])
                files = f"<details><summary>{count} file{'s' * (count != 1)}</summary>{names}</details>"
            self.top.append(
                f'<div class="finding {finding["level"]}"><i>{LEVELS[finding["level"]]}</i>'
                f"{html.escape(finding['text'])}{files}</div>"
            )

    def heading(self, text: str, note: str = "") -> None:
        """Begin a section."""
        self.parts.append(f"<h2>{html.escape(text)}</h2>")
        if note:
            self.parts.append(f'<p class="note">{html.escape(note)}</p>')

    def table(self, head: list[str], rows: list[list[Any]]) -> None:
        """Show a table; long ones scroll."""
        cells = "".join(f"<th>{html.escape(name)}</th>" for name in head)
        body = "".join("<tr>" + "".join(_cell(value) for value in row) + "</tr>" for row in rows)
        table = f"<table><thead><tr>{cells}</tr></thead><tbody>{body}</tbody></table>"
        self.parts.append(f'<div class="scroll">{table}</div>')

    def figure(self, drawing: Any, says: str) -> None:
        """Put a matplotlib figure into the page as SVG and close it.

        Parameters
        ----------
        drawing : matplotlib.figure.Figure
        says : str
            What it shows, for those who cannot see it.
        """
        import matplotlib as mpl

        stream = io.StringIO()
        # a fixed salt and no date: the same data gives the same page
        with mpl.rc_context({"svg.hashsalt": "vaectrol", "svg.fonttype": "none"}):
            drawing.savefig(stream, format="svg", bbox_inches="tight", metadata={"Date": None})
        svg = stream.getvalue()
        svg = svg[svg.index("<svg") :]
        self.parts.append(f'<figure role="img" aria-label="{html.escape(says, quote=True)}">{svg}</figure>')

    def closing(self, text: str) -> None:
        """Write the last line of the page."""
        self.foot = html.escape(text)

    def html(self) -> str:
        """The whole page."""
        return (
            f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
            f"<title>{html.escape(self.title)}</title>"
            f'<meta name="viewport" content="width=device-width"><style>{_STYLE}</style></head><body><main>'
            f"<h1>{html.escape(self.title)}</h1>{''.join(self.top)}{''.join(self.parts)}"
            f"<footer><code>{self.foot}</code></footer></main></body></html>\n"
        )


def _cell(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return f"<td>{'yes' if value else '' if value is None else 'no'}</td>"
    if isinstance(value, float):
        return f'<td class="n">{value:,.3g}</td>'
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    text = str(value)
    kind = ' class="long"' if len(text) > 70 else ""
    return f"<td{kind}>{html.escape(text)}</td>"


def new_figure(rows: int = 1, columns: int = 1, width: float = 10.0, height: float = 3.2, **more: Any) -> Any:
    """Start a figure in the page's style, without pyplot's global state.

    Returns
    -------
    figure, axes
        Axes as :meth:`matplotlib.figure.Figure.subplots` gives them, two-dimensional.
    """
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style: dict[Any, Any] = {
        "font.size": 9,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.edgecolor": FAINT,
        "axes.labelcolor": INK,
        "xtick.color": INK,
        "ytick.color": INK,
        "axes.titlesize": 9.5,
        "axes.titlelocation": "left",
    }
    with mpl.rc_context(style):
        figure = Figure(figsize=(width, height), layout="constrained", facecolor=PAPER)
        axes = figure.subplots(rows, columns, squeeze=False, **more)
        for axis in axes.flat:
            axis.set_facecolor("#ffffff")
    return figure, axes


def split_bars(labels: list[str], splits: list[str], width: float = 10.0) -> Any:
    """Horizontal bars of how many items each label has in each split, the most frequent on top."""
    names = sorted(set(labels), key=lambda label: (labels.count(label), label))
    figure, axes = new_figure(width=width, height=0.6 + 0.27 * len(names))
    axis = axes[0, 0]
    left = [0] * len(names)
    for split, colour in SPLIT_COLOURS.items():
        counts = [
            sum(a == name and b == split for a, b in zip(labels, splits, strict=True)) for name in names
        ]
        axis.barh(names, counts, left=left, color=colour, label=split, height=0.7)
        left = [a + b for a, b in zip(left, counts, strict=True)]
    for name, total in zip(names, left, strict=True):
        axis.text(total, name, f" {total:,}", va="center", fontsize=8, color=INK)
    axis.legend(
        frameon=False, fontsize=8, loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderaxespad=0.2
    )
    axis.set_xlabel("items")
    return figure
