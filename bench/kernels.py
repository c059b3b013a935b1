"""Predicted cycles of the engine's Cortex-M7 kernels, each called alone, warm.

    python -m bench.kernels            print the table and write bench/results/kernels.json
    python -m bench.kernels conv_2x2   only the rows whose name contains that

Operands lie in DTCM, code in ITCM, unless the row says otherwise. Cycles come from the pipeline model of
``bench/m7``: *predicted*, never measured.
"""

from __future__ import annotations

import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from bench.m7.elf import Elf, read_elf
from bench.m7.emulator import Machine
from bench.m7.link import link
from firmware import toolchain
from firmware.kernelgen import pqmf
from firmware.kernelgen.packing import (
    PackedConv,
    pack_conv,
    pack_depthwise,
    pack_transposed,
    pitch_of,
)
from hardware.board import load_board

RESULT = Path(__file__).resolve().parent / "results" / "kernels.json"


@dataclass(frozen=True)
class Row:
    """One measured call.

    Attributes
    ----------
    unit : what `per_unit` counts: multiply-accumulates, or outputs.
    """

    name: str
    cycles: int
    unit: str
    units: int
    per_unit: float
    instructions: int
    limit: float | None = None


def image(folder: Path) -> Elf:
    """Link every kernel for the emulated board."""
    objects = [toolchain.compile_source(source, "m7") for source in toolchain.kernel_sources("m7")]
    return read_elf(link(objects, load_board("patch_sm"), folder / "kernels.elf"))


class Bench:
    """The emulated board with all kernels; each case starts from empty memory."""

    def __init__(self, elf: Elf) -> None:
        self.machine = Machine(elf, load_board("patch_sm"))
        self.top = dict(self.machine._heap)
        self.rng = np.random.default_rng(0)

    def clear(self) -> None:
        """Forget what earlier cases placed."""
        self.machine._heap.update(self.top)

    def random(self, count: int, dtype: type = np.int16, region: str = "dtcm") -> int:
        """Place `count` random numbers and the slack behind them; returns the address."""
        data: np.ndarray
        if dtype is np.float32:
            data = self.rng.uniform(-1, 1, count + 4).astype(np.float32)
        else:
            info = np.iinfo(dtype)
            data = self.rng.integers(info.min, info.max, count + 8, dtype)
        return self.machine.place(data, region)

    def words(self, *numbers: int) -> int:
        """Place a struct of words."""
        return self.machine.place(np.array([n & 0xFFFFFFFF for n in numbers], np.uint32))

    def conv(self, packed: PackedConv, region: str = "dtcm") -> int:
        """Place a packed layer; returns the address of its ``vk_conv``."""
        weights = self.machine.place(np.concatenate([packed.weights, np.zeros(16, np.int8)]), region)
        requant = self.machine.place(np.asarray(packed.requant), region)
        return self.words(
            weights,
            requant,
            packed.frame_step,
            packed.run_step,
            packed.runs | packed.run << 16,
            packed.groups | packed.group_in << 16,
            packed.channels,
        )

    def cycles(self, function: str, *arguments: int | float) -> tuple[int, int]:
        """Cycles and instructions of a warm call."""
        for _ in range(2):
            call = self.machine.call(function, *arguments, traced=True)
        return call.cycles, call.instructions


