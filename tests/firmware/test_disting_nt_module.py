"""A disting NT that is not there plays what this computer plays, and nothing is left of an instance."""

from __future__ import annotations

import json
import struct
from dataclasses import replace

import mido
import numpy as np
import pytest

import vaectrol
from bench.disting_nt.host import FASTEST, Module, load_plugin
from bench.disting_nt.load import THM_CALL, load
from bench.disting_nt.measured import in_words, measured, read_counters
from bench.disting_nt.play import Player, as_played, knob_reading, patches
from common.refusal import DoesNotFit, Refusal
from firmware.build import build_instrument, generate, host_library
from firmware.instruments import kinds
from firmware.instruments.demo import find_demo
from firmware.instruments.spec import available_instruments
from firmware.midi.player import MidiPlayer
from firmware.play.host import HostInstrument
from firmware.play.render import fitted, read_sounds, resting_knobs
from firmware.ports.disting_nt.link import link_plugin
from firmware.ports.disting_nt.object_file import (
    ABSOLUTE,
    FUNCTION,
    GLOBAL,
    UNDEFINED,
    ObjectFile,
    Relocation,
    Section,
    Symbol,
    read_object,
)
from firmware.ports.disting_nt.rows import rows_of
from firmware.script.cv_script import SET, Event, Script, command_of, read_script, signals
from hardware.board import load_board

BLOCK = 24
RATE = 48_000


class Pair:
    """An instrument as a plug-in, and the same for this computer."""

    def __init__(self, name, folder, models=None, block=BLOCK):
        self.board, self.block = load_board("disting_nt"), block
        self.built = build_instrument(name, self.board, folder / "plugin", models=models, block=block)
        self.here = generate(name, self.board, folder / "host", models=models, block=block, target="host")
        self.library = host_library(self.here)

    def module(self, **settings):
        return load_plugin(self.built.image, self.board, **settings)

    def host(self):
        return HostInstrument(self.library)

    def signals(self, script, ticks, tracks=None, block=None):
        host = self.host()
        gates = self.here.assignment.gate_names
        resting = resting_knobs(self.here)
        made = signals(script, self.board, ticks, host.parameters, tracks or {}, resting, gates)
        return as_played(made, self.built, block or self.block)[0]


@pytest.fixture(scope="module")
def pairs(model_files, classed_drum, tmp_path_factory):
    made = {}

    def pair(kind):
        if kind not in made:
            roles = {"groove": ("rhythm", "drum"), "choir": ("voice",)}.get(kind, (kind,))
            models = {role: classed_drum if role == "drum" else model_files[role] for role in roles}
            made[kind] = Pair(kind, tmp_path_factory.mktemp(kind), models)
        return made[kind]

    return pair


def moving(pair, ticks, block=BLOCK, seed=7):
    """Knobs and voltages that move, gates that storm, noise into the audio jack."""
    rng = np.random.default_rng(seed)
    knots = np.arange(0, ticks / RATE + 0.05, 0.01)
    columns = {
        adc.name: (knots, rng.random(len(knots)) if adc.kind == "knob" else rng.uniform(-5, 5, len(knots)))
        for adc in pair.board.adcs
    }
    for gate in (*pair.board.gates_in, *pair.board.buttons):
        times = np.arange(0, ticks / RATE, 0.001)
        columns[gate.name] = (times, (rng.random(len(times)) < 0.05).astype(float))
    columns["button_1"] = (columns["knob_1"][0], (columns["knob_1"][1] < 0.3).astype(float))
    played = pair.signals(Script(columns=columns, seconds=ticks / RATE), ticks, block=block)
    played.audio[:] = rng.uniform(-0.5, 0.5, played.audio.shape)
    for begin in range(0, ticks, block):  # a button of the plug-in is read once a step
        row = len(pair.board.gates_in)
        played.gates[row, begin : begin + block] = played.gates[row, begin]
    return played


def same(module, here):
    """Bit for bit, but that 0 and -0 are one."""
    assert np.array_equal(module.audio, here.audio)
    assert np.array_equal(module.cv, here.cv)
    assert np.array_equal(module.gates, here.gates)


