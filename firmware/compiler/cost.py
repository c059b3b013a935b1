"""What a kernel call costs on a processor: a linear model per kernel, predicted, never measured here.

cycles = call·calls + output·outputs + mac·multiply-accumulates

``cost_table.json`` beside this file overrides the built-in coefficients: the bench writes it from the
emulated Cortex-M7 (``{"cortex-m7": {"conv_w8a16": {"call": …, "output": …, "mac": …}}}``). The built-in
ones come from the issue rules of FIELD §1 to §3: 0.75 cycle a MAC for register-blocked SMLAD loops,
8 instructions a requantization, about 3 cycles a float MAC.

Weights outside of tightly coupled memory cost line fills on top. A kernel that asks for its lines ahead (PLD)
waits only for part of them: ``exposed`` holds that part, by the cycles of a fill.
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
    "conv_w8a16_wide": (60.0, 20.0, 3.0),
    "conv_w8a8": (60.0, 9.0, 0.9),
    "conv_f32": (60.0, 5.0, 3.0),
    "depthwise_w8a16": (50.0, 10.0, 3.0),
    "depthwise_w8a8": (50.0, 10.0, 3.0),
    "depthwise_f32": (50.0, 6.0, 3.5),
    "add_s16": (30.0, 5.0, 0.0),
    "add_s8": (30.0, 5.0, 0.0),
    "add_f32": (30.0, 4.0, 0.0),
    "mul_s16": (30.0, 6.0, 0.0),
    "mul_s8": (30.0, 6.0, 0.0),
    "mul_f32": (30.0, 4.0, 0.0),
    "clip_s16": (30.0, 3.0, 0.0),
    "clip_s8": (30.0, 3.0, 0.0),
    "clip_f32": (30.0, 5.0, 0.0),
    "leaky_s16": (30.0, 5.0, 0.0),
    "leaky_s8": (30.0, 5.0, 0.0),
    "leaky_f32": (30.0, 6.0, 0.0),
    "table_s16": (30.0, 10.0, 0.0),
    "table_s8": (30.0, 4.0, 0.0),
    "tanh_f32": (30.0, 45.0, 0.0),
    "sigmoid_f32": (30.0, 45.0, 0.0),
    "exp_f32": (30.0, 30.0, 0.0),
    "softplus_f32": (30.0, 60.0, 0.0),
    "sin_f32": (30.0, 35.0, 0.0),
    "snake_s16": (30.0, 16.0, 0.0),
    "snake_f32": (30.0, 45.0, 0.0),
    "quantize": (40.0, 20.0, 0.0),
    "dequantize": (40.0, 6.0, 0.0),
    "rescale": (30.0, 6.0, 0.0),
    "copy": (25.0, 0.5, 0.0),
    "gather": (30.0, 4.0, 0.0),
    "pqmf_synthesis": (60.0, 4.0, 3.0),
    "pqmf_analysis": (60.0, 4.0, 3.0),
    "filtered_noise": (40.0, 14.0, 4.0),
}
# Other processors do several lanes at once; measured figures belong in the table.
SPEEDUP = {"cortex-m7": 1.0, "cortex-a72": 6.0, "cortex-a76": 10.0, "host": 16.0}


@dataclass(frozen=True)
class CostModel:
    """Coefficients of one processor.

    Attributes
    ----------
    core : str
        As in the board file.
    table : mapping of kernel to (call, output, mac)
        Cycles.
    source : str
        Where they come from, for the report.
    exposed : mapping of kernel to ((fill cycles, part of them waited for), …)
        For kernels that ask for lines ahead; fill cycles ascend.
    """

    core: str
    table: dict[str, tuple[float, float, float]]
    source: str
    exposed: dict[str, tuple[tuple[float, float], ...]] = field(default_factory=dict)

    def waits(self, kernel: str, fill_cycles: float) -> float:
        """Part of a line fill that a kernel waits for; all of it beyond the slowest memory known."""
        points = self.exposed.get(kernel, ())
        if not points or fill_cycles > points[-1][0]:
            return 1.0
        return float(np.interp(fill_cycles, [p[0] for p in points], [p[1] for p in points]))

    def cycles(self, work: Work, firings: float = 1.0, share: float = 1.0) -> float:
        """Cycles of one call that does ``firings`` firings (of a ``share`` of the outputs)."""
        call, output, mac = self.table.get(work.kernel, (40.0, 6.0, 3.0))
        return call * work.calls + firings * share * (output * work.outputs + mac * work.macs)


@cache
def cost_model(core: str) -> CostModel:
    """Coefficients for a core: those of the table where it has them, the built-in ones otherwise."""
    scale = SPEEDUP.get(core, 1.0)
    table = {k: (c / scale, o / scale, m / scale) for k, (c, o, m) in BUILT_IN.items()}
    source = "analytic, from published issue rules"
    exposed: dict[str, tuple[tuple[float, float], ...]] = {}
    if TABLE.is_file():
        fitted = json.loads(TABLE.read_text()).get(core, {})
        kernels = {k: (v["call"], v["output"], v["mac"]) for k, v in fitted.items() if not k.startswith("_")}
        table |= kernels
        exposed = {k: tuple((f, e) for f, e in v["exposed"]) for k, v in fitted.items() if "exposed" in v}
        if kernels:
            source = f"fitted to the emulated {core} for {len(kernels)} kernels, analytic for the rest"
    return CostModel(core, table, source, exposed)
