"""From an optimised graph to a program: schedule, memory plan, C text, and the report that explains them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.plan.schedule import Schedule
from firmware.compiler.plan.stream import Stream
from firmware.compiler.write.emit import StreamEmitter
from firmware.compiler.write.text import describe
from firmware.compiler.write.writer import struct_bytes


def layer_table(
    graph: Graph, rate_of: Callable[[Node], float], cycles: Callable[[Node], float]
) -> list[dict[str, Any]]:
    """One line per layer: what it is, how often, what it costs."""
    layers = []
    for index, node in enumerate(graph.nodes):
        work = FAMILIES[node.op].work(node, graph)
        rate = rate_of(node)
        layers.append(
            {
                "index": index,
                "name": node.name,
                "origin": node.origin,
                "op": node.op,
                "what": describe(node, graph),
                "kernel": work.kernel,
                "firings_per_second": rate,
                "macs_per_second": work.macs * rate,
                "cycles_per_second": cycles(node) * rate,
                "weight_bytes": work.weight_bytes,
            }
        )
    return layers


def proofs(graph: Graph) -> list[dict[str, Any]]:
    """The overflow proof of every integer layer, per channel: Σ|w|·max|x| + |b| against 2^31."""
    lines = []
    for node in graph.nodes:
        if node.op == "Conv" and node.attrs.get("integer"):
            bound = np.asarray(node.attrs["bound"], dtype=object)
            worst = int(max(bound))
            lines.append(
                {
                    "layer": node.name,
                    "largest_sum": worst,
                    "limit": 2**31 - 1,
                    "headroom_bits": round(float(31 - np.log2(max(1, worst))), 2),
                    "shift": node.attrs["shift"],
                    "accumulator_bits": 64 if node.attrs["wide"] else 32,
                    "per_channel": [int(b) for b in bound],
                }
            )
    return lines


def stream_report(
    offline: Graph,
    plan: Stream,
    emitter: StreamEmitter,
    final: Schedule,
    memory: dict[str, Any],
    board: Any,
    block: int,
    per_sample: Fraction,
    priced: Any,
    source: str,
    target: str,
) -> dict[str, Any]:
    """Everything the compiler knows, as plain data."""
    graph = plan.graph
    sample_rate = SAMPLE_RATE_HZ
    tick_rate = sample_rate * float(per_sample)
    ticks = plan.block

    def rate_of(node: Node) -> float:
        return tick_rate / plan.clock(node).period

    def per_firing(node: Node) -> float:
        clock = plan.clock(node)
        if clock.sliced:
            return priced(node, 1.0, 1.0)
        firings = max(1.0, ticks / clock.period)
        return priced(node, firings, 1.0) / firings

    layers = layer_table(graph, rate_of, per_firing)
    clock_hz = float(board.processor.clock_hz) if board is not None else 0.0
    callback_cycles = clock_hz * block / sample_rate
    latency = {label: float(Fraction(t) / per_sample) for label, t in plan.latency.items()}
    weights = sum(t.bytes for t in emitter.writer.tables.values())
    return {
        "name": graph.name,
        "kind": graph.metadata.get("kind"),
        "target": target,
        "event": False,
        "board": board.name if board is not None else None,
        "block": block,
        "sample_rate_hz": sample_rate,
        "ticks_per_sample": str(per_sample),
        "parameters": offline.metadata["parameters"],
        "macs_per_sample": sum(entry["macs_per_second"] for entry in layers) / sample_rate,
        "cycles_per_second": final.mean * sample_rate / block,
        "cycles_per_callback": {
            "mean": final.mean,
            "worst": final.worst,
            "worst_over_mean": final.worst / max(final.mean, 1e-9),
        },
        "cpu_mean": final.mean / callback_cycles if callback_cycles else None,
        "cpu_worst": final.worst / callback_cycles if callback_cycles else None,
        "cost_model": f"predicted: {source}",
        "latency_samples": max(latency.values(), default=0.0),
        "latency_of_output": latency,
        "state_bytes": struct_bytes(emitter.fields()),
        "weight_bytes": weights,
        "parameter_bytes": emitter.parameter_bytes(),
        "heap_bytes": 0,
        **memory,
        "clocks": [
            {
                "period": plan.clock(unit[0]).period,
                "offset": plan.clock(unit[0]).offset,
                "sliced": plan.clock(unit[0]).sliced,
                "items": len(final.items[plan.clock_of[unit[0].name]]) if plan.clock(unit[0]).sliced else 1,
                "layers": [n.name for n in unit],
            }
            for unit in plan.units
        ],
        "rings": [
            {
                "tensor": r.tensor,
                "keep_frames": r.keep,
                "frames": r.capacity,
                "bytes": r.capacity * graph.tensors[r.tensor].frame_bytes,
            }
            for r in plan.rings.values()
        ],
        "layers": layers,
        "overflow_proofs": proofs(offline),
        "inputs": [p.label for p in emitter.ports if p.node.op == "Input"],
        "outputs": [p.label for p in emitter.ports if p.node.op == "Output"],
        "ports": [
            {
                "name": p.label,
                "label": p.node.attrs["label"],
                "direction": p.node.op.lower(),
                "channels": graph.tensors[(p.node.outputs or p.node.inputs)[0]].channels,
                "period_ticks": p.period,
                "latency_ticks": plan.latency.get(p.node.attrs["label"], 0) if p.node.op == "Output" else 0,
            }
            for p in emitter.ports
        ],
    }


def facts(report: dict[str, Any]) -> list[str]:
    """The lines at the top of the header."""
    lines = [
        f"{report['parameters']:,} parameters, {report['macs_per_sample']:,.0f} multiply-accumulates "
        "per sample,",
        f"{report['weight_bytes']:,} bytes of tables, {report['state_bytes']:,} bytes of state, no heap.",
    ]
    if not report["event"]:
        lines.append(f"Latency {report['latency_samples']:g} samples; block {report['block']}.")
    return lines
