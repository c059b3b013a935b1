"""Read a Markdown page as prose: its sentences, its links, its anchors, its words.

Code, tables, headings and pictures are left out of the sentences: there a reader looks things up.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
LINK = re.compile(r"(?<!\!)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+(?:\([^()]*\))?)\)")
PICTURE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
MARKER = re.compile(r"^\s*(?:[-*+]|\d+[.)])\s+|^\s*>\s?|^\s*:\s+")
END = re.compile(r"(?<=[.!?])[\"'”)*_]*\s+(?=[\"'“(*_`\[]*[A-Z0-9`\[(±])")
ABBREVIATION = re.compile(r"\b(?:e\.g|i\.e|vs|etc|al|approx|cf|no|Dr|St)\.$")


@dataclass(frozen=True)
class Sentence:
    """One sentence of a page and where its paragraph begins."""

    page: Path
    line: int
    text: str

    @property
    def words(self) -> int:
        """Words as a reader counts them: a span of code is one."""
        return len([word for word in self.text.split() if re.search(r"\w", word)])

    def __str__(self) -> str:
        """Where it stands, and what it says."""
        return f"{self.page.relative_to(ROOT)}:{self.line}: {self.words} words: {self.text}"


def pages() -> list[Path]:
    """Every Markdown page that is kept in the project."""
    skipped = {"build", "demo", "runs", "node_modules"}
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in skipped for part in path.relative_to(ROOT).parts)
    )


def paragraphs(text: str) -> Iterator[tuple[int, str]]:
    """Line number and text of each paragraph or list item, without code, tables, headings and pictures."""
    fenced = False
    start, held = 0, []  # type: int, list[str]
    lines = text.splitlines()
    for number, line in enumerate([*lines, ""], start=1):
        plain = line.strip()
        fence = plain.startswith(("```", "~~~"))
        if fence:
            fenced = not fenced
        indented = not held and line.startswith("    ")
        apart = fenced or fence or indented or not plain or plain.startswith(("|", "#", "<", "---"))
        if held and (apart or MARKER.match(line)):
            yield start, " ".join(held)
            held = []
        if not apart:
            if not held:
                start = number
            held.append(MARKER.sub("", line).strip())


def plain_text(paragraph: str) -> str:
    """Leave out pictures, the targets of links and the marks of emphasis; a span of code becomes one word."""
    paragraph = PICTURE.sub("", paragraph)
    paragraph = re.sub(r"``.+?``|`[^`]+`", "`code`", paragraph)
    paragraph = LINK.sub(r"\1", paragraph)
    return " ".join(re.sub(r"(?<!\w)[*_]{1,3}|[*_]{1,3}(?!\w)", "", paragraph).split())


def sentences(page: Path) -> Iterator[Sentence]:
    """Every sentence of a page."""
    for line, paragraph in paragraphs(page.read_text(encoding="utf-8")):
        held = ""
        for part in END.split(plain_text(paragraph)):
            held = f"{held} {part}".strip()
            if not ABBREVIATION.search(held):
                yield Sentence(page, line, held)
                held = ""
        if held:
            yield Sentence(page, line, held)


def word_count(page: Path) -> int:
    """Words of a page, code and tables included; what holds no letter or digit is none."""
    return sum(1 for word in page.read_text(encoding="utf-8").split() if re.search(r"\w", word))


def anchors(page: Path) -> set[str]:
    """Anchors of a page's headings, as GitHub and MkDocs both make them."""
    found: set[str] = set()
    fenced = False
    for line in page.read_text(encoding="utf-8").splitlines():
        if line.lstrip().startswith("```"):
            fenced = not fenced
        if not fenced and (heading := re.match(r"#{1,6}\s+(.*?)\s*#*$", line)):
            words = re.sub(r"[^\w\s-]", "", plain_text(heading[1].replace("`", "")).lower())
            found.add(re.sub(r"\s", "-", words.strip()))
    return found


def links(page: Path) -> Iterator[tuple[str, str]]:
    """Text and target of each link and picture, code left out."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    text = re.sub(r"`[^`\n]+`", "`code`", text)
    for found in re.finditer(r"!?\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^()\s]+)\)", text):
        yield found[1], found[2]
        yield from ((inner[1], inner[2]) for inner in re.finditer(r"!\[([^\]]*)\]\(([^()\s]+)\)", found[1]))
