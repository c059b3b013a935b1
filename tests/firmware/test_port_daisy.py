"""The Daisy port, compiled and run against a double of the libDaisy classes it uses."""

from __future__ import annotations

import ctypes
import itertools
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import vaectrol
from common.refusal import ToolMissing
from firmware.build import generate
from firmware.models.model_file import MODELS_DIR
from firmware.ports.daisy.link import _tool, libdaisy_dir
from firmware.slots.make import make_slot_file
from firmware.slots.module import send, slots_of, use
from hardware.board import load_board
from hardware.protocol import Hello
from hardware.tables import board_tables
from tests.firmware.other_model import other_model

ROOT = Path(__file__).resolve().parents[2]
PORT = ROOT / "firmware" / "ports" / "daisy"
DOUBLE = Path(__file__).with_name("libdaisy_double")
CONTROL = ROOT / "firmware" / "engine" / "control"
C_SOURCES = [
    ROOT / "tests" / "hardware" / "voltmeter.c",
    *(CONTROL / name for name in ("calibration.c", "store.c", "gate_ring.c")),
    *(ROOT / "firmware" / "ports" / "serial" / name for name in ("protocol.c", "json.c")),
]
FLASH_BYTES = 8 << 20
STORAGE = 0x7F0000
BLOCK_CYCLES = 48 * 480e6 / 48014.32


@pytest.fixture(scope="session")
def port_library(tmp_path_factory):
    """Build the port for a board; returns a function from board name (and bench) to the shared library."""
    built: dict[tuple[str, bool, str], Path] = {}

    def build(board: str, bench: bool = False, instrument: str = "") -> Path:
        if (board, bench, instrument) in built:
            return built[board, bench, instrument]
        out = tmp_path_factory.mktemp(f"daisy-{board}")
        (out / "board.h").write_text(board_tables(load_board(board)))
        identity = json.dumps(json.dumps({"board": board, "boot": "sram"}))
        (out / "vaectrol_identity.h").write_text(f"#define VAECTROL_IDENTITY {identity}\n")
        zig = [sys.executable, "-m", "ziglang"]
        common = [
            "-O1",
            "-g0",
            "-fPIC",
            "-I",
            str(out),
            "-Wall",
            "-Wextra",
            "-Werror",
            "-fno-sanitize=undefined",
        ]
        common += ["-DVAECTROL_BENCH"] if bench else []
        objects = []
        sources = C_SOURCES
        if instrument:  # in place of the voltmeter
            made = generate(instrument, board, out, target="host")
            own = {source.name for source in made.sources} | {"voltmeter.c"}
            sources = [*made.sources, *(source for source in C_SOURCES if source.name not in own)]
            common += [word for folder in made.include_dirs for word in ("-I", str(folder))]
        for source in sources:
            objects.append(out / f"{source.stem}.o")
            command = [
                *zig,
                "cc",
                "-std=c11",
                *common,
                f'-DVOLTMETER_BOARD="{board}"',
                "-c",
                source,
                "-o",
                objects[-1],
            ]
            subprocess.run(command, check=True)
        cpp = [*sorted(PORT.glob("*.cpp")), DOUBLE / "double.cpp"]
        library = out / "port.so"
        defines = ["-DVAECTROL_DOUBLE", "-include", str(out / "vaectrol_identity.h"), "-I", str(DOUBLE)]
        # not "zig c++": nothing here needs a C++ library, and zig would first build the whole of one
        command = [
            *zig,
            "cc",
            "-std=c++17",
            "-fno-exceptions",
            "-fno-rtti",
            *common,
            *defines,
            "-shared",
            *cpp,
            *objects,
            "-o",
            library,
        ]
        subprocess.run(command, check=True)
        built[board, bench, instrument] = library
        return library

    return build


