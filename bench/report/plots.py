"""The pictures of a report: load, layers, roofline, block sizes, spectrograms."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.report.schema import BlockRow, StreamPrediction
from common.audio import SAMPLE_RATE_HZ
from common.figure import COLOURS, FAINT, GRID, INK, new_figure
from common.spectrogram import spectrogram_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WARN = COLOURS[1]
REGION_COLOURS = {
    "dtcm": COLOURS[0],
    "itcm": COLOURS[2],
    "axi": COLOURS[4],
    "d2": COLOURS[3],
    "sdram": COLOURS[1],
    "qspi": COLOURS[6],
    "": COLOURS[8],
}


def region_colour(region: str) -> str:
    """Colour of a memory region."""
    return REGION_COLOURS.get(region, COLOURS[9])


def region_name(region: str) -> str:
    """Name of a memory region, or what stands in its place."""
    return region.upper() or "no weights"


def load_figure(cycles: Sequence[int], cycles_per_callback: float, what: str = "callback") -> Figure:
    """Draw the load of every callback (or step), with mean and worst."""
    figure, axes = new_figure(width=9, height=2.6)
    axis = axes[0, 0]
    load = 100 * np.array(cycles) / cycles_per_callback
    axis.bar(np.arange(len(load)), load, width=1.0, color=COLOURS[0])
    axis.axhline(load.mean(), color=INK, lw=1)
    axis.text(len(load), load.mean(), f" mean {load.mean():.1f} %", va="top", fontsize=8)
    axis.axhline(load.max(), color=WARN, lw=0.8, ls="--")
    axis.text(len(load), load.max(), f" worst {load.max():.1f} %", va="bottom", fontsize=8, color=WARN)
    axis.set_xlabel(what)
    axis.set_ylabel("% of a callback's time")
    axis.set_xlim(-0.5, len(load) * 1.1)
    axis.set_ylim(0, max(5.0, load.max() * 1.15))
    return figure


def layers_figure(predicted: StreamPrediction) -> Figure:
    """Draw the cycles of every layer, coloured by the region of its weights."""
    layers = [layer for layer in predicted["layers"] if layer["cycles"] > 0]
    figure, axes = new_figure(width=9, height=2.8)
    axis = axes[0, 0]
    colours = [region_colour(layer["region"]) for layer in layers]
    axis.bar(range(len(layers)), [layer["cycles"] for layer in layers], color=colours, width=0.9)
    axis.set_xlabel("layer, in order of the network")
    axis.set_ylabel("cycles a callback")
    for region in dict.fromkeys(layer["region"] for layer in layers):
        axis.bar([0], [0], color=region_colour(region), label=region_name(region))
    axis.legend(fontsize=8, ncols=6, loc="lower right", bbox_to_anchor=(1, 1), borderaxespad=0.1)
    return figure


def roofline_figure(predicted: StreamPrediction, line_fill_cycles: dict[str, int]) -> Figure:
    """Draw every layer's speed over its traffic, below what core and bus allow (Williams et al. 2009)."""
    figure, axes = new_figure(width=9, height=3.4)
    axis = axes[0, 0]
    # prefetching kernels wait for half of a fill
    fill = min(line_fill_cycles.values(), default=2)
    peak, bandwidth = 2.0, 32.0 / max(1, fill // 2)
    grid = np.logspace(-2, 4, 200)
    axis.plot(grid, np.minimum(peak, bandwidth * grid), color=FAINT, lw=1)
    axis.text(grid[-1], peak * 1.06, "2 multiply-accumulates a cycle", ha="right", fontsize=8)
    seen: set[str] = set()
    for layer in predicted["layers"]:
        if not layer["macs"] or not layer["cycles"]:
            continue
        fetched = 32 * layer["line_fills"]
        region = layer["region"]
        axis.scatter(
            layer["macs"] / fetched if fetched else 5e3,
            layer["macs"] / layer["cycles"],
            s=12 + 1500 * layer["share"],
            color=region_colour(region),
            alpha=0.7,
            lw=0,
            label=None if region in seen else region_name(region),
        )
        seen.add(region)
    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlim(0.08, 2e4)
    axis.set_ylim(0.02, 4)
    axis.set_xlabel("multiply-accumulates per byte fetched through the cache (right edge: nothing fetched)")
    axis.set_ylabel("multiply-accumulates per cycle")
    legend = axis.legend(fontsize=8, loc="lower left", ncols=3)
    for handle in legend.legend_handles:
        handle.set_sizes([30])  # type: ignore[union-attr]
    return figure


def sweep_figure(rows: Sequence[BlockRow]) -> Figure:
    """Draw CPU over block size."""
    figure, axes = new_figure(width=9, height=2.6)
    axis = axes[0, 0]
    known = [row for row in rows if "cpu_mean" in row and "cpu_worst" in row]
    blocks = [row["block"] for row in known]
    axis.plot(blocks, [100 * row["cpu_mean"] for row in known], "o-", color=COLOURS[0], label="mean", ms=4)
    axis.plot(blocks, [100 * row["cpu_worst"] for row in known], "o--", color=WARN, label="worst", ms=4)
    axis.set_xscale("log", base=2)
    axis.set_xticks(blocks, [str(b) for b in blocks])
    axis.minorticks_off()
    axis.set_ylim(0, None)
    axis.grid(axis="y", color=GRID, lw=0.6)
    axis.set_xlabel("samples a callback")
    axis.set_ylabel("CPU, %")
    axis.legend(fontsize=8)
    return figure


def quality_figure(sounds: dict[str, np.ndarray]) -> Figure:
    """Draw spectrograms of every format, and of what the last one changed."""
    reference = sounds["float"]
    last = next(name for name in reversed(list(sounds)) if name != "float")
    size = min(len(reference), len(sounds[last]))
    shown = [*sounds.items(), (f"float − {last}", reference[:size] - sounds[last][:size])]
    return spectrogram_figure(shown, SAMPLE_RATE_HZ, columns=len(shown) if len(shown) < 4 else 2, top_db=None)
