"""Presets that name their model: recalled, they bring it; else it stays, and the report says why."""

from __future__ import annotations

import io
import json
import shutil
import struct
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

import vaectrol
from common.refusal import Refusal
from firmware.build import generate
from firmware.instruments.assign import assign
from firmware.instruments.presets import load_presets, positions
from firmware.instruments.spec import find_models, load_instrument
from firmware.play.live.osc import OscControl
from firmware.ports.serial.remote import RemoteInstrument
from firmware.slots import module
from firmware.slots.file import SlotFile
from firmware.slots.make import make_slot_file
from hardware.board import load_board
from hardware.monitor import connect, render
from hardware.protocol import Report
from hardware.simulated import SimulatedBoard
from tests.firmware.other_model import other_model
from tests.firmware.test_slots import BLOCK, FADE, MODELS, Module, blank, built

VOICE = MODELS / "voice.int8.onnx"
PRESETS_AT, SETTINGS_BYTES = 2 * 4096, 4 * 4096
PLACE, SLOT = 2, 5
GAP = FADE // BLOCK


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("preset slots")


@pytest.fixture(scope="module")
def other(folder) -> Path:
    return other_model(VOICE, folder / "other.int8.onnx")


@pytest.fixture(scope="module")
def library(folder) -> Path:
    return built(folder / "own", None, "voice")


@pytest.fixture(scope="module")
def with_other(folder, other) -> Path:
    return built(folder / "with", {"voice": other}, "voice")


@pytest.fixture(scope="module")
def slot_file(library, other, folder) -> SlotFile:
    shutil.copy(library, folder / "asked.so")
    asked = Module(folder / "asked.so", blank())
    return make_slot_file({"voice": other}, "voice", asked.hello(), module.slots_of(asked))


@pytest.fixture
def voice(library, tmp_path) -> Module:
    shutil.copy(library, tmp_path / "board.so")
    return Module(tmp_path / "board.so", blank())


def save(played: Module, place: int, value: float, slot: int | None = None) -> None:
    """Save a preset of which one parameter with a knob and one without stand at a value."""
    for number in (0, held(played)):
        played.ask("set", parameter=number, value=value)
    played.ask("preset", do="save", index=place, **({} if slot is None else {"slot": slot}))
    played.play(1)


def held(played: Module) -> int:
    """Return the number of the first parameter that neither knob nor CV moves."""
    rows = played.ask("parameters")["parameters"]
    return next(number for number, row in enumerate(rows) if row["knob"] == row["cv"] == -1)


def stands(played: Module) -> float:
    """Where a parameter without a knob stands."""
    return played.ask("report")["position"][held(played)]


def recall(played: Module, place: int) -> None:
    played.ask("preset", do="recall", index=place)


def from_the_start(played: Module, place: int, blocks: int = 60) -> np.ndarray:
    """Play a preset that was recalled before the first block after power on."""
    played.power_on()
    recall(played, place)
    return played.play(blocks, sound=1)


def said(played: Module) -> tuple[int, int | None, str | None, int]:
    """What the report says of the preset, and which slot plays."""
    report = played.ask("report")
    playing = module.slots_of(played).playing
    return report["preset"], report.get("preset_slot"), report.get("preset_note"), playing


def on_its_flash(library: Path, name: str, tmp_path: Path, played: Module) -> Module:
    """Another program, with the presets of one module and no models."""
    flash = blank()
    flash[:SETTINGS_BYTES] = played.flash[:SETTINGS_BYTES]
    shutil.copy(library, tmp_path / f"{name}.so")
    return Module(tmp_path / f"{name}.so", flash)