class Module:
    """One power-on of the port; a copy of the library each, since its state is static as on the module."""

    def __init__(self, library: Path, tmp_path: Path, flash: bytearray | None = None) -> None:
        copy = tmp_path / f"{library.parent.name}-{len(list(tmp_path.iterdir()))}.so"
        shutil.copy(library, copy)
        self.c = ctypes.CDLL(str(copy))
        self.c.double_cv_volts.restype = ctypes.c_float
        self.c.double_block.restype = ctypes.c_size_t
        self.c.double_usb_out.restype = ctypes.c_size_t
        for name in ("get_pin", "led", "boosted", "flushes_denormals"):
            getattr(self.c, f"double_{name}").restype = ctypes.c_bool
        self.flash = flash if flash is not None else bytearray(b"\xff" * FLASH_BYTES)
        self._view = (ctypes.c_uint8 * FLASH_BYTES).from_buffer(self.flash)
        self.c.double_start(self._view)
        self.ms = 1
        self.line = b""

    def pin(self, mcu: str, level: bool) -> None:
        self.c.double_set_pin(ord(mcu[1]) - ord("A"), int(mcu[2:]), level)

    def level(self, mcu: str) -> bool:
        return self.c.double_get_pin(ord(mcu[1]) - ord("A"), int(mcu[2:]))

    def callback(self, audio: np.ndarray | None = None, polls: int = 48, gap_cycles: int = 0) -> np.ndarray:
        """Timer polls of one block, then the audio callback. audio: [2, block]; returns the same shape."""
        self.c.double_poll(polls)
        block = self.c.double_block()
        data = np.ascontiguousarray(audio if audio is not None else np.zeros((2, block)), np.float32)
        out = np.zeros((2, block), np.float32)
        as_floats = ctypes.POINTER(ctypes.c_float)
        self.c.double_audio(data.ctypes.data_as(as_floats), out.ctypes.data_as(as_floats), gap_cycles)
        return out

    def serve(self, times: int = 1, fetch: bool = True) -> None:
        for _ in range(times):
            self.ms += 1
            self.c.double_serve(self.ms)
            if fetch:
                self.fetch()

    def fetch(self) -> None:
        held = ctypes.create_string_buffer(2048)
        count = self.c.double_usb_out(held)
        self.line += held.raw[:count]

    def ask(self, **members: object) -> dict:
        request = json.dumps({"id": 7, **members}).encode() + b"\n"
        self.c.double_usb_in(request, len(request))
        for _ in range(200):
            self.serve()
            while b"\n" in self.line:
                line, self.line = self.line.split(b"\n", 1)
                answer = json.loads(line)
                if answer.get("id") == 7:
                    return answer
        raise AssertionError(f"no answer to {members}; held {self.line!r}")


@pytest.fixture
def module(port_library, tmp_path):
    return Module(port_library("patch_sm"), tmp_path)


def test_it_answers_over_usb_with_its_true_rate(module):
    answer = module.ask(cmd="hello")
    assert answer["board"] == "patch_sm"
    assert answer["rate_hz"] == pytest.approx(48014.32, abs=0.01)
    assert module.c.double_boosted()


def test_audio_is_turned_round_where_the_codec_stage_inverts(module):
    ramp = np.linspace(-0.5, 0.5, 96, dtype=np.float32).reshape(2, 48)
    out = module.callback(ramp)
    np.testing.assert_array_equal(out, -ramp)  # the voltmeter passes audio through
    assert module.c.double_flushes_denormals()


def test_each_input_reads_its_own_converter_channel(module):
    for index, adc in enumerate(load_board("patch_sm").adcs[:8]):
        module.c.double_set_adc(adc.index, adc.code(-4.0 + index))
    module.callback()
    volts = module.ask(cmd="report")["volts"]
    assert volts == pytest.approx([-4, -3, -2, -1, 0, 1, 2, 3], abs=0.001)


def test_patch_init_jacks_are_the_upper_channels(port_library, tmp_path):
    module = Module(port_library("patch_init"), tmp_path)
    board = load_board("patch_init")
    module.c.double_set_adc(4, board.adc("cv_1").code(2.5))
    module.callback()
    assert module.ask(cmd="report")["volts"][0] == pytest.approx(2.5, abs=0.001)


def test_codes_are_means_over_the_blocks_since_the_last_report(module):
    for code in (10_000, 20_000, 30_000):
        module.c.double_set_adc(0, code)
        module.callback()
    report = module.ask(cmd="report")
    assert report["over"] == 3
    assert report["codes"][0] == pytest.approx(20_000 / 65_535, abs=1e-6)
    module.callback()
    assert module.ask(cmd="report")["codes"][0] == pytest.approx(30_000 / 65_535, abs=1e-6)


