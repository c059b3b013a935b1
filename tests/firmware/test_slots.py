"""Several models on one module: sent, proven, kept through power cuts, swapped while it plays."""

from __future__ import annotations

import base64
import ctypes
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest

import vaectrol
from common.refusal import Refusal
from firmware.build import generate
from firmware.instruments.spec import INSTRUMENTS_DIR
from firmware.models.model_file import read_model
from firmware.ports.simulated.link import link
from firmware.slots import module
from firmware.slots.file import SlotFile, read_slot_file
from firmware.slots.make import instrument_of, make_slot_file, role_of
from hardware.board import load_board
from hardware.protocol import Hello
from hardware.simulated import STORAGE_BYTES, SimulatedBoard, kept_flash
from tests.firmware.other_model import other_model

MODELS = Path(__file__).resolve().parents[2] / "firmware" / "models"
VOICE = MODELS / "voice.int8.onnx"
BLOCK, FADE = 48, 240
FIRST_MODEL_BYTE = 56 * 4096
"""Of the storage: the models lie behind all settings."""
TOUCHED = 40 * 4096
"""Bytes from there on that a test of a small model changes: the choice, the first places' beginnings."""


class Module:
    """A module's program on a flash that outlives it, asked as a link asks."""

    device = "the module"

    def __init__(self, library: Path, flash: bytearray) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.board_take.restype = ctypes.c_size_t
        self.c.board_power_gone.restype = ctypes.c_bool
        self.c.board_audio.restype = ctypes.POINTER(ctypes.c_float)
        self.buffer = ctypes.create_string_buffer(1 << 16)
        self.flash = flash
        self.view = (ctypes.c_uint8 * len(flash)).from_buffer(flash)
        self.number = 0
        self.power_on()

    def power_on(self) -> None:
        self.c.board_start(ctypes.c_float(48_000), self.view)
        self.number = 0

    def ask(self, cmd: str, timeout_s: float = 0.0, **members) -> dict:
        line = json.dumps({"cmd": cmd, **members}, separators=(",", ":")).encode() + b"\n"
        assert len(line) <= 1024
        self.c.board_receive(line, ctypes.c_size_t(len(line)))
        count = self.c.board_take(self.buffer, ctypes.c_size_t(len(self.buffer)))
        answer = json.loads(self.buffer.raw[:count].splitlines()[-1])
        if not answer["ok"]:
            raise Refusal(answer["error"])
        return answer

    def hello(self) -> Hello:
        return Hello.model_validate(self.ask("hello"))

    def play(self, blocks: int, sound: int = 0) -> np.ndarray:
        """Play with inputs that move by a fixed plan from `sound` on; shape (blocks·48,)."""
        parts = []
        for _ in range(blocks):
            rng = np.random.default_rng(1000 * sound + self.number)
            inputs = rng.random(24).astype(np.float32)
            gates = np.full(BLOCK, self.number % 8 == 0, np.uint32) * 1
            self.c.board_block(
                inputs.ctypes.data_as(ctypes.c_void_p),
                gates.ctypes.data_as(ctypes.c_void_p),
                ctypes.c_size_t(BLOCK),
            )
            self.c.board_idle(ctypes.c_uint32(self.number))
            self.number += 1
            parts.append(np.ctypeslib.as_array(self.c.board_audio(0), (BLOCK,)).copy())
        return np.concatenate(parts)


def blank() -> bytearray:
    return bytearray(b"\xff" * STORAGE_BYTES)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("slots")


@pytest.fixture(scope="module")
def other(folder) -> Path:
    """Another voice: the factory's, its numbers turned round."""
    return other_model(VOICE, folder / "other.int8.onnx")


def built(folder: Path, models: dict[str, Path] | None = None, instrument: str | Path = "voice") -> Path:
    return link(generate(instrument, "patch_sm", folder, models=models, target="host"), folder)


@pytest.fixture(scope="module")
def library(folder) -> Path:
    return built(folder / "own")


@pytest.fixture
def voice(library, tmp_path) -> Module:
    shutil.copy(library, tmp_path / "board.so")
    return Module(tmp_path / "board.so", blank())


