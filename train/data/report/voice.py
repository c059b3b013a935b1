"""What the report says about notes of pitched instruments."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Literal, TypedDict

import numpy as np

from common.page import Cell, Finding, Page, Sound
from train.data.kinds.voice import NoteFacts, NoteItem
from train.data.manifest import Manifest, Notes
from train.data.report.players import Players, item_player
from train.data.report.splits import split_bars

FEW_INSTRUMENTS = 8
FEW_KEYS = 5
OUT_OF_TUNE_CENTS = 30.0
LEAST_PITCHED = 0.8
MAX_INSTRUMENTS = 60


class NotesSummary(TypedDict):
    """What ``report.json`` says of notes alone: seconds and range by instrument, files an octave off."""

    seconds: float
    instruments: dict[str, dict[str, float]]
    octaves_off: list[str]
    pitched: float


def hear(items: list[NoteItem], arrays: dict[str, np.ndarray]) -> Callable[[int], list[Sound]]:
    """Return what makes the player of a note."""
    borders = arrays["offsets"]

    def of(index: int) -> list[Sound]:
        item = items[index]
        audio = arrays["audio"][borders[index] : borders[index + 1]].astype(np.float32) / 32768
        return [item_player(item["name"], audio, f"{item['label']}, key {item['key']:.2f}")]

    return of


def describe(
    page: Page,
    players: Players,
    manifest: Manifest[NoteItem, Notes],
    facts: list[NoteFacts],
    arrays: dict[str, np.ndarray],
) -> tuple[list[Finding], NotesSummary]:
    """Write the sections for notes; returns the findings and the kind's part of ``report.json``."""
    items = manifest["items"]
    by: dict[str, list[NoteItem]] = defaultdict(list)
    for item in items:
        by[item["label"]].append(item)
    instruments = {
        name: {
            "notes": len(these),
            "seconds": round(sum(item["seconds"] for item in these), 1),
            "lowest": min(item["key"] for item in these),
            "highest": max(item["key"] for item in these),
        }
        for name, these in sorted(by.items())
    }
    page.section("Instruments and splits", "An instrument is one folder.").picture(
        split_bars([item["label"] for item in items], [item["split"] for item in items]),
        "Notes per instrument and split",
    )
    page.section("How much of each", "Keys are those of a piano; 60 is the middle C.").table(
        ["instrument", "notes", "minutes", "keys"],
        [
            [
                Cell(name, code=True),
                f"{told['notes']:.0f}",
                f"{told['seconds'] / 60:.1f}",
                f"{told['lowest']:.0f} to {told['highest']:.0f}",
            ]
            for name, told in list(instruments.items())[:MAX_INSTRUMENTS]
        ],
    )
    section = page.section("Some notes")
    for index in np.linspace(0, len(items) - 1, min(6, len(items))).astype(int):
        section.sounds(players.hear(int(index)))
    off = [fact["file"] for fact in facts if fact["octaves_off"]]
    seconds = np.array([fact["seconds"] for fact in facts])
    pitched = float(seconds @ np.array([fact["pitched"] for fact in facts]) / max(seconds.sum(), 1e-9))
    return _findings(items, facts, instruments, pitched), {
        "seconds": float(sum(item["seconds"] for item in items)),
        "instruments": instruments,
        "octaves_off": off,
        "pitched": pitched,
    }


def _findings(
    items: list[NoteItem],
    facts: list[NoteFacts],
    instruments: dict[str, dict[str, float]],
    pitched: float,
) -> list[Finding]:
    found: list[Finding] = []

    def note(level: Literal["fix", "look", "fine"], text: str, files: list[str]) -> None:
        found.append(Finding(level, text, files))

    note(
        "fine" if pitched >= LEAST_PITCHED else "look",
        f"{100 * pitched:.0f} % of what sounds is pitched.",
        [fact["file"] for fact in facts if fact["pitched"] < LEAST_PITCHED],
    )
    off = [fact["file"] for fact in facts if fact["octaves_off"]]
    if off:
        note(
            "look",
            f"{len(off)} files sound an octave or more off what their names say. The pitch that is heard "
            "counts; nothing needs to be done if it is right.",
            off,
        )
    detuned = [fact["file"] for fact in facts if abs(fact["cents"]) > OUT_OF_TUNE_CENTS]
    if detuned:
        note("look", f"{len(detuned)} files are over 30 cents off what their names say.", detuned)
    if len(instruments) < FEW_INSTRUMENTS:
        note(
            "look",
            f"There {'is one instrument' if len(instruments) == 1 else f'are {len(instruments)} instruments'}"
            "; a timbre to turn from one to another needs some thirty. Put each in a folder of its own.",
            [],
        )
    narrow = [
        item["file"]
        for name in instruments
        if len({round(i["key"]) for i in items if i["label"] == name}) < FEW_KEYS
        for item in items
        if item["label"] == name
    ]
    if narrow:
        note("look", "Some instruments have fewer than five keys; others will be guessed.", narrow[:20])
    return found
