"""Sensitivity: what rounding one tensor alone, all else float, does to the sound.

``python -m quantize.report.sensitivity RUN [--bits 8] [--data DIR]`` prints a row for every scale of the
integer model, on the validation split: the range it must reach, the change of the distance to the recording,
and the noise in passages where the recording is quiet. Weights stay float here; the last row rounds all
activations together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer

from common.refusal import Refusal
from quantize.data.examples import run
from quantize.data.feeds import FeedMaker
from quantize.data.quality import is_audio, mr_stft
from quantize.graph.graph import Feed, Graph, Node
from quantize.graph.network import Network, Values
from quantize.integers.arithmetic import limits
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.plan import Plan, make_plan

ITEMS = 32
QUIET = 1e-3  # root mean square of a passage that counts as quiet: −60 dBFS
PASSAGE = 480  # samples, 10 ms

Pair = tuple[Feed, dict[str, np.ndarray]]


class PartlyRounded(Network):
    """A float network some of whose tensors are rounded to multiples of their scale, and saturated.

    Parameters
    ----------
    graph : Graph
        What to execute.
    formats : dict of str to (float, int)
        Tensor → its scale and its width in bits.
    """

    def __init__(self, graph: Graph, formats: dict[str, tuple[float, int]]):
        super().__init__(graph)
        self.formats = formats

    def enter(self, name: str, value: torch.Tensor) -> torch.Tensor:
        """Take a fed tensor into the network, rounded if it is one of them."""
        return self._rounded(name, super().enter(name, value))

    def execute(self, node: Node, values: Values) -> tuple[Any, ...]:
        """Run a node and round what it gives."""
        results = super().execute(node, values)
        return tuple(self._rounded(n, v) for n, v in zip(node.outputs, results, strict=False))

    def _rounded(self, name: str, value: torch.Tensor) -> torch.Tensor:
        if name not in self.formats:
            return value
        scale, bits = self.formats[name]
        low, high = limits(bits)
        return torch.clamp(torch.round(value / scale), low, high) * scale


@dataclass
class Sensitivity:
    """What rounding the tensors of one scale does.

    Attributes
    ----------
    tensor : str
        First tensor of the scale.
    reach : float
        Largest magnitude of the integers, in the tensor's unit.
    change_percent : float
        Of the multi-resolution spectral distance to the recording.
    quiet_db : float
        Mean square of what it adds where the recording is quiet, dBFS; −inf where nothing is.
    """

    tensor: str
    reach: float
    change_percent: float
    quiet_db: float


def measure_sensitivity(plan: Plan, scales: dict[str, float], pairs: list[Pair]) -> Iterator[Sensitivity]:
    """Round every scale of a plan alone, then all of them.

    Parameters
    ----------
    plan : Plan
        Which tensors share a scale, and their widths.
    scales : dict of str to float
        Of ``calibrate.scales_from``.
    pairs : list of (feed, truth)
        Feeds with the recordings [N, 1, S].

    Raises
    ------
    Refusal
        When the model makes no audio.
    """
    graph = plan.graph
    name = next((n for n, truth in pairs[0][1].items() if is_audio(truth)), None)
    if name is None:
        raise Refusal("this model makes no audio; quantize.report.sensitivity measures sound.")
    answers = [run(Network(graph), feed)[name] for feed, _ in pairs]
    base = float(np.mean([mr_stft(t[name], a) for (_, t), a in zip(pairs, answers, strict=True)]))
    alone = {
        root: {m: (scales[root], plan.width(m)) for m in members if m not in graph.constants}
        for root, members in plan.members().items()
    }
    together = {tensor: one for formats in alone.values() for tensor, one in formats.items()}
    for label, formats in [*alone.items(), ("all activations", together)]:
        if not formats:
            continue
        network = PartlyRounded(graph, formats)
        made = [run(network, feed)[name] for feed, _ in pairs]
        distance = float(np.mean([mr_stft(t[name], m) for (_, t), m in zip(pairs, made, strict=True)]))
        added = [_quiet_noise(t[name], a, m) for (_, t), a, m in zip(pairs, answers, made, strict=True)]
        noise = np.concatenate(added)
        level = 10.0 * np.log10(noise.mean()) if noise.size and noise.mean() > 0 else -np.inf
        reach = scales[label] * limits(plan.width(label))[1] if label in scales else np.nan
        yield Sensitivity(label, float(reach), 100.0 * (distance / base - 1.0), float(level))


def _quiet_noise(truth: np.ndarray, answer: np.ndarray, made: np.ndarray) -> np.ndarray:
    """Mean square error of every passage [count] where the truth is quiet."""

    def passages(audio: np.ndarray) -> np.ndarray:
        whole = audio.shape[-1] // PASSAGE * PASSAGE
        return audio[..., :whole].reshape(-1, PASSAGE).astype(np.float64)

    quiet = (passages(truth) ** 2).mean(1) < QUIET**2
    return np.asarray(((passages(made) - passages(answer)) ** 2).mean(1)[quiet])


def main(
    source: Annotated[Path, typer.Argument(metavar="RUN", help="A finished run that makes audio.")],
    data: Annotated[Path | None, typer.Option(help="Data set instead of the run's own.")] = None,
    items: Annotated[int, typer.Option(min=1, help="Items of the validation split.")] = ITEMS,
    bits: Annotated[int, typer.Option(help="Width of the integers, 8 or 16.")] = 16,
) -> None:
    """Print the table."""
    from quantize.data.calibration_set import POOL, decoder_of, extremes, recordings
    from quantize.data.training_task import open_training_task
    from quantize.graph.load import load_graph

    try:
        graph = load_graph(decoder_of(source))
        training_task = open_training_task(source, graph, data)
        feeds = training_task.capture(POOL)
        feeds += extremes(graph, FeedMaker(graph, recordings(graph, feeds)))
        plan = make_plan(graph, 8 if bits == 8 else 16)
        seen = observe(Network(graph), activation_tensors(plan), feeds)
        scales = scales_from(plan, seen, "mse" if bits == 8 else "minmax")
        print("| tensor | reach | MR-STFT to the recording | noise in quiet passages |\n|---|---|---|---|")
        for row in measure_sensitivity(plan, scales, training_task.examples("validation", items)):
            reach = "" if np.isnan(row.reach) else f"{row.reach:.2f}"
            print(f"| {row.tensor} | {reach} | {row.change_percent:+.1f} % | {row.quiet_db:.0f} dBFS |")
    except Refusal as refusal:
        print(refusal)
        raise typer.Exit(2) from None


if __name__ == "__main__":
    typer.run(main)
