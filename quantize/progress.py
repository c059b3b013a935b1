"""What long work says while it runs: how long the stage at hand still takes, a line for each that ended."""

from __future__ import annotations

import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.console import Console

LEAST_SHARE = 0.01  # of a stage, before its remaining time is worth a guess
AFTERWARDS = "measuring and the report"  # no budget bounds them


class Progress:
    """Hears how far a procedure is; this one keeps silent."""

    def plan(self, budgets: Mapping[str, float]) -> None:
        """Take note of the stages to come that have a time budget: name → seconds."""

    def at(self, stage: str, share: float | None = None) -> None:
        """Hear which stage is at work, and the share of it that is done, None where that is not known."""

    def ended(self, line: str) -> None:
        """Hear what the stages since the last line came to."""


class Part(Progress):
    """A procedure within a longer one: its stages are shown, its lines are not.

    Parameters
    ----------
    whole : Progress
        Of the longer one.
    name : str
        Which part this is.
    """

    def __init__(self, whole: Progress, name: str):
        self.whole, self.name = whole, name

    def at(self, stage: str, share: float | None = None) -> None:
        """Name the part before the stage."""
        self.whole.at(f"{self.name}: {stage}", share)


class ConsoleProgress(Progress):
    """A bar on the terminal, and lines that stay; without a terminal only the lines.

    Parameters
    ----------
    console : Console
        Where to.
    """

    def __init__(self, console: Console):
        from rich.progress import BarColumn, TextColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[left]}"))
        self.console = console
        self.bar = Bar(*columns, console=console, transient=True)
        self.task = self.bar.add_task("", total=None, left="")
        self.budgets: dict[str, float] = {}
        self.budget: float | None = None  # of the stage at hand
        self.stage, self.begun, self.line_begun = "", 0.0, 0.0

    def __enter__(self) -> ConsoleProgress:
        """Show the bar."""
        self.begun = self.line_begun = time.monotonic()
        self.bar.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        """Take the bar away."""
        self.bar.stop()

    def plan(self, budgets: Mapping[str, float]) -> None:
        """Keep them for what is said of the time left."""
        self.budgets = dict(budgets)

    def at(self, stage: str, share: float | None = None) -> None:
        """Move the bar; a stage without shares pulses."""
        if stage != self.stage:
            self.stage, self.begun = stage, time.monotonic()
            self.budget = self.budgets.pop(stage, None)
        fields: dict[str, Any] = {"description": stage, "left": self.left(share)}
        if share is None:
            self.bar.update(self.task, total=None, **fields)
        else:
            self.bar.update(self.task, total=1.0, completed=share, **fields)

    def left(self, share: float | None) -> str:
        """How long this stage still takes, and what follows."""
        parts = []
        if share is not None and self.budget is not None:
            parts.append(f"{clock(self.budget * (1.0 - share))} left")
        elif share is not None and share >= LEAST_SHARE:
            spent = time.monotonic() - self.begun
            parts.append(f"{clock(spent * (1.0 - share) / share)} left")
        parts += [f"then {clock(seconds)} of {name}" for name, seconds in self.budgets.items()]
        return ", ".join([*parts, f"then {AFTERWARDS}"] if self.budget or self.budgets else parts)

    def ended(self, line: str) -> None:
        """Print the line with the time since the one before."""
        now = time.monotonic()
        self.console.print(f"{line} · {clock(now - self.line_begun)}", highlight=False, soft_wrap=True)
        self.line_begun = now


def clock(seconds: float) -> str:
    """Say a time as one would."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60} s" if whole < 600 else f"{round(whole / 60)} min"
