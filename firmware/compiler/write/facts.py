"""What the compiler knows of a model it has written: its report, and the lines at the top of its header."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.version import version
from firmware.compiler.graph import Graph
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.ops.hit import (
    EVALUATION_TICKS,
    FRAME,
    RESTING_TICKS,
    HitConstants,
    frame_work,
    meaning_work,
)
from firmware.compiler.ops.recurrent import RecurrentAttributes
from firmware.compiler.plan.cost import cost_model
from firmware.compiler.plan.schedule import Priced, Schedule
from firmware.compiler.plan.stream import Stream
from firmware.compiler.program import Options
from firmware.compiler.report import (
    ClockReport,
    LayerReport,
    MemoryReport,
    ProofReport,
    Report,
    RingReport,
    SoundReport,
    SpecReport,
)
from firmware.compiler.write.emit import StreamEmitter
from firmware.compiler.write.event import EventEmitter, firings_of
from firmware.compiler.write.text import describe
from firmware.compiler.write.writer import struct_bytes


def stream_report(
    offline: Graph,
    emitter: StreamEmitter,
    final: Schedule,
    memory: MemoryReport,
    options: Options,
    priced: Priced,
    source: str,
) -> Report:
    """Report a model that streams.

    Parameters
    ----------
    offline : Graph
        Before its endpoints became nodes.
    emitter : StreamEmitter
        That wrote it.
    final : Schedule
        Whose callbacks are predicted; the emitter's unless planning went on once more.
    memory : MemoryReport
    options : Options
    priced : Priced
        What the schedule was made with.
    source : str
        Where the cost model comes from.
    """
    plan, graph, block = emitter.stream, emitter.stream.graph, options.block
    per_sample = graph.ticks_per_sample
    layers = _stream_layers(plan, priced, SAMPLE_RATE_HZ * float(per_sample))
    available = options.callback_cycles
    latency = {label: float(Fraction(t) / per_sample) for label, t in plan.latency.items()}
    # a callback's share of what was predicted: a tick may be longer than a callback
    mean = final.mean * float(block * per_sample / plan.block)
    return {
        "version": version(),
        "name": graph.name,
        "kind": graph.about.kind or None,
        "target": options.target,
        "event": False,
        "board": options.board.name if options.board is not None else None,
        "block": block,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "ticks_per_sample": str(per_sample),
        "parameters": offline.parameters,
        "macs_per_sample": sum(entry["macs_per_second"] for entry in layers) / SAMPLE_RATE_HZ,
        "cycles_per_second": mean * SAMPLE_RATE_HZ / block,
        "cycles_per_callback": {
            "mean": mean,
            "worst": final.worst,
            "worst_over_mean": final.worst / max(mean, 1e-9),
        },
        "cpu_mean": mean / available if available else None,
        "cpu_worst": final.worst / available if available else None,
        "cost_model": f"predicted: {source}",
        "latency_samples": max(latency.values(), default=0.0),
        "latency_of_output": latency,
        "state_bytes": struct_bytes(emitter.fields()),
        "weight_bytes": sum(t.bytes for t in emitter.writer.tables.values()),
        "parameter_bytes": emitter.parameter_bytes(),
        "heap_bytes": 0,
        **memory,
        "clocks": _clocks(plan, final),
        "rings": _rings(plan),
        "layers": layers,
        "overflow_proofs": proofs(offline),
        "inputs": [s.name for s in emitter.specs if s.is_input],
        "outputs": [s.name for s in emitter.specs if not s.is_input],
        "ports": [
            SpecReport(
                name=s.name,
                label=s.label,
                direction="input" if s.is_input else "output",
                channels=s.tensor.channels,
                period_ticks=s.period,
                latency_ticks=0 if s.is_input else plan.latency.get(s.label, 0),
            )
            for s in emitter.specs
        ],
    }


def event_report(
    offline: Graph, emitter: EventEmitter, memory: MemoryReport, options: Options, priced: Priced, source: str
) -> Report:
    """Report an event model; parameters as of ``stream_report``."""
    graph, items = emitter.graph, emitter.items
    total, longest = sum(i.cycles for i in items), max((i.cycles for i in items), default=0.0)
    layers = _event_layers(graph, priced)
    available = options.callback_cycles
    return {
        "version": version(),
        "name": graph.name,
        "kind": graph.about.kind or None,
        "target": options.target,
        "event": True,
        "board": options.board.name if options.board is not None else None,
        "block": options.block,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "ticks_per_sample": str(Fraction(1)),
        "parameters": offline.parameters,
        "macs_per_sample": 0.0,
        "macs_per_event": sum(e["macs_per_event"] for e in layers),
        "cycles_per_second": 0.0,
        "cycles_per_event": total,
        "cycles_per_step": {"worst": longest, "steps": len(items)},
        "cycles_per_callback": {"mean": 0.0, "worst": longest, "worst_over_mean": 1.0},
        "callbacks_at_10_percent": total / (0.1 * available) if available else None,
        "cpu_mean": 0.0 if available else None,
        "cpu_worst": longest / available if available else None,
        "cost_model": f"predicted: {source}",
        "latency_samples": 0.0,
        "latency_of_output": {},
        "state_bytes": struct_bytes(emitter.fields()),
        "weight_bytes": sum(t.bytes for t in emitter.writer.tables.values()),
        "parameter_bytes": emitter.parameter_bytes(),
        "heap_bytes": 0,
        **memory,
        "layers": layers,
        "overflow_proofs": proofs(offline),
        "ports": [
            SpecReport(
                name=s.name,
                label=s.label,
                direction="input" if s.is_input else "output",
                channels=s.tensor.channels,
                frames=s.frames,
            )
            for s in emitter.specs
        ],
    }


def sound_report(sound: HitConstants, options: Options) -> SoundReport:
    """Report what the engine does with the results of a drum's network."""
    model = cost_model(options.core)
    return {
        "frame_samples": FRAME,
        "cycles_per_frame": sum(model.cycles(work) for work in frame_work(sound)),
        "cycles_per_evaluation": model.cycles(meaning_work(sound)),
    }


