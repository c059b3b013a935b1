"""The promises of the pages: short sentences, links and anchors that exist, no page longer than its place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from docs import tidy
from tests.prose import ROOT, anchors, links, pages, sentences, word_count

pytestmark = pytest.mark.fast

WORDS_A_SENTENCE = 25
LONGEST_SENTENCE = 40
SHORT_SHARE = 0.95
PAGES = pages()
BY_PAGE = pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
SOURCES = ("*.py", "*.c", "*.h", "*.S", "*.cpp", "*.toml", "*.md")


@BY_PAGE
def test_sentences_are_short(page: Path) -> None:
    found = list(sentences(page))
    long = [sentence for sentence in found if sentence.words > WORDS_A_SENTENCE]
    too_long = [sentence for sentence in found if sentence.words > LONGEST_SENTENCE]
    assert not too_long, "\n".join(map(str, too_long))
    assert len(long) <= max(1, (1 - SHORT_SHARE) * len(found)), "\n".join(map(str, long))


def test_nearly_all_sentences_of_all_pages_are_short() -> None:
    found = [sentence for page in PAGES for sentence in sentences(page)]
    long = [sentence for sentence in found if sentence.words > WORDS_A_SENTENCE]
    assert len(long) <= (1 - SHORT_SHARE) * len(found), "\n".join(map(str, long))


@BY_PAGE
def test_no_page_holds_a_conflict(page: Path) -> None:
    assert not re.search(r"^(<{7}|={7}|>{7})( |$)", page.read_text(encoding="utf-8"), re.MULTILINE)


@BY_PAGE
def test_links_lead_somewhere(page: Path) -> None:
    for text, target in links(page):
        if re.match(r"[a-z]+:", target):
            continue
        place, _, anchor = target.partition("#")
        path = (page.parent / place).resolve() if place else page
        assert path.exists(), f"[{text}]({target}) leads nowhere"
        if anchor and path.suffix == ".md":
            assert anchor in anchors(path), f"[{text}]({target}): no such heading"


def test_every_cited_place_of_the_design_exists() -> None:
    design = anchors(ROOT / "docs" / "design.md")
    cited = []
    for pattern in SOURCES:
        for path in ROOT.rglob(pattern):
            if any(part.startswith(".") or part == "build" for part in path.relative_to(ROOT).parts):
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            assert not re.search(r"DESIGN " + r"§\d", text), path
            for anchor in re.findall(r"docs/design\.md#([\w-]+)", text):
                cited.append(anchor)
                assert anchor in design, f"{path.relative_to(ROOT)} cites docs/design.md#{anchor}"
    assert len(set(cited)) >= 4


ROOM_WORDS, ROOT_WORDS = 550, 640
NO_ROOMS = ("README.md", "docs", "examples")
ROOMS = [
    page for page in PAGES if page.name == "README.md" and page.relative_to(ROOT).parts[0] not in NO_ROOMS
]


def test_the_first_page_is_one_screen_and_a_half() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= ROOT_WORDS


def rooms_page(page: Path) -> str:
    return str(page.parent.relative_to(ROOT))


@pytest.mark.parametrize("page", ROOMS, ids=rooms_page)
def test_a_rooms_page_is_under_two_screens(page: Path) -> None:
    assert word_count(page) <= ROOM_WORDS


@pytest.mark.parametrize("page", ROOMS, ids=rooms_page)
def test_a_rooms_page_has_its_parts_in_order(page: Path) -> None:
    headings = re.findall(r"^## (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    parts = [heading for heading in headings if heading in ("Run it", "Map", "Contracts", "Limits")]
    assert parts == ["Run it", "Map", "Contracts", "Limits"]


def files_of_the_map(page: Path) -> list[Path]:
    """Files and folders that the map of a page names, globs spread out.

    A name may be relative to the page, or to a folder that the same row begins with, without `.py` there.
    """
    text = page.read_text(encoding="utf-8")
    section = text.split("## Map", 1)[1].split("\n## ", 1)[0]
    found: list[Path] = []
    for row in re.findall(r"^\|(.+)\|$", section, re.MULTILINE):
        names = re.findall(r"`([\w./*-]+)`", row.split("|")[0])
        base = page.parent / names[0] if names and names[0].endswith("/") else page.parent
        for name in names:
            at = page.parent if name.endswith("/") else base
            places = sorted([*at.glob(name.rstrip("/")), *at.glob(f"{name}.py")])
            assert places, f"{page.relative_to(ROOT)}: the map names {name}, which is not there"
            found += places
    return found


@pytest.mark.parametrize("page", ROOMS, ids=rooms_page)
def test_the_map_names_every_file_and_no_other(page: Path) -> None:
    named = files_of_the_map(page)
    for path in page.parent.rglob("*.py"):
        if path.name == "__init__.py" or path.name.startswith("test_"):
            continue
        covered = path in named or any(
            folder in named and (folder / "README.md").is_file() for folder in path.parents
        )
        assert covered, f"{path.relative_to(ROOT)} is missing from the map of {page.relative_to(ROOT)}"


def test_the_pages_are_tidy() -> None:
    """Terms are linked where they are first used, maps name all files: `python -m docs.tidy` does both."""
    assert not [str(page.relative_to(ROOT)) for page, _ in tidy.tidied()], "run: python -m docs.tidy"


def test_tidying_twice_is_tidying_once() -> None:
    text = (
        "# A VAE\n\nA VAE has latents, a `VAE` too.\n\n| VAE |\n\n    a VAE\n\nMR-STFT, then [ESR](x.md).\n"
    )
    once = tidy.linked(ROOT / "docs" / "x.md", text)
    assert tidy.linked(ROOT / "docs" / "x.md", once) == once
    assert once.splitlines()[2].startswith(
        "A [VAE](glossary.md#vae) has [latents](glossary.md#latent), a `VAE`"
    )
    assert "[MR-STFT](glossary.md#mr-stft), then [ESR](x.md)" in once
