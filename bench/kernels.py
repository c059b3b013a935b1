"""The kernel table: predicted cycles of every engine kernel on the emulated Cortex-M7, over shapes.

    python -m bench.kernels -o bench/results/kernels.json

Each row is one call with warm caches, code in ITCM, data in DTCM, weights where `region` says. The named
rows are the figures that ``firmware/README.md`` quotes; the grid behind them is what ``bench.fit_costs`` fits
the compiler's cost table to. Everything is *predicted*; two runs on one commit give the same file.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np

from bench.m7.emulator import Machine
from bench.m7.link import Placement
from bench.m7.measure import link_for
from common.files import write_json
from common.refusal import Refusal
from firmware.kernelgen import m7_joined, m7_recurrent, m7_short
from firmware.kernelgen.m7_joined import Shape
from hardware.board import load_board


@dataclass(frozen=True)
class Row:
    """One predicted call.

    Attributes
    ----------
    priced_macs : multiply-accumulates as the compiler's cost model counts them (``Work.macs``).
    macs : multiply-accumulates that the layer asks for (padding not counted).
    """

    kernel: str
    shape: str
    region: str
    macs: int
    outputs: int
    cycles: int
    instructions: int
    cycles_per_mac: float | None
    priced_macs: int


@dataclass
class Bench:
    """The emulated board with every kernel linked, and a scratch heap that is reset for each call."""

    machine: Machine

    def __post_init__(self) -> None:
        self._top = dict(self.machine._heap)

    def reset(self) -> None:
        """Forget what earlier rows placed."""
        self.machine._heap.update(self._top)

    def cycles(self, function: str, *args: int | float) -> tuple[int, int]:
        """Warm cycles and instructions of a call."""
        self.machine.call(function, *args, traced=True)
        call = self.machine.call(function, *args, traced=True)
        return call.cycles, call.instructions

    def struct(self, *words: int) -> int:
        """Place 32-bit words in DTCM."""
        return self.machine.place(np.array([w & 0xFFFFFFFF for w in words], np.uint32), "dtcm")


SHORT_SHAPES = [
    *((taps, pitch) for pitch in (2, 4, 6, 8, 12, 16) for taps in (1, 3)),
    *((2, 4), (5, 2), (2, 16)),
]
"""Straight-line convolutions of the table: taps × elements of a frame."""


JOINED_SHAPES = [
    *(Shape((c, c, c, 2), c, bits, 7 * (bits > 0)) for c in (2, 4, 8, 16) for bits in (0, 9)),
    *(Shape((c, c), c, along=(0,)) for c in (2, 4, 8, 16)),
    Shape((4,) * 6 + (2,), 4),
    Shape((4,) * 15 + (2,), 4),
    Shape((8,) * 5 + (2,), 2),
    Shape((4, 2), 4, 9, 7),
    Shape((4,) * 6 + (2,), 4, 9, 7),
]
"""Joined sums of the table: pitches of taps and output, bits of a table behind, taps along the outputs."""


APART = ("conv_short_m7", "ear", "fft", "joined_m7", "pitch", "recurrent_m7", "source_filter", "spsi")
"""Sources that the image of all others has no room for in fast memory: no instrument has everything."""


@cache
def joined_bench() -> Bench:
    """Link the joined sums into an image of their own: fast memory for code is short."""
    from firmware.toolchain import kernel_sources

    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "joined.S"
        code.write_text(m7_joined.source(JOINED_SHAPES))
        needed = [s for s in kernel_sources("m7") if s.stem in ("joined_m7", "freestanding")]
        elf = link_for([*needed, code], board, Path(folder) / "joined.elf")
    return Bench(Machine(elf, board))


RECURRENT = "lstm", "gru", "gru_before"
RECURRENT_UNITS, RECURRENT_SHIFT = (4, 8, 16, 40), 4
"""Recurrent layers of the table."""


def _recurrent_shape(kind: str, units: int) -> m7_recurrent.Shape:
    return m7_recurrent.Shape(kind, units // 2, 1, RECURRENT_SHIFT)


@cache
def recurrent_bench() -> Bench:
    """Link the recurrent layers of the table into an image of their own."""
    from firmware.toolchain import kernel_sources

    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        code = Path(folder) / "recurrent.S"
        shapes = [_recurrent_shape(kind, units) for kind in RECURRENT for units in RECURRENT_UNITS]
        code.write_text(m7_recurrent.source(shapes))
        needed = [s for s in kernel_sources("m7") if s.stem in ("recurrent_m7", "freestanding")]
        elf = link_for([*needed, code], board, Path(folder) / "recurrent.elf")
    return Bench(Machine(elf, board))


@cache
def bench() -> Bench:
    """Link the kernels of the M7 target, but those apart, into one image on a Patch SM."""
    from firmware.toolchain import kernel_sources

    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        needed = [s for s in kernel_sources("m7") if s.stem not in APART]
        elf = link_for(needed, board, Path(folder) / "kernels.elf")
    return Bench(Machine(elf, board))


@cache
def short_bench() -> Bench:
    """Link the straight-line convolutions of the table into an image of their own."""
    from firmware.toolchain import kernel_sources

    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        shapes = Path(folder) / "short.S"
        shapes.write_text(m7_short.source(SHORT_SHAPES))
        needed = [s for s in kernel_sources("m7") if s.stem in ("conv_short_m7", "freestanding")]
        elf = link_for([*needed, shapes], board, Path(folder) / "short.elf")
    return Bench(Machine(elf, board))


def text_bytes() -> dict[str, int]:
    """Bytes of code per function of the whole engine, linked where there is room for all of it."""
    from firmware.toolchain import kernel_sources

    board = load_board("patch_sm")
    with tempfile.TemporaryDirectory() as folder:
        elf = link_for(kernel_sources("m7"), board, Path(folder) / "all.elf", Placement(text="axi"))
    return {s.name: s.size for s in elf.functions if s.size}


def conv(
    inputs: int,
    outputs: int,
    taps: int,
    frames: int,
    *,
    region: str = "dtcm",
    dilation: int = 1,
    transposed_stride: int = 0,
    element: str = "s16",
) -> Row:
    """One convolution call with random weights.

    Parameters
    ----------
    frames : input frames of a transposed convolution, output frames of the others.
    element : s16 (W8A16), s8 (W8A8) or f32.
    """
    from firmware.kernelgen import packing
    from firmware.toolchain import TARGETS

    rng = np.random.default_rng(inputs * 1000 + outputs * 10 + taps)
    in_pitch = packing.pitch_of(inputs, element)
    short = element == "s16" and not transposed_stride
    short = short and packing.is_short((outputs, inputs, taps), in_pitch, 1, 1)
    b = short_bench() if short else bench()
    b.reset()
    out_pitch = packing.pitch_of(outputs, element)
    order = TARGETS["m7"].packing if element != "s8" else "byte8"
    name = {"s16": "vk_conv_w8a16", "s8": "vk_conv_w8a8", "f32": "vk_conv_f32"}[element]
    rows = outputs
    if transposed_stride:
        weights = rng.integers(-127, 128, (inputs, outputs, taps))
        numbers = rng.integers(0, 1 << 20, outputs), np.full(outputs, 1 << 20), np.zeros(outputs, int)
        packed = packing.pack_transposed(
            weights, *numbers, packing=order, stride=transposed_stride, out_pitch=out_pitch, in_pitch=in_pitch
        )
        rows = transposed_stride * out_pitch
        macs = inputs * outputs * taps * frames
        out_step = transposed_stride * out_pitch
        shape = f"{inputs}→{outputs} k{taps} ↑{transposed_stride} × {frames}"
    elif element == "f32":
        packed = packing.pack_conv_f32(
            rng.standard_normal((outputs, inputs, taps)).astype(np.float32),
            np.zeros(outputs, np.float32),
            in_pitch=in_pitch,
            dilation=dilation,
        )
        macs, out_step = inputs * outputs * taps * frames, out_pitch
        shape = f"{inputs}→{outputs} k{taps}{f' d{dilation}' if dilation > 1 else ''} × {frames}"
    else:
        weights = rng.integers(-127, 128, (outputs, inputs, taps))
        numbers = rng.integers(0, 1 << 20, outputs), np.full(outputs, 1 << 20), np.zeros(outputs, int)
        packed = packing.pack_conv(weights, *numbers, packing=order, dilation=dilation, in_pitch=in_pitch)
        macs, out_step = inputs * outputs * taps * frames, out_pitch
        shape = f"{inputs}→{outputs} k{taps}{f' d{dilation}' if dilation > 1 else ''} × {frames}"
    dtype = {"s16": np.int16, "s8": np.int8, "f32": np.float32}[element]
    size = (packed.history + frames) * in_pitch + 16
    if element == "f32":
        window = rng.standard_normal(size).astype(np.float32)
    else:
        window = rng.integers(-100, 100, size).astype(dtype)
    out = b.machine.alloc((frames * out_step + 16) * np.dtype(dtype).itemsize)
    if short:
        line = packing.pack_short(weights, *numbers, in_pitch=in_pitch, dilation=dilation)
        code = b.machine.elf.symbol("short_{}x{}".format(*line.shape)).address | 1  # Thumb
        stream = b.machine.place(line.stream, region, 32)
        layer = b.struct(stream, code, line.run_bytes, packing.short_bytes(*line.shape))
        cycles, instructions = b.cycles(
            "vk_conv_short", layer, b.machine.place(window), out, out_step, frames, 0, packed.channels
        )
        name = "vk_conv_w8a16_short"
        return Row(name, shape, region, macs, frames * rows, cycles, instructions, cycles / macs, macs)
    weight_at = b.machine.place(packed.weights, region, 32)
    table = packed.requant if packed.requant is not None else packed.bias
    layer = b.struct(
        weight_at,
        b.machine.place(np.ascontiguousarray(table), "dtcm"),
        packed.frame_step,
        packed.run_step,
        packed.runs | packed.run << 16,
        packed.groups | packed.group_in << 16,
        packed.channels,
    )
    cycles, instructions = b.cycles(
        name, layer, b.machine.place(window), out, out_step, frames, 0, packed.channels
    )
    return Row(name, shape, region, macs, frames * rows, cycles, instructions, cycles / macs, macs)


def depthwise(channels: int, taps: int, frames: int) -> Row:
    """A filter per channel, int8 weights and int16 activations."""
    from firmware.kernelgen import packing

    b, rng = bench(), np.random.default_rng(9)
    b.reset()
    weights = rng.integers(-127, 128, (channels, 1, taps))
    numbers = rng.integers(0, 1 << 20, channels), np.full(channels, 1 << 20), np.zeros(channels, int)
    pitch = packing.pitch_of(channels, "s16")
    packed = packing.pack_depthwise(weights, *numbers, in_pitch=pitch)
    assert packed.requant is not None
    layer = b.struct(
        b.machine.place(packed.weights),
        b.machine.place(np.ascontiguousarray(packed.requant)),
        packed.frame_step,
        packed.tap_step,
        packed.taps | packed.pitch << 16,
    )
    window = b.machine.place(rng.integers(-9999, 9999, pitch * (frames + taps)).astype(np.int16))
    out = b.machine.alloc(2 * pitch * frames)
    cycles, instructions = b.cycles("vk_depthwise_w8a16", layer, window, out, pitch, frames, 0, channels)
    macs, outputs = channels * taps * frames, channels * frames
    shape = f"{channels} channels k{taps} × {frames}"
    per_mac = cycles / macs
    return Row("vk_depthwise_w8a16", shape, "dtcm", macs, outputs, cycles, instructions, per_mac, macs)


def flat(kernel: str, frames: int, lanes: int) -> Row:
    """One element-by-element call over [frames][lanes] whose steps equal `lanes`."""
    b = bench()
    b.reset()
    rng = np.random.default_rng(1)
    count = frames * lanes
    element = kernel.rsplit("_", 1)[1]
    dtype = {"s16": np.int16, "s8": np.int8, "f32": np.float32}[element]

    def data() -> int:
        if element == "f32":
            return b.machine.place(rng.uniform(-1, 1, count + 8).astype(np.float32))
        return b.machine.place(rng.integers(-120, 120, count + 16).astype(dtype))

    a, other, out = data(), data(), b.machine.alloc(4 * count + 64)
    size = [frames, lanes]
    unary: list[int | float] = [a, lanes, out, lanes, *size]
    binary: list[int | float] = [a, lanes, other, lanes, out, lanes, *size]
    stem = kernel.removeprefix("vk_").rsplit("_", 1)[0]
    tables: dict[str, Callable[[], list[int | float]]] = {
        "add": lambda: [b.struct(12000 | 9000 << 16, 14), *binary],
        "mean": lambda: [b.struct(1 << 14 | 1 << 30, 15), *binary],
        "mul": lambda: [b.struct(1 << 20, 0), *binary],
        "rescale": lambda: [b.struct(1 << 30, 0), *unary],
        "table": lambda: [
            b.machine.place(rng.integers(-100, 100, 513).astype(dtype)),
            *unary,
        ],
        "table_fine": lambda: [
            b.struct(b.machine.place(rng.integers(-100, 100, 1026).astype(dtype)), -512, 1024, 0),
            *unary,
        ],
        "leaky": lambda: [3000, *unary],
        "clip": lambda: [0, 100, *unary],
        "bend": lambda: [8192, -8192, 8192, *unary],
        "snake": lambda: [
            b.struct(*[v for _ in range(lanes) for v in (70000, 12000 | 9000 << 16, 14)]),
            *unary,
        ],
    }
    floats: dict[str, Callable[[], list[int | float]]] = {
        "add": lambda: binary,
        "sub": lambda: binary,
        "mul": lambda: binary,
        "scale": lambda: [data(), data(), *unary],
        "leaky": lambda: [0.1, *unary],
        "clip": lambda: [-0.5, 0.5, *unary],
        "snake": lambda: [data(), data(), *unary],
    }
    made = floats.get(stem, lambda: unary) if element == "f32" else tables[stem]
    args = made()
    cycles, instructions = b.cycles(kernel.replace("mean", "add"), *args)
    return Row(kernel, f"{frames} × {lanes}", "dtcm", 0, count, cycles, instructions, None, 0)


def edge(kernel: str, frames: int, lanes: int) -> Row:
    """Quantize from, dequantize to planar float."""
    b = bench()
    b.reset()
    rng = np.random.default_rng(2)
    count = frames * lanes
    narrow = np.int16 if "s16" in kernel else np.int8
    out = b.machine.alloc(4 * count + 64)
    if kernel.startswith("vk_quantize"):
        source = b.machine.place(rng.uniform(-1, 1, count).astype(np.float32))
        args: list[int | float] = [0.01, source, 1, frames, out, lanes, frames, lanes]
    else:
        source = b.machine.place(rng.integers(-100, 100, count + 16).astype(narrow))
        args = [0.01, source, lanes, out, 1, frames, frames, lanes]
    cycles, instructions = b.cycles(kernel, *args)
    return Row(kernel, f"{frames} × {lanes}", "dtcm", 0, count, cycles, instructions, None, 0)


def slide(advance: int, history: int) -> Row:
    """Move a window's history to its front."""
    b = bench()
    b.reset()
    window = b.machine.alloc(advance + history + 16)
    cycles, instructions = b.cycles("vk_slide", window, advance, history)
    shape = f"{history} bytes"
    return Row("vk_slide", shape, "dtcm", 0, history // 4, cycles, instructions, None, 0)


def rows(kernel: str, frames: int, lanes: int) -> Row:
    """Copy or gather [frames][lanes] of int16."""
    b = bench()
    b.reset()
    count = frames * lanes
    source, out = b.machine.alloc(2 * count + 64), b.machine.alloc(2 * count + 64)
    if kernel.startswith("vk_copy_rows"):
        beside = 6 if kernel.endswith("strided") else 0  # bytes between the rows
        if beside:
            source, out = b.machine.alloc(count * 8 + 64), b.machine.alloc(count * 8 + 64)
        args = [source, 2 * lanes + beside, out, 2 * lanes + beside, frames, 2 * lanes]
    else:
        args = [source, 1, frames, out, lanes, 1, frames, lanes]
    cycles, instructions = b.cycles(kernel.removesuffix("_strided"), *args)
    return Row(kernel, f"{frames} × {lanes}", "dtcm", 0, count, cycles, instructions, None, 0)


def pqmf(kernel: str, bands: int, length: int, frames: int) -> Row:
    """PQMF of `bands` filters of `length` taps; MACs are those of the direct form."""
    from firmware.kernelgen import pqmf as tables

    b = bench()
    b.reset()
    rng = np.random.default_rng(3)
    made = tables.tables(rng.standard_normal(length), bands, synthesis=kernel.endswith("synthesis"))
    folds = made.folds
    bank = b.struct(b.machine.place(made.window), b.machine.place(made.twiddle), bands | folds << 16)
    state = b.machine.alloc(4 * made.state_floats)
    subbands = b.machine.place(rng.standard_normal(frames * bands).astype(np.float32))
    audio = b.machine.place(rng.standard_normal(frames * bands).astype(np.float32))
    if kernel == "vk_pqmf_synthesis":
        args = [bank, state, subbands, bands, audio, frames]
    else:
        args = [bank, state, audio, subbands, bands, frames]
    cycles, instructions = b.cycles(kernel, *args)
    macs = frames * bands * length
    stages = (bands - 1).bit_length()
    priced = frames * (length + bands * stages + 2 * bands)
    shape = f"{bands} bands, {length} taps × {frames}"
    return Row(kernel, shape, "dtcm", macs, frames * bands, cycles, instructions, cycles / macs, priced)


def noise(bands: int, taps: int, hop: int, frames: int) -> Row:
    """Filtered noise: one short FIR per band and sample."""
    b = bench()
    b.reset()
    rng = np.random.default_rng(4)
    spec = b.struct(1, bands | taps << 16, hop)
    state = b.struct(100)
    filters = b.machine.place(rng.standard_normal(frames * bands * taps).astype(np.float32))
    out = b.machine.alloc(4 * frames * hop * bands + 64)
    args = [spec, state, filters, bands * taps, out, bands, frames]
    cycles, instructions = b.cycles("vk_filtered_noise", *args)
    outputs = frames * hop * bands
    return Row(
        "vk_filtered_noise",
        f"{bands} bands, {taps} taps, hop {hop} × {frames}",
        "dtcm",
        outputs * taps,
        outputs,
        cycles,
        instructions,
        cycles / (outputs * taps),
        outputs * taps,
    )


def hit(kernel: str, count: int, gliding: int = 0) -> Row:
    """A frame of 48 samples of so many modes or bands that all sound, or what the numbers of modes mean.

    Its outputs are priced by mode or band, the gliding ones by multiply-accumulate.
    """
    b = bench()
    b.reset()
    rng = np.random.default_rng(5)
    out = b.machine.alloc(4 * 48)
    if kernel == "vk_bands_frame":
        half = b.machine.place(rng.integers(-32000, 32000, 64 * count + 6).astype(np.int16))
        bank = b.struct(half, b.machine.place(np.zeros(count, np.float32)), count)
        state = b.machine.place(np.zeros(1024, np.uint32))
        logs = b.machine.place(rng.uniform(-6, 0, 2 * count).astype(np.float32))
        part = int(np.float32(0.5).view(np.uint32))
        args: list[int] = [bank, state, b.struct(logs, logs + 4 * count, part), out]
        shape = f"{count} bands"
    else:
        anchors = b.machine.place(np.geomspace(1e-3, 0.3, count).astype(np.float32))
        spreads = b.machine.place(np.full(count, 0.1, np.float32))
        slots = b.struct(anchors, spreads, count | gliding << 16)
        raw = rng.normal(size=(5, count)).astype(np.float32)
        raw[2] -= 3
        numbers, told = b.machine.place(raw), b.machine.alloc(40 * count)
        state, glide = b.machine.alloc(16 * count), b.machine.alloc(8)
        b.machine.call("vk_glide_decode", b.machine.place(np.array([1.0, -2.0], np.float32)), glide)
        b.machine.call("vk_modes_decode", slots, numbers, told, 0, count)
        b.machine.call("vk_modes_start", slots, told, state)
        args = [slots, told, glide, state, 0, out]
        if kernel == "vk_modes_decode":
            args = [slots, numbers, told, 0, count]
        shape = f"{count} modes, {gliding} gliding"
    cycles, instructions = b.cycles(kernel, *args)
    return Row(kernel, shape, "dtcm", 0, count, cycles, instructions, None, gliding)


def harmonics(count: int) -> Row:
    """A frame of 48 samples of so many harmonics that all sound."""
    b, rng = bench(), np.random.default_rng(7)
    b.reset()
    older, newer = (b.machine.place(rng.random(count).astype(np.float32)) for _ in range(2))
    asked = b.struct(older, newer, int(np.float32(0.5).view(np.uint32)), count)
    state, out = b.machine.place(np.zeros(256, np.uint32)), b.machine.alloc(4 * 48)
    step = 110 * 2**32 // 48_000
    b.machine.call("vk_harmonics_reset", state, step)
    cycles, instructions = b.cycles("vk_harmonics_frame", asked, state, step, out)
    return Row("vk_harmonics_frame", f"{count} harmonics", "dtcm", 0, count, cycles, instructions, None, 0)


def joined(shape: Shape, frames: int) -> Row:
    """A joined sum with random weights over all channels of its output."""
    from firmware.kernelgen import packing

    b, rng = joined_bench(), np.random.default_rng(6)
    b.reset()
    outputs, steps = shape.out_pitch, len(shape.steps)
    weights = rng.integers(-127, 128, (outputs, 2 * steps))
    numbers = rng.integers(0, 1 << 20, outputs), np.full(outputs, 1 << 22)
    stream = b.machine.place(packing.pack_joined_stream(weights, *numbers, 0), "dtcm", 32)
    curve = b.machine.place(np.zeros(1024, np.int32))
    code = b.machine.elf.symbol(shape.name).address | 1  # Thumb
    layer = b.struct(stream, code, curve, 32768, outputs // 2)
    signals = [
        b.machine.place(rng.integers(-9999, 9999, p * (frames + 8)).astype(np.int16)) for p in shape.pitches
    ]
    out = b.machine.alloc(2 * outputs * frames + 64)
    cycles, instructions = b.cycles("vk_joined_s16", layer, b.struct(*signals), out, outputs, frames)
    macs = 2 * steps * outputs * frames
    return Row(
        "vk_joined_s16_table" if shape.bits else "vk_joined_s16",
        f"{steps} steps of {len(shape.pitches)} taps→{outputs} × {frames}",
        "dtcm",
        macs,
        outputs * frames,
        cycles,
        instructions,
        cycles / macs,
        macs,
    )


def recurrent(kind: str, units: int, frames: int) -> Row:
    """An LSTM or GRU of one input with random weights; ``gru_before``: its reset gate acts before them."""
    from firmware.compiler.judge import recurrent as judge
    from firmware.kernelgen.recurrent import pack_recurrent

    b, rng = recurrent_bench(), np.random.default_rng(8)
    b.reset()
    shapes = ((4 * units, 1), (4 * units, units), (4 * units,))
    weights, back, offsets = (rng.integers(-1500, 1500, shape) for shape in shapes)
    packed = pack_recurrent(weights, back, offsets, RECURRENT_SHIFT, 2)
    functions = judge.sigmoid_lines(), judge.tanh_lines()
    layer = b.struct(
        b.machine.place(packed.stream),
        b.machine.elf.symbol(_recurrent_shape(kind, units).name).address | 1,  # Thumb
        *(b.machine.place(f.reshape(-1).astype(np.int32)) + 4 * judge.CELLS for f in functions),
        packed.inputs | packed.units << 16,
        packed.columns | packed.shift << 16,
    )
    vector = b.machine.place(np.zeros(2 * packed.columns, np.int16))
    wide = b.machine.place(np.zeros(units, np.int32))
    x = b.machine.place(rng.integers(-9999, 9999, 2 * frames).astype(np.int16))
    out = b.machine.alloc(2 * units * frames)
    cycles, instructions = b.cycles(f"vk_{kind}_s16", layer, vector, wide, x, 2, out, units, frames)
    macs, priced = 4 * units * (units + 1) * frames, 4 * units * packed.columns * frames
    shape = f"{units} units of 1 input, {frames} frames"
    per_mac = cycles / macs
    return Row(f"vk_{kind}_s16", shape, "dtcm", macs, units * frames, cycles, instructions, per_mac, priced)


FIGURES: dict[str, tuple[Callable[[], Row], float]] = {
    "conv 64→64 k3, 4 frames": (partial(conv, 64, 64, 3, 4), 0.60),
    "conv 64→64 k3, 3 frames": (partial(conv, 64, 64, 3, 3), 0.60),
    "conv 64→64 k3, 1 frame": (partial(conv, 64, 64, 3, 1), 0.75),
    "pointwise 128→128, 1 frame": (partial(conv, 128, 128, 1, 1), 1.0),
    "conv 16→16 k3, 3 frames": (partial(conv, 16, 16, 3, 3), 1.1),
    "transposed 64→32 k8 ↑4, 4 frames": (partial(conv, 64, 32, 8, 4, transposed_stride=4), 0.75),
    "transposed 64→32 k8 ↑4, 1 frame": (partial(conv, 64, 32, 8, 1, transposed_stride=4), 0.95),
}
"""Named rows and the cycle/MAC that the project set itself."""

FLAT = (
    *("vk_add_s16", "vk_mul_s16", "vk_rescale_s16", "vk_table_s16", "vk_table_fine_s16", "vk_leaky_s16"),
    *("vk_clip_s16", "vk_mean_s16"),
    *("vk_bend_s16", "vk_snake_s16", "vk_add_s8", "vk_mul_s8", "vk_leaky_s8", "vk_clip_s8", "vk_table_s8"),
    *("vk_add_f32", "vk_sub_f32", "vk_mul_f32", "vk_scale_f32", "vk_leaky_f32", "vk_clip_f32", "vk_exp_f32"),
    *("vk_tanh_f32", "vk_sigmoid_f32", "vk_softplus_f32", "vk_sin_f32", "vk_snake_f32"),
)


def grid() -> Iterator[Callable[[], Row]]:
    """Shapes for the fit, small to large."""
    for inputs, outputs in (
        (4, 4),
        (8, 8),
        (16, 16),
        (16, 64),
        (32, 32),
        (64, 16),
        (64, 64),
        (96, 48),
        (128, 128),
    ):
        for taps in (1, 3):
            for frames in (1, 2, 3, 4, 12):
                yield partial(conv, inputs, outputs, taps, frames)
    for inputs, frames, dilation in ((16, 1, 3), (16, 12, 3), (32, 4, 9), (64, 1, 5), (64, 4, 3), (8, 48, 2)):
        yield partial(conv, inputs, inputs, 3, frames, dilation=dilation)
    for inputs, taps, frames, dilation in (
        (8, 3, 48, 1),
        (12, 3, 48, 1),
        (12, 3, 48, 3),
        (16, 3, 48, 9),
        (24, 3, 12, 9),
        (12, 5, 48, 2),
        (16, 2, 48, 4),
        (12, 3, 1, 3),
        (8, 7, 12, 2),
        (48, 3, 12, 3),
        (2, 3, 48, 2),
        (4, 3, 48, 4),
        (2, 5, 48, 1),
        (4, 2, 24, 8),
        (6, 3, 24, 3),
        (16, 3, 24, 27),
        (16, 3, 6, 3),
    ):
        yield partial(conv, inputs, inputs, taps, frames, dilation=dilation)
    for inputs, outputs, frames in ((1, 4, 48), (2, 2, 48), (1, 16, 48), (16, 1, 48), (12, 12, 23)):
        yield partial(conv, inputs, outputs, 1, frames)
    for inputs, outputs, taps, frames, stride in ((64, 32, 8, 1, 4), (32, 16, 4, 4, 2), (16, 16, 8, 3, 4)):
        yield partial(conv, inputs, outputs, taps, frames, transposed_stride=stride)
    for element in ("s8", "f32"):
        for inputs, outputs, taps, frames in (
            (8, 8, 1, 1),
            (16, 16, 3, 1),
            (16, 16, 3, 4),
            (32, 64, 1, 3),
            (64, 64, 3, 2),
        ):
            yield partial(conv, inputs, outputs, taps, frames, element=element)
    for kernel in FLAT:
        for frames, lanes in ((1, 8), (1, 64), (4, 32), (12, 16), (48, 8)):
            yield partial(flat, kernel, frames, lanes)
    for kernel in (
        "vk_quantize_f32_s16",
        "vk_quantize_f32_s8",
        "vk_dequantize_s16_f32",
        "vk_dequantize_s8_f32",
    ):
        for frames, lanes in ((1, 16), (3, 16), (12, 8), (48, 1)):
            yield partial(edge, kernel, frames, lanes)
    for frames, lanes in ((1, 9), (4, 16), (32, 9), (32, 16), (48, 4), (12, 33)):
        yield partial(rows, "vk_copy_rows_strided", frames, lanes)
    for kernel in ("vk_copy_rows", "vk_gather_s16"):
        for frames, lanes in ((1, 16), (4, 32), (12, 16), (3, 64)):
            yield partial(rows, kernel, frames, lanes)
    for channels, taps, frames in ((16, 3, 1), (64, 3, 1), (64, 3, 48), (16, 3, 12), (32, 5, 4), (8, 7, 48)):
        yield partial(depthwise, channels, taps, frames)
    for region in ("axi", "sdram"):
        for frames in (1, 4):
            yield partial(conv, 128, 128, 3, frames, region=region)
    for history in (32, 256, 1024):
        yield partial(slide, 256, history)
    for kernel in ("vk_pqmf_synthesis", "vk_pqmf_analysis"):
        for bands, length, frames in (
            (4, 64, 12),
            (8, 128, 6),
            (16, 192, 3),
            (16, 512, 3),
            (16, 512, 1),
            (32, 512, 2),
        ):
            yield partial(pqmf, kernel, bands, length, frames)
    for bands, taps, hop, frames in ((16, 1, 1, 3), (16, 8, 3, 1), (8, 8, 6, 2), (1, 16, 48, 1)):
        yield partial(noise, bands, taps, hop, frames)
    for shape in JOINED_SHAPES:
        for frames in (1, 3, 12, 48):
            yield partial(joined, shape, frames)
    for count, gliding in ((8, 0), (8, 8), (32, 4), (64, 0), (64, 8), (64, 16)):
        yield partial(hit, "vk_modes_frame", count, gliding)
    for count in (8, 64):
        yield partial(hit, "vk_modes_decode", count)
    for count in (8, 16, 32, 64):
        yield partial(hit, "vk_bands_frame", count)
    for count in (4, 16, 32, 60):
        yield partial(harmonics, count)
    for kind in RECURRENT:
        for units in RECURRENT_UNITS:
            for frames in (1, 12):
                yield partial(recurrent, kind, units, frames)


def run() -> dict:
    """Predict every row.

    Returns
    -------
    dict
        ``figures`` by name with the target; ``rows``; ``text_bytes``; kernels that the image does not have
        yet are listed under ``absent``.
    """
    absent: set[str] = set()
    rows = []
    for made in grid():
        try:
            rows.append(asdict(made()))
        except Refusal as refusal:
            absent.add(str(refusal).split(";")[0])
        except ImportError as error:
            absent.add(str(error))
    figures = {}
    for name, (made, target) in FIGURES.items():
        row = made()
        figures[name] = {**asdict(row), "target_cycles_per_mac": target}
    functions = text_bytes()
    return {
        "what": "predicted cycles on an emulated Cortex-M7 (STM32H750), warm, code in ITCM, data in DTCM",
        "command": "python -m bench.kernels -o bench/results/kernels.json",
        "figures": figures,
        "rows": rows,
        "absent": sorted(absent),
        "text_bytes": {"total": sum(functions.values()), "functions": dict(sorted(functions.items()))},
    }


def main(words: list[str]) -> int:
    """Write the table where ``-o`` says, and print the named figures."""
    found = run()
    for name, row in found["figures"].items():
        print(
            f"{name:<36} {row['cycles']:7d} cycles  {row['cycles_per_mac']:.3f} cycle/MAC  "
            f"(aim {row['target_cycles_per_mac']:.2f})"
        )
    print(f"engine text: {found['text_bytes']['total']} bytes")
    print(f"absent: {', '.join(found['absent']) or 'nothing'}")
    if "-o" in words:
        write_json(Path(words[words.index("-o") + 1]), found)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
