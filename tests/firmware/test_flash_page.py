"""A page writes an image over WebUSB: into a simulated bootloader, byte for byte, or says what is wrong."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path

import pytest

import vaectrol
from firmware.ports.web.flash_page import flash_page
from hardware.board import load_board
from hardware.image import Image
from hardware.rehearsal import SECTOR_BYTES, stand_in
from tests.browser import CHROMIUM, Browser, browser

needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
DEVICE = Path(__file__).with_name("dfu_device.js")
SAID = "document.getElementById('said').textContent"


@pytest.fixture(scope="module")
def image(tmp_path_factory) -> Image:
    return stand_in(load_board("patch_sm"), tmp_path_factory.mktemp("image"))


@pytest.fixture(scope="module")
def chromium(image, tmp_path_factory) -> Iterator[Browser]:
    page = tmp_path_factory.mktemp("page") / "flash.html"
    page.write_text(flash_page(image), encoding="utf-8")
    with browser() as opened:
        opened.page = page
        yield opened


def flashed(chromium: Browser, scene: str) -> str:
    """Press the button before a module in this state; what the page says at the end."""
    chromium.console.clear()
    chromium.open(chromium.page.as_uri())
    chromium.run(f"{DEVICE.read_text()}\nwindow.module = simulated('{scene}'); 0")
    chromium.run("document.getElementById('flash').click()", click=True)
    chromium.until(
        "!document.getElementById('flash').disabled && !!document.getElementById('said').className"
    )
    assert chromium.console == []
    return chromium.run(SAID)


@needs_chromium
@pytest.mark.parametrize("scene", ["waits", "error"])
def test_the_simulated_module_holds_the_image_and_starts_it(scene, chromium, image):
    """Also one that a torn attempt left in its error state. Around the image nothing is touched."""
    said = flashed(chromium, scene)
    size, at = len(image.data), image.boot.address
    assert said == f"Wrote {size:,} bytes at 0x{at:x}. The module starts stand-in rehearsal."
    bytes_ = f"Array.from(module.flash.slice({at} - module.base, {at + size} - module.base))"
    letters = f"{bytes_}.map((one) => String.fromCharCode(one)).join('')"
    held = base64.b64decode(chromium.run(f"btoa({letters})"))
    assert held == image.data
    sectors = -(-size // SECTOR_BYTES)
    assert chromium.run("module.log") == [
        *(f"erase {at + SECTOR_BYTES * number:x}" for number in range(sectors)),
        f"leave {at:x}",
    ]
    around = (
        f"[module.flash[{at} - module.base - 1], module.flash[{at + SECTOR_BYTES * sectors} - module.base]]"
    )
    assert chromium.run(around) == [0x5A, 0x5A]
    assert chromium.run("module.isOpen()") is False
    assert chromium.run("document.getElementById('bar').value") == 1


@needs_chromium
@pytest.mark.parametrize(
    ("scene", "sentence"),
    [
        (
            "none",
            "This browser cannot reach USB; open the page in Chrome, Edge or Opera, or run `vaectrol flash`.",
        ),
        ("nobody", "No module was chosen. Tap RESET and, while the LED pulses, press the button"),
        ("closed", "The bootloader could not be opened (Access denied.); close every other program"),
        ("st", "@Internal Flash answers, and this image needs @Flash. Tap RESET"),
        ("readonly", "This bootloader cannot write 0x90040000: it has @Flash /0x90000000/64*4Ka"),
        ("tired", "The bootloader refused: it could not erase."),
        (
            "unplugged",
            "The module went away while it was written (A transfer error has occurred.); the image in it",
        ),
    ],
)
def test_what_goes_wrong_is_one_sentence(scene, sentence, chromium):
    assert flashed(chromium, scene).startswith(sentence)
    assert chromium.run("document.getElementById('said').className") == "wrong"


@needs_chromium
@pytest.mark.parametrize("width", [1280, 400])
def test_the_page_is_no_wider_than_its_window(width, chromium):
    chromium.size(width, 900)
    chromium.open(chromium.page.as_uri())
    assert chromium.run("document.documentElement.scrollWidth") <= width
    chromium.size(1280, 1000)


def test_the_command_writes_the_page_and_refuses_what_is_no_image(image, tmp_path, capsys):
    out = tmp_path / "flash.html"
    assert vaectrol.main(["web", "--flash", str(image.path), "-o", str(out)]) == 0
    assert (
        "open it in Chrome, Edge or Opera to flash stand-in into a Daisy Patch SM" in capsys.readouterr().out
    )
    assert out.read_text() == flash_page(image)
    assert "https://" not in out.read_text() and "http://" not in out.read_text()
    wrong = tmp_path / "wrong.bin"
    wrong.write_bytes(b"\0" * 100)
    for words, why in (
        (["--flash", wrong, "-o", tmp_path / "no.html"], "is not an image made by `vaectrol build`"),
        (["drum", "--flash", image.path], "--flash does not go with an instrument's page"),
        (["--flash", image.path, "-o", tmp_path / "no.txt"], ".html"),
    ):
        assert vaectrol.main(["web", *map(str, words)]) == 2
        assert why in capsys.readouterr().err
    assert not (tmp_path / "no.html").exists()
