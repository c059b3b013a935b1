"""One self-contained HTML page of a report: numbers first, then layers, load, roofline, spectrograms."""

from __future__ import annotations

import base64
import html
import io
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ

INK, MUTED, ACCENT, WARN = "#1c2430", "#6b7787", "#2f6f8f", "#c8553d"
REGION_COLOURS = {
    "dtcm": "#2f6f8f",
    "itcm": "#5b8c5a",
    "axi": "#d8a348",
    "d2": "#b07aa1",
    "sdram": "#c8553d",
    "qspi": "#7d6b5d",
    "": "#a9b4bf",
}
STYLE = """
body{font:15px/1.5 system-ui,-apple-system,'Segoe UI',sans-serif;color:#1c2430;background:#f6f7f9;margin:0}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}h1{font-size:27px;margin:0 0 4px}h2{font-size:19px;
margin:38px 0 10px}p.note{color:#6b7787;margin:4px 0
12px}.cards{display:flex;flex-wrap:wrap;gap:12px;margin:20px 0} .card{background:#fff;border:1px solid
#e1e5ea;border-radius:10px;padding:12px 18px;min-width:118px} .card
b{display:block;font-size:25px;font-weight:600}.card span{color:#6b7787;font-size:13px}
table{border-collapse:collapse;background:#fff;border:1px solid
#e1e5ea;border-radius:10px;width:100%;font-size:13.5px} th,td{padding:5px
10px;text-align:right;border-bottom:1px solid #eef0f3}th{color:#6b7787;font-weight:500}
td:first-child,th:first-child,td.l,th.l{text-align:left}img{max-width:100%;background:#fff;border:1px solid
#e1e5ea; border-radius:10px}.bar{display:inline-block;height:9px;border-radius:2px;vertical-align:middle}
.scroll{overflow-x:auto;margin:10px 0}
@media(max-width:720px){.scroll img{max-width:none;width:680px}main{padding:16px
12px 48px}td,th{padding:4px 6px}}
.tag{background:#e8eef2;border-radius:5px;padding:1px 7px;font-size:12px;color:#2f6f8f}.over{color:#c8553d}
"""


def render_page(report: dict[str, Any]) -> str:
    """Return the page; every picture is inside it."""
    title = f"{report['target']} on {report['board_title']}"
    parts = [f"<h1>{html.escape(title)}</h1>"]
    parts.append(
        "<p class=note>Cycles are <b>predicted</b> by an emulated Cortex-M7 with a pipeline and "
        "cache model, not "
        "measured on a board. Live and device figures, where present, are measured and marked so.</p>"
    )
    if "instrument" in report:
        parts += _instrument(report["instrument"])
    for role, part in report["models"].items():
        parts += _model(role, part, report)
    if "device" in report:
        parts += _device(report)
    body = "\n".join(parts)
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{STYLE}</style><main>{body}</main></html>\n"
    )


def _instrument(found: dict[str, Any]) -> list[str]:
    cpu = found["cpu"]
    over = "over" if cpu["worst"] > 1 else ""
    cards = [
        (f"{cpu['mean']:.1%}", "CPU mean"),
        (f"<i class='{over}' style='font-style:normal'>{cpu['worst']:.1%}</i>", "worst callback"),
        (f"{cpu['p99']:.1%}", "99th percentile"),
        (f"{cpu['headroom']:.1%}", "headroom"),
        (f"{found['samples_that_differ_from_host']:,}", "samples unlike the host's"),
    ]
    rows = [[html.escape(name), f"{share:.2%}"] for name, share in found["cpu_by_function"].items()]
    return [
        "<h2>The whole instrument: engine, controls, every voice</h2>",
        _cards(cards),
        f"<p class=note>{found['script']} played for {found['seconds']:.1f} s on the emulated module at "
        f"block {found['block']}; {found['callbacks_traced']} callbacks counted from "
        f"{found['traced_from_s']:.2f} s on.</p>",
        _picture(_load_plot(found), "load per callback of the whole instrument"),
        _table(["function", "CPU"], rows),
    ]


