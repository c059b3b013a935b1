"""The CLAP plugin plays what `vaectrol play` plays, bit for bit, however a studio cuts time."""

from __future__ import annotations

import functools
import plistlib
import random
import shutil
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import vaectrol
from firmware import toolchain
from firmware.build import PORTS, Built, generate
from firmware.instruments.spec import available_instruments
from firmware.midi.player import MidiPlayer
from firmware.play.host import HostInstrument, Rendered
from firmware.play.render import open_instrument, resting_knobs
from firmware.ports.plugin.link import Wanted, build_plugin
from firmware.ports.plugin.tables import plugin_tables
from firmware.script.cv_script import Event, Script, command_of, readings
from hardware.board import load_board
from tests.firmware.binaries import mach_o, pe
from tests.firmware.clap_job import (
    MIDI,
    MODULATION,
    NOTE_OFF,
    NOTE_ON,
    PORT_GATE,
    PORT_SET,
    TRANSPORT,
    VALUE,
    Part,
    Sent,
    ask,
    drawn_ports,
    jacks_of,
    render,
)

BLOCK, SECONDS = 48, 2.0
TICKS = round(48_000 * SECONDS)
FAST_LISTS, ALL_LISTS = 300, 10_000


@dataclass(frozen=True)
class Case:
    """A plugin of this machine, and the same instrument as the host port plays it."""

    plugin: Path
    about: Any
    built: Built
    host: HostInstrument

    @property
    def ids(self) -> list[int]:
        """Identities of the parameters, then of the gate functions."""
        return [one["id"] for one in self.about["parameters"]]


@pytest.fixture(scope="module")
def case_of(tmp_path_factory):
    @functools.cache
    def find(name: str) -> Case:
        folder = tmp_path_factory.mktemp(name)
        wanted = Wanted(name, load_board("host"), {})
        plugin = build_plugin(wanted, "clap", "linux", folder / "out")
        built, host = open_instrument(name, folder / "host")
        return Case(plugin, ask(plugin, "about"), built, host)

    return find


def cut(ticks: int, seed: int) -> list[int]:
    """Blocks as studios ask for them, and as they don't."""
    draw = random.Random(seed)
    sizes: list[int] = []
    while ticks > 0:
        sizes.append(min(ticks, draw.choice([1, 64, 512, 480, draw.randint(1, 1500)])))
        ticks -= sizes[-1]
    return sizes


def drawn_events(case: Case, seed: int) -> tuple[list[Sent], list[Event]]:
    """Moves, keys and controllers at random: for the plugin, and as commands for the host port."""
    draw = random.Random(seed)
    assignment = case.built.assignment
    parameters = {one.name: at for at, one in enumerate(assignment.parameters)}
    gates = assignment.gate_names
    keys = MidiPlayer(assignment.loaded, list(parameters), assignment.choices)
    sent: list[Sent] = []
    events: list[Event] = []
    for tick in sorted(draw.sample(range(TICKS), 160)):
        what = draw.choice(["value", "value", "key", "midi", "gate"])
        if what == "value":
            at, value = draw.randrange(len(parameters)), draw.random()
            sent.append(Sent(tick, VALUE, id=case.ids[at], value=value))
            events.append(Event(tick, PORT_SET, at, value))
        elif what == "gate":
            at, held = draw.randrange(len(gates)), draw.random() < 0.5
            sent.append(Sent(tick, VALUE, id=case.ids[len(parameters) + at], value=float(held)))
            events.append(Event(tick, PORT_GATE, at, float(held)))
        else:
            key, loud = draw.choice([36, 60, 62]), draw.randint(1, 127)
            kind = draw.choice(["note_on", "note_off", "control_change"])
            if what == "key":
                kind = draw.choice(["note_on", "note_off"])
                on = kind == "note_on"
                sent.append(Sent(tick, NOTE_ON if on else NOTE_OFF, key=key, value=loud / 127))
            else:
                status = {"note_on": 0x90, "note_off": 0x80, "control_change": 0xB0}[kind]
                key = draw.randint(20, 28) if kind == "control_change" else key
                sent.append(Sent(tick, MIDI, midi=(status, key, loud)))
            message = functools.partial(dict, type=kind, channel=0)
            told = (
                message(control=key, value=loud)
                if kind == "control_change"
                else message(note=key, velocity=loud)
            )
            for column, value in keys.play(_Message(told)):  # type: ignore[arg-type]
                command = command_of(column, value, parameters, gates)
                assert command is not None
                events.append(Event(tick, *command))
    return sent, events


class _Message:
    def __init__(self, fields: dict[str, Any]):
        self.__dict__.update(fields)