def test_a_recalled_preset_brings_its_model_bit_for_bit(voice, slot_file, with_other, tmp_path):
    """As an image built with that model sounds with that preset; after power on the chosen model plays."""
    module.send(voice, SLOT, slot_file)
    save(voice, PLACE, 0.8, SLOT)
    save(voice, PLACE + 1, 0.3, 0)
    assert said(voice)[1:] == (0, "the preset was saved, and not recalled yet", 0)
    chosen = bytes(voice.flash[SETTINGS_BYTES:])
    expected = from_the_start(there := on_its_flash(with_other, "there", tmp_path, voice), PLACE)
    voice.power_on()
    voice.play(20)
    recall(voice, PLACE)
    gap = voice.play(1 + GAP)  # the block that recalls it, and the fade
    assert gap[-1] == 0.0 and np.abs(gap[:BLOCK]).max() > 1e-3
    voice.number = 0
    after = voice.play(60, sound=1)
    assert np.abs(expected).max() > 1e-3
    assert np.array_equal(after[FADE:], expected[FADE:])
    assert (gap.size + FADE) / 48_000 <= 0.025
    assert said(voice) == (PLACE, SLOT, None, SLOT)
    assert bytes(voice.flash[SETTINGS_BYTES:]) == chosen, "the choice in the flash is not the preset's"
    recall(voice, PLACE + 1)
    voice.play(1 + GAP)
    voice.number = 0
    back = voice.play(60, sound=1)
    assert said(voice) == (PLACE + 1, 0, None, 0)
    assert np.array_equal(back[FADE:], from_the_start(voice, PLACE + 1)[FADE:])
    voice.power_on()
    voice.play(1)
    assert said(voice) == (255, None, None, 0)
    assert said(there)[1:] == (SLOT, "the slot is empty", 0)


@pytest.mark.parametrize("spoilt", ["empty", "shape", "damaged", "proof"])
def test_where_the_model_cannot_play_it_stays_and_the_report_says_why(
    spoilt, voice, slot_file, library, tmp_path
):
    plain = on_its_flash(library, "plain", tmp_path, voice)
    for played, named in ((plain, None), (voice, SLOT)):
        save(played, PLACE, 0.8, named)
    if spoilt != "empty":
        module.send(voice, SLOT, slot_file)
        at = voice.flash.find(b"VMOD")
        assert at > 0
        raw = bytearray(voice.flash[at : at + 128])
        if spoilt == "shape":
            raw[20:36] = bytes(16)
        payload = bytearray(slot_file.payload)
        if spoilt == "damaged":
            payload[40] ^= 1
        if spoilt == "proof":
            payload = bytearray(b"\x7f" * len(payload))
            raw[12:16] = struct.pack("<I", zlib.crc32(payload))
        raw[124:] = struct.pack("<I", zlib.crc32(raw[:124]))
        voice.flash[at : at + 128 + len(payload)] = raw + payload
    heard = from_the_start(voice, PLACE)
    why = {
        "empty": "the slot is empty",
        "shape": "the model has another shape than the one of this image",
        "damaged": "the slot is damaged; send the model again",
        "proof": "the model's sums could overflow",
    }
    assert said(voice) == (PLACE, SLOT, why[spoilt], 0)
    assert np.array_equal(heard, from_the_start(plain, PLACE))
    assert said(plain) == (PLACE, None, None, 0)


