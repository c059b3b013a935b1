"""Calls of C kernels on the emulated Cortex-M7 of ``bench/m7``, with all kernels in one image."""

from __future__ import annotations

import itertools
from functools import cache

import numpy as np

from firmware import toolchain
from firmware.kernelgen import m7_joined, m7_recurrent, m7_short
from firmware.kernelgen.m7_joined import Shape

SHORT_SHAPES = [
    *((taps, 2) for taps in range(1, 7)),
    *((taps, 4) for taps in (1, 2, 3)),
    *((taps, pitch) for pitch in (6, 8, 12, 16) for taps in (1, 3)),
    (24, 2),
    (4, 12),
]
"""Taps × pitch of the straight-line convolutions that are tested."""


def joined_shapes() -> list[Shape]:
    """Joined sums that are tested: pitches of the taps, of the output, and the table behind."""
    return [
        Shape((2,), 2),
        Shape((2, 2), 2, 9, 7),
        Shape((4, 4, 4, 2), 4),
        Shape((4, 4, 4, 2), 4, 10, 7),
        Shape((2, 2, 2, 2), 2, 10, 5),
        Shape((8, 8, 8, 2), 8, 10, 5),
        Shape((8, 8), 8),
        Shape((8, 8), 8, along=(1,)),
        Shape((4, 2, 4), 4, 10, 7, along=(2,)),
        Shape((6, 2), 2, along=(1,)),
        Shape((6, 4, 2), 6, 3, 6),
        Shape((16, 16, 16, 2), 16, 9, 7),
        Shape((28, 16), 16, along=(1,)),
        Shape((64, 16, 2), 16, 9, 7, along=(1,)),
        Shape((64, 16, 2), 8),
        Shape((4,) * 15 + (2,), 4),
        Shape((32, 2), 2),
    ]


def joined_code(shape: Shape) -> int:
    """Address of a joined sum, as a pointer to Thumb code."""
    return machine(JOINED)[0].elf.symbol(shape.name).address | 1


def short_code(taps: int, pitch: int) -> int:
    """Address of a straight-line convolution, as a pointer to Thumb code."""
    return machine()[0].elf.symbol(f"short_{taps}x{pitch}").address | 1


RECURRENT_SHIFTS = (0, 5)


def recurrent_shapes() -> list[m7_recurrent.Shape]:
    """Recurrent layers that are tested: kinds, pairs of states and of inputs, shifts."""
    sizes = ((1, 1), (2, 1), (2, 2), (4, 1))
    kinds = itertools.product(("lstm", "gru", "gru_before"), sizes, RECURRENT_SHIFTS)
    return [m7_recurrent.Shape(kind, *size, shift) for kind, size, shift in kinds]


def recurrent_code(shape: m7_recurrent.Shape) -> int:
    """Address of a recurrent layer's frame, as a pointer to Thumb code."""
    return machine(RECURRENT)[0].elf.symbol(shape.name).address | 1


JOINED, RECURRENT = "vk_joined_s16", "vk_recurrent"
APART = {JOINED: ("joined_m7",), RECURRENT: ("recurrent_m7",)}
"""Kernels whose code comes with a model, and their sources: each has an image of its own."""


@cache
def machine(kernel=""):
    """One emulated Patch SM holding every kernel, and where its free memory begins.

    The joined sums of all tested shapes have one of their own: fast memory for code is short.
    """
    from bench.m7.elf import read_elf
    from bench.m7.emulator import Machine
    from bench.m7.link import Placement, link
    from hardware.board import load_board
    from tests.firmware.kernel_runner import sources

    board = load_board("patch_sm")
    shapes = toolchain.cache_dir() / "tests" / f"{kernel or 'short'}.S"
    shapes.parent.mkdir(parents=True, exist_ok=True)
    code = {
        "": lambda: m7_short.source(SHORT_SHAPES),
        JOINED: lambda: m7_joined.source(joined_shapes()),
        RECURRENT: lambda: m7_recurrent.source(recurrent_shapes()),
    }
    shapes.write_text(code[kernel]())
    wanted = [s for s in sources("m7") if not kernel or s.stem in (*APART[kernel], "freestanding")]
    objects = [toolchain.compile_source(source, "m7") for source in (*wanted, shapes)]
    place = Placement(text="itcm" if kernel else "axi")  # more kernels than any image has at once
    image = link(objects, board, toolchain.cache_dir() / "tests" / f"kernels-m7{kernel}.elf", placement=place)
    m = Machine(read_elf(image), board)
    return m, dict(m._heap)


def call_m7(calls, laid_out) -> list[list[np.ndarray]]:
    """Make each call; buffers lie in DTCM, what does not fit in AXI SRAM."""
    results = []
    for call in calls:
        recurrent = RECURRENT if call.name in ("vk_lstm_s16", "vk_gru_s16", "vk_gru_before_s16") else ""
        m, top = machine(JOINED if call.name == JOINED else recurrent)
        arrays, blobs, relocations, arguments = laid_out(call, 4)
        m._heap.update(top)
        region = "dtcm" if sum(map(len, blobs)) < 60_000 else "axi"
        places = [m.place(blob, region) for blob in blobs]
        for me, offset, target in relocations:
            inside = int.from_bytes(blobs[me][offset : offset + 4], "little")
            m.write(places[me] + offset, (places[target] + inside).to_bytes(4, "little"))
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