def _model(role: str, part: dict[str, Any], report: dict[str, Any]) -> list[str]:
    out = [f"<h2>{html.escape(part['file'])} <span class=tag>{html.escape(role)}</span></h2>"]
    if "predicted" not in part:
        return [*out, _live(part["live"])] if "live" in part else out
    p = part["predicted"]
    cpu = p["cpu"]
    if p.get("event"):
        cards = [
            (f"{p['cycles']:,}", "cycles an event"),
            (f"{p['milliseconds_alone']:.2f} ms", "if run in one go"),
            (f"{len(p['steps']) - 1}", "steps over callbacks"),
            (f"{cpu['worst']:.1%}", "of a callback, worst step"),
        ]
        steps = {"callback_cycles": p["steps"][1:], "cycles_per_callback": p["cycles_per_callback"]}
        out += [_cards(cards), "<h2>Load, step by step</h2>", _picture(_load_plot(steps), "load per step")]
        out += ["<h2>Memory</h2>", _memory(p)]
        return [*out, "<h2>Quality</h2>", _quality(part["quality"])] if "quality" in part else out
    over = " over" if cpu["worst"] > 1 else ""
    cards = [
        (f"{cpu['mean']:.1%}", "CPU mean"),
        (f"<i class='{over.strip()}' style='font-style:normal'>{cpu['worst']:.1%}</i>", "worst callback"),
        (f"{cpu['p99']:.1%}", "99th percentile"),
        (f"{cpu['headroom']:.1%}", "headroom"),
        (f"{cpu['worst_over_mean']:.2f}", "worst / mean"),
        (f"{p['latency']['total_ms']:.2f} ms", "control to sound"),
        (f"{p['macs_per_sample']:,.0f}", "MAC a sample"),
        (f"{p['parameters']:,}", "parameters"),
        (f"{p['stack_bytes']:,}", "bytes of stack"),
    ]
    out.append(_cards(cards))
    exact = p["bit_exact"]
    out.append(
        f"<p class=note>Block {p['block']}, {p['callbacks']} callbacks; {exact['compared']:,} "
        f"outputs compared bit for "
        f"bit with the host build, {exact['differing']} differ. Heap {p['heap_bytes']}.</p>"
    )
    out += ["<h2>Load, callback by callback</h2>", _picture(_load_plot(p), "load per callback")]
    out += ["<h2>Layers</h2>", _layer_table(p), _picture(_layer_plot(p), "cycles per layer")]
    out += [
        "<h2>Roofline: traffic against compute</h2>",
        "<p class=note>Each point is a layer. Right: many MACs for each byte fetched through "
        "the cache. The line is what "
        "the core (flat) and the AXI bus (slope) allow.</p>",
        _picture(_roofline(p, report["line_fill_cycles"]), "roofline"),
    ]
    out += ["<h2>Memory</h2>", _memory(p)]
    out += ["<h2>Latency</h2>", _latency(p)]
    if "formats" in part:
        out += ["<h2>Formats</h2>", _formats(part["formats"])]
    if "sweep" in part:
        out += [
            "<h2>Block size</h2>",
            _picture(_sweep_plot(part["sweep"]), "CPU by block size"),
            _sweep(part["sweep"]),
        ]
    if "quality" in part:
        out += ["<h2>Quality</h2>", _quality(part["quality"])]
        if part["quality"].get("_audio"):
            out.append(_picture(_spectrograms(part["quality"]["_audio"]), "spectrograms"))
    if "live" in part:
        out += ["<h2>Live on this machine <span class=tag>measured</span></h2>", _live(part["live"])]
    return out


def _cards(cards: list[tuple[str, str]]) -> str:
    return (
        "<div class=cards>"
        + "".join(f"<div class=card><b>{v}</b><span>{k}</span></div>" for v, k in cards)
        + "</div>"
    )


