"""The report of a quantization: figures of every stage, noise of every layer, histograms, sounds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypedDict

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.figure import COLOURS, FAINT, new_figure
from common.files import whole, write_picture, write_text
from common.measures import measure
from common.page import PREDICTED, Cell, Page, Section, Sound, Value, number
from common.spectrogram import DEPTH_DB, card
from common.version import version
from quantize.data.examples import Example, tensors
from quantize.data.quality import is_audio, snr_db
from quantize.graph.graph import Graph
from quantize.graph.network import Network
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import Plan
from quantize.integers.ranges import BINS
from quantize.operators import along
from quantize.procedure import Outcome, StageRecord

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SHOWN = 4
"""Items whose sounds the page plays."""
DECADES, FEWEST = (0, 2, 4, 6), 0.5
"""Powers of ten that the histograms' axes name, and the count that an empty bin is drawn with."""
WORST_SNR_DB, BEST_SNR_DB = -20.0, 120.0  # what the picture of the layers shows


class LayerRecord(TypedDict):
    """A :class:`LayerNoise` as plain data."""

    tensor: str
    operator: str
    snr_db: float
    weight_snr_db: float | None
    bits: int
    scale: float
    clipped: float


class InFloat(TypedDict):
    """A node that does not run in integers, its first output, and why."""

    operator: str
    tensor: str
    why: str


Summary = TypedDict(
    "Summary",
    {
        "version": str,
        "stages": list[StageRecord],
        "widths": dict[str, list[int]],
        "layers": list[LayerRecord],
        "bits": dict[str, int],
        "left in float": list[InFloat],
        "sizes": dict[str, str],
        "notes": list[str],
    },
)
"""What ``report.json`` holds; ``widths`` are channels before and after, by the group's first layer."""


@dataclass
class LayerNoise:
    """How much noise a layer carries.

    Attributes
    ----------
    tensor, operator : str
        Output of the layer, and its operator.
    snr_db : float
        Of the integers against the float network of the same weights, everything before included.
    weight_snr_db : float or None
        Of the rounded weights alone.
    bits : int
        Width of the output.
    scale : float
        One step of the output.
    clipped : float
        Share of the output's values at the limits.
    """

    tensor: str
    operator: str
    snr_db: float
    weight_snr_db: float | None
    bits: int
    scale: float
    clipped: float

    def record(self) -> LayerRecord:
        """Give it as plain data, for JSON."""
        return {
            "tensor": self.tensor,
            "operator": self.operator,
            "snr_db": self.snr_db,
            "weight_snr_db": self.weight_snr_db,
            "bits": self.bits,
            "scale": self.scale,
            "clipped": self.clipped,
        }


def layer_noise(network: QuantizedNetwork, example: Example, before: Graph) -> list[LayerNoise]:
    """Signal-to-quantization-noise ratio of every integer tensor, in execution order.

    `before` holds the float weights as they were when quantization began.
    """
    import torch

    plan: Plan = network.plan
    quantized = network.to_quantized()
    names = [
        plan.fused.get(n, n)
        for p in sorted(plan.integer)
        for n in plan.graph.nodes[p].outputs
        if plan.fused.get(n, n) in plan.scale_class
    ]
    names = list(dict.fromkeys(names))
    fed = tensors(example.feed)
    with torch.no_grad():
        wanted = Network(network.to_graph())(fed, keep=names)
        made = network(fed, keep=names)
    makers = {plan.fused.get(n, n): p for p in sorted(plan.integer) for n in plan.graph.nodes[p].outputs}
    rows = []
    for name in names:
        position = next(
            (
                p
                for p in sorted(plan.integer)
                if name in [plan.fused.get(o, o) for o in plan.graph.nodes[p].outputs]
            ),
            makers[name],
        )
        node = plan.graph.nodes[position]
        weight_snr = None
        if position in plan.linear_positions():
            layer = quantized.layer(position)
            scales = along(layer.scale, layer.axis, layer.weight.ndim)
            weight_snr = snr_db(before.constants[node.inputs[1]], layer.weight * scales)
        bits, scale = plan.width(name), float(network.scale(name))
        top = (1 << (bits - 1)) - 1
        integers = np.rint(made[name].numpy() / scale)
        rows.append(
            LayerNoise(
                name,
                node.op,
                snr_db(wanted[name].numpy(), made[name].numpy()),
                weight_snr,
                bits,
                scale,
                float((np.abs(integers) >= top).mean()),
            )
        )
    return rows


def left_in_float(plan: Plan) -> list[InFloat]:
    """Nodes that do not run in integers, in execution order, and why."""
    nodes = plan.graph.nodes
    return [
        {"operator": nodes[p].op, "tensor": nodes[p].outputs[0], "why": why}
        for p, why in sorted(plan.left.items())
    ]