@pytest.mark.parametrize("kind", ["drum", "rhythm", "drive", "groove"])
def test_two_instances_play_what_this_computer_plays(kind, pairs):
    pair = pairs(kind)
    played = moving(pair, BLOCK * 120)
    expected = pair.host().render(played, BLOCK)
    module = pair.module()
    player = Player(module, pair.built, count=2)
    for rendered in player.render(played, BLOCK):
        same(rendered, expected)
    assert np.abs(expected.audio).max() > 1e-3 or kind == "rhythm"
    assert expected.gates.any() or kind == "drive"
    for instance in player.instances:
        module.check(instance)


def noted(module):
    """Let a module keep what its steps cost."""
    calls, step = [], module.step

    def keeping(*args, **settings):
        calls.append(step(*args, **settings))
        return calls[-1]

    module.step = keeping
    return calls


@pytest.mark.parametrize("kind", ["drum", "drive"])
def test_the_sound_is_the_same_wherever_weights_lie_and_they_are_read_from_there(kind, pairs):
    pair = pairs(kind)
    played = moving(pair, BLOCK * 40)
    expected = pair.host().render(played, BLOCK)
    from_file = []
    for level in range(FASTEST + 1):
        module = pair.module(place="sdram")
        player = Player(module, pair.built, level=level)
        needs = module.requirements(level)
        given = {region: size for region, _, size in player.instances[0].pieces[:-1]}
        assert given == {region: needs[region] for region in ("sram", "dtc") if needs[region]}
        calls = noted(module)
        same(player.render(played, BLOCK, range(30, 40), warm=0)[0], expected)
        module.check(player.instances[0])
        from_file.append(sum(call.traffic["sdram"].read_bytes for call in calls[30:]))
    assert from_file[0] == pytest.approx(from_file[1], rel=0.05)
    assert from_file[2] < 0.7 * from_file[1]  # what is left are the engine's tables and the port's


def test_what_a_plan_promises_of_memory_is_what_an_instance_asks_for(pairs):
    for kind in ("drum", "drive"):
        pair = pairs(kind)
        needs, planned = pair.module().requirements(), pair.built.report["regions"]
        for asked, region in (("sram", "axi"), ("dtc", "dtcm")):
            used = planned.get(region, {"used": 0})["used"]
            assert needs[asked] <= used + 8 * 1024 and used <= needs[asked] + 12 * 1024


@pytest.mark.parametrize("block", [4, 48, 64, 128])
def test_a_step_may_have_any_length(block, pairs):
    pair = pairs("drum")
    played = moving(pair, 128 * 16, block)
    expected = pair.host().render(played, block)
    module = pair.module()
    same(Player(module, pair.built).render(played, block)[0], expected)


@pytest.mark.slow
@pytest.mark.parametrize("name", available_instruments())
def test_every_factory_instrument_plays_its_demonstration(name, tmp_path):
    from toy.demo_phrases import play_phrase

    pair = Pair(name, tmp_path)
    demo = find_demo(name)
    ticks = BLOCK * 4000  # two seconds
    tracks = {jack: fitted(t, ticks) for jack, t in read_sounds(demo.inputs(play_phrase), 48_000.0).items()}
    played = pair.signals(read_script(demo.script), ticks, tracks)
    expected = pair.host().render(played, BLOCK)
    module = pair.module(place="sdram")  # the largest leaves no room for two beside it in SRAM
    for rendered in Player(module, pair.built, count=2).render(played, BLOCK):
        same(rendered, expected)


def add_and_remove(module, times):
    """Beside one that stays: what comes and goes leaves its memory and the object alone."""
    kept = module.add(level=0)
    buses = np.zeros((64, BLOCK), np.float32)
    for turn in range(times):
        made = module.add(level=turn % 3)
        if turn % 100 == 0:
            module.step(made, buses)
        module.remove(made)
    module.step(kept, buses)
    module.remove(kept)
    assert not any(heap.taken for heap in module.heaps.values())
    assert module.machine.read(module.loaded.begin, len(module.image)) == module.image


def test_adding_and_removing_leaves_nothing_behind(pairs):
    add_and_remove(pairs("drum").module(), 60)


@pytest.mark.slow
def test_adding_and_removing_a_thousand_times_leaves_nothing_behind(pairs):
    add_and_remove(pairs("drum").module(), 1000)


