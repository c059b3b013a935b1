"""One self-contained HTML page: the frame of everything that this project shows in a browser.

A page has a title, a sentence that leads, and sections; a section holds figures by name and unit, findings,
tables, pictures and sounds. Nothing is fetched: style, pictures and, where they are small, sounds are inside.
``page.html`` and ``page.css`` beside this file say what it looks like, light and dark, wide and narrow.
"""

from __future__ import annotations

import base64
import html
import io
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from common.figure import as_svg
from common.version import version

if TYPE_CHECKING:
    import numpy as np
    from jinja2 import Template
    from matplotlib.figure import Figure

PREDICTED = "Predicted, never measured on a board."
"""Belongs to every table and picture of predicted cycles, CPU or latency."""
LEVELS = {"fix": "to fix", "look": "worth a look", "fine": "good to know"}
LEAST_SCALE = 0.72
"""What a figure may shrink to where the window is narrow: text of 9 points becomes 9 pixels high."""
PNG_LEAST_WIDTH = 560
LONG_CELL = 60
_NUMBER = re.compile(
    r"[<>≈]?[+−±-]?(∞|[\d,]*\.?\d+(e[+−-]?\d+)?)\s?"
    r"(%|×|[kM]?Hz|dB|dBFS|LUFS|[mµ]?s|min|bytes|cycles|steps?|bits?|samples?)?"
)


@dataclass(frozen=True)
class Cell:
    """What stands in one place of a table.

    Attributes
    ----------
    code : bool
        Set in the type of code: file names, commands, tensors.
    grave : bool
        Coloured as a warning.
    long : bool
        Broken into lines.
    link : str
        Where it leads to.
    bar : float or None
        A bar of this length, 0 to 1, instead of text.
    colour : str
        Of the bar.
    """

    text: str = ""
    code: bool = False
    grave: bool = False
    long: bool = False
    link: str = ""
    bar: float | None = None
    colour: str = ""

    @property
    def is_number(self) -> bool:
        """Whether the text is a number, with a unit or not."""
        return bool(_NUMBER.fullmatch(self.text))

    @property
    def classes(self) -> str:
        """Style classes."""
        there = {"number": self.is_number, "grave": self.grave, "long": self.long}
        return " ".join(name for name, on in there.items() if on)


Value = Cell | str | float | bool | None
"""What a table takes; numbers are written with three digits, None leaves the place empty."""


@dataclass(frozen=True)
class Picture:
    """A figure or image, as markup.

    Attributes
    ----------
    markup : str
        An ``<svg>`` or ``<img>`` that says what it shows.
    least_width : int
        Pixels; where there is less room it scrolls instead of shrinking beyond reading.
    """

    shape: ClassVar[str] = "picture"
    markup: str
    caption: str = ""
    least_width: int = 0


@dataclass(frozen=True)
class Sound:
    """A player, and what belongs to it.

    Attributes
    ----------
    title : str
        What one hears.
    source : str
        A file beside the page, or from :func:`sound_source`.
    picture : Picture, optional
        Stands above the player.
    note : str
        Figures or a sentence below the title.
    """

    title: str
    source: str
    picture: Picture | None = None
    note: str = ""


@dataclass(frozen=True)
class Finding:
    """Something the reader should know or do.

    Attributes
    ----------
    level : str
        ``fix``, ``look`` or ``fine``.
    text : str
        What is so, and what to do.
    files : list of str
        Files it is about, folded away.
    """

    level: Literal["fix", "look", "fine"]
    text: str
    files: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Heard:
    """A finding with the sounds it is about."""

    finding: Finding
    sounds: Sequence[Sound] = ()

    @property
    def level_in_words(self) -> str:
        """What the level means."""
        return LEVELS[self.finding.level]


@dataclass(frozen=True)
class _Table:
    shape: ClassVar[str] = "table"
    head: list[str]
    rows: list[list[Cell]]
    note: str
    says: str

    @property
    def numbers(self) -> set[int]:
        """Columns that hold numbers only."""
        columns = enumerate(zip(*self.rows, strict=True))
        return {at for at, cells in columns if all(cell.is_number or not cell.text for cell in cells)}


@dataclass(frozen=True)
class _Figures:
    shape: ClassVar[str] = "figures"
    figures: dict[str, Cell]


@dataclass(frozen=True)
class _Findings:
    shape: ClassVar[str] = "findings"
    findings: list[Heard]


@dataclass(frozen=True)
class _Sounds:
    shape: ClassVar[str] = "sounds"
    sounds: list[Sound]
    columns: int


@dataclass(frozen=True)
class _Paragraph:
    shape: ClassVar[str] = "paragraph"
    text: str
    note: bool = False


@dataclass(frozen=True)
class _Points:
    shape: ClassVar[str] = "points"
    points: list[Cell]


Part = Picture | _Table | _Figures | _Findings | _Sounds | _Paragraph | _Points


