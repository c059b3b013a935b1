"""An instrument on the emulated Daisy: plays a CV script bit by bit as the module would, and counts cycles.

The image is the instrument's own sources, compiled for the Cortex-M7 with the bare port
(``firmware/ports/m7``). What it plays is held against the host's rendering of the same script; some of its
callbacks go through the pipeline model, engine, controls and model together. Cycles are *predicted*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from bench.m7.elf import read_elf
from bench.m7.emulator import Machine
from bench.m7.link import Placement, link
from bench.predict import require_m7, summary
from bench.report.schema import Emulated
from common.refusal import DoesNotFit, Refusal
from common.version import version
from firmware import toolchain
from firmware.build import PORTS, Built, generate, host_library
from firmware.play.host import HostInstrument, Rendered
from firmware.play.render import (
    Sound,
    check_seconds,
    fitted,
    has_sound,
    length_ticks,
    read_sounds,
    resting_knobs,
)
from firmware.play.verdict import complaint
from firmware.script.cv_script import Event, Signals, read_script, signals
from firmware.tables.put import TableFiles
from hardware.board import Board

# Sizes of M7Block in firmware/ports/m7/m7.c, which takes them from engine/port.h
INPUTS, BLOCK, AUDIO = 24, 256, 2
AT_GATES_IN = 4 * INPUTS
AT_GATES_OUT = AT_GATES_IN + 4 * BLOCK
AT_AUDIO_IN = AT_GATES_OUT + 4 * BLOCK
AT_AUDIO_OUT = AT_AUDIO_IN + 4 * AUDIO * BLOCK
AT_CV_OUT = AT_AUDIO_OUT + 4 * AUDIO * BLOCK
TRACED_CALLBACKS = 400
WARM_CALLBACKS = 4
"""Through the pipeline model, but not counted: they fill its caches and train its branches."""
START_S = 0.5
"""From this second of a script on cycles are counted, or earlier where it ends.

A drum needs as many hits as it has voices until all of them sound.
"""
TAIL_S = 0.5
POST, TABLE, WRITE_TABLE = "instrument_post", "instrument_table", "instrument_table_write"
TABLE_PIECE = 8
"""Frames written at once."""
AGREEMENT = 1e-5
"""Largest difference of audio and CV between module and host: the float edge of docs/design.md#arithmetic."""