def test_an_instance_asks_for_exactly_what_it_uses(pairs):
    module = pairs("drum").module(most_frames=BLOCK)
    for level in range(FASTEST + 1):
        needs = module.requirements(level)
        assert (needs["dtc"] > 0) == (level > 0) and needs["itc"] == needs["dram"] == 0
        made = module.add(level)
        module.step(made, np.ones((64, BLOCK), np.float32))
        module.check(made)  # guards on both sides
        size = needs["dtc"] or needs["sram"]
        address = next(at for _, at, count in made.pieces if count == size)
        tail = module.machine.read(address + size - 64, 64)
        assert tail != b"\xdd" * 64  # used to its end, but for what alignment may cost
        module.remove(made)


def test_keys_at_once_have_the_voices_that_play_gives_them(pairs):
    """Keys and wheels at random, by the sound: a wrong voice would be a wrong note."""
    pair = pairs("choir")
    module = pair.module()
    player = Player(module, pair.built)
    instance = player.instances[0]
    host = pair.host()
    follower = MidiPlayer(pair.here.assignment.loaded, host.parameters)
    gates = pair.here.assignment.gate_names
    rng = np.random.default_rng(11)
    steps, events, messages = 240, [], {}
    for step in range(steps):
        sent = []
        if rng.random() < 0.25:
            note = int(rng.integers(40, 47))
            kind = "note_on" if rng.random() < 0.6 else "note_off"
            sent.append(mido.Message(kind, note=note, velocity=int(rng.integers(1, 128))))
        if rng.random() < 0.02:
            sent.append(mido.Message("pitchwheel", pitch=int(rng.integers(-8192, 8192))))
        messages[step] = [one.bytes() for one in sent]
        for one in sent:
            for name, value in follower.play(one):
                events.append(Event(step * BLOCK, *command_of(name, value, host.parameters, gates)))
    played = pair.signals(Script(), steps * BLOCK)
    expected = host.render(replace(played, events=events), BLOCK)
    assert expected.gates.any() and np.abs(expected.audio).max() > 1e-3
    buses = []
    for step in range(steps):
        for raw in messages[step]:
            module.midi(instance, raw)
        bus = np.zeros((64, BLOCK), np.float32)
        module.step(instance, bus)
        buses.append(bus)
    found = np.concatenate(buses, 1)
    for number, bus in player.patches[0].bus.items():
        row = player.patches[0].rows[number]
        if row.kind == "ROW_AUDIO_OUT" and np.abs(expected.audio[row.index]).max() > 0:
            part = found[bus - 1] / np.abs(found[bus - 1]).max()
            wanted = expected.audio[row.index] / np.abs(expected.audio[row.index]).max()
            assert np.abs(part - wanted).max() < 0.02, row.name  # positions are floats there, doubles here


def test_midi_does_what_the_file_says(pairs):
    pair = pairs("rhythm")
    module = pair.module()
    player = Player(module, pair.built)
    instance = player.instances[0]
    follower = MidiPlayer(pair.here.assignment.loaded, pair.host().parameters)
    gates = kinds.named("rhythm").gates
    rng = np.random.default_rng(3)
    steps, events = 200, []
    messages = {}
    for step in range(steps):
        sent = [mido.Message("clock")] if step % 5 == 0 else []
        if step == 50:
            sent.append(mido.Message("stop"))
        if step == 60:
            sent += [mido.Message("start")]
        if rng.random() < 0.2:
            note = int(rng.choice([60, 62, 64]))
            kind = "note_on" if rng.random() < 0.6 else "note_off"
            sent.append(mido.Message(kind, note=note, velocity=int(rng.integers(0, 128)), channel=3))
        messages[step] = [one.bytes() for one in sent]
        for one in sent:
            for name, value in follower.play(one):
                events.append(Event(step * BLOCK, *command_of(name, value, pair.host().parameters, gates)))
    played = pair.signals(Script(), steps * BLOCK)
    expected = pair.host().render(replace(played, events=events), BLOCK)
    assert expected.gates.any()
    found = np.zeros(steps * BLOCK, np.uint32)
    rows = player.patches[0].rows
    for step in range(steps):
        for raw in messages[step]:
            module.midi(instance, raw)
        buses = np.zeros((64, BLOCK), np.float32)
        module.step(instance, buses)
        for number, bus in player.patches[0].bus.items():
            if rows[number].kind == "ROW_GATE_OUT":
                high = (buses[bus - 1] > 1).astype(np.uint32)
                found[step * BLOCK : (step + 1) * BLOCK] |= high << np.uint32(rows[number].index)
    assert np.array_equal(found, expected.gates)


