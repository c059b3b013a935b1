"""The plain parts of the generated C: identifiers, tables, structs, the heads of the files."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from firmware.compiler.graph import Graph, Node, Tensor
from firmware.compiler.ops.conv import ConvAttributes
from firmware.compiler.ops.endpoints import EndpointAttributes
from firmware.compiler.slots.part import Part, marked
from firmware.compiler.write.copies import Copies
from firmware.compiler.write.writer import NUMBERS_HERE, PARAMETERS, Field, Table, Writer
from firmware.kernelgen import m7_joined, m7_recurrent, m7_short

C_WORDS = frozenset(
    [
        "auto",
        "break",
        "case",
        "char",
        "const",
        "continue",
        "default",
        "do",
        "double",
        "else",
        "enum",
        "extern",
        "float",
        "for",
        "goto",
        "if",
        "inline",
        "int",
        "long",
        "register",
        "restrict",
        "return",
        "short",
        "signed",
        "sizeof",
        "static",
        "struct",
        "switch",
        "typedef",
        "union",
        "unsigned",
        "void",
        "volatile",
        "while",
        "in",
        "out",
        "at",
        "s",
        "ticks",
        "index",
    ]
)
PER_LINE = 24
OCTAL = tuple(f"\\{b:03o}" for b in range(256))


def identifiers(names: Sequence[str]) -> dict[str, str]:
    """Turn names into distinct C identifiers in lower case."""
    made: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        base = re.sub(r"[^0-9a-z]+", "_", name.lower()).strip("_") or "t"
        base = f"t_{base}" if base[0].isdigit() or base in C_WORDS else base
        candidate, number = base, 1
        while candidate in taken:
            number += 1
            candidate = f"{base}_{number}"
        taken.add(candidate)
        made[name] = candidate
    return made


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the model, as C sees it.

    Attributes
    ----------
    name : str
        Its C name.
    label : str
        Its name in the file.
    node : Node
        The Input or Output.
    tensor : Tensor
        What it carries.
    period : int
        Ticks between two frames; 0 in an event graph.
    """

    name: str
    label: str
    node: Node
    tensor: Tensor
    period: int

    @property
    def is_input(self) -> bool:
        """Whether it is read."""
        return self.node.op == "Input"

    @property
    def frames(self) -> int:
        """Its length in an event graph."""
        assert self.tensor.length is not None
        return self.tensor.length


def tensor_specs(graph: Graph, period: Callable[[Node], int]) -> list[TensorSpec]:
    """Name the inputs and outputs of a graph that has them as nodes."""
    ends = [n for n in graph.nodes if n.op in ("Input", "Output")]
    labels = [n.attributes_as(EndpointAttributes).label for n in ends]
    names = identifiers(labels)
    return [
        TensorSpec(names[label], label, n, graph.tensors[(n.outputs or n.inputs)[0]], period(n))
        for label, n in zip(labels, ends, strict=True)
    ]


def describe(node: Node, graph: Graph) -> str:
    """One line about a node, for a comment."""
    tensor = graph.tensors[(node.outputs or node.inputs)[0]]
    extra = ""
    a = node.attrs
    if isinstance(a, ConvAttributes):
        rows, inputs, taps = node.constants["weight"].values.shape
        extra = f", {inputs * a.groups} to {rows // a.phases} channels, {taps} taps"
        steps = {"stride": a.stride, "dilation": a.dilation, "groups": a.groups}
        extra += "".join(f", {name} {value}" for name, value in steps.items() if value != 1)
        extra += f", {a.phases} frames out per frame in" if a.phases > 1 else ""
    elif isinstance(a, EndpointAttributes) and a.delay:
        extra = f", delayed by {a.delay} frames"
    where = f"{tensor.length} frames" if tensor.length is not None else f"rate {tensor.rate}"
    return f"{node.name}: {node.op}, {tensor.channels} channels, {where}{extra}"


