"""A compiled model: its C text and its report."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path
from typing import Any

from firmware.compiler.graph import Graph
from firmware.compiler.plan.stream import Stream

LAYOUTS = {"host": "pair8", "m7": "quad", "aarch64": "lane8", "wasm": "pair8"}


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
    report : dict
        What ``report.json`` holds.
    plan : Stream or None
        Clocks and rings; None for event graphs.
    """

    name: str
    target: str
    graph: Graph
    header: str
    source: str
    report: dict[str, Any] = field(default_factory=dict)
    plan: Stream | None = None

    def write(self, folder: Path | str) -> list[Path]:
        """Write NAME.h, NAME.c and report.json, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
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


def ticks_per_sample(graph: Graph) -> Fraction:
    """Base ticks of one sample at the sample rate."""
    return Fraction(graph.metadata["ticks_per_sample"])


def parameters(graph: Graph) -> int:
    """Weights and biases of the layers, as the file has them (counted before any pass)."""
    kinds = ("weight", "bias", "recurrent", "recurrent_bias")
    return sum(
        constant.values.size
        for node in graph.nodes
        if node.op in ("Conv", "ConvTranspose", "GRU")
        for kind, constant in node.constants.items()
        if kind in kinds
    )
