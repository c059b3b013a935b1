"""An assignment, printed as C: the tables its engine reads and the verbs its port calls."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from firmware.compiler.slots.part import marked, number_at, unmarked
from firmware.instruments import kinds
from firmware.instruments.assignment import Assignment, Parameter
from firmware.instruments.c.held import PANEL, Held, KindTables, instance_text, static_text
from firmware.instruments.c.literals import floats, integers, number, text
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.c.slots import CONSTANT, NO_SLOTS, SLOT_CALLS, Slotted, slot_head, with_slots
from firmware.instruments.kinds.base import InstrumentKind
from firmware.instruments.latents import layer
from firmware.instruments.latents.macro import BANK, macro_text
from firmware.instruments.latents.morph import blend_call
from firmware.instruments.schema import InstrumentFile
from firmware.models.model_file import ModelFile

NO_TABLES = '"this instrument has no tables"'


def instrument_hash(assignment: Assignment) -> int:
    """Hash of what stored presets mean: the names of the parameters in their order."""
    return zlib.crc32("\n".join([assignment.kind, *(p.name for p in assignment.parameters)]).encode())


def board_hash(assignment: Assignment) -> int:
    """Hash of what a stored calibration means: the board and its inputs in their order."""
    return zlib.crc32("\n".join([assignment.board.name, *(a.name for a in assignment.board.adcs)]).encode())


def model_hash(models: Mapping[str, ModelFile]) -> str:
    """Hash of the model files an image was made of."""
    return f"{zlib.crc32(b''.join(model.path.read_bytes() for model in models.values())):08x}"


def instrument_source(
    assignment: Assignment,
    models: Mapping[str, CompiledModel],
    block: int,
    version: str,
    instances: str | None = None,
    target: str = "",
) -> tuple[str, Slotted | None]:
    """Return the whole ``instrument.c``, and what a slot may replace.

    Parameters
    ----------
    instances : str, optional
        Write it for several side by side (``engine/instance.h``); the region in which each lies, "" where the
        target knows none.
    target : str
        Of the compiler.
    """
    kind, board = kinds.named(assignment.kind), assignment.board
    tables = kind.tables(assignment, models)
    if assignment.loaded.spec.macro:
        tables = replace(tables, declared=[*tables.declared, BANK])
    calls = _Calls(assignment.loaded.spec, tables, instances is not None)
    nets = [model.part for model in models.values() if model.part is not None]
    has_slots = board.storage_bytes > 0 and instances is None and len(nets) == len(models)
    parts = [
        f"/* {assignment.loaded.spec.title}: {kind.name} for {board.title}. Made by `vaectrol build` from "
        f"{assignment.loaded.located.path.name}; do not edit. */",
        '#include "control/panel.h"',
        f'#include "instruments/{kind.name}.h"',
        *(f'#include "{model.header}"' for model in models.values()),
        *([] if instances is None else ['#include "instance.h"', '#include "kernels/vk.h"']),
        slot_head() if has_slots else CONSTANT,
        "",
        *(kind.role(role).source(model) for role, model in models.items()),
        _inputs(assignment),
        _output_ranges(assignment),
        _parameters(assignment.parameters),
        _gates(assignment, kind),
        _panel(assignment) + ("" if instances is not None else f"{PANEL}\n"),
        _outputs(assignment),
        static_text(kind.struct, tables)
        if instances is None
        else instance_text(kind.struct, tables, instances, [m for m in models.values() if m.copies]),
        _info(assignment, models, block, version),
    ]
    if instances is not None:
        return unmarked("\n".join([*parts, _instance_verbs(kind.name, calls)]) + "\n"), None
    if not has_slots:
        return unmarked("\n".join([*parts, NO_SLOTS, _verbs(kind.name, calls)]) + "\n"), None
    parts.append(_verbs(kind.name, calls, has_slots, blend_call(assignment)))
    blends = assignment.loaded.spec.morph
    return with_slots("\n".join(parts) + "\n", board, target, nets, _rising(assignment.parameters), blends)


# ---- panel -----------------------------------------------------------------------------------------------


def _inputs(assignment: Assignment) -> str:
    rows = []
    for adc in assignment.board.adcs:
        ends = (adc.high_volts, adc.low_volts) if adc.inverted else (adc.low_volts, adc.high_volts)
        travel = (adc.travel_low_volts, adc.travel_high_volts)
        rows.append(
            f"    {{{number(ends[0])}, {number(ends[1])}, {number(travel[0])}, {number(travel[1])}}}, "
            f"/* {adc.name} */"
        )
    return "static const InputSpec inputs[] = {\n" + ("\n".join(rows) or "    {0}") + "\n};\n"


def _output_ranges(assignment: Assignment) -> str:
    rows = [
        f"    {{{number(dac.low_volts)}, {number(dac.high_volts)}}}, /* {dac.name} */"
        for dac in assignment.board.dacs[: len(assignment.cv_out)]
    ]
    return "static const OutputRange output_ranges[] = {\n" + ("\n".join(rows) or "    {0}") + "\n};\n"


def _parameters(parameters: Sequence[Parameter]) -> str:
    tables: dict[tuple[float, ...], str] = {}
    lines = []
    for parameter in parameters:
        key = tuple(float(np.float32(value)) for value in parameter.table)
        if key not in tables:
            tables[key] = f"table_{len(tables)}"
            lines.append(f"static const float {tables[key]}[] = {floats(key)};")
    lines.append("MODEL_NUMBERS ParameterSpec parameters[] = {")
    for number_, p in enumerate(parameters):
        key = tuple(float(np.float32(value)) for value in p.table)
        rest = number_at("float", f"parameters[{number_}].rest", number(p.rest))
        lines.append(
            f"    {{.knob = {p.knob}, .cv = {p.cv}, .depth = {p.depth}, .law = {p.law}, "
            f".attenuverter = {number(p.attenuverter)}, .travel_per_volt = {number(p.travel_per_volt)}, "
            f".rest = {rest},\n     .smoothing = {number(p.smoothing)}, .band = {number(p.band)}, "
            f".table = {tables[key]}, .points = {len(key)}}}, /* {p.name} */"
        )
    return "\n".join([*lines, *([] if parameters else ["    {0}"]), "};\n"])


def _rising(parameters: Sequence[Parameter]) -> dict[str, str]:
    """What must hold for the numbers of parameters: tables that rise do so in every model."""
    checks: dict[str, str] = {}
    tables: dict[tuple[float, ...], str] = {}
    for number_, parameter in enumerate(parameters):
        key = tuple(float(np.float32(value)) for value in parameter.table)
        name = tables.setdefault(key, f"table_{len(tables)}")
        if all(a <= b for a, b in pairwise(key)):
            checks[name] = "rising"
        checks[f"parameters[{number_}].rest"] = "unit"
    return checks


def _gates(assignment: Assignment, kind: InstrumentKind) -> str:
    rows = [
        f"    {{.gates = 0x{row.gates:x}, .inverted = 0x{row.inverted:x}, .cv = {row.cv}, "
        f".audio = {row.audio}}}, /* {name} */"
        for name, row in zip(assignment.gate_names, assignment.gates, strict=True)
    ]
    return "static const GateSpec gates[] = {\n" + ("\n".join(rows) or "    {0}") + "\n};\n"


def _panel(assignment: Assignment) -> str:
    macro, pointer = macro_text(assignment)
    return f"""{macro}static const PanelSpec panel_spec = {{
    .board_hash = 0x{board_hash(assignment):08x}u,
    .instrument_hash = 0x{instrument_hash(assignment):08x}u,
    .inputs = {len(assignment.board.adcs)},
    .outputs = {len(assignment.cv_out)},
    .parameters = {len(assignment.parameters)},
    .gates = {len(assignment.gates)},
    .audio_volts = {number(assignment.board.audio.full_scale_volts_in)},
    .input = inputs,
    .output = output_ranges,
    .parameter = parameters,
    .gate = gates,
    .macro = {pointer},
}};
"""


def _outputs(assignment: Assignment) -> str:
    audios, cvs, gates = assignment.audio_out, assignment.cv_out, assignment.gate_out
    return f"""static const int8_t audio_out[] = {integers(audios)};
