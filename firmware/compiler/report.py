"""From an optimised graph to a program: schedule, memory plan, C text, and the report that explains them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.plan.cost import CostModel, cost_model
from firmware.compiler.plan.memory import Demand, Placement, figures, place
from firmware.compiler.plan.schedule import Schedule, choose_sliced, price, schedule
from firmware.compiler.plan.stream import Stream, stream
from firmware.compiler.write.emit import StreamEmitter
from firmware.compiler.write.text import describe
from firmware.compiler.write.writer import PARAMETERS, struct_bytes

SAMPLE_RATE_HZ = 48_000.0
PLANNINGS = 2
LAYOUTS = {"host": "pair8", "m7": "quad", "aarch64": "lane8", "wasm": "pair8"}


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Attributes
    ----------
    name : str
    target : str
    graph : Graph
        After all passes, for ``reference.run``.
    header, source : str
        The C files.
    report : dict
        What ``report.json`` holds.
    plan : Stream or None
        Clocks and rings; None for event graphs.
    """

    name: str
    target: str
    graph: Graph
    header: str
    source: str
    report: dict[str, Any] = field(default_factory=dict)
    plan: Stream | None = None

    def write(self, folder: Path | str) -> list[Path]:
        """Write NAME.h, NAME.c and report.json, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        texts = {
            f"{self.name}.h": self.header,
            f"{self.name}.c": self.source,
            "report.json": json.dumps(self.report, indent=1) + "\n",
        }
        written = []
        for name, text in texts.items():
            part = folder / f".{name}.{os.getpid()}.part"
            part.write_text(text)
            part.replace(folder / name)
            written.append(folder / name)
        return written


def ticks_per_sample(graph: Graph) -> Fraction:
    """Base ticks of one sample at the sample rate."""
    return Fraction(graph.metadata["ticks_per_sample"])


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


def parameters(graph: Graph) -> int:
    """Weights and biases of the layers, as the file has them (counted before any pass)."""
    kinds = ("weight", "bias", "recurrent", "recurrent_bias")
    return sum(
        constant.values.size
        for node in graph.nodes
        if node.op in ("Conv", "ConvTranspose", "GRU")
        for kind, constant in node.constants.items()
        if kind in kinds
    )


def build_stream(
    offline: Graph,
    graph: Graph,
    target: str,
    board: Any,
    block: int,
    policy: str,
    dump_to: Callable[[str], None] | None,
) -> Program:
    """Schedule, place and write a streaming model."""
    per_sample = ticks_per_sample(graph)
    ticks = max(1, int(block * per_sample))
    model = cost_model(board.processor.core if board is not None else "cortex-m7")
    plain = price(graph, model)
    sliced = choose_sliced(graph, ticks, plain) if policy == "flat" else frozenset()
    plan = stream(graph, ticks, sliced)
    first = schedule(plan, plain, model)
    emitter = StreamEmitter(plan, first, graph.name, LAYOUTS[target])
    sample_rate = SAMPLE_RATE_HZ
    tick_rate = sample_rate * float(per_sample)
    for _ in range(PLANNINGS):  # where tables lie decides how long items take, and so how many there are
        placement = place(_demands(emitter, plan, tick_rate, ticks), board)
        fetched = _fetch_cycles(emitter, placement, model, _line_bytes(board))
        priced = price(plan.graph, model, _waiting(fetched))
        final = schedule(plan, priced, model)
        if final.items == emitter.schedule.items:
            break
        emitter = StreamEmitter(plan, final, graph.name, LAYOUTS[target])
    placement = place(_demands(emitter, plan, tick_rate, ticks), board)
    regions = placement.region_of if board is not None and target == "m7" else {}
    report = _stream_report(
        offline, plan, emitter, final, placement, board, block, per_sample, priced, model.source, target
    )
    if dump_to:
        dump_to(clock_text(plan))
    facts = _facts(report)
    return Program(
        graph.name, target, offline, emitter.header_text(facts), emitter.source_text(regions), report, plan
    )


def clock_text(plan: Stream) -> str:
    """Print the clocks and rings."""
    lines = ["==== clocks"]
    for unit in plan.units:
        clock = plan.clock(unit[0])
        how = "sliced" if clock.sliced else "at once"
        lines.append(
            f"  every {clock.period} ticks from {clock.offset}, {how}: {', '.join(n.name for n in unit)}"
        )
    lines.append("==== rings")
    lines += [f"  {r.tensor}: keep {r.keep} of {r.capacity} frames" for r in plan.rings.values()]
    return "\n".join(lines) + "\n"


def _demands(emitter: StreamEmitter, plan: Stream, tick_rate: float, ticks: int) -> list[Demand]:
    """The state, and every table with its traffic."""
    graph = plan.graph
    traffic = 0.0
    calls = {}
    for node in graph.nodes:
        clock = plan.clock(node)
        firings = tick_rate / clock.period
        calls[node.name] = min(firings, tick_rate / ticks) if not clock.sliced else firings
        work = FAMILIES[node.op].work(node, graph)
        width = (
            4
            if not node.outputs
            else graph.tensors[node.outputs[0]].frame_bytes / graph.tensors[node.outputs[0]].frame
        )
        traffic += firings * (work.reads + work.outputs * width)
    state, structs = struct_bytes(emitter.fields()), emitter.parameter_bytes()
    demands = [
        Demand("state", state, traffic, "rings and passing tensors"),
        Demand(PARAMETERS, structs, structs * float(np.mean(list(calls.values()))), "all layers"),
    ]
    for table in emitter.writer.tables.values():
        traffic = table.placed_bytes * calls[table.node]
        demands.append(Demand(table.name, table.placed_bytes, traffic, table.node))
    return demands


def _line_bytes(board: Any) -> int:
    """Bytes of a cache line."""
    return getattr(board.processor, "cache_line_bytes", 0) or 32 if board is not None else 32


def _fetch_cycles(
    emitter: StreamEmitter, placement: Placement, model: CostModel, line_bytes: int
) -> dict[str, float]:
    """Cycles each layer waits for its tables per call."""
    graph = emitter.stream.graph
    kernels = {node.name: FAMILIES[node.op].work(node, graph).kernel for node in graph.nodes}
    fetched: dict[str, float] = {}
    for table in emitter.writer.tables.values():
        per_byte = placement.fill_cycles_per_byte.get(table.name, 0.0)
        cost = table.bytes * per_byte * model.waits(kernels.get(table.node, ""), per_byte * line_bytes)
        fetched[table.node] = fetched.get(table.node, 0.0) + cost
    return fetched


def _waiting(fetched: dict[str, float]) -> Callable[[Node], float]:
    """Cycles a layer waits for its tables, as ``price`` asks for them."""
    return lambda node: fetched.get(node.name, 0.0)


def _stream_report(
    offline: Graph,
    plan: Stream,
    emitter: StreamEmitter,
    final: Schedule,
    placement: Placement,
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
        **figures(placement, _demands(emitter, plan, tick_rate, ticks)),
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


def _facts(report: dict[str, Any]) -> list[str]:
    """The lines at the top of the header."""
    lines = [
        f"{report['parameters']:,} parameters, {report['macs_per_sample']:,.0f} multiply-accumulates "
        "per sample,",
        f"{report['weight_bytes']:,} bytes of tables, {report['state_bytes']:,} bytes of state, no heap.",
    ]
    if not report["event"]:
        lines.append(f"Latency {report['latency_samples']:g} samples; block {report['block']}.")
    return lines


def build_event(
    offline: Graph,
    graph: Graph,
    target: str,
    board: Any,
    block: int,
    policy: str,
    dump_to: Callable[[str], None] | None,
) -> Program:
    """Plan, place and write an event model."""
    from firmware.compiler.write.event import build

    return build(offline, graph, target, board, block, LAYOUTS[target], dump_to)