def played(case: Case, ports: NDArray[np.float32], events: list[Event]) -> Rendered:
    """What `vaectrol play` renders of the same, with the board's block."""
    jacks = jacks_of(case.about, ports)
    made = readings(Script(), case.built.board, slice(0, TICKS), jacks, resting_knobs(case.built))
    case.host.begin()
    return case.host.render(replace(made, events=events), BLOCK)


def channels_of(case: Case, rendered: Rendered) -> NDArray[np.float32]:
    """The same as the plugin's output ports carry it: one block late."""
    rows: list[NDArray[np.float32]] = []
    for port in case.about["out"]:
        number = int(port["name"].split()[1].split(":")[0]) - 1 if not port["flags"] & 1 else 0
        if port["flags"] & 1:
            rows += list(rendered.audio)
        elif port["name"].startswith("CV"):
            rows.append(rendered.cv[number] / np.float32(10.0))
        else:
            rows.append(np.float32(0.5) * (rendered.gates >> np.uint32(number) & 1).astype(np.float32))
    late = np.zeros((len(rows), TICKS), np.float32)
    late[:, BLOCK:] = np.array(rows)[:, :-BLOCK]
    return late


def same(found: NDArray[np.float32], wanted: NDArray[np.float32]) -> bool:
    return bool(np.array_equal(found.view(np.uint32), wanted.view(np.uint32)))


@pytest.mark.parametrize("name", available_instruments())
def test_two_plugins_in_ragged_blocks_play_what_play_renders(name, case_of, tmp_path):
    case = case_of(name)
    parts, wanted = [], []
    for seed in (1, 2):
        ports = drawn_ports(case.about, TICKS, seed)
        sent, events = drawn_events(case, seed)
        parts.append(Part(cut(TICKS, seed), sent, ports))
        wanted.append(channels_of(case, played(case, ports, events)))
    heard, asked = render(case.plugin, parts, tmp_path)
    for one, other in zip(heard, wanted, strict=True):
        assert same(one.channels, other)
        assert np.abs(other).max() > 0.05
    assert asked == 0, "the audio thread asked for memory"


def test_a_modulation_is_added_and_goes_away(case_of, tmp_path):
    case = case_of("drum")
    parameters = [one.name for one in case.built.assignment.parameters]
    at = parameters.index("level")
    strokes = [Sent(tick, MIDI, midi=(0x90, 30, 100)) for tick in (0, 24_000, 48_000)]
    sent = [
        Sent(0, VALUE, id=case.ids[at], value=0.25),
        strokes[0],
        Sent(20_000, MODULATION, id=case.ids[at], value=0.5),
        strokes[1],
        Sent(40_000, MODULATION, id=case.ids[at], value=0.0),
        strokes[2],
    ]
    moves = [(0, PORT_SET, at, 0.25), (20_000, PORT_SET, at, 0.75), (40_000, PORT_SET, at, 0.25)]
    events = [Event(*move) for move in moves] + [Event(one.tick, 2, 0, 100 / 127) for one in strokes]
    ports = np.zeros((sum(port["channels"] for port in case.about["in"]), TICKS), np.float32)
    (heard,), _ = render(case.plugin, [Part(cut(TICKS, 3), sent, ports)], tmp_path)
    rendered = played(case, ports, sorted(events, key=lambda event: event.tick))
    assert same(heard.channels, channels_of(case, rendered))


def test_the_song_of_the_studio_is_the_clock_and_hits_come_out_as_notes(case_of, tmp_path):
    """120 beats a minute: a sixteenth every 6,000 samples; where the song starts or jumps, the first step."""
    case = case_of("rhythm")
    sent = [
        Sent(0, TRANSPORT, id=1, value=0.0),
        Sent(
            0,
            VALUE,
            id=case.ids[[p.name for p in case.built.assignment.parameters].index("density/kick")],
            value=1.0,
        ),
        Sent(60_000, TRANSPORT, id=1, value=8.0),
        Sent(84_000, TRANSPORT, id=0),
    ]
    clocks = [*range(0, 60_000, 6_000), *range(60_000, 84_000, 6_000)]
    events = [
        Event(0, PORT_SET, [p.name for p in case.built.assignment.parameters].index("density/kick"), 1.0)
    ]
    events += [Event(tick, 4, 0, 0.0) for tick in (0, 60_000)]
    events += [Event(tick, 3, 0, 0.0) for tick in clocks]
    ports = np.zeros((sum(port["channels"] for port in case.about["in"]), TICKS), np.float32)
    (heard,), _ = render(case.plugin, [Part(cut(TICKS, 5), sent, ports)], tmp_path)
    rendered = played(case, ports, sorted(events, key=lambda event: event.tick))
    assert same(heard.channels, channels_of(case, rendered))
    assert case.about["hits"] == 1
    hits = [hit for hit in heard.hits if hit[2] == 36]
    kicks = rendered.gates & 1
    changes = np.flatnonzero(np.diff(kicks, prepend=np.uint32(0)))
    shown = [tick + BLOCK for tick in changes if tick + BLOCK < TICKS]
    assert len(shown) > 20
    assert [tick for tick, *_ in hits] == shown
    assert [kind for _, kind, *_ in hits] == [NOTE_ON, NOTE_OFF] * (len(shown) // 2) + [NOTE_ON] * (
        len(shown) % 2
    )
    velocity = rendered.cv[2, changes[0]] / 5.0  # cv_out_3 is how hard the kick was hit
    assert hits[0][3] == pytest.approx(min(1.0, float(velocity)), abs=1e-6)


