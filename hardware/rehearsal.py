"""A flash with nobody at the desk: a bootloader and a module that are not there.

The bootloader is a program that says what dfu-util 0.11 says of a Daisy, and a file for its flash: it erases
by sectors, writes, and starts what was written. The module is a serial port; it answers with the identity
that its flash holds, as the program in a real image does. What runs between the two is the same code as on
the day: `hardware.flash` sees no difference.
"""

from __future__ import annotations

import json
import os
import pty
import sys
import threading
import tty
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from common.refusal import Refusal
from hardware.board import Board
from hardware.flash import Flashed, flash
from hardware.image import DTCM, MARK, Image, read_image

RUNS, WAITS = "runs", "waits"
"""States of the module: its program runs, or its bootloader waits."""
SECTOR_BYTES, TRANSFER_BYTES = 64 * 1024, 1024
ERASED = b"\xff"
USB_PATH = "0-rehearsal"
STAND_IN_BYTES = 96 * 1024
HEAD = "dfu-util 0.11\n"
FOUND = (
    'Found DFU: [0483:df11] ver=0200, devnum=1, cfg=1, intf=0, path="{path}", alt=0, '
    'name="@Flash /0x90000000/64*4Kg/0x90040000/60*64Kg,60*64Kg", serial="REHEARSAL"\n'
)


def stand_in(board: Board, folder: Path) -> Image:
    """Write an image that only says for which board it is: to rehearse with, where libDaisy is not here yet.

    Raises
    ------
    Refusal
        The board starts no image.
    """
    boot = next((boot for boot in board.boots if boot.name == "sram"), None)
    if boot is None:
        raise Refusal(f"{board.name} takes no image by USB, so there is nothing to rehearse; use patch_sm.")
    identity = {
        "board": board.name,
        "boot": boot.name,
        "version": "rehearsal",
        "instrument": "stand-in",
        "model": "00000000",
    }
    start = DTCM.stop - 1
    words = start.to_bytes(4, "little") + (boot.runs_at + 0x401).to_bytes(4, "little")
    body = words + MARK + json.dumps(identity).encode() + b"\0"
    path = folder / "stand-in.bin"
    path.write_bytes(body.ljust(STAND_IN_BYTES, b"\0"))
    return read_image(path, board.name)


class Rehearsal:
    """A module that runs something older; use as a context manager.

    Parameters
    ----------
    board : Board
    folder : Path
        Where its flash and its state lie.
    """

    def __init__(self, board: Board, folder: Path) -> None:
        self._board, self._folder = board, folder
        self._state = folder / "state"
        self._flash = folder / "flash.bin"
        self.program = folder / "dfu-util"
        self.device = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._master = -1

    def __enter__(self) -> Rehearsal:
        older = {
            "board": self._board.name,
            "version": "0.0.0",
            "instrument": "what ran before",
            "model": "none",
        }
        self._flash.write_bytes(MARK + json.dumps(older).encode() + b"\0")
        self._state.write_text(RUNS)
        root = Path(__file__).resolve().parents[1]
        self.program.write_text(
            f'#!/bin/sh\nPYTHONPATH="{root}" exec "{sys.executable}" -m hardware.rehearsal '
            f'"{self._folder}" "$@"\n'
        )
        self.program.chmod(0o755)
        self._master, slave = pty.openpty()
        tty.setraw(slave)
        os.set_blocking(self._master, False)
        self.device, self._slave = os.ttyname(slave), slave
        self._thread = threading.Thread(target=self._answer, daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        for end in (self._master, self._slave):
            os.close(end)

    def play(self, image: Image) -> Flashed:
        """Flash it: the running module restarts, is written, answers; then its flash is read back.

        Raises
        ------
        Refusal
            What the real exchange would have refused, or bytes that differ.
        """
        done = flash(image, port=self.device, program=str(self.program))
        held = self._flash.read_bytes()[: len(image.data)]
        if held != image.data:
            raise Refusal(f"the rehearsed flash does not hold what {image.path.name} holds; report this.")
        return done

    def _answer(self) -> None:
        held = b""
        while not self._stop.wait(0.01):
            with suppress(BlockingIOError, OSError):
                held += os.read(self._master, 4096)
            while b"\n" in held:
                line, _, held = held.partition(b"\n")
                with suppress(ValueError, KeyError, OSError):
                    os.write(self._master, json.dumps(self._reply(json.loads(line))).encode() + b"\n")

    def _reply(self, asked: dict[str, object]) -> dict[str, object]:
        """Answer as the program in the flash would; in the bootloader nobody listens."""
        if self._state.read_text() != RUNS:
            raise KeyError("nobody")
        answer = {"re": asked["cmd"], "id": asked["id"], "ok": True}
        if asked["cmd"] == "reboot":
            self._state.write_text(WAITS)
        elif asked["cmd"] == "hello":
            answer |= self._hello()
        else:
            answer |= {"ok": False, "error": "a rehearsed module knows hello and reboot only"}
        return answer

    def _hello(self) -> dict[str, object]:
        text = self._flash.read_bytes().partition(MARK)[2].partition(b"\0")[0]
        identity, board = json.loads(text), self._board
        return {
            **{name: identity[name] for name in ("version", "board", "instrument", "model")},
            "protocol": 1,
            "kind": "",
            "rate_hz": board.audio.sample_rate_hz,
            "block": board.audio.block,
            "latency": 0,
            "inputs": len(board.adcs),
            "gates_in": len(board.gates_in),
            "gates_out": len(board.gates_out),
            "cv_outs": len(board.dacs),
            "parameters": 0,
            "presets": 0,
        }


def bootloader(folder: Path, words: list[str]) -> int:
    """Do what dfu-util does with a Daisy in its bootloader; return its exit status."""
    state, memory = folder / "state", folder / "flash.bin"
    say = sys.stdout.write
    say(HEAD)
    waits = state.read_text() == WAITS
    if "-l" in words:
        say(FOUND.format(path=USB_PATH) if waits else "")
        return 0
    if not waits or words[words.index("-p") + 1] != USB_PATH:
        print("dfu-util: No DFU capable USB device available", file=sys.stderr)
        return 74
    address = words[words.index("-s") + 1].partition(":")[0]
    data = Path(words[words.index("-D") + 1]).read_bytes()
    say(
        f"Opening DFU capable USB device...\nDownloading element to address = {address}, size = {len(data)}\n"
    )
    held = bytearray(memory.read_bytes())
    sectors = -(-len(data) // SECTOR_BYTES)
    for sector in range(sectors):
        at = sector * SECTOR_BYTES
        held[at : at + SECTOR_BYTES] = ERASED * SECTOR_BYTES
        _bar("Erase   ", (sector + 1) / sectors, len(data))
    for at in range(0, len(data), TRANSFER_BYTES):
        held[at : at + TRANSFER_BYTES] = data[at : at + TRANSFER_BYTES]
        _bar("Download", min(1.0, (at + TRANSFER_BYTES) / len(data)), len(data))
    memory.write_bytes(held)
    say("\nDownload done.\nFile downloaded successfully\nSubmitting leave request...\n")
    state.write_text(RUNS)
    print("dfu-util: Error during download get_status", file=sys.stderr)
    return 74  # as the real one: the device resets before it answers


def _bar(stage: str, done: float, size: int) -> None:
    percent = int(100 * done)
    sys.stdout.write(f"\r{stage}\t[{'=' * (percent // 4):<25}] {percent:3d}% {int(size * done):12d} bytes")


if __name__ == "__main__":
    sys.exit(bootloader(Path(sys.argv[1]), sys.argv[2:]))
