"""An instrument's layout, printed as C: the tables its engine reads and the verbs its port calls."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence

import numpy as np

from common.drums import PARTS
from firmware.instruments.c_text import floats, integers, number, text
from firmware.instruments.layout import Layout, Parameter, ToneLayout
from firmware.instruments.model_calls import ModelGlue
from firmware.instruments.spec import GATES


def layout_hash(layout: Layout) -> int:
    """Hash of what stored presets mean: the names of the parameters in their order."""
    return zlib.crc32("\n".join([layout.kind, *(p.name for p in layout.parameters)]).encode())


def board_hash(layout: Layout) -> int:
    """Hash of what a stored calibration means: the board and its inputs in their order."""
    return zlib.crc32("\n".join([layout.board.name, *(a.name for a in layout.board.adcs)]).encode())


def instrument_source(layout: Layout, glue: dict[str, ModelGlue], block: int, version: str) -> str:
    """Return the whole ``instrument.c``."""
    kind, board = layout.kind, layout.board
    parts = [
        f"/* {layout.loaded.spec.title}: {kind} for {board.title}. Made by `vaectrol build` from "
        f"{layout.loaded.located.path.name}; do not edit. */",
        '#include "control/panel.h"',
        f'#include "instruments/{kind}.h"',
        *(f'#include "{model.header}"' for model in glue.values()),
        "",
        *(model.source() for model in glue.values()),
        _inputs(layout),
        _parameters(layout.parameters),
        _gates(layout),
        _panel(layout),
        _outputs(layout),
        {"drum": _drum, "rhythm": _rhythm, "drive": _drive, "groove": _groove}[kind](layout, glue),
        _info(layout, glue, block, version),
        _verbs(kind),
    ]
    return "\n".join(parts) + "\n"


# ---- panel -----------------------------------------------------------------------------------------------


def _inputs(layout: Layout) -> str:
    rows = []
    for adc in layout.board.adcs:
        ends = (adc.high_volts, adc.low_volts) if adc.inverted else (adc.low_volts, adc.high_volts)
        travel = (adc.travel_low_volts, adc.travel_high_volts)
        rows.append(
            f"    {{{number(ends[0])}, {number(ends[1])}, {number(travel[0])}, {number(travel[1])}}}, "
            f"/* {adc.name} */"
        )
    return "static const InputSpec inputs[] = {\n" + ("\n".join(rows) or "    {0}") + "\n};\n"


def _parameters(parameters: Sequence[Parameter]) -> str:
    tables: dict[tuple[float, ...], str] = {}
    lines = []
    for parameter in parameters:
        key = tuple(float(np.float32(value)) for value in parameter.table)
        if key not in tables:
            tables[key] = f"table_{len(tables)}"
            lines.append(f"static const float {tables[key]}[] = {floats(key)};")
    lines.append("static const ParameterSpec parameters[] = {")
    for p in parameters:
        key = tuple(float(np.float32(value)) for value in p.table)
        lines.append(
            f"    {{.knob = {p.knob}, .cv = {p.cv}, .depth = {p.depth}, .law = {p.law}, "
            f".attenuverter = {number(p.attenuverter)}, .travel_per_volt = {number(p.travel_per_volt)}, "
            f".rest = {number(p.rest)},\n     .smoothing = {number(p.smoothing)}, .band = {number(p.band)}, "
            f".table = {tables[key]}, .points = {len(key)}}}, /* {p.name} */"
        )
    return "\n".join([*lines, "};\n"])


def _gates(layout: Layout) -> str:
    rows = [
        f"    {{.gates = 0x{row.gates:x}, .inverted = 0x{row.inverted:x}, .cv = {row.cv}, "
        f".audio = {row.audio}}}, /* {name} */"
        for name, row in zip(GATES[layout.kind], layout.gates, strict=True)
    ]
    return "static const GateSpec gates[] = {\n" + "\n".join(rows) + "\n};\n"


def _panel(layout: Layout) -> str:
    return f"""static const PanelSpec panel_spec = {{
    .board_hash = 0x{board_hash(layout):08x}u,
    .instrument_hash = 0x{layout_hash(layout):08x}u,
    .inputs = {len(layout.board.adcs)},
    .parameters = {len(layout.parameters)},
    .gates = {len(layout.gates)},
    .audio_volts = {number(layout.board.audio.full_scale_volts_in)},
    .input = inputs,
    .parameter = parameters,
    .gate = gates,
}};
static Panel panel;
"""


def _outputs(layout: Layout) -> str:
    return f"""static const int8_t audio_out[] = {integers(layout.audio_out)};
