"""A compiled model: its C text and its report."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.audio import SAMPLE_RATE_HZ
from common.files import make_folder
from firmware import toolchain
from firmware.compiler.graph import Graph
from firmware.compiler.ops.hit import HitConstants
from firmware.compiler.passes.split_sound import Ends
from firmware.compiler.plan.stream import Stream
from firmware.compiler.report import Report
from firmware.compiler.slots.part import Part

if TYPE_CHECKING:
    from hardware.board import Board


@dataclass(frozen=True)
class Options:
    """What a model is compiled for.

    Attributes
    ----------
    target : str
        host, m7, aarch64 or wasm.
    board : Board or None
        Whose memory and processor the plan is for; None: one memory without limit.
    block : int
        Samples per callback.
    schedule : str
        "flat" or "eager".
    """

    target: str
    board: Board | None
    block: int
    schedule: str = "flat"

    @property
    def copied(self) -> frozenset[str]:
        """Regions whose tables an instance has copies of."""
        regions = self.board.memory if self.board is not None and self.board.for_instances else ()
        return frozenset(region.name for region in regions if region.copies)

    @property
    def has_slots(self) -> bool:
        """Whether the module may take another model of the same shape while it is flashed."""
        board = self.board
        return board is not None and board.storage_bytes > 0 and not board.for_instances

    @property
    def core(self) -> str:
        """Processor that costs are predicted for."""
        return self.board.processor.core if self.board is not None else "cortex-m7"

    @property
    def callback_cycles(self) -> float:
        """Cycles the board has for a callback; 0 without one."""
        clock_hz = float(self.board.processor.clock_hz) if self.board is not None else 0.0
        return clock_hz * self.block / SAMPLE_RATE_HZ

    @property
    def packing(self) -> str:
        """Order of weights that the target's kernels read."""
        return toolchain.TARGETS[self.target].packing

    @property
    def is_placed(self) -> bool:
        """Whether the C says in which region each table lies."""
        return self.board is not None and self.target == "m7"


@dataclass(frozen=True)
class Program:
    """A compiled model.

    Attributes
    ----------
    name : str
    target : str
    graph : Graph
        After all passes, for ``reference.run``.
    header, source : str
        The C files.
    report : Report
        What ``report.json`` holds.
    plan : Stream or None
        Clocks and rings; None for event graphs.
    sound : HitConstants or None
        What the engine plays with the results of a drum's network.
    ends : Ends
        What the engine does before and after a texture's network.
    copies : tuple of str
        Regions whose tables every instance has copies of, in the order of the arguments of ``NAME_copy``.
    part : Part or None
        What another model of the shape has otherwise; None where its numbers stay in the image.
    """

    name: str
    target: str
    graph: Graph
    header: str
    source: str
    report: Report
    plan: Stream | None = None
    sound: HitConstants | None = None
    ends: Ends = field(default_factory=Ends)
    copies: tuple[str, ...] = ()
    part: Part | None = None

    def write(self, folder: Path | str) -> list[Path]:
        """Write NAME.h, NAME.c and report.json, each whole or not at all."""
        folder = Path(folder)
        make_folder(folder)
        texts = {
            f"{self.name}.h": self.header,
            f"{self.name}.c": self.source,
            "report.json": json.dumps(self.report, indent=1) + "\n",
        }
        written = []
        for name, text in texts.items():
            part = folder / f".{name}.{os.getpid()}.part"
            part.write_text(text)
            part.replace(folder / name)
            written.append(folder / name)
        return written


def parameters(graph: Graph) -> int:
    """Weights and biases of the layers, as the file has them (counted before any pass), shared ones once.

    Those of a flow of several steps lie in the file once and in the tables once. What does not vary (zeros
    of a new bias) is shared only where it is the same array, not where two merely look alike.
    """
    kinds = ("weight", "bias", "recurrent", "recurrent_bias")
    distinct: dict[tuple[object, ...], int] = {}
    for node in graph.nodes:
        if node.op not in ("Conv", "ConvTranspose", "GRU", "LSTM"):
            continue
        for kind in kinds:
            constant = node.constants.get(kind)
            if constant is None:
                continue
            values = constant.values
            even = values.size == 0 or bool(np.all(values == values.flat[0]))
            place = values.__array_interface__["data"][0] if even else 0
            scale = b"" if constant.scale is None else np.asarray(constant.scale).tobytes()
            content = hashlib.sha256(np.ascontiguousarray(values).tobytes() + scale).digest()
            distinct[kind, values.shape, values.dtype.str, place, content] = values.size
    return sum(distinct.values())