static const int8_t cv_out[] = {integers(cvs)};
static const int8_t gate_out[] = {integers(gates)};
#define OUTPUTS \\
    {{.audios = {len(audios)}, .cvs = {len(cvs)}, .gates = {len(gates)}, \\
     .audio = audio_out, .cv = cv_out, .gate = gate_out}}
"""


# ---- port.h ----------------------------------------------------------------------------------------------


def _info(assignment: Assignment, models: Mapping[str, CompiledModel], block: int, version: str) -> str:
    board = assignment.board
    rows = "\n".join(f"    {{{text(p.name)}, {p.knob}, {p.cv}}}," for p in assignment.parameters)
    latency = max((model.latency_ticks for model in models.values()), default=0)
    latency += kinds.named(assignment.kind).wait_ticks(assignment)
    return f"""static const PortParameter port_parameters[] = {{
{rows or "    {0}"}
}};
static const PortInfo info = {{
    .title = {text(assignment.loaded.spec.title)},
    .kind = {text(assignment.kind)},
    .board = {text(board.name)},
    .version = {text(version)},
    .model_hash = {marked(text(model_hash(assignment.models)))},
    .sample_rate_hz = {number(board.audio.sample_rate_hz)},
    .block = {block},
    .latency_ticks = {latency},
    .inputs = {len(board.adcs)},
    .gates_in = {len(board.gates_in) + len(board.buttons)},
    .gates_out = {len(board.gates_out)},
    .audio_in = {board.audio.inputs},
    .audio_out = {board.audio.outputs},
    .cv_outs = {len(board.dacs)},
    .parameters = {len(assignment.parameters)},
    .presets = PANEL_PRESETS,
    .parameter = port_parameters,
}};
"""


class _Calls:
    """C of the layer between panel and model in the verbs of a port.

    Parameters
    ----------
    spec : InstrumentFile
    tables : KindTables
        With all that the instrument remembers.
    is_instance : bool
        Whether that lies in an ``Instance``, `self`.
    """

    def __init__(self, spec: InstrumentFile, tables: KindTables, is_instance: bool) -> None:
        self._calls = layer.calls(spec)
        self._places = {
            one.name: one.place if is_instance else one.name
            for one in (PANEL, *tables.declared)
            if isinstance(one, Held)
        }

    def lines(self, verb: str) -> str:
        """Statements, a line each; "" where there are none."""
        return "".join(f"    {text.format(**self._places)}\n" for text in self._calls.get(verb, []))

    def value(self, verb: str, without: str) -> str:
        """An expression, or what stands there `without` a layer that has one."""
        return next((text.format(**self._places) for text in self._calls.get(verb, [])), without)

    def idle(self, panel: str) -> str:
        """Body of the verb that stores: the panel's settings, then what the layer stores."""
        stored = self._calls.get("idle")
        if not stored:
            return f"    return panel_idle({panel}, storage);"
        *before, last = (text.format(**self._places) for text in stored)
        lines = [f"    const char *why = panel_idle({panel}, storage);"]
        lines += [f"    why = why != NULL ? why : {text};" for text in before]
        return "\n".join([*lines, f"    return why != NULL ? why : {last};"])


