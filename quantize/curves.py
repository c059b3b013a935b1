"""Quality against cost: the same model pruned more and more, tuned each time, as float and as integers."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from quantize.cost import predict
from quantize.material import Material
from quantize.road import Settings, Stage, walk
from train.refusal import Refusal

KEEPS = (1.0, 0.7, 0.5, 0.35, 0.2, 0.1)
# the measure that counts, by what the material offers: (key, whether larger is better)
MEASURES = (("truth/onset_f1", True), ("truth/mr_stft", False), ("mr_stft", False), ("snr_db", True))


@dataclass
class Point:
    """One pruned, tuned and quantized model.

    Attributes
    ----------
    keep : float
        Share of the multiply-accumulates asked for.
    macs : float
        Share that is left.
    cycles : float
        Predicted cycles per second (per event for event models) of the integers.
    weight_bytes : int
        Of the integers.
    stages : list of Stage
        What was measured on the way.
    """

    keep: float
    macs: float
    cycles: float
    weight_bytes: int
    stages: list[Stage]


def measure_of(stages: list[Stage]) -> tuple[str, bool]:
    """The measure that a curve is drawn of."""
    for key, larger in MEASURES:
        if key in stages[-1].measures:
            return key, larger
    raise Refusal("this model offers no measure to draw a curve of.")


def loss_percent(stage: Stage, reference: Stage, key: str, larger_is_better: bool) -> float:
    """How much worse a stage is than the float model, in percent of the float model's figure."""
    value, base = stage.measures[key], reference.measures[key]
    change = (base - value) if larger_is_better else (value - base)
    return 100.0 * change / max(abs(base), 1e-12)


def trace(
    material: Material,
    settings: Settings,
    tell: Callable[[str, float], None],
    keeps: tuple[float, ...] = KEEPS,
) -> list[Point]:
    """Walk the road once for every share of the cost to keep; what can't be reached ends the curve."""
    points: list[Point] = []
    for index, keep in enumerate(keeps):
        tell(f"keeping {keep:.0%}", index / len(keeps))
        try:
            outcome = walk(material, replace(settings, keep=keep))
        except Refusal as refusal:
            if not points:
                raise
            tell(str(refusal), 1.0)
            break
        cost = predict(outcome.model, settings.board)
        cycles = cost.cycles_per_second or sum(layer.get("cycles_per_event", 0.0) for layer in cost.layers)
        macs = outcome.stages[-1].macs_per_tick / outcome.stages[0].macs_per_tick
        points.append(Point(keep, macs, cycles, cost.weight_bytes, outcome.stages))
    return points


def rows_of(points: list[Point]) -> list[dict[str, Any]]:
    """Make plain rows: cost, bytes, and the loss in percent of the pruned float model and of its integers."""
    key, larger = measure_of(points[0].stages)
    rows = []
    for p in points:
        reference = p.stages[0]
        floats = [s for s in p.stages if not s.name.startswith("int8")]
        integers = p.stages[-1]
        rows.append(
            {
                "keep": p.keep,
                "macs": p.macs,
                "cycles": p.cycles,
                "weight_bytes": p.weight_bytes,
                "parameters": integers.parameters,
                "measure": key,
                "float": reference.measures[key],
                "pruned_loss_percent": loss_percent(floats[-1], reference, key, larger),
                "untuned_loss_percent": loss_percent(floats[min(1, len(floats) - 1)], reference, key, larger),
                "int8_loss_percent": loss_percent(integers, reference, key, larger),
                "int8_against_unrounded_snr_db": integers.measures.get("unrounded/snr_db"),
            }
        )
    return rows


def write_curve(points: list[Point], out: Path, title: str) -> list[dict[str, Any]]:
    """Write ``out`` (.json) and the picture beside it (.png); returns the rows."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = rows_of(points)
    temporary = out.with_name(out.name + ".part")
    temporary.write_text(json.dumps({"title": title, "rows": rows}, indent=1))
    temporary.replace(out)
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    FigureCanvasAgg(figure)
    for place, (axis, label) in enumerate(
        (("cycles", "predicted cycles"), ("weight_bytes", "bytes of weights"))
    ):
        axes = figure.add_subplot(1, 2, place + 1)
        x = [row[axis] for row in rows]
        for name, text, style in (
            ("untuned_loss_percent", "pruned, untuned", ":"),
            ("pruned_loss_percent", "pruned, tuned", "--o"),
            ("int8_loss_percent", "int8", "-o"),
        ):
            axes.plot(x, [row[name] for row in rows], style, label=text)
        axes.axhline(3.0, color="#999", linewidth=0.8)
        axes.set_ylim(min(-10.0, *(row["int8_loss_percent"] for row in rows)) - 2, 60)
        axes.set_xlim(left=0)
        axes.set_xlabel(label)
        axes.set_ylabel(f"loss of {rows[0]['measure']}, %")
        axes.legend()
    figure.suptitle(title)
    figure.savefig(out.with_suffix(".png"), dpi=110)
    return rows
