"""A compiled model as a Python object: the host library through cffi, numpy arrays in and out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from common.refusal import Refusal
from firmware import toolchain
from firmware.compiler.program import Program


def build_library(program: Program, target: str = "host", opt: str = "-O2") -> Path:
    """Build a program and the kernels it needs into a shared library, cached by content.

    Parameters
    ----------
    program : Program
        Compiled for "host" (or "wasm").
    target : str
        A target of ``firmware.toolchain``: host, host-asan, wasm.
    opt : str
        Optimisation level.

    Returns
    -------
    Path
    """
    key = hashlib.sha256((program.header + program.source + target + opt).encode()).hexdigest()[:24]
    folder = toolchain.cache_dir() / "models" / key
    library = folder / f"{program.name}.{'wasm' if target == 'wasm' else 'so'}"
    program.write(folder)
    sources = [folder / f"{program.name}.c", *toolchain.kernel_sources(target)]
    return toolchain.link_shared(sources, target, library, opt=opt)


def load_host(program: Program, target: str = "host") -> StreamModel | EventModel:
    """Build a program for this machine and load it.

    Parameters
    ----------
    program : Program
        From ``compile_onnx(..., target="host")``.
    target : str
        "host", or "host-asan" inside a process that has the sanitizer preloaded.
    """
    library = build_library(program, target)
    return EventModel(program, library) if program.report["event"] else StreamModel(program, library)


class _Library:
    """What stream and event models share: the library, the state, the specs of its tensors."""

    def __init__(self, program: Program, library: Path, declarations: str):
        import cffi

        self.program = program
        self.name = program.name
        self.inputs = [s for s in program.report["ports"] if s["direction"] == "input"]
        self.outputs = [s for s in program.report["ports"] if s["direction"] == "output"]
        self.ffi = cffi.FFI()
        self.ffi.cdef(self._structs() + declarations.replace("NAME", self.name))
        self.library: Any = self.ffi.dlopen(str(library))
        self.state_bytes = int(self._function("state_bytes")())
        self.state = self.ffi.new("uint64_t[]", self.state_bytes // 8 + 2)
        self.reset()

    def _function(self, name: str) -> Any:
        return getattr(self.library, f"{self.name}_{name}")

    def _structs(self) -> str:
        text = "size_t NAME_state_bytes(void);\nvoid NAME_reset(void *s);\n".replace("NAME", self.name)
        for kind, specs, ctype in (
            ("inputs", self.inputs, "const float"),
            ("outputs", self.outputs, "float"),
        ):
            members = "".join(f"{ctype} *{s['name']}; size_t {s['name']}_stride;\n" for s in specs)
            text += f"typedef struct {{\n{members or 'int nothing;'}\n}} {self.name}_{kind};\n"
        return text

    def reset(self) -> None:
        """Go back to silence."""
        self._function("reset")(self.state)

    def _checked(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Arrays [channels, frames] under the C names."""
        arrays = {}
        for spec in self.inputs:
            given = inputs.get(spec["label"], inputs.get(spec["name"]))
            if given is None:
                raise Refusal(f"input {spec['label']!r} is missing.")
            array = np.asarray(given, np.float32)
            array = array[0] if array.ndim == 3 else array
            array = array[:, None] if array.ndim == 1 else array
            if array.ndim != 2 or array.shape[0] != spec["channels"]:
                raise Refusal(
                    f"input {spec['label']!r} has the shape {list(array.shape)}; give "
                    f"[{spec['channels']}, frames]."
                )
            arrays[spec["name"]] = np.ascontiguousarray(array)
        return arrays

    def _hand_over(self, kind: str, arrays: Mapping[str, np.ndarray]) -> Any:
        """Fill the struct of buffers."""
        struct = self.ffi.new(f"{self.name}_{kind} *")
        for name, array in arrays.items():
            setattr(struct, name, self.ffi.cast("float *", array.ctypes.data))
            setattr(struct, f"{name}_stride", array.shape[1])
        return struct


