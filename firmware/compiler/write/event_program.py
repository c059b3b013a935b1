"""An event model: cut into steps, memory plan, C text and report."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from typing import Any

from common.audio import SAMPLE_RATE_HZ
from firmware.compiler.graph import Graph
from firmware.compiler.plan.cost import cost_model
from firmware.compiler.plan.memory import Demand, figures, place
from firmware.compiler.plan.schedule import price
from firmware.compiler.program import LAYOUTS, Program
from firmware.compiler.report import layer_table, proofs
from firmware.compiler.write.event import ITEM_CYCLES, ITEM_SHARE, EventEmitter, cut_event, firings_of
from firmware.compiler.write.writer import PARAMETERS, struct_bytes


def build_event(
    offline: Graph,
    graph: Graph,
    target: str,
    board: Any,
    block: int,
    policy: str,
    dump_to: Callable[[str], None] | None,
) -> Program:
    """Cut, place and write an event model; a schedule's ``policy`` is for streams."""
    core = board.processor.core if board is not None else "cortex-m7"
    model = cost_model(core)
    plain = price(graph, model)
    clock_hz = float(board.processor.clock_hz) if board is not None else 0.0
    callback = clock_hz * block / SAMPLE_RATE_HZ
    target_cycles = ITEM_SHARE * callback if callback else ITEM_CYCLES
    items = cut_event(graph, plain, target_cycles)
    emitter = EventEmitter(graph, items, graph.name, LAYOUTS[target])
    state = struct_bytes(emitter.fields())
    tables = list(emitter.writer.tables.values())
    demands = [
        Demand("state", state, 0.0, "buffers"),
        Demand(PARAMETERS, emitter.parameter_bytes(), 0.0, "all layers"),
        *(Demand(t.name, t.placed_bytes, 0.0, t.node) for t in tables),
    ]
    placement = place(demands, board)
    total = sum(i.cycles for i in items)
    layers = layer_table(graph, lambda n: 1.0, lambda n: plain(n, firings_of(n, graph), 1.0))
    for entry, node in zip(layers, graph.nodes, strict=True):
        firings = firings_of(node, graph)
        entry["cycles_per_event"] = entry.pop("cycles_per_second")
        entry["macs_per_event"] = entry.pop("macs_per_second") * firings
        entry["firings_per_event"] = firings
        del entry["firings_per_second"]
        entry["cycles_per_second"] = 0.0
    report = {
        "name": graph.name,
        "kind": graph.metadata.get("kind"),
        "target": target,
        "event": True,
        "board": board.name if board is not None else None,
        "block": block,
        "sample_rate_hz": SAMPLE_RATE_HZ,
        "ticks_per_sample": str(Fraction(1)),
        "parameters": offline.metadata["parameters"],
        "macs_per_sample": 0.0,
        "macs_per_event": sum(e["macs_per_event"] for e in layers),
        "cycles_per_second": 0.0,
        "cycles_per_event": total,
        "cycles_per_step": {"worst": max((i.cycles for i in items), default=0.0), "steps": len(items)},
        "cycles_per_callback": {
            "mean": 0.0,
            "worst": max((i.cycles for i in items), default=0.0),
            "worst_over_mean": 1.0,
        },
        "callbacks_at_10_percent": total / (0.1 * callback) if callback else None,
        "cpu_mean": 0.0 if callback else None,
        "cpu_worst": max((i.cycles for i in items), default=0.0) / callback if callback else None,
        "cost_model": f"predicted: {model.source}",
        "latency_samples": 0.0,
        "latency_of_output": {},
        "state_bytes": state,
        "weight_bytes": sum(t.bytes for t in tables),
        "parameter_bytes": emitter.parameter_bytes(),
        "heap_bytes": 0,
        **figures(placement, demands),
        "layers": layers,
        "overflow_proofs": proofs(offline),
        "ports": [
            {
                "name": p.name,
                "label": p.label,
                "direction": p.node.op.lower(),
                "channels": p.tensor.channels,
                "frames": p.tensor.length,
            }
            for p in emitter.specs
        ],
    }
    if dump_to:
        dump_to(
            "==== steps\n"
            + "\n".join(f"  {i.node.name} {i.rows} {i.firings} {i.cycles:.0f} cycles" for i in items)
            + "\n"
        )
    facts = [
        f"{report['parameters']:,} parameters, {report['macs_per_event']:,.0f} multiply-accumulates per "
        "event in "
        f"{len(items)} steps,",
        f"{report['weight_bytes']:,} bytes of tables, {state:,} bytes of state, no heap.",
    ]
    regions = placement.region_of if board is not None and target == "m7" else {}
    return Program(
        graph.name, target, offline, emitter.header_text(facts), emitter.source_text(regions), report
    )
