"""The tables of a plug-in, printed as C: what the module shows of it, and how the port reads that."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from firmware.build import Built
from firmware.instruments.c.literals import floats, integers, number, text
from firmware.midi.player import MidiColumns, MidiPlayer
from firmware.ports.disting_nt.rows import Row, guid, pages_of, row_of, rows_of

NAME_LETTERS = 40


@dataclass
class _Lists:
    """Lists of small numbers, one behind the other; positions beside those that have one."""

    numbers: list[int] = field(default_factory=list)
    positions: list[float] = field(default_factory=list)

    def add(self, numbers: Sequence[int], positions: Sequence[float] | None = None) -> str:
        """Return the initialiser of a ``PluginList``."""
        first = len(self.numbers)
        self.numbers += numbers
        self.positions += positions if positions is not None else [0.0] * len(numbers)
        return f"{{{first}, {len(numbers)}}}"


def header(built: Built) -> str:
    """Return ``plugin_tables.h``: what the factory is made of."""
    spec = built.assignment.loaded.spec
    tag = "NT_TAG_EFFECT" if _hears(built) else "NT_TAG_INSTRUMENT"
    return f"""/* {spec.title} as a plug-in: made by `vaectrol build`; do not edit. */
#define PLUGIN_GUID {int.from_bytes(guid(built.name).encode(), "little"):#x}u /* {guid(built.name)} */
#define PLUGIN_NAME {text(spec.title[:NAME_LETTERS])}
#define PLUGIN_ABOUT {text(spec.about or spec.title)}
#define PLUGIN_TAGS {tag}
"""


def source(built: Built, counters: bool = False) -> str:
    """Return ``plugin_tables.c``: ``plugin_spec`` and what it points to.

    Raises
    ------
    Refusal
        More parameters or jacks than the module has; see `rows_of`.
    """
    assignment, board = built.assignment, built.board
    rows = rows_of(built, counters)
    lists = _Lists()
    keys, controllers = _midi(built, rows, lists)
    midi = assignment.loaded.spec.midi
    adc = next(one for one in board.adcs if one.kind == "cv")
    latency = 1e3 * float(built.report["latency_samples"]) / board.audio.sample_rate_hz
    parts = [
        f"/* {assignment.loaded.spec.title} as a plug-in: made by `vaectrol build`; do not edit. */",
        '#include "plugin.h"\n\n#include <stddef.h>\n',
        _tables(rows),
        _parameters(rows),
        _rows(rows),
        _pages(rows),
        f"static const PluginKey keys[] = {_body(keys)};",
        '_Static_assert(sizeof keys / sizeof *keys <= PLUGIN_KEYS, "too many entries in [midi]");',
        f"static const PluginController controllers[] = {_body(controllers)};",
        f"static const uint8_t lists[] = {integers(lists.numbers)};",
        f"static const float set_to[] = {floats(lists.positions or [0.0])};",
        f"""const PluginSpec plugin_spec = {{
    .title = {text(assignment.loaded.spec.title)},
    .file = {text(built.name)},
    .version = {text(built.version)},
    .model_hash = {text(built.model_hash)},
    .parameter = parameters,
    .row = rows,
    .pages = &pages,
    .key = keys,
    .controller = controllers,
    .lists = lists,
    .set_to = set_to,
    .latency_ms = {number(latency)},
    .volts_in = {number(board.audio.full_scale_volts_in)},
    .volts_out = {number(board.audio.full_scale_volts_out)},
    .cv_low = {number(adc.low_volts)},
    .cv_span = {number(adc.high_volts - adc.low_volts)},
    .rows = {len(rows)},
    .keys = {len(keys)},
    .controllers = {len(controllers)},
    .bend = {number(midi.bend if midi else 0.0)},
    .clock = {(midi.clock or 0) if midi else 0},
    .start_resets = {"true" if midi and midi.start else "false"},
    .hears = {"true" if _hears(built) else "false"},
    .gates = {len(assignment.gate_names)},
}};""",
    ]
    return "\n".join(parts) + "\n"


def _hears(built: Built) -> bool:
    return any(row.kind == "ROW_AUDIO_IN" for row in rows_of(built))


def _body(items: Iterable[str]) -> str:
    lines = [f"    {item}," for item in items]
    return "{\n" + ("\n".join(lines) or "    {0}") + "\n}"


def _tables(rows: list[Row]) -> str:
    lines = []
    for at, row in enumerate(rows):
        if row.shown is not None:
            lines.append(f"static const float table_{at}[] = {floats(row.shown.table)};")
        if row.names:
            lines.append(f"static const char *const names_{at}[] = {{{', '.join(map(text, row.names))}}};")
    return "\n".join(lines)


def _parameters(rows: list[Row]) -> str:
    items = []
    for at, row in enumerate(rows):
        items.append(
            f"{{.name = {text(row.name[:NAME_LETTERS])}, .min = 0, .max = {row.most}, .def = {row.default}, "
            f".unit = {row.unit}, .names = {f'names_{at}' if row.names else 'NULL'}}}"
        )
    return f"static const NtParameter parameters[] = {_body(items)};"


def _rows(rows: list[Row]) -> str:
    items = []
    for at, row in enumerate(rows):
        shown = row.shown
        table = f".law = {shown.law}, .points = {len(shown.table)}, .table = table_{at}, " if shown else ""
        items.append(
            f"{{.kind = {row.kind}, .index = {row.index}, .choices = {len(row.names)}, "
            f".parameter = {row.parameter}, .mark = {text(row.mark)}, {table}.rest = {number(row.rest)}}}"
        )
    return f"static const PluginRow rows[] = {_body(items)};"


def _pages(rows: list[Row]) -> str:
    pages = pages_of(rows)
    lines = [
        f"static const uint8_t page_{at}[] = {integers(numbers)};" for at, (_, numbers) in enumerate(pages)
    ]
    items = [
        f"{{.name = {text(name)}, .count = {len(numbers)}, .parameter = page_{at}}}"
        for at, (name, numbers) in enumerate(pages)
    ]
    return "\n".join(
        [
            *lines,
            f"static const NtPage page[] = {_body(items)};",
            f"static const NtPages pages = {{.count = {len(pages)}, .page = page}};",
        ]
    )


def _midi(built: Built, rows: list[Row], lists: _Lists) -> tuple[list[str], list[str]]:
    """Return the initialisers of all keys and controllers."""
    assignment = built.assignment
    if assignment.loaded.spec.midi is None:
        return [], []
    names = [one.name for one in assignment.parameters]
    columns: MidiColumns = MidiPlayer(assignment.loaded, names, assignment.choices).columns()
    gates = assignment.gate_names
    keys = []
    for key in columns["keys"]:
        low, high = key["pitchVolts"]
        sets = lists.add(
            [names.index(to) for to, _ in key["sets"]], [position for _, position in key["sets"]]
        )
        keys.append(
            f"{{.low = {key['low']}, .high = {key['high']}, .middle = {key['middle']}, "
            f".trigger = {key['strikes'].removeprefix('trigger/') or 0}, "
            f".gate = {gates.index(key['gate'].removeprefix('gate/')) if key['gate'] else -1}, "
            f".velocity = {lists.add([names.index(to) for to in key['velocity']])}, "
            f".pitch = {lists.add([names.index(to) for to in key['pitch']])}, .sets = {sets}, "
            f".pitch_low = {number(low)}, .pitch_span = {number(high - low)}, "
            f".lane = {key['lane']}, .lanes = {key['lanes']}}}"
        )
    controllers = []
    for one in columns["controllers"]:
        moved = list(dict.fromkeys(row_of(rows, assignment, names.index(to)) for to in one["columns"]))
        low, high = one["range"]
        controllers.append(
            f"{{.number = {one['cc']}, .rows = {lists.add(moved)}, .low = {number(low)}, "
            f".span = {number(high - low)}}}"
        )
    return keys, controllers