def test_gates_are_polled_at_the_sample_rate_and_before_the_audio(module):
    assert module.c.double_timer_hz() == 48_000
    dma, timer = 11, 50
    assert module.c.double_irq_priority(timer) < module.c.double_irq_priority(dma)


def test_no_one_millisecond_trigger_is_missed_at_any_phase(module):
    random = np.random.default_rng(0)
    sent = 0
    for _ in range(400):
        low, high = int(random.integers(10, 300)), 48  # polls: 1 ms high
        levels = [False] * low + [True] * high
        sent += 1
        for level in levels:
            module.pin("PG13", not level)  # the input stage inverts
            module.c.double_poll(1)
            module.polls = getattr(module, "polls", 0) + 1
            if module.polls % 48 == 0:
                module.callback(polls=0)
    module.callback(polls=0)
    assert module.ask(cmd="report")["triggers"][0] == sent


def test_gate_out_follows_and_cv_out_reaches_its_jack(module):
    module.pin("PG13", False)  # 5 V at GATE_IN_1
    module.c.double_set_adc(0, load_board("patch_sm").adc("cv_1").code(3.0))
    module.callback()
    assert module.level("PC14")
    assert module.c.double_cv_volts(1) == pytest.approx(3.0, abs=0.002)
    module.pin("PG13", True)
    module.callback()
    assert not module.level("PC14")


def test_a_bouncing_button_is_one_press(module):
    random = np.random.default_rng(1)
    for level in [*random.integers(0, 2, 100), *[0] * 600]:  # closes to ground after 2 ms of bouncing
        module.pin("PB8", bool(level))
        module.c.double_poll(1)
    for _ in range(15):
        module.callback(polls=0)
    assert module.ask(cmd="report")["triggers"][2] == 1


def test_calibration_is_stored_past_the_cache_and_survives_power_off(port_library, tmp_path, module):
    adc = load_board("patch_sm").adc("cv_1")
    points = [[adc.code(1.02) / 65_535, 1.0], [adc.code(3.05) / 65_535, 3.0]]
    answer = module.ask(cmd="calibrate", input=0, points=points)
    assert answer["ok"] and answer["stored"], answer
    written = np.flatnonzero(np.frombuffer(bytes(module.flash), np.uint8) != 0xFF)
    assert written.min() >= STORAGE and written.max() < STORAGE + 4 * 4096
    again = Module(port_library("patch_sm"), tmp_path, module.flash)
    kept = again.ask(cmd="calibration", input=0)["points"]
    assert np.allclose(sorted(kept), sorted(points), atol=1e-6)


@pytest.mark.slow
def test_a_model_is_sent_over_usb_into_the_flash_below_all_settings(port_library, tmp_path):
    """The slots' places lie where the board says, and what lies there plays after power on."""
    library = port_library("patch_sm", instrument="voice")
    played = Module(library, tmp_path)

    class Asked:
        device = "the double"

        def ask(self, cmd, timeout_s=0.0, **members):
            answer = played.ask(cmd=cmd, **members)
            assert answer["ok"], answer
            return answer

    link = Asked()
    hello, held = Hello.model_validate(played.ask(cmd="hello")), slots_of(link)
    other = other_model(MODELS_DIR / "voice.int8.onnx", tmp_path / "other.int8.onnx")
    send(link, 8, make_slot_file({"voice": other}, "voice", hello, held))
    use(link, 8)
    for _ in range(12):
        played.callback()
        played.serve()
    assert slots_of(link).playing == 8
    written = np.flatnonzero(np.frombuffer(bytes(played.flash), np.uint8) != 0xFF)
    board = load_board("patch_sm")
    end = board.storage_address + 0x10000
    assert end - board.storage_bytes <= written.min() < written.max() < STORAGE - 48 * 4096
    played = Module(library, tmp_path, played.flash)
    assert [model.name for model in slots_of(link).models] == ["other"]
    assert slots_of(link).playing == 8


def test_a_busy_usb_port_tears_no_line(module):
    request = b'{"cmd":"report","id":1}\n{"cmd":"parameters","id":2}\n{"cmd":"hello","id":3}\n'
    module.c.double_usb_in(request, len(request))
    random = np.random.default_rng(2)
    for _ in range(400):
        module.serve(fetch=bool(random.integers(0, 2)))
    answers = [json.loads(line) for line in module.line.splitlines()]
    assert [answer["id"] for answer in answers] == [1, 2, 3]