class EmulatedInstrument:
    """An instrument's image in the emulated board.

    Its code lies in ITCM, as the port's linker puts it there. Where that is too small all of it lies behind
    the instruction cache, which is dearer than on the module.

    Parameters
    ----------
    built : Built
        From ``firmware.build.generate`` for an M7 board.
    folder : Path
        Where the image is linked.
    verbs : sequence of str
        Of ``port.h``, beside those that render.
    """

    def __init__(self, built: Built, folder: Path, verbs: Sequence[str] = ()):
        sources = [*built.sources, PORTS / "m7" / "m7.c"]
        objects = [toolchain.compile_source(s, "m7", extra=[f"-I{built.folder}"]) for s in sources]
        keep = ["m7_begin", "m7_render", "m7_block", POST, *verbs]
        image = folder / "image.elf"
        try:
            elf = link(objects, built.board, image, keep=keep, placement=Placement(text="itcm"))
        except DoesNotFit:
            elf = link(objects, built.board, image, keep=keep, placement=Placement(text="axi"))
        self.board: Board = built.board
        self.machine = Machine(read_elf(elf), built.board)
        self.at = self.machine.elf.symbol("m7_block").address
        self.functions: dict[str, int] = {}
        """Predicted cycles of every function over all traced callbacks."""
        self.machine.call("m7_begin")

    def render(
        self,
        played: Signals,
        block: int,
        traced: range = range(0),
        progress: Callable[[int], None] | None = None,
    ) -> tuple[Rendered, list[int]]:
        """Play signals in blocks.

        Parameters
        ----------
        played : Signals
        block : int
            Samples per callback.
        traced : range
            Callbacks that go through the pipeline model.
        progress : callable, optional
            Told the number of samples done.

        Returns
        -------
        rendered : Rendered
            Audio, CV and gates; no positions.
        cycles : list of int
            Of every traced callback.
        """
        machine, board = self.machine, self.board
        ticks = played.inputs.shape[1]
        audio = np.zeros((board.audio.outputs, ticks), np.float32)
        cv = np.zeros((len(board.dacs), ticks), np.float32)
        gates = np.zeros(ticks, np.uint32)
        levels = (played.gates > 1.0).astype(np.uint32)
        bits = (levels << np.arange(len(levels), dtype=np.uint32)[:, None]).sum(axis=0).astype(np.uint32)
        cycles: list[int] = []
        waiting = list(reversed(played.events))
        for number, begin in enumerate(range(0, ticks, block)):
            size = min(block, ticks - begin)
            window = slice(begin, begin + size)
            while waiting and waiting[-1].tick < begin + size and self._post(waiting[-1]):
                waiting.pop()
            machine.write(self.at, np.ascontiguousarray(played.inputs[:, begin]))
            machine.write(self.at + AT_GATES_IN, bits[window])
            for channel in range(board.audio.inputs):
                machine.write(self.at + AT_AUDIO_IN + 4 * BLOCK * channel, played.audio[channel, window])
            warming = traced.start - WARM_CALLBACKS <= number < traced.stop
            call = machine.call("m7_render", size, traced=warming)
            if number in traced:
                cycles.append(int(call.cycles))
                self._count_functions()
            for rows, offset in ((audio, AT_AUDIO_OUT), (cv, AT_CV_OUT)):
                for row in range(len(rows)):
                    found = machine.read_array(self.at + offset + 4 * BLOCK * row, np.float32, size)
                    rows[row, window] = found
            gates[window] = machine.read_array(self.at + AT_GATES_OUT, np.uint32, size)
            if progress is not None:
                progress(begin + size)
        return Rendered(audio, cv, gates, np.zeros((0, 0), np.float32)), cycles

    def _post(self, event: Event) -> bool:
        """Hand a command over, as `firmware.play.host` does; False when the module's queue is full."""
        value = int(np.float32(event.value).view(np.uint32))
        return bool(self.machine.call(POST, event.kind | (event.index & 0xFF) << 8, value).value & 1)

    def table_hash(self, which: int) -> int | None:
        """Hash of the model whose latents a table holds; None where the instrument has no such table."""
        place = self.at + AT_AUDIO_OUT  # room for a PortTable; no sound is in it yet
        if not self.machine.call(TABLE, which, place).value & 1:
            return None
        return int(self.machine.read_array(place, np.uint32, 1)[0])

    def write_table(self, which: int, hash_: int, frames: NDArray[np.int16]) -> None:
        """Fill a table, eight frames at a time as they come over the cable; shape (frames, 16)."""
        place = self.at + AT_AUDIO_OUT
        for at in range(0, len(frames), TABLE_PIECE):
            piece = np.ascontiguousarray(frames[at : at + TABLE_PIECE])
            self.machine.write(place, piece)
            self._write_table(which, hash_, at, place, len(piece))
        self._write_table(which, hash_, len(frames), place, 0)

    def _write_table(self, *arguments: int) -> None:
        why = self.machine.call(WRITE_TABLE, *arguments).value
        if why:
            raise Refusal(f"{self.machine.read(why, 80).split(bytes(1))[0].decode()}.")

    def _count_functions(self) -> None:
        pipeline = self.machine.pipeline
        functions = sorted(self.machine.elf.functions, key=lambda symbol: symbol.address)
        spent = pipeline.cycles_at()
        used = np.flatnonzero(spent)
        begins = [symbol.address for symbol in functions]
        owners = np.searchsorted(begins, np.asarray(pipeline.addresses)[used], side="right") - 1
        for owner, cycles in zip(owners, spent[used], strict=True):
            name = functions[owner].name
            self.functions[name] = self.functions.get(name, 0) + int(cycles)


