"""The Pi port as a program on this computer: ALSA's null and file devices, fake SPI bus and GPIO chip."""

from __future__ import annotations

import ctypes
import json
import mmap
import os
import platform
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from common.refusal import Refusal
from firmware.ports.rpi.link import link_program
from firmware.toolchain import compile_source
from hardware.board import load_board
from hardware.protocol import Link

ROOT = Path(__file__).resolve().parents[2]
CONTROL = ROOT / "firmware" / "engine" / "control"
BOARD = load_board("rpi4")
pytestmark = pytest.mark.skipif(platform.system() != "Linux", reason="the Pi program runs on Linux")


class State(ctypes.Structure):
    """struct State of fake_linux.c."""

    _fields_ = (
        ("adc", ctypes.c_uint16 * 8),
        ("dac", ctypes.c_uint16 * 2),
        ("scans", ctypes.c_uint32),
        ("wrong", ctypes.c_uint32),
        ("outputs", ctypes.c_uint64),
        ("pulses_asked", ctypes.c_uint32),
        ("pulse_us", ctypes.c_uint32),
        ("gap_us", ctypes.c_uint32),
        ("pulses_sent", ctypes.c_uint32),
        ("pulses_a_time", ctypes.c_uint32),
        ("lines_in", ctypes.c_uint32 * 8),
        ("lines_in_count", ctypes.c_uint32),
        ("active_low_mask", ctypes.c_uint32),
        ("debounce_mask", ctypes.c_uint32),
        ("lines_out_count", ctypes.c_uint32),
    )


@pytest.fixture(scope="session")
def program(tmp_path_factory) -> Path:
    sources = [ROOT / "tests" / "hardware" / "voltmeter.c", CONTROL / "calibration.c", CONTROL / "store.c"]
    objects = [compile_source(source, "host", extra=['-DVOLTMETER_BOARD="rpi4"']) for source in sources]
    return link_program(objects, BOARD, tmp_path_factory.mktemp("pi"), "voltmeter-rpi4", "host")


@pytest.fixture(scope="session")
def fake_linux(tmp_path_factory) -> Path:
    library = tmp_path_factory.mktemp("fake") / "fake_linux.so"
    command = [
        sys.executable,
        "-m",
        "ziglang",
        "cc",
        "-shared",
        "-fPIC",
        "-O1",
        "-g0",
        "-fno-sanitize=undefined",
    ]
    subprocess.run([*command, Path(__file__).with_name("fake_linux.c"), "-o", library], check=True)
    return library


def words(program: Path, tmp_path: Path, *more: str, **changed: str) -> list[str]:
    """The command line, everything switched off that a test does not ask for."""
    options = {"audio": "none", "adc": "none", "dac": "none", "gpio": "none", "block": "64", "seconds": "1"}
    options |= {"socket": str(tmp_path / "s.sock"), "storage": str(tmp_path / "storage.bin")} | changed
    return [str(program), *(word for key, value in options.items() for word in (f"--{key}", value)), *more]


def finished(command: list[str], **environment: str) -> tuple[dict, str]:
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ | environment, timeout=60)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


def test_it_runs_by_the_clock_without_any_card(program, tmp_path):
    counts, _ = finished(words(program, tmp_path))
    assert counts["frames"] == counts["blocks"] * 64
    # what was rendered and what was lost is the time that passed
    assert counts["frames"] + counts["lost_frames"] == pytest.approx(counts["seconds"] * 48_000, rel=0.05)


def test_what_real_time_did_not_grant_is_named(program, tmp_path):
    counts, said = finished(words(program, tmp_path, seconds="0.3"))
    for granted, words_ in (
        ("sched_fifo", "not granted: SCHED_FIFO"),
        ("mlockall", "not granted: locked memory"),
    ):
        assert (words_ in said) is not counts[granted]


needs_alsa = pytest.mark.skipif(
    not any(Path(folder).glob("**/libasound.so.2") for folder in ("/usr/lib", "/lib")),
    reason="needs libasound.so.2",
)