def _table(head: list[str], rows: list[list[str]], left: tuple[int, ...] = (0,)) -> str:
    def cell(tag: str, k: int, text: str) -> str:
        return f"<{tag}{' class=l' if k in left else ''}>{text}</{tag}>"

    lines = ["<tr>" + "".join(cell("th", k, h) for k, h in enumerate(head)) + "</tr>"]
    lines += ["<tr>" + "".join(cell("td", k, c) for k, c in enumerate(row)) + "</tr>" for row in rows]
    return "<div class=scroll><table>" + "".join(lines) + "</table></div>"


def _layer_table(p: dict[str, Any]) -> str:
    rows = []
    worst = max(layer["cycles"] for layer in p["layers"])
    for layer in sorted(p["layers"], key=lambda r: -r["cycles"])[:24]:
        colour = REGION_COLOURS.get(layer["region"], MUTED)
        bar = f"<i class=bar style='width:{90 * layer['cycles'] / worst:.0f}px;background:{colour}'></i>"
        rows.append(
            [
                html.escape(layer["what"]),
                layer["region"],
                f"{layer['macs']:,.0f}",
                f"{layer['cycles']:,.0f}",
                "" if layer["cycles_per_mac"] is None else f"{layer['cycles_per_mac']:.2f}",
                f"{layer['line_fills']:,.1f}",
                f"{layer['share']:.1%}",
                bar,
            ]
        )
    rest = len(p["layers"]) - len(rows)
    note = f"<p class=note>and {rest} smaller layers, in the JSON.</p>" if rest > 0 else ""
    head = ["layer", "weights in", "MAC", "cycles", "cycle/MAC", "line fills", "share", ""]
    return _table(head, rows, (0, 1, 7)) + note


def _memory(p: dict[str, Any]) -> str:
    rows = [
        [m["title"], f"{m['bytes']:,}", f"{m['port']:,}", f"{m['used']:,}", f"{m['left']:,}"]
        for m in p["memory"]
    ]
    return _table(["region", "bytes", "port and stack", "model", "left"], rows)


def _latency(p: dict[str, Any]) -> str:
    latency = p["latency"]
    rows = [[name, f"{value:.3f} ms"] for name, value in latency["parts_ms"].items()]
    rows.append(["<b>control to sound</b>", f"<b>{latency['total_ms']:.3f} ms</b>"])
    if latency["filter_bank_group_delay_ms"]:
        rows.append(
            ["(filter bank's group delay, on top)", f"{latency['filter_bank_group_delay_ms']:.3f} ms"]
        )
    return _table(["where", "delay"], rows)


def _formats(formats: dict[str, Any]) -> str:
    rows = []
    for form, row in formats.items():
        if "refused" in row:
            rows.append([form, html.escape(row["refused"]), "", "", ""])
        else:
            rows.append(
                [
                    form,
                    f"{row['cpu_mean']:.1%}",
                    f"{row['cpu_worst']:.1%}",
                    f"{row['weight_bytes']:,}",
                    f"{row['state_bytes']:,}",
                ]
            )
    return _table(["format", "CPU mean", "worst", "weights (bytes)", "state (bytes)"], rows)


def _sweep(rows: list[dict[str, Any]]) -> str:
    cells = [
        [str(r["block"]), r["refused"], "", ""]
        if "refused" in r
        else [str(r["block"]), f"{r['cpu_mean']:.1%}", f"{r['cpu_worst']:.1%}", f"{r['latency_ms']:.2f} ms"]
        for r in rows
    ]
    return _table(["block", "CPU mean", "worst", "control to sound"], cells)


def _quality(quality: dict[str, Any]) -> str:
    from bench.quality import MEASURES

    out = f"<p class=note>Inputs: {html.escape(quality['inputs'])}.</p>"
    for title, part in (("against float", "formats"), ("against the data", "recordings")):
        forms = quality.get(part, {})
        shown = [key for key in MEASURES if any(key in row for row in forms.values())]
        if shown:
            rows = [[form, *(MEASURES[k][1].format(row[k]) for k in shown)] for form, row in forms.items()]
            out += _table([title, *(MEASURES[key][0] for key in shown)], rows)
    return out