@dataclass(frozen=True)
class Emulation:
    """What an emulated play made and found.

    Attributes
    ----------
    built : Built
        The instrument for the board.
    module, host : Rendered
        The same script on both.
    report : Emulated
        Figures, as written to JSON.
    """

    built: Built
    module: Rendered
    host: Rendered
    report: Emulated


def emulate(
    instrument: str | Path,
    board: Board,
    script: Path,
    *,
    sounds: Mapping[str, Sound] | None = None,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    seconds: float | None = None,
    tables: TableFiles | None = None,
    callbacks: int = TRACED_CALLBACKS,
    progress: Callable[[int, int], None] | None = None,
) -> Emulation:
    """Play a CV script on the emulated module and on the host, and compare.

    Parameters
    ----------
    sounds : mapping of jack to sound
        Audio files, or arrays at the board's rate, into audio jacks.
    seconds : float, optional
        So much of the script from its beginning; default: all of it, and half a second to ring.
    tables : TableFiles, optional
        Tables of latents that both hold from the start.
    callbacks : int
        So many go through the pipeline model.

    Raises
    ------
    Refusal
        When the board is no Cortex-M7, or the instrument and its models do not fit.
    """
    require_m7(board)
    check_seconds(seconds)
    size = board.audio.block if block is None else block
    with TemporaryDirectory(prefix="vaectrol-") as place:
        folder = Path(place)
        on_module = generate(instrument, board, folder / "m7", models=models, block=size)
        here = generate(instrument, board, folder / "host", models=models, block=size, target="host")
        host = HostInstrument(host_library(here))
        cv = read_script(script)
        gates = here.assignment.gate_names
        rate = board.audio.sample_rate_hz
        tracks = read_sounds(sounds or {}, rate)
        ticks = length_ticks(cv, tracks, rate, seconds, TAIL_S)
        tracks = {jack: fitted(track, ticks) for jack, track in tracks.items()}
        played = signals(cv, board, ticks, host.parameters, tracks, resting_knobs(here), gates)
        filled = tables or TableFiles()
        module = EmulatedInstrument(on_module, folder, [TABLE, WRITE_TABLE] if filled.files else [])
        for player in (host, module):
            filled.put(player, instrument)
        expected = host.render(played, size)
        first = max(0, min(round(START_S * board.audio.sample_rate_hz / size), ticks // size - callbacks))
        rendered, cycles = module.render(
            played,
            size,
            range(first, first + callbacks),
            (lambda done: progress(done, ticks)) if progress else None,
        )
    budget = board.cycles_per_frame * size
    difference = float(
        max(
            np.abs(rendered.audio - expected.audio).max(initial=0.0),
            np.abs(rendered.cv - expected.cv).max(initial=0.0),
        )
    )
    agrees = difference <= AGREEMENT and bool(np.array_equal(rendered.gates, expected.gates))
    report: Emulated = {
        "version": version(),
        "instrument": str(instrument),
        "board": board.name,
        "block": size,
        "seconds": ticks / board.audio.sample_rate_hz,
        "traced_from_s": first * size / board.audio.sample_rate_hz,
        "callbacks_traced": len(cycles),
        "predicted_cpu": summary(cycles, budget) if cycles else None,
        "predicted_cycles": cycles,
        "cpu_by_function": {
            name: spent / (budget * len(cycles))
            for name, spent in sorted(module.functions.items(), key=lambda item: -item[1])
        },
        "largest_difference_from_host": difference,
        "samples_that_differ": int((rendered.audio != expected.audio).sum()),
        "equals_host": agrees,
        "complaint": complaint(rendered, has_sound(on_module)),
        "peak": float(np.abs(rendered.audio).max(initial=0.0)),
    }
    return Emulation(on_module, rendered, expected, report)