def numbers(values: np.ndarray, ctype: str) -> str:
    """Lay an array out as the lines of an initializer."""
    flat = values.reshape(-1)
    if ctype == "float":
        words = list(map("{:.8e}f".format, flat.tolist()))  # nine digits read back to the same float32
        per_line = 8
    elif ctype == "vk_requant":
        words = [f"{{{b}, {m}, {k}}}" for b, m, k in values.reshape(-1, 3).tolist()]
        per_line = 4
    else:
        words = list(map(str, flat.tolist()))
        per_line = PER_LINE
    return ",\n    ".join(", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line))


def as_string(values: np.ndarray) -> str:
    """Write bytes as a string literal: clang reads it ten times faster than a list of numbers."""
    raw = values.astype(np.int8).tobytes()
    lines = ("".join(OCTAL[b] for b in raw[i : i + PER_LINE]) for i in range(0, len(raw), PER_LINE))
    return "\n    ".join(f'"{line}"' for line in lines)


def table_initializer(table: Table) -> str:
    """Elements of a table; long byte arrays as strings, whose last byte is the string's own 0."""
    if table.is_string:
        return as_string(table.values)
    return f"{{\n    {numbers(table.values, table.ctype)},\n}}"


def tables_text(
    writer: Writer, regions: Mapping[str, str], copies: Copies | None = None, part: Part | None = None
) -> str:
    """All constant arrays and structs.

    Parameters
    ----------
    regions : mapping of table to region
        Where a linker puts them.
    copies : Copies, optional
        What an instance has copies of.
    part : Part, optional
        What a slot may replace, so it is no constant.
    """
    copied = {t.name for tables in copies.tables.values() for t in tables} if copies else set()
    lines = [f"#define VAECTROL_PARAMETERS(name){placed(regions, PARAMETERS, 'name')}"]
    for table in writer.tables.values():
        if table.name in copied:
            continue
        place = placed(regions, table.name, table.name)
        gap = "\n    " if table.is_string else " "
        text, is_own = table_initializer(table), part is not None and not table.is_shape
        head = f"_Alignas(8) static {'' if is_own else 'const '}{table.ctype} {table.name}"
        lines.append(f"{head}[{table.count}]{place} ={gap}{marked(text) if is_own else text};")
    lines += [
        as_asm(name, "vk_short_code", m7_short.function(name, *shape))
        for name, shape in writer.shapes.items()
    ]
    lines += [
        as_asm(name, "vk_joined_code", m7_joined.function(name, shape)) for name, shape in writer.sums.items()
    ]
    lines += [
        as_asm(name, "vk_recurrent_code", m7_recurrent.function(name, shape))
        for name, shape in writer.recurrences.items()
    ]
    if copies:
        images = copies.images({name: table_initializer(writer.tables[name]) for name in copied})
        return "\n".join([*lines, images, copies.macros(), copies.function()]) + "\n"
    for s in writer.structs.values():
        is_own = part is not None and bool(s.numbers)
        numbers = ", ".join(map(str, s.numbers))
        text = s.initializer.replace(NUMBERS_HERE, marked(numbers)) if is_own else s.text
        head = f"static {'' if is_own else 'const '}{s.ctype} {s.name}"
        lines.append(f"{head} VAECTROL_PARAMETERS({s.name}) = {text};")
    lines += [part.declaration()] if part is not None else []
    return "\n".join(lines) + "\n"


def as_asm(name: str, ctype: str, text: str) -> str:
    """A function in assembly as a part of the C source."""
    lines = (m7_short.HEADER + text + "    .text\n").splitlines()
    quoted = "\n".join('    "{}\\n"'.format(line.replace('"', '\\"')) for line in lines)
    return f"extern {ctype} {name};\n__asm__(\n{quoted});"


def placed(regions: Mapping[str, str], demand: str, name: str) -> str:
    """Attribute that puts a constant where the memory plan wants it."""
    return f" VAECTROL_PLACE({regions[demand]}, {name})" if demand in regions else ""


def fields_text(fields: Sequence[Field]) -> str:
    """Members of a struct."""
    lines: list[str] = []
    for f in fields:
        count = f"[{f.count}]" if f.count else ""
        align = "_Alignas(8) " if f.is_aligned else ""
        lines.append(f"    {align}{f.ctype} {f.name}{count};")
    return "\n".join(lines)


def buffers_struct(name: str, kind: str, specs: Sequence[TensorSpec], ctype: str) -> str:
    """The struct that hands over the caller's buffers."""
    lines = [
        f"/* Planar: channel c of a tensor begins at pointer + c*stride. */\ntypedef struct {name}_{kind} {{"
    ]
    for spec in specs:
        tensor = spec.tensor
        where = (
            f"{tensor.length} frames" if tensor.length is not None else f"one frame every {spec.period} ticks"
        )
        lines.append(f"    {ctype} *{spec.name}; /* {tensor.channels} channels, {where} */")
        lines.append(f"    size_t {spec.name}_stride;")
    lines.append(f"}} {name}_{kind};")
    return "\n".join(lines)


def header(
    name: str, facts: Sequence[str], body: str, copies: Copies | None = None, part: Part | None = None
) -> str:
    """The header file."""
    guard = f"VAECTROL_MODEL_{name.upper()}_H"
    about = "".join(f" * {line}\n" for line in facts)
    kernels = '#include "kernels/vk.h"\n' if copies else ""
    slots = '#include "slots/part.h"\n' if part else ""
    return f"""/* {name}: generated by `vaectrol compile`; do not edit.
 *
{about} */
#ifndef {guard}
#define {guard}

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dsp/vk_dsp.h"
{kernels}{slots}#include "stream.h"

#ifdef __cplusplus
extern "C" {{
#define _Alignas(n) alignas(n)
#endif
{body}
#ifdef __cplusplus
#undef _Alignas
}}
#endif
#endif
"""


def types_text(copies: Copies | None) -> str:
    """What a header says of copied tables before the state."""
    return f"{copies.types()}\n" if copies else ""


def copy_text(copies: Copies | None, part: Part | None = None) -> str:
    """What a header says of tables behind the state: those that are copied, or that a slot may replace."""
    if part is not None:
        return f"\nextern const ModelPart {part.name}; /* what a slot may replace */\n"
    if copies is None:
        return ""
    return f"""
/* Before all else: copy each region's tables to memory for them; NULL: they are read where they lie. */
{copies.declaration()};
"""


def source_head(name: str) -> str:
    """The first lines of the source file."""
    return f"""/* {name}: generated by `vaectrol compile`; do not edit. */
#include "{name}.h"

#include "kernels/vk.h"

/* A profiling build may define this to count cycles per layer; the numbers are those of report.json. */
#ifndef VAECTROL_MARK
#define VAECTROL_MARK(layer) ((void)0)
#endif
/* Where the memory plan puts a table; a linker script that knows the regions collects these sections. */
#if defined(__arm__) && !defined(VAECTROL_PLACE)
#define VAECTROL_PLACE(region, name) __attribute__((section("." #region ".rodata." #name)))
#elif !defined(VAECTROL_PLACE)
#define VAECTROL_PLACE(region, name)
#endif
"""


def channel_macros(name: str, specs: Sequence[TensorSpec]) -> str:
    """Sizes of the inputs and outputs as constants."""
    lines = ""
    for spec in specs:
        tensor = spec.tensor
        lines += f"#define {name.upper()}_{spec.name.upper()}_CHANNELS {tensor.channels}u\n"
        if tensor.length is None:
            lines += f"#define {name.upper()}_{spec.name.upper()}_PERIOD {spec.period}u /* ticks a frame */\n"
        else:
            lines += f"#define {name.upper()}_{spec.name.upper()}_FRAMES {tensor.length}u\n"
    return lines