def test_presets_of_an_older_program_are_read_and_name_no_model(voice, library, tmp_path):
    """They end before the models: 4 bytes of hash, 8 presets of 96 positions, and what a macro learnt."""
    save(voice, PLACE, 0.8, SLOT)
    newest = PRESETS_AT
    magic, kind, version, size, sequence, crc = struct.unpack_from("<IHHIII", voice.flash, newest)
    stored = bytes(voice.flash[newest + 20 : newest + 20 + size])
    assert (kind, version, size) == (2, 1, 4 + 4 + 2 * 8 * 96 + 4 + 2 * 3 * 96 + 8)
    head = struct.pack("<IHHII", magic, kind, version, size, sequence)
    assert crc == zlib.crc32(head + stored)
    assert stored[-8:] == bytes([0, 0, 1 + SLOT, 0, 0, 0, 0, 0])
    for kept in (4 + 4 + 2 * 8 * 96, size - 8):  # without a macro, and with one
        old = on_its_flash(library, f"old {kept}", tmp_path, voice)
        head = struct.pack("<IHHII", magic, kind, version, kept, sequence)
        whole = head + struct.pack("<I", zlib.crc32(head + stored[:kept])) + stored[:kept]
        old.flash[PRESETS_AT : PRESETS_AT + 4096] = whole + b"\xff" * (4096 - len(whole))
        old.power_on()
        recall(old, PLACE)
        old.play(20)
        assert said(old) == (PLACE, None, None, 0)
        assert stands(old) == pytest.approx(0.8, abs=2e-3)
        save(old, 0, 0.2)  # beside it, in the other sector
        assert np.array_equal(from_the_start(old, PLACE)[-BLOCK:], from_the_start(old, PLACE)[-BLOCK:])
        assert said(old)[0] == PLACE
    absurd = bytearray(stored)
    absurd[-8:] = b"\xff" * 8
    head = struct.pack("<IHHII", magic, kind, version, size, sequence)
    voice.flash[PRESETS_AT : PRESETS_AT + 20 + size] = (
        head + struct.pack("<I", zlib.crc32(head + absurd)) + absurd
    )
    voice.power_on()
    recall(voice, PLACE)
    voice.play(2)
    assert said(voice) == (PLACE, None, None, 0)


def test_a_preset_waits_for_the_model_before_and_a_chosen_model_is_not_taken_away(voice, slot_file):
    """Two presets at once: the last one stays, with its model; what is saved while one fades is kept."""
    module.send(voice, 1, slot_file)
    module.send(voice, SLOT, slot_file)
    save(voice, 0, 0.2, 1)
    save(voice, PLACE, 0.8, SLOT)
    save(voice, 3, 0.5)
    recall(voice, PLACE)
    voice.play(1)
    recall(voice, 0)
    voice.play(GAP - 1)
    voice.ask("preset", do="save", index=6)
    voice.play(1)  # the last of the fade: saved and parked at once
    voice.play(30)
    assert said(voice) == (6, None, None, 1)
    recall(voice, 3)  # names none: the model stays
    voice.play(30)
    assert said(voice) == (3, None, None, 1)
    recall(voice, PLACE)
    voice.play(1)
    recall(voice, 3)
    voice.play(30)
    assert said(voice) == (3, None, None, SLOT)
    assert stands(voice) == pytest.approx(0.5, abs=2e-3)
    recall(voice, PLACE)
    voice.play(2)
    module.use(voice, 1)
    voice.play(30)
    assert said(voice) == (255, None, None, 1), "a model that was chosen forgets the preset, as before"
    recall(voice, 6)
    voice.play(2)
    assert said(voice)[0] == 6
    module.send(voice, 1, slot_file)
    module.erase(voice, 1)
    recall(voice, 0)
    voice.play(30)
    assert said(voice) == (0, 1, "the slot is empty", 1), "what was erased plays on, and the report says so"


def test_a_slot_that_is_none_is_refused_before_anything_is_saved(voice, tmp_path):
    with pytest.raises(Refusal, match="preset wants a slot from 0 to 8"):
        voice.ask("preset", do="save", index=0, slot=9)
    with pytest.raises(Refusal, match="a slot is named when saved"):
        voice.ask("preset", do="recall", index=0, slot=1)
    voice.play(2)
    assert voice.ask("report")["preset"] == 255
    none = Module(built_without_slots(tmp_path), blank())
    with pytest.raises(Refusal, match="this image holds no models beside its own"):
        none.ask("preset", do="save", index=0, slot=1)


def built_without_slots(tmp_path: Path) -> Path:
    from firmware.ports.simulated.link import link

    return link(generate("modal", "host", tmp_path, target="host"), tmp_path)


