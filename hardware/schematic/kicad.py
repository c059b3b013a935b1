"""A circuit as KiCad files: the schematic (version 6's format) and the netlist that a layout reads.

Both are S-expressions as KiCad's documentation of its file formats has them. Every pin bears the name of its
net as a label; what is not connected bears a cross. The same circuit gives the same bytes.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from common.version import version
from hardware.schematic.circuit import Circuit, Placed
from hardware.schematic.layout import PIN_MM, Sheet, half_box, pin_places, sheet_of
from hardware.schematic.symbols import Symbol

FORMAT = 20211123
"""Of KiCad 6.0."""
ROOT = uuid.UUID("6f1d7d5e-2f0a-5a30-9f0e-3a5f1c0d7e61")
TEXT = "(effects (font (size 1.27 1.27)){})"
LIBRARY = "vaectrol"


def quoted(text: str) -> str:
    """Write a text as KiCad reads it."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", " ") + '"'


def _uuid(*words: object) -> str:
    return str(uuid.uuid5(ROOT, "/".join(map(str, words))))


def schematic(circuit: Circuit) -> str:
    """Write ``NAME.kicad_sch``."""
    sheet = sheet_of(circuit)
    symbols = {part.symbol.name: part for part in circuit.parts.values()}
    lines = [
        f"(kicad_sch (version {FORMAT}) (generator vaectrol)",
        f"  (uuid {_uuid(circuit.name)})",
        f"  (paper {quoted(sheet.paper)})",
        f"  (title_block (title {quoted(f'Vaectrol carrier for {circuit.board.title}')}) "
        f"(rev {quoted(version())}) (comment 1 {quoted('Made from boards, panels and bom by vaectrol')}))",
        "  (lib_symbols",
        *(line for part in symbols.values() for line in _library_symbol(part)),
        "  )",
        *_texts(circuit, sheet),
        *_ends(circuit, sheet),
        *_instances(circuit, sheet),
        '  (sheet_instances (path "/" (page "1")))',
        "  (symbol_instances",
        *(
            f"    (path {quoted('/' + _uuid(circuit.name, spot.part.reference))} "
            f"(reference {quoted(spot.part.reference)}) (unit 1) "
            f'(value {quoted(circuit.value(spot.part.reference))}) (footprint ""))'
            for spot in sheet.spots
        ),
        "  )",
        ")",
    ]
    return "\n".join([*lines, ""])


def _library_symbol(part: Placed) -> Iterable[str]:
    symbol, (half_width, half_height) = part.symbol, half_box(part)
    yield (
        f"    (symbol {quoted(f'{LIBRARY}:{symbol.name}')} (pin_names (offset 0.508)) (in_bom yes) "
        "(on_board yes)"
    )
    for field, (key, value) in enumerate(
        (("Reference", symbol.letter), ("Value", symbol.name), ("Footprint", ""), ("Datasheet", ""))
    ):
        hidden = " hide" if field > 1 else ""
        y = half_height + 1.27 if field == 0 else -half_height - 1.27
        yield (
            f"      (property {quoted(key)} {quoted(value)} (id {field}) (at 0 {y:g} 0) "
            f"{TEXT.format(hidden)})"
        )
    yield f"      (symbol {quoted(f'{symbol.name}_0_1')}"
    yield (
        f"        (rectangle (start {-half_width:g} {half_height:g}) (end {half_width:g} {-half_height:g}) "
        "(stroke (width 0.254) (type default) (color 0 0 0 0)) (fill (type background)))"
    )
    yield "      )"
    yield f"      (symbol {quoted(f'{symbol.name}_1_1')}"
    for number, (x, y, left) in pin_places(part).items():
        pin = symbol.pin(number)
        yield (
            f"        (pin {pin.kind} line (at {x:g} {y:g} {0 if left else 180}) (length {PIN_MM:g}) "
            f"(name {quoted(pin.name)} {TEXT.format('')}) (number {quoted(number)} {TEXT.format('')}))"
        )
    yield "      )"
    yield "    )"


