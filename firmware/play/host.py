"""An instrument as a library of this machine: what `play`, the simulated board and the tests render with."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from common.refusal import Refusal
from firmware.script.cv_script import Event, Signals

# The parts of engine/port.h and ports/host/host.c that Python calls; a test holds them together.
DECLARATIONS = """
typedef struct { const char *name; int8_t knob, cv; } PortParameter;
typedef struct {
    const char *title, *kind, *board, *version, *model_hash;
    float sample_rate_hz;
    uint16_t block, latency_ticks;
    uint8_t inputs, gates_in, gates_out, audio_in, audio_out, cv_outs, parameters, presets;
    const PortParameter *parameter;
} PortInfo;
typedef struct { uint8_t kind, index; float value; } PortCommand;
typedef struct {
    uint32_t blocks;
    float volts[24];
    float position[96];
    float value[96];
    uint32_t gates_in, gates_out;
    uint32_t triggers[32];
    uint8_t preset;
    bool preset_unsaved;
    uint8_t preset_slot;
    const char *preset_note;
} PortReport;
typedef struct { uint32_t hash, frames; const int16_t *frame; } PortTable;
typedef struct { size_t tick; PortCommand command; } HostEvent;
typedef struct {
    size_t ticks, block, done, events, posted;
    const HostEvent *event;
    const float *input;
    const float *gate;
    const float *audio_in;
    float *audio_out;
    float *cv_out;
    uint32_t *gate_out;
    float *position;
} HostScript;
const PortInfo *instrument_info(void);
void instrument_reset(void);
bool instrument_post(PortCommand command);
void instrument_report(PortReport *report);
bool instrument_table(uint8_t which, PortTable *table);
const char *instrument_table_write(
    uint8_t which, uint32_t hash, uint32_t at, const int16_t *frame, uint32_t frames);
void host_begin(void);
void host_render(HostScript *script, size_t until);
"""


@dataclass
class Rendered:
    """What came out.

    Attributes
    ----------
    audio : array, shape (channels, ticks), float32
    cv : array, shape (CV outs, ticks), float32
        Volts.
    gates : array, shape (ticks,), uint32
        Bit g: gate output g.
    positions : array, shape (blocks, parameters), float32
        What the controls did, 0 … 1.
    """

    audio: NDArray[np.float32]
    cv: NDArray[np.float32]
    gates: NDArray[np.uint32]
    positions: NDArray[np.float32]


class HostInstrument:
    """One instrument, one set of static memory: every object loads its own copy of the library."""

    def __init__(self, library: Path):
        from cffi import FFI

        self.ffi = FFI()
        self.ffi.cdef(DECLARATIONS)
        self._folder = tempfile.TemporaryDirectory(prefix="vaectrol-")
        copy = Path(self._folder.name) / library.name
        shutil.copy(library, copy)
        self.lib: Any = self.ffi.dlopen(str(copy))
        self.info = self.lib.instrument_info()
        self.parameters = {
            self.ffi.string(self.info.parameter[i].name).decode(): i for i in range(self.info.parameters)
        }
        self.begin()

    def begin(self) -> None:
        """Power on: controls, sequence and models from the start."""
        self.lib.host_begin()

    def reset(self) -> None:
        """Silence and the first step; controls stay."""
        self.lib.instrument_reset()

    def post(self, kind: int, index: int = 0, value: float = 0.0) -> bool:
        """Hand a command over; False when sixteen are waiting."""
        return bool(self.lib.instrument_post({"kind": kind, "index": index & 0xFF, "value": value}))

    def report(self) -> Any:
        """Return the PortReport of this moment."""
        report = self.ffi.new("PortReport *")
        self.lib.instrument_report(report)
        return report

    def position(self, name: str) -> float:
        """Position 0 … 1 of a parameter by its OSC address."""
        return float(self.report().position[self.parameters[name]])

    def table_hash(self, which: int) -> int | None:
        """Hash of the model whose latents a table holds; None where the instrument has no such table."""
        table = self.ffi.new("PortTable *")
        return int(table.hash) if self.lib.instrument_table(which, table) else None

    def write_table(self, which: int, hash_: int, frames: NDArray[np.int16]) -> None:
        """Fill a table, as `vaectrol table write` fills a module's; shape (frames, 16)."""
        data = self.ffi.from_buffer("int16_t[]", np.ascontiguousarray(frames))
        for at, many in ((0, len(frames)), (len(frames), 0)):
            why = self.lib.instrument_table_write(which, hash_, at, data, many)
            if why != self.ffi.NULL:
                raise Refusal(f"{self.ffi.string(why).decode()}.")

    def render(
        self, signals: Signals, block: int = 48, progress: Callable[[int], None] | None = None
    ) -> Rendered:
        """Render a whole script.

        Parameters
        ----------
        signals : Signals
        block : int
            Samples per callback, 1 … 256.
        progress : callable, optional
            Called with the number of samples done, about once a second of sound.
        """
        return self.render_counted(signals, block, progress)[0]

    def render_counted(
        self, signals: Signals, block: int = 48, progress: Callable[[int], None] | None = None
    ) -> tuple[Rendered, int]:
        """Render, and count the events that found room in the instrument's queue; see `render`."""
        ticks = signals.inputs.shape[1]
        out = Rendered(
            np.zeros((self.info.audio_out, ticks), np.float32),
            np.zeros((self.info.cv_outs, ticks), np.float32),
            np.zeros(ticks, np.uint32),
            np.zeros((-(-ticks // block), self.info.parameters), np.float32),
        )
        inputs, gates, audio = (
            np.ascontiguousarray(part) for part in (signals.inputs, signals.gates, signals.audio)
        )
        script = self.ffi.new("HostScript *")
        events = self._events(signals.events)
        script.ticks, script.block, script.events = ticks, block, len(signals.events)
        script.event = events
        for name, array in (("input", inputs), ("gate", gates), ("audio_in", audio)):
            setattr(script, name, self._floats(array))
        for name, array in (("audio_out", out.audio), ("cv_out", out.cv), ("position", out.positions)):
            setattr(script, name, self._floats(array))
        script.gate_out = self.ffi.cast("uint32_t *", self.ffi.from_buffer(out.gates))
        step = int(self.info.sample_rate_hz) // block * block
        for until in range(step, ticks + step, step):
            self.lib.host_render(script, min(until, ticks))
            if progress is not None:
                progress(min(until, ticks))
        return out, int(script.posted)

    def _floats(self, array: NDArray[np.float32]) -> Any:
        if not array.size:
            return self.ffi.NULL
        return self.ffi.cast("float *", self.ffi.from_buffer(array, require_writable=False))

    def _events(self, events: Sequence[Event]) -> Any:
        rows = [
            {"tick": e.tick, "command": {"kind": e.kind, "index": e.index & 0xFF, "value": e.value}}
            for e in events
        ]
        return self.ffi.new("HostEvent[]", rows)
