"""Instances in a library of this machine, called from Python; and an instrument's own script as signals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from cffi import FFI

from firmware import toolchain
from firmware.build import Built, generate
from firmware.instruments.demo import find_demo
from firmware.play.host import DECLARATIONS, HostInstrument, Rendered
from firmware.play.render import fitted, resting_knobs
from firmware.script.cv_script import Signals, events, read_script, readings
from toy.demo_phrases import play_phrase

SHIM = Path(__file__).with_name("instances_shim.c")
GUARD = 64
"""Bytes before and behind each piece of memory that nobody may touch."""

INSTANCES = """
typedef struct { size_t ticks; const float *inputs; const uint32_t *gates_in; const float *const *audio_in;
                 float *const *audio_out; float *const *cv_out; uint32_t *gates_out; } PortBlock;
typedef struct Instance Instance;
typedef struct { const char *region; size_t bytes; bool is_copy; } InstancePiece;
typedef struct { size_t pieces; const InstancePiece *piece; } InstanceNeeds;
const InstanceNeeds *instance_needs(void);
Instance *instance_init(void *const *memory, float sample_rate_hz);
bool instance_post(Instance *self, PortCommand command);
void shim_render(Instance *self, const PortBlock *block);
"""


class Library:
    """An instrument that was generated for instances, loaded."""

    def __init__(self, instrument: str, folder: Path, board: str = "host"):
        self.built = generate(instrument, board, folder, target="host", instances=True)
        file = toolchain.link_shared(
            [*self.built.sources, SHIM], "host", folder / "instances.so", extra=[f"-I{folder}"]
        )
        self.ffi = FFI()
        self.ffi.cdef(DECLARATIONS.split("const PortInfo *instrument_info")[0] + INSTANCES)
        self.lib: Any = self.ffi.dlopen(str(file))


class Instance:
    """One instance, in memory that is dirty before and guarded around."""

    def __init__(self, library: Library, signals: Signals):
        self.lib, self.ffi, self.signals = library.lib, library.ffi, signals
        board = library.built.board
        ticks = signals.inputs.shape[1]
        self.done = self.posted = 0
        self.out = Rendered(
            np.zeros((board.audio.outputs, ticks), np.float32),
            np.zeros((len(board.dacs), ticks), np.float32),
            np.zeros(ticks, np.uint32),
            np.zeros((0, 0), np.float32),
        )
        needs = self.lib.instance_needs()
        self.memory = [
            np.full(needs.piece[i].bytes + 2 * GUARD + 16, 0xA5, np.uint8) for i in range(needs.pieces)
        ]
        self.spans = []
        for array in self.memory:
            begin = GUARD + -(array.ctypes.data + GUARD) % 16
            self.spans.append((begin, begin + len(array) - 2 * GUARD - 16))
        places = self.ffi.new(
            "void *[]",
            [
                self.ffi.cast("void *", array.ctypes.data + begin)
                for array, (begin, _) in zip(self.memory, self.spans, strict=True)
            ],
        )
        self.self = self.lib.instance_init(places, board.audio.sample_rate_hz)

    @property
    def is_over(self) -> bool:
        return self.done == self.signals.inputs.shape[1]

    @property
    def guards_stand(self) -> bool:
        """Whether nothing was written beside the memory."""
        return all(
            bool((array[:begin] == 0xA5).all() and (array[end:] == 0xA5).all())
            for array, (begin, end) in zip(self.memory, self.spans, strict=True)
        )

    def step(self, ticks: int) -> None:
        """Render a block, at most to the end."""
        signals, at = self.signals, self.done
        ticks = min(ticks, signals.inputs.shape[1] - at)
        while self.posted < len(signals.events) and signals.events[self.posted].tick < at + ticks:
            event = signals.events[self.posted]
            command = {"kind": event.kind, "index": event.index & 0xFF, "value": event.value}
            if not self.lib.instance_post(self.self, command):
                break
            self.posted += 1
        gates = np.zeros(ticks, np.uint32)
        for gate, volts in enumerate(signals.gates):  # they have no slopes: no Schmitt trigger is needed
            gates |= (volts[at : at + ticks] > 1.0).astype(np.uint32) << np.uint32(gate)
        inputs = np.ascontiguousarray(signals.inputs[:, at])
        rows = {
            "audio_in": [row[at : at + ticks] for row in signals.audio],
            "audio_out": [row[at : at + ticks] for row in self.out.audio],
            "cv_out": [row[at : at + ticks] for row in self.out.cv],
        }
        lists = {
            name: self.ffi.new("float *[]", [self._at(row) for row in found] or 1)
            for name, found in rows.items()
        }
        block = self.ffi.new(
            "PortBlock *",
            {
                "ticks": ticks,
                "inputs": self._at(inputs),
                "gates_in": self.ffi.cast("uint32_t *", gates.ctypes.data),
                "audio_in": self.ffi.cast("const float *const *", lists["audio_in"]),
                "audio_out": self.ffi.cast("float *const *", lists["audio_out"]),
                "cv_out": self.ffi.cast("float *const *", lists["cv_out"]),
                "gates_out": self.ffi.cast("uint32_t *", self.out.gates[at:].ctypes.data),
            },
        )
        self.lib.shim_render(self.self, block)
        self.done += ticks

    def _at(self, row: np.ndarray) -> Any:
        return self.ffi.cast("float *", row.ctypes.data)


def own_script(built: Built, seconds: float) -> Signals:
    """Signals of an instrument's own demonstration, the first seconds."""
    demo = find_demo(built.name)
    script, board = read_script(demo.script), built.board
    ticks = round(seconds * board.audio.sample_rate_hz)
    sounds = {jack: np.asarray(sound, np.float32) for jack, sound in demo.inputs(play_phrase).items()}
    parameters = {one.name: at for at, one in enumerate(built.assignment.parameters)}
    made = readings(
        script,
        board,
        slice(0, ticks),
        {jack: fitted(sound, ticks) for jack, sound in sounds.items()},
        resting_knobs(built),
    )
    gates = built.assignment.gate_names
    return replace(made, events=[e for e in events(script, board, parameters, gates) if e.tick < ticks])