def test_a_controller_turns_the_plugin_s_own_parameter(pairs):
    pair = pairs("drum")
    module = pair.module()
    other, instance = module.add(), module.add(level=0)
    rows = rows_of(pair.built)
    number = next(n for n, row in enumerate(rows) if row.name == "Latent 1")
    kind = next(n for n, row in enumerate(rows) if row.name == "Class")
    module.midi(instance, [0xB2, 21, 127])
    module.midi(instance, [0xB2, 20, 64])
    assert module.value(instance, number) == 1000 and module.value(instance, kind) == 4
    assert module.value(other, number) == rows[number].default
    channel = next(n for n, row in enumerate(rows) if row.kind == "ROW_CHANNEL")
    module.set(instance, channel, 5)
    module.midi(instance, [0xB2, 21, 0])
    assert module.value(instance, number) == 1000  # another channel


def test_a_preset_of_another_model_says_so(pairs):
    module = pairs("drum").module()
    instance = module.add()
    saved = module.save(instance)
    assert saved[0] == "vaectrol" and saved[2] == "model"
    assert module.restore(instance, saved)
    assert module.draw(instance).texts[-1][2].startswith("LATENCY")
    assert module.restore(instance, [*saved[:3], "00000000"])
    assert module.draw(instance).texts[-1][2] == "OTHER MODEL"


def test_the_display_shows_where_controls_stand_and_what_struck(pairs):
    pair = pairs("drum")
    module = pair.module()
    player = Player(module, pair.built)
    instance = player.instances[0]
    quiet = module.draw(instance)
    assert quiet == module.draw(instance)
    assert all(0 <= x0 <= x1 <= 255 and 0 <= y0 <= y1 <= 63 for _, x0, y0, x1, y1, _ in quiet.shapes)
    buses = np.zeros((64, BLOCK), np.float32)
    trigger = next(n for n, row in enumerate(player.patches[0].rows) if row.name == "Trigger gate")
    buses[player.patches[0].bus[trigger] - 1] = 5.0
    for _ in range(20):
        module.step(instance, buses)
    struck = module.draw(instance)
    assert len(struck.shapes) == len(quiet.shapes) + 1  # the flash
    assert struck.shapes[-1] != quiet.shapes[-1]  # the level


def test_values_are_printed(pairs):
    module = pairs("drum").module()
    instance = module.add()
    number = next(n for n, one in enumerate(instance.parameters) if one.name == "Latent 1")
    low, high = module.string(instance, number, 0), module.string(instance, number, 1000)
    assert low.startswith("0.0 %  ") and high.startswith("100.0 %  ")
    assert float(low.split()[-1]) < float(high.split()[-1])
    kind = next(one for one in instance.parameters if one.name == "Class")
    assert kind.names[:3] == ("kick", "snare", "hat closed")
    assert module.string(instance, instance.parameters.index(kind), 0) == ""


def test_another_rate_is_silent_and_says_why(pairs):
    pair = pairs("drum")
    module = pair.module(rate_hz=44_100)
    player = Player(module, pair.built)
    instance = player.instances[0]
    bus = {player.patches[0].rows[n].name: b for n, b in player.patches[0].bus.items()}
    buses = np.full((64, BLOCK), 5.0, np.float32)
    mode = next(n for n, row in enumerate(player.patches[0].rows) if row.name == "Mix 2 mode")
    module.set(instance, mode, 1)
    module.step(instance, buses)
    assert (buses[bus["Mix 1"] - 1] == 5.0).all()  # adds nothing
    assert not buses[bus["Mix 2"] - 1].any()  # replaces by nothing
    words = " ".join(text for _, _, text in module.draw(instance).texts)
    assert "48 kHz only: choose that rate in the Settings menu." in words


def versioned(version):
    """A plug-in of one function that only answers its version."""
    code = struct.pack("<HH", 0x2000 | version, 0x4770)  # MOVS r0, #version; BX LR
    text = Section(".text", 1, 6, 4, 4, code)
    mark, entry = Symbol("$t", 0, 0, 0, 0, 1), Symbol("pluginEntry", 1, 4, GLOBAL, FUNCTION, 1)
    null = Symbol("", 0, 0, 0, 0, UNDEFINED)
    return ObjectFile("other.o", [Section("", 0, 0, 1, 0), text], [null, mark, entry])


