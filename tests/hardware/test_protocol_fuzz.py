"""Random and corrupted lines: each is answered once, and what a plain judge would not allow changes nothing.

The judge is Python's own JSON reader and the rules of the requests, written here a second time.

A million lines: pytest -m slow tests/hardware/test_protocol_fuzz.py
"""

from __future__ import annotations

import ctypes
import json
import random
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest

from hardware.protocol import decode
from hardware.simulated import STORAGE_BYTES

INPUTS, OUTPUTS, PARAMETERS, PRESETS = 8, 2, 4, 4
SEEDS = [
    {"cmd": "hello"},
    {"cmd": "hello", "id": "a b"},
    {"cmd": "parameters", "id": 12},
    {"cmd": "report"},
    {"cmd": "set", "parameter": 2, "value": 0.375},
    {"id": 3, "cmd": "set", "value": 1, "parameter": 0},
    {"cmd": "trigger", "voice": 0, "accent": 0.5},
    {"cmd": "clock"},
    {"cmd": "reset"},
    {"cmd": "gate", "index": 31, "value": 1.0},
    {"cmd": "preset", "do": "save", "index": 3},
    {"cmd": "preset", "do": "recall", "index": 3},
    {"cmd": "calibration", "input": 7},
    {"cmd": "calibrate", "input": 1, "points": [[0.4, 1.0], [0.2, 3.0]]},
    {"cmd": "calibrate", "input": 2, "points": [[0.1, 1.0], [0.2, 3.0]]},
    {"cmd": "calibration", "output": 1},
    {"cmd": "calibrate", "output": 0, "points": [[0.2, 1.0], [0.6, 3.0]]},
    {"cmd": "hold", "output": 1, "volts": 2.5, "raw": 1},
    {"cmd": "hold"},
    {"cmd": "bench"},
    {"cmd": "reboot", "to": "app"},
    {"cmd": "stream", "hz": 0},
    [[[[[[[[1]]]]]]]],
    {"cmd": {"cmd": "hello"}},
    None,
]
MEMBERS = {
    **{name: set() for name in ("hello", "parameters", "report", "clock", "reset", "bench")},
    "stream": {"hz"},
    "set": {"parameter", "value"},
    "trigger": {"voice", "accent"},
    "gate": {"index", "value"},
    "preset": {"do", "index"},
    "calibration": {"input", "output"},
    "calibrate": {"input", "output", "points"},
    "hold": {"output", "volts", "raw"},
    "reboot": {"to"},
}
TOKENS = [
    b'"',
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"\\",
    b"1e999",
    b"-",
    b"NaN",
    b"0.5",
    b"\x00",
    b"\xff",
    b"  ",
    b'"id"',
]


def mutated(rng: random.Random) -> bytes:
    line = bytearray(
        json.dumps(rng.choice(SEEDS), separators=rng.choice([(",", ":"), (", ", ": ")])).encode()
    )
    for _ in range(rng.choice([0, 0, 1, 1, 1, 2, 3, 8])):
        at = rng.randrange(len(line) + 1)
        what = rng.randrange(6)
        if what == 0 and line:
            line[at % len(line)] ^= 1 << rng.randrange(8)
        elif what == 1:
            line[at:at] = rng.choice(TOKENS)
        elif what == 2:
            del line[at : at + rng.randrange(1, 5)]
        elif what == 3:
            line = line[:at]
        elif what == 4:
            line[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 9)))
        else:
            line[at:at] = line[max(0, at - rng.randrange(40)) : at] * rng.choice([1, 1, 30])
    return bytes(line).replace(b"\n", b"")


def single(value: float) -> float:
    """`value` as a float32, infinite when none holds it."""
    try:
        return struct.unpack("f", struct.pack("f", value))[0]
    except OverflowError:
        return float("inf")


def depth(value: object) -> int:
    if isinstance(value, list | dict):
        return 1 + max(map(depth, value.values() if isinstance(value, dict) else value), default=0)
    return 0


class Objected(Exception):
    pass


def pairs_of(line: bytes) -> list[tuple[str, object]] | None:
    """Members of the outermost object in order, or None where the line is no JSON object."""

    def no_constant(_: str) -> float:
        raise ValueError

    class Pairs(list):
        pass

    try:
        value = json.loads(line.decode("latin-1"), parse_constant=no_constant, object_pairs_hook=Pairs)
        json.loads(line.decode("latin-1"))
    except (ValueError, RecursionError):
        return None
    return list(value) if isinstance(value, Pairs) else None