def summary(outcome: Outcome, layers: list[LayerNoise], sizes: dict[str, str]) -> Summary:
    """Everything of the report that a machine may read."""
    return {
        "version": version(),
        "stages": [stage.record() for stage in outcome.stages],
        "widths": {name: list(pair) for name, pair in outcome.widths.items()},
        "layers": [row.record() for row in layers],
        "bits": {name: outcome.network.plan.width(name) for name in outcome.network.plan.scale_class},
        "left in float": left_in_float(outcome.network.plan),
        "sizes": sizes,
        "notes": outcome.notes,
    }


def write_report(folder: Path, outcome: Outcome, example: Example, sizes: dict[str, str], title: str) -> Path:
    """Write ``report.html``, ``report.json``, pictures and sounds into a folder.

    Parameters
    ----------
    folder : Path
        Made when missing.
    outcome : Outcome
        What the procedure produced.
    example : Example
        Held-out feed to show.
    sizes : dict
        Bytes, cycles and the like to print first.
    title : str
        Name of the model.

    Returns
    -------
    Path
        The HTML file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    layers = layer_noise(outcome.network, example, outcome.graph)
    found = summary(outcome, layers, sizes)
    write_text(folder / "report.json", json.dumps(found, indent=1, default=float))
    page = Page(
        f"{Path(title).name}: float to integers",
        "What pruning, tuning and rounding to integers changed: in figures, layer by layer, and to the ear.",
        "The same figures are in report.json.",
    )
    _sizes_table(page.section("Size and cost"), sizes)
    _stages_table(page.section("Stages"), found["stages"])
    _sounds(page, folder, outcome, example)
    if outcome.widths:
        page.section("Channels", "Each row is a group of layers that lose channels together.").table(
            ["begins at", "channels before", "after"],
            [[Cell(name, code=True), a, b] for name, (a, b) in outcome.widths.items()],
        )
    section = page.section(
        "Noise by layer",
        "How far the integers are from the float network of the same weights, everything before included.",
    )
    _draw(section, _layers_figure(layers), folder / "layers.png", "Signal-to-noise ratio of every layer")
    _layers_table(section, layers)
    section = page.section("Left in float")
    if found["left in float"]:
        section.table(
            ["tensor", "operator", "why"],
            [[Cell(one["tensor"], code=True), one["operator"], one["why"]] for one in found["left in float"]],
        )
    else:
        section.text("Nothing: every operator runs in integers.")
    section = page.section(
        "Histograms", "Magnitudes on the calibration data; the line is the largest integer."
    )
    histograms = _histograms_figure(outcome)
    _draw(section, histograms, folder / "histograms.png", "Histogram of the magnitudes of every tensor")
    if outcome.notes:
        page.section("Notes").points(outcome.notes)
    write_text(folder / "report.html", page.html())
    return folder / "report.html"


def _sizes_table(section: Section, sizes: dict[str, str]) -> None:
    """Before and after side by side, where a figure has both."""
    pairs = {name: value.split(" → ") for name, value in sizes.items() if name != "board"}
    rows = [[name, *pair, *[""] * (2 - len(pair))] for name, pair in pairs.items()]
    where = f"On a {sizes['board'].split(';')[0]}. " if "board" in sizes else ""
    section.table(["figure", "float", "integers"], rows, where + PREDICTED)


def _stages_table(section: Section, stages: list[StageRecord]) -> None:
    """Measures down, stages across."""
    rows: list[list[Value]] = [
        ["parameters", *(s["parameters"] for s in stages)],
        ["multiply-accumulates per tick", *(s["macs_per_tick"] for s in stages)],
    ]
    for key in dict.fromkeys(k for s in stages for k in s["measures"]):
        named = measure(key)
        found = (s["measures"].get(key) for s in stages)
        rows.append([named.title, *("" if value is None else named.write(value) for value in found)])
    rows.append(["time, s", *(s["seconds"] for s in stages)])
    rows.append(["CPU time, s", *(s["cpu_s"] for s in stages)])
    section.table(
        ["figure", *(s["name"] for s in stages)],
        rows,
        note="Distances are to the float model on held-out feeds; against the data, to what the data say; "
        "against unrounded weights, to the float weights that were rounded.",
    )


def _layers_table(section: Section, layers: list[LayerNoise]) -> None:
    worst = min((r.snr_db for r in layers), default=0.0)
    section.table(
        [
            *("tensor", "operator", "width, bits", "one step", "signal-to-noise ratio, dB"),
            *("of the weights alone, dB", "at the limits"),
        ],
        [
            [
                Cell(r.tensor, code=True),
                r.operator,
                r.bits,
                r.scale,
                Cell(number(r.snr_db), grave=r.snr_db == worst),
                r.weight_snr_db,
                f"{100 * r.clipped:.2f} %",
            ]
            for r in layers
        ],
    )


def _draw(section: Section, figure: Figure, path: Path, says: str) -> None:
    """Put a figure on the page, and beside it as a file."""
    section.picture(figure, says)
    write_picture(path, figure, 110)


def _layers_figure(layers: list[LayerNoise]) -> Figure:
    figure, axes = new_figure(width=8, height=max(2.0, 0.24 * len(layers) + 0.8))
    axis = axes[0, 0]
    values = [float(np.clip(r.snr_db, WORST_SNR_DB, BEST_SNR_DB)) for r in layers]
    colours = [COLOURS[1] if v == min(values) else COLOURS[0] for v in values]
    axis.barh(range(len(layers)), values, color=colours)
    axis.set_yticks(range(len(layers)), [f"{r.operator}  {r.tensor}"[:48] for r in layers], fontsize=7)
    axis.invert_yaxis()
    axis.set_xlabel("signal to quantization noise, dB (accumulated)")
    return figure


def _histograms_figure(outcome: Outcome) -> Figure:
    plan, seen = outcome.network.plan, outcome.seen
    names = [n for n in seen.histograms if n in plan.scale_class]
    columns = 4
    rows = max(1, -(-len(names) // columns))
    figure, axes = new_figure(rows, columns, 10, 1.4 * rows + 0.3)
    for axis in axes.flat[len(names) :]:
        axis.remove()
    for axis, name in zip(axes.flat, names, strict=False):
        histogram = seen.histograms[name]
        counts = np.log10(np.maximum(histogram.counts.reshape(-1, BINS // 128).sum(1), FEWEST))
        edges = (np.arange(128) + 0.5) * histogram.top / 128
        axis.fill_between(edges, counts, np.log10(FEWEST), step="mid", color=COLOURS[5])
        top = float(outcome.network.scale(name)) * ((1 << (plan.width(name) - 1)) - 1)
        axis.axvline(top, color=COLOURS[1], linewidth=1)
        # a logarithmic axis has minor ticks, which took most of a report's time
        axis.set_yticks(DECADES, ["1", "100", "10⁴", "10⁶"])
        axis.set_ylim(np.log10(FEWEST), max(1.0, float(counts.max())) * 1.05)
        axis.set_title(name[:30], fontsize=7)
        axis.tick_params(labelsize=6, colors=FAINT)
    return figure


def _sounds(page: Page, folder: Path, outcome: Outcome, example: Example) -> None:
    """Write WAV files of the first audio output beside the page and players into it, where there is any."""
    import soundfile

    from quantize.data.examples import run

    name = next((n for n, v in example.taught.items() if is_audio(v)), None)
    if name is None:
        return
    takes = {"float": example.taught[name]}
    if outcome.widths:
        takes["pruned float"] = run(Network(outcome.network.to_graph()), example.feed)[name]
    takes["integers"] = run(outcome.network, example.feed)[name]
    players = []
    for index in range(min(SHOWN, takes["float"].shape[0])):
        for label, audio in takes.items():
            file = f"{index + 1}_{label.replace(' ', '_')}.wav"
            with whole(folder / file) as temporary:
                soundfile.write(
                    str(temporary), audio[index, 0], SAMPLE_RATE_HZ, subtype="FLOAT", format="WAV"
                )
            drawn = card(audio[index, 0], SAMPLE_RATE_HZ, f"Spectrogram of {file}")
            players.append(Sound(f"{index + 1}, {label}", file, drawn))
    page.section(
        "Sounds",
        f"The same held-out feeds, before and after. Brightness: 0 to −{DEPTH_DB:.0f} dB of full scale.",
    ).sounds(players, columns=len(takes))


def write_plain_report(
    folder: Path, figures: Mapping[str, str | float], layers: list[tuple[str, str, float]], title: str
) -> Path:
    """Write the report of a model quantized elsewhere: its figures and the noise of every layer."""
    folder.mkdir(parents=True, exist_ok=True)
    layer_rows = [{"tensor": tensor, "operator": operator, "snr_db": snr} for tensor, operator, snr in layers]
    found = {"version": version(), **figures, "layers": layer_rows}
    write_text(folder / "report.json", json.dumps(found, indent=1, default=float))
    page = Page(
        f"{Path(title).name}: quantized by onnxruntime",
        "How far the integers that onnxruntime made are from the float model, layer by layer.",
        "The same figures are in report.json.",
    )
    page.section("Figures").table(
        ["figure", "value"],
        [
            [measure(name).title, measure(name).write(value) if isinstance(value, float) else str(value)]
            for name, value in figures.items()
        ],
    )
    section = page.section("Noise by layer")
    rows = [LayerNoise(t, o, s, None, 0, 0.0, 0.0) for t, o, s in layers]
    _draw(section, _layers_figure(rows), folder / "layers.png", "Signal-to-noise ratio of every layer")
    section.table(
        ["tensor", "operator", "signal-to-noise ratio, dB"],
        [[Cell(tensor, code=True), operator, snr] for tensor, operator, snr in layers],
    )
    write_text(folder / "report.html", page.html())
    return folder / "report.html"
