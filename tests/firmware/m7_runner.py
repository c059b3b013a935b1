"""Calls of C kernels on the emulated Cortex-M7 of ``bench/m7``, with all kernels in one image."""

from __future__ import annotations

from functools import cache

import numpy as np

from firmware import toolchain
from firmware.kernelgen import m7_short

SHORT_SHAPES = [
    *((taps, 2) for taps in range(1, 7)),
    *((taps, 4) for taps in (1, 2, 3)),
    *((taps, pitch) for pitch in (6, 8, 12, 16) for taps in (1, 3)),
    (24, 2),
    (4, 12),
]
"""Taps × pitch of the straight-line convolutions that are tested."""


def short_code(taps: int, pitch: int) -> int:
    """Address of a straight-line convolution, as a pointer to Thumb code."""
    return machine()[0].elf.symbol(f"short_{taps}x{pitch}").address | 1


@cache
def machine():
    """One emulated Patch SM holding every kernel, and where its free memory begins."""
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import Placement, link
    from hardware.board import load_board
    from tests.firmware.kernel_runner import sources

    board = load_board("patch_sm")
    shapes = toolchain.cache_dir() / "tests" / "short.S"
    shapes.parent.mkdir(parents=True, exist_ok=True)
    shapes.write_text(m7_short.source(SHORT_SHAPES))
    objects = [toolchain.compile_source(source, "m7") for source in (*sources("m7"), shapes)]
    place = Placement(text="axi")  # more kernels than any image has at once
    image = link(objects, board, toolchain.cache_dir() / "tests" / "kernels-m7.elf", placement=place)
    m = Machine(read_elf(image), board)
    return m, dict(m._heap)


def call_m7(calls, laid_out) -> list[list[np.ndarray]]:
    """Make each call; buffers lie in DTCM, what does not fit in AXI SRAM."""
    m, top = machine()
    results = []
    for call in calls:
        arrays, blobs, relocations, arguments = laid_out(call, 4)
        m._heap.update(top)
        region = "dtcm" if sum(map(len, blobs)) < 60_000 else "axi"
        places = [m.place(blob, region) for blob in blobs]
        for me, offset, target in relocations:
            m.write(places[me] + offset, places[target].to_bytes(4, "little"))
        values = [places[v] + offset if pointer else v for pointer, v, offset in arguments]
        m.call(call.name, *[np.float32(f) for f in call.floats], *values)
        results.append(
            [
                m.read_array(place, array.data.dtype, array.data.size).reshape(array.data.shape)
                for place, array in zip(places, arrays, strict=True)
                if array is not None
            ]
        )
    return results
