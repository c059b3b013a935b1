"""A model learns from the sound of another: dry recordings in ever new cuts, and what that makes of them.

For models that come without a run. The other one is as a rule the model before it was pruned.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch

from common.files import files_below
from common.refusal import Refusal
from quantize.data.calibration_set import BATCH, LEAST_SAMPLES, POOL, CalibrationSet, extremes
from quantize.data.examples import run, teach, tensors
from quantize.data.feeds import FeedMaker, read_wav
from quantize.data.tune import Objective
from quantize.graph.graph import Feed, Graph
from quantize.graph.network import Network

SECONDS, LEAD_SECONDS = 0.35, 0.1
"""Of a cut, and of its beginning that does not count: a model's memory is empty there."""
HELD_OUT = 0.25
"""Part of the recordings, one at least, that nothing is learnt from."""
FITTED = 3
"""Feeds that pruned weights are fitted to, for each that ranges are taken from: few are fitted too well."""
LESSONS = 256
"""Batches of cuts; each is made and answered when it is first wanted, and comes again after the last one."""
QUIET = 1e-4
"""Mean square below which errors count as if a cut were so loud."""


def error_to_signal(made: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
    """Error-to-signal ratio of each cut behind the lead, averaged; [N, C, T]."""
    lead = int(wanted.shape[-1] * LEAD_SECONDS / SECONDS)
    made, wanted = made[..., lead:].to(torch.float32), wanted[..., lead:]
    return (((made - wanted) ** 2).mean((1, 2)) / (wanted**2).mean((1, 2)).clamp(min=QUIET)).mean()


def from_teacher(graph: Graph, against: Graph, folder: Path, seed: int = 0) -> CalibrationSet:
    """A calibration set whose target is what another model makes of a folder of dry recordings.

    Raises
    ------
    Refusal
        When the two do not read and give the same, or there are fewer than two recordings.
    """
    for ours, theirs, what in (
        (graph.input_names, against.input_names, "reads"),
        (graph.output_names, against.output_names, "gives"),
    ):
        if ours != theirs:
            raise Refusal(
                f"the model to learn from {what} {', '.join(theirs)}, and the one that learns {what} "
                f"{', '.join(ours)}; give the model that it was made of."
            )
    if not any(spec.role == "audio" for spec in graph.about.inputs) or graph.is_event:
        raise Refusal("--against is for models that audio goes through, and this one reads none.")
    files = [file for file in files_below(folder) if file.suffix.lower() == ".wav"]
    audio = [x for x in (read_wav(file, graph) for file in files) if len(x) >= LEAST_SAMPLES]
    if len(audio) < 2:
        raise Refusal(
            f"{folder} holds {len(audio)} recordings of {LEAST_SAMPLES} samples or more; to learn from one "
            "and be judged on another, two .wav files are needed."
        )
    held = max(1, round(HELD_OUT * len(audio)))
    learnt, judged = FeedMaker(graph, audio[:-held], seed), FeedMaker(graph, audio[-held:], seed)
    pool = teach(against, [learnt.make(SECONDS, BATCH) for _ in range(FITTED * POOL)])
    test = teach(against, [judged.make(SECONDS, BATCH) for _ in range(POOL // 2)])
    (output,) = graph.output_names[:1]

    known: dict[int, tuple[Feed, torch.Tensor]] = {}
    teacher = Network(against)

    def lesson(step: int) -> tuple[Feed, torch.Tensor]:
        """Cuts and their answers, which depend on the step alone: a tuning can be taken up again."""
        number = step % LESSONS
        if number not in known:
            feed = FeedMaker(graph, audio[:-held], seed=(seed, number)).make(SECONDS, BATCH)
            known[number] = feed, torch.from_numpy(run(teacher, feed)[output])
        return known[number]

    def lessons() -> Objective:
        def objective(student: Network, step: int) -> torch.Tensor:
            feed, wanted = lesson(step)
            return torch.sqrt(error_to_signal(student(tensors(feed))[output], wanted) + 1e-10)

        return objective

    def judge(student: Network) -> float:
        found = [
            error_to_signal(
                torch.from_numpy(run(student, e.feed)[output]), torch.from_numpy(e.taught[output])
            )
            for e in test
        ]
        return float(np.mean([float(value) for value in found]))

    return CalibrationSet(
        graph,
        [e.feed for e in pool[:POOL]] + extremes(graph, learnt),
        test,
        lessons,
        judge,
        f"{len(audio)} recordings, {held} of them to judge by",
        figures=lambda network: {"esr": judge(network)},
        pool=pool,
        width_examples=lambda: pool[-3:],
        learns=True,
    )
