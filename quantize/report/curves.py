"""Quality against cost: the same model pruned more and more, tuned each time, as float and as integers.

``python -m quantize.report.curves FILE.json …`` prints written curves as Markdown tables.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NotRequired, TypedDict

from common.files import write_picture, write_text
from common.refusal import Refusal
from quantize.cost import predict
from quantize.data.calibration_set import CalibrationSet
from quantize.data.quality import lost_percent, measure_that_counts
from quantize.procedure import FLOAT_SHARE, Settings, Stage, StageRecord, line_of, prune_once, run_procedure
from quantize.progress import Part, Progress

KEEPS = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1)
SAME_SHARE = 0.002
Axis = Literal["cycles", "weight_bytes"]
Loss = Literal["untuned_loss_percent", "pruned_loss_percent", "int8_loss_percent"]
AXES: tuple[tuple[Axis, str], ...] = (("cycles", "predicted cycles"), ("weight_bytes", "bytes of weights"))
LINES: tuple[tuple[Loss, str, str], ...] = (
    ("untuned_loss_percent", "pruned, untuned", ":"),
    ("pruned_loss_percent", "pruned, tuned", "--o"),
    ("int8_loss_percent", "W8A16", "-o"),
)
UNITS = {"truth/onset_f1": "F1 of onsets", "truth/mr_stft": "MR-STFT to the recording"}


@dataclass
class Point:
    """One pruned, tuned and quantized model.

    Attributes
    ----------
    keep : float
        Share of the multiply-accumulates asked for.
    activations : str
        "16" or "8" bits.
    macs : float
        Share that is left.
    cycles : float
        Predicted cycles per second (per event for event models) of the integers.
    cpu : float
        Predicted worst share of the board's processor.
    weight_bytes : int
        Of the integers.
    stages : list of Stage
        What was measured on the way.
    """

    keep: float
    activations: str
    macs: float
    cycles: float
    cpu: float
    weight_bytes: int
    stages: list[Stage]


class CurveRow(TypedDict):
    """One plain row: cost, bytes, and the loss in percent at every stage on the way to integers."""

    keep: float
    activations: str
    macs: float
    cycles: float
    cpu_worst: float
    weight_bytes: int
    parameters: int
    measure: str
    float: float
    untuned_loss_percent: float
    pruned_loss_percent: float
    rounded_loss_percent: float
    int8_loss_percent: float
    rounded_snr_db: NotRequired[float]
    int8_snr_db: NotRequired[float]
    onset_agreement: NotRequired[float]
    rounding_change_percent: float
    cpu_s: float
    stages: list[StageRecord]


class Curve(TypedDict):
    """A written curve: what was typed, a digest of the float model, and the rows."""

    title: str
    command: str
    model: str
    rows: list[CurveRow]


def loss_percent(stage: Stage, reference: Stage, key: str, larger_is_better: bool) -> float:
    """How much worse a stage is than the float model, in percent of the float model's figure."""
    return lost_percent(stage.measures[key], reference.measures[key], larger_is_better)


def trace(
    calibration_set: CalibrationSet,
    settings: Settings,
    progress: Progress,
    keeps: Sequence[float] = KEEPS,
    known: Sequence[CurveRow] = (),
) -> Iterator[Point]:
    """Run the procedure for every share of the cost to keep, and once unpruned with 8-bit activations.

    A share that can't be reached ends the curve; one whose pruning gives a network that the curve has
    already is left out.

    The integers of every row are tuned alike: unpruned ones leave the float part of the effort unspent.

    Parameters
    ----------
    known : sequence of CurveRow
        Rows of an earlier, unfinished trace: they are not run again.
    """
    there = {(row["keep"], row["activations"]) for row in known}
    shares = [row["macs"] for row in known if row["keep"] < 1.0]
    whole = replace(settings, keep=1.0, effort=settings.effort.part(1.0 - FLOAT_SHARE))
    ways = [replace(whole, activations="8")] if 1.0 in keeps else []
    ways += [whole if keep == 1.0 else replace(settings, keep=keep) for keep in keeps]
    for index, way in enumerate(ways):
        if (way.keep, way.activations) in there:
            continue
        name = f"{index + 1} of {len(ways)}, {way.keep:.0%} of the cost, {way.activations}-bit activations"
        progress.at(name)
        try:
            if way.keep < 1.0 and _seen(prune_once(calibration_set, way).macs, shares):
                continue
            outcome = run_procedure(calibration_set, way, Part(progress, name))
        except Refusal as refusal:
            if not index:
                raise
            progress.ended(str(refusal))
            return
        cost = predict(outcome.model, settings.board)
        cycles = cost.cycles_per_second or sum(layer.get("cycles_per_event", 0.0) for layer in cost.layers)
        macs = outcome.stages[-1].macs_per_tick / outcome.stages[0].macs_per_tick
        shares += [macs] if way.keep < 1.0 else []
        progress.ended(line_of(outcome.stages[-1], outcome.stages[0]))
        yield Point(
            way.keep,
            way.activations,
            macs,
            float(cycles),
            float(cost.cpu_worst),
            int(cost.weight_bytes),
            outcome.stages,
        )


def _seen(share: float, shares: list[float]) -> bool:
    """Whether a network of this share of the cost is among those of `shares`."""
    return any(abs(share - other) < SAME_SHARE for other in shares)


