"""A compiled model on the emulated board: the very C that goes into the firmware, callback by callback.

    program = compile_onnx(path, "m7", board, block)
    model = EmulatedModel(program, board)
    outputs = model.process(inputs, ticks)             # functional, bit-exact with the host
    outputs = model.process(inputs, ticks, traced=True); model.call.cycles

Tables lie where the compiler's memory plan put them, state in its region, code in ITCM (or behind the
instruction cache, where the text does not fit).
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.m7.elf import read_elf
from bench.m7.emulator import Call, Machine
from bench.m7.link import Placement, link
from common.refusal import DoesNotFit
from hardware.board import Board

if TYPE_CHECKING:
    from firmware.compiler.program import Program

MARK_DEFINITION = (
    '-DVAECTROL_MARK(layer)=__asm volatile("vaectrol_mark_" VAECTROL_TEXT(layer) "_%=:" ::)',
    "-DVAECTROL_TEXT_(x)=#x",
    "-DVAECTROL_TEXT(x)=VAECTROL_TEXT_(x)",
)
"""A mark is a symbol and no instruction: the cycles are those of the code that ships."""


def build_image(program: Program, board: Board) -> Path:
    """Compile and link `program` with the engine's kernels for the emulated board; cached by content."""
    from firmware import toolchain

    text = program.header + program.source + repr(board.memory)
    folder = toolchain.cache_dir() / "m7" / hashlib.sha256(text.encode()).hexdigest()[:24]
    program.write(folder)
    kernels = [toolchain.compile_source(source, "m7") for source in toolchain.kernel_sources("m7")]
    extra = [f"-I{folder}", *MARK_DEFINITION]
    model = toolchain.compile_source(folder / f"{program.name}.c", "m7", extra=extra)
    # two processes may build the same model: each links under its own name and renames
    part, image = folder / f"model.{os.getpid()}.elf", folder / "model.elf"
    entries = [f"{program.name}_{name}" for name in ("state_bytes", "reset", *_functions(program))]
    try:
        link([model, *kernels], board, part, keep=entries)
    except DoesNotFit:  # ITCM is too small for all of its code
        link([model, *kernels], board, part, keep=entries, placement=Placement(text="axi"))
    part.with_suffix(".ld").unlink()
    return part.replace(image)


def _functions(program: Program) -> tuple[str, ...]:
    if program.report["event"]:
        return ("event_begin", "event_step", "event_result")
    return ("frames_due", "frames_out", "process")


class EmulatedModel:
    """One voice of a streamed model in the emulated board's memory.

    Attributes
    ----------
    call : what the last `process` cost (zeros unless it was traced).
    """

    def __init__(self, program: Program, board: Board) -> None:
        self.program, self.board = program, board
        self.machine = Machine(read_elf(build_image(program, board)), board)
        self.name = program.name
        ports = program.report["ports"]
        self.inputs = [p for p in ports if p["direction"] == "input"]
        self.outputs = [p for p in ports if p["direction"] == "output"]
        size = self.machine.call(f"{self.name}_state_bytes").value
        state = next(t for t in program.report["tensors"] if t["name"] == "state")
        self.state_region = state["region"]
        self.state = self.machine.alloc(size, self.state_region, 32)
        self._buffers: dict[str, tuple[int, int]] = {}
        names = [region.name for region in board.memory]
        self._slow = "d2" if "d2" in names else "axi"  # where a caller has its buffers
        self._structs = {
            kind: self.machine.alloc(8 * max(1, len(found)))
            for kind, found in (("inputs", self.inputs), ("outputs", self.outputs))
        }
        self.call = Call(0, 0.0)
        self.reset()

    def reset(self) -> None:
        """Go back to silence."""
        self.machine.call(f"{self.name}_reset", self.state)

    def frames_due(self, ticks: int) -> dict[str, int]:
        """Frames of each input that the next `ticks` base ticks consume."""
        function = f"{self.name}_frames_due"
        return {
            p["label"]: self.machine.call(function, self.state, ticks, k).value
            for k, p in enumerate(self.inputs)
        }

    def process(
        self, inputs: Mapping[str, np.ndarray], ticks: int, *, traced: bool = False
    ) -> dict[str, np.ndarray]:
        """Advance by `ticks`.

        Parameters
        ----------
        inputs : label → float32 [channels, frames due].

        Returns
        -------
        dict of label to float32 [channels, frames]
        """
        self._hand_over("inputs", {p["name"]: inputs[p["label"]] for p in self.inputs})
        function = f"{self.name}_frames_out"
        empty = {
            p["name"]: np.zeros(
                (p["channels"], self.machine.call(function, self.state, ticks, k).value), np.float32
            )
            for k, p in enumerate(self.outputs)
        }
        places = self._hand_over("outputs", empty)
        self.call = self.machine.call(
            f"{self.name}_process",
            self.state,
            ticks,
            self._structs["inputs"],
            self._structs["outputs"],
            traced=traced,
        )
        return {
            p["label"]: self.machine.read_array(places[p["name"]], np.float32, empty[p["name"]].size).reshape(
                empty[p["name"]].shape
            )
            for p in self.outputs
        }

    def evaluate(self, inputs: Mapping[str, np.ndarray], cycles: int, *, traced: bool = False) -> list[int]:
        """Run one event in steps of about `cycles` predicted cycles; returns the cycles of each step."""
        self._hand_over("inputs", {p["name"]: inputs[p["label"]] for p in self.inputs})
        begin = self.machine.call(
            f"{self.name}_event_begin", self.state, self._structs["inputs"], traced=traced
        )
        spent = [begin.cycles]
        while True:
            self.call = self.machine.call(f"{self.name}_event_step", self.state, cycles, traced=traced)
            spent.append(self.call.cycles)
            if self.call.value & 1:
                return spent

    def result(self) -> dict[str, np.ndarray]:
        """Outputs [channels, frames] of the event that `evaluate` ran last."""
        arrays = {p["name"]: np.zeros((p["channels"], p["frames"]), np.float32) for p in self.outputs}
        places = self._hand_over("outputs", arrays)
        self.machine.call(f"{self.name}_event_result", self.state, self._structs["outputs"])
        return {
            p["label"]: self.machine.read_array(
                places[p["name"]], np.float32, p["channels"] * p["frames"]
            ).reshape(p["channels"], p["frames"])
            for p in self.outputs
        }

    def _hand_over(self, kind: str, arrays: Mapping[str, np.ndarray]) -> dict[str, int]:
        """Fill the struct of (pointer, stride) pairs; returns where each array lies."""
        words, places = [], {}
        for name, array in arrays.items():
            data = np.ascontiguousarray(array, np.float32)
            address, room = self._buffers.get(name, (0, 0))
            if data.nbytes > room or not address:
                room = max(64, 2 * data.nbytes)
                address = self.machine.alloc(room, self._slow if kind == "outputs" else "dtcm", 32)
                self._buffers[name] = (address, room)
            if data.nbytes:
                self.machine.write(address, data)
            places[name] = address
            words += [address, data.shape[1]]
        if words:
            self.machine.write(self._structs[kind], np.array(words, np.uint32))
        return places
