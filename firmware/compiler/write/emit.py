"""The streamed model as C: one header with its interface, one source with its tables and its clockwork."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from firmware.compiler.graph import Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.ops.elementwise import Held, PointwiseAttributes
from firmware.compiler.plan.memory import liveness_arena
from firmware.compiler.plan.schedule import Item, Schedule
from firmware.compiler.plan.stream import Clock, Stream
from firmware.compiler.slots.part import Part
from firmware.compiler.write.copies import Copies
from firmware.compiler.write.text import (
    buffers_struct,
    channel_macros,
    copy_text,
    describe,
    fields_text,
    header,
    identifiers,
    source_head,
    tables_text,
    tensor_specs,
    types_text,
)
from firmware.compiler.write.writer import ALIGNED, C_TYPE, STRUCT_BYTES, Field, Writer

GOLDEN = 0.618
"""Part of its length that a ring starts behind the one before."""
READABLE_BYTES = 16
"""Bytes behind every integer buffer that kernels may read (kernels/vk.h)."""


@dataclass(frozen=True)
class StateLayout:
    """Where everything lies in the state struct of a streamed model.

    Attributes
    ----------
    rings : mapping of tensor to C member
    places : mapping of passing tensor to its place in an arena
        A C expression.
    arena, stack : int
        Bytes of the arenas of passing tensors: in the state, and on the stack of a chunk.
    eager, sliced : mapping of clock to its index in the state
    holds : mapping of (clock, repeats) to its index in the state
        Readers for whose firings frames of a slower tensor are held.
    """

    rings: Mapping[str, str]
    places: Mapping[str, str]
    arena: int
    stack: int
    eager: Mapping[Clock, int]
    sliced: Mapping[Clock, int]
    holds: Mapping[tuple[Clock, int], int]


def state_layout(stream: Stream, *, uses_stack: bool = False) -> StateLayout:
    """Name the rings and pack the passing tensors; those that no chunk leaves behind may lie on the stack."""
    names = identifiers(list(stream.graph.tensors))
    position, order = {}, 0
    for unit in stream.units:
        for node in unit:
            position[node.name] = order
            order += 1
    producer, consumers = stream.graph.producer(), stream.graph.consumers()
    shared: list[tuple[str, int, int, int]] = []
    places: dict[str, str] = {}
    arena = 0
    private: dict[Clock, list[tuple[str, int, int, int]]] = {}
    for name, frames in stream.passing.items():
        writer = producer[name]
        first = position[writer.name]
        last = max([first] + [position[r.name] for r in consumers[name]])
        size = frames * stream.graph.tensors[name].frame_bytes + READABLE_BYTES
        clock = stream.clock(writer)
        if clock.sliced:
            private.setdefault(clock, []).append((name, first, last, size))
        else:
            shared.append((name, first, last, size))
    on_stack, stack = liveness_arena(shared)
    if uses_stack:
        places = {name: f"passing + {offset}" for name, offset in on_stack.items()}
        shared = []
    for group in (shared, *private.values()):
        placed, size = liveness_arena(group)
        places |= {name: f"s->passing + {arena + offset}" for name, offset in placed.items()}
        arena += size
    eager = {c: i for i, c in enumerate(c for c in stream.clocks if not c.sliced)}
    sliced = {c: i for i, c in enumerate(c for c in stream.clocks if c.sliced)}
    holds: dict[tuple[Clock, int], int] = {}
    for node in stream.graph.nodes:
        if (repeats := held_repeats(node)) > 1:
            holds.setdefault((stream.clock(node), repeats), len(holds))
    rings = {n: f"r_{names[n]}" for n in stream.rings}
    return StateLayout(rings, places, arena, stack if uses_stack else 0, eager, sliced, holds)


def stack_wanted(stream: Stream) -> int:
    """Bytes that a chunk would take from the stack for what none leaves behind."""
    return state_layout(stream, uses_stack=True).stack


def held_repeats(node: Node) -> int:
    """How many firings of a node read one frame of its held operand; 1: it has none."""
    return max((window.hold for window in FAMILIES[node.op].windows(node)), default=1)


def _held(node: Node) -> Held:
    """The held operand of a node that has one."""
    held = node.attributes_as(PointwiseAttributes).held
    assert held is not None
    return held


def state_fields(stream: Stream, layout: StateLayout, writer: Writer) -> list[Field]:
    """Members of the state: clocks, rings, kernels' own memory, passing tensors last."""
    fields = [
        Field("wait", "uint32_t", max(1, len(layout.eager))),
        Field("done", "uint32_t", max(1, len(layout.eager))),
    ]
    if layout.holds:
        fields.append(Field("held", "vs_held", len(layout.holds)))
    for name, member in layout.rings.items():
        tensor, ring = stream.graph.tensors[name], stream.rings[name]
        pad = READABLE_BYTES * tensor.frame // max(1, tensor.frame_bytes) if tensor.quant else 0
        fields.append(Field(f"{'at' if ring.mirrored else 'base'}_{member[2:]}", "uint32_t", 0))
        fields.append(Field(member, C_TYPE[tensor.dtype], ring.frames * tensor.frame + pad))
    fields += writer.fields.values()
    if layout.sliced:
        fields.append(Field("slices", "vs_progress", len(layout.sliced)))
    fields.append(Field("passing", "uint8_t", max(8, layout.arena)))
    return fields


