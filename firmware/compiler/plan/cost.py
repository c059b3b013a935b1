"""What a kernel call costs on a processor: a small model per kernel, predicted, never measured here.

cycles = call·calls + frame·frames + output·outputs + mac·multiply-accumulates

A dense int16 convolution is priced by the register blocks that ``kernels/conv_w8a16_m7.c`` cuts it into:
(channels × frames) blocks, turns of their loops, units of taps, copies of windows (``blocks``); one of few
taps by the straight-line code of ``kernelgen/m7_short.py`` (``short_blocks``).

``cost_table.json`` beside this file overrides the built-in coefficients: ``bench/fit_costs.py`` writes it
from the emulated Cortex-M7 (``{"cortex-m7": {"add_s16": {"call": …, "frame": …, "output": …, "mac": …}}}``).
The built-in ones come from the rules of docs/manuals/cortex-m7.md: 0.75 cycle a MAC for register-blocked
SMLAD loops, 8 instructions a requantization, about 3 cycles a float MAC.

Weights outside of tightly coupled memory cost line fills on top. A kernel that asks for its lines ahead (PLD)
waits only for part of them: ``exposed`` holds that part, by the cycles of a fill. Around the kernels, the
generated code costs a few cycles a layer and an item, and rings that slide move their bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np

from firmware.compiler.ops.base import Work

TABLE = Path(__file__).with_name("cost_table.json")

# call, output, mac: cycles on a Cortex-M7, from the rules above; replaced kernel by kernel by the table.
BUILT_IN: dict[str, tuple[float, float, float]] = {
    "conv_w8a16": (60.0, 9.0, 0.75),
    "conv_w8a16_short": (60.0, 9.0, 0.75),
    "conv_w8a16_wide": (60.0, 20.0, 3.0),
    "joined_s16": (100.0, 4.5, 0.6),
    "joined_s16_table": (100.0, 7.5, 0.6),
    "conv_w8a8": (60.0, 9.0, 0.9),
    "conv_f32": (60.0, 5.0, 3.0),
    "depthwise_w8a16": (50.0, 10.0, 3.0),
    "depthwise_w8a8": (50.0, 10.0, 3.0),
    "depthwise_f32": (50.0, 6.0, 3.5),
    "add_s16": (30.0, 5.0, 0.0),
    "add_s8": (30.0, 5.0, 0.0),
    "add_f32": (30.0, 4.0, 0.0),
    "mean_s16": (30.0, 2.0, 0.0),
    "mul_s16": (30.0, 6.0, 0.0),
    "mul_s8": (30.0, 6.0, 0.0),
    "mul_f32": (30.0, 4.0, 0.0),
    "clip_s16": (30.0, 3.0, 0.0),
    "clip_s8": (30.0, 3.0, 0.0),
    "clip_f32": (30.0, 5.0, 0.0),
    "leaky_s16": (30.0, 5.0, 0.0),
    "bend_s16": (30.0, 5.0, 0.0),
    "leaky_s8": (30.0, 5.0, 0.0),
    "leaky_f32": (30.0, 6.0, 0.0),
    "table_s16": (30.0, 10.0, 0.0),
    "table_fine_s16": (30.0, 18.0, 0.0),
    "table_s8": (30.0, 4.0, 0.0),
    "tanh_f32": (30.0, 45.0, 0.0),
    "sigmoid_f32": (30.0, 45.0, 0.0),
    "exp_f32": (30.0, 30.0, 0.0),
    "softplus_f32": (30.0, 60.0, 0.0),
    "sin_f32": (30.0, 35.0, 0.0),
    "erf_f32": (70.0, 130.0, 0.0),
    "lstm_s16": (60.0, 50.0, 0.54),
    "gru_s16": (60.0, 45.0, 0.46),
    "gru_before_s16": (60.0, 75.0, 0.46),
    "snake_s16": (30.0, 16.0, 0.0),
    "snake_f32": (30.0, 45.0, 0.0),
    "quantize": (40.0, 20.0, 0.0),
    "dequantize": (40.0, 6.0, 0.0),
    "rescale": (30.0, 6.0, 0.0),
    "copy": (25.0, 0.5, 0.0),
    "copy_strided": (25.0, 2.0, 0.0),
    "gather": (30.0, 4.0, 0.0),
    "repeat": (60.0, 1.35, 0.0),  # a word is an output
    "pqmf_synthesis": (60.0, 4.0, 3.0),
    "pqmf_analysis": (60.0, 4.0, 3.0),
    "filtered_noise": (40.0, 14.0, 4.0),
    "modes_frame": (300.0, 300.0, 100.0),  # 48 samples; a mode is an output, one that glides a MAC beside
    "modes_decode": (30.0, 370.0, 0.0),
    "bands_frame": (9000.0, 150.0, 0.0),
}
# Other processors do several lanes at once; measured figures belong in the table.
SPEEDUP = {"cortex-m7": 1.0, "cortex-a72": 6.0, "cortex-a76": 10.0, "host": 16.0}


# Cycles of the generated code on a Cortex-M7, from the emulated reference decoders: finding where a layer
# reads and writes, an item's turn, a ring's check, and a byte that a ring moves.
LAYER_CYCLES, ITEM_CYCLES, RING_CYCLES, SLIDE_CYCLES_PER_BYTE = 20.0, 80.0, 12.0, 0.54


COPY_WORDS, TURN_UNITS, FEW = 768, 12, 16
"""Of ``kernels/conv_w8a16_m7.c``: words of copied windows, units of four taps in a turn of a loop, and
how many channels are enough for four frames to be three and one."""


def blocks(runs: int, run: int, channels: int, frames: int) -> dict[str, int]:
    """Count the register blocks of one call of the M7's int16 convolution.

    Parameters
    ----------
    runs, run : int
        Contiguous runs of a window, and elements in each.
    channels, frames : int
        Outputs of the call.

    Returns
    -------
    dict
        Units of four taps that are copied, for three frames word by word ("weave") or for fewer, and calls
        and runs of such copies. By block (three: 2 channels × 3 frames; two: 2 × 2; one: 4 channels × 1
        frame): calls, blocks, blocks that loop, turns of their loops, units.
    """
    units = runs * -(-run // 4)
    threes = frames // 3 if 6 * units <= COPY_WORDS else 0
    if threes and frames % 3 == 1 and channels < FEW and runs == 1:
        threes -= 1
    left = frames - 3 * threes
    twos = left // 2 if runs == 1 or 4 * units <= COPY_WORDS else 0
    ones = left - 2 * twos
    pairs, quads = -(-channels // 2), (channels + 1) // 4
    joins = 0 if runs == 1 else ones + 2 * twos
    found = {
        "call": 1,
        "single": int(runs == 1 and frames == 1),
        "weave": threes,
        "weave_run": threes * runs,
        "weave_unit": threes * units,
        "join": joins,
        "join_run": joins * runs,
        "join_unit": joins * units,
    }
    counts = {"three": (threes, threes * pairs), "two": (twos, twos * pairs), "one": (ones, ones * quads)}
    if pairs % 2 and ones:
        counts["two"] = (twos + ones, twos * pairs + ones)
    turns = -(-units // TURN_UNITS)
    for name, (calls, made) in counts.items():
        found |= {
            f"{name}_call": calls if made else 0,
            f"{name}_block": made,
            f"{name}_loop": made * (turns > 1),
            f"{name}_turn": made * turns,
            f"{name}_unit": made * units,
        }
    return found


def short_blocks(taps: int, pitch: int, channels: int, frames: int) -> dict[str, int]:
    """Count what one call of a straight-line convolution does (``kernelgen/m7_short.py``).

    Parameters
    ----------
    taps, pitch : int
        Its shape: taps × elements of a frame.
    channels, frames : int
        Outputs of the call.

    Returns
    -------
    dict
        Frames by four and left over ("one"), their pairs of channels, changes from tap to tap, steps of two
        elements.
    """
    pairs, fours, ones = -(-channels // 2), frames // 4, frames % 4
    return {
        "call": 1,
        "four_call": int(fours > 0),
        "four": fours,
        "four_pair": fours * pairs,
        "four_tap": fours * taps,
        "four_change": fours * pairs * (taps - 1),
        "four_step": fours * pairs * taps * pitch // 2,
        "one_call": int(ones > 0),
        "one": ones,
        "one_pair": ones * pairs,
        "one_step": ones * pairs * taps * pitch // 2,
    }


def joined_blocks(steps: int, taps: int, channels: int, frames: int) -> dict[str, int]:
    """Count what one call of a joined sum does (``kernelgen/m7_joined.py``).

    Parameters
    ----------
    steps, taps : int
        Its shape: steps of two elements, and the signals' frames that they lie in.
    channels, frames : int
        Outputs of the call.

    Returns
    -------
    dict
        Frames by four and left over ("one"), their taps, pairs of channels, changes from tap to tap, steps.
    """
    pairs, fours, ones = -(-channels // 2), frames // 4, frames % 4
    return {
        "call": 1,
        "call_tap": taps,
        "four": fours,
        "four_tap": fours * taps,
        "four_pair": fours * pairs,
        "four_change": fours * pairs * (taps - 1),
        "four_step": fours * pairs * steps,
        "one": ones,
        "one_tap": ones * taps,
        "one_pair": ones * pairs,
        "one_step": ones * pairs * steps,
    }


BLOCKS = {
    "conv_w8a16": blocks,
    "conv_w8a16_short": short_blocks,
    "joined_s16": joined_blocks,
    "joined_s16_table": joined_blocks,
}
"""How kernels that are priced by blocks are counted."""


@dataclass(frozen=True)
class CostModel:
    """Coefficients of one processor.

    Attributes
    ----------
    core : str
        As in the board file.
    table : mapping of kernel to (call, frame, output, mac)
        Cycles.
    source : str
        Where they come from, for the report.
    exposed : mapping of kernel to ((fill cycles, part of them waited for), …)
        For kernels that ask for lines ahead; fill cycles ascend.
    blocked : mapping of kernel to cycles by entry of ``blocks``
        Kernels that are priced by their register blocks.
    around : float
        What the generated code costs, as a multiple of the Cortex-M7's.
    """

    core: str
    table: dict[str, tuple[float, float, float, float]]
    source: str
    exposed: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)
    blocked: dict[str, dict[str, float]] = field(default_factory=dict)
    around: float = 1.0

    def waits(self, kernel: str, fill_cycles: float) -> float:
        """Part of a line fill that a kernel waits for; all of it beyond the slowest memory known."""
        points = self.exposed.get(kernel, ())
        if not points or fill_cycles > points[-1][0]:
            return 1.0
        return float(np.interp(fill_cycles, [p[0] for p in points], [p[1] for p in points]))

    def cycles(self, work: Work, firings: float = 1.0, share: float = 1.0) -> float:
        """Cycles of one call that does ``firings`` firings (of a ``share`` of the outputs)."""
        if work.kernel in self.blocked and work.shape:
            low = int(firings)
            part = firings - low
            whole = self._blocked(work, low, share) if low else 0.0
            return whole if part == 0 else whole * (1 - part) + self._blocked(work, low + 1, share) * part
        call, frame, output, mac = self.table.get(work.kernel, (40.0, 0.0, 6.0, 3.0))
        rows = min(firings, work.outputs) if work.kernel == "gather" else firings  # its longer loop is inside
        fixed = (call + self.around * LAYER_CYCLES) * work.calls + frame * rows
        return fixed + firings * share * (output * work.outputs + mac * work.macs)

    def _blocked(self, work: Work, frames: int, share: float) -> float:
        """Cycles of a convolution by its register blocks, group after group."""
        runs, run, channels, groups = work.shape
        counts = BLOCKS[work.kernel](runs, run, max(1, round(channels * share)), frames)
        price = self.blocked[work.kernel]
        inner = sum(price[key] * count for key, count in counts.items() if key != "call")
        calls = work.calls * (price["call"] + self.around * LAYER_CYCLES)
        return calls + groups * inner

    def sliding(self, keep_bytes: int, slack_bytes: float, bytes_per_callback: float) -> float:
        """Cycles a callback spends on a ring: its check, and its part of a move to the front."""
        moved = keep_bytes * bytes_per_callback / max(slack_bytes, 1.0)
        return self.around * (RING_CYCLES + SLIDE_CYCLES_PER_BYTE * moved)

    def mirroring(self, mirrored_bytes: int, rounds_per_callback: float) -> float:
        """Cycles a callback spends on a ring that goes round: its check, and copies to its mirror."""
        return self.around * (RING_CYCLES + SLIDE_CYCLES_PER_BYTE * 2 * mirrored_bytes * rounds_per_callback)


@cache
def cost_model(core: str) -> CostModel:
    """Coefficients for a core: those of the table where it has them, the built-in ones otherwise."""
    scale = SPEEDUP.get(core, 1.0)
    table = {k: (c / scale, 0.0, o / scale, m / scale) for k, (c, o, m) in BUILT_IN.items()}
    source = "analytic, from published issue rules"
    exposed: dict[str, tuple[tuple[float, float], ...]] = {}
    blocked: dict[str, dict[str, float]] = {}
    if TABLE.is_file():
        fitted = json.loads(TABLE.read_text()).get(core, {})
        table |= {
            k: (v["call"], v["frame"], v["output"], v["mac"]) for k, v in fitted.items() if "output" in v
        }
        blocked = {k: v["blocks"] for k, v in fitted.items() if "blocks" in v}
        exposed = {k: tuple((f, e) for f, e in v["exposed"]) for k, v in fitted.items() if "exposed" in v}
        if fitted:
            source = f"fitted to the emulated {core} for {len(fitted)} kernels, analytic for the rest"
    return CostModel(core, table, source, exposed, blocked, 1.0 / scale)