def test_an_emulated_module_brings_the_model_that_a_preset_names(folder):
    """On the Cortex-M7, through flash, proof and fade: bit for bit as an image that was built with it."""
    from bench.emulated import EmulatedInstrument
    from tests.firmware.test_play_m7 import moving_signals

    with_other = other_model(MODELS / "drive.int8.onnx", folder / "m7.int8.onnx")
    own = generate("drive", "patch_sm", folder / "m7 own")
    there = generate("drive", "patch_sm", folder / "m7 with", models={"drive": with_other})
    assert own.slotted is not None and there.slotted is not None
    assert own.slotted.signature == there.slotted.signature
    source = Path(__file__).with_name("m7_flash.c")
    verbs = ["m7_flash", "m7_file", "m7_load", "m7_idle", "m7_send", "m7_named"]
    started = []
    for made in (own, there):
        with_flash = replace(made, sources=[*made.sources, source])
        started.append(EmulatedInstrument(with_flash, made.folder, verbs))
    named = [p.name for p in own.assignment.parameters]
    signals = moving_signals(own.board, BLOCK * 40, named, BLOCK)

    def power_on(played: EmulatedInstrument) -> None:
        for call in ("m7_load", "m7_begin", "m7_idle"):
            played.machine.call(call)

    def post(played: EmulatedInstrument, kind: int, index: int, value: float = 0.0) -> None:
        bits = int(np.float32(value).view(np.uint32))
        assert played.machine.call("instrument_post", kind | index << 8, bits).value & 1

    def render(played: EmulatedInstrument, blocks: int) -> np.ndarray:
        parts = []
        for block in range(blocks):
            window = slice(block * BLOCK, (block + 1) * BLOCK)
            part = replace(
                signals,
                inputs=signals.inputs[:, window],
                gates=signals.gates[:, window],
                audio=signals.audio[:, window],
            )
            parts.append(played.render(part, BLOCK)[0].audio)
            played.machine.call("m7_idle")
        return np.concatenate(parts, axis=1)

    module_, built_with = started
    power_on(module_)
    for number in (0, len(named) - 1):
        post(module_, 1, number, 0.8)
    post(module_, 7, PLACE, 1.0 + SLOT)
    render(module_, 1)
    flashes = [played.machine.elf.symbol("m7_flash").address for played in started]
    kept = np.frombuffer(bytes(module_.machine.read(flashes[0], SETTINGS_BYTES)), np.uint8)
    built_with.machine.write(flashes[1], kept)
    power_on(built_with)
    post(built_with, 6, PLACE)
    expected = render(built_with, 30)
    file = SlotFile("patch_sm", own.slotted.signature, 1, "other", "", there.slotted.payload)
    machine = module_.machine
    machine.write(machine.elf.symbol("m7_file").address, np.frombuffer(file.head + file.payload, np.uint8))
    assert machine.call("m7_send", SLOT, len(file.head), len(file.payload)).value == 0
    assert machine.call("m7_named").value == 256 * SLOT + 0
    post(module_, 6, PLACE)
    gap = render(module_, 1 + GAP)
    assert np.abs(gap[:, :BLOCK]).max() > 1e-3 and not gap[:, -1].any()
    after = render(module_, 30)
    assert machine.call("m7_named").value == 256 * SLOT + SLOT
    assert np.abs(expected).max() > 1e-3
    assert np.array_equal(after[:, FADE:], expected[:, FADE:])
    assert built_with.machine.call("m7_named").value == 256 * SLOT + 0


