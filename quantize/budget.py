"""How much must be pruned, and how wide activations may be, for a model to fit a board."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from common.measures import measure
from common.refusal import DoesNotFit, Refusal
from quantize.cost import predict
from quantize.data.calibration_set import CalibrationSet, decoder_of
from quantize.formats.qdq import to_qdq
from quantize.graph.graph import Graph
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.calibrate import activation_tensors, observe
from quantize.integers.mixed import mixed_scales
from quantize.integers.plan import Quantized, make_plan
from quantize.procedure import Settings, Width, prune_once
from quantize.progress import Progress

KEEPS = (1.0, 0.85, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2, 0.15, 0.1, 0.07, 0.05)
HALVINGS = 2
"""Of the step between what does not fit and what does, to leave no more unused than needed."""


@dataclass(frozen=True)
class Limits:
    """What the model may use.

    Attributes
    ----------
    board : str
        Name of the board.
    cpu : float
        Worst share of the processor in a callback.
    flash : int or None
        Bytes of weights.
    """

    board: str
    cpu: float
    flash: int | None


@dataclass
class Row:
    """One line of the trade-off table; `measures` of a pruned model, before any tuning."""

    keep: float
    activations: str
    cpu_worst: float
    weight_bytes: int
    fits: bool
    measures: dict[str, float]


def parse_share(text: str, option: str = "--cpu", whole: str = "a processor") -> float:
    """Read "40%" or "0.4" as 0.4; a refusal names the option and what it is a share of."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*(%?)\s*", text)
    value = float(match[1]) / (100.0 if match[2] else 1.0) if match else 0.0
    if not match or not 0.0 < value <= 1.0:
        raise Refusal(f"{option} {text} is no share of {whole}; write 40% or 0.4.")
    return value


def parse_bytes(text: str) -> int:
    """Read "400K", "2M" or a plain number of bytes; K is 1,024."""
    match = re.fullmatch(r"\s*([0-9]*\.?[0-9]+)\s*([kKmM]?)[bB]?\s*", text)
    if not match or float(match[1]) <= 0:
        raise Refusal(f"--flash {text} is no size; write 400K, 2M or a number of bytes.")
    return int(float(match[1]) * {"": 1, "k": 1024, "m": 1024**2}[match[2].lower()])


def check_board(source: Path, board: str) -> None:
    """Ask what the float model costs on a board, before its data are read.

    Raises
    ------
    Refusal
        When there is no such board, or no such model.
    """
    path = decoder_of(source) if source.is_dir() else source
    predict(load_graph(path).to_model(), board)


def quick_integers(graph: Graph, calibration_set: CalibrationSet, settings: Settings) -> Quantized:
    """Round a graph as it stands, ranges from one feed: enough to know its cost."""
    plan = make_plan(graph, 8 if settings.activations == "8" else 16)
    seen = observe(Network(graph), activation_tensors(plan), calibration_set.feeds[:1])
    return Quantized(plan, mixed_scales(plan, seen), {})


def choose(
    calibration_set: CalibrationSet,
    settings: Settings,
    limits: Limits,
    progress: Progress,
    widths: Sequence[Width] = ("16", "8"),
) -> tuple[Settings, list[Row]]:
    """Find the least pruning with which the model fits.

    Parameters
    ----------
    widths : sequence of {"16", "8", "mixed"}
        Widths of the activations; one is tried when nothing fits with those before it. Eight bits harm
        more than pruning to a fifth, and most boards need more cycles for them, but less memory.

    Returns
    -------
    Settings, list of Row
        The settings with the share of the cost to keep and the width, and the table of what was tried
        (before any tuning).

    Raises
    ------
    DoesNotFit
        When even the smallest network does not fit: by how much, and what would have to give.
    """
    rows: list[Row] = []
    for width in widths:
        for keep in KEEPS:
            progress.at(f"trying {keep:.0%} of the cost, {width}-bit activations")
            way = replace(settings, keep=keep, activations=width)
            try:
                row = _try(calibration_set, way, limits)
            except Refusal:
                if not rows:
                    raise
                break  # below the smallest network
            rows.append(row)
            if row.fits:
                for _ in range(HALVINGS if keep < 1.0 else 0):
                    above = min(one.keep for one in rows if one.keep > row.keep and one.activations == width)
                    between = replace(way, keep=(row.keep + above) / 2)
                    progress.at(f"trying {between.keep:.1%} of the cost, {width}-bit activations")
                    rows.append(_try(calibration_set, between, limits))
                    if rows[-1].fits:
                        row, way = rows[-1], between
                progress.ended(_told(row, limits))
                return way, rows
    least = min(rows, key=lambda row: (row.cpu_worst, row.weight_bytes))
    over = []
    if least.cpu_worst > limits.cpu:
        over.append(f"{least.cpu_worst:.1%} of the processor where {limits.cpu:.1%} is allowed")
    if limits.flash is not None and least.weight_bytes > limits.flash:
        over.append(f"{least.weight_bytes:,} bytes of weights where {limits.flash:,} are allowed")
    needs = " and ".join(over) or "more memory"
    raise DoesNotFit(
        f"even with {1 - least.keep:.0%} of its cost pruned the model needs {needs} on {limits.board} "
        "(predicted); allow more, choose a faster board, or train a smaller recipe."
    )


def _told(row: Row, limits: Limits) -> str:
    """What fits, in words."""
    how = "fits as it is, nothing is pruned" if row.keep >= 1.0 else f"fits with {row.keep:.0%} of its cost"
    return (
        f"{limits.board}: {how}; worst callback {row.cpu_worst:.1%} of {limits.cpu:.0%} allowed (predicted)"
    )


def _try(calibration_set: CalibrationSet, settings: Settings, limits: Limits) -> Row:
    graph = calibration_set.graph
    if settings.keep < 1.0:
        graph = prune_once(calibration_set, settings, fits=False).graph
    found = predict(to_qdq(quick_integers(graph, calibration_set, settings)), limits.board)
    flash_ok = limits.flash is None or found.weight_bytes <= limits.flash
    fits = bool(found.fits) and found.cpu_worst <= limits.cpu and flash_ok
    measures = calibration_set.compare(Network(graph)) if settings.keep < 1.0 else {}
    return Row(
        settings.keep,
        settings.activations,
        float(found.cpu_worst),
        int(found.weight_bytes),
        fits,
        measures,
    )


def table(rows: list[Row]) -> Any:
    """The trade-off as a rich table."""
    from rich.table import Table

    keys = list(dict.fromkeys(k for r in rows for k in r.measures))
    heads = ("kept", "bits", "worst CPU", "weight bytes", "fits", *(measure(k).title for k in keys))
    out = Table(*heads, title="What was tried (CPU predicted, measures before any fitting or tuning)")
    for r in rows:
        cells = [measure(k).write(r.measures[k]) if k in r.measures else "" for k in keys]
        fits = "yes" if r.fits else "no"
        out.add_row(f"{r.keep:.0%}", r.activations, f"{r.cpu_worst:.1%}", f"{r.weight_bytes:,}", fits, *cells)
    return out
