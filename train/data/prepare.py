"""From a builder's folder to a data set: the same procedure for all kinds; ``kinds/`` says what differs.

Read the source, work through its files one by one (each result is kept, so an interrupted run goes on where
it was), then group, split, write the arrays and the report, and put everything in place at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from train.data.kinds import preparation
from train.data.kinds.base import STEP_VERSION, Options, Outcome, Watch, unwatched, work
from train.data.manifest import HashedAs, Manifest
from train.data.report import write_report
from train.data.store import FORMAT, write_arrays
from train.data.workshop import Workshop


def prepare(
    kind: str, source: Path, out: Path, options: Options | None = None, watch: Watch = unwatched
) -> Outcome:
    """Make a data set of a folder.

    Parameters
    ----------
    kind : str
        A file of ``train/data/kinds``: ``drum``, ``rhythm``, ``drive`` …
    source, out : Path
        Where the files are and where the data set goes.
    options : Options, optional
        The kind's own; its defaults when omitted.
    watch : callable
        Wraps the work list to show progress.

    Raises
    ------
    Refusal
        When there is no such kind, nothing usable is found or the output cannot be written.
    """
    source, out = Path(source), Path(out)
    found = preparation(kind)
    procedure = found(source, out, options or found.options_type())
    listed = [[file.relative, file.sha256, file.row] for file in procedure.source.files]
    word = found.hashed_as or kind
    identity = {"step": STEP_VERSION, "kind": word, "options": procedure.options(), "files": listed}
    with Workshop(out, source, identity) as shop:
        finished = shop.finished_manifest()
        if finished is not None and shop.is_complete():
            shop.clear()
            return Outcome(finished, already=True)
        batch = work(shop, procedure.units(shop, watch), watch)
        batch.left_out += procedure.left_out()
        if not batch.items:
            reasons = "; ".join(f"{one['file']} {one['reason']}" for one in batch.left_out[:3])
            shop.clear()
            raise Refusal(f"nothing in {source} could be used: {reasons}")
        notes = procedure.finish(batch)
        arrays = write_arrays(shop.work / "arrays", procedure.arrays(batch))
        manifest: Manifest[Any, Any] = {
            "format": FORMAT,
            "kind": kind,
            **(HashedAs(hashed_as=word) if word != kind else HashedAs()),
            "sample_rate_hz": SAMPLE_RATE_HZ,
            "options": procedure.options(),
            "items": batch.items,
            "arrays": arrays,
            "left_out": sorted(batch.left_out, key=lambda one: one["file"]),
            "notes": notes,
        }
        report = write_report(manifest, batch.facts, shop.work / "arrays", procedure.source)
        manifest = shop.publish(manifest, report)
    return Outcome(manifest, already=False, recalled=batch.recalled)