@pytest.mark.parametrize(("version", "advice"), [(14, "update the module"), (3, "build it anew")])
def test_another_version_of_the_interface_is_refused(version, advice):
    with pytest.raises(Refusal, match=f"version {version} of the plug-in interface, .* 4 to 13; {advice}"):
        Module(versioned(version), load_board("disting_nt"))


def test_what_the_module_lacks_is_said_with_bytes(pairs):
    pair = pairs("drive")
    module = pair.module()
    with pytest.raises(
        DoesNotFit, match=r"INSUFFICIENT MEMORY: [\d,]+ bytes of DTC are asked for, and [\d,]+"
    ):
        for _ in range(20):
            module.add()
    before = len(module.heaps["sram"].taken)
    assert before == len(module.instances)  # what did not fit left nothing behind
    found = read_object(pair.built.image)
    with pytest.raises(DoesNotFit, match=r"takes [\d,]+ bytes, and 1,000 are left"):
        load(found, 0x2020_0000, 1000, {name: 1 for name in found.undefined})
    with pytest.raises(Refusal, match="which the module does not offer"):
        load(found, 0x2020_0000, 1 << 20, {})


def test_relocations_are_those_of_the_architecture():
    """Against values worked out by hand from IHI 0044 and the Armv7-M manual."""
    words = struct.pack("<IIHHHH", 0x10, 0x20, 0xF7FF, 0xFFFE, 0xF7FF, 0xBFFE)
    relocations = [
        Relocation(0, 2, 1),
        Relocation(4, 3, 1),
        Relocation(8, THM_CALL, 2),
        Relocation(12, 30, 3),
    ]
    text = Section(".text", 1, 6, 4, len(words), words, relocations)
    symbols = [
        Symbol("", 0, 0, 0, 0, UNDEFINED),
        Symbol("data", 0x100, 0, GLOBAL, 1, ABSOLUTE),
        Symbol("near", 0x101, 0, GLOBAL, FUNCTION, ABSOLUTE),
        Symbol("far", 0x0080_0001, 0, GLOBAL, FUNCTION, ABSOLUTE),
    ]
    made = load(ObjectFile("x.o", [Section("", 0, 0, 1, 0), text], symbols), 0x1000, 64, {})
    image = made.elf.segments[0][1]
    absolute, relative, call, call_low, jump, jump_low = struct.unpack("<IIHHHH", image)
    assert absolute == 0x110
    assert relative == (0x100 + 0x20 - 0x1004) & 0xFFFFFFFF
    # BL from 0x1008 to 0x100: -0xF0C from the instruction after; B.W from 0x100C to 0x800000
    assert (call, call_low) == (0xF7FF, 0xF87A)
    assert (jump, jump_low) == (0xF3FE, 0xBFF8 | 0x8000 & jump_low) or jump >> 11 == 0b11110


@pytest.mark.slow
@pytest.mark.parametrize("name", ["drum_electronic", "drive", "rhythm"])
def test_the_instrument_costs_what_it_costs_on_a_daisy(name, tmp_path):
    """The same code with memory that costs nothing, within 2 %; with caches the port's share comes on top."""
    from bench.emulated import EmulatedInstrument

    pair = Pair(name, tmp_path)
    free = [r.model_copy(update={"line_fill_cycles": 0}) for r in pair.board.memory]
    board = pair.board.model_copy(update={"memory": tuple(free)})
    static = generate(name, board, tmp_path / "static", block=BLOCK)
    steps, counted = 600, range(500, 600)
    played = moving(pair, BLOCK * steps)
    alone = EmulatedInstrument(static, tmp_path / "static")
    alone.render(played, BLOCK, counted)
    module = load_plugin(pair.built.image, board)
    player = Player(module, pair.built)
    player.render(played, BLOCK, counted)
    shared = {f.replace("instrument_", "instance_"): c for f, c in alone.functions.items() if f[:3] != "m7_"}
    daisy = sum(shared.values())
    plugin = sum(c for f, c in player.functions.items() if f in shared or f.startswith("inst"))
    print(name, plugin / daisy)
    assert plugin == pytest.approx(daisy, rel=0.02)


