"""A page that flashes one image from the browser, by WebUSB: for who has no dfu-util."""

from __future__ import annotations

import base64
import json

from common.page import template
from firmware.ports.web.link import WEB
from hardware.flash import HOW_TO_ENTER, NAMES, needed
from hardware.image import Image


def flash_page(image: Image) -> str:
    """Write the page of an image that was read and found good."""
    from markupsafe import Markup

    bootloader = needed(image)
    how = (
        HOW_TO_ENTER[bootloader]
        .replace("run this again", "press the button")
        .replace("2.5 s", "2.5\N{NO-BREAK SPACE}s")
    )
    about = {
        "name": image.path.name,
        "board": image.board.title,
        "instrument": image.identity.instrument,
        "version": image.identity.version,
        "model": image.identity.model,
        "address": image.boot.address,
        "bytes": len(image.data),
        "bootloader": NAMES[bootloader],
        "enter": f"{how[0].upper()}{how[1:]}.",
    }
    data = json.dumps({**about, "data": base64.b64encode(image.data).decode()}, separators=(",", ":"))
    return template(WEB / "flash.html").render(
        image=about,
        data=Markup(data.replace("<", "\\u003c")),
        script=Markup((WEB / "flash.js").read_text(encoding="utf-8")),
    )
