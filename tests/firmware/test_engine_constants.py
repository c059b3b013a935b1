"""Numbers that Python has from the engine's C are those of the headers, and in their order."""

from __future__ import annotations

import re
from pathlib import Path

from common.drums import PARTS
from firmware.compiler.ops import hit
from firmware.instruments import assign, presets, ratios, schema
from firmware.instruments.kinds import base, drum, groove
from firmware.kernelgen import bands
from firmware.play.live import osc
from firmware.script import cv_script
from train.models.hit import shape, sound

ENGINE = Path(__file__).resolve().parents[2] / "firmware" / "engine"


def define(header, name):
    (value,) = re.findall(rf"^#define {name} (\d+)u?\b", (ENGINE / header).read_text(), re.MULTILINE)
    return int(value)


def enum(header, prefix):
    """Names without the prefix, by value; the first says its number."""
    text = re.sub(r"/\*.*?\*/", "", (ENGINE / header).read_text())
    (body,) = re.findall(rf"enum \{{\s*({prefix}\w+ = \d+.*?)\}}", text, re.DOTALL)
    names = [word.strip() for word in body.split(",") if word.strip()]
    first = int(names[0].partition("=")[2])
    return {
        name.partition(" =")[0].removeprefix(prefix): value
        for value, name in enumerate(names, first)
        if not name.endswith("COUNT")
    }


def test_a_panel_holds_as_many_parameters_as_the_port():
    assert define("port.h", "PORT_MAX_PARAMETERS") == assign.MAX_PARAMETERS


def test_laws_are_in_the_order_of_the_header():
    assert [name.lower() for name in enum("control/law.h", "LAW_")] == list(schema.LAWS)


def test_a_drum_has_the_voices_and_sizes_of_the_headers():
    assert define("instruments/hit.h", "EVALUATION_TICKS") == drum.EVALUATION_TICKS
    assert define("instruments/hit.h", "RESTING_TICKS") == drum.RESTING_TICKS
    assert define("instruments/hit.h", "HIT_NOISE") == hit.MOST_GAINS
    assert define("instruments/hit.h", "HIT_TRANSIENT") == hit.MOST_TRANSIENT
    assert define("dsp/modes.h", "VK_MODES") == hit.MOST_MODES
    assert define("dsp/modes.h", "VK_HIT_FRAME") == hit.FRAME == shape.FRAME
    assert define("dsp/bands.h", "VK_BANDS") == hit.MOST_BANDS
    assert define("dsp/bands.h", "VK_BAND_TAPS") == hit.TAPS == bands.TAPS
    assert hit.NOISE_BITS == sound.NOISE_BITS
    (most,) = (each.le for each in drum.Options.model_fields["voices"].metadata if hasattr(each, "le"))
    assert define("instruments/drum.h", "DRUM_VOICES") == most


def test_a_groove_has_the_parts_of_the_header():
    assert define("instruments/groove.h", "GROOVE_VOICES") == groove.MAX_PARTS


def test_a_rhythm_has_the_parts_of_the_header():
    assert define("instruments/rhythm.h", "RHYTHM_VOICES") == len(PARTS)


def test_a_clock_has_the_ratios_of_the_header():
    header = (ENGINE / "instruments" / "step_clock.h").read_text()
    (listed,) = re.findall(r"#define STEP_CLOCK_RATIOS 12u\s+/\* steps per pulse: (.*?) \*/", header)
    assert tuple(listed.split()) == ratios.RATIOS
    assert define("instruments/step_clock.h", "STEP_CLOCK_RATIOS") == len(ratios.RATIOS)
    assert define("instruments/step_clock.h", "STEP_CLOCK_ONE") == ratios.RATIOS.index("1")


def test_a_decode_takes_of_a_callback_what_the_prediction_counts():
    assert define("instruments/decision.c", "SLICE_CYCLES") == base.DECODE_CYCLES


def test_there_are_as_many_model_slots_as_the_port_says():
    slots = define("port.h", "PORT_MODEL_SLOTS")
    assert slots == presets.MODEL_SLOTS == osc.MODEL_SLOTS


def test_commands_have_the_numbers_of_the_port():
    commands = enum("port.h", "PORT_")
    assert commands == {
        "SET": osc.SET,
        "TRIGGER": osc.TRIGGER,
        "CLOCK": osc.CLOCK,
        "RESET_STEP": osc.RESET_STEP,
        "GATE": osc.GATE,
        "PRESET_RECALL": osc.PRESET_RECALL,
        "PRESET_SAVE": osc.PRESET_SAVE,
        **dict(
            zip(("HOLD", "HOLD_RAW", "RELEASE"), range(8, 11), strict=True)
        ),  # the serial protocol's alone
    }
    assert commands["SET"] == cv_script.SET
    names = {"reset": "RESET_STEP", "preset": "PRESET_RECALL", "save": "PRESET_SAVE"}
    assert {name: commands[names.get(name, name.upper())] for name in cv_script.EVENTS} == cv_script.EVENTS