def test_a_plugin_says_what_it_is(case_of):
    drum, drive, rhythm = (case_of(name).about for name in ("drum", "drive", "rhythm"))
    assert (drum["id"], drum["name"], drum["feature"]) == ("vaectrol.drum", "Latent drum", "instrument")
    assert drive["feature"] == "audio-effect"
    mains = [[port["type"] for port in about["in"] if port["flags"] & 1] for about in (drum, drive)]
    assert mains == [[], ["stereo"]]
    assert not [port for port in rhythm["out"] if port["flags"] & 1]
    assert "CV 1: class" in [port["name"] for port in drum["in"]]
    assert "Gate 1: trigger" in [port["name"] for port in drum["in"]]
    assert "CV 1: envelope" in [port["name"] for port in drum["out"]]
    assert drum["latency"] == BLOCK + case_of("drum").host.info.latency_ticks
    assert drum["other_rate"] is False
    assert (
        drum["log"]
        == "Latent drum plays at 48000 Hz, and the project runs at 44100 Hz; change its sample rate."
    )


@pytest.mark.parametrize("name", available_instruments())
def test_parameters_have_names_and_words_that_read_back(name, case_of):
    case = case_of(name)
    told, built = case.about["parameters"], case.built
    gates = built.assignment.gate_names
    assert len(told) == len(built.assignment.parameters) + len(gates)
    assert len({one["id"] for one in told}) == len(told)
    for one, parameter in zip(told, built.assignment.parameters, strict=False):
        assert one["value"] == one["rest"] == pytest.approx(parameter.rest, abs=1e-6)
        assert one["back"] == pytest.approx(one["rest"], abs=0.0006 if "%" in one["rest_text"] else 0.08)
        if "%" in one["middle"]:
            percent, _, value = one["middle"].partition(" % = ")
            place = np.interp(0.371, np.linspace(0, 1, len(parameter.table)), np.float32(parameter.table))
            assert float(percent) == 37.1
            assert float(value) == pytest.approx(float(place), rel=0.006, abs=1e-6)
    if name == "drum":
        shown = {one["name"]: one for one in told}
        assert shown["Class"]["low"] == "kick"
        assert shown["Brightness"]["module"] == "Attributes"
        assert shown["Hold choke"]["low"] == "off"


def test_a_state_comes_back_and_a_damaged_one_changes_nothing(case_of):
    said = ask(case_of("drum").plugin, "state")
    assert said["before"] > 10
    assert (said["after"], said["damaged_taken"], said["moved_by_damage"]) == (0, 0, 0)
    assert (said["loaded_apart"], said["reset_apart"]) == (0, 0), "it sounds otherwise"
    assert said["rest_apart"] > 10_000
    assert said["log"] == "This is no state of a Vaectrol plugin, or it is damaged; nothing was changed."


