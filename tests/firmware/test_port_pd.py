"""The Pure Data external plays what `vaectrol play` plays; PD_DIR names a checkout to hold it to."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from cffi import FFI

from firmware.build import PORTS
from firmware.play.render import open_instrument, resting_knobs
from firmware.ports.plugin.link import Wanted, build_plugin
from firmware.script.cv_script import Event, Script, readings
from hardware.board import load_board
from tests.firmware.abi import assertions, compile_checks
from tests.firmware.binaries import mach_o

PD = shutil.which("puredata") or shutil.which("pd")
PD_DIR = os.environ.get("PD_DIR")
BLOCK, PD_BLOCK, SECONDS = 48, 64, 1.0
TICKS = round(48_000 * SECONDS)
needs_pd = pytest.mark.skipif(PD is None, reason="Pure Data is not here: apt install puredata-core")


def pd(folder: Path, patch: list[str], rate_hz: int = 48_000) -> str:
    """Run a patch without screen or sound card, as fast as it goes; what Pd says."""
    (folder / "test.pd").write_text("#N canvas 0 0 400 400 10;\n" + "".join(f"{line};\n" for line in patch))
    words = [
        str(PD),
        "-nogui",
        "-batch",
        "-noprefs",
        "-noaudio",
        "-nomidi",
        "-nrt",
        "-r",
        str(rate_hz),
        "-path",
        str(folder),
    ]
    done = subprocess.run(
        [*words, "-open", str(folder / "test.pd")], capture_output=True, text=True, check=False, timeout=60
    )
    return done.stdout + done.stderr


def external(name: str, folder: Path) -> None:
    made = build_plugin(Wanted(name, load_board("host"), {}), "pd", "linux", folder / "made")
    shutil.copy(made, folder)


def recording(
    name: str, outlets: list[int], messages: list[tuple[int, str]], sine: bool = False
) -> list[str]:
    """A patch: an object recorded from the first sample on, and messages after so many blocks of Pd.

    With ``sine`` one goes in, and is recorded beside what comes out.
    A message comes before the block into which its time falls: a little later than the border, to be sure.
    """
    lines = [
        f"#X obj 10 10 {name}~",  # 0
        f"#X obj 10 60 writesf~ {len(outlets) + sine}",  # 1
        "#X obj 10 100 loadbang",  # 2
        "#X msg 10 120 open -wave -bytes 4 -rate 48000 out.wav \\, start \\; pd dsp 1",  # 3
        f"#X obj 200 100 delay {1000 * SECONDS + 100}",  # 4
        "#X msg 200 120 stop",  # 5
        "#X obj 200 160 delay 100",  # 6
        "#X msg 200 200 \\; pd quit",  # 7
        "#X obj 300 10 osc~ 220",  # 8
    ]
    wires = [(2, 0, 3, 0), (3, 0, 1, 0), (2, 0, 4, 0), (4, 0, 5, 0), (5, 0, 1, 0), (4, 0, 6, 0), (6, 0, 7, 0)]
    wires += [(0, outlet, 1, at) for at, outlet in enumerate(outlets)]
    wires += [(8, 0, 0, 0), (8, 0, 1, len(outlets))] if sine else []
    for blocks, message in messages:
        at = len(lines)
        lines.append(f"#X obj 300 100 delay {1000 * PD_BLOCK / 48_000 * blocks + 0.1:.9g}")
        lines.append(f"#X msg 300 120 {message}")
        wires += [(2, 0, at, 0), (at, 0, at + 1, 0), (at + 1, 0, 0, 0)]
    return lines + [f"#X connect {' '.join(map(str, wire))}" for wire in wires]


def recorded(folder: Path) -> np.ndarray:
    sound, rate = soundfile.read(folder / "out.wav", dtype="float32", always_2d=True)
    assert rate == 48_000
    return sound.T[:, :TICKS]


@needs_pd
def test_pd_records_what_the_host_plays_drum_by_messages(tmp_path):
    """Messages fall between Pd's blocks of 64; the drum's outlets: both sounds, an envelope, a gate."""
    external("drum", tmp_path)
    messages = [
        (0, "note 30 100"),
        (120, "set latent/1 0.9"),
        (150, "trigger 1 0.5"),
        (300, "cc 22 100"),
        (301, "gate trigger 1"),
        (330, "gate trigger 0"),
        (400, "note 30 127"),
    ]
    built, host = open_instrument("drum", tmp_path / "host")
    parameters = {one.name: at for at, one in enumerate(built.assignment.parameters)}
    events = [
        (0, 2, 0, 100 / 127),
        (120, 1, parameters["latent/1"], 0.9),
        (150, 2, 0, 0.5),
        (300, 1, parameters["attribute/brightness"], 100 / 127),
        (301, 5, 0, 1.0),
        (330, 5, 0, 0.0),
        (400, 2, 0, 1.0),
    ]
    said = pd(tmp_path, recording("drum", [0, 1, 2, 3], messages))
    found = recorded(tmp_path)
    made = readings(Script(), built.board, slice(0, TICKS), {}, resting_knobs(built))
    wanted = host.render(replace(made, events=[Event(PD_BLOCK * at, *rest) for at, *rest in events]), BLOCK)
    late = slice(0, TICKS - BLOCK)
    assert np.abs(wanted.audio).max() > 0.1, said
    assert np.array_equal(found[:2, BLOCK:], wanted.audio[:, late]), said
    assert np.array_equal(found[2, BLOCK:], wanted.cv[0, late] / np.float32(10.0))
    assert np.array_equal(found[3, BLOCK:], np.float32(0.5) * (wanted.gates[late] & 1).astype(np.float32))


@needs_pd
@pytest.mark.parametrize("name", ["drive", "texture"])
def test_pd_sends_sound_through_what_hears(name, tmp_path):
    external(name, tmp_path)
    pd(tmp_path, recording(name, [0, 1], [], sine=True))
    *found, sine = recorded(tmp_path)
    built, host = open_instrument(name, tmp_path / "host")
    made = readings(Script(), built.board, slice(0, TICKS), {"audio_in_1": sine}, resting_knobs(built))
    wanted = host.render(made, BLOCK)
    assert np.abs(wanted.audio).max() > 0.1
    assert np.array_equal(np.stack(found)[:, BLOCK:], wanted.audio[:, : TICKS - BLOCK])


@needs_pd
def test_pd_says_what_an_object_does_not_know_and_which_rate_it_needs(tmp_path):
    external("drum", tmp_path)
    wrong = [(1, "set latent/77 0.5"), (2, "trigger 0"), (3, "gate nothing 1")]
    said = pd(tmp_path, recording("drum", [0, 1], wrong))
    assert "drum~: there is no latent/77 here." in said
    assert "drum~: a trigger names a part from 1 to 32." in said
    assert "drum~: there is no gate/nothing here." in said
    said = pd(tmp_path, recording("drum", [0, 1], []), rate_hz=44_100)
    assert "drum~: it plays at 48000 Hz, and Pd runs at 44100 Hz; start Pd with -r 48000." in said


@pytest.mark.slow
def test_an_external_for_a_mac_takes_pds_functions_from_pd(tmp_path):
    """Parsed, not run: there is no Mac here."""
    path = build_plugin(Wanted("drive", load_board("host"), {}), "pd", "macos", tmp_path)
    assert path.name == "drive~.pd_darwin"
    for one in mach_o(path.read_bytes()):
        assert one.exports == {"_drive_tilde_setup"}
        assert {"_class_new", "_outlet_new", "_dsp_add"} <= one.imports[""]


STRUCTS = {
    ("PdSymbol", "t_symbol"): [("name", "s_name"), ("thing", "s_thing"), ("next", "s_next")],
    ("PdAtom", "t_atom"): [
        ("type", "a_type"),
        ("of", "a_w"),
        ("of.number", "a_w.w_float"),
        ("of.symbol", "a_w.w_symbol"),
    ],
    ("PdObject", "t_object"): [
        ("is", "te_g.g_pd"),
        ("next", "te_g.g_next"),
        ("text", "te_binbuf"),
        ("outlets", "te_outlet"),
        ("inlets", "te_inlet"),
        ("x", "te_xpix"),
        ("y", "te_ypix"),
        ("width", "te_width"),
    ],
    ("PdFloat", "t_float"): [],
    ("PdPerform", "t_perfroutine"): [],
}
NUMBERS = [
    ("PD_END", "A_NULL"),
    ("PD_FLOAT", "A_FLOAT"),
    ("PD_SYMBOL", "A_SYMBOL"),
    ("PD_ANYTHING", "A_GIMME"),
    ("PD_CALL", "A_CANT"),
    ("offsetof(PdSignal, ticks)", "offsetof(t_signal, s_n)"),
    ("offsetof(PdSignal, samples)", "offsetof(t_signal, s_vec)"),
    ("sizeof(intptr_t)", "sizeof(t_int)"),
    ("0", "CLASS_DEFAULT"),
]


@pytest.mark.skipif(PD_DIR is None, reason="PD_DIR names no checkout of github.com/pure-data/pure-data")
@pytest.mark.parametrize("target", ["x86_64-linux-gnu", "x86_64-macos", "aarch64-macos"])
def test_every_struct_and_number_is_pds_own(target, tmp_path):
    """Functions can't be declared twice: ours are read without them, and their arguments compared by eye."""
    text = (PORTS / "pd" / "pd_abi.h").read_text()
    (tmp_path / "ours.h").write_text(
        re.sub(
            r"^(?!typedef)\w[^#;{}]*\([^;]*\);\n",
            "",
            text[text.index("typedef float") :].replace("#endif\n", ""),
            flags=re.MULTILINE,
        )
    )
    checks = assertions(STRUCTS, NUMBERS)
    dirs = [Path(str(PD_DIR)) / "src", tmp_path]
    compile_checks(["<stdint.h>", "<m_pd.h>", "<ours.h>"], checks, dirs, tmp_path, target)


@pytest.mark.fast
def test_every_function_of_pd_that_is_declared_is_used():
    """What isn't needed isn't declared."""
    text = (PORTS / "pd" / "pd_abi.h").read_text()
    used = (PORTS / "pd" / "external.c").read_text()
    ffi = FFI()
    ffi.cdef("".join(line for line in text.splitlines(True) if not line.startswith("#")))
    for name in re.findall(r"(\w+)\([^;*]*[^;]*\);", text):
        assert f"{name}(" in used, name