def drawn_script(built: Built, seconds: float, seed: int) -> Signals:
    """Signals that nobody would play: noise at every jack, strokes and moves at random."""
    from firmware.script.cv_script import Event

    rng = np.random.default_rng(seed)
    board, ticks = built.board, round(seconds * built.board.audio.sample_rate_hz)
    moves = ticks // 400
    inputs = np.repeat(rng.uniform(0, 1, (len(board.adcs), 1 + ticks // 900)), 900, axis=1)[:, :ticks]
    levels = rng.integers(0, 2, (len(board.gates_in) + len(board.buttons), 1 + ticks // 700))
    gates = 5.0 * np.repeat(levels, 700, axis=1)[:, :ticks]
    parameters = len(built.assignment.parameters)
    drawn = [
        Event(
            int(tick),
            *((1, int(rng.integers(parameters))) if rng.random() < 0.6 else (2, 0)),
            float(rng.random()),
        )
        for tick in sorted(rng.integers(0, ticks, moves))
    ]
    audio = rng.uniform(-0.7, 0.7, (board.audio.inputs, ticks))
    return Signals(inputs.astype(np.float32), gates.astype(np.float32), audio.astype(np.float32), drawn)


def render_in_blocks(host: HostInstrument, signals: Signals, blocks: list[int]) -> Rendered:
    """Render on the host port, block by block of these sizes."""
    ticks = signals.inputs.shape[1]
    out = Rendered(
        np.zeros((host.info.audio_out, ticks), np.float32),
        np.zeros((host.info.cv_outs, ticks), np.float32),
        np.zeros(ticks, np.uint32),
        np.zeros((0, 0), np.float32),
    )
    script = host.ffi.new("HostScript *")
    rows = [
        {"tick": e.tick, "command": {"kind": e.kind, "index": e.index & 0xFF, "value": e.value}}
        for e in signals.events
    ]
    held = host.ffi.new("HostEvent[]", rows)
    arrays = {
        "input": np.ascontiguousarray(signals.inputs),
        "gate": np.ascontiguousarray(signals.gates),
        "audio_in": np.ascontiguousarray(signals.audio),
        "audio_out": out.audio,
        "cv_out": out.cv,
    }
    script.ticks, script.events, script.event = ticks, len(rows), held
    for name, array in arrays.items():
        setattr(script, name, host.ffi.cast("float *", array.ctypes.data) if array.size else host.ffi.NULL)
    script.gate_out = host.ffi.cast("uint32_t *", out.gates.ctypes.data)
    for size in blocks:
        script.block = size
        host.lib.host_render(script, script.done + size)
    return out
