"""Keep the pages in step: ``python -m docs.tidy`` links terms and renews the file lists of maps.

The first use of each term of the glossary on a page becomes a link to it, in sentences only. The row of a
folder in a room's map names every Python file of that folder. Run twice, it changes nothing the second time;
``--check`` changes nothing at all and ends with status 1 where a page would change.
"""

from __future__ import annotations

import ast
import os
import re
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
GLOSSARY = ROOT / "docs" / "glossary.md"
SKIPPED = {"build", "demo", "runs", "node_modules"}
# Cards are written by the factory; the changelog is read by the line.
UNLINKED = ("firmware/models/", "docs/glossary.md", "CHANGELOG.md")
# Everyday words whose everyday meaning is the usual one on these pages
EVERYDAY = {
    "part",
    "scale",
    "flow",
    "port",
    "placement",
    "recipe",
    "block",
    "frame",
    "stream",
    "voice",
    "trigger",
}
ALIASES = {"daisy-patch-sm-daisy-seed": ["Patch SM"], "mel": ["log-mel"], "fader-training": ["Fader-style"]}
ELSEWHERE = {"f1": "docs/manuals/build-"}
"""Terms that mean something else on pages whose path begins so: F1 is a fuse there."""
PROTECTED = re.compile(
    r"^```.*?^```[^\n]*$"  # fenced code
    r"|^(?:    |\t)[^\n]*$"  # indented code
    r"|^\s*\|[^\n]*$|^#[^\n]*$|^<[^\n]*$"  # tables, headings, HTML
    r"|``[^`]+``|`[^`]+`"  # code
    r"|!?\[(?:[^\[\]]|\[[^\]]*\](?:\([^)]*\))?)*\]\([^)]*\)"  # links and pictures
    r"|https?://\S+",
    re.MULTILINE | re.DOTALL,
)


def pages() -> list[Path]:
    """Every Markdown page of the project."""
    return sorted(
        path
        for path in ROOT.rglob("*.md")
        if not any(part.startswith(".") or part in SKIPPED for part in path.relative_to(ROOT).parts)
    )


def slug(heading: str) -> str:
    """Anchor of a heading, as GitHub and MkDocs make it."""
    return re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading.lower()).strip())


@cache
def terms() -> list[tuple[str, str]]:
    """(word, anchor) of everything the glossary explains, longest word first."""
    found = []
    for heading in re.findall(r"^### (.+)$", GLOSSARY.read_text(encoding="utf-8"), re.MULTILINE):
        anchor = slug(heading)
        found += [(word, anchor) for word in [*heading.split(", "), *ALIASES.get(anchor, [])]]
    return sorted((pair for pair in found if pair[0] not in EVERYDAY), key=lambda pair: (-len(pair[0]), pair))


def pattern(word: str) -> re.Pattern[str]:
    """Where `word` stands by itself: exact where it has capitals, in any case otherwise, plurals too."""
    lower = word == word.lower()
    return re.compile(
        rf"(?<![\w/.−-]){re.escape(word)}(?:s|es)?(?![\w/−-]|\.\w)", re.IGNORECASE if lower else 0
    )


def prose_spans(text: str) -> Iterator[tuple[int, int]]:
    """Begin and end of each stretch that is neither code, table, heading, link nor picture."""
    at = 0
    for span in PROTECTED.finditer(text):
        if span.start() > at:
            yield at, span.start()
        at = max(at, span.end())
    if at < len(text):
        yield at, len(text)


def linked(page: Path, text: str) -> str:
    """Link the first use of each term of the glossary to it."""
    if str(page.relative_to(ROOT)).startswith(UNLINKED):
        return text
    to_glossary = os.path.relpath(GLOSSARY, page.parent)
    done = set(re.findall(r"glossary\.md#([\w-]+)\)", text))
    for word, anchor in terms():
        if anchor in done or str(page.relative_to(ROOT)).startswith(ELSEWHERE.get(anchor, "-")):
            continue
        for begin, end in prose_spans(text):
            if found := pattern(word).search(text, begin, end):
                link = f"[{found[0]}]({to_glossary}#{anchor})"
                text = text[: found.start()] + link + text[found.end() :]
                done.add(anchor)
                break
    return text


def first_words(path: Path) -> str:
    """What a module says it is: the first line of its docstring up to a colon, a semicolon or its end."""
    said = (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or path.stem).splitlines()[0]
    return re.split(r"[:;]|\.$", said.replace("`", ""))[0].strip()


def mapped(page: Path, text: str) -> str:
    """Let each folder's row in a map name the Python files of that folder; add rows for new files."""

    def renewed(row: re.Match[str]) -> str:
        folder = page.parent / row["folder"]
        files = sorted(path.stem for path in folder.glob("*.py") if path.stem != "__init__")
        if not files or (folder / "README.md").is_file():
            return row[0]
        kept = [name for name in re.findall(r"`([\w./*-]+\.\w+)`", row["names"]) if not name.endswith(".py")]
        return f"| `{row['folder']}/` " + " ".join(f"`{name}`" for name in [*files, *kept]) + " |"

    before, heading, after = text.partition("\n## Map\n")
    section, rest, more = after.partition("\n## ")
    section = re.sub(
        r"^\| `(?P<folder>[\w./-]+)/`(?P<names>(?: `[^`]+`)*) \|", renewed, section, flags=re.MULTILINE
    )
    if heading and (table := re.search(r"^(?:\|[^\n]*\n)+", section, re.MULTILINE)):
        rows = [
            f"| `{path.name}` | {first_words(path)} |\n"
            for path in sorted(page.parent.glob("*.py"))
            if not path.name.startswith(("__init__", "test_")) and f"`{path.name}`" not in section
        ]
        section = section[: table.end()] + "".join(rows) + section[table.end() :]
    return before + heading + section + rest + more


def tidied() -> Iterator[tuple[Path, str]]:
    """Each page that would change, and what it would say."""
    for page in pages():
        text = page.read_text(encoding="utf-8")
        new = linked(page, mapped(page, text))
        if new != text:
            yield page, new


def main(words: list[str]) -> int:
    """Tidy all pages, or with ``--check`` only name those that are not."""
    found = list(tidied())
    for page, text in found:
        print(page.relative_to(ROOT))
        if "--check" not in words:
            page.write_text(text, encoding="utf-8")
    return 1 if found and "--check" in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
