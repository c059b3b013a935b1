"""The data report: what is in the data set, what is wrong with it, what to add or drop.

HTML for people, JSON for machines. After the checklist that teachers of deep audio use: formats, clipping,
DC, silence, outliers, duplicates, loudness, modes with their density, balance and overlap. It names files.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import numpy as np

from common.page import Cell, Finding, Page
from common.version import version
from train.data.manifest import FileFacts, ItemT, Manifest, NotesT
from train.data.report.players import Players
from train.data.report.summary import Ending, Opening
from train.data.source import Source
from train.data.store import data_hash


def write_report(
    manifest: Manifest[ItemT, NotesT], facts: Sequence[FileFacts], arrays: Path, source: Source
) -> dict[str, bytes]:
    """Compose the report of a data set that is about to be put in place.

    Parameters
    ----------
    manifest : dict
        The data set's manifest, without hash and source.
    facts : list of dict
        What was found in each source file that is in.
    arrays : Path
        Folder of the arrays.
    source : Source
        The folder the files came from.

    Returns
    -------
    dict
        File name to content, to be put beside the manifest.
    """
    kind = manifest["kind"]
    loaded = {
        name: np.load(arrays / Path(entry["file"]).name, mmap_mode="r")
        for name, entry in manifest["arrays"].items()
    }
    page = Page(
        f"Data report: {kind} from {source.root.name}",
        "What is in this data set, what is wrong with it, and what to add or drop before training.",
    )
    items = manifest["items"]
    opening: Opening = {
        "version": version(),
        "kind": kind,
        "hash": data_hash(manifest),
        "items": len(items),
        "files": len(facts),
        "other_files_passed_over": source.other_count,
        "splits": dict(Counter(item["split"] for item in items)),
        "notes": manifest["notes"],
    }
    page.opening.figures(
        {
            "items": f"{len(items):,}",
            "files": f"{len(facts):,}",
            "groups": f"{manifest['notes']['groups']:,}",
            **{name: f"{opening['splits'].get(name, 0):,}" for name in ("train", "validation", "test")},
            "left out": f"{len(manifest['left_out']):,}",
        }
    )
    of_kind = import_module(f"train.data.report.{kind}")
    players = Players(items, of_kind.hear(items, loaded))
    findings = _of_every_kind(manifest, source)
    of_kind_alone, summary = of_kind.describe(page, players, manifest, facts, loaded)
    findings += of_kind_alone
    page.opening.findings(players.beside(findings))
    if manifest["left_out"]:
        page.section("Left out", "These files are not in the data set.").table(
            ["file", "why"],
            [[Cell(one["file"], code=True), one["reason"]] for one in manifest["left_out"]],
        )
    page.foot = f"Hash {opening['hash']}; the same figures are in report.json."
    ending: Ending = {
        "findings": [{"level": one.level, "text": one.text, "files": one.files} for one in findings],
        "left_out": manifest["left_out"],
        "per_file": list(facts),
    }
    return {
        "report.html": page.html().encode(),
        "report.json": (
            json.dumps({**opening, **summary, **ending}, indent=1, ensure_ascii=False) + "\n"
        ).encode(),
    }


def _of_every_kind(manifest: Manifest[ItemT, NotesT], source: Source) -> list[Finding]:
    """Findings that do not depend on what the files hold."""
    found = []
    left_out = manifest["left_out"]
    if left_out:
        found.append(
            Finding(
                "look",
                f"{len(left_out)} files were left out. Fix them and run the same command again, "
                "or let them be.",
                [one["file"] for one in left_out],
            )
        )
    splits = Counter(item["split"] for item in manifest["items"])
    for name in ("validation", "test"):
        if not splits[name]:
            found.append(
                Finding(
                    "fix",
                    f"The {name} split is empty: there are too few instruments to hold one back. Add sounds "
                    "of other instruments, or name instruments in a manifest.csv (path, instrument).",
                )
            )
    found += [Finding("look", remark) for remark in source.remarks]
    if source.other_count and not source.rows:
        found.append(
            Finding(
                "fine",
                f"{source.other_count} files of other kinds (notes, pictures …) were passed over.",
            )
        )
    return found