static const int8_t cv_out[] = {integers(layout.cv_out)};
static const int8_t gate_out[] = {integers(layout.gate_out)};
#define OUTPUTS \\
    {{.audios = {len(layout.audio_out)}, .cvs = {len(layout.cv_out)}, .gates = {len(layout.gate_out)}, \\
     .audio = audio_out, .cv = cv_out, .gate = gate_out}}
"""


def _tone(layout: Layout, tone: ToneLayout, name: str, model: str) -> tuple[str, str]:
    """Return the declarations a tone needs and the initialiser that uses them."""
    declared = [
        f"static const int8_t {name}_latent[] = {integers(tone.latent)};",
        f"static const float {name}_latent_rest[] = {floats(tone.latent_rest or [0.0])};",
        f"static const int8_t {name}_knob[] = {integers(tone.knob)};",
        f"static const float {name}_knob_rest[] = {floats(tone.knob_rest or [0.0])};",
    ]
    plane = "NULL"
    if tone.plane is not None:
        about = layout.models[model].plane or {}
        grid = np.asarray(about["grid"], np.float64).ravel()
        size = math.isqrt(grid.size // len(tone.latent))
        declared.append(f"static const float {name}_grid[] = {floats(grid)};")
        declared.append(
            f"static const TonePlane {name}_plane = {{.x = {tone.plane[0]}, .y = {tone.plane[1]}, "
            f".size = {size}, .grid = {name}_grid}};"
        )
        plane = f"&{name}_plane"
    initial = (
        f"{{.latents = {len(tone.latent)}, .knobs = {len(tone.knob)}, .latent = {name}_latent, "
        f".latent_rest = {name}_latent_rest, .plane = {plane},\n             .knob = {name}_knob, "
        f".knob_rest = {name}_knob_rest, .class_parameter = {tone.class_parameter}, "
        f".classes = {tone.classes}, .first_class = {tone.first_class}}}"
    )
    return "\n".join(declared), initial


# ---- one per kind ----------------------------------------------------------------------------------------


def _drum(layout: Layout, glue: dict[str, ModelGlue]) -> str:
    options = layout.loaded.spec.options
    declared, tone = _tone(layout, layout.tones["drum"], "drum", "drum")
    states = glue["drum"].states(layout.voices)
    return f"""{declared}
{states.declaration}
static void *const drum_states[] = {{{", ".join(states.addresses)}}};
static const DrumSpec spec = {{
    .model = &{glue["drum"].table},
    .state = drum_states,
    .voices = {layout.voices},
    .cut = {"true" if options.retrigger == "cut" else "false"},
    .tone = {tone},
    .level = {layout.index["level"]},
    .decay = {layout.index["decay"]},
    .accent = {layout.index["accent"]},
    .outputs = OUTPUTS,
}};
static Drum instrument;
"""


def _rhythm_body(layout: Layout, glue: dict[str, ModelGlue]) -> tuple[str, str]:
    declared, tone = _tone(layout, layout.tones["rhythm"], "rhythm", "rhythm")
    states = glue["rhythm"].states(1)
    densities = [index for name, index in layout.index.items() if name.startswith("density.")]
    clock = layout.gates[0]
    clocked = clock.gates != 0 or clock.cv >= 0 or clock.audio >= 0
    body = f"""{{
    .model = &{glue["rhythm"].table},
    .state = {states.addresses[0]},
    .tone = {tone},
    .sample_rate_hz = {number(layout.board.audio.sample_rate_hz)},
    .density = {integers(densities)},
    .ratio = {layout.index["ratio"]}, .tempo = {layout.index["tempo"]}, .swing = {layout.index["swing"]},
    .timing = {layout.index["timing"]}, .accent = {layout.index["accent"]}, .fill = {layout.index["fill"]},
    .clocked = {"true" if clocked else "false"},
    .outputs = OUTPUTS,
}}"""
    return f"{declared}\n{states.declaration}", body


def _rhythm(layout: Layout, glue: dict[str, ModelGlue]) -> str:
    declared, body = _rhythm_body(layout, glue)
    return f"{declared}\nstatic const RhythmSpec spec = {body};\nstatic Rhythm instrument;\n"


def _drive(layout: Layout, glue: dict[str, ModelGlue]) -> str:
    declared, tone = _tone(layout, layout.tones["drive"], "drive", "drive")
    states = glue["drive"].states(1)
    return f"""{declared}
{states.declaration}
static const DriveSpec spec = {{
    .model = &{glue["drive"].table},
    .state = {states.addresses[0]},
    .tone = {tone},
    .mix = {layout.index["mix"]},
    .gain = {layout.index["gain"]},
    .match = {layout.index["match"]},
    .level = {layout.index["level"]},
    .outputs = OUTPUTS,
}};
static Drive instrument;
"""


def _groove(layout: Layout, glue: dict[str, ModelGlue]) -> str:
    declared, body = _rhythm_body(layout, glue)
    voices = layout.loaded.spec.voice
    states = glue["drum"].states(layout.voices)
    names = [voice.name for voice in voices]
    pool = f"static void *const drum_states[] = {{{', '.join(states.addresses)}}};"
    parts, rows = [declared, states.declaration, pool], []
    for voice in voices:
        tone_declared, tone = _tone(layout, layout.tones[voice.name], f"voice_{voice.name}", "drum")
        parts.append(tone_declared)
        plays = sum(1 << PARTS.index(name) for name in voice.plays)
        chokes = sum(1 << names.index(name) for name in voice.chokes)
        rows.append(
            f"    {{.plays = 0x{plays:x}, .chokes = 0x{chokes:x},\n     .tone = {tone},\n"
            f"     .level = {layout.index[voice.name + '.level']}, "
            f".decay = {layout.index[voice.name + '.decay']},\n"
            f"     .left = {number(min(1.0, 1.0 - voice.pan))}, "
            f".right = {number(min(1.0, 1.0 + voice.pan))}}}, /* {voice.name} */"
        )
    parts.append("static const GrooveVoice voices[] = {\n" + "\n".join(rows) + "\n};")
    parts.append(f"""static const GrooveSpec spec = {{
    .rhythm = {body},
    .drum = &{glue["drum"].table},
    .voices = {len(voices)},
    .players = {layout.voices},
    .voice = voices,
    .state = drum_states,
    .level = {layout.index["level"]},
}};
static Groove instrument;
""")
    return "\n".join(parts)


# ---- port.h ----------------------------------------------------------------------------------------------


def _info(layout: Layout, glue: dict[str, ModelGlue], block: int, version: str) -> str:
    board = layout.board
    rows = "\n".join(f"    {{{text(p.name)}, {p.knob}, {p.cv}}}," for p in layout.parameters)
    models = zlib.crc32(b"".join(model.file.read_bytes() for model in glue.values()))
    latency = max((each.latency_ticks + each.model.wait() for each in glue.values()), default=0)
    return f"""static const PortParameter port_parameters[] = {{
{rows}
}};
static const PortInfo info = {{
    .title = {text(layout.loaded.spec.title)},
    .kind = {text(layout.kind)},
    .board = {text(board.name)},
    .version = {text(version)},
    .model_hash = "{models:08x}",
    .sample_rate_hz = {number(board.audio.sample_rate_hz)},
    .block = {block},
    .latency_ticks = {latency},
    .inputs = {len(board.adcs)},
    .gates_in = {len(board.gates_in) + len(board.buttons)},
    .gates_out = {len(board.gates_out)},
    .audio_in = {board.audio.inputs},
    .audio_out = {board.audio.outputs},
    .cv_outs = {len(board.dacs)},
    .parameters = {len(layout.parameters)},
    .presets = PANEL_PRESETS,
    .parameter = port_parameters,
}};
"""


def _verbs(kind: str) -> str:
    return f"""const PortInfo *instrument_info(void)
{{
    return &info;
}}

void instrument_init(float sample_rate_hz)
{{
    (void)sample_rate_hz; /* the tables are made for the board's rate */
    panel_init(&panel, &panel_spec);
    {kind}_init(&instrument, &spec);
}}

void instrument_reset(void)
{{
    {kind}_reset(&instrument);
}}

void instrument_render(const PortBlock *block)
{{
    panel_begin(&panel, block);
    {kind}_render(&instrument, &panel, block);
    panel_end(&panel, block);
}}

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

const char *instrument_idle(const PortStorage *storage)
{{
    return panel_idle(&panel, storage);
}}
"""
