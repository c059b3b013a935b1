"""Build these pages as a site that works offline: ``make docs``, or ``python -m docs.build_site``.

Pages keep the places they have in the repository, so that their links hold. What they link to besides pages
(pictures, tables, templates, reports) is copied beside them, and the gallery gets its players and its
pages. MkDocs builds in strict mode: a broken link or heading stops it.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from common.refusal import Refusal
from docs import gallery
from docs.tidy import PROTECTED, ROOT, pages

SITE = ROOT / "build" / "site"
LINK = re.compile(r"\]\(([^()\s]+)\)|<img[^>]*\ssrc=\"([^\"]+)\"")


def linked_files(page: Path) -> Iterator[Path]:
    """Files of the repository that a page links to or shows."""
    text = page.read_text(encoding="utf-8")
    for span in PROTECTED.finditer(text):
        if span[0].startswith(("```", "    ", "`")):
            text = text.replace(span[0], " " * len(span[0]))
    for found in LINK.finditer(text):
        target = (found[1] or found[2]).partition("#")[0]
        if target and not re.match(r"[a-z]+:", target):
            path = (page.parent / target).resolve()
            if path.is_file() and path.suffix != ".md":
                yield path


def stage(out: Path, players: bool = True) -> None:
    """Copy every page and what it shows to ``out``, in the folders of the repository.

    Parameters
    ----------
    out : Path
        Is emptied first.
    players : bool
        Whether the instruments are played; that takes half a minute.
    """
    shutil.rmtree(out, ignore_errors=True)
    for page in pages():
        place = out / page.relative_to(ROOT)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(page.read_text(encoding="utf-8"), encoding="utf-8")
        for path in linked_files(page):
            copy = out / path.relative_to(ROOT)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy)
    if players:
        page = out / "docs" / "gallery.md"
        sounds = {heard.name: heard for heard in gallery.play_all()}
        gallery.write_pictures(list(sounds.values()), page.parent / "pictures")
        gallery.write_pages(page.parent / "pages")
        text = gallery.PLAYER.sub(
            lambda mark: gallery.write_player(sounds[mark[1]], page.parent / "sounds"), page.read_text()
        )
        page.write_text(text, encoding="utf-8")


def build(site: Path = SITE, players: bool = True) -> Path:
    """Build the site and return its first page.

    Raises
    ------
    Refusal
        When MkDocs is not installed, or finds a page it does not like.
    """
    try:
        import material  # noqa: F401 - MkDocs finds the theme by itself
    except ImportError:
        raise Refusal(
            "mkdocs-material is not installed: pip install -c constraints.txt -e '.[docs]'"
        ) from None
    stage(site / "pages", players)
    config = site / "mkdocs.yml"
    shutil.copyfile(ROOT / "docs" / "mkdocs.yml", config)
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--clean", "-f", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        found = [
            line for line in (done.stdout + done.stderr).splitlines() if line.startswith(("WARN", "ERR"))
        ]
        raise Refusal(
            "MkDocs says: " + "; ".join(found or [done.stderr.strip()]) + ". Fix it and build again."
        )
    return site / "html" / "index.html"


if __name__ == "__main__":
    try:
        print(f"site: {build()}")
        print(f"searching needs a server: python -m http.server -d {SITE / 'html'}")
    except Refusal as refusal:
        sys.exit(f"docs: {refusal}")