def test_nothing_is_sent_before_a_computer_has_spoken(module):
    # libDaisy's transmitter follows a null pointer until the port is set up
    module.ask(cmd="hello")  # and then it is
    fresh = ctypes.create_string_buffer(16)
    assert module.c.double_usb_out(fresh) == 0


def test_load_mean_worst_and_late_blocks(module):
    for share in [0.3] * 400 + [0.6] + [0.3] * 40:
        step = int(share * BLOCK_CYCLES)
        module.c.double_cycles_per_callback(step)
        # LoadEnd's own look costs a step more: the gap to the next callback is what remains of a block
        module.callback(gap_cycles=int(BLOCK_CYCLES) - 2 * step)
    report = module.ask(cmd="report")
    assert report["cpu_mean"] == pytest.approx(0.30, abs=0.02)
    assert report["cpu_worst"] == pytest.approx(0.6, abs=0.02)
    assert report["late"] == 0
    module.callback(gap_cycles=int(BLOCK_CYCLES))
    module.callback(gap_cycles=0)
    assert module.ask(cmd="report")["late"] == 1


def test_lights_blink_slowly_when_well_and_fast_when_late(module):
    def toggles() -> int:
        seen = []
        for _ in range(1000):
            module.serve()
            seen.append(module.c.double_led())
        return sum(a != b for a, b in itertools.pairwise(seen))

    assert 1 <= toggles() <= 3
    module.c.double_cycles_per_callback(int(0.99 * BLOCK_CYCLES))
    module.callback(gap_cycles=0)
    assert toggles() > 10


@pytest.mark.parametrize(("to", "mode"), [("app", 2), ("bootloader", 3), ("rom", 0)])
def test_it_restarts_into_the_bootloader_that_was_asked_for(module, to, mode):
    module.ask(cmd="reboot", to=to)
    assert module.c.double_reset_to() == mode


def test_the_seed_sets_up_its_own_converters(port_library, tmp_path):
    module = Module(port_library("seed"), tmp_path)
    board = load_board("seed")
    for adc in board.adcs:
        expected = (ord(adc.mcu[1]) - ord("A")) * 16 + int(adc.mcu[2:])
        assert module.c.double_adc_pin(adc.index) == expected
    module.c.double_set_adc(board.adc("cv_1").index, board.adc("cv_1").code(2.0))
    out = module.callback(np.full((2, 48), 0.25, np.float32))
    np.testing.assert_array_equal(out, 0.25)  # no inverting stage here
    assert module.c.double_dac_code(0) == pytest.approx(2.0 * 819, abs=2)


def test_a_bench_image_counts_cycles_per_layer(port_library, tmp_path):
    module = Module(port_library("patch_sm", bench=True), tmp_path)
    module.c.double_cycles_per_callback(1000)
    for _ in range(100):
        module.callback(gap_cycles=0)
    answer = module.ask(cmd="bench")
    assert answer["ok"] and answer["clock_hz"] == 480_000_000
    assert answer["callbacks"] == 100
    assert answer["mean"] == pytest.approx(1000, abs=1)
    assert answer["worst"] == 1000
    assert answer["budget"] == pytest.approx(BLOCK_CYCLES, abs=2)
    assert answer["outside"][0] == pytest.approx(1000, abs=1)  # the voltmeter has no layers
    assert module.ask(cmd="bench")["callbacks"] == 100  # starts afresh with the next callback
    module.callback(gap_cycles=0)
    assert module.ask(cmd="bench")["callbacks"] == 1


def test_an_ordinary_image_says_that_it_does_not_count(module):
    answer = module.ask(cmd="bench")
    assert not answer["ok"] and "bench image" in answer["error"]


def test_tools_that_are_missing_are_told_apart(tmp_path, monkeypatch):
    """A build ends well without them: everything but the image is there."""
    monkeypatch.delenv("LIBDAISY_DIR", raising=False)
    with pytest.raises(ToolMissing, match="needs libDaisy"):
        libdaisy_dir()
    monkeypatch.setenv("LIBDAISY_DIR", str(tmp_path))
    with pytest.raises(ToolMissing, match="there is no libDaisy"):
        libdaisy_dir()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(ToolMissing, match=r"arm-none-eabi-size is not installed"):
        _tool("size")