def test_a_builder_saves_presets_that_name_slots(library, slot_file, tmp_path, capsys):
    """By command and by OSC; a factory preset too. What is wrong is one sentence, and nothing is saved."""
    board, flash = load_board("patch_sm"), blank()
    shutil.copy(library, tmp_path / "board.so")
    module.send(Module(tmp_path / "board.so", flash), SLOT, slot_file)

    def told(*words: object) -> tuple[int, str]:
        status = vaectrol.main([*map(str, words), "--port", played.device])
        return status, " ".join("".join(capsys.readouterr()).split())

    def report(remote: RemoteInstrument, preset: int) -> Report:
        for _ in range(100):
            heard = remote.report()
            if heard.preset == preset and not heard.unsaved and "on its way" not in heard.preset_note:
                break
            time.sleep(0.02)
        return heard

    with SimulatedBoard(board, library, flash=flash) as played:
        first = load_presets(load_instrument("voice"))[0]
        assert told("models", "preset", 3, first.name.upper(), "--slot", SLOT) == (
            0,
            f"preset 3 is saved, and names slot {SLOT}.",
        )
        assert told("models", "preset", 4) == (0, "preset 4 is saved.")
        assert told("models", "preset", 9)[1].endswith("no place 9; the module has places 1 to 8.")
        assert told("models", "preset", 1, "--slot", 9)[1].endswith("no slot 9; the module has slots 0 to 8.")
        assert "has no preset 'Wish'" in told("models", "preset", 1, "Wish")[1]
        remote = RemoteInstrument(played.device)
        osc = OscControl(remote, lambda: [])
        assert osc.answer("/preset", (3,)) == []
        heard = report(remote, 2)
        assert (heard.preset_slot, heard.preset_note) == (SLOT, "")
        loaded = load_instrument("voice")
        placed = positions(first, assign(loaded, find_models(loaded), board))
        names = list(remote.parameters)
        rows = remote._link.parameters()
        free = [row.name for row in rows if row.name in placed and row.knob == row.cv == -1]
        assert free and all(
            heard.position[names.index(name)] == pytest.approx(placed[name], abs=2e-3) for name in free
        )
        assert osc.answer("/preset/save", (1, 2)) == []
        assert report(remote, 0).preset_slot == 2
        assert osc.answer("/preset", (1,)) == []
        heard = report(remote, 0)
        assert (heard.preset_slot, heard.preset_note) == (2, "the slot is empty")
        view = Console(width=150, record=True, file=io.StringIO())
        view.print(render(connect(remote._link), heard))
        assert "preset 1: model slot 2 does not play: the slot is empty" in view.export_text()
        ((_, (why,)),) = osc.answer("/preset/save", (1, 9))
        assert "model slots are numbered 0 to 8, not 9" in why
        remote.close()


def test_play_takes_the_model_that_a_preset_names(other, tmp_path, capsys):
    """Sample by sample as with that model; without one it says so and plays the instrument's own."""
    file = tmp_path / "mine.toml"
    text = load_instrument("voice").located.path.read_text()
    file.write_text(text[: text.index("[demo]")] + text[text.index("[models]") :])
    (tmp_path / "presets").mkdir()
    text = '[[preset]]\nname = "A"\nwords = "b."\nslot = {}\nset = {{ "latent.1" = 0.7 }}\n'
    presets = tmp_path / "presets" / "mine.toml"
    presets.write_text(text.format(2))

    def played(name: str, *words: object) -> tuple[np.ndarray, dict]:
        out = tmp_path / f"{name}.wav"
        given = ["play", file, "--preset", "a", "--seconds", 0.3, "-o", out, "--json", *words]
        assert vaectrol.main([*map(str, given)]) == 0
        sound, _ = soundfile.read(out, dtype="float32")  # the file says when it was written, too
        return sound, json.loads(capsys.readouterr().out)

    own, said_of_own = played("own")
    assert said_of_own["preset_note"] == (
        "preset 'a' names model slot 2, which is empty here; the model stays as it is"
    )
    with_model, said_ = played("with", "--model", f"voice={other}", "--slot", f"3={VOICE}")
    assert "preset_note" in said_ and not np.array_equal(with_model, own)
    in_slot, said_ = played("slot", "--slot", f"2={other}")
    assert "preset_note" not in said_ and np.array_equal(in_slot, with_model)
    words = ["play", file, "--preset", "a", "-o", tmp_path / "no.wav", "--slot"]
    for given, why in (
        (f"9={VOICE}", "no model slot 9"),
        (f"2={MODELS / 'chords.int8.onnx'}", "is a chords"),
    ):
        assert vaectrol.main([*map(str, words), given]) == 2
        assert why in capsys.readouterr().err
    presets.write_text(text.format(9))
    assert vaectrol.main([*map(str, words[:-1])]) == 2
    assert "mine.toml line 4: preset.1.slot" in capsys.readouterr().err
    assert not (tmp_path / "no.wav").exists()
