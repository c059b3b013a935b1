"""Figures of the pages, on one core: ``python -m tests.firmware.web_figures``; with a folder, pictures too.

Speed depends on the machine, so that no test asks for it. What it was: docs/experiments/2026-11-browser.md.
"""

from __future__ import annotations

import base64
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

from PIL import Image

from firmware.instruments.spec import available_instruments
from firmware.ports.web.gallery import instrument_page
from tests.browser import Browser, browser
from tests.firmware.test_port_web import BOARD, RENDER, TICKS, case, digests
from toy.demo_phrases import play_phrase

TRIES = 3
COLOURS = 160
FIRST_SOUND = """
new Promise((done) => {
  const began = performance.now();
  vaectrol.desk.listen((what, seen) => {
    if (what === "seen" && Math.max(...seen.peaks) > 1e-3) done(performance.now() - began);
  });
  document.getElementById("play").click();
})
"""
# name, width, height, phone, dark, whether the sheet of a jack is open
PICTURES = (
    ("groove", 1280, 900, False, False, False),
    ("drive", 1280, 900, False, True, False),
    ("drum", 400, 860, True, True, False),
    ("drum", 400, 860, True, False, True),
)


def first_sound_ms(page: Browser, address: str) -> float:
    """Shortest time from the click to the first sample that is heard, as the page is told of it."""
    found = []
    for _ in range(TRIES):
        page.open("about:blank#")
        page.open(address)
        found.append(page.run(FIRST_SOUND, click=True))
    return min(found)


def figures(page: Browser, name: str, block: int, folder: Path) -> str:
    """One row: bytes, times real time, milliseconds to the first sound, whether all is equal."""
    path = folder / f"{name}-{block}.html"
    path.write_text(instrument_page(name, BOARD, block=block, phrase=play_phrase), encoding="utf-8")
    wanted = case(name, block)
    given = {jack: base64.b64encode(sound.tobytes()).decode() for jack, sound in wanted.sounds.items()}
    page.open(path.as_uri())
    wasm = page.run("vaectrol.page.bytes.length")
    page.run(f"window.given = {json.dumps(given)}; 0")
    times = 0.0
    for _ in range(TRIES):
        made = page.run(RENDER.replace("TICKS", str(TICKS)))
        times = max(times, made.pop("times"))
    equal = "0 differ" if made == digests(wanted.host) else "DIFFERENT"
    first = first_sound_ms(page, path.as_uri())
    size = path.stat().st_size
    return f"| {name} | {block} | {wasm:,} | {size:,} | {times:.0f} | {first:.0f} | {equal} |"


def pictures(page: Browser, folder: Path, out: Path) -> None:
    """Photograph the pages while they play."""
    for name, width, height, phone, dark, sheet in PICTURES:
        page.size(width, height, phone=phone, dark=dark)
        path = folder / f"{name}-48.html"
        if not path.exists():
            path.write_text(instrument_page(name, BOARD, phrase=play_phrase), encoding="utf-8")
        page.open("about:blank#")
        page.open(path.as_uri())
        page.run("document.getElementById('play').click()", click=True)
        time.sleep(4)
        if sheet:
            page.run("document.querySelector('[data-part=cv_2]').focus()")
            page.key("Enter")
            time.sleep(0.5)
        shot = page.call("Page.captureScreenshot", {"format": "png"})
        with Image.open(io.BytesIO(base64.b64decode(shot["data"]))) as picture:
            small = picture.convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
            small.save(out / f"page-{name}-{width}{'-sheet' if sheet else ''}.png", "PNG", optimize=True)


def main(out: Path | None) -> None:
    """Print the table; write the pictures where a folder is given."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    with tempfile.TemporaryDirectory() as folder, browser() as page:
        if out:
            pictures(page, Path(folder), out)
        else:
            for name in available_instruments():
                for block in (48, 128):
                    print(figures(page, name, block, Path(folder)), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else None)