class StreamEmitter:
    """Writes the chunk function, the sliced items and the interface of one streamed model."""

    def __init__(
        self, stream: Stream, schedule: Schedule, name: str, packing: str, *, uses_stack: bool = False
    ):
        self.stream, self.schedule, self.name = stream, schedule, name
        self.layout = state_layout(stream, uses_stack=uses_stack)
        self.writer = Writer(name, stream.graph, packing, FAMILIES)
        self.producer, self.consumers = stream.graph.producer(), stream.graph.consumers()
        self.layers = {node.name: i for i, node in enumerate(stream.graph.nodes)}
        self.specs = tensor_specs(stream.graph, lambda node: stream.clock(node).period)
        self.body = self._bodies()

    # ---- expressions -----------------------------------------------------------------------------------

    def _count(self, clock: Clock) -> str:
        """Firings finished before this chunk (of the firing under way, for sliced clocks)."""
        if clock.sliced:
            return f"s->slices[{self.layout.sliced[clock]}].done"
        return f"t{self.layout.eager[clock]}"

    def _read(self, node: Node, index: int) -> str:
        """First frame of a window."""
        name = node.inputs[index]
        tensor = self.stream.graph.tensors[name]
        if name in self.layout.places:
            return f"({C_TYPE[tensor.dtype]} *)(void *)({self.layout.places[name]})"
        window = self.stream.windows(node)[index]
        if self.stream.rings[name].mirrored:
            return self._round(node, name, window.before)
        member = self.layout.rings[name]
        at = _frame_number(self._count(self.stream.clock(node)), window.stride, -window.before)
        if window.hold > 1:
            first = _held(node).first
            offset = f" + {first}" if first else ""
            return f"s->{member} + (size_t)(h.frame - s->base_{member[2:]}) * {tensor.frame}u{offset}"
        return f"s->{member} + (size_t)({at} - s->base_{member[2:]}) * {tensor.frame}u"

    def _round(self, node: Node, name: str, back: int) -> str:
        """A frame of a ring that goes round, so many before the one that a firing is counted by."""
        tensor, member = self.stream.graph.tensors[name], self.layout.rings[name]
        ours, its = self._count(self.stream.clock(node)), self._count(self.stream.clock(self.producer[name]))
        behind = f"{back}u" if ours == its else f"{back}u + ({its} - {ours})"
        capacity = self.stream.rings[name].capacity
        place = f"vs_back(s->at_{member[2:]}, {behind}, {capacity}u)"
        return f"s->{member} + (size_t){place} * {tensor.frame}u"

    def _written(self, node: Node) -> str:
        """First frame written."""
        name = node.outputs[0]
        tensor = self.stream.graph.tensors[name]
        if name in self.layout.places:
            return f"({C_TYPE[tensor.dtype]} *)(void *)({self.layout.places[name]})"
        member = self.layout.rings[name]
        if self.stream.rings[name].mirrored:
            return f"s->{member} + (size_t)s->at_{member[2:]} * {tensor.frame}u"
        at = _frame_number(self._count(self.stream.clock(node)), self.stream.written(node), 0)
        return f"s->{member} + (size_t)({at} - s->base_{member[2:]}) * {tensor.frame}u"

    def _block(
        self, node: Node, frames: str, rows: tuple[str, str] | None, single: bool, indent: str
    ) -> list[str]:
        """One node's work: pointers, then calls."""
        graph = self.stream.graph
        if (repeats := held_repeats(node)) > 1:
            return self._held_block(node, frames, repeats, indent)
        lines = []
        sources: list[str] = []
        by_taps = FAMILIES[node.op].reads_taps
        rounds = {
            index: lambda back, name=name: self._round(node, name, back)
            for index, name in enumerate(node.inputs)
            if by_taps and name in self.stream.rings and self.stream.rings[name].mirrored
        }
        for index, name in enumerate(node.inputs):
            if name in node.inputs[:index]:
                sources.append(sources[node.inputs.index(name)])
                continue
            if index in rounds:
                sources.append("")
                continue
            ctype = C_TYPE[graph.tensors[name].dtype]
            lines.append(f"{ctype} *const x{index} = {self._read(node, index)};")
            sources.append(f"x{index}")
        if node.outputs:
            ctype = C_TYPE[graph.tensors[node.outputs[0]].dtype]
            lines.append(f"{ctype} *const y = {self._written(node)};")
        buffer = ("", "")
        if node.op in ("Input", "Output"):
            name = next(spec.name for spec in self.specs if spec.node is node)
            where = "in" if node.op == "Input" else "out"
            buffer = (f"{where}->{name} + at->{name}", f"{where}->{name}_stride")
        calls = self.writer.write(
            node, sources, "y", frames, rows=rows, single=single, buffer=buffer, rounds=rounds
        )
        lines += [c.removeprefix("    ") for c in calls]
        for name in node.outputs:
            if name in self.stream.rings and (ring := self.stream.rings[name]).mirrored:
                member, size = self.layout.rings[name], graph.tensors[name].frame_bytes
                place = f"s->{member}, s->at_{member[2:]}, {frames}"
                lines.append(f"vs_mirror({place}, {ring.capacity}u, {ring.mirrored}u, {size}u);")
        return [f"{indent}{line}" for line in lines]

    def _held_block(self, node: Node, frames: str, repeats: int, indent: str) -> list[str]:
        """The same over the runs of firings that share a frame of the slower operand."""
        hold = self.layout.holds[self.stream.clock(node), repeats]
        graph = self.stream.graph
        held = _held(node).operand
        names = [graph.tensors[n] for n in (*node.inputs, *node.outputs)]
        reads = [self._read(node, index) for index in range(len(node.inputs))]
        lines = [
            f"vs_held h = s->held[{hold}];",
            f"for (uint32_t i = 0u, run; i < {frames}; i += run) {{",
            f"    run = vs_run(h, {repeats}u, {frames} - i);",
        ]
        for index, (tensor, at) in enumerate(zip(names, [*reads, self._written(node)], strict=True)):
            name = f"x{index}" if index < len(reads) else "y"
            along = "" if index == held else f" + i * {tensor.frame}u"
            lines.append(f"    {C_TYPE[tensor.dtype]} *const {name} = {at}{along};")
        calls = self.writer.write(node, ["x0", "x1"], "y", "run")
        lines += [f"    {call.removeprefix('    ')}" for call in calls]
        lines += [f"    h = vs_moved(h, {repeats}u, run);", "}"]
        return [f"{indent}{line}" for line in lines]

    # ---- functions -------------------------------------------------------------------------------------

    def _bodies(self) -> str:
        """The items of sliced clocks, and the chunk."""
        text = []
        for unit in self.stream.units:
            clock = self.stream.clock(unit[0])
            if clock.sliced:
                text.append(self._items(clock, self.schedule.items[self.stream.clock_of[unit[0].name]]))
        text.append(self._chunk())
        return "\n".join(text)

    def _items(self, clock: Clock, items: tuple[Item, ...]) -> str:
        """Switch over the items of one sliced clock."""
        index = self.layout.sliced[clock]
        lines = [
            f"/* Clock of {clock.period} ticks: {len(items)} items, spread evenly by predicted cost. */",
            f"static void slice_{index}(void *model, const vs_item *item) {{",
            f"    {self.name}_state *const s = model;",
            "    switch (item->layer) {",
        ]
        nodes = list(dict.fromkeys(item.node.name for item in items))
        sliced = {item.node.name for item in items if item.rows is not None}
        for number, name in enumerate(nodes):
            node = next(item.node for item in items if item.node.name == name)
            lines.append(f"    case {number}: {{ /* {describe(node, self.stream.graph)} */")
            lines.append(f"        VAECTROL_MARK({self.layers[name]});")
            rows = ("item->first", "item->count") if name in sliced else None
            lines += self._block(node, str(clock.firings), rows, clock.firings == 1, "        ")
            lines += ["        break;", "    }"]
        lines += ["    default:", "        break;", "    }", "}"]
        entries = []
        for item in items:
            first, count = item.rows or (0, 0)
            entries.append(f"{{{item.due}, {nodes.index(item.node.name)}, {first}, {count}}}")
        rows_of_text = ["    " + ", ".join(entries[i : i + 8]) for i in range(0, len(entries), 8)]
        lines += [
            "/* {tick it is due, layer, first output, outputs} */",
            f"static const vs_item slice_{index}_items[{len(items)}] "
            f"VAECTROL_PARAMETERS(slice_{index}_items) = {{",
            ",\n".join(rows_of_text) + ",",
            "};",
            f"static const vs_slices slice_{index}_plan VAECTROL_PARAMETERS(slice_{index}_plan) = {{",
            f"    slice_{index}_items, {len(items)}, {clock.period}, slice_{index},",
            "};",
            "",
        ]
        return "\n".join(lines)

    def _chunk(self) -> str:
        """Everything that happens within at most one block of ticks."""
        name = self.name
        inputs = any(spec.is_input for spec in self.specs)
        lines = [
            "/* One chunk: rooms in the rings, then every layer that has frames due, in order. */",
            f"static void chunk({name}_state *s, uint32_t ticks, const {name}_inputs *in, const "
            f"{name}_outputs *out,",
            f"                  {name}_cursor *at) {{",
        ]
        if self.layout.stack:
            lines.append(f"    _Alignas({ALIGNED}) uint8_t passing[{self.layout.stack}];")
        if not inputs:
            lines.append("    (void)in;")
        for clock, index in self.layout.eager.items():
            lines.append(f"    const uint32_t t{index} = s->done[{index}];")
            lines.append(f"    const uint32_t n{index} = vs_due(&s->wait[{index}], {clock.period}u, ticks);")
        lines += self._rooms()
        seen: set[str] = set()
        for unit in self.stream.units:
            clock = self.stream.clock(unit[0])
            seen |= {node.name for node in unit}
            rooms = [f"    {line}" for line in self._rooms_behind(unit, seen)]
            if clock.sliced:
                index = self.layout.sliced[clock]
                lines.append(f"    vs_advance(&s->slices[{index}], &slice_{index}_plan, ticks, s);")
                lines += rooms
                continue
            (node,) = unit
            count = f"n{self.layout.eager[clock]}"
            lines.append(f"    if ({count} > 0u) {{ /* {describe(node, self.stream.graph)} */")
            lines.append(f"        VAECTROL_MARK({self.layers[node.name]});")
            lines += self._block(node, count, None, False, "        ")
            if node.op in ("Input", "Output"):
                name = next(spec.name for spec in self.specs if spec.node is node)
                lines.append(f"        at->{name} += {count};")
            lines.append("    }")
            lines += rooms
        for (clock, repeats), index in self.layout.holds.items():
            count = f"n{self.layout.eager[clock]}"
            lines.append(f"    s->held[{index}] = vs_moved(s->held[{index}], {repeats}u, {count});")
        for name, member in self.layout.rings.items():
            if (ring := self.stream.rings[name]).mirrored:
                count = f"n{self.layout.eager[self.stream.clock(self.producer[name])]}"
                at = f"s->at_{member[2:]}"
                lines.append(f"    {at} = vs_on({at}, {count}, {ring.capacity}u);")
        lines += [f"    s->done[{i}] = t{i} + n{i};" for i in self.layout.eager.values()]
        lines.append("}")
        return "\n".join(lines) + "\n"

    def _rooms(self) -> list[str]:
        """Make room in the rings of sliced clocks for what this chunk will write."""
        lines = []
        for name in self.layout.rings:
            writer = self.producer[name]
            clock, produce = self.stream.clock(writer), self.stream.written(writer)
            if clock.sliced:
                state = f"s->slices[{self.layout.sliced[clock]}]"
                incoming = f"vs_count({state}.wait, {clock.period}u, ticks)"
                started = _frame_number(f"{state}.started", produce, 0)
                lines.append(f"    {self._room(name, started, _frame_number(incoming, produce, 0))}")
        return lines

    def _rooms_behind(self, unit: Sequence[Node], seen: set[str]) -> list[str]:
        """Make room for a whole next chunk in the rings that nobody reads any more in this one.

        What moves was just read, so it is still in the cache; when the next chunk begins it no longer is.
        """
        lines = []
        for name in dict.fromkeys(n for node in unit for n in (*node.inputs, *node.outputs)):
            readers = {reader.name for reader in self.consumers[name]}
            clock = self.stream.clock(self.producer[name])
            if name not in self.layout.rings or self.stream.rings[name].mirrored or clock.sliced:
                continue
            if readers <= seen and self.producer[name].name in seen:
                produce = self.stream.written(self.producer[name])
                index = self.layout.eager[clock]
                incoming = produce * -(-self.stream.block // clock.period)
                written = _frame_number(f"(t{index} + n{index})", produce, 0)
                lines.append(self._room(name, written, f"{incoming}u"))
        return lines

    def _room(self, name: str, written: str, incoming: str) -> str:
        """The call that moves what a ring keeps to its front."""
        member, ring = self.layout.rings[name], self.stream.rings[name]
        size = self.stream.graph.tensors[name].frame_bytes
        place = f"s->{member}, &s->base_{member[2:]}"
        return f"vs_room({place}, {written}, {incoming}, {ring.keep}u, {ring.capacity}u, {size}u);"

    # ---- files -----------------------------------------------------------------------------------------

    def fields(self) -> list[Field]:
        """Members of the state struct."""
        return state_fields(self.stream, self.layout, self.writer)

    def parameter_bytes(self) -> int:
        """Constant structs: those of the kernels, and the items of the sliced clocks."""
        items = sum(len(self.schedule.items[self.stream.clocks.index(c)]) for c in self.layout.sliced)
        own = sum(s.bytes for s in self.writer.structs.values())
        clocks = len(self.layout.sliced) * STRUCT_BYTES["vs_slices"]
        return own + items * STRUCT_BYTES["vs_item"] + clocks

    def header_text(self, facts: list[str], copies: Copies | None, part: Part | None) -> str:
        """The model's interface."""
        stream, name = self.stream, self.name
        state = fields_text(self.fields()) + (f"\n{copies.members()}" if copies else "")
        latencies = "".join(
            f"#define {name.upper()}_LATENCY_{s.name.upper()} {stream.latency[s.label]}u /* base ticks */\n"
            for s in self.specs
            if not s.is_input
        )
        latencies += (
            f"#define {name.upper()}_LATENCY {max(stream.latency.values(), default=0)}u /* the longest */\n"
        )
        latencies += channel_macros(name, self.specs)
        noises = [n for n in stream.graph.nodes if n.op == "FilteredNoise"]
        latencies += f"#define {name.upper()}_HAS_NOISE {int(bool(noises))}\n"
        ins = [s for s in self.specs if s.is_input]
        outs = [s for s in self.specs if not s.is_input]
        cursor = "\n".join(f"    uint32_t {s.name};" for s in self.specs)
        body = f"""
#define {name.upper()}_MAX_BLOCK {stream.block}u /* ticks worked on at once; longer calls are cut */
{latencies}
{buffers_struct(name, "inputs", ins, "const float")}
{buffers_struct(name, "outputs", outs, "float")}
/* How far into the caller's buffers a call has come, in frames. */
typedef struct {name}_cursor {{
{cursor}
}} {name}_cursor;

{types_text(copies)}/* All memory of one voice; rings slide, nothing is allocated. */
typedef struct {name}_state {{
{state}
}} {name}_state;
{copy_text(copies, part)}
size_t {name}_state_bytes(void); /* sizeof, for callers in other languages */
void {name}_reset({name}_state *s);
/* Begin the noise at sample n of its endless sequence, so that two hits differ; call it after a reset. */
void {name}_noise_at({name}_state *s, uint32_t n);
/* Frames of input `index` (of output `index`) that the next `ticks` base ticks consume (deliver). */
size_t {name}_frames_due(const {name}_state *s, size_t ticks, size_t index);
size_t {name}_frames_out(const {name}_state *s, size_t ticks, size_t index);
/* Advance by any number of base ticks; the result does not depend on how they are cut into calls. */
void {name}_process({name}_state *s, size_t ticks, const {name}_inputs *in, const {name}_outputs *out);
"""
        return header(name, facts, body, copies, part)

    def _ring_starts(self) -> list[str]:
        """Where each ring begins.

        Those that go round begin at different parts of their lengths. So they pass their ends at different
        times, and no callback pays for all of them.
        """
        lines, part = [], 0.0
        for name, member in self.layout.rings.items():
            ring = self.stream.rings[name]
            if ring.mirrored:
                lines.append(f"    s->at_{member[2:]} = {int(part * ring.capacity)}u;")
                part = (part + GOLDEN) % 1.0
            else:
                lines.append(f"    s->base_{member[2:]} = 0u - {ring.keep}u;")
        return lines

    def source_text(self, regions: Mapping[str, str], copies: Copies | None, part: Part | None) -> str:
        """The source: tables, items, chunk, interface."""
        name, eager = self.name, self.layout.eager
        reset = [f"    s->wait[{i}] = {c.offset}u;" for c, i in eager.items()]
        for clock, index in self.layout.sliced.items():
            reset.append(f"    s->slices[{index}].wait = {clock.offset}u;")
            reset.append(f"    s->slices[{index}].elapsed = {clock.period}u;")
        reset += self._ring_starts()

        def counts(op: str) -> str:
            cases = []
            for index, spec in enumerate(s for s in self.specs if s.node.op == op):
                clock = self.stream.clock(spec.node)
                cases.append(
                    f"    case {index}:\n        return vs_count(s->wait[{eager[clock]}], "
                    f"{clock.period}u, (uint32_t)ticks);"
                )
            return "\n".join(cases)

        resets = "\n".join(reset)
        noises = [n for n in self.stream.graph.nodes if n.op == "FilteredNoise"]
        noise_lines = (
            "\n".join(f"    s->{n.name}_state[0].n = n;" for n in noises) or "    (void)s;\n    (void)n;"
        )
        return f"""{source_head(name)}
{tables_text(self.writer, regions, copies, part)}
{self.body}
size_t {name}_state_bytes(void) {{
    return sizeof({name}_state);
}}

void {name}_reset({name}_state *s) {{
    vk_zero(s, offsetof({name}_state, passing));
{resets}
}}

void {name}_noise_at({name}_state *s, uint32_t n) {{
{noise_lines}
}}

size_t {name}_frames_due(const {name}_state *s, size_t ticks, size_t index) {{
    switch (index) {{
{counts("Input")}
    default:
        return 0;
    }}
}}

size_t {name}_frames_out(const {name}_state *s, size_t ticks, size_t index) {{
    switch (index) {{
{counts("Output")}
    default:
        return 0;
    }}
}}

void {name}_process({name}_state *s, size_t ticks, const {name}_inputs *in, const {name}_outputs *out) {{
    {name}_cursor at = {{0}};
    while (ticks > 0u) {{
        const uint32_t step = ticks < {name.upper()}_MAX_BLOCK ? (uint32_t)ticks : {name.upper()}_MAX_BLOCK;
        chunk(s, step, in, out, &at);
        ticks -= step;
    }}
}}
"""


def _frame_number(count: str, factor: int, shift: int) -> str:
    """Frame number of a firing: count·factor + shift, modulo 2^32."""
    text = count if factor == 1 else f"{count} * {factor}u"
    if shift:
        text = f"{text} {'+' if shift > 0 else '-'} {abs(shift)}u"
    return text
