"""Fit the compiler's cost table to the kernel table of the emulated Cortex-M7.

    python -m bench.fit_costs bench/results/kernels.json -o firmware/compiler/plan/cost_table.json

cycles = call + frame·frames + output·outputs + mac·multiply-accumulates per kernel, or a price per register
block (``firmware/compiler/plan/cost.py``); coefficients ≥ 0, by non-negative least squares on relative
errors. The table says how far off it is on the rows it was fitted to. Memory (line fills) comes on top, from
the board file; ``exposed`` is the part of a fill that a prefetching kernel still waits for.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from common.files import read_json, write_json
from common.refusal import Refusal
from firmware.compiler.plan.cost import BLOCKS
from firmware.kernelgen.packing import pitch_of

# Kernels that the cost model prices under a common name, each by its int16 form.
COMMON_NAMES = {
    "quantize_f32_s16": "quantize",
    "dequantize_s16_f32": "dequantize",
    "rescale_s16": "rescale",
    "copy_rows": "copy",
    "copy_rows_strided": "copy_strided",
    "gather_s16": "gather",
}
BOARD = "patch_sm"
"""Where the kernel table's regions come from."""
COEFFICIENTS = ("call", "frame", "output", "mac")


def fit(rows: list[dict]) -> dict[str, dict[str, Any]]:
    """Coefficients by kernel, with ``worst_error`` and ``mean_error`` as fractions.

    Parameters
    ----------
    rows : ``rows`` of ``bench.kernels.run``; those with weights outside TCM are left out.
    """
    from scipy.optimize import nnls

    table: dict[str, dict[str, Any]] = {}
    for kernel in sorted({row["kernel"] for row in rows}):
        chosen = [row for row in rows if row["kernel"] == kernel and row["region"] == "dtcm"]
        name = kernel.removeprefix("vk_")
        if name in BLOCKS:
            short = name.endswith("_short")
            counts = [BLOCKS[name](*block_shape(row["shape"], short=short)) for row in chosen]
            keys = tuple(counts[0])
            matrix = np.array([[count[key] for key in keys] for count in counts], float)
        else:
            keys = COEFFICIENTS
            matrix = np.array(
                [[1.0, frames_of(row["shape"]), row["outputs"], row["priced_macs"]] for row in chosen]
            )
        cycles = np.array([row["cycles"] for row in chosen], float)
        found, _ = nnls(matrix / cycles[:, None], np.ones(len(cycles)))
        errors = np.abs(matrix @ found / cycles - 1.0)
        prices = {key: round(float(value), 4) for key, value in zip(keys, found, strict=True)}
        table[COMMON_NAMES.get(name, name)] = {
            **({"blocks": prices} if name in BLOCKS else prices),
            "worst_error": round(float(errors.max()), 4),
            "mean_error": round(float(errors.mean()), 4),
        }
        waits = exposed([row for row in rows if row["kernel"] == kernel])
        if waits:
            table[COMMON_NAMES.get(name, name)]["exposed"] = waits
    return table


def frames_of(shape: str) -> int:
    """Frames of an element-by-element row, "frames × lanes"; 0 for any other, priced without."""
    found = re.fullmatch(r"(\d+) × \d+", shape)
    return int(found[1]) if found else 0


def block_shape(shape: str, *, short: bool = False) -> tuple[int, int, int, int]:
    """Read (runs, run, channels, frames) out of "inputs→outputs k taps d dilation ↑stride × frames".

    Of a joined sum it is (steps, taps, channels, frames), of a ``short`` one (taps, elements of a frame,
    channels, frames), whatever its dilation.
    """
    if found := re.fullmatch(r"(\d+) steps of (\d+) taps→(\d+) × (\d+)", shape):
        steps, taps, outputs, frames = (int(v) for v in found.groups())
        return steps, taps, outputs, frames
    found = re.fullmatch(r"(\d+)→(\d+) k(\d+)(?: d(\d+))?(?: ↑(\d+))? × (\d+)", shape)
    if found is None:
        raise Refusal(f"the kernel table has a convolution {shape!r} that nothing here can read.")
    inputs, outputs, taps, dilation, stride, frames = (int(v or 1) for v in found.groups())
    taps, outputs = taps // stride, outputs * stride
    if short:
        return taps, pitch_of(inputs, "s16"), outputs, frames
    return (taps, inputs, outputs, frames) if dilation > 1 else (1, taps * inputs, outputs, frames)


def exposed(rows: list[dict]) -> list[list[float]]:
    """Part of a line fill that a kernel which asks for lines ahead waits for: [fill cycles, part], ascending.

    From rows of one frame whose weights, a byte a multiply-accumulate, lie outside TCM, against the same call
    with weights in DTCM. More frames read the weights more than once; sliced layers run one.
    """
    from hardware.board import load_board

    board = load_board(BOARD)
    near = {row["shape"]: row["cycles"] for row in rows if row["region"] == "dtcm"}
    found = {}
    for row in rows:
        if row["region"] == "dtcm" or not row["shape"].endswith("× 1") or row["shape"] not in near:
            continue
        fill = float(board.region(row["region"]).line_fill_cycles or 0)
        lines = row["macs"] / board.processor.cache_line_bytes
        found[fill] = round(max(0.0, row["cycles"] - near[row["shape"]]) / (lines * fill), 4)
    return [[fill, found[fill]] for fill in sorted(found)]


def main(words: list[str]) -> int:
    """Fit, print, and write where ``-o`` says."""
    if not words or words[0].startswith("-"):
        raise Refusal("say which kernel table: python -m bench.fit_costs bench/results/kernels.json -o OUT.")
    table = fit(read_json(Path(words[0]))["rows"])
    for kernel, row in table.items():
        prices = row.get("blocks", row)
        keys = prices if "blocks" in row else COEFFICIENTS
        coefficients = "  ".join(f"{key} {prices[key]:g}" for key in keys)
        print(f"{kernel:<20} ±{row['worst_error']:6.1%} (mean {row['mean_error']:.1%})  {coefficients}")
    if "-o" in words:
        write_json(Path(words[words.index("-o") + 1]), {"cortex-m7": table})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refusal as refusal:
        print(f"fit: {refusal}", file=sys.stderr)
        sys.exit(refusal.exit_status)