@pytest.fixture(scope="module")
def slot_file(library, other, folder) -> SlotFile:
    shutil.copy(library, folder / "asked.so")
    asked = Module(folder / "asked.so", blank())
    return make_slot_file({"voice": other}, "voice", asked.hello(), module.slots_of(asked))


def names(played: Module) -> dict[int, str]:
    return {held.slot: held.name for held in module.slots_of(played).models}


def test_a_sent_model_sounds_as_one_that_was_built_in(voice, slot_file, other, folder):
    """Bit for bit: after a swap, after a power cut, and back to the model that was built in."""
    expected = Module(built(folder / "with", {"voice": other}), blank()).play(60, sound=1)
    before = voice.play(60, sound=1)
    assert np.abs(before).max() > 1e-3
    assert not np.array_equal(before, expected)
    module.send(voice, 3, slot_file)
    assert module.slots_of(voice).playing == 0
    module.use(voice, 3)
    gap = voice.play(FADE // BLOCK)
    assert gap[-1] == 0.0
    voice.number = 0
    after = voice.play(60, sound=1)
    assert np.array_equal(after[FADE:], expected[FADE:])
    assert (gap.size + FADE) / 48_000 <= 0.025
    assert module.slots_of(voice).playing == 3
    voice.power_on()
    assert np.array_equal(voice.play(60, sound=1), expected)
    module.use(voice, 0)
    voice.play(FADE // BLOCK)
    voice.number = 0
    assert np.array_equal(voice.play(60, sound=1)[FADE:], before[FADE:])
    voice.power_on()
    assert np.array_equal(voice.play(60, sound=1), before)


def test_slots_are_listed_replaced_and_erased(voice, slot_file):
    slots = module.slots_of(voice)
    assert (slots.slots, slots.models, slots.first_empty) == (8, [], 1)
    for number in range(1, 9):
        module.send(voice, number, SlotFile(**{**vars(slot_file), "name": f"kit {number}"}))
    assert names(voice) == {number: f"kit {number}" for number in range(1, 9)}
    with pytest.raises(Refusal, match="all 8 slots are full"):
        module.choose_slot(None, module.slots_of(voice))
    module.send(voice, 5, SlotFile(**{**vars(slot_file), "name": "new"}))
    module.erase(voice, 2)
    voice.power_on()
    assert names(voice) == {**{n: f"kit {n}" for n in (1, 3, 4, 6, 7, 8)}, 5: "new"}
    assert module.slots_of(voice).first_empty == 2
    module.use(voice, 5)
    voice.play(10)
    module.erase(voice, 5)
    voice.power_on()
    assert module.slots_of(voice).playing == 0


def cut_everywhere(voice: Module, slot_file: SlotFile, cuts) -> None:
    """Cut the power of a replacement at some bytes: the old model is there or the new one."""
    first, after = FIRST_MODEL_BYTE, FIRST_MODEL_BYTE + TOUCHED
    module.send(voice, 1, SlotFile(**{**vars(slot_file), "name": "old"}))
    module.use(voice, 1)
    voice.play(10)
    kept = bytes(voice.flash[first:after])
    assert voice.flash.find(b"VMOD", after) < 0
    seen = set()
    for cut in cuts:
        voice.flash[first:after] = kept
        voice.power_on()
        voice.c.board_cut_power_after(cut)
        done = True
        try:
            module.send(voice, 1, SlotFile(**{**vars(slot_file), "name": "new"}))
        except Refusal:
            done = False
        assert voice.c.board_power_gone() != done
        voice.power_on()
        slots = module.slots_of(voice)
        assert [held.name for held in slots.models] in (["old"], ["new"]), cut
        assert slots.playing == 1, cut
        assert slots.models[0].name == "new" or not done
        seen.add((slots.models[0].name, done))
    assert ("old", False) in seen


WRITTEN = 16 * 4096 + 62_832 + 128
"""Bytes erased and programmed while a voice is sent."""


def test_a_power_cut_leaves_the_old_model_or_the_new(voice, slot_file):
    """At the borders of sectors, here and there, and at every byte of the head that is written last."""
    random = np.random.default_rng(5).integers(0, WRITTEN, 12)
    cuts = [
        0,
        1,
        4095,
        4096,
        4097,
        *map(int, random),
        *range(WRITTEN - 140, WRITTEN + 2, 9),
        WRITTEN,
        WRITTEN + 1,
    ]
    cut_everywhere(voice, slot_file, cuts)


@pytest.mark.parametrize("instrument", ["modal", pytest.param("drive", marks=pytest.mark.slow)])
def test_a_power_cut_at_every_byte_leaves_the_old_model_or_the_new(instrument, tmp_path):
    """The modal body has 256 bytes of numbers in one sector, the drive seven sectors of them."""
    made = generate(instrument, "patch_sm", tmp_path, target="host")
    played = Module(link(made, tmp_path), blank())
    payload = made.slotted.payload
    file = SlotFile("patch_sm", made.slotted.signature, 1, "", "", payload)
    written = -(-(len(payload) + 128) // 4096) * 4096 + len(payload) + 128
    cut_everywhere(played, file, range(written + 2))


def test_a_power_cut_while_one_is_erased_or_chosen_leaves_one_of_two(voice, slot_file):
    module.send(voice, 1, slot_file)
    kept = bytes(voice.flash)
    for cut in range(0, 4200, 60):
        voice.flash[:] = kept
        for do in (module.use, module.erase):
            voice.power_on()
            voice.c.board_cut_power_after(cut)
            try:
                do(voice, 1)
            except Refusal:
                assert voice.c.board_power_gone()
            voice.power_on()
            assert names(voice) in ({}, {1: slot_file.name})
            assert module.slots_of(voice).playing in (0, 1)


def forged(slot_file: SlotFile, **changes) -> SlotFile:
    return SlotFile(**{**vars(slot_file), **changes})


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"board": "rpi4"}, "made for another board"),
        ({"signature": bytes(16)}, "another shape than the one of this image"),
        ({"payload": b"\0" * 64}, "another shape than the one of this image"),
        ({"payload": b"\0" * 112 * 4096}, "larger than a slot"),
    ],
)
def test_a_module_refuses_what_does_not_fit(voice, slot_file, change, sentence):
    with pytest.raises(Refusal, match=sentence):
        module.send(voice, 1, forged(slot_file, **change))
    assert names(voice) == {}


