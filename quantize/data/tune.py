"""Fine-tuning: a pruned or quantized network learns to answer as the float model, and as the data, again."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch

from common.refusal import Refusal
from quantize.data.examples import Example, tensors
from quantize.data.kept import EVERY_S, Kept
from quantize.graph.network import Network
from train.kinds import trained_as

AUDIO_LEAST = 256
# spectra at −80 dBFS and below do not matter to the ear, nor to the gradient
FLOOR = 1e-4
SCALE_RATE = 0.1  # scales are few and touch every weight: they move more slowly
CHECKS = 5  # how often the judge is asked during a training

Objective = Callable[[Network, int], torch.Tensor]
Judge = Callable[[Network], float]


@dataclass(frozen=True)
class Effort:
    """How long to tune: wall-clock seconds, or steps, which give the same result on any machine.

    Attributes
    ----------
    seconds : float or None
        Wall-clock time.
    steps : int or None
        Optimiser steps; whichever ends first ends the tuning.
    """

    seconds: float | None = None
    steps: int | None = None

    def __bool__(self) -> bool:
        """Whether there is anything to do."""
        return bool(self.steps if self.seconds is None else self.seconds)

    def part(self, share: float) -> Effort:
        """A share of it; at least one step of any."""
        seconds = None if self.seconds is None else self.seconds * share
        steps = None if self.steps is None else max(1, round(self.steps * share)) if self.steps else 0
        return Effort(seconds, steps)


@cache
def _spectral_loss() -> Any:
    from train.losses import SpectralLoss

    return SpectralLoss(floor=FLOOR)


def distance(made: torch.Tensor, wanted: torch.Tensor, kind: str = "") -> torch.Tensor:
    """Training loss of one output: spectra and waveform for audio, relative error otherwise.

    Parameters
    ----------
    made, wanted : Tensor [N, C, T]
        Outputs.
    kind : str
        The model's; a training kind may have a distance of its own (`train/tasks/base.py`).
    """
    made = made.to(torch.float32)
    if made.ndim == 3 and made.shape[1] == 1 and made.shape[2] >= AUDIO_LEAST:
        wave = ((made - wanted) ** 2).mean() / (wanted**2).mean().clamp(min=1e-6)
        return _spectral_loss()(made, wanted) + torch.sqrt(wave + 1e-10)
    task = trained_as(kind)
    own = task.tuning_distance(made, wanted) if task else None
    if own is not None:
        return own
    wave = ((made - wanted) ** 2).mean() / (wanted**2).mean().clamp(min=1e-6)
    return torch.sqrt(wave + 1e-10)


def pool_objective(pool: Sequence[Example], kind: str = "", seed: int = 0) -> Objective:
    """Build the distance to the float model over a pool of examples, visited in random order."""
    if not pool:
        raise Refusal("there is nothing to fine-tune on; give data that the model was trained for.")
    random = np.random.default_rng(seed)
    order: list[int] = []

    def objective(student: Network, step: int) -> torch.Tensor:
        if not order:
            order.extend(random.permutation(len(pool)).tolist())
        example = pool[order.pop()]
        outputs = student(tensors(example.feed))
        return torch.stack(
            [distance(outputs[n], torch.from_numpy(w), kind) for n, w in example.taught.items()]
        ).sum()

    return objective


def pool_judge(pool: Sequence[Example], kind: str = "") -> Judge:
    """Build the mean distance to the float model over a pool that is not trained on."""

    def judge(student: Network) -> float:
        with torch.no_grad():
            total = 0.0
            for example in pool:
                outputs = student(tensors(example.feed))
                total += sum(
                    float(distance(outputs[n], torch.from_numpy(w), kind)) for n, w in example.taught.items()
                )
        return total / len(pool)

    return judge


def fine_tune(
    student: Network,
    objective: Objective,
    judge: Judge,
    effort: Effort,
    *,
    learning_rate: float = 1e-3,
    progress: Callable[[float], None] | None = None,
    kept: tuple[Kept, str] | None = None,
) -> dict[str, float]:
    """Train a network with Adam and a cosine schedule; what is kept is the best the judge has seen.

    Parameters
    ----------
    student : Network
        Pruned float network or quantized network; changed in place.
    objective : callable
        (student, step) → loss.
    judge : callable
        student → figure that should fall; asked at the start, now and then, and at the end.
    effort : Effort
        How long.
    learning_rate : float
        Of the weights; scales get a tenth.
    progress : callable, optional
        Called with the share done.
    kept : (Kept, str), optional
        Where the state is kept, and under which name: an interrupted training goes on exactly where it stood.
        The objective must depend on nothing but the student and the step.

    Returns
    -------
    dict
        ``before``, ``after`` (judge), ``steps``, ``seconds``.
    """
    steps, seconds = effort.steps, effort.seconds
    if not effort:
        raise ValueError("there is no effort to spend; leave the tuning out")
    scales = [p for n, p in student.named_parameters() if n.startswith("log_") and p.requires_grad]
    weights = [p for n, p in student.named_parameters() if not n.startswith("log_") and p.requires_grad]
    groups = [{"params": weights, "lr": learning_rate}]
    if scales:
        groups.append({"params": scales, "lr": learning_rate * SCALE_RATE})
    optimizer = torch.optim.Adam(groups, betas=(0.9, 0.99))
    rates = [group["lr"] for group in optimizer.param_groups]
    begin = saved = time.monotonic()
    now = _Standing()
    if kept is not None and (found := kept[0].load(kept[1])) is not None:
        now = _Standing(**found["standing"])
        student.load_state_dict(found["student"])
        optimizer.load_state_dict(found["optimizer"])
        best_state = found["best_state"]
        begin -= now.elapsed
    else:
        now.before = now.best = judge(student)
        best_state = _state(student)

    def keep() -> None:
        if kept is not None:
            now.elapsed = time.monotonic() - begin
            state = {"student": _state(student), "optimizer": optimizer.state_dict()}
            kept[0].save(kept[1], {**state, "standing": vars(now), "best_state": best_state})

    while now.done < 1.0:
        factor = (0.02 + 0.98 * 0.5 * (1.0 + float(np.cos(np.pi * now.done)))) * min(1.0, 10 * now.done + 0.1)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        try:
            loss = objective(student, now.count)
            if not bool(torch.isfinite(loss)):
                if now.count == 0:
                    raise Refusal(
                        f"the loss of the fine-tuning is {float(loss.detach())} from the start; "
                        "look at the model and the calibration data."
                    )
                break
            optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
        except KeyboardInterrupt:  # nothing of this step is in the weights yet
            keep()
            raise
        torch.nn.utils.clip_grad_norm_(weights + scales, 1.0)
        optimizer.step()
        now.count += 1
        elapsed = time.monotonic() - begin
        now.done = max(now.count / steps if steps else 0.0, elapsed / seconds if seconds else 0.0)
        if now.done >= now.next_check:
            now.next_check += 1.0 / CHECKS
            figure = judge(student)
            if figure < now.best:
                now.best, best_state = figure, _state(student)
        if time.monotonic() - saved > EVERY_S or now.done >= 1.0:
            keep()
            saved = time.monotonic()
        if progress:
            progress(min(now.done, 1.0))
    student.load_state_dict(best_state)
    return {"before": now.before, "after": now.best, "steps": now.count, "seconds": time.monotonic() - begin}


@dataclass
class _Standing:
    """How far a training is: the share done, its steps, what the judge said, when it is asked next."""

    done: float = 0.0
    count: int = 0
    next_check: float = 1.0 / CHECKS
    before: float = 0.0
    best: float = 0.0
    elapsed: float = 0.0


def _state(student: Network) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in student.state_dict().items()}
