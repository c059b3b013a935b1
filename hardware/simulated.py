"""A board on the desk that is not there: the module's own program behind a pty, with converters that lie.

The program is a shared library of the instrument, the serial protocol and
`firmware/ports/simulated/board.c`, compiled for this computer. What it reads is invented here: volts at each
jack, bent, scaled and shifted as parts are, with noise, drift and a slow scan. Its clock may run fast or
slow, it can be unplugged, in the middle of a line too, and it can babble.

One request it answers itself, before the program: ``patch`` puts volts into a jack, so that a calibration can
be rehearsed with nobody at the cables (`patch_simulated`). No module knows it.
"""

from __future__ import annotations

import ctypes
import json
import math
import mmap
import os
import pty
import termios
import threading
import time
import tty
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from common.files import write_bytes
from common.refusal import ModuleGone, Refusal
from hardware.board import Board
from hardware.protocol import Link

STORAGE_BYTES = (56 + 2 + 9 * 112) * 4096
"""PORT_STORAGE_BYTES of firmware/engine/port.h."""
PATCH = b'{"cmd":"patch",'
"""How a request for the board, not for its program, begins; see `hardware.protocol.Link.ask`."""
LONGEST_PATCH_BYTES = 256
HALF_LINE_S = 0.05
"""Between half a line and the end of the port: a pty forgets what nobody has read."""
SETTLE_S = 0.05
"""A scan of all inputs, and room."""
PTYS = ("/dev/pts/", "/dev/ttys")


@dataclass
class ConverterErrors:
    """How far a converter is from its nominal law.

    The code of `volts` is that of ``(volts + bend·(volts/5)²)·(1 + gain) + offset + drift·t + noise``: gain
    and offset are the resistors and the reference, the bend is what inputs do over octaves.
    """

    gain: float = 0.0
    offset_volts: float = 0.0
    bend_volts: float = 0.0
    noise_volts_rms: float = 0.0
    drift_volts_per_minute: float = 0.0

    def seen_volts(self, volts: float, seconds: float = 0.0, noise: float = 0.0) -> float:
        """Volts that the converter takes `volts` at the jack for."""
        bent = volts + self.bend_volts * (volts / 5.0) ** 2
        drift = self.drift_volts_per_minute * seconds / 60.0
        return bent * (1.0 + self.gain) + self.offset_volts + drift + noise * self.noise_volts_rms


@dataclass
class Jacks:
    """What is patched: volts by input name, levels by gate name. Inputs not named are at 0 V.

    A cable from one of the board's own CV outputs, ``cables[input] = output``, wins over volts.
    """

    volts: dict[str, float] = field(default_factory=dict)
    gates: dict[str, bool] = field(default_factory=dict)
    cables: dict[str, str] = field(default_factory=dict)


class _Bench(ctypes.Structure):
    """BoardBench of board.h."""

    _fields_ = (
        ("clock_hz", ctypes.c_uint32),
        ("budget", ctypes.c_uint32),
        ("callbacks", ctypes.c_uint32),
        ("mean", ctypes.c_float),
        ("p50", ctypes.c_uint32),
        ("p99", ctypes.c_uint32),
        ("worst", ctypes.c_uint32),
    )