@needs_alsa
def test_the_file_device_gets_exactly_the_frames_counted(program, tmp_path):
    # a file device of our own: what is played lands there, what is recorded comes from null
    conf = tmp_path / "asound.conf"
    out = tmp_path / "played.raw"
    conf.write_text(
        f'pcm.null {{ type null }}\npcm.tofile {{ type file slave.pcm "null" file "{out}" format "raw" }}\n'
    )
    counts, _ = finished(words(program, tmp_path, "--paced", audio="tofile"), ALSA_CONFIG_PATH=str(conf))
    periods = 2 * 64 * (1 + counts["xruns"])
    assert counts["xruns"] == 0 or counts["lost_frames"] > 0
    # 2 channels × 4 bytes; both periods of silence come first
    assert out.stat().st_size == pytest.approx((counts["frames"] + 2 * 64) * 8, abs=periods * 8)


@needs_alsa
def test_the_null_device_never_waits_and_is_held_to_time(program, tmp_path):
    paced, _ = finished(words(program, tmp_path, "--paced", audio="null", seconds="0.5"))
    # what a starved machine kept from it at the very end is in no count but this one
    late = 48 * paced["worst_late_ms"]
    assert paced["frames"] + paced["lost_frames"] == pytest.approx(24_000, abs=2_400 + late)
    assert paced["capture"]