def _texts(circuit: Circuit, sheet: Sheet) -> Iterable[str]:
    for title, x, y in sheet.titles:
        yield (
            f"  (text {quoted(title)} (at {x:g} {y:g} 0) (effects (font (size 2.54 2.54)) "
            f"(justify left bottom)) (uuid {_uuid(circuit.name, 'text', title)}))"
        )


def _ends(circuit: Circuit, sheet: Sheet) -> Iterable[str]:
    """Labels and crosses at the ends of pins."""
    for spot in sheet.spots:
        for number, net, x, y, left in spot.ends():
            mark = _uuid(circuit.name, spot.part.reference, number)
            if not net:
                yield f"  (no_connect (at {x:g} {y:g}) (uuid {mark}))"
                continue
            side = " (justify right)" if left else " (justify left)"
            yield (
                f"  (global_label {quoted(net)} (shape passive) (at {x:g} {y:g} {180 if left else 0}) "
                f"{TEXT.format(side)} (uuid {mark}))"
            )


def _instances(circuit: Circuit, sheet: Sheet) -> Iterable[str]:
    for spot in sheet.spots:
        part = spot.part
        yield (
            f"  (symbol (lib_id {quoted(f'{LIBRARY}:{part.symbol.name}')}) (at {spot.x_mm:g} "
            f"{spot.y_mm:g} 0) (unit 1) (in_bom yes) (on_board yes) "
            f"(uuid {_uuid(circuit.name, part.reference)})"
        )
        fields = (
            ("Reference", part.reference, spot.y_mm - spot.half_height_mm - 1.27, ""),
            ("Value", circuit.value(part.reference), spot.y_mm + spot.half_height_mm + 1.27, ""),
            ("Footprint", "", spot.y_mm, " hide"),
            ("Datasheet", "", spot.y_mm, " hide"),
            ("Part", part.line.part, spot.y_mm, " hide"),
            ("Package", part.line.package, spot.y_mm, " hide"),
        )
        for number, (key, value, y, hidden) in enumerate(fields):
            yield (
                f"    (property {quoted(key)} {quoted(value)} (id {number}) (at {spot.x_mm:g} {y:g} 0) "
                f"{TEXT.format(hidden)})"
            )
        for pin in part.symbol.pins:
            mark = _uuid(circuit.name, part.reference, "pin", pin.number)
            yield f"    (pin {quoted(pin.number)} (uuid {mark}))"
        yield "  )"


def netlist(circuit: Circuit) -> str:
    """Write ``NAME.net``: parts, and the pins on each net."""
    lines = [
        '(export (version "E")',
        f"  (design (source {quoted(circuit.name)}) (tool {quoted(f'vaectrol {version()}')}))",
        "  (components",
    ]
    for reference, part in circuit.parts.items():
        lines.append(
            f"    (comp (ref {quoted(reference)}) (value {quoted(circuit.value(reference))}) "
            f'(fields (field (name "Part") {quoted(part.line.part)}) '
            f'(field (name "Package") {quoted(part.line.package)})) '
            f'(libsource (lib {quoted(LIBRARY)}) (part {quoted(part.symbol.name)}) (description "")))'
        )
    lines += ["  )", "  (nets"]
    for code, (net, pins) in enumerate(sorted(circuit.nets().items()), 1):
        lines.append(f"    (net (code {quoted(str(code))}) (name {quoted(net)})")
        lines += [_node(circuit.parts[reference].symbol, reference, number) for reference, number in pins]
        lines.append("    )")
    return "\n".join([*lines, "  )", ")", ""])


def _node(symbol: Symbol, reference: str, number: str) -> str:
    pin = symbol.pin(number)
    return (
        f"      (node (ref {quoted(reference)}) (pin {quoted(number)}) (pinfunction {quoted(pin.name)}) "
        f"(pintype {quoted(pin.kind)}))"
    )