def ask_without_pause(report: Report, options: Options) -> None:
    """Tell what callbacks a drum's network takes part of: it is asked anew as soon as it has answered.

    An evaluation is cut evenly; where one is cut, the step that is begun is finished. What a sounding hit
    takes beside it is the instrument's, by its number of voices.
    """
    whole = report["cycles_per_event"] + report["sound"]["cycles_per_evaluation"]
    mean = whole * options.block / RESTING_TICKS
    worst = whole * options.block / EVALUATION_TICKS + report["cycles_per_step"]["worst"]
    report["cycles_per_second"] = whole * report["sample_rate_hz"] / RESTING_TICKS
    report["cycles_per_callback"] = {"mean": mean, "worst": worst, "worst_over_mean": worst / mean}
    if options.callback_cycles:
        report["cpu_mean"], report["cpu_worst"] = (
            cycles / options.callback_cycles for cycles in (mean, worst)
        )


def _stream_layers(plan: Stream, priced: Priced, tick_rate_hz: float) -> list[LayerReport]:
    """One line per layer: what it is, how often, what it costs."""
    graph, layers = plan.graph, []
    for index, node in enumerate(graph.nodes):
        work, clock = FAMILIES[node.op].work(node, graph), plan.clock(node)
        rate = clock.firings * tick_rate_hz / clock.period
        firings = float(clock.firings) if clock.sliced else max(1.0, plan.block / clock.period)
        layers.append(
            LayerReport(
                index=index,
                name=node.name,
                origin=node.origin,
                op=node.op,
                what=describe(node, graph),
                kernel=work.kernel,
                firings_per_second=rate,
                macs_per_second=work.macs * rate,
                cycles_per_second=priced(node, firings, 1.0) / firings * rate,
                weight_bytes=work.weight_bytes,
            )
        )
    return layers


def _event_layers(graph: Graph, priced: Priced) -> list[LayerReport]:
    """One line per layer: what it is, how often, what it costs."""
    layers = []
    for index, node in enumerate(graph.nodes):
        work, firings = FAMILIES[node.op].work(node, graph), firings_of(node, graph)
        layers.append(
            LayerReport(
                index=index,
                name=node.name,
                origin=node.origin,
                op=node.op,
                what=describe(node, graph),
                kernel=work.kernel,
                weight_bytes=work.weight_bytes,
                cycles_per_event=priced(node, firings, 1.0),
                macs_per_event=float(work.macs * firings),
                firings_per_event=firings,
                cycles_per_second=0.0,
            )
        )
    return layers


def _clocks(plan: Stream, final: Schedule) -> list[ClockReport]:
    """The units that run as wholes."""
    clocks = []
    for unit in plan.units:
        clock, index = plan.clock(unit[0]), plan.clock_of[unit[0].name]
        clocks.append(
            ClockReport(
                period=clock.period,
                offset=clock.offset,
                sliced=clock.sliced,
                items=len(final.items[index]) if clock.sliced else 1,
                layers=[n.name for n in unit],
            )
        )
    return clocks


def _rings(plan: Stream) -> list[RingReport]:
    """The memories between chunks."""
    return [
        RingReport(
            tensor=r.tensor,
            keep_frames=r.keep,
            frames=r.capacity,
            bytes=r.capacity * plan.graph.tensors[r.tensor].frame_bytes,
        )
        for r in plan.rings.values()
    ]


def _proof(layer: str, bound: np.ndarray, shift: int, bits: int) -> ProofReport:
    """Report what the sums of a layer's channels are at most."""
    worst = int(bound.max())
    return ProofReport(
        layer=layer,
        largest_sum=worst,
        limit=2**31 - 1,
        headroom_bits=round(float(31 - np.log2(max(1, worst))), 2),
        shift=shift,
        accumulator_bits=bits,
        per_channel=[int(b) for b in bound],
    )


def proofs(graph: Graph) -> list[ProofReport]:
    """Prove for every integer layer, channel by channel, that no accumulator overflows."""
    lines = []
    for node in graph.nodes:
        sums = node.attrs.sums if isinstance(node.attrs, ConvAttributes) else None
        if sums is not None:
            lines.append(_proof(node.name, sums.bound, sums.shift, 64 if sums.wide else 32))
        if isinstance(node.attrs, RecurrentAttributes) and (integers := node.attrs.integers) is not None:
            lines.append(_proof(node.name, integers.bound, integers.shift, 32))
    return lines


def header_lines(report: Report) -> list[str]:
    """The lines at the top of the header."""
    sizes = f"{report['weight_bytes']:,} bytes of tables, {report['state_bytes']:,} bytes of state, no heap."
    if report["event"]:
        return [
            f"{report['parameters']:,} parameters, {report['macs_per_event']:,.0f} multiply-accumulates per "
            f"event in {report['cycles_per_step']['steps']} steps,",
            sizes,
        ]
    return [
        f"{report['parameters']:,} parameters, {report['macs_per_sample']:,.0f} multiply-accumulates "
        "per sample,",
        sizes,
        f"Latency {report['latency_samples']:g} samples; block {report['block']}.",
    ]
