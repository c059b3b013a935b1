"""Fine-tune and judge inside the training task that made a run: its data, its losses, its scores.

The task's decoder is replaced by a network of this room, so every kind is
tuned on what they were trained on, moving controls included, and judged on their own validation figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from common.refusal import Refusal
from quantize.data.tune import Judge, Objective, distance
from quantize.graph.graph import Feed, Graph
from quantize.graph.network import Network
from quantize.operators import known, movement_of

DISTIL_SHARE = 0.3  # weight of the float decoder's answer beside the task's own loss


class StandIn(nn.Module):
    """Stands where a task's decoder was, and answers with a network.

    Parameters
    ----------
    graph : Graph
        Gives the order of inputs and outputs.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.names, self.outputs = graph.input_names, said_of_a_hit(graph) or graph.output_names
        self.before_laws = tensor_before_laws(graph)
        self.network: list[Network] = []  # in lists, so that their parameters stay their own
        self.teacher: list[Network] = []
        self.feeds: list[Feed] = []
        self.recording = False
        self.distillation: torch.Tensor | None = None
        self.kind = graph.about.kind

    def forward(self, *inputs: torch.Tensor) -> Any:
        """Run the current network on positional inputs."""
        results = self._answer(self.outputs, inputs)
        return results[0] if len(results) == 1 else results

    def logits(self, *inputs: torch.Tensor) -> torch.Tensor:
        """Everything before the output laws (sigmoid, tanh), for decoders whose loss is taken there."""
        if self.before_laws is None:
            raise Refusal("this decoder has no single tensor before its output laws; its task can't tune it.")
        return self._answer([self.before_laws], inputs)[0]

    def _answer(self, tensors: list[str], inputs: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
        feed = dict(zip(self.names, inputs, strict=True))
        if self.recording:
            self.feeds.append({n: v.detach().numpy().astype(np.float32) for n, v in feed.items()})
        outputs = self.network[0](feed, keep=tensors, outputs=False)
        results = tuple(outputs[name].to(torch.float32) for name in tensors)
        if self.teacher and torch.is_grad_enabled():
            with torch.no_grad():
                taught = self.teacher[0](
                    {n: v.detach() for n, v in feed.items()}, keep=tensors, outputs=False
                )
            parts = [distance(r, taught[n], self.kind) for n, r in zip(tensors, results, strict=True)]
            self.distillation = torch.stack(parts).sum()
        return results


def tensor_before_laws(graph: Graph) -> str | None:
    """Find the tensor that is divided for output laws (sigmoid, tanh) alone: functions of known reach."""
    consumers = graph.consumers()
    for node in graph.nodes:
        if movement_of(node) is not None and len(node.outputs) > 1:
            readers = [known(reader) for name in node.outputs for reader in consumers.get(name, [])]
            if readers and all(r is not None and r.largest is not None for r in readers):
                return node.inputs[0]
    return None


def said_of_a_hit(graph: Graph) -> list[str]:
    """Find the tensors that the sound of a hit is made of; its task makes the sound itself."""
    sounds = [(node, record) for node in graph.nodes if (record := known(node)) and record.sounds]
    return [name for node, record in sounds for name in record.operands(node)]


@dataclass
class TrainingTask:
    """A run opened for tuning.

    Attributes
    ----------
    graph : Graph
        The float decoder.
    task : Task
        Its training task, prepared with data, its decoder replaced by a `StandIn`.
    """

    graph: Graph
    task: Any
    stand: StandIn
    validation: list[dict[str, Any]]

    def examples(self, split: str, count: int) -> list[tuple[Feed, dict[str, np.ndarray]]]:
        """Items of a split as what the decoder is fed with and what it should answer."""
        return list(self.task.decoder_examples(split, count, 0))

    def capture(self, count: int) -> list[Feed]:
        """What the decoder is fed with in `count` training steps."""
        self.stand.network[:] = [Network(self.graph)]
        self.stand.feeds, self.stand.recording = [], True
        with torch.no_grad():
            for step in range(count):
                torch.manual_seed(step)
                self.task.loss(self.task.draw(step))
        self.stand.recording = False
        return self.stand.feeds

    def objective(self) -> Objective:
        """Loss of the task on its training data plus the distance to the float decoder."""
        self.stand.teacher[:] = [Network(self.graph)]

        def objective(student: Network, step: int) -> torch.Tensor:
            self.stand.network[:] = [student]
            torch.manual_seed(step)
            loss, _ = self.task.loss(self.task.draw(step))
            assert self.stand.distillation is not None
            return loss + DISTIL_SHARE * self.stand.distillation

        return objective

    def judge(self) -> Judge:
        """The task's validation score."""
        return lambda student: self.figures(student)["score"]

    def figures(self, network: Network) -> dict[str, float]:
        """All validation figures of the task with this decoder, weighted by batch size."""
        self.stand.network[:] = [network]
        totals: dict[str, float] = {}
        items = 0
        with torch.no_grad():
            for index, batch in enumerate(self.validation):
                torch.manual_seed(index)
                size = len(batch["names"])
                items += size
                for name, value in self.task.score(batch).items():
                    totals[name] = totals.get(name, 0.0) + float(value) * size
        return {name: value / items for name, value in totals.items()}


def examples_of_run(folder: Path, data: Path | None, count: int, seed: int) -> list[Feed]:
    """What the model of a run is fed with, as its training data make it."""
    from train.run import load_task

    task = load_task(folder)
    task.prepare(_data_of(folder, data), ("train",))
    task.eval()
    return [feed for feed, _ in task.decoder_examples("train", count, seed)]


def _data_of(folder: Path, data: Path | None) -> Any:
    """Open a run's data set, or the one that is given instead."""
    import json

    from train.data.store import DataSet

    stated = json.loads((folder / "data.json").read_text()) if (folder / "data.json").is_file() else {}
    if data is None and not stated.get("path"):
        raise Refusal(f"{folder} does not say which data it was trained on; give them with --data DIR.")
    return DataSet.open(data or stated["path"])


def open_training_task(
    run_folder: Path, graph: Graph, data: Path | None = None, batch: int | None = None
) -> TrainingTask:
    """Load a run and its data.

    Parameters
    ----------
    run_folder : Path
        RUN.
    graph : Graph
        The run's float decoder.
    data : Path, optional
        Data set; the run's own when absent.
    batch : int, optional
        Items in a training batch instead of the recipe's.

    Raises
    ------
    Refusal
        When the run or its data set can't be read, or the data are of another kind.
    """
    from train.run import load_training

    task = load_training(run_folder)
    opened = _data_of(run_folder, data)
    task.check_data(opened, f"{run_folder} is tuned on")
    if batch is not None and not graph.is_event:  # a smaller batch of events saves nothing
        fit = task.recipe.fit.model_copy(update={"batch": batch})
        task.recipe = task.recipe.model_copy(update={"fit": fit})
    task.prepare(opened, ("train", "validation", "test"))
    task.progress = 1.0
    task.opponent = None
    task.model.requires_grad_(False)
    stand = StandIn(graph)
    task.take_network(stand)
    return TrainingTask(graph, task, stand, _shorten(task.validation_batches()))


def _shorten(batches: Sequence[dict[str, Any]], most: int = 3) -> list[dict[str, Any]]:
    """Every so many batches, so that judging stays quick."""
    step = max(1, len(batches) // most)
    return list(batches[::step])[:most]