def test_a_module_proves_what_it_plays(voice, slot_file, other, folder):
    """Weights that would overflow, a scale that is no number, a table that falls: none of them is stored."""
    parts = generate(
        "voice", "patch_sm", folder / "seen", models={"voice": other}, target="host"
    ).slotted.parts
    pieces = [piece for part in parts for piece in part.pieces]
    starts = np.cumsum([0] + [-(-len(piece.raw) // 8) * 8 for piece in pieces])
    at = {piece.place: (int(start), len(piece.raw)) for piece, start in zip(pieces, starts, strict=False)}
    assert starts[-1] == len(slot_file.payload)

    def changed(place: str, raw: bytes, offset: int = 0) -> SlotFile:
        (found,) = [name for name in at if name.endswith(place)]
        start, size = at[found]
        assert offset + len(raw) <= size
        payload = bytearray(slot_file.payload)
        payload[start + offset : start + offset + len(raw)] = raw
        return forged(slot_file, payload=bytes(payload))

    biggest = np.array([2**31 - 1], "<i4").tobytes()
    for file in (
        changed("conv1d_1_integer_requant", biggest),
        changed("conv1d_1_integer_requant", np.array([9], "<i4").tobytes(), 8),
        changed("output_0_scale", np.array([np.nan], "<f4").tobytes()),
        changed("output_0_scale", np.array([0.0], "<f4").tobytes()),
        changed("table_0", np.array([3.0], "<f4").tobytes()),
        changed("parameters[0].rest", np.array([1.5], "<f4").tobytes()),
        changed("add_15_integer_add.multiplier_a", np.array([32767, 32767, 0, 0], "<i2").tobytes()),
        changed("voice_habit", np.array([np.inf], "<f4").tobytes()),
    ):
        with pytest.raises(Refusal, match="sums could overflow"):
            module.send(voice, 1, file)
    assert names(voice) == {}
    module.send(voice, 1, slot_file)  # as it was, it holds


def test_bytes_out_of_order_are_refused_and_those_in_order_go_on(voice, slot_file):
    text = base64.b64encode
    ask = voice.ask
    with pytest.raises(Refusal, match="no model is on its way"):
        ask("model", do="data", at=0, data=text(b"1234").decode())
    ask("model", do="begin", slot=1, data=text(slot_file.head).decode())
    ask("model", do="data", at=0, data=text(slot_file.payload[:540]).decode())
    for wrong in (0, 1080):
        with pytest.raises(Refusal, match="not the next ones"):
            ask("model", do="data", at=wrong, data=text(b"1234").decode())
    with pytest.raises(Refusal, match="some bytes of the model are missing"):
        ask("model", do="commit")
    assert ask("model", do="list")["written"] == 540
    for bad in ("====", "abc", "ab=d", "a b "):
        with pytest.raises(Refusal, match="540 bytes of base64"):
            ask("model", do="data", at=540, data=bad)
    for at in range(540, len(slot_file.payload), 540):
        ask("model", do="data", at=at, data=text(slot_file.payload[at : at + 540]).decode())
    ask("model", do="commit")
    assert names(voice) == {1: "other"}


def test_a_builder_sends_a_kit(library, other, folder, tmp_path, capsys):
    """`send` and `models` at a simulated module, with what is wrong said in one sentence."""
    board, flash, file = load_board("patch_sm"), blank(), tmp_path / "kit.vmodel"

    def said(*words: object) -> tuple[int, str]:
        status = vaectrol.main([*map(str, words), "--port", played.device])
        return status, " ".join("".join(capsys.readouterr()).split())

    with SimulatedBoard(board, library, flash=flash) as played:
        assert said("send", other, "--name", "pots", "--store-only", "-o", file) == (
            0,
            "pots, 62,832 bytes, is stored in slot 1.",
        )
        assert said("models", "use", 1) == (0, "slot 1 plays.")
        assert "→ 1 pots, model" in said("models", "list")[1]
        assert json.loads(said("models", "list", "--json")[1])["playing"] == 1
        assert said("models", "use", 4) == (2, "vaectrol: slot 4 is empty; send a model to it first.")
        assert "no slot 9; the module has slots 1 to 8" in said("send", file, "--slot", 9)[1]
        chords = MODELS / "chords.int8.onnx"
        assert "is a chords model, and voice takes 2: voice and expression" in said("send", chords)[1]
        torn = tmp_path / "torn.vmodel"
        torn.write_bytes(file.read_bytes()[:-1])
        assert "torn: it has 62831 bytes of numbers where its head says 62832" in said("send", torn)[1]
        forged(read_slot_file(file), board="rpi4").write(torn)
        assert "was made for rpi4, and the module is a patch_sm" in said("send", torn)[1]
        forged(read_slot_file(file), payload=b"\0" * 500_000).write(torn)
        assert "has 500,000 bytes of numbers, and a slot holds 458,624" in said("send", torn)[1]
        forged(read_slot_file(file), signature=bytes(16)).write(torn)
        assert (
            "another shape than the module's model (62,832 bytes of numbers, the module's 62,832)"
            in (said("send", torn)[1])
        )
        assert "give its file with --instrument" in said("send", other, "--instrument", "choir")[1]
        assert said("models", "erase", 1) == (0, "slot 1 is empty.")


def test_a_simulated_board_keeps_its_flash_in_a_file(library, slot_file, tmp_path):
    file = tmp_path / "flash.bin"
    shutil.copy(library, tmp_path / "board.so")
    module.send(Module(tmp_path / "board.so", kept_flash(file)), 7, slot_file)
    assert names(Module(tmp_path / "board.so", kept_flash(file))) == {7: "other"}
    file.write_bytes(b"\xff" * 100)
    with pytest.raises(Refusal, match=f"it has 100 bytes, not {STORAGE_BYTES:,}; name a new file"):
        kept_flash(file)
    with pytest.raises(Refusal, match="cannot keep the flash in"):
        kept_flash(tmp_path)


def test_another_shape_and_an_image_that_cannot_write_are_refused_with_the_numbers(
    voice, other, folder, model_files
):
    hello, slots = voice.hello(), module.slots_of(voice)
    assert instrument_of(hello) == "voice"
    note = hello.model_copy(update={"storage": "this image runs from the flash and cannot write to it"})
    with pytest.raises(Refusal, match="takes no model: this image runs from the flash"):
        module.require_writes(note, "/dev/ttyACM0")
    with pytest.raises(Refusal, match="which is no instrument of the factory"):
        instrument_of(hello.model_copy(update={"instrument": "Mine"}))
    strange = slots.model_copy(update={"signature": "00" * 16, "bytes": 77_000})
    with pytest.raises(Refusal, match=r"another instrument file or version .* 77,000 bytes .* \(62,832\)"):
        make_slot_file({"voice": other}, "voice", hello, strange)
    drum = generate("drum", "patch_sm", folder / "drum", target="host").slotted
    slots = slots.model_copy(update={"signature": drum.signature.hex(), "bytes": len(drum.payload)})
    assert role_of(read_model(model_files["drum"]), "drum") == "drum"
    with pytest.raises(Refusal, match=r"drum.onnx has another shape: drum_net_\w+ has [\d,]+ bytes, the mod"):
        make_slot_file({"drum": model_files["drum"]}, "drum", hello, slots)


@pytest.mark.slow
def test_an_emulated_module_takes_the_numbers_as_if_they_were_built_in(folder):
    """On the Cortex-M7: the numbers put where the drum's lay sound as the electronic drum that was built."""
    from bench.emulated import EmulatedInstrument
    from tests.firmware.test_play_m7 import moving_signals

    electronic = MODELS / "drum_electronic.int8.onnx"
    own = generate("drum", "patch_sm", folder / "m7 own")
    with_other = generate("drum", "patch_sm", folder / "m7 with", models={"drum": electronic})
    signals = moving_signals(own.board, 48 * 60, [p.name for p in own.assignment.parameters], BLOCK)
    expected, _ = EmulatedInstrument(with_other, folder / "m7 with").render(signals, BLOCK)
    played = EmulatedInstrument(own, folder / "m7 own", verbs=["model_put", "model_holds", "instrument_load"])
    machine, symbol = played.machine, played.machine.elf.symbol
    staged, parts = symbol("model_staged").address, symbol("model_parts").address
    machine.write(staged, np.frombuffer(with_other.slotted.payload, np.uint8))
    assert machine.call("model_holds", parts, 2, staged).value & 1
    machine.call("model_put", parts, 2, staged)
    machine.call("m7_begin")
    rendered, _ = played.render(signals, BLOCK)
    assert np.abs(expected.audio).max() > 1e-3
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(rendered, name), getattr(expected, name))


def fuzz(instrument: str, models: dict[str, Path], count: int, folder: Path, seed: int = 3) -> str:
    """Send changed slot files to an instrument under the sanitizers; return what the program says."""
    from firmware import toolchain

    made = generate(instrument, "patch_sm", folder, models=None, target="host-asan")
    changed = generate(instrument, "patch_sm", folder / "other", models=models, target="host-asan")
    assert changed.slotted.signature == made.slotted.signature
    file = folder / "good.vmodel"
    SlotFile("patch_sm", made.slotted.signature, 1, "good", "", changed.slotted.payload).write(file)
    driver = Path(__file__).with_name("slots_fuzz.c")
    program = toolchain.link_program(
        [*made.sources, driver], "host-asan", folder / "fuzz", extra=[f"-I{folder}"]
    )
    done = subprocess.run([program, file, str(count), str(seed)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    return done.stdout


def test_a_changed_slot_file_is_refused_or_harmless(tmp_path):
    other = other_model(MODELS / "drive.int8.onnx", tmp_path / "other.int8.onnx")
    said = fuzz("drive", {"drive": other}, 300, tmp_path)
    assert int(re.search(r"played (\d+)", said)[1]) > 30
    assert "sums could overflow" in said


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize(
    ("instrument", "role"),
    [("drive", "drive"), ("voice", "voice"), ("arpeggio", "chords"), ("rhythm", "rhythm"), ("drum", "drum")],
)
def test_a_hundred_thousand_changed_slot_files_are_refused_or_harmless(instrument, role, seed, tmp_path):
    models = {role: other_model(MODELS / f"{role}.int8.onnx", tmp_path / f"{role}.int8.onnx")}
    said = fuzz(instrument, models, 5_000, tmp_path, seed)
    assert int(re.search(r"played (\d+)", said)[1]) > 500


def test_a_voltage_melts_one_model_into_another(other, folder, tmp_path):
    """At one end the model that plays, to the bit; at the other end the one that it was paired with."""
    file = tmp_path / "voice.toml"
    file.write_text("morph = true\n" + (INSTRUMENTS_DIR / "voice.toml").read_text())
    own = built(folder / "melts", {"voice": VOICE}, file)
    with_other = built(folder / "melts with", {"voice": other}, file)
    melting, plain, there = (
        Module(shutil.copy(library, tmp_path / f"{name}.so"), blank())
        for name, library in (("melting", own), ("plain", own), ("there", with_other))
    )
    made = make_slot_file({"voice": other}, file, melting.hello(), module.slots_of(melting))
    module.send(melting, 2, made)
    module.morph(melting, 2)
    assert (module.slots_of(melting).pair, module.slots_of(melting).blends) == (2, True)
    names_ = [entry["name"] for entry in melting.ask("parameters")["parameters"]]
    last = names_.index("model/morph")
    for played in (melting, plain, there):
        for number in range(8):  # a latent without a knob rests where its model's own rests
            played.ask("set", parameter=number, value=0.6)
            played.play(1)

    def heard(played: Module, share: float) -> np.ndarray:
        played.ask("set", parameter=last, value=share)
        played.play(300, sound=2)
        return played.play(200, sound=2)

    def apart(one: np.ndarray, two: np.ndarray) -> float:
        return float(np.sqrt(np.mean((one - two) ** 2) / np.mean(two**2)))

    ends = {share: heard(plain, share) for share in (0.0, 0.5, 1.0)}
    others = {share: heard(there, share) for share in (0.0, 0.5, 1.0)}
    assert np.array_equal(heard(melting, 0.0), ends[0.0])
    assert min(apart(half := heard(melting, 0.5), ends[0.5]), apart(half, others[0.5])) > 0.1
    assert apart(heard(melting, 1.0), others[1.0]) < 0.01 < apart(ends[1.0], others[1.0])
    melting.power_on()
    assert module.slots_of(melting).pair == 2
    module.morph(melting, None)
    assert module.slots_of(melting).pair is None
    module.use(melting, 2)
    melting.play(10)
    module.morph(melting, 0)
    assert (module.slots_of(melting).playing, module.slots_of(melting).pair) == (2, 0)

    own_parts = generate(file, "patch_sm", folder / "melts seen", target="host").slotted.parts
    pieces = {piece.place: bytearray(piece.raw) for part in own_parts for piece in part.pieces}

    def sent(slot: int) -> None:
        payload = b"".join(bytes(raw) + bytes(-len(raw) % 8) for raw in pieces.values())
        module.send(melting, slot, forged(made, payload=payload))

    add = "voice_net_add_15_integer_add.multiplier_a"
    pieces[add][:] = np.array([1, 1, 3, 0], "<i2").tobytes()  # another shift
    sent(3)
    with pytest.raises(Refusal, match="scales differ too much for a blend"):
        module.morph(melting, 3)
    pieces[add][:] = next(p.raw for part in own_parts for p in part.pieces if p.place == add)
    pieces["voice_net_conv1d_1_integer_weights"][:] = bytes(len(pieces["voice_net_conv1d_1_integer_weights"]))
    pieces["voice_net_conv1d_1_integer_requant"][:4] = np.array([2_140_000_000], "<i4").tobytes()
    sent(4)  # each holds alone, and a mixture of one's weights and the other's bias would not
    with pytest.raises(Refusal, match="scales differ too much for a blend"):
        module.morph(melting, 4)
    assert module.slots_of(melting).pair is None


def test_an_instrument_that_blends_nothing_says_so(voice, slot_file):
    module.send(voice, 1, slot_file)
    with pytest.raises(Refusal, match="say morph = true in its file"):
        module.morph(voice, 1)
