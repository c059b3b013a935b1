"""An event model: cut into steps, memory plan, C text and report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from firmware.compiler.graph import Graph
from firmware.compiler.plan.cost import cost_model
from firmware.compiler.plan.memory import Demand, figures, place
from firmware.compiler.plan.schedule import price
from firmware.compiler.program import Options, Program
from firmware.compiler.slots.part import part_of, shape_of
from firmware.compiler.write.copies import copies_of
from firmware.compiler.write.event import ITEM_CYCLES, ITEM_SHARE, EventEmitter, cut_event
from firmware.compiler.write.facts import event_report, header_lines
from firmware.compiler.write.writer import PARAMETERS, struct_bytes


def build_event(
    offline: Graph, graph: Graph, options: Options, dump_to: Callable[[str], None] | None
) -> Program:
    """Cut, place and write an event model; the options' ``schedule`` is for streams."""
    model = cost_model(options.core)
    priced = price(graph, model)
    items = cut_event(graph, priced, ITEM_SHARE * options.callback_cycles or ITEM_CYCLES)
    emitter = EventEmitter(graph, items, graph.name, options.packing)
    demands = [
        Demand("state", struct_bytes(emitter.fields()), 0.0, "buffers"),
        Demand(PARAMETERS, emitter.parameter_bytes(), 0.0, "all layers"),
        *(Demand(t.name, t.placed_bytes, 0.0, t.node) for t in emitter.writer.tables.values()),
    ]
    placement = place(demands, options.board)
    report = event_report(offline, emitter, figures(placement, demands), options, priced, model.source)
    if dump_to:
        dump_to(
            "==== steps\n"
            + "\n".join(f"  {i.node.name} {i.rows} {i.firings} {i.cycles:.0f} cycles" for i in items)
            + "\n"
        )
    copies = copies_of(emitter.writer, placement.region_of, options.copied)
    regions = placement.region_of if options.is_placed and copies is None else {}
    part = part_of(emitter.writer) if options.has_slots else None
    source = emitter.source_text(regions, copies, part)
    return Program(
        graph.name,
        options.target,
        offline,
        emitter.header_text(header_lines(report), copies, part),
        source,
        report,
        copies=copies.regions if copies else (),
        part=replace(part, shape=shape_of(source)) if part else None,
    )