def tables(out: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Bias, multiplier and shift that change nothing about the cycles."""
    return np.arange(out), np.full(out, 1 << 22), np.zeros(out, np.int64)


def conv_case(
    out: int,
    channels: int,
    taps: int,
    frames: int,
    *,
    dilation: int = 1,
    region: str = "dtcm",
    transposed: int = 0,
    w8a8: bool = False,
) -> Callable[[Bench], tuple[int, int, int]]:
    """Return a case of a convolution: cycles, instructions, multiply-accumulates."""

    def run(b: Bench) -> tuple[int, int, int]:
        pitch, out_pitch = (pitch_of(n, "s8" if w8a8 else "s16") for n in (channels, out))
        weights = b.rng.integers(-127, 128, (out, channels, taps)).astype(np.int8)
        layout = "byte8" if w8a8 else "quad"
        step, total = out_pitch, out
        if transposed:
            packed = pack_transposed(
                weights.transpose(1, 0, 2),
                *tables(out),
                layout=layout,
                in_pitch=pitch,
                stride=transposed,
                out_pitch=out_pitch,
            )
            step = total = transposed * out_pitch
        else:
            packed = pack_conv(weights, *tables(out), layout=layout, in_pitch=pitch, dilation=dilation)
        layer = b.conv(packed, region)
        dtype = np.int8 if w8a8 else np.int16
        window = b.random((packed.history + frames) * pitch, dtype)
        y = b.random(frames * step, dtype)
        name = "vk_conv_w8a8" if w8a8 else "vk_conv_w8a16"
        cycles, instructions = b.cycles(name, layer, window, y, step, frames, 0, total)
        return cycles, instructions, out * channels * taps * frames

    return run


def depthwise_case(channels: int, taps: int, frames: int) -> Callable[[Bench], tuple[int, int, int]]:
    """Return a case of a depthwise convolution."""

    def run(b: Bench) -> tuple[int, int, int]:
        weights = b.rng.integers(-127, 128, (channels, taps)).astype(np.int8)
        packed = pack_depthwise(weights, *tables(channels), in_pitch=channels)
        w, q = b.machine.place(packed.weights), b.machine.place(np.asarray(packed.requant))
        layer = b.words(w, q, packed.frame_step, packed.tap_step, packed.taps | packed.pitch << 16)
        window, y = b.random((packed.history + frames) * channels), b.random(frames * channels)
        cycles, instructions = b.cycles("vk_depthwise_w8a16", layer, window, y, channels, frames, 0, channels)
        return cycles, instructions, channels * taps * frames

    return run


def rows_case(function: str, *before: str | int, lanes: int = 64, frames: int = 4, operands: int = 1):
    """Return a case of an element-by-element kernel; outputs are counted."""

    def run(b: Bench) -> tuple[int, int, int]:
        dtype = np.float32 if function.endswith("f32") else np.int16
        made = [STRUCTS[k](b) if isinstance(k, str) else k for k in before]
        arguments: list[int] = [*made]
        for _ in range(operands + 1):
            arguments += [b.random(lanes * frames, dtype), lanes]
        cycles, instructions = b.cycles(function, *arguments, frames, lanes)
        return cycles, instructions, lanes * frames

    return run


STRUCTS: dict[str, Callable[[Bench], int]] = {
    "add": lambda b: b.words(20000 | 15000 << 16, 15),
    "scale": lambda b: b.words(1 << 18, 1),
    "table": lambda b: b.random(513),
    "snake": lambda b: b.machine.place(np.tile(np.array([123456, 20000 | 3000 << 16, 15], np.uint32), 64)),
}


def pqmf_case(bands: int, taps: int, frames: int) -> Callable[[Bench], tuple[int, int, int]]:
    """Return the synthesis bank; samples are counted."""

    def run(b: Bench) -> tuple[int, int, int]:
        made = pqmf.tables(b.rng.normal(size=taps), bands, synthesis=True)
        window, twiddle = b.machine.place(made.window), b.machine.place(made.twiddle)
        bank = b.words(window, twiddle, bands | made.folds << 16)
        state = b.machine.place(np.zeros(made.state_floats, np.float32))
        x, y = b.random(bands * frames, np.float32), b.random(bands * frames, np.float32)
        cycles, instructions = b.cycles("vk_pqmf_synthesis", bank, state, x, bands, y, frames)
        return cycles, instructions, bands * frames

    return run


def noise_case(bands: int, taps: int, hop: int, frames: int) -> Callable[[Bench], tuple[int, int, int]]:
    """Return filtered noise; outputs are counted."""

    def run(b: Bench) -> tuple[int, int, int]:
        settings, state = b.words(1, bands | taps << 16, hop), b.words(100)
        x, y = b.random(bands * taps * frames, np.float32), b.random(bands * hop * frames, np.float32)
        arguments = (settings, state, x, bands * taps, y, bands, frames)
        cycles, instructions = b.cycles("vk_filtered_noise", *arguments)
        return cycles, instructions, bands * hop * frames

    return run


MAC, OUTPUT = "multiply-accumulate", "output"
# name, unit, the figure to reach (issue 4) or None, the case
CASES: list[tuple[str, str, float | None, Callable[[Bench], tuple[int, int, int]]]] = [
    ("conv 64→64 k3, 4 frames", MAC, 0.75, conv_case(64, 64, 3, 4)),
    ("conv 64→64 k3, 1 frame", MAC, 0.95, conv_case(64, 64, 3, 1)),
    ("conv 128→128 k1, 1 frame", MAC, 1.0, conv_case(128, 128, 1, 1)),
    ("conv 16→16 k3, 3 frames", MAC, 1.1, conv_case(16, 16, 3, 3)),
    ("transposed 64→32 k8 stride 4, 4 frames", MAC, 0.75, conv_case(32, 64, 8, 4, transposed=4)),
    ("transposed 64→32 k8 stride 4, 1 frame", MAC, 0.95, conv_case(32, 64, 8, 1, transposed=4)),
    ("conv 64→64 k3 dilation 3, 4 frames", MAC, None, conv_case(64, 64, 3, 4, dilation=3)),
    ("conv 64→64 k3 dilation 3, 1 frame", MAC, None, conv_case(64, 64, 3, 1, dilation=3)),
    # 48 KB of weights behind 16 KB of cache: every line is fetched again at every call
    ("conv 128→128 k3, 1 frame, weights in DTCM", MAC, None, conv_case(128, 128, 3, 1)),
    ("conv 128→128 k3, 1 frame, weights in AXI", MAC, None, conv_case(128, 128, 3, 1, region="axi")),
    ("conv 128→128 k3, 4 frames, weights in AXI", MAC, None, conv_case(128, 128, 3, 4, region="axi")),
    ("conv 128→128 k3, 1 frame, weights in SDRAM", MAC, None, conv_case(128, 128, 3, 1, region="sdram")),
    ("conv 8→8 k3 dilation 4, 48 frames", MAC, None, conv_case(8, 8, 3, 48, dilation=4)),
    ("conv 4→4 k3 dilation 4, 48 frames", MAC, None, conv_case(4, 4, 3, 48, dilation=4)),
    ("conv 16→1 k7, 3 frames", MAC, None, conv_case(1, 16, 7, 3)),
    ("conv 64→64 k3 W8A8, 4 frames", MAC, None, conv_case(64, 64, 3, 4, w8a8=True)),
    ("depthwise 64 k3, 4 frames", MAC, None, depthwise_case(64, 3, 4)),
    ("add", OUTPUT, None, rows_case("vk_add_s16", "add", operands=2)),
    ("mul", OUTPUT, None, rows_case("vk_mul_s16", "scale", operands=2)),
    ("rescale", OUTPUT, None, rows_case("vk_rescale_s16", "scale")),
    ("table (tanh, sigmoid)", OUTPUT, None, rows_case("vk_table_s16", "table")),
    ("leaky relu", OUTPUT, None, rows_case("vk_leaky_s16", 6554)),
    ("clip (relu)", OUTPUT, None, rows_case("vk_clip_s16", 0, 32767)),
    ("snake", OUTPUT, None, rows_case("vk_snake_s16", "snake")),
    ("add float", OUTPUT, None, rows_case("vk_add_f32", operands=2)),
    ("tanh float", OUTPUT, None, rows_case("vk_tanh_f32")),
    ("PQMF synthesis, 16 bands, 256 taps", "sample", None, pqmf_case(16, 256, 3)),
    ("filtered noise, 16 bands, 1 tap", OUTPUT, None, noise_case(16, 1, 1, 3)),
    ("filtered noise, 4 bands, 9 taps", OUTPUT, None, noise_case(4, 9, 12, 1)),
]


def measured(wanted: str = "") -> Iterator[Row]:
    """Run the cases whose name contains `wanted`."""
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(image(Path(folder)))
    for name, unit, limit, case in CASES:
        if wanted in name:
            bench.clear()
            cycles, instructions, units = case(bench)
            yield Row(name, cycles, unit, units, round(cycles / units, 3), instructions, limit)


def text_bytes() -> dict[str, int]:
    """Bytes of code of each function of the kernels, as linked for the emulated board."""
    with tempfile.TemporaryDirectory() as folder:
        elf = image(Path(folder))
    return {s.name: s.size for s in sorted(elf.functions, key=lambda s: -s.size)}


def main(words: list[str]) -> int:
    """Print the table; write it when all of it ran."""
    rows = []
    for row in measured(words[0] if words else ""):
        rows.append(row)
        verdict = (
            "" if row.limit is None else ("  ok" if row.per_unit <= row.limit else f"  over {row.limit}")
        )
        print(f"{row.name:44} {row.cycles:8} cycles {row.per_unit:8.3f} per {row.unit}{verdict}")
    sizes = text_bytes()
    print(f"{'text of all kernels':44} {sum(sizes.values()):8} bytes")
    if not words:
        RESULT.parent.mkdir(exist_ok=True)
        found = {"predicted": True, "rows": [asdict(row) for row in rows], "text_bytes": sum(sizes.values())}
        RESULT.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