def allowed(line: bytes) -> dict | None:
    """The request that a line is, by rules written here a second time; None when it must be refused."""
    pairs = pairs_of(line)
    if pairs is None or len(pairs) > 6 or len({name for name, _ in pairs}) != len(pairs):
        return None
    if depth(json.loads(line.decode("latin-1"))) > 8:
        return None
    request = dict(pairs)
    cmd = request.get("cmd")
    if cmd not in MEMBERS if isinstance(cmd, str) else True:
        return None
    if not set(request) <= MEMBERS[cmd] | {"cmd", "id"}:
        return None

    def number(name: str, low: float, high: float) -> float | None:
        value = request.get(name)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return None
        return single(value) if low <= single(value) <= high else None

    def whole(name: str, below: int) -> bool:
        value = number(name, 0, below - 1)
        return value is not None and value == int(value)

    def output() -> bool:
        return "input" not in request and whole("output", OUTPUTS)

    def held() -> bool:
        raw = "raw" not in request or whole("raw", 2)
        return whole("output", OUTPUTS) and number("volts", -20, 20) is not None and raw

    if "id" in request:
        given = request["id"]
        if isinstance(given, bool) or not isinstance(given, str | int | float):
            return None
    checks = {
        "stream": lambda: number("hz", 0, 200) is not None,
        "set": lambda: whole("parameter", PARAMETERS) and number("value", 0, 1) is not None,
        "trigger": lambda: whole("voice", 32) and number("accent", 0, 1) is not None,
        "gate": lambda: whole("index", 32) and number("value", 0, 1) is not None,
        "preset": lambda: request.get("do") in ("recall", "save") and whole("index", PRESETS),
        "calibration": lambda: whole("input", INPUTS) if "output" not in request else output(),
        "hold": lambda: "output" not in request or held(),
        "bench": lambda: False,
        "reboot": lambda: request.get("to") in ("app", "bootloader", "rom"),
    }
    return request if checks.get(cmd, lambda: True)() else None


class Program:
    """The module's program with its bytes in hand; no pty, so that a million lines take a minute."""

    def __init__(self, library) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.board_take.restype = ctypes.c_size_t
        self.flash = bytearray(b"\xff" * STORAGE_BYTES)
        self._view = (ctypes.c_uint8 * len(self.flash)).from_buffer(self.flash)
        self.c.board_start(ctypes.c_float(48_000), self._view)
        self.codes = np.full(INPUTS, 0.5, np.float32)
        self.gates = np.zeros(48, np.uint32)
        self.buffer = ctypes.create_string_buffer(1 << 16)

    def block(self) -> None:
        codes = self.codes.ctypes.data_as(ctypes.POINTER(ctypes.c_float))
        gates = self.gates.ctypes.data_as(ctypes.POINTER(ctypes.c_uint32))
        self.c.board_block(codes, gates, ctypes.c_size_t(48))

    def say(self, line: bytes) -> list[bytes]:
        data = line + b"\n"
        self.c.board_receive(data, ctypes.c_size_t(len(data)))
        return self.taken()

    def taken(self) -> list[bytes]:
        """Lines that it has to say."""
        count = self.c.board_take(self.buffer, ctypes.c_size_t(len(self.buffer)))
        return self.buffer.raw[:count].split(b"\n")[:-1]

    def state(self) -> dict:
        self.block()
        report = json.loads(self.say(b'{"cmd":"report"}')[0])
        points = [
            json.loads(self.say(b'{"cmd":"calibration","input":%d}' % n)[0])["points"] for n in range(INPUTS)
        ]
        return {"points": points, **{name: report[name] for name in ("position", "triggers", "preset")}}


def follow(state: dict, request: dict, saved: dict[int, list[float]]) -> None:
    """What an accepted request does, told a second time."""
    cmd = request["cmd"]
    if cmd == "set":
        state["position"][int(request["parameter"])] = round(single(request["value"]), 6)
    elif cmd == "trigger":
        state["triggers"][0] += 1
    elif cmd == "preset" and request["do"] == "save":
        saved[int(request["index"])] = list(state["position"])
    elif cmd == "preset":
        state["position"] = list(saved.get(int(request["index"]), [0.0] * PARAMETERS))
        state["preset"] = int(request["index"])


