"""A power cut at any byte of a save: the old calibration comes back or the new one, never none."""

from __future__ import annotations

import ctypes
import json
import shutil

import pytest

from hardware.simulated import STORAGE_BYTES

SAVED = [[0.4, 1.0], [0.2, 3.0]]
NEXT = [[0.405, 1.0], [0.205, 3.0]]


class Program:
    """The module's program on a flash that outlives it."""

    def __init__(self, library) -> None:
        self.c = ctypes.CDLL(str(library))
        self.c.board_take.restype = ctypes.c_size_t
        self.c.board_power_gone.restype = ctypes.c_bool
        self.buffer = ctypes.create_string_buffer(1 << 16)

    def power_on(self, flash: bytearray) -> None:
        self.view = (ctypes.c_uint8 * len(flash)).from_buffer(flash)
        self.c.board_start(ctypes.c_float(48_000), self.view)

    def ask(self, **members) -> dict:
        line = json.dumps(members).encode() + b"\n"
        self.c.board_receive(line, ctypes.c_size_t(len(line)))
        count = self.c.board_take(self.buffer, ctypes.c_size_t(len(self.buffer)))
        return json.loads(self.buffer.raw[:count].splitlines()[-1])

    def points(self) -> list[list[float]]:
        return sorted(self.ask(cmd="calibration", input=3)["points"], reverse=True)


@pytest.fixture
def program(board_library, tmp_path):
    shutil.copy(board_library, tmp_path / "board.so")
    return Program(tmp_path / "board.so")


def near(points, expected) -> bool:
    return len(points) == len(expected) and all(
        abs(a - b) < 1e-5
        for one, other in zip(points, expected, strict=True)
        for a, b in zip(one, other, strict=True)
    )


def test_power_cut_at_every_byte_of_a_save(program):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    program.power_on(flash)
    assert program.ask(cmd="calibrate", input=3, points=SAVED)["stored"]
    kept = bytes(flash)
    old = new = 0
    for cut in range(100_000):
        flash[:] = kept
        program.power_on(flash)
        program.c.board_cut_power_after(cut)
        program.ask(cmd="calibrate", input=3, points=NEXT)
        finished = not program.c.board_power_gone()
        program.power_on(flash)
        points = program.points()
        assert near(points, SAVED) or near(points, NEXT), (cut, points)
        old += near(points, SAVED)
        new += near(points, NEXT)
        if finished:
            break
    assert finished and new >= 1
    assert old > 4096  # erasing alone is that many bytes: the cuts really fell inside the save


def test_a_save_says_that_it_failed_and_the_next_one_works(program):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    program.power_on(flash)
    program.c.board_cut_power_after(10)
    answer = program.ask(cmd="calibrate", input=3, points=SAVED)
    assert answer["ok"] and not answer["stored"] and answer["why"]
    program.c.board_cut_power_after(-1)
    assert program.ask(cmd="calibrate", input=3, points=SAVED)["stored"]
