"""The page of a report: numbers first, then load, layers, roofline, memory, latency, formats, quality."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.plots import (
    layers_figure,
    load_figure,
    quality_figure,
    region_colour,
    region_name,
    roofline_figure,
    sweep_figure,
)
from bench.report.schema import (
    BlockRow,
    Device,
    EventPrediction,
    FormatRow,
    InstrumentPart,
    Live,
    Measures,
    ModelPart,
    Prediction,
    Quality,
    Report,
    StreamPrediction,
)
from common.measures import measure
from common.page import PREDICTED, Cell, Page, Section, Value, number
from common.spectrogram import excerpt, player

if TYPE_CHECKING:
    import numpy as np

    from common.page import Sound

SHOWN_LAYERS = 24
LEAST_SHARE = 0.00005  # of the processor: what would read as 0.00 %
PLAYED_S = 2.0
PEAK = 0.9
FORMATS = {"float": "float", "pruned": "pruned float", "w8a16": "W8A16 integers", "w8a8": "W8A8 integers"}


def render_page(report: Report, sounds: dict[str, dict[str, np.ndarray]] | None = None) -> str:
    """Return the page; every picture and sound is inside it.

    Parameters
    ----------
    sounds : dict of dict of ndarray, optional
        By role and format, what quality compared.
    """
    page = Page(
        f"{report['target']} on {report['board_title']}",
        "Cycles are predicted by an emulated Cortex-M7 with a model of its pipeline and cache, never "
        "measured on a board; what was measured says so, and where.",
        f"Board {report['board']}; the same figures are in report.json.",
    )
    if "instrument" in report:
        _instrument(page, report["instrument"])
    for role, part in report["models"].items():
        _model(page, role, part, report, (sounds or {}).get(role, {}))
    if "device" in report:
        _device(page, report, report["device"])
    return page.html()


def _percent(share: float, digits: int = 1) -> str:
    return f"{100 * share:.{digits}f} %"


def _worst(share: float) -> Cell:
    return Cell(_percent(share), grave=share > 1)


def _instrument(page: Page, found: InstrumentPart) -> None:
    cpu = found["cpu"]
    section = page.section("The whole instrument: engine, controls, every voice", PREDICTED, tag="predicted")
    section.figures(
        {
            "CPU, mean": _percent(cpu["mean"]),
            "CPU, worst callback": _worst(cpu["worst"]),
            "CPU, 99th percentile": _percent(cpu["p99"]),
            "headroom": _percent(cpu["headroom"]),
            "samples unlike the host's": found["samples_that_differ_from_host"],
        }
    )
    section.note(
        f"{found['script']} played for {found['seconds']:.1f} s on the emulated module, {found['block']} "
        f"samples a callback; {found['callbacks_traced']} callbacks counted from "
        f"{found['traced_from_s']:.2f} s on."
    )
    section.picture(
        load_figure(found["callback_cycles"], found["cycles_per_callback"]),
        "Load per callback of the whole instrument",
    )
    section.table(
        ["function", "CPU"],
        [
            [Cell(name, code=True), _percent(share, 2)]
            for name, share in found["cpu_by_function"].items()
            if share >= LEAST_SHARE
        ],
        note=f"The costliest functions. {PREDICTED}",
    )


def _model(page: Page, role: str, part: ModelPart, report: Report, sounds: dict[str, np.ndarray]) -> None:
    section = page.section(part["file"], tag=role)
    if "predicted" in part:
        predicted = part["predicted"]
        if "event" in predicted:
            _event(page, section, predicted)
        else:
            _stream(page, section, predicted, report)
    if "formats" in part:
        _formats(page.section("Formats", level=3), part["formats"])
    if "sweep" in part:
        _sweep(page.section("Block size", level=3), part["sweep"])
    if "quality" in part:
        _quality(page.section("Quality", level=3), part["quality"], sounds)
    if "live" in part:
        _live(page.section("Live on this machine", level=3, tag="measured"), part["live"])


def _event(page: Page, section: Section, predicted: EventPrediction) -> None:
    section.note(PREDICTED)
    section.figures(
        {
            "cycles an event": predicted["cycles"],
            "if run in one go": f"{predicted['milliseconds_alone']:.2f} ms",
            "steps over callbacks": len(predicted["steps"]) - 1,
            "of a callback, worst step": _worst(predicted["cpu"]["worst"]),
            "parameters": predicted["parameters"],
        }
    )
    _agreement(section, predicted)
    page.section("Load, step by step", level=3).picture(
        load_figure(predicted["steps"][1:], predicted["cycles_per_callback"], "step"),
        "Load per step",
        PREDICTED,
    )
    _memory(page.section("Memory", level=3), predicted)


def _stream(page: Page, section: Section, predicted: StreamPrediction, report: Report) -> None:
    cpu = predicted["cpu"]
    section.note(PREDICTED)
    section.figures(
        {
            "CPU, mean": _percent(cpu["mean"]),
            "CPU, worst callback": _worst(cpu["worst"]),
            "CPU, 99th percentile": _percent(cpu["p99"]),
            "headroom": _percent(cpu["headroom"]),
            "worst over mean": f"{cpu['worst_over_mean']:.2f}",
            "control to sound": f"{predicted['latency']['total_ms']:.2f} ms",
            "multiply-accumulates a sample": round(predicted["macs_per_sample"]),
            "parameters": predicted["parameters"],
            "stack": f"{predicted['stack_bytes']:,} bytes",
        }
    )
    _agreement(section, predicted)
    page.section("Load, callback by callback", level=3).picture(
        load_figure(predicted["callback_cycles"], predicted["cycles_per_callback"]),
        "Load per callback",
        PREDICTED,
    )
    _layers(page.section("Layers", level=3), predicted)
    page.section(
        "Roofline: traffic against compute",
        "Each point is a layer, its size its share of the cycles. Right: much work for each byte fetched "
        "through the cache. The line is what the core (flat) and the AXI bus (slope) allow.",
        level=3,
    ).picture(
        roofline_figure(predicted, report["line_fill_cycles"]), "The roofline of every layer", PREDICTED
    )
    _memory(page.section("Memory", level=3), predicted)
    _latency(page.section("Latency", level=3), predicted)


def _agreement(section: Section, predicted: Prediction) -> None:
    exact = predicted["bit_exact"]
    section.note(
        f"{predicted['block']} samples a callback. {exact['compared']:,} outputs compared bit for bit with "
        f"the host build, {exact['differing']:,} differ. Heap: {predicted['heap_bytes']:,} bytes."
    )


def _layers(section: Section, predicted: StreamPrediction) -> None:
    section.picture(layers_figure(predicted), "Cycles of every layer", PREDICTED)
    layers = sorted(predicted["layers"], key=lambda layer: -layer["cycles"])
    dearest = layers[0]["cycles"] or 1.0
    rest = len(layers) - SHOWN_LAYERS
    more = f" {rest} smaller layers are in report.json." if rest > 0 else ""
    section.table(
        [
            *("layer", "weights in", "multiply-accumulates a callback", "cycles a callback"),
            *("cycles each", "line fills", "share", "cycles"),
        ],
        [
            [
                Cell(layer["what"], code=True, long=True),
                region_name(layer["region"]),
                f"{layer['macs']:,.0f}",
                f"{layer['cycles']:,.0f}",
                layer["cycles_per_mac"],
                f"{layer['line_fills']:,.1f}",
                _percent(layer["share"]),
                Cell(bar=layer["cycles"] / dearest, colour=region_colour(layer["region"])),
            ]
            for layer in layers[:SHOWN_LAYERS]
        ],
        note=PREDICTED + more,
    )


def _memory(section: Section, predicted: Prediction) -> None:
    section.table(
        ["region", "of the board, bytes", "port and stack, bytes", "model, bytes", "left, bytes"],
        [[m["title"], m["bytes"], m["port"], m["used"], m["left"]] for m in predicted["memory"]],
        note="From the linked image.",
    )


def _latency(section: Section, predicted: StreamPrediction) -> None:
    latency = predicted["latency"]
    rows: list[list[Value]] = [[name, f"{value:.3f}"] for name, value in latency["parts_ms"].items()]
    rows.append(["control to sound", f"{latency['total_ms']:.3f}"])
    if latency["filter_bank_group_delay_ms"]:
        rows.append(
            ["group delay of the filter bank, on top", f"{latency['filter_bank_group_delay_ms']:.3f}"]
        )
    section.table(["where", "delay, ms"], rows, note=PREDICTED)


def _formats(section: Section, formats: dict[str, FormatRow]) -> None:
    refused = ["refused"] if any("refused" in row for row in formats.values()) else []
    section.table(
        ["format", "CPU, mean", "CPU, worst callback", "weights, bytes", "state, bytes", *refused],
        [
            [
                FORMATS.get(form, form),
                _percent(row["cpu_mean"]) if "cpu_mean" in row else None,
                _worst(row["cpu_worst"]) if "cpu_worst" in row else None,
                row.get("weight_bytes"),
                row.get("state_bytes"),
                *([row.get("refused")] if refused else []),
            ]
            for form, row in formats.items()
        ],
        note=PREDICTED,
    )


def _sweep(section: Section, rows: list[BlockRow]) -> None:
    if any("cpu_mean" in row for row in rows):
        section.picture(sweep_figure(rows), "CPU by block size")
    refused = ["refused"] if any("refused" in row for row in rows) else []
    section.table(
        ["samples a callback", "CPU, mean", "CPU, worst callback", "control to sound, ms", *refused],
        [
            [
                row["block"],
                _percent(row["cpu_mean"]) if "cpu_mean" in row else None,
                _worst(row["cpu_worst"]) if "cpu_worst" in row else None,
                f"{row['latency_ms']:.2f}" if "latency_ms" in row else None,
                *([row.get("refused")] if refused else []),
            ]
            for row in rows
        ],
        note=PREDICTED,
    )


def _quality(section: Section, quality: Quality, sounds: dict[str, np.ndarray]) -> None:
    section.note(f"Computed on this machine, bit-exact with the module. Inputs: {quality['inputs']}.")
    for title, forms in (
        ("against float", quality["formats"]),
        ("against the data", quality.get("recordings", {})),
    ):
        keys = list(dict.fromkeys(key for row in forms.values() for key in row))
        if keys:
            section.table(
                [title, *(FORMATS.get(form, form) for form in forms)],
                [[measure(key).title, *(_written(key, row) for row in forms.values())] for key in keys],
            )
    if len(sounds) > 1:
        section.picture(quality_figure(sounds), "Spectrograms of every format, and of the last one's change")
        section.sounds(_players(sounds))


def _written(key: str, row: Measures) -> str:
    return measure(key).write(row[key]) if key in row else ""


def _players(sounds: dict[str, np.ndarray]) -> list[Sound]:
    """Players of every format at one level, and of what the last one changed, as loud as can be."""
    from common.audio import SAMPLE_RATE_HZ

    reference = sounds["float"]
    gain = PEAK / max(1e-9, float(abs(reference).max()))
    players = [
        player(FORMATS.get(form, form), excerpt(gain * sound, SAMPLE_RATE_HZ, PLAYED_S), SAMPLE_RATE_HZ)
        for form, sound in sounds.items()
    ]
    last = next(form for form in reversed(list(sounds)) if form != "float")
    size = min(len(reference), len(sounds[last]))
    change = reference[:size] - sounds[last][:size]
    louder = PEAK / max(1e-9, float(abs(change).max()))
    note = f"made {number(20 * _log10(louder / gain))} dB louder"
    players.append(
        player(
            f"what {FORMATS.get(last, last)} change",
            excerpt(louder * change, SAMPLE_RATE_HZ, PLAYED_S),
            SAMPLE_RATE_HZ,
            note,
        )
    )
    return players


def _log10(ratio: float) -> float:
    import math

    return math.log10(max(ratio, 1e-9))


def _live(section: Section, live: Live) -> None:
    machine, ours, side = live["machine"], live["ours"], live["side_by_side"]
    section.note(
        f"{machine['processor']}, governor {machine['governor']}, core {live['core']}, load "
        f"{machine.get('load_of_a_minute', 'unknown')}. Ours at "
        f"{live['block']} samples a callback: {ours['p50_us']:.0f} µs median, {ours['p99_us']:.0f} µs 99th "
        f"percentile, {ours['max_us']:.0f} µs at most. The table is at {side['block']} samples, one "
        "thread each."
    )
    section.table(
        [
            *("who", "median, µs", "99th percentile, µs", "99.9th percentile, µs", "most, µs", "jitter, µs"),
            *("late callbacks", "load"),
        ],
        [
            [
                name,
                f"{row['p50_us']:,.0f}",
                f"{row['p99_us']:,.0f}",
                f"{row['p999_us']:,.0f}",
                f"{row['max_us']:,.0f}",
                f"{row['jitter_us']:,.0f}",
                row["xruns"],
                _percent(row["load"]),
            ]
            for name, row in side["rows"].items()
        ],
    )
    if side["absent"]:
        section.note("Absent:")
        section.points(f"{name}: {why}" for name, why in side["absent"].items())


def _device(page: Page, report: Report, device: Device) -> None:
    section = page.section("On the board", tag="measured")
    if "incomplete" in device:
        section.text(device["incomplete"])
    if "cpu" not in device:
        return
    measured = device["cpu"]
    part = next(iter(report["models"].values()), None)
    predicted = part["predicted"]["cpu"] if part is not None and "predicted" in part else None
    rows: list[list[Value]] = [
        [
            f"CPU, {words}",
            _percent(before) if before else None,
            _percent(now),
            f"{100 * (now / before - 1):+.1f} %".replace("-", "−") if before else None,
        ]
        for words, now, before in (
            ("mean", measured["mean"], predicted and predicted["mean"]),
            ("99th percentile", measured["p99"], predicted and predicted["p99"]),
            ("worst callback", measured["worst"], predicted and predicted["worst"]),
        )
    ]
    section.table(
        ["figure", "predicted", "measured", "off by"],
        rows,
        note="Predicted by the emulator; measured by the module itself.",
    )
