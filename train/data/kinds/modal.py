"""Patches of the instrument `modal`: positions of its sixteen knobs, and pictures of their sounds."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np

from common.files import write_text
from common.outputs import check_folder
from common.reading.tables import number, read_rows
from common.refusal import LeftOut, Refusal
from train.data.kinds.base import Batch, Held, Options, Preparation, Unit, Watch, held_out
from train.data.manifest import FileFacts, Item, Notes
from train.data.source import SourceFile
from train.data.store import Joined
from train.data.workshop import Result, Workshop
from train.models.modal.parameters import NAMES, SIZE, random_patches

AT_ONCE = 25
"""Patches rendered together."""
SILENT = 1e-4
EXCITERS = ("strike", "noise", "bow")
PER_TABLE = 250


@dataclass(frozen=True)
class PatchOptions(Held):
    """What can be said of a folder of patches."""


class PatchItem(Item):
    """A patch: what excites it most, and the peak of its sound at full level."""

    label: str
    peak: float


class PatchFacts(FileFacts):
    """What was found in a file: its patches, and how many of them are silent."""

    patches: int
    silent: int


class PatchSet(Preparation[PatchItem, PatchFacts]):
    """Tables of patches, a column for each parameter; they are rendered, and what is silent is left out."""

    options_type: ClassVar[type[Options]] = PatchOptions
    endings: ClassVar[frozenset[str]] = frozenset({"csv"})
    what: ClassVar[str] = "tables of patches"
    also_called: ClassVar[tuple[str, ...]] = ("patches",)
    wanted: PatchOptions

    def options(self) -> dict[str, Any]:
        """What was held out."""
        return {**held_out(self.wanted)}

    def units(self, shop: Workshop, watch: Watch) -> list[Unit]:
        """One a file."""
        from train.models.modal.picture import PLANES

        return [
            Unit(f.relative, self.key(f, planes=PLANES), partial(self._read, f)) for f in self.source.files
        ]

    @staticmethod
    def _read(file: SourceFile) -> Result:
        try:
            positions = read_patches(file.path)
        except Refusal as why:
            raise LeftOut(f"is no table of patches: {why}") from None
        seen, peaks = rendered(positions)
        result = Result()
        stem = file.relative.rsplit(".", 1)[0]
        exciter = positions[:, NAMES.index("exciter")]
        labels = np.array(EXCITERS)[np.digitize(exciter, (0.25, 0.75))].tolist()
        for at in np.flatnonzero(peaks >= SILENT).tolist():
            name = f"{stem}:{at}"
            entry: PatchItem = {
                "name": name,
                "file": file.relative,
                "group": name,
                "label": labels[at],
                "peak": round(float(peaks[at]), 4),
            }
            result.add(entry, positions=positions[at], pictures=seen[at])
        facts: PatchFacts = {
            "file": file.relative,
            "patches": len(positions),
            "silent": int((peaks < SILENT).sum()),
        }
        result.facts = facts
        return result

    def finish(self, batch: Batch[PatchItem, PatchFacts]) -> Notes:
        """Every patch by itself."""
        groups = [item["group"] for item in batch.items]
        self.split(batch, groups, [item["label"] for item in batch.items], self.wanted)
        return {"groups": len(groups)}

    def arrays(self, batch: Batch[PatchItem, PatchFacts]) -> dict[str, np.ndarray | Joined]:
        """Positions and pictures, patch by patch."""
        from train.models.modal.picture import SHAPE

        count = len(batch.items)
        return {
            "positions": Joined((count, SIZE), np.float32, (one[None] for one in batch.pieces("positions"))),
            "pictures": Joined((count, *SHAPE), np.uint8, (one[None] for one in batch.pieces("pictures"))),
        }


def write_patches(folder: Path, count: int, seed: int) -> None:
    """Write tables of patches drawn at random, as `random_patches` draws them.

    Raises
    ------
    Refusal
        When the folder is there, or cannot be written.
    """
    check_folder(folder, ours="0000.csv")
    drawn = random_patches(count, seed)
    folder.mkdir(parents=True, exist_ok=True)
    for first in range(0, count, PER_TABLE):
        rows = [",".join(f"{value:.6f}" for value in row) for row in drawn[first : first + PER_TABLE]]
        write_text(folder / f"{first // PER_TABLE:04d}.csv", "\n".join([",".join(NAMES), *rows]) + "\n")


def read_patches(path: Path) -> np.ndarray:
    """Positions ``[N, 16]`` float32 of a table.

    Raises
    ------
    Refusal
        When a column is missing, or a number is none or lies outside 0 … 1.
    """

    def knows(columns: Collection[str]) -> bool:
        return set(NAMES) <= set(columns)

    rows = read_rows(path, knows, f"the columns {', '.join(NAMES)}", NAMES)
    if not rows:
        raise Refusal(f"{path} has no patch below its first line")
    table = np.zeros((len(rows), SIZE), np.float32)
    for at, (line, row) in enumerate(rows):
        for column, name in enumerate(NAMES):
            try:
                value = number(row.get(name, ""))
            except ValueError as why:
                raise Refusal(f"{path}, line {line}, {name}: {why}") from None
            if not 0.0 <= value <= 1.0:
                raise Refusal(
                    f"{path}, line {line}, {name}: {value:g} is no position; they lie between 0 and 1"
                )
            table[at, column] = value
    return table


def rendered(positions: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pictures ``[N, 3, 80, 64]`` uint8 and peaks ``[N]`` of patches ``[N, 16]``, as the twin sounds."""
    import torch

    from train.models.modal.picture import SHAPE, pictures
    from train.models.modal.sound import stroke

    seen, peaks = np.zeros((len(positions), *SHAPE), np.uint8), np.zeros(len(positions), np.float32)
    # a bow and a long fall of the pitch are work: like beside like
    bowed = positions[:, NAMES.index("exciter")] > 0.5
    order = np.lexsort((positions[:, NAMES.index("settle")], bowed))
    with torch.no_grad():
        for first in range(0, len(order), AT_ONCE):
            some = order[first : first + AT_ONCE]
            sound = stroke(torch.from_numpy(positions[some]))
            seen[some], peaks[some] = pictures(sound).numpy(), sound.abs().amax(1).numpy()
    return seen, peaks
