"""A model that streams: schedule, memory plan, C text and report."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.plan.cost import CostModel, cost_model
from firmware.compiler.plan.memory import STACK, Demand, Placement, figures, has_fast_stack, place
from firmware.compiler.plan.schedule import choose_sliced, in_pairs, price, schedule
from firmware.compiler.plan.stream import Stream, stream
from firmware.compiler.program import Options, Program
from firmware.compiler.slots.part import part_of, shape_of
from firmware.compiler.write.copies import copies_of
from firmware.compiler.write.emit import StreamEmitter, stack_wanted
from firmware.compiler.write.facts import header_lines, stream_report
from firmware.compiler.write.writer import PARAMETERS, struct_bytes

if TYPE_CHECKING:
    from hardware.board import Board

PLANNINGS = 2


def build_stream(
    offline: Graph, graph: Graph, options: Options, dump_to: Callable[[str], None] | None
) -> Program:
    """Schedule, place and write a streaming model."""
    per_sample, board = graph.ticks_per_sample, options.board
    ticks = max(1, int(options.block * per_sample))
    model = cost_model(options.core)
    plain = price(graph, model)
    plan = _plan(graph, ticks, choose_sliced(graph, ticks, plain) if options.schedule == "flat" else {})
    first = schedule(plan, plain, model)
    emitter = StreamEmitter(plan, first, graph.name, options.packing)
    tick_rate = SAMPLE_RATE_HZ * float(per_sample)
    uses_stack = options.is_placed and has_fast_stack(
        board, place(_demands(emitter, plan, tick_rate, ticks), board), stack_wanted(plan)
    )
    if uses_stack:
        emitter = StreamEmitter(plan, first, graph.name, options.packing, uses_stack=True)
    for _ in range(PLANNINGS):  # where tables lie decides how long items take, and so how many there are
        placement = place(_demands(emitter, plan, tick_rate, ticks), board)
        fetched = _fetch_cycles(emitter, placement, model, _line_bytes(board))
        priced = price(plan.graph, model, _waiting(fetched))
        final = schedule(plan, priced, model)
        if final.items == emitter.schedule.items:
            break
        emitter = StreamEmitter(plan, final, graph.name, options.packing, uses_stack=uses_stack)
    demands = _demands(emitter, plan, tick_rate, ticks)
    placement = place(demands, board)
    memory = figures(placement, demands)
    report = stream_report(offline, emitter, final, memory, options, priced, model.source)
    if dump_to:
        dump_to(clock_text(plan))
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
        plan,
        copies=copies.regions if copies else (),
        part=replace(part, shape=shape_of(source)) if part else None,
    )


def _plan(graph: Graph, ticks: int, sliced: Mapping[int, int]) -> Stream:
    """Firings in pairs, unless what they wait for makes the stream later by more than a callback."""
    if graph.by_hop:
        return stream(graph, ticks, {graph.by_hop: 1})
    plan = stream(graph, ticks, sliced)
    pairs = in_pairs(graph, ticks, sliced)
    if pairs == sliced:
        return plan
    paired = stream(graph, ticks, pairs)
    late = max(paired.latency[label] - plan.latency[label] for label in plan.latency)
    return paired if late <= ticks else plan


def clock_text(plan: Stream) -> str:
    """Print the clocks and rings."""
    lines = ["==== clocks"]
    for unit in plan.units:
        clock = plan.clock(unit[0])
        how = "sliced" if clock.sliced else "at once"
        how += f", {clock.firings} firings" if clock.firings > 1 else ""
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
        starts = tick_rate / clock.period
        calls[node.name] = min(starts, tick_rate / ticks) if not clock.sliced else starts
        work = FAMILIES[node.op].work(node, graph)
        width = (
            4
            if not node.outputs
            else graph.tensors[node.outputs[0]].frame_bytes / graph.tensors[node.outputs[0]].frame
        )
        traffic += starts * clock.firings * (work.reads + work.outputs * width)
    state, structs = struct_bytes(emitter.fields()), emitter.parameter_bytes()
    demands = [
        Demand("state", state, traffic, "rings and passing tensors"),
        Demand(PARAMETERS, structs, structs * float(np.mean(list(calls.values()))), "all layers"),
    ]
    if emitter.layout.stack:
        demands.append(Demand(STACK, emitter.layout.stack, traffic, "passing tensors", is_stack=True))
    for table in emitter.writer.tables.values():
        traffic = table.placed_bytes * calls[table.node]
        demands.append(Demand(table.name, table.placed_bytes, traffic, table.node))
    return demands


def _line_bytes(board: Board | None) -> int:
    """Bytes of a cache line."""
    return board.processor.cache_line_bytes or 32 if board is not None else 32


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