class StreamModel(_Library):
    """A streamed model with its own state.

    ``reset()`` goes back to silence, ``process(inputs)`` advances by any number of frames.
    """

    def __init__(self, program: Program, library: Path):
        super().__init__(
            program,
            library,
            """
            size_t NAME_frames_due(const void *s, size_t ticks, size_t index);
            size_t NAME_frames_out(const void *s, size_t ticks, size_t index);
            void NAME_process(void *s, size_t ticks, const NAME_inputs *in, const NAME_outputs *out);
            """,
        )

    def frames_due(self, ticks: int) -> dict[str, int]:
        """Frames of each input that the next ``ticks`` base ticks consume."""
        due = self._function("frames_due")
        return {s["label"]: int(due(self.state, ticks, i)) for i, s in enumerate(self.inputs)}

    def process(self, inputs: Mapping[str, np.ndarray], ticks: int | None = None) -> dict[str, np.ndarray]:
        """Advance the stream.

        Parameters
        ----------
        inputs : mapping of name to ndarray [channels, frames]
            Exactly the frames that are due.
        ticks : int, optional
            Base ticks; by default what the fastest input's frames last.

        Returns
        -------
        dict of output name to float32 ndarray [channels, frames]

        Raises
        ------
        Refusal
            When an input is missing or has another number of frames than are due.
        """
        arrays = self._checked(inputs)
        if ticks is None:
            fastest = min(self.inputs, key=lambda s: s["period_ticks"])
            ticks = arrays[fastest["name"]].shape[1] * fastest["period_ticks"]
        results = self._results(arrays, ticks)
        self._function("process")(
            self.state, ticks, self._hand_over("inputs", arrays), self._hand_over("outputs", results)
        )
        return {s["label"]: results[s["name"]] for s in self.outputs}

    def bound(
        self, inputs: Mapping[str, np.ndarray], ticks: int
    ) -> tuple[Callable[[], None], dict[str, np.ndarray]]:
        """Hand buffers over once, as an audio callback does.

        Parameters
        ----------
        inputs : mapping of name to float32 ndarray [channels, frames], contiguous
            Read anew at each call.
        ticks : int
            Base ticks of a call; whole frames of every port.

        Returns
        -------
        (callable, dict of output name to float32 ndarray [channels, frames])
            Advances the stream by `ticks`, and what it writes each time.
        """
        periods = [int(s["period_ticks"]) for s in (*self.inputs, *self.outputs)]
        if any(ticks % period for period in periods):
            raise Refusal(f"{ticks} ticks are no whole frames of ports that have one in {max(periods)}.")
        arrays = self._checked(inputs)
        results = self._results(arrays, ticks)
        given, made = self._hand_over("inputs", arrays), self._hand_over("outputs", results)
        process, state = self._function("process"), self.state
        kept = (self.library, arrays, results)  # a library that nobody holds is closed, and its code gone

        def call(_kept: object = kept) -> None:
            process(state, ticks, given, made)

        return call, {s["label"]: results[s["name"]] for s in self.outputs}

    def _results(self, arrays: Mapping[str, np.ndarray], ticks: int) -> dict[str, np.ndarray]:
        """Room for the outputs, under the C names, once the inputs have the frames that are due."""
        for index, spec in enumerate(self.inputs):
            due = self._function("frames_due")(self.state, ticks, index)
            have = arrays[spec["name"]].shape[1]
            if have != due:
                raise Refusal(
                    f"input {spec['label']!r} has {have} frames, but {due} are due in {ticks} ticks."
                )
        counts = {
            s["name"]: int(self._function("frames_out")(self.state, ticks, i))
            for i, s in enumerate(self.outputs)
        }
        return {s["name"]: np.zeros((s["channels"], counts[s["name"]]), np.float32) for s in self.outputs}


class EventModel(_Library):
    """An event model: ``evaluate(inputs)`` runs all its steps."""

    def __init__(self, program: Program, library: Path):
        super().__init__(
            program,
            library,
            """
            void NAME_event_begin(void *s, const NAME_inputs *in);
            bool NAME_event_step(void *s, uint32_t cycles);
            void NAME_event_result(const void *s, const NAME_outputs *out);
            """,
        )

    def evaluate(
        self, inputs: Mapping[str, np.ndarray], cycles_per_step: int = 1 << 30
    ) -> dict[str, np.ndarray]:
        """Evaluate one event, a budget of predicted cycles at a time.

        Parameters
        ----------
        inputs : mapping of name to ndarray [channels, frames]
        cycles_per_step : int
            Budget of one step.

        Returns
        -------
        dict of output name to float32 ndarray [channels, frames]
        """
        arrays = self._checked(inputs)
        for spec in self.inputs:
            if arrays[spec["name"]].shape[1] != spec["frames"]:
                raise Refusal(
                    f"input {spec['label']!r} has {arrays[spec['name']].shape[1]} frames, not "
                    f"{spec['frames']}."
                )
        self._function("event_begin")(self.state, self._hand_over("inputs", arrays))
        while not self._function("event_step")(self.state, cycles_per_step):
            pass
        results = {s["name"]: np.zeros((s["channels"], s["frames"]), np.float32) for s in self.outputs}
        self._function("event_result")(self.state, self._hand_over("outputs", results))
        return {s["label"]: results[s["name"]] for s in self.outputs}
