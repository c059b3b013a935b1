"""A report on the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.report.schema import LatencyReport, ModelPart, Report
from common.measures import measure

if TYPE_CHECKING:
    from rich.console import Console


def show(report: Report) -> None:
    """Print headline, layers, memory, latency, formats, sweep, quality and what was measured."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    if "instrument" in report:
        whole = report["instrument"]
        console.print(
            f"[bold]{report['target']}[/bold], the whole instrument on {report['board_title']}: predicted "
            f"CPU {whole['cpu']['mean']:.1%} mean, {whole['cpu']['worst']:.1%} worst over "
            f"{whole['callbacks_traced']} callbacks of {whole['script']}; "
            f"{whole['samples_that_differ_from_host']} samples differ from the host's"
        )
    for role, part in report["models"].items():
        if "predicted" not in part:
            console.print(f"[bold]{part['file']}[/bold] ({role})")
            _show_live(console, part)
            continue
        p = part["predicted"]
        cpu = p["cpu"]
        console.print(
            f"[bold]{part['file']}[/bold] ({role}) on {report['board_title']}: predicted, not measured"
        )
        if "event" in p:
            console.print(
                f"  an event takes {p['cycles']:,} cycles ({p['milliseconds_alone']:.2f} ms "
                f"alone) in {len(p['steps']) - 1} "
                f"steps; worst step {cpu['worst']:.1%} of a callback; bit-exact over "
                f"{p['bit_exact']['compared']:,} outputs"
            )
            _show_quality(console, part)
            continue
        console.print(
            f"  CPU {cpu['mean']:.1%} mean, {cpu['worst']:.1%} worst, {cpu['p99']:.1%} p99; headroom "
            f"{cpu['headroom']:.1%}; worst/mean {cpu['worst_over_mean']:.2f}; "
            f"{p['latency']['total_ms']:.2f} ms "
            f"control to sound; stack {p['stack_bytes']:,} bytes; bit-exact over "
            f"{p['bit_exact']['compared']:,} outputs"
        )
        table = Table("layer", "in", "MAC", "cycles", "cycle/MAC", "share", box=None, header_style="dim")
        for layer in sorted(p["layers"], key=lambda r: -r["cycles"])[:12]:
            per_mac = "" if layer["cycles_per_mac"] is None else f"{layer['cycles_per_mac']:.2f}"
            table.add_row(
                layer["what"][:58],
                layer["region"],
                f"{layer['macs']:,.0f}",
                f"{layer['cycles']:,.0f}",
                per_mac,
                f"{layer['share']:.1%}",
            )
        console.print(table)
        memory = Table("memory", "model", "left", box=None, header_style="dim")
        for region in p["memory"]:
            if region["used"]:
                memory.add_row(region["title"], f"{region['used']:,}", f"{region['left']:,}")
        console.print(memory)
        for form, row in part.get("formats", {}).items():
            text = row.get("refused") or f"{row['cpu_mean']:.1%} mean, {row['cpu_worst']:.1%} worst"
            console.print(f"  {form:<7} {text}")
        if "sweep" in part:
            known = [r for r in part["sweep"] if "cpu_mean" in r]
            console.print("  block " + "  ".join(f"{r['block']}: {r['cpu_mean']:.0%}" for r in known))
        _show_quality(console, part)
        _show_live(console, part)
    device = report.get("device")
    if device and "cpu" in device:
        console.print(
            f"measured on {device['who']['board']}: CPU {device['cpu']['mean']:.1%} mean, "
            f"{device['cpu']['worst']:.1%} worst over {device['callbacks']:,} callbacks"
        )


def show_latency(found: LatencyReport) -> None:
    """Print a loopback measurement: median and spread, where they come from, a histogram."""
    from rich.console import Console

    console = Console(highlight=False)
    ms, samples = found["ms"], found["samples"]
    console.print(
        f"[bold]{found['device']}[/bold], {found['periods']} periods of {found['block']} at "
        f"{found['rate_hz']:,} Hz, measured: round trip {ms['median']:.3f} ms median "
        f"({samples['median']:g} samples), {ms['min']:.3f} to {ms['max']:.3f} ms, spread {samples['spread']} "
        f"samples over {found['found']} impulses; {found['lost']} lost, {found['xruns']} xruns"
    )
    console.print(
        f"  {found['buffers_ms']:.3f} ms in the buffers, {found['beyond_buffers_ms']:.3f} ms in converters, "
        f"driver and cable"
    )
    if not found["fifo"]:
        console.print("  SCHED_FIFO was not granted: xruns are likelier than in the module's own program")
    most = max(count for _, count in found["histogram"])
    for value, count in found["histogram"]:
        console.print(f"  {value:>6} samples {count:>4} {'█' * max(1, round(40 * count / most))}")
    if "incomplete" in found:
        console.print(f"  cut short: {found['incomplete']}")


def _show_quality(console: Console, part: ModelPart) -> None:
    """Print how each format differs from float, and from the data."""
    if "quality" not in part:
        return
    quality = part["quality"]
    console.print(f"  quality over {quality['inputs']}:")
    for what, forms in (("float", quality["formats"]), ("the data", quality.get("recordings", {}))):
        for form, row in forms.items():
            figures = ", ".join(
                f"{measure(key).name} {measure(key).write(value)}{_unit(key)}" for key, value in row.items()
            )
            console.print(f"  {form} against {what}: {figures}")


def _unit(key: str) -> str:
    unit = measure(key).unit
    return f" {unit}" if unit not in ("", "%") else ""


def _show_live(console: Console, part: ModelPart) -> None:
    """Print what was measured on this machine, and who was absent."""
    if "live" in part:
        side = part["live"]["side_by_side"]
        console.print(f"  measured on this machine, block {side['block']}:")
        for name, row in side["rows"].items():
            console.print(
                f"    {name:<18} p50 {row['p50_us']:,.0f} µs  p99 {row['p99_us']:,.0f}  p99.9 "
                f"{row['p999_us']:,.0f}  max {row['max_us']:,.0f}  jitter {row['jitter_us']:,.0f}  late "
                f"{row['xruns']} of {row['callbacks']}"
            )
        for name, reason in side["absent"].items():
            console.print(f"    {name:<18} absent: {reason}")
