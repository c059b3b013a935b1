"""Calls of C kernels on any target: a program on the host or in qemu, a module in node, unicorn for the M7.

A call is a function's name, its float arguments and its others: integers, arrays, structs, pointers into
arrays.
Every target gets the same calls and returns the arrays as the kernel left them.
"""

from __future__ import annotations

import re
import struct
import subprocess
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from common.refusal import Refusal
from firmware import toolchain

HERE = Path(__file__).parent
POINTER_BYTES = {"m7": 4, "wasm": 4}
HEADERS = (
    *(
        "dsp/bands.h",
        "dsp/ear.h",
        "dsp/fft.h",
        "dsp/harmonics.h",
        "dsp/modes.h",
        "dsp/pitch.h",
        "dsp/resonators.h",
        "dsp/source_filter.h",
        "dsp/grains.h",
        "dsp/spsi.h",
    ),
    *("dsp/vk_dsp.h", "kernels/conv_plain.h", "kernels/vk.h"),
)
SLACK = b"\x55" * 16  # the bytes a kernel may read behind an integer buffer (vk.h)


@dataclass
class Array:
    """An array argument; `slack` bytes lie behind it."""

    data: np.ndarray
    slack: bytes = SLACK

    def at(self, element: int) -> Into:
        return Into(self, element * self.data.itemsize)


@dataclass
class Into:
    """A pointer into an array."""

    array: Array
    offset: int


@dataclass
class Struct:
    """A C struct by its fields: ("P", array, struct or place) a pointer, ("Z", 0) one to nothing, or
    (struct format character, number)."""

    fields: list

    def pack(self, pointer_bytes: int) -> tuple[bytes, list[tuple[int, Array]]]:
        data, pointers = b"", []
        for kind, value in self.fields:
            size = pointer_bytes if kind in "PZ" else struct.calcsize("<" + kind)
            data += b"\0" * (-len(data) % size)
            if kind in "PZ":
                if kind == "P":
                    pointers.append((len(data), value))
                data += b"\0" * size
            else:
                data += struct.pack("<" + kind, value)
        return data + b"\0" * (-len(data) % 4), pointers


@dataclass
class Call:
    """One call and, after `make_calls`, what its arrays hold."""

    name: str
    arguments: list
    floats: list[float] = field(default_factory=list)


def struct_array(structs: list[Struct]) -> Array:
    """Structs without pointers, side by side."""
    return Array(np.frombuffer(b"".join(s.pack(8)[0] for s in structs), np.uint8).copy(), b"")


def functions() -> list[str]:
    """Every kernel declared in the headers, plain references included."""
    text = ""
    for header in HEADERS:
        text += (toolchain.ENGINE / header).read_text()
    text = re.sub(r"^#if defined\(__ARM_ARCH_7EM__\).*?^#endif", "", text, flags=re.M | re.S)  # its own calls
    return sorted(set(re.findall(r"^(?:void|bool) (vk_\w+)\(", text, re.M)))


def sources(target: str) -> list[Path]:
    return [*toolchain.kernel_sources(target), *sorted(toolchain.ENGINE.glob("kernels/*_plain.c"))]


def _laid_out(call: Call, pointer_bytes: int):
    """Buffers, relocations and arguments of a call; arrays keep their identity."""
    arrays: list = []
    blobs: list[bytes] = []
    relocations: list[tuple[int, int, int]] = []

    def place_struct(made: Struct) -> int:
        blob, pointers = made.pack(pointer_bytes)
        targets = []
        for offset, target in pointers:
            if isinstance(target, Struct):
                targets.append((offset, place_struct(target)))
            elif isinstance(target, Into):
                index = place(target.array)
                blob = (
                    blob[:offset]
                    + target.offset.to_bytes(pointer_bytes, "little")
                    + blob[offset + pointer_bytes :]
                )
                targets.append((offset, index))
            else:
                targets.append((offset, place(target)))
        arrays.append(None)
        blobs.append(blob)
        me = len(arrays) - 1
        relocations.extend((me, offset, target) for offset, target in targets)
        return me

    def place(array: Array) -> int:
        for i, known in enumerate(arrays):
            if known is array:
                return i
        arrays.append(array)
        blobs.append(np.ascontiguousarray(array.data).tobytes() + array.slack)
        return len(arrays) - 1

    arguments = []
    for argument in call.arguments:
        if isinstance(argument, Struct):
            arguments.append((1, place_struct(argument), 0))
        elif isinstance(argument, Array):
            arguments.append((1, place(argument), 0))
        elif isinstance(argument, Into):
            arguments.append((1, place(argument.array), argument.offset))
        else:
            arguments.append((0, int(argument) & 0xFFFFFFFF, 0))
    return arrays, blobs, relocations, arguments