def _live(live: dict[str, Any]) -> str:
    machine = live["machine"]
    rows = []
    for name, row in live["side_by_side"]["rows"].items():
        rows.append(
            [
                name,
                *(f"{row[k]:,.0f}" for k in ("p50_us", "p99_us", "p999_us", "max_us", "jitter_us")),
                str(row["xruns"]),
                f"{row['load']:.1%}",
            ]
        )
    absent = "".join(
        f"<li>{html.escape(k)}: {html.escape(v)}</li>" for k, v in live["side_by_side"]["absent"].items()
    )
    ours = live["ours"]
    return (
        f"<p class=note>{html.escape(machine['processor'])}, governor {machine['governor']}, "
        f"core {live['core']}. "
        f"Ours at block {live['block']}: p50 {ours['p50_us']:.0f} µs, p99 {ours['p99_us']:.0f} µs, max "
        f"{ours['max_us']:.0f} µs. Side by side at block {live['side_by_side']['block']}, one "
        f"thread each:</p>"
        + _table(["", "p50 µs", "p99 µs", "p99.9 µs", "max µs", "jitter µs", "late", "load"], rows)
        + (f"<p class=note>Absent:</p><ul class=note>{absent}</ul>" if absent else "")
    )


def _device(report: dict[str, Any]) -> list[str]:
    device = report["device"]
    out = ["<h2>On the board <span class=tag>measured</span></h2>"]
    if "incomplete" in device:
        out.append(f"<p class='note over'>{html.escape(device['incomplete'])}</p>")
    if "cpu" in device:
        predicted = next(iter(report["models"].values())).get("predicted", {}).get("cpu", device["cpu"])
        rows = [
            [
                name,
                f"{predicted[name]:.1%}",
                f"{device['cpu'][name]:.1%}",
                f"{device['cpu'][name] / predicted[name] - 1:+.1%}",
            ]
            for name in ("mean", "p99", "worst")
        ]
        out.append(_table(["CPU", "predicted", "measured", "off"], rows))
    return out


def _picture(figure: Any, alt: str) -> str:
    import matplotlib.pyplot as plt

    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    data = base64.b64encode(buffer.getvalue()).decode()
    return f"<div class=scroll><img alt='{alt}' src='data:image/png;base64,{data}'></div>"


def _figure(width: float = 9.6, height: float = 3.0, columns: int = 1, rows: int = 1) -> tuple[Any, Any]:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(rows, columns, figsize=(width, height), layout="constrained")
    for axis in np.ravel(axes):
        axis.spines[["top", "right"]].set_visible(False)
        axis.tick_params(colors=MUTED, labelsize=8)
    return figure, axes


def _load_plot(p: dict[str, Any]) -> Any:
    figure, axis = _figure(height=2.6)
    load = 100 * np.array(p["callback_cycles"]) / p["cycles_per_callback"]
    axis.bar(np.arange(len(load)), load, width=1.0, color=ACCENT)
    axis.axhline(load.mean(), color=INK, lw=1)
    axis.text(len(load), load.mean(), f" mean {load.mean():.1f} %", va="top", fontsize=8, color=INK)
    axis.axhline(load.max(), color=WARN, lw=0.8, ls="--")
    axis.text(len(load), load.max(), f" worst {load.max():.1f} %", va="bottom", fontsize=8, color=WARN)
    axis.set_xlabel("callback", fontsize=9)
    axis.set_ylabel("% of its time", fontsize=9)
    axis.set_xlim(-0.5, len(load) * 1.08)
    axis.set_ylim(0, max(5.0, load.max() * 1.15))
    return figure