class SimulatedBoard:
    """Run a module's program in a thread of its own, in real time, and offer it as a serial port.

    Parameters
    ----------
    board : Board
        Which board it plays.
    library : Path
        Shared library with the instrument and `board.c`; a process holds one running board per library.
    errors : dict of str to ConverterErrors, optional
        By name of an input or of a CV output; an input not named has the board's own noise only.
    seed : int
        Of the noise.
    flash : bytearray or mmap, optional
        The storage area, kept by the caller across restarts.
    clock_ppm : float
        How much faster than its nominal rate the board's clock runs, in parts per million.
    pull_after_s : float, optional
        Pull the cable in the middle of the first line that is sent after so many seconds.
    bench : bool
        Answer `bench` as a bench image does: this computer's time, in cycles of the board's clock.
    """

    def __init__(
        self,
        board: Board,
        library: Path,
        errors: dict[str, ConverterErrors] | None = None,
        seed: int = 0,
        flash: bytearray | mmap.mmap | None = None,
        bench: bool = False,
        clock_ppm: float = 0.0,
        pull_after_s: float | None = None,
    ) -> None:
        self.board = board
        self.errors = errors or {}
        self.jacks = Jacks()
        self.flash = flash if flash is not None else bytearray(b"\xff" * STORAGE_BYTES)
        self.reboot_asked: int | None = None
        self.clock_ppm = clock_ppm
        self.pull_after_s = pull_after_s
        self.pulled = False
        self._counted: list[float] | None = [] if bench else None
        self._random = np.random.default_rng(seed)
        self._library = _load(library)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._lock = threading.Lock()
        self._cable = threading.Lock()
        self._babble = b""
        self._held = b""  # the beginning of a line that may be a patch
        self._line_begins = True
        self._codes = np.full(len(board.adcs), 0.5, np.float32)
        self._seconds = 0.0
        self._blocks = 0
        self._mean = self._worst = 0.0
        self._scan_frames = 0.0
        self._master = -1
        self._slave = -1
        self.device = ""

    def __enter__(self) -> SimulatedBoard:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()

    def start(self) -> None:
        """Power on and plug in: a new pty, the program from its start, the flash as it was."""
        self._master, self._slave = pty.openpty()
        tty.setraw(self._master)
        tty.setraw(self._slave, termios.TCSANOW)
        os.set_blocking(self._master, False)
        self.device = os.ttyname(self._slave)
        view = (ctypes.c_uint8 * STORAGE_BYTES).from_buffer(self.flash)
        self._library.board_start(ctypes.c_float(self.board.audio.true_rate_hz), view)
        self.reboot_asked = None
        self._stop.clear()
        self._thread = threading.Thread(target=self._run, name="simulated board", daemon=True)
        self._thread.start()

    def unplug(self) -> None:
        """Pull the cable: the port is gone for whoever holds it. The flash stays."""
        self._stop.set()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join()
        self._close()

    def _close(self) -> None:
        with self._cable:  # two hands may pull it at once
            handles = (self._master, self._slave)
            self._master = self._slave = -1
        for handle in handles:
            if handle >= 0:
                os.close(handle)

    def babble(self, data: bytes) -> None:
        """Send bytes that are nobody's answer."""
        with self._lock:
            self._babble += data

    @property
    def frames_per_s(self) -> float:
        """Frames that the board runs in a second of anybody else's time."""
        return self.board.audio.true_rate_hz * (1.0 + self.clock_ppm * 1e-6)

    def _run(self) -> None:
        frames_per_s = self.frames_per_s
        start, frames = time.monotonic(), 0
        while not self._stop.is_set():
            due = int((time.monotonic() - start) * frames_per_s)
            if due - frames > frames_per_s:  # the computer slept; a module would not catch up either
                start, frames, due = time.monotonic(), 0, 0
            while due - frames >= self.board.audio.block:
                self.step()
                frames += self.board.audio.block
            self._exchange()
            time.sleep(0.002)

    def step(self) -> None:
        """Run one audio block."""
        block = self.board.audio.block
        self._scan_frames -= block
        if self._scan_frames <= 0:
            self._scan()
            slowest_ms = max((adc.scan_ms for adc in self.board.adcs), default=0.0)
            self._scan_frames = slowest_ms * 1e-3 * self.board.audio.true_rate_hz
        bits = sum(
            1 << index
            for index, gate in enumerate((*self.board.gates_in, *self.board.buttons))
            if self.jacks.gates.get(gate.name, False)
        )
        gates = np.full(block, bits, np.uint32)
        started = time.perf_counter()
        self._library.board_block(
            self._codes.ctypes.data_as(ctypes.POINTER(ctypes.c_float)),
            gates.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32)),
            ctypes.c_size_t(block),
        )
        self._account(time.perf_counter() - started)
        self._seconds += block / self.board.audio.true_rate_hz
        self._blocks += 1

    def _account(self, seconds: float) -> None:
        """Tell the program this computer's own load, as a cycle counter would tell the module's."""
        share = seconds * self.board.audio.true_rate_hz / self.board.audio.block
        self._mean = 0.99 * self._mean + 0.01 * share
        self._worst = max(0.999 * self._worst, share)
        if self._counted is not None:
            self._counted.append(seconds)
        self._library.board_set_load(
            ctypes.c_float(self._mean), ctypes.c_float(self._worst), ctypes.c_uint32(0)
        )

    def _hand_over_bench(self) -> None:
        if not self._counted:
            return
        clock_hz = self.board.processor.clock_hz
        cycles = np.asarray(self._counted[-10_000:]) * clock_hz
        budget = clock_hz * self.board.audio.block / self.board.audio.true_rate_hz
        p50, p99, worst = (int(min(np.percentile(cycles, q), 2**32 - 1)) for q in (50, 99, 100))
        bench = _Bench(int(clock_hz), int(budget), len(self._counted), float(cycles.mean()), p50, p99, worst)
        self._library.board_set_bench(ctypes.byref(bench))

    def _scan(self) -> None:
        """Read every input once."""
        noise = self._random.standard_normal(len(self.board.adcs))
        for index, adc in enumerate(self.board.adcs):
            errors = self.errors.get(adc.name) or ConverterErrors(noise_volts_rms=adc.noise_volts_rms)
            output = self.jacks.cables.get(adc.name)
            there = self.jacks.volts.get(adc.name, 0.0) if output is None else self.output_volts(output)
            volts = errors.seen_volts(there, self._seconds, float(noise[index]))
            self._codes[index] = adc.code(volts) / adc.full_code

    def output_volts(self, name: str) -> float:
        """Volts at a CV output's jack: what the program says, in codes, as the converter's parts make it."""
        index = next(i for i, dac in enumerate(self.board.dacs) if dac.name == name)
        dac = self.board.dacs[index]
        said = float(self._library.board_cv_out(ctypes.c_size_t(index))[self.board.audio.block - 1])
        code = min(max(round(said * dac.codes_per_volt), 0), (1 << dac.bits) - 1)
        errors = self.errors.get(name) or ConverterErrors()
        return errors.seen_volts(code / dac.codes_per_volt, self._seconds)

    def _exchange(self) -> None:
        """Move bytes between the pty and the program."""
        try:
            arrived = os.read(self._master, 4096)
        except (BlockingIOError, OSError):
            arrived = b""
        arrived = self._keep_patches(arrived)
        if arrived:
            self._hand_over_bench()
            self._library.board_receive(arrived, ctypes.c_size_t(len(arrived)))
        self._library.board_idle(ctypes.c_uint32(int(self._seconds * 1000) & 0xFFFFFFFF))
        out = ctypes.create_string_buffer(65_536)
        count = self._library.board_take(out, ctypes.c_size_t(len(out)))
        with self._lock:
            data, self._babble = self._babble + out.raw[:count], b""
        if data and self.pull_after_s is not None and self._seconds >= self.pull_after_s:
            self._pull(data)
            return
        while data and not self._stop.is_set():
            try:
                data = data[os.write(self._master, data) :]
            except BlockingIOError:
                time.sleep(0.001)
            except OSError:
                break
        asked = self._library.board_reboot_asked()
        if asked >= 0:
            self.reboot_asked = asked

    def _keep_patches(self, arrived: bytes) -> bytes:
        """Obey the lines that are for the board itself; return what is for its program."""
        data, self._held = self._held + arrived, b""
        passed = b""
        while data:
            end = data.find(b"\n") + 1
            line = data[:end] if end else data
            may_be_patch = line.startswith(PATCH) or PATCH.startswith(line)
            if may_be_patch and self._line_begins and not end and len(line) < LONGEST_PATCH_BYTES:
                self._held = line
                break
            if self._line_begins and end and line.startswith(PATCH):
                self._patch(line)
            else:
                passed += line
            self._line_begins = end > 0
            data = data[len(line) :]
        return passed

    def _patch(self, line: bytes) -> None:
        answer: dict[str, object] = {"re": "patch", "ok": False}
        try:
            asked = json.loads(line)
            answer["id"] = asked["id"]
            adc = self.board.adcs[asked["input"]]
            if "output" in asked:
                self.jacks.cables[adc.name] = self.board.dacs[asked["output"]].name
            else:
                volts = float(asked["volts"])
                if not math.isfinite(volts):
                    raise ValueError("no volts")
                self.jacks.cables.pop(adc.name, None)
                self.jacks.volts[adc.name] = volts
        except (ValueError, KeyError, IndexError, TypeError):
            answer["error"] = "patch wants an input and its volts, or an output"
        else:
            answer["ok"] = True
        self.babble(json.dumps(answer).encode() + b"\n")

    def _pull(self, data: bytes) -> None:
        """Send half a line, and be gone."""
        line = data[: data.find(b"\n") + 1] or data
        with suppress(OSError):
            os.write(self._master, line[: max(1, len(line) // 2)])
        time.sleep(HALF_LINE_S)
        self.pulled = True
        self._stop.set()
        self._close()


def patch_simulated(link: Link, index: int, **what: float) -> bool:
    """Have a simulated board put ``volts``, or the cable of an ``output``, into an input.

    False where the link is to something else. Only a pty is asked: a module on a serial port or a socket
    never hears of it.
    """
    if not link.device.startswith(PTYS):
        return False
    try:
        link.ask("patch", input=index, **what)
    except ModuleGone:
        raise
    except Refusal:
        return False
    time.sleep(SETTLE_S)
    return True


def kept_flash(path: Path) -> mmap.mmap:
    """Map a file as a board's flash, so that it outlives the board; a new file is blank.

    Raises
    ------
    Refusal
        The file cannot be written, or is no flash of this version.
    """
    try:
        if not path.exists():
            write_bytes(path, b"\xff" * STORAGE_BYTES)
        with path.open("r+b") as file:
            size = path.stat().st_size
            if size != STORAGE_BYTES:
                raise Refusal(
                    f"{path.name} is no flash of a simulated board: it has {size:,} bytes, not "
                    f"{STORAGE_BYTES:,}; name a new file."
                )
            return mmap.mmap(file.fileno(), STORAGE_BYTES)
    except OSError as error:
        raise Refusal(f"cannot keep the flash in {path}: {error.strerror or error}.") from error


def _load(path: Path) -> ctypes.CDLL:
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise Refusal(f"cannot load the simulated board's program {path}: {error}.") from error
    library.board_take.restype = ctypes.c_size_t
    library.board_power_gone.restype = ctypes.c_bool
    library.board_audio.restype = ctypes.POINTER(ctypes.c_float)
    library.board_cv_out.restype = ctypes.POINTER(ctypes.c_float)
    library.board_gates_out.restype = ctypes.POINTER(ctypes.c_uint32)
    return library