def fuzz(library, count: int, seed: int) -> tuple[int, int]:
    """Returns how many lines were accepted and refused."""
    program = Program(library)
    rng = random.Random(seed)
    state, saved = program.state(), {}
    accepted = refused = 0
    for number in range(count):
        line = mutated(rng)
        answers = program.say(line)
        stripped = line[:-1] if line.endswith(b"\r") else line
        if not stripped:
            assert answers == []
            continue
        assert len(answers) == 1, (line, answers)
        answer = json.loads(answers[0].decode("latin-1"))
        request = allowed(stripped) if len(line) <= 1024 else None
        ok = answer["ok"]
        if request is not None and request["cmd"] == "calibrate":
            # the engine judges the points (its own tests hold it to that); a refused one must change nothing
            expected = ok
        else:
            # an id longer than 40 bytes as written is refused: its length on the wire the judge cannot know
            expected = request is not None and not (not ok and "an id is" in answer.get("error", ""))
        assert ok is expected, (line, answer)
        accepted += ok
        refused += not ok
        if ok:
            program.block()
            if request["cmd"] == "calibrate":
                state["points"] = program.state()["points"]
            follow(state, request, saved)
        if ok or number % 64 == 0:
            assert program.state() == state, line
    return accepted, refused


def test_corrupted_lines_never_hang_it_or_put_it_in_a_wrong_state(board_library, tmp_path):
    copy = tmp_path / "board.so"
    shutil.copy(board_library, copy)
    accepted, refused = fuzz(copy, 12_000, seed=1)
    assert accepted > 2000 and refused > 2000  # both happen, so both are tested


@pytest.mark.slow
def test_a_million_corrupted_lines(board_library, tmp_path):
    for seed in range(10):
        copy = tmp_path / f"board{seed}.so"
        shutil.copy(board_library, copy)
        print(seed, fuzz(copy, 100_000, seed=1000 + seed))


def test_bytes_in_any_pieces_are_the_same_lines(board_library, tmp_path):
    copy = tmp_path / "board.so"
    shutil.copy(board_library, copy)
    program = Program(copy)
    text = (
        b'{"cmd":"clock","id":1}\r\n\n{"cmd":"hello","id":2}\n' + b"x" * 3000 + b'\n{"cmd":"reset","id":3}\n'
    )
    answers = []
    for byte in text:
        piece = bytes([byte])
        program.c.board_receive(piece, ctypes.c_size_t(1))
    count = program.c.board_take(program.buffer, ctypes.c_size_t(len(program.buffer)))
    answers = [json.loads(line) for line in program.buffer.raw[:count].splitlines()]
    assert [answer.get("id") for answer in answers] == [1, 2, None, 3]
    assert "longer than 1024" in answers[2]["error"]


def test_the_computers_reader_survives_corrupted_answers():
    rng = random.Random(5)
    answer = json.dumps({"re": "report", "id": 1, "ok": True, "volts": [0.1] * 8}).encode()
    for _ in range(20_000):
        line = bytearray(answer)
        for _ in range(rng.randrange(4)):
            line[rng.randrange(len(line))] = rng.randrange(256)
        value = decode(bytes(line))
        assert value is None or isinstance(value, dict)


def test_corrupted_bytes_under_the_sanitizers(tmp_path):
    """Address and undefined-behaviour sanitizers over the module's side, fed in pieces of every size."""
    from common.refusal import Refusal
    from firmware.toolchain import link_program
    from tests.hardware.conftest import PORTS, SERIAL, VOLTMETER

    sources = [*VOLTMETER, *SERIAL, PORTS / "simulated" / "board.c", Path(__file__).with_name("feed.c")]
    try:
        program = link_program(sources, "host-asan", tmp_path / "feed")
    except Refusal as refusal:
        pytest.skip(str(refusal).splitlines()[0])
    rng = random.Random(9)
    lines = b"".join(mutated(rng) + b"\n" for _ in range(20_000))
    done = subprocess.run([program], input=lines + rng.randbytes(100_000), capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode(errors="replace")[-2000:]
    assert int(done.stdout) > 15_000