@pytest.fixture(scope="session")
def libdaisy():
    path = Path(os.environ.get("LIBDAISY_DIR", "/nowhere"))
    if not (path / "build" / "libdaisy.a").exists() or shutil.which("arm-none-eabi-g++") is None:
        pytest.skip("needs a built libDaisy (LIBDAISY_DIR) and arm-none-eabi-g++")
    return path


def test_get_adc_value_undoes_the_swap_in_libdaisys_header(libdaisy):
    """The board's pins against libDaisy itself: its table of channels, resolved through its header."""
    header = (libdaisy / "src" / "daisy_patch_sm.h").read_text()
    source = (libdaisy / "src" / "daisy_patch_sm.cpp").read_text()
    pins = {m[1]: f"P{m[2]}{m[3]}" for m in re.finditer(r"Pin (\w\d+)\s*= Pin\(PORT(\w), (\d+)\)", header)}
    names = {m[1]: m[2] for m in re.finditer(r"(PIN_ADC_CTRL_\d+)\s*= DaisyPatchSM::(\w\d+)", source)}
    order = re.search(r"adc_pins\[\] = \{(.*?)\}", source, re.S)
    channels = [pins[names[name]] for name in re.findall(r"PIN_ADC_CTRL_\d+", order[1])]
    assert channels == [adc.mcu for adc in sorted(load_board("patch_sm").adcs, key=lambda adc: adc.index)]


@pytest.mark.parametrize("boot", ["sram", "qspi"])
@pytest.mark.parametrize("board", ["patch_sm", "patch_init", "seed"])
def test_it_links_against_the_real_libdaisy(libdaisy, tmp_path, board, boot):
    from firmware.ports.daisy.link import C_FLAGS, MCU, link_image
    from firmware.toolchain import compile_source
    from hardware.image import read_image

    objects = []
    for source in C_SOURCES[:4]:
        objects.append(tmp_path / f"{source.stem}.o")
        command = [
            "arm-none-eabi-gcc",
            *MCU,
            *C_FLAGS,
            f'-DVOLTMETER_BOARD="{board}"',
            "-c",
            source,
            "-o",
            objects[-1],
        ]
        subprocess.run(command, check=True)
    # the engine's own memcpy comes along, as in every real image: it must not end up in ITCM
    freestanding = ROOT / "firmware" / "engine" / "kernels" / "freestanding.c"
    objects.append(tmp_path / "freestanding.o")
    objects[-1].write_bytes(compile_source(freestanding, "m7").read_bytes())
    identity = {"instrument": "voltmeter", "model": "00c0ffee", "version": "0.1.0"}
    image = link_image(objects, load_board(board), identity, tmp_path, "voltmeter", boot)
    assert read_image(image.path, board).identity.instrument == "voltmeter"
    use = {region.name: region for region in image.regions}
    assert use["itcm"].used > 1024 and "calibration.o" in image.hot  # the engine's code runs from ITCM
    assert "freestanding.o" not in image.hot
    assert image.bytes < 130_000
    for name in ("axi", "dtcm", "d2"):  # what the board description reserves is enough for the port
        reserved = load_board(board).region(name).reserved_bytes
        stack = 16 * 1024 if name == "dtcm" else 0
        dma_or_loader = 32 * 1024 if name == "axi" and boot == "sram" else 0
        assert use[name].used + stack + dma_or_loader <= reserved + 2048, (name, use[name])


@pytest.mark.parametrize("place", [None, "/nonsense"])
def test_build_says_at_the_start_what_would_be_missing_at_the_end(place, tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("LIBDAISY_DIR", raising=False)
    if place:
        monkeypatch.setenv("LIBDAISY_DIR", place)
    words = ["build", "drum", "--board", "patch_sm", "-o", str(tmp_path / "out")]
    assert vaectrol.main(words) == 2
    said = capsys.readouterr().err
    assert "libDaisy" in said and "`--objects-only` makes everything but the image" in said
    assert not (tmp_path / "out").exists()
    assert vaectrol.main([*words, "--bench", "--objects-only"]) == 2
