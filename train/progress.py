"""How a training goes, told truly: a bar that ends where the time budget or the steps end, and what follows.

Whoever trains (:mod:`train.fit`) tells a :class:`Watcher`; this one keeps silent, :class:`Bar` draws.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.progress import Progress


@dataclass(frozen=True)
class Moment:
    """Where a training stands after a step.

    Attributes
    ----------
    step, steps : int
        Steps done, and those of the recipe.
    begun_at : int
        Steps that an earlier training had done before this one went on.
    elapsed_s : float
        Since this training began, validations included.
    limit_s : float or None
        Its wall-clock budget.
    figures : dict of str to float
        Loss and score.
    """

    step: int
    steps: int
    elapsed_s: float
    begun_at: int = 0
    limit_s: float | None = None
    figures: dict[str, float] = field(default_factory=dict)

    @property
    def part(self) -> float:
        """How much of the training is done, 0 to 1: of the budget or of the steps, whichever ends first."""
        time_used = self.elapsed_s / self.limit_s if self.limit_s else 0.0
        return min(1.0, max(time_used, self.step / self.steps))

    @property
    def remaining_s(self) -> float:
        """Seconds left at the rate of the steps so far, never more than the budget leaves."""
        each = self.elapsed_s / max(1, self.step - self.begun_at)
        left = each * (self.steps - self.step)
        return left if self.limit_s is None else max(0.0, min(left, self.limit_s - self.elapsed_s))

    def words(self) -> str:
        """Time used, time left, step, figures."""
        used = clock(self.elapsed_s) + (f" of {clock(self.limit_s)}" if self.limit_s else "")
        told = "  ".join(f"{name.removeprefix('train/')} {value:.4g}" for name, value in self.figures.items())
        reached = f"step {self.step:,}" + ("" if self.limit_s else f" of {self.steps:,}")
        return f"{used}, {clock(self.remaining_s)} left  {reached}  {told}".rstrip()


class Watcher:
    """Told of every step, and of what comes before and after the training; does nothing about it."""

    def step(self, moment: Moment) -> None:
        """After a step."""

    def stage(self, name: str) -> None:
        """A stage other than the steps begins; the one before it has ended."""

    def done(self) -> None:
        """The last stage has ended."""


class Bar(Watcher):
    """Draws a bar on the error stream while steps are made, and a line on what came after them.

    Parameters
    ----------
    say : callable
        Prints a line on the error stream.
    """

    def __init__(self, progress: Progress, say: Callable[[str], None]):
        self.progress, self.say = progress, say
        self.task = progress.add_task("", total=1.0)
        self.stepped = False
        self.now = ""
        self.begun = time.monotonic()
        self.after: list[str] = []

    def step(self, moment: Moment) -> None:
        """Move the bar."""
        self.now, self.stepped = "", True
        self.progress.update(self.task, completed=moment.part, description=moment.words())

    def stage(self, name: str) -> None:
        """Name what is being done; after the steps, note how long the stage before it took."""
        self._close()
        self.now, self.begun = name, time.monotonic()
        if self.stepped:
            self.progress.update(self.task, completed=1.0)
        told = f"after the training: {', '.join([*self.after, name])} …" if self.stepped else f"{name} …"
        self.progress.update(self.task, description=told)

    def done(self) -> None:
        """Print the one line."""
        self._close()
        self.progress.update(self.task, description="")
        if self.after:
            self.say(f"after the training: {', '.join(self.after)}")
        self.after = []

    def _close(self) -> None:
        if self.now and self.stepped:
            self.after.append(f"{self.now} {clock(time.monotonic() - self.begun)}")
        self.now = ""


class Count:
    """Draws a bar of things done, for a search."""

    def __init__(self, progress: Progress):
        self.progress = progress
        self.task = progress.add_task("", total=None)

    def count(self, done: int, wanted: int, words: str) -> None:
        """Move the bar."""
        self.progress.update(self.task, completed=done, total=wanted, description=words)


def drawn(title: str, *columns: Any) -> Progress:
    """Make rich's progress display on the error stream, in this room's columns."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn(title),
        BarColumn(),
        *columns,
        TextColumn("{task.description}"),
        console=Console(stderr=True),
    )


def clock(seconds: float) -> str:
    """A length of time: ``0:07``, ``3:59``, ``1:02:03``."""
    whole = max(0, round(seconds))
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