def row_of(point: Point) -> CurveRow:
    """One plain row of a curve."""
    key, larger = measure_that_counts(point.stages[-1].measures)
    reference = point.stages[0]
    floats = [s for s in point.stages if not s.name.startswith("int8")]
    integers = [s for s in point.stages if s.name.startswith("int8")]

    def loss(stage: Stage, base: Stage = reference) -> float:
        return loss_percent(stage, base, key, larger)

    rounded, final = integers[0], integers[-1]
    row: CurveRow = {
        "keep": point.keep,
        "activations": point.activations,
        "macs": point.macs,
        "cycles": point.cycles,
        "cpu_worst": point.cpu,
        "weight_bytes": point.weight_bytes,
        "parameters": final.parameters,
        "measure": key,
        "float": reference.measures[key],
        "untuned_loss_percent": loss(floats[min(1, len(floats) - 1)]),
        "pruned_loss_percent": loss(floats[-1]),
        "rounded_loss_percent": loss(rounded),
        "int8_loss_percent": loss(final),
        "rounding_change_percent": loss(final, floats[-1]),
        "cpu_s": sum(s.cpu_s for s in point.stages),
        "stages": [s.record() for s in point.stages],
    }
    # what the integers alone change: against the float weights that they were rounded from
    if "unrounded/snr_db" in rounded.measures:
        row["rounded_snr_db"] = rounded.measures["unrounded/snr_db"]
    if "unrounded/snr_db" in final.measures:
        row["int8_snr_db"] = final.measures["unrounded/snr_db"]
    if "unrounded/onset_agreement" in final.measures:
        row["onset_agreement"] = final.measures["unrounded/onset_agreement"]
    return row


def write_curve(rows: list[CurveRow], out: Path, title: str, command: str = "", model: str = "") -> None:
    """Write ``out`` (.json) and the picture beside it (.png).

    Parameters
    ----------
    command, model : str
        What was typed, and a digest of the float model: a later trace of both continues this one.
    """
    found: Curve = {"title": title, "command": command, "model": model, "rows": rows}
    write_text(out, json.dumps(found, indent=1) + "\n")
    _draw(rows, out.with_suffix(".png"), title)


def rows_so_far(out: Path, command: str, model: str) -> list[CurveRow]:
    """Rows that an earlier run of the same command wrote of the same model."""
    try:
        found = json.loads(out.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return []
    same = isinstance(found, dict) and (found.get("command"), found.get("model")) == (command, model)
    return list(found.get("rows", [])) if same else []


def _draw(rows: list[CurveRow], out: Path, title: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    wide = [row for row in rows if row["activations"] != "8"]
    narrow = [row for row in rows if row["activations"] == "8"]
    worst = max([10.0, *(r[name] for r in wide for name, _, _ in LINES[1:])])
    for place, (axis, label) in enumerate(AXES):
        axes = figure.add_subplot(1, 2, place + 1)
        for name, text, style in LINES:
            axes.plot([r[axis] for r in wide], [r[name] for r in wide], style, label=text)
        top = min(60.0, 1.5 * worst)
        for row in narrow:  # at the edge, with its figure, where it is worse than the picture is high
            loss = row["int8_loss_percent"]
            axes.plot(row[axis], min(loss, 0.96 * top), "s", color="tab:red", label="W8A8")
            if loss > top:
                axes.annotate(f"{loss:.0f} %", (row[axis], 0.96 * top), (-6, 0), textcoords="offset points",
                              ha="right", va="center", fontsize=8)  # fmt: skip
        axes.axhline(3.0, color="#999", linewidth=0.8)
        axes.set_ylim(min([-5.0, *(r["int8_loss_percent"] for r in rows)]) - 2, top)
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
        axes.set_ylabel(f"loss of {rows[0]['measure']}, %")
        axes.legend()
    figure.suptitle(title)
    write_picture(out, figure)


def markdown(curve: Curve) -> str:
    """A written curve as a Markdown table."""
    rows = curve["rows"]
    key, base = rows[0]["measure"], rows[0]["float"]
    agreement = "onset_agreement" in rows[0]
    head = [
        "MACs left", "activations", "bytes", "cycles", "Patch SM, worst", "untuned", "tuned",
        "int8, rounded", "int8, tuned", "rounding alone: SNR, change",
        *(["same onsets"] if agreement else []), "CPU s",
    ]  # fmt: skip
    lines = [
        f"{UNITS.get(key, key)}, float: {base:.4g}; losses in percent of it. `{curve['command']}`",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    for row in rows:
        pruned = row["keep"] < 1.0
        cells = [
            f"{row['macs']:.0%}",
            f"{row['activations']} bit",
            f"{row['weight_bytes']:,}",
            f"{row['cycles']:,.0f}",
            f"{row['cpu_worst']:.1%}",
            f"{row['untuned_loss_percent']:+.1f} %" if pruned else "",
            f"{row['pruned_loss_percent']:+.1f} %" if pruned else "",
            f"{row['rounded_loss_percent']:+.1f} %",
            f"{row['int8_loss_percent']:+.1f} %",
            f"{row['int8_snr_db']:.1f} dB, {row['rounding_change_percent']:+.2f} %",
            *([f"{row['onset_agreement']:.2%}"] if agreement else []),
            f"{row['cpu_s']:.0f}",
        ]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    for path in sys.argv[1:]:
        print(f"{path}\n\n{markdown(json.loads(Path(path).read_text()))}\n")
