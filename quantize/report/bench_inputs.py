"""What the bench judges sound by: the float models before the integers, and items of the test split.

Files are all that the bench may see of this room, so they are left beside the report:

- ``float.onnx``: as trained; ``pruned.onnx``: pruned and tuned, where that was done;
- ``test.npz``: ``N/in/NAME`` [C, T] what the decoder was fed with, ``N/truth/NAME`` what the data say, and
  ``source``, where they are from.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from common.files import write_bytes
from quantize.data.calibration_set import CalibrationSet
from quantize.data.examples import Example
from quantize.procedure import Outcome

ITEMS = 12


def write_bench_inputs(
    folder: Path, outcome: Outcome, calibration_set: CalibrationSet, items: int = ITEMS
) -> None:
    """Write models and test items into `folder`, which exists.

    Parameters
    ----------
    items : int
        How many, evenly picked over the test examples.
    """
    write_bytes(folder / "float.onnx", outcome.original.to_model().SerializeToString())
    if outcome.widths:
        write_bytes(folder / "pruned.onnx", outcome.graph.to_model().SerializeToString())
    else:
        (folder / "pruned.onnx").unlink(missing_ok=True)
    rows = [(example, row) for example in calibration_set.test for row in range(_size(example))]
    picked = [rows[at] for at in np.unique(np.linspace(0, len(rows) - 1, min(items, len(rows))).astype(int))]
    arrays: dict[str, np.ndarray] = {"source": np.array(calibration_set.source)}
    for number, (example, row) in enumerate(picked):
        arrays |= {f"{number}/in/{name}": value[row] for name, value in example.feed.items()}
        arrays |= {f"{number}/truth/{name}": value[row] for name, value in (example.truth or {}).items()}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)  # type: ignore[arg-type]  # the stub takes any keyword for allow_pickle
    write_bytes(folder / "test.npz", buffer.getvalue())


def _size(example: Example) -> int:
    return len(next(iter(example.feed.values())))
