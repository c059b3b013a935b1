"""Event models: fixed lengths, evaluated once per event, in steps small enough to hide in the callbacks.

Every layer runs once, cut into items of a few channels × frames. Buffers share one arena by liveness; a
buffer that is read beyond its ends has zero margins, cleared when it is written.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from firmware.compiler.graph import Graph, Node
from firmware.compiler.ops import FAMILIES
from firmware.compiler.plan.memory import liveness_arena
from firmware.compiler.plan.schedule import SLICE_CHANNELS, Priced, packed_rows
from firmware.compiler.slots.part import Part
from firmware.compiler.write.copies import Copies
from firmware.compiler.write.text import (
    buffers_struct,
    channel_macros,
    copy_text,
    describe,
    fields_text,
    header,
    source_head,
    tables_text,
    tensor_specs,
    types_text,
)
from firmware.compiler.write.writer import C_TYPE, Field, Writer

READABLE_BYTES = 16
ITEM_SHARE = 0.01
"""An item aims at this part of a callback."""
ITEM_CYCLES = 5_000.0
"""The same without a board."""
MIN_FRAMES = 4


@dataclass(frozen=True)
class Buffer:
    """Where a tensor lies: frames of zeros before it, its frames, frames after it (written or zero)."""

    before: int
    length: int
    after: int


@dataclass(frozen=True)
class EventItem:
    """A piece of one layer."""

    node: Node
    rows: tuple[int, int] | None
    firings: tuple[int, int]
    cycles: float


def firings_of(node: Node, graph: Graph) -> int:
    """How often a node fires in one event."""
    if node.op == "Output":
        return graph.tensors[node.inputs[0]].length or 1
    length = graph.tensors[node.outputs[0]].length
    assert length is not None
    return -(-length // FAMILIES[node.op].produce(node))


def buffers(graph: Graph) -> dict[str, Buffer]:
    """Size every tensor's margins by what its writer writes and its readers read."""
    sizes = {}
    consumers = graph.consumers()
    for name, writer in graph.producer().items():
        length = graph.tensors[name].length
        assert length is not None
        before, end = 0, firings_of(writer, graph) * FAMILIES[writer.op].produce(writer)
        for reader in consumers[name]:
            firings = firings_of(reader, graph)
            for read, window in zip(reader.inputs, FAMILIES[reader.op].windows(reader), strict=True):
                if read == name and not (length == 1 and firings > 1 and reader.op in ("Add", "Sub", "Mul")):
                    before = max(before, window.before)
                    end = max(end, (firings - 1) * window.stride + window.after + 1)
        sizes[name] = Buffer(before, length, max(0, end - length))
    return sizes