@needs_alsa
def test_a_card_that_is_not_there_is_one_sentence(program, tmp_path):
    command = words(program, tmp_path, audio="hw:nowhere")
    done = subprocess.run(command, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("vaectrol-pi: no sound: hw:nowhere does not play") and "aplay -l" in last


def test_a_wrong_block_is_one_sentence(program, tmp_path):
    done = subprocess.run(words(program, tmp_path, block="4096"), capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (2, "vaectrol-pi: a block has 1 to 256 samples, not 4096.\n")


def test_without_the_carrier_it_says_so_and_plays(program, tmp_path):
    missing = words(program, tmp_path, adc="/dev/nowhere", gpio="/dev/nochip", seconds="0.2")
    counts, said = finished(missing)
    assert counts["blocks"] > 50
    assert "no ADC: cannot open /dev/nowhere" in said and "raspi-config" in said
    assert "no gates: cannot open /dev/nochip" in said


class Running:
    """The program with the fake carrier, and a link to it."""

    def __init__(self, program: Path, fake_linux: Path, tmp_path: Path, **changed: str) -> None:
        state = tmp_path / "state"
        state.write_bytes(b"\0" * 4096)
        with state.open("r+b") as file:
            self.map = mmap.mmap(file.fileno(), 4096)
        self.state = State.from_buffer(self.map)
        devices = {"adc": "/dev/spidev0.0", "dac": "/dev/spidev0.1", "gpio": "/dev/gpiochip0", "seconds": "0"}
        self.socket = tmp_path / "s.sock"
        environment = os.environ | {"LD_PRELOAD": str(fake_linux), "FAKE_LINUX_STATE": str(state)}
        self.process = subprocess.Popen(
            words(program, tmp_path, **(devices | changed)),
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 10
        while not self.socket.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        self.link = Link(f"unix:{self.socket}")

    def stop(self) -> dict:
        self.link.close()
        self.process.terminate()
        out, _ = self.process.communicate(timeout=10)
        return json.loads(out)


@pytest.fixture
def running(program, fake_linux, tmp_path):
    run = Running(program, fake_linux, tmp_path)
    yield run
    if run.process.poll() is None:
        run.stop()


def test_the_converters_speak_their_data_sheets(running):
    for channel in range(8):
        running.state.adc[channel] = 100 + 400 * channel
    time.sleep(0.1)
    running.link.report()
    time.sleep(0.1)
    report = running.link.report()
    for index, adc in enumerate(BOARD.adcs):
        assert report.codes[index] == pytest.approx((100 + 400 * adc.index) / 4095, abs=1e-4)
    assert running.state.wrong == 0
    assert running.state.scans > 8 * 50
    volts = 5.0 - 10.0 * report.codes[0]  # the voltmeter's law; it shows its inputs on the CV outputs
    assert running.state.dac[0] == pytest.approx(min(4095, max(0, volts * 819)), abs=2)


@pytest.mark.parametrize("at_once", [1, 50])
def test_every_one_millisecond_trigger_arrives(running, at_once):
    """On a starved machine many edges arrive together and late; then too none is lost in another."""
    running.state.pulse_us, running.state.gap_us = 1000, 2000
    running.state.pulses_a_time = at_once
    running.state.pulses_asked = 200
    deadline = time.monotonic() + 10
    while running.state.pulses_sent < 200 and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(0.1)
    seen = 0
    while seen < 200 and time.monotonic() < deadline:
        seen = running.link.report().triggers[0]
    counts = running.stop()
    assert running.state.pulses_sent == 200 and counts["edges_lost"] == 0
    assert seen == 200


def test_lines_are_asked_for_as_the_board_says(running):
    state = running.state
    lines = [gate.line for gate in (*BOARD.gates_in, *BOARD.buttons)]
    assert list(state.lines_in[: state.lines_in_count]) == lines
    assert state.active_low_mask == 0b111  # both gates invert, the button closes to ground
    assert state.debounce_mask == 0b100
    assert state.lines_out_count == len(BOARD.gates_out) + len(BOARD.leds)


def test_it_is_calibrated_and_monitored_like_a_module(running, program, fake_linux, tmp_path):
    assert running.link.hello().board == "rpi4"
    answer = running.link.ask("calibrate", input=0, points=[[0.4, 1.0], [0.2, 3.0]])
    assert answer["stored"]
    running.stop()
    again = Running(program, fake_linux, tmp_path)
    assert len(again.link.ask("calibration", input=0)["points"]) == 2
    assert again.link.ask("calibration", input=0)["points"][0] == pytest.approx([0.2, 3.0], abs=1e-5)
    again.stop()


def test_several_programs_may_ask_at_once_and_one_that_never_reads_hinders_nobody(running):
    import socket

    deaf = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    deaf.connect(str(running.socket))
    deaf.sendall(b'{"cmd":"stream","hz":200}\n')
    with Link(f"unix:{running.socket}") as second:
        for _ in range(20):
            assert second.hello().board == running.link.hello().board
    deaf.close()


def test_nobody_listening_is_one_sentence(tmp_path):
    with pytest.raises(Refusal, match=r"is vaectrol\.service running"):
        Link(f"unix:{tmp_path / 'nothing.sock'}")


def test_it_cross_compiles_for_a_pi_and_starts_there(tmp_path):
    sources = [ROOT / "tests" / "hardware" / "voltmeter.c", CONTROL / "calibration.c", CONTROL / "store.c"]
    objects = [compile_source(source, "aarch64", extra=['-DVOLTMETER_BOARD="rpi4"']) for source in sources]
    built = link_program(objects, BOARD, tmp_path, "voltmeter-rpi4", "aarch64")
    head = built.read_bytes()[:20]
    assert head[:4] == b"\x7fELF" and head[18] == 0xB7  # EM_AARCH64
    libraries = Path("/usr/aarch64-linux-gnu")
    if shutil.which("qemu-aarch64") is None or not libraries.exists():
        pytest.skip("running it needs qemu-user and libc6-arm64-cross")
    done = subprocess.run(
        ["qemu-aarch64", "-L", str(libraries), *words(built, tmp_path, seconds="0.3")],
        capture_output=True,
        text=True,
    )
    assert json.loads(done.stdout)["board"] == "rpi4"


@pytest.mark.slow
def test_ten_minutes_at_block_64_under_load(program, tmp_path):
    """Every core loaded by another process; what is lost is reported, and the accounting must be whole."""
    load = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        done = subprocess.run(
            words(program, tmp_path, seconds="600"), capture_output=True, text=True, timeout=700
        )
    finally:
        for process in load:
            process.kill()
    counts = json.loads(done.stdout)
    print(counts)
    assert counts["frames"] + counts["lost_frames"] == pytest.approx(counts["seconds"] * 48_000, rel=0.001)
    if counts["sched_fifo"] and counts["worst_late_ms"] < 1.33:
        assert counts["lost_frames"] == 0
