"""What every page must keep, whoever writes it: for the tests that make one."""

from __future__ import annotations

import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path

from common.page import PREDICTED

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
VOID = {"meta", "img", "br", "link", "input", "hr"}
PREDICTED_FIGURE = re.compile(r"CPU, |cycles|delay, ms|control to sound")
RAW_KEY = re.compile(r"[a-z][a-z0-9]*([_·/][a-z0-9]+)+")


class _Reader(HTMLParser):
    """Collects what is wrong with a page."""

    def __init__(self, folder: Path | None):
        super().__init__()
        self.folder = folder
        self.open: list[tuple[str, dict[str, str]]] = []
        self.wrong: list[str] = []
        self.seen: list[str] = []
        self.headings: list[int] = []
        self.words: dict[str, str] = {}

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        held = {name: value or "" for name, value in attributes}
        self.seen.append(tag)
        within = {name for _, outer in self.open for name in outer.get("class", "").split()}
        if tag == "html" and held.get("lang") != "en":
            self.wrong.append("no language")
        if tag == "meta" and held.get("name") == "viewport":
            self.seen.append("viewport")
        if tag == "img" and not held.get("alt", "").strip():
            self.wrong.append("a picture without words")
        if tag == "svg" and not (held.get("role") == "img" and held.get("aria-label", "").strip()):
            self.wrong.append("a drawing without words")
        if tag == "audio" and not held.get("aria-label", "").strip():
            self.wrong.append("a player without words")
        if tag in ("table", "img", "svg") and not within & {"scroll", "sounds"}:
            self.wrong.append(f"<{tag}> that does not scroll")
        if tag in ("script", "link", "iframe"):
            self.wrong.append(f"<{tag}>")
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append(int(tag[1]))
        self._reference(tag, held.get("src") or held.get("href") or "")
        if tag not in VOID:
            self.open.append((tag, held))

    def _reference(self, tag: str, target: str) -> None:
        if not target or target.startswith(("data:", "#")):
            return
        if re.match(r"\w+:|//", target):
            self.wrong.append(f"<{tag}> reaches out to {target[:60]}")
        elif self.folder is not None and not (self.folder / target).exists():
            self.wrong.append(f"<{tag}> leads to {target}, which is not there")

    def handle_endtag(self, tag: str) -> None:
        if tag in VOID:
            return
        if not self.open or self.open[-1][0] != tag:
            self.wrong.append(f"</{tag}> closes {self.open[-1][0] if self.open else 'nothing'}")
            return
        self.open.pop()

    def handle_data(self, data: str) -> None:
        tags = [tag for tag, _ in self.open]
        if not tags or not data.strip():
            return
        self.words.setdefault(tags[-1], data.strip())
        if tags[-1] in ("th", "dt", "h2", "h3") and RAW_KEY.fullmatch(data.strip()):
            self.wrong.append(f"a raw key: {data.strip()}")


def _tables(text: str) -> list[tuple[str, str]]:
    """Every table's head, and what stands above it in its figure."""
    figures = [part for part in text.split("<figure>") if "<thead>" in part]
    return [
        (part[part.index("<thead>") : part.index("</thead>")], part[: part.index("<table>")])
        for part in figures
    ]


def check_page(text: str, folder: Path | None = None) -> None:
    """Assert that a page is whole, readable without eyes or mouse, and asks nobody for anything.

    Parameters
    ----------
    folder : Path, optional
        Where the page lies; what it points to must lie there too.
    """
    assert text.startswith("<!doctype html>")
    reader = _Reader(folder)
    reader.feed(text)
    reader.close()
    assert not reader.wrong, reader.wrong
    assert not reader.open, reader.open
    assert reader.headings.count(1) == 1
    steps = zip(reader.headings, reader.headings[1:], strict=False)
    assert all(below - above <= 1 for above, below in steps), reader.headings
    assert "viewport" in reader.seen
    assert reader.words.get("title") and reader.words.get("h1")
    assert "prefers-color-scheme: dark" in text
    for head, above in _tables(text):
        if PREDICTED_FIGURE.search(head):
            assert PREDICTED in above or "easured" in above, head
    assert 'class="lead"' in text


def overflow(page: Path, width: int) -> int:
    """How many pixels a page is wider than a window of `width` pixels, in Chromium."""
    assert CHROMIUM is not None
    frame = page.with_name("frame.html")
    frame.write_text(
        f'<iframe id="f" src="{page.name}" width="{width}" height="800" style="border:0">'
        '</iframe><p id="o"></p>'
        "<script>onload = () => { const d = document.getElementById('f').contentDocument.documentElement;"
        "document.getElementById('o').textContent = 'over ' + (d.scrollWidth - d.clientWidth); }</script>"
    )
    words = ["--headless", "--no-sandbox", "--disable-gpu", "--allow-file-access-from-files", "--dump-dom"]
    done = subprocess.run(
        [CHROMIUM, *words, f"file://{frame}"], capture_output=True, text=True, check=True, timeout=120
    )
    found = re.search(r"over (\d+)", done.stdout)
    assert found, done.stdout[-500:]
    return int(found.group(1))
