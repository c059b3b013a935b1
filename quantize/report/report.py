"""The report of a quantization: figures of every stage, noise of every layer, histograms, sounds."""

from __future__ import annotations

import html
import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.files import whole, write_picture, write_text
from quantize.data.examples import Example, tensors
from quantize.data.quality import is_audio, snr_db
from quantize.graph.graph import Graph
from quantize.graph.network import Network
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import Plan
from quantize.integers.ranges import BINS
from quantize.procedure import Outcome

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
       padding: 0 1rem; color: #222 }
table { border-collapse: collapse; margin: 1rem 0 }
td, th { padding: .25rem .7rem; border-bottom: 1px solid #ddd; text-align: right }
td:first-child, th:first-child { text-align: left }
img { max-width: 100% } .bad { color: #b00 } audio { vertical-align: middle } h2 { margin-top: 2.5rem }
"""


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
            shape = [1] * layer.weight.ndim
            shape[layer.axis] = -1
            weight_snr = snr_db(before.constants[node.inputs[1]], layer.weight * layer.scale.reshape(shape))
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


def left_in_float(plan: Plan) -> list[dict[str, str]]:
    """Nodes that do not run in integers, in execution order, and why."""
    nodes = plan.graph.nodes
    return [
        {"operator": nodes[p].op, "tensor": nodes[p].outputs[0], "why": why}
        for p, why in sorted(plan.left.items())
    ]


def summary(outcome: Outcome, layers: list[LayerNoise], sizes: dict[str, Any]) -> dict[str, Any]:
    """Everything of the report that a machine may read."""
    return {
        "stages": [asdict(stage) for stage in outcome.stages],
        "widths": {name: list(pair) for name, pair in outcome.widths.items()},
        "layers": [asdict(row) for row in layers],
        "bits": {name: outcome.network.plan.width(name) for name in outcome.network.plan.scale_class},
        "left in float": left_in_float(outcome.network.plan),
        "sizes": sizes,
        "notes": outcome.notes,
    }


def write_report(folder: Path, outcome: Outcome, example: Example, sizes: dict[str, Any], title: str) -> Path:
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
    _draw_layers(folder / "layers.png", layers)
    _draw_histograms(folder / "histograms.png", outcome)
    sounds = _render(folder, outcome, example)
    parts = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(title)}: float to integers</h1>",
        _sizes_table(sizes),
        "<h2>Stages</h2><p>Distances are to the float model on held-out feeds; task/… are the "
        "training task's own "
        "validation figures; unrounded/… compare the integers with the float weights that were rounded.</p>",
        _stages_table(found["stages"]),
        _widths_table(outcome.widths),
        "<h2>Noise by layer</h2><img src=layers.png alt='SNR of every layer'>",
        _layers_table(layers),
        "<h2>Left in float</h2>",
        _left_table(found["left in float"]),
        "<h2>Histograms</h2><p>Magnitudes on the calibration data; the line is the largest integer.</p>"
        "<img src=histograms.png alt=histograms>",
    ]
    if sounds:
        parts.append("<h2>Sounds</h2>" + sounds)
    if outcome.notes:
        parts.append("<h2>Notes</h2><ul>" + "".join(f"<li>{html.escape(n)}" for n in outcome.notes) + "</ul>")
    write_text(folder / "report.html", "\n".join(parts))
    return folder / "report.html"


def _table(head: list[str], rows: list[list[str]]) -> str:
    body = "".join("<tr>" + "".join(f"<td>{c}</td>" for c in row) + "</tr>" for row in rows)
    return "<table><tr>" + "".join(f"<th>{h}</th>" for h in head) + f"</tr>{body}</table>"


def _sizes_table(sizes: dict[str, Any]) -> str:
    return _table(["", ""], [[html.escape(k), html.escape(str(v))] for k, v in sizes.items()])


def _number(value: float) -> str:
    return "∞" if value == float("inf") else f"{value:.4g}"


def _stages_table(stages: list[dict[str, Any]]) -> str:
    """Measures down, stages across."""
    rows = [
        ["parameters", *(f"{s['parameters']:,}" for s in stages)],
        ["MAC per tick", *(f"{s['macs_per_tick']:,.0f}" for s in stages)],
    ]
    for key in dict.fromkeys(k for s in stages for k in s["measures"]):
        rows.append([key, *(_number(s["measures"][key]) if key in s["measures"] else "" for s in stages)])
    rows.append(["seconds", *(f"{s['seconds']:.1f}" for s in stages)])
    rows.append(["CPU seconds", *(f"{s['cpu_s']:.1f}" for s in stages)])
    return _table(["", *(html.escape(s["name"]) for s in stages)], rows)


def _widths_table(widths: dict[str, tuple[int, int]]) -> str:
    if not widths:
        return ""
    rows = [[html.escape(name), str(a), str(b)] for name, (a, b) in widths.items()]
    return "<h2>Channels</h2>" + _table(["begins at", "before", "after"], rows)


def _layers_table(layers: list[LayerNoise]) -> str:
    worst = min((r.snr_db for r in layers), default=0.0)
    rows = []
    for r in layers:
        mark = " class=bad" if r.snr_db == worst else ""
        rows.append(
            [
                f"<span{mark}>{html.escape(r.tensor)}</span>",
                r.operator,
                str(r.bits),
                f"{r.scale:.3g}",
                f"<span{mark}>{_number(r.snr_db)}</span>",
                "" if r.weight_snr_db is None else _number(r.weight_snr_db),
                f"{r.clipped:.2%}",
            ]
        )
    return _table(["tensor", "operator", "bits", "step", "SNR dB", "weights dB", "at the limits"], rows)


def _left_table(rows: list[dict[str, str]]) -> str:
    if not rows:
        return "<p>Nothing: every operator runs in integers."
    return _table(["operator", "tensor", "why"], [[html.escape(v) for v in row.values()] for row in rows])


def _figure(width: float, height: float) -> tuple[Any, Any]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.subplots()


def _draw_layers(path: Path, layers: list[LayerNoise]) -> None:
    figure, axes = _figure(9, max(2.0, 0.24 * len(layers) + 0.8))
    values = [min(r.snr_db, 120.0) for r in layers]
    colors = ["#b33" if v == min(values) else "#368" for v in values]
    axes.barh(range(len(layers)), values, color=colors)
    axes.set_yticks(range(len(layers)), [f"{r.operator}  {r.tensor}"[:48] for r in layers], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("signal to quantization noise, dB (accumulated)")
    write_picture(path, figure, 110)


def _draw_histograms(path: Path, outcome: Outcome) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    plan, seen = outcome.network.plan, outcome.seen
    names = [n for n in seen.histograms if n in plan.scale_class]
    columns = 4
    rows = -(-len(names) // columns)
    figure = Figure(figsize=(11, 1.5 * rows + 0.5), layout="constrained")
    FigureCanvasAgg(figure)
    for place, name in enumerate(names):
        axes = figure.add_subplot(rows, columns, place + 1)
        histogram = seen.histograms[name]
        counts = histogram.counts.reshape(-1, BINS // 128).sum(1)
        edges = (np.arange(128) + 0.5) * histogram.top / 128
        axes.fill_between(edges, np.maximum(counts, 0.5), 0.5, step="mid", color="#9bc")
        top = float(outcome.network.scale(name)) * ((1 << (plan.width(name) - 1)) - 1)
        axes.axvline(top, color="#b33", linewidth=1)
        axes.set_yscale("log")
        axes.set_title(name[:30], fontsize=7)
        axes.tick_params(labelsize=6)
    write_picture(path, figure, 100)


def _render(folder: Path, outcome: Outcome, example: Example) -> str:
    """Write WAV files and spectrograms of the first audio output; "" when the model makes none."""
    import soundfile

    name = next((n for n, v in example.taught.items() if is_audio(v)), None)
    if name is None:
        return ""
    feed = example.feed
    takes = {"float": example.taught[name]}
    if outcome.widths:
        from quantize.data.examples import run

        takes["pruned float"] = run(Network(outcome.network.to_graph()), feed)[name]
    from quantize.data.examples import run

    takes["integers"] = run(outcome.network, feed)[name]
    count = min(4, takes["float"].shape[0])
    lines = []
    for index in range(count):
        cells = []
        for label, audio in takes.items():
            file = f"{index + 1}_{label.replace(' ', '_')}.wav"
            with whole(folder / file) as temporary:
                soundfile.write(
                    str(temporary), audio[index, 0], SAMPLE_RATE_HZ, subtype="FLOAT", format="WAV"
                )
            cells.append(f"{label} <audio controls src='{file}'></audio>")
        lines.append("<p>" + " &nbsp; ".join(cells))
    _draw_spectrograms(folder / "spectrograms.png", {k: v[:count, 0] for k, v in takes.items()})
    return "\n".join(lines) + "<img src=spectrograms.png alt=spectrograms>"


def _draw_spectrograms(path: Path, takes: dict[str, np.ndarray]) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    count = next(iter(takes.values())).shape[0]
    figure = Figure(figsize=(11, 1.9 * count), layout="constrained")
    FigureCanvasAgg(figure)
    grid = figure.subplots(count, len(takes), squeeze=False)
    for column, (label, audio) in enumerate(takes.items()):
        for row in range(count):
            axes = grid[row][column]
            signal = audio[row] + 1e-9 * np.random.default_rng(0).standard_normal(audio.shape[-1])
            axes.specgram(
                signal, NFFT=512, noverlap=384, Fs=SAMPLE_RATE_HZ / 1000, vmin=-150, vmax=-40, cmap="magma"
            )
            axes.set_title(f"{row + 1}, {label}", fontsize=8)
            axes.tick_params(labelsize=6)
    write_picture(path, figure, 100)


def write_plain_report(
    folder: Path, figures: dict[str, Any], layers: list[tuple[str, str, float]], title: str
) -> Path:
    """Write the report of a model quantized elsewhere: its figures and the noise of every layer."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {**figures, "layers": [{"tensor": t, "operator": o, "snr_db": s} for t, o, s in layers]}
    write_text(folder / "report.json", json.dumps(found, indent=1, default=float))
    rows = [LayerNoise(t, o, s, None, 0, 0.0, 0.0) for t, o, s in layers]
    _draw_layers(folder / "layers.png", rows)
    page = [
        f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{STYLE}</style>",
        f"<h1>{html.escape(title)}: quantized by onnxruntime</h1>",
        _sizes_table(figures),
        "<h2>Noise by layer</h2><img src=layers.png alt='SNR of every layer'>",
        _table(["tensor", "operator", "SNR dB"], [[html.escape(t), o, _number(s)] for t, o, s in layers]),
    ]
    write_text(folder / "report.html", "\n".join(page))
    return folder / "report.html"