def fuzz(name: str, lists: int, folder: Path) -> str:
    built = generate(name, "host", folder, target="host-asan", instances=True)
    (folder / "plugin.c").write_text(plugin_tables(built))
    sources = [
        *built.sources,
        folder / "plugin.c",
        PORTS / "plugin" / "player.c",
        PORTS / "clap" / "clap.c",
        Path(__file__).with_name("clap_fuzz.c"),
    ]
    words = [f"-I{folder}", f"-I{PORTS / 'plugin'}"]
    program = toolchain.link_program(sources, "host-asan", folder / "fuzz", extra=words)
    done = subprocess.run([program, str(lists), "7"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr[:3000]
    return done.stdout


needs_sanitizers = pytest.mark.skipif(
    not any(shutil.which(name) for name in ("clang", "gcc", "cc")),
    reason="no system compiler: apt install gcc",
)


@needs_sanitizers
@pytest.mark.parametrize("name", ["drum", "drive"])
def test_hundreds_of_random_event_lists_are_clean_under_the_sanitizers(name, tmp_path):
    assert fuzz(name, FAST_LISTS, tmp_path) == f"{FAST_LISTS} lists\n"


@needs_sanitizers
@pytest.mark.slow
@pytest.mark.parametrize("name", available_instruments())
def test_ten_thousand_random_event_lists_are_clean_under_the_sanitizers(name, tmp_path):
    assert fuzz(name, ALL_LISTS, tmp_path) == f"{ALL_LISTS} lists\n"


def test_a_linux_plugin_shows_one_name_and_needs_libc_and_libm_alone(case_of):
    if shutil.which("nm") is None or shutil.which("readelf") is None:
        pytest.skip("nm and readelf are not here: apt install binutils")
    plugin = case_of("drum").plugin
    shown = subprocess.run(["nm", "-D", "--defined-only", plugin], capture_output=True, text=True, check=True)
    assert [line.split()[-1] for line in shown.stdout.splitlines()] == ["clap_entry"]
    needed = subprocess.run(["readelf", "-d", plugin], capture_output=True, text=True, check=True)
    libraries = [line.split("[")[1].rstrip("]") for line in needed.stdout.splitlines() if "(NEEDED)" in line]
    assert set(libraries) <= {"libc.so.6", "libm.so.6"}
    versions = subprocess.run(
        ["nm", "-D", "--undefined-only", plugin], capture_output=True, text=True, check=True
    )
    old = [line.split("@GLIBC_")[1] for line in versions.stdout.splitlines() if "@GLIBC_" in line]
    assert all(tuple(map(int, version.split("."))) <= (2, 17) for version in old)


def test_a_windows_plugin_shows_its_entry_and_needs_the_systems_own_libraries(tmp_path):
    """Parsed, not run: there is no Windows here."""
    path = build_plugin(Wanted("drive", load_board("host"), {}), "clap", "windows", tmp_path)
    found = pe(path.read_bytes())
    assert (found.machine, found.exports) == ("x86_64", {"clap_entry"})
    own = ("kernel32.dll", "msvcrt.dll", "ntdll.dll", "ucrtbase.dll")
    assert all(name in own or name.startswith("api-ms-win-crt-") for name in found.libraries), found.libraries


@pytest.mark.slow
def test_a_mac_plugin_is_a_bundle_for_both_processors(tmp_path):
    """Parsed, not run: there is no Mac here."""
    path = build_plugin(Wanted("drive", load_board("host"), {}), "clap", "macos", tmp_path)
    about = plistlib.loads((path / "Contents" / "Info.plist").read_bytes())
    assert about["CFBundleIdentifier"] == "vaectrol.drive" and about["CFBundlePackageType"] == "BNDL"
    found = mach_o((path / "Contents" / "MacOS" / about["CFBundleExecutable"]).read_bytes())
    assert [one.machine for one in found] == ["x86_64", "arm64"]
    for one in found:
        assert one.exports == {"_clap_entry"}
        assert one.libraries and all(name.startswith("/usr/lib/libSystem") for name in one.libraries)
    assert "signed" in found[1].imports  # or the system would not load it


@pytest.mark.fast
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["nothing"], "there is no instrument"),
        (
            ["drum", "--system", "amiga"],
            "there are no plugins for amiga; choose linux, windows, macos or all",
        ),
        (["drum", "--format", "vst"], "there is no format 'vst'; choose clap or pd"),
        (["drum", "--model", "drum=none.onnx"], "none.onnx"),
        (["drum", "--format", "pd", "--system", "windows"], "choose linux or macos"),
        (["drum", "--board", "mute.toml"], "has no audio output, so a plugin has nothing to play"),
    ],
)
def test_what_makes_no_plugin_is_one_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    board = (Path(__file__).resolve().parents[2] / "hardware" / "boards" / "host.toml").read_text()
    mute = board.replace('name = "host"', 'name = "mute"').replace("\noutputs = 2", "\noutputs = 0")
    Path("mute.toml").write_text(mute)
    assert vaectrol.main(["plugin", *words, "-o", "out"]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint.replace("\n", " ") and "Traceback" not in complaint
    assert not Path("out").exists()


@pytest.mark.fast
def test_what_is_there_already_stays(tmp_path, capsys):
    there = tmp_path / "windows" / "drum.clap"
    there.parent.mkdir()
    there.write_text("mine")
    assert vaectrol.main(["plugin", "drum", "-o", str(tmp_path)]) == 2
    assert "is there already; remove it, or name another folder." in capsys.readouterr().err.replace("\n", "")
    assert there.read_text() == "mine" and not (tmp_path / "linux").exists()