def _serialised(calls: list[Call], names: list[str], pointer_bytes: int) -> tuple[bytes, list]:
    out = [struct.pack("<I", len(calls))]
    layouts = []
    for call in calls:
        arrays, blobs, relocations, arguments = _laid_out(call, pointer_bytes)
        out.append(struct.pack("<II", names.index(call.name), len(blobs)))
        for blob in blobs:
            out.append(struct.pack("<I", len(blob)) + blob)
        out.append(struct.pack("<I", len(relocations)))
        out += [struct.pack("<III", *r) for r in relocations]
        floats = [*call.floats, 0.0, 0.0][:2]
        out.append(struct.pack("<Iff", len(call.floats), *floats))
        out.append(struct.pack("<I", len(arguments)))
        out += [struct.pack("<III", *a) for a in arguments]
        layouts.append((arrays, [len(b) for b in blobs]))
    return b"".join(out), layouts


@cache
def _built(target: str) -> Path:
    out = toolchain.cache_dir() / "tests" / f"kernels-{target}"
    names = functions()
    if target == "wasm":
        return toolchain.link_shared(sources(target), target, out.with_suffix(".wasm"))
    table = toolchain.cache_dir() / "tests" / f"table-{target}"
    table.mkdir(parents=True, exist_ok=True)
    header = table / "kernel_table.h"
    text = "".join(f'#include "{header}"\n' for header in HEADERS)
    text += f"typedef void (*any)({', '.join(['uintptr_t'] * 12)});\n"
    text += "static const any functions[] = {" + ", ".join(f"(any){n}" for n in names) + "};\n"
    if not header.exists() or header.read_text() != text:
        header.write_text(text)
    # the driver calls every kernel through one type: no compiler likes it, every calling convention bears it
    extra = (f"-I{table}", "-Wno-cast-function-type")
    driver = toolchain.compile_source(HERE / "kernel_driver.c", target, extra=extra)
    objects = [toolchain.compile_source(source, target) for source in sources(target)]
    return toolchain.link_objects([driver, *objects], target, out)


class _Node:
    """A node that answers one request after the other: its start costs more than most calls."""

    def __init__(self, command: tuple[str, ...]):
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe)

    def ask(self, data: bytes) -> bytes:
        """Send calls and return the buffers that they leave; an `AssertionError` with what node said."""
        into, out, complaints = self.process.stdin, self.process.stdout, self.process.stderr
        assert into is not None and out is not None and complaints is not None
        try:
            into.write(struct.pack("<I", len(data)) + data)
            into.flush()
            length = out.read(4)
            found = out.read(*struct.unpack("<I", length)) if len(length) == 4 else None
        except BrokenPipeError:
            found = None
        if found is None:
            _node.cache_clear()
            raise AssertionError(complaints.read().decode()[-4000:])
        return found


@cache
def _node(command: tuple[str, ...]) -> _Node:
    return _Node(command)


def make_calls(target: str, calls: list[Call]) -> list[list[np.ndarray]]:
    """Make `calls` on `target`; each gives its arrays, in order of appearance, as the kernel left them."""
    if not toolchain.can_run(target):
        pytest.skip(f"{toolchain.TARGETS[target].runner[0]} is not installed")
    if target == "m7":
        from tests.firmware.m7_runner import call_m7

        return call_m7(calls, _laid_out)
    names = functions()
    try:
        program = _built(target)
    except Refusal as refusal:
        if target == "host-asan" and "system compiler" in str(refusal):
            pytest.skip(str(refusal))
        raise
    data, layouts = _serialised(calls, names, POINTER_BYTES.get(target, 8))
    command = toolchain.run_command(target, program)
    if target == "wasm":
        said = _node((command[0], str(HERE / "kernel_driver.mjs"), str(program), *names)).ask(data)
    else:
        done = subprocess.run(command, input=data, capture_output=True, check=False)
        assert done.returncode == 0, done.stderr.decode()[-4000:]
        said = done.stdout
    results, at = [], 0
    for arrays, sizes in layouts:
        found = []
        for array, size in zip(arrays, sizes, strict=True):
            if array is not None:
                count = array.data.size
                values = np.frombuffer(said, array.data.dtype, count, at)
                found.append(values.reshape(array.data.shape))
            at += size
        results.append(found)
    assert at == len(said)
    return results
