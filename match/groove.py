"""A groove whose parts are matched sounds: the shipped one with other drums."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path

from common.drums import CLASSES
from common.refusal import Refusal
from match.preset import Preset
from match.search import Found

SHIPPED = Path(__file__).resolve().parents[1] / "firmware" / "instruments" / "groove.toml"
MOST_PARTS = 6
PLAYS = {
    "kick": ("kick",),
    "snare": ("snare",),
    "hat_closed": ("hat_closed",),
    "hat_open": ("hat_open",),
    "tom": ("tom_low", "tom_mid", "tom_high"),
    "clap": ("snare",),
    "cymbal": ("crash", "ride"),
    "perc": ("tom_low", "tom_mid", "tom_high"),
}
"""Which parts of a rhythm strike a drum of each class."""
LEVEL = 0.7


def groove_of(found: Sequence[Found], presets: Sequence[Preset], model: Path | None) -> str:
    """Write the shipped groove's file with one part for each sound.

    Parameters
    ----------
    model : Path, optional
        The drum model's file; the shipped groove's own without it.

    Raises
    ------
    Refusal
        When there are more sounds than parts.
    """
    if len(found) > MOST_PARTS:
        raise Refusal(f"{len(found)} sounds are more than a groove has parts; match at most {MOST_PARTS}")
    text = SHIPPED.read_text(encoding="utf-8")
    if model is not None:
        text = re.sub(r"(?m)^drum = .*$", lambda _: f"drum = {json.dumps(str(model.resolve()))}", text)
    begin = text.index("[[part]]")
    end = text.index("[[output]]", begin)
    parts = [
        _part(number, one, preset) for number, (one, preset) in enumerate(zip(found, presets, strict=True))
    ]
    return text[:begin] + "\n".join(parts) + "\n" + text[end:]


def _part(number: int, found: Found, preset: Preset) -> str:
    label = CLASSES[found.label]
    latents = {
        name.removeprefix("latent/"): value
        for name, value in preset.parameters.items()
        if name.startswith("latent/")
    }
    attributes = {
        name.removeprefix("attribute/"): value
        for name, value in preset.parameters.items()
        if name.startswith("attribute/")
    }
    lines = [
        "[[part]]",
        f'name = "{label}_{number + 1}"',
        f"plays = {json.dumps(PLAYS[label])}",
        f'class = "{label}"',
        f"level = {LEVEL}",
        f"latents = {_inline(latents)}",
        f"attributes = {_inline(attributes)}",
    ]
    return "\n".join(lines) + "\n"


def _inline(values: dict[str, float]) -> str:
    return "{ " + ", ".join(f'"{name}" = {value}' for name, value in values.items()) + " }"
