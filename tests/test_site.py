"""The site: every page is on it, its links hold in strict mode, and nothing comes from elsewhere."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path

import numpy as np
import pytest

from docs import build_site, gallery
from firmware.instruments.spec import available_instruments, load_instrument
from tests.prose import ROOT, pages

CONFIG = (ROOT / "docs" / "mkdocs.yml").read_text(encoding="utf-8")
GALLERY = (ROOT / "docs" / "gallery.md").read_text(encoding="utf-8")


def test_every_page_is_in_the_sites_contents() -> None:
    named = re.findall(r"(\S+\.md)$", CONFIG, re.MULTILINE)
    assert sorted(named) == sorted(str(page.relative_to(ROOT)) for page in pages())


def test_the_gallery_plays_every_factory_instrument_and_its_examples() -> None:
    played = [*available_instruments(), *gallery.EXAMPLES]
    assert sorted(gallery.PLAYER.findall(GALLERY)) == sorted(played)
    for name in gallery.EXAMPLES:
        demo = load_instrument(ROOT / "examples" / f"{name}.toml").spec.demo
        assert demo is not None and (ROOT / "examples" / demo.script).is_file()
        assert (gallery.PICTURES / f"{name}.png").is_file()


def test_pages_are_staged_with_what_they_show(tmp_path: Path) -> None:
    build_site.stage(tmp_path, players=False)
    for page in pages():
        assert (tmp_path / page.relative_to(ROOT)).is_file()
    for shown in (
        "hardware/panels/patch_sm.svg",
        "docs/experiments/pictures/real-drums.png",
        "toy/pictures/drums.png",
    ):
        assert (tmp_path / shown).read_bytes() == (ROOT / shown).read_bytes()


def test_a_player_has_its_sound_twice_and_its_command(tmp_path: Path) -> None:
    import soundfile

    audio = 0.1 * np.sin(np.arange(4800) / 7.0, dtype=np.float32)[:, None]
    player = gallery.write_player(gallery.Heard("beep", audio, 48_000, "vaectrol play beep"), tmp_path)
    for source in re.findall(r'src="sounds/([^"]+)"', player):
        found, rate_hz = soundfile.read(tmp_path / source)
        assert rate_hz == 48_000 and abs(len(found) - 4800) <= 1024
    assert 'href="pages/beep.html"' in player
    assert player.count("<source") == 2 and "`vaectrol play beep`" in player


def test_the_site_builds_in_strict_mode_and_needs_nothing_from_elsewhere(tmp_path: Path) -> None:
    if importlib.util.find_spec("material") is None:
        pytest.skip("mkdocs-material is not installed: pip install -c constraints.txt -e '.[docs]'")
    first = build_site.build(tmp_path, players=False)
    assert "Vaectrol" in first.read_text(encoding="utf-8")
    for page in first.parent.rglob("*.html"):
        if "made" in page.parts:
            continue  # a report of its own, copied as it is
        text = page.read_text(encoding="utf-8")
        loaded = re.findall(
            r'<(?:script|img|source|link rel="stylesheet")[^>]*(?:src|href)="(https?:[^"]+)"', text
        )
        assert not loaded, f"{page.relative_to(first.parent)} loads {loaded}"