def _verbs(kind: str, calls: _Calls, has_slots: bool = False, blend: str = "") -> str:
    before, after, start, done = SLOT_CALLS if has_slots else ("", "", "", "")
    return f"""const PortInfo *instrument_info(void)
{{
    return &info;
}}

void instrument_init(float sample_rate_hz)
{{
    (void)sample_rate_hz; /* the tables are made for the board's rate */
    panel_init(&panel, &panel_spec);
    {kind}_init(&instrument, &spec);
{calls.lines("init")}}}

void instrument_reset(void)
{{
    {kind}_reset(&instrument);
{calls.lines("reset")}}}

void instrument_render(const PortBlock *block)
{{
{before}    panel_begin(&panel, block);
{calls.lines("render")}    {kind}_render(&instrument, &panel, block);
    panel_end(&panel, block);
{after}}}

bool instrument_post(PortCommand command)
{{
    return panel_post(&panel, command);
}}

void instrument_report(PortReport *report)
{{
    panel_report(&panel, report);
}}

const char *instrument_calibrate(uint8_t input, uint8_t points, const float *codes, const float *volts)
{{
    return panel_calibrate(&panel, input, points, codes, volts);
}}

uint8_t instrument_calibration(uint8_t input, float *codes, float *volts)
{{
    return panel_calibration(&panel, input, codes, volts);
}}

static const char *store(const PortStorage *storage)
{{
{calls.idle("&panel")}
}}

const char *instrument_idle(const PortStorage *storage)
{{
{start}    const char *const why = store(storage);
{done}{blend}    return why;
}}

bool instrument_table(uint8_t which, PortTable *table)
{{
    (void)which, (void)table;
    return {calls.value("table", "false")};
}}

const char *instrument_table_write(
    uint8_t which, uint32_t hash, uint32_t at, const int16_t *frame, uint32_t frames)
{{
    (void)which, (void)hash, (void)at, (void)frame, (void)frames;
    return {calls.value("table_write", NO_TABLES)};
}}
"""


def _instance_verbs(kind: str, calls: _Calls) -> str:
    return f"""const PortInfo *instrument_info(void)
{{
    return &info;
}}

const InstanceNeeds *instance_needs(void)
{{
    return &needs;
}}

Instance *instance_init(void *const *memory, float sample_rate_hz)
{{
    (void)sample_rate_hz; /* the tables are made for the board's rate */
    Instance *const self = place(memory);
    panel_init(&self->panel, &panel_spec);
    {kind}_init(&self->instrument, &self->spec);
{calls.lines("init")}    return self;
}}

void instance_reset(Instance *self)
{{
    {kind}_reset(&self->instrument);
{calls.lines("reset")}}}

void instance_render(Instance *self, const PortBlock *block)
{{
    panel_begin(&self->panel, block);
{calls.lines("render")}    {kind}_render(&self->instrument, &self->panel, block);
    panel_end(&self->panel, block);
}}

bool instance_post(Instance *self, PortCommand command)
{{
    return panel_post(&self->panel, command);
}}

void instance_report(const Instance *self, PortReport *report)
{{
    panel_report(&self->panel, report);
}}

const char *instance_calibrate(
    Instance *self, uint8_t input, uint8_t points, const float *codes, const float *volts)
{{
    return panel_calibrate(&self->panel, input, points, codes, volts);
}}

uint8_t instance_calibration(const Instance *self, uint8_t input, float *codes, float *volts)
{{
    return panel_calibration(&self->panel, input, codes, volts);
}}

const char *instance_idle(Instance *self, const PortStorage *storage)
{{
{calls.idle("&self->panel")}
}}
"""