class Section:
    """A heading and what stands below it, written from top to bottom.

    Attributes
    ----------
    title : str
        Empty for what opens a page.
    level : int
        2, or 3 for a part of the section before.
    tag : str
        A word beside the heading, as ``measured``.
    """

    def __init__(self, title: str = "", level: int = 2, tag: str = ""):
        self.title, self.level, self.tag = title, level, tag
        self.parts: list[Part] = []

    def text(self, text: str) -> None:
        """Add a paragraph."""
        self.parts.append(_Paragraph(text))

    def note(self, text: str) -> None:
        """Add a paragraph that explains, in a fainter colour."""
        self.parts.append(_Paragraph(text, note=True))

    def points(self, points: Iterable[Value]) -> None:
        """Add a list."""
        self.parts.append(_Points([cell(point) for point in points]))

    def figures(self, figures: Mapping[str, Value]) -> None:
        """Add large numbers with their names."""
        self.parts.append(_Figures({name: cell(value) for name, value in figures.items()}))

    def findings(self, findings: Iterable[Finding | Heard]) -> None:
        """Add findings, the gravest first."""
        heard = [one if isinstance(one, Heard) else Heard(one) for one in findings]
        self.parts.append(_Findings(sorted(heard, key=lambda one: list(LEVELS).index(one.finding.level))))

    def table(
        self, head: Sequence[str], rows: Iterable[Sequence[Value]], note: str = "", says: str = ""
    ) -> None:
        """Add a table; its first column names the rows.

        Parameters
        ----------
        note : str
            Stands above it.
        says : str
            What it holds, for those who cannot see it; the section's title if omitted.
        """
        cells = [[cell(value) for value in row] for row in rows]
        self.parts.append(_Table(list(head), cells, note, says or self.title or head[0]))

    def picture(self, drawing: Figure | Path, says: str, caption: str = "") -> None:
        """Add a figure as SVG, or a PNG file.

        Parameters
        ----------
        says : str
            What it shows, for those who cannot see it.
        """
        self.parts.append(picture(drawing, says, caption))

    def sounds(self, sounds: Iterable[Sound], columns: int = 4) -> None:
        """Add players side by side, at most so many in a row."""
        self.parts.append(_Sounds(list(sounds), columns))


class Page:
    """A page.

    Parameters
    ----------
    title : str
    lead : str
        One sentence that says what this is.
    foot : str
        The last line, before the version.

    Attributes
    ----------
    opening : Section
        What stands before the first heading.
    """

    def __init__(self, title: str, lead: str, foot: str = ""):
        self.title, self.lead, self.foot = title, lead, foot
        self.opening = Section()
        self.sections = [self.opening]

    def section(self, title: str, note: str = "", *, level: int = 2, tag: str = "") -> Section:
        """Begin a section."""
        section = Section(title, level, tag)
        if note:
            section.note(note)
        self.sections.append(section)
        return section

    def html(self) -> str:
        """Write the whole page."""
        style = Path(__file__).with_name("page.css").read_text(encoding="utf-8")
        frame = template(Path(__file__).with_name("page.html"))
        return frame.render(page=self, css=style, version=version()) + "\n"


@cache
def template(file: Path) -> Template:
    """Read a page's frame; what it leaves open is refused, and what is put in is escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(file.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template(file.name)


def cell(value: Value) -> Cell:
    """Write a value as it stands in a table."""
    if isinstance(value, Cell):
        return value
    if value is None:
        return Cell()
    if isinstance(value, bool):
        return Cell("yes" if value else "no")
    if isinstance(value, int | float):
        return Cell(number(value))
    return Cell(value, long=len(value) > LONG_CELL)


def number(value: float, digits: int = 3) -> str:
    """Write a number for people: thousands parted, so many significant digits, – where there is none."""
    if isinstance(value, int) or (math.isfinite(value) and abs(value) >= 10**digits):
        return f"{value:,.0f}".replace("-", "−")
    if math.isnan(value):
        return "–"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    return f"{value:#.{digits}g}".rstrip(".").replace("-", "−") if value else "0"


def picture(drawing: Figure | Path, says: str, caption: str = "") -> Picture:
    """Make a figure (as SVG, in the page's colours) or a PNG file part of a page."""
    from markupsafe import Markup

    if isinstance(drawing, Path):
        data = base64.b64encode(drawing.read_bytes()).decode()
        alt = html.escape(says, quote=True)
        return Picture(
            Markup(f'<img alt="{alt}" src="data:image/png;base64,{data}">'), caption, PNG_LEAST_WIDTH
        )
    return Picture(Markup(as_svg(drawing, says)), caption, round(LEAST_SCALE * 96 * drawing.get_figwidth()))


def sound_source(audio: np.ndarray, rate_hz: int) -> str:
    """Put a short sound into the page: FLAC, 16 bits, clipped at full scale.

    Parameters
    ----------
    audio : ndarray, shape (n,) or (n, channels)
    """
    import numpy as np
    import soundfile

    stream = io.BytesIO()
    soundfile.write(stream, np.clip(audio, -1, 1), rate_hz, format="FLAC", subtype="PCM_16")
    return f"data:audio/flac;base64,{base64.b64encode(stream.getvalue()).decode()}"