def cut_event(graph: Graph, cycles: Priced, target: float) -> list[EventItem]:
    """Cut convolutions into frames, then channels; everything else runs whole."""
    items = []
    for node in graph.nodes:
        if node.op in ("Input", "Output"):
            continue
        firings = firings_of(node, graph)
        total = cycles(node, firings, 1.0)
        pieces = max(1, round(total / target))
        if node.op != "Conv" or pieces == 1 or FAMILIES[node.op].work(node, graph).rows == 1:
            items.append(EventItem(node, None, (0, firings), total))
            continue
        step = max(MIN_FRAMES, -(-firings // pieces))
        parts = -(-firings // step)
        rows = packed_rows(node, graph)
        per_part = max(1, round(pieces / parts))
        size = max(SLICE_CHANNELS, -(-rows // per_part // SLICE_CHANNELS) * SLICE_CHANNELS)
        for begin in range(0, firings, step):
            count = min(step, firings - begin)
            for first in range(0, rows, size):
                width = min(size, rows - first)
                items.append(
                    EventItem(node, (first, width), (begin, count), cycles(node, count, width / rows))
                )
    return items


class EventEmitter:
    """Writes the steps of one event model."""

    def __init__(self, graph: Graph, items: list[EventItem], name: str, packing: str):
        self.graph, self.items, self.name = graph, items, name
        self.writer = Writer(name, graph, packing, FAMILIES)
        self.sizes = buffers(graph)
        self.layers = {node.name: i for i, node in enumerate(graph.nodes)}
        self.offsets, self.arena = self._arena()
        self.specs = tensor_specs(graph, lambda node: 0)
        self.begin = self._copies("Input")
        self.steps = self._steps()
        self.result = self._copies("Output")

    def _arena(self) -> tuple[dict[str, int], int]:
        """Share memory by liveness; results stay until the next event."""
        position = {node.name: i for i, node in enumerate(self.graph.nodes)}
        producer, consumers = self.graph.producer(), self.graph.consumers()
        intervals = []
        for name, buffer in self.sizes.items():
            writer = producer[name]
            first = -1 if writer.op == "Input" else position[writer.name]
            last = max([position[writer.name]] + [position[r.name] for r in consumers[name]])
            if any(r.op == "Output" for r in consumers[name]):
                last = len(position)
            frames = buffer.before + buffer.length + buffer.after
            intervals.append(
                (name, first, last, frames * self.graph.tensors[name].frame_bytes + READABLE_BYTES)
            )
        return liveness_arena(intervals)

    def _pointer(self, name: str, frame: int) -> str:
        """Place of a frame, counted from the tensor's first."""
        tensor = self.graph.tensors[name]
        at = self.offsets[name] + (self.sizes[name].before + frame) * tensor.frame_bytes
        return f"({C_TYPE[tensor.dtype]} *)(void *)(s->passing + {at})"

    def _clear(self, name: str) -> list[str]:
        """Zero a tensor's margins."""
        buffer, tensor = self.sizes[name], self.graph.tensors[name]
        lines = []
        for frames, at in ((buffer.before, -buffer.before), (buffer.after, buffer.length)):
            if frames:
                lines.append(f"vk_zero({self._pointer(name, at)}, {frames * tensor.frame_bytes});")
        return lines

    def _block(
        self, item: EventItem, indent: str, buffer: tuple[str, str] = ("", ""), whole: bool = True
    ) -> list[str]:
        """One item: pointers, calls, margins once the whole tensor is written."""
        node, (begin, count) = item.node, item.firings
        family = FAMILIES[node.op]
        lines: list[str] = []
        sources: list[str] = []
        for index, (name, window) in enumerate(zip(node.inputs, family.windows(node), strict=True)):
            if name in node.inputs[:index]:
                sources.append(sources[node.inputs.index(name)])
                continue
            held = self.graph.tensors[name].length == 1 and node.op in ("Add", "Sub", "Mul")
            frame = 0 if held else begin * window.stride - window.before
            lines.append(
                f"{C_TYPE[self.graph.tensors[name].dtype]} *const x{index} = {self._pointer(name, frame)};"
            )
            sources.append(f"x{index}")
        if node.op == "Stored":
            lines, sources = [], ["0"]
        if node.outputs:
            frame = begin * family.produce(node)
            lines.append(
                f"{C_TYPE[self.graph.tensors[node.outputs[0]].dtype]} *const y = "
                f"{self._pointer(node.outputs[0], frame)};"
            )
        calls = self.writer.write(
            node,
            sources,
            "y",
            str(count),
            rows=None if item.rows is None else (str(item.rows[0]), str(item.rows[1])),
            single=count == 1,
            buffer=buffer,
        )
        lines += [c.removeprefix("    ") for c in calls]
        if node.outputs and whole:
            lines += self._clear(node.outputs[0])
        return [f"{indent}{line}" for line in lines]

    def _steps(self) -> str:
        """Switch over the items."""
        name = self.name
        lines = [
            "/* One step: some channels and frames of one layer. */",
            f"static void step({name}_state *s, uint32_t index) {{",
            "    switch (index) {",
        ]
        for number, item in enumerate(self.items):
            last = number + 1 == len(self.items) or self.items[number + 1].node is not item.node
            lines.append(f"    case {number}: {{ /* {describe(item.node, self.graph)} */")
            lines.append(f"        VAECTROL_MARK({self.layers[item.node.name]});")
            lines += self._block(item, "        ", whole=last)
            lines += ["        break;", "    }"]
        lines += ["    default:", "        break;", "    }", "}"]
        costs = ", ".join(str(cycles) for cycles in self.step_cycles)
        lines.append(
            "/* Predicted cycles of each step. */\n"
            f"static const uint32_t step_cycles[{len(self.items)}] VAECTROL_PARAMETERS(step_cycles) = "
            f"{{{costs}}};"
        )
        return "\n".join(lines) + "\n"

    @property
    def step_cycles(self) -> list[int]:
        """Predicted cycles of each step."""
        return [max(1, round(item.cycles)) for item in self.items]

    @property
    def total(self) -> int:
        """Of all steps."""
        return sum(self.step_cycles)

    def _copies(self, op: str) -> str:
        """Copy all inputs in, or all outputs out."""
        lines = []
        for spec in self.specs:
            if spec.node.op != op:
                continue
            where = "in" if op == "Input" else "out"
            item = EventItem(spec.node, None, (0, firings_of(spec.node, self.graph)), 0.0)
            # a result that nobody asks for is not converted
            lines.append("    {" if op == "Input" else f"    if (out->{spec.name} != NULL) {{")
            lines += self._block(item, "        ", (f"{where}->{spec.name}", f"{where}->{spec.name}_stride"))
            lines.append("    }")
        return "\n".join(lines)

    def fields(self) -> list[Field]:
        """Members of the state struct."""
        return [
            Field("next", "uint32_t", 0),
            Field("spent", "uint32_t", 0),
            *self.writer.fields.values(),
            Field("passing", "uint8_t", max(8, self.arena)),
        ]

    def parameter_bytes(self) -> int:
        """Constant structs of the kernels, and the cycles of the steps."""
        return sum(s.bytes for s in self.writer.structs.values()) + 4 * len(self.items)

    def header_text(self, facts: list[str], copies: Copies | None, part: Part | None) -> str:
        """The model's interface."""
        name = self.name
        ins = [s for s in self.specs if s.is_input]
        outs = [s for s in self.specs if not s.is_input]
        state = fields_text(self.fields()) + (f"\n{copies.members()}" if copies else "")
        body = f"""
#define {name.upper()}_STEPS {len(self.items)}u
{channel_macros(name, self.specs)}
{buffers_struct(name, "inputs", ins, "const float")}
{buffers_struct(name, "outputs", outs, "float")}
{types_text(copies)}typedef struct {name}_state {{
{state}
}} {name}_state;
{copy_text(copies, part)}
size_t {name}_state_bytes(void); /* sizeof, for callers in other languages */
void {name}_reset({name}_state *s);
/* Take the inputs of a new event; one that was under way is dropped. */
void {name}_event_begin({name}_state *s, const {name}_inputs *in);
/* Work for about `cycles` predicted cycles, at least one step; true when the result is ready. */
bool {name}_event_step({name}_state *s, uint32_t cycles);
/* Work until `part` of `whole` of all predicted cycles are spent; the result is ready when both are equal. */
void {name}_event_reach({name}_state *s, uint32_t part, uint32_t whole);
/* Read the result, which stays until the next event begins; outputs that are NULL are left out. */
void {name}_event_result(const {name}_state *s, const {name}_outputs *out);
"""
        return header(name, facts, body, copies, part)

    def source_text(self, regions: Mapping[str, str], copies: Copies | None, part: Part | None) -> str:
        """The source."""
        name = self.name
        cleared = f"offsetof({name}_state, {copies.first_member})" if copies else "sizeof *s"
        fields = {f.name for f in self.fields()} - {"next", "spent", "passing"}
        clears = "\n".join(f"    vk_zero(s->{f}, sizeof s->{f});" for f in sorted(fields))
        return f"""{source_head(name)}
{tables_text(self.writer, regions, copies, part)}
{self.steps}
size_t {name}_state_bytes(void) {{
    return sizeof({name}_state);
}}

void {name}_reset({name}_state *s) {{
    vk_zero(s, {cleared});
    s->next = {name.upper()}_STEPS;
}}

void {name}_event_begin({name}_state *s, const {name}_inputs *in) {{
{clears}
{self.begin}
    s->next = 0u;
    s->spent = 0u;
}}

void {name}_event_reach({name}_state *s, uint32_t part, uint32_t whole) {{
    const uint32_t due = {self.total}u / whole * part + {self.total}u % whole * part / whole;
    while (s->next < {name.upper()}_STEPS && s->spent < due) {{
        s->spent += step_cycles[s->next];
        step(s, s->next++);
    }}
}}

bool {name}_event_step({name}_state *s, uint32_t cycles) {{
    uint32_t spent = 0u;
    while (s->next < {name.upper()}_STEPS && (spent == 0u || spent + step_cycles[s->next] <= cycles)) {{
        spent += step_cycles[s->next];
        step(s, s->next++);
    }}
    return s->next >= {name.upper()}_STEPS;
}}

void {name}_event_result(const {name}_state *state, const {name}_outputs *out) {{
    {name}_state *const s = ({name}_state *)(uintptr_t)state;
{self.result}
}}
"""
