"""Fit the compiler's cost table to the kernel table of the emulated Cortex-M7.

    python -m bench.fit bench/results/kernels.json -o firmware/compiler/cost_table.json

cycles = Σ coefficient · feature per kernel, coefficients ≥ 0 (non-negative least squares on relative errors).
Features of a convolution: ``call`` 1; ``blocks`` = ⌈frames/2⌉·⌈channels/4⌉; ``runs`` = blocks·runs;
``outputs`` = frames·channels; ``macs`` = outputs·runs·run as packed; ``odd_macs`` those of a last odd
frame, once more. Element-wise work: ``call``, ``frames``, ``elements``. PQMF: ``taps`` = frames·length,
``butterflies`` = frames·bands·log2(bands). The table says how far off it is on the rows it was fitted to.
Memory (line fills) comes on top, from the board file.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from bench.written import read_json, write_json
from hardware.refusal import Refusal


def fit(rows: list[dict]) -> dict[str, dict[str, float]]:
    """Coefficients by kernel, with ``worst_error`` and ``mean_error`` as fractions.

    Parameters
    ----------
    rows : ``rows`` of ``bench.kernels.run``; those with weights outside TCM are left out.
    """
    from scipy.optimize import nnls

    table: dict[str, dict[str, float]] = {}
    for kernel in sorted({row["kernel"] for row in rows}):
        chosen = [row for row in rows if row["kernel"] == kernel and row["region"] == "dtcm"]
        names = list(chosen[0]["features"])
        matrix = np.array([[row["features"][name] for name in names] for row in chosen], float)
        cycles = np.array([row["cycles"] for row in chosen], float)
        found, _ = nnls(matrix / cycles[:, None], np.ones(len(cycles)))
        errors = np.abs(matrix @ found / cycles - 1.0)
        table[kernel] = {name: round(float(value), 4) for name, value in zip(names, found, strict=True)}
        table[kernel] |= {
            "worst_error": round(float(errors.max()), 4),
            "mean_error": round(float(errors.mean()), 4),
        }
    return table


def main(words: list[str]) -> int:
    """Fit, print, and write where ``-o`` says."""
    if not words or words[0].startswith("-"):
        raise Refusal("say which kernel table: python -m bench.fit bench/results/kernels.json -o OUT.")
    table = fit(read_json(Path(words[0]))["rows"])
    for kernel, row in table.items():
        coefficients = "  ".join(f"{k} {v:g}" for k, v in row.items() if not k.endswith("_error"))
        print(f"{kernel:<24} ±{row['worst_error']:6.1%} (mean {row['mean_error']:.1%})  {coefficients}")
    if "-o" in words:
        write_json(Path(words[words.index("-o") + 1]), {"m7": table})
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except Refusal as refusal:
        print(f"fit: {refusal}", file=sys.stderr)
        sys.exit(refusal.exit_status)