SHOWN = "window_spent=91000\nwindow_passed=307200000\nwindow_frames = 24576 # typed\n\nworst=1,17000\n"


def test_what_a_module_counted_is_read_from_its_message(pairs, tmp_path):
    pair = pairs("drum")
    counting = link_plugin(replace(pair.built, counters=True), tmp_path, counters=True)
    module = load_plugin(counting.path, pair.board)
    instance = module.add()
    assert instance.parameters[-1].name == "Send counters"
    buses = np.zeros((64, BLOCK), np.float32)
    for _ in range(1030):
        module.step(instance, buses)
    shown = [text for _, _, text in module.draw(instance).texts]
    assert sum("window" in text or "worst" in text for text in shown) == 4
    module.set(instance, len(instance.parameters) - 1, 1)
    message = bytes(module.sysex)
    assert message[:2] == b"\xf0\x7d" and message[-1] == 0xF7 and max(message[1:-1]) < 128
    recording = tmp_path / "counters.syx"
    # the emulated counter stands still outside of traced calls: figures as a module would send them
    recording.write_bytes(
        b"\x00"
        + message.replace(b"window_passed=0", b"window_passed=307200000")
        .replace(b"window_spent=0", b"window_spent=92160000")
        .replace(b"worst=0", b"worst=120000")
    )
    found = read_counters(recording)
    assert (found.instrument, found.model) == ("drum", pair.built.model_hash)
    assert found.window_steps == 1024 and found.frames_per_step == BLOCK and found.steps == 1030
    assert found.clock_hz == pytest.approx(600e6)
    assert found.cpu_mean == pytest.approx(0.3) and found.cpu_worst == pytest.approx(0.4)


def test_what_was_typed_off_the_display_is_read_too(tmp_path, capsys):
    typed = tmp_path / "typed.txt"
    typed.write_text(SHOWN.replace("91000", "92,160,000").replace("1,17000", "120000"))
    report = measured(read_counters(typed))
    assert report["cpu_mean"] == pytest.approx(0.3) and report["clock_hz"] == pytest.approx(600e6)
    assert "(measured)" in in_words(report)[0] and "no prediction" in in_words(report)[2]
    assert vaectrol.main(["bench", "--from-module", str(typed), "-o", str(tmp_path / "out")]) == 0
    assert "holds these figures and nothing else" in capsys.readouterr().out
    kept = json.loads((tmp_path / "out" / "measured.json").read_text())
    assert set(kept) == set(report)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "lacks worst, window_frames, window_spent, window_passed"),
        ("hello\n", "line 1 is 'hello'; write KEY=NUMBER"),
        ("worst=12\nwindow_frames=24576\nwindow_spent=1\nwindow_passed=x\n", "window_passed is 'x'"),
        ("worst=12\nwindow_frames=0\nwindow_spent=1\nwindow_passed=5\n", "let the plug-in play for a second"),
        ("worst=12\nwindow_frames=24\nwindow_spent=9\nwindow_passed=5\n", "took more cycles than passed"),
        ("worst=12\nwindow_frames=24576\nwindow_spent=9\nwindow_passed=50\n", "one figure is mistyped"),
        ("\xe9", "neither a recording"),
    ],
)
def test_figures_that_cannot_be_are_refused(text, sentence, tmp_path):
    path = tmp_path / "typed.txt"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(Refusal, match=sentence):
        read_counters(path)


def test_bench_says_what_it_needs(tmp_path):
    for words in (
        ["bench"],
        ["bench", "drum", "--from-module", "x.syx"],
        ["bench", "--from-module", "no.syx"],
    ):
        assert vaectrol.main(words) == 2
    cut = tmp_path / "cut.syx"
    cut.write_bytes(b"\xf0\x7dvaectrol counters 1\n")
    assert vaectrol.main(["bench", "--from-module", str(cut)]) == 2


def test_a_knob_s_rest_is_exact(pairs):
    rows = rows_of(pairs("drum").built)
    row = next(row for row in rows if row.kind == "ROW_KNOB" and not row.names)
    values = np.array([0, row.default, 1000])
    reading = knob_reading(row, values)
    assert reading[1] == np.float32(row.rest) and reading[0] < reading[2]
    assert {SET} and len(patches(pairs("drum").built, 2)) == 2