def _layer_plot(p: dict[str, Any]) -> Any:
    layers = [layer for layer in p["layers"] if layer["cycles"] > 0]
    figure, axis = _figure(height=2.8)
    colours = [REGION_COLOURS.get(layer["region"], MUTED) for layer in layers]
    axis.bar(range(len(layers)), [layer["cycles"] for layer in layers], color=colours, width=0.9)
    axis.set_xlabel("layer, in order of the network", fontsize=9)
    axis.set_ylabel("cycles a callback", fontsize=9)
    shown = dict.fromkeys(layer["region"] for layer in layers)
    for region in shown:
        axis.bar([0], [0], color=REGION_COLOURS.get(region, MUTED), label=region or "no weights")
    axis.legend(frameon=False, fontsize=8, ncols=6, loc="upper right")
    return figure


def _roofline(p: dict[str, Any], line_fill_cycles: dict[str, int]) -> Any:
    figure, axis = _figure(height=3.4)
    # prefetching kernels wait for half of a fill
    fill = min(line_fill_cycles.values(), default=2)
    peak, bandwidth = 2.0, 32.0 / max(1, fill // 2)
    grid = np.logspace(-2, 4, 200)
    axis.plot(grid, np.minimum(peak, bandwidth * grid), color=INK, lw=1)
    axis.text(grid[-1], peak * 1.06, "2 MAC a cycle", ha="right", fontsize=8, color=MUTED)
    seen: set[str] = set()
    for layer in p["layers"]:
        if not layer["macs"] or not layer["cycles"]:
            continue
        fetched = 32 * layer["line_fills"]
        intensity = layer["macs"] / fetched if fetched else 5e3
        region = layer["region"]
        axis.scatter(
            intensity,
            layer["macs"] / layer["cycles"],
            s=12 + 1500 * layer["share"],
            color=REGION_COLOURS.get(region, MUTED),
            alpha=0.7,
            lw=0,
            label=None if region in seen else region or "no weights",
        )
        seen.add(region)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(0.08, 2e4)
    axis.set_ylim(0.02, 4)
    axis.set_xlabel("MAC per byte fetched through the cache (right edge: nothing fetched)", fontsize=9)
    axis.set_ylabel("MAC per cycle", fontsize=9)
    axis.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def _sweep_plot(rows: list[dict[str, Any]]) -> Any:
    figure, axis = _figure(height=2.6)
    known = [r for r in rows if "cpu_mean" in r]
    blocks = [r["block"] for r in known]
    axis.plot(blocks, [100 * r["cpu_mean"] for r in known], "o-", color=ACCENT, label="mean", ms=4)
    axis.plot(blocks, [100 * r["cpu_worst"] for r in known], "o--", color=WARN, label="worst", ms=4)
    axis.set_xscale("log", base=2)
    axis.set_xticks(blocks, [str(b) for b in blocks])
    axis.minorticks_off()
    axis.set_ylim(0, None)
    axis.set_xlabel("samples per callback", fontsize=9)
    axis.set_ylabel("% CPU", fontsize=9)
    axis.legend(frameon=False, fontsize=8)
    return figure


def _spectrograms(audio: dict[str, np.ndarray]) -> Any:
    from bench.quality import spectrogram

    figure, axes = _figure(height=2.7, columns=len(audio) + 1)
    reference = audio["float"]
    top = 20 * np.log10(max(1e-9, spectrogram(reference, 1024).max()))
    pictures = dict(audio)
    last = next(name for name in reversed(list(audio)) if name != "float")
    pictures[f"float − {last}"] = reference[: len(audio[last])] - audio[last]
    for axis, (name, signal) in zip(np.ravel(axes), pictures.items(), strict=True):
        shown = 20 * np.log10(np.maximum(1e-9, spectrogram(signal, 1024))).T
        axis.imshow(
            shown,
            origin="lower",
            aspect="auto",
            vmin=top - 80,
            vmax=top,
            cmap="magma",
            extent=(0, len(signal) / SAMPLE_RATE_HZ, 0, 24),
        )
        axis.set_title(name, fontsize=9)
        axis.set_xlabel("s", fontsize=8)
    np.ravel(axes)[0].set_ylabel("kHz", fontsize=8)
    return figure
