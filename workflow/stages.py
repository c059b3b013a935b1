"""Stages: what ``vaectrol make`` and ``vaectrol demo`` run, in order.

A stage is one vaectrol command with the files it reads and makes. A stage whose command and inputs have
not changed since it last ended well is kept, so an interrupted workflow continues where it stopped. Stages
run as processes of their own: each one's memory goes back before the next begins, and what it does
is exactly what a reader can type.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from common.files import files_below, write_text
from common.refusal import Refusal

STAMPS = ".workflow"
PROGRAM = Path(__file__).parents[1] / "vaectrol.py"


class WorkflowStopped(Refusal):
    """A stage ended badly; the sentence names the stage and how to go on."""


@dataclass(frozen=True)
class Stage:
    """One command of the workflow.

    Attributes
    ----------
    name : str
        What the reader sees, e.g. ``"train"``.
    says : str
        One line: what happens here.
    argv : tuple of str
        Arguments of the vaectrol command.
    reads, makes : tuple of Path
        Files or folders it depends on, and those it leaves behind.
    tolerates : tuple of int
        Exit statuses that count as done (``data prepare`` answers 1 when it left some files out).
    resumes : Path, optional
        When this file is there, the command was cut short and goes on with ``--resume``.
    takes_s : float
        About how long it takes on two idle cores, as a rule measured; a training's is its budget.
    """

    name: str
    says: str
    argv: tuple[str, ...]
    reads: tuple[Path, ...]
    makes: tuple[Path, ...]
    tolerates: tuple[int, ...] = (0,)
    resumes: Path | None = None
    takes_s: float = 10.0

    def command(self) -> str:
        """Give the command as a reader would type it."""
        return shlex.join(("vaectrol", *self.argv))


def fingerprint(stage: Stage) -> str:
    """Digest of a stage's command and of the names, sizes and times of everything it reads."""
    digest = hashlib.sha256(json.dumps(stage.argv).encode())
    for path in stage.reads:
        for file in files_below(path) if path.is_dir() else [path]:
            if file.is_file():
                status = file.stat()
                digest.update(f"{file}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def is_done(stage: Stage, folder: Path) -> bool:
    """Tell whether the stage already ended well with the same command and inputs."""
    stamp = folder / STAMPS / f"{stage.name}.json"
    if not stamp.is_file() or not all(path.exists() for path in stage.makes):
        return False
    return bool(json.loads(stamp.read_text())["fingerprint"] == fingerprint(stage))


def mark_done(stage: Stage, folder: Path, seconds: float, cpu_seconds: float) -> None:
    """Write the stage's stamp, whole or not at all."""
    stamp = folder / STAMPS / f"{stage.name}.json"
    stamp.parent.mkdir(parents=True, exist_ok=True)
    record = {
        "command": stage.command(),
        "fingerprint": fingerprint(stage),
        "seconds": round(seconds, 1),
        "cpu_seconds": round(cpu_seconds, 1),
    }
    write_text(stamp, json.dumps(record, indent=1))


def run_stages(
    stages: Sequence[Stage], folder: Path, after: Callable[[Stage], None] = lambda stage: None
) -> None:
    """Run the stages in order, keeping those that are done; say beforehand how long, and afterwards.

    Parameters
    ----------
    after : callable
        Told of every stage that is done, whether it ran now or was kept.

    Raises
    ------
    WorkflowStopped
        When a stage fails; what the earlier ones made stays.
    """
    left = {stage.name: expected_s(stage, folder) for stage in stages if not is_done(stage, folder)}
    if left:
        count = "1 stage" if len(left) == 1 else f"{len(left)} stages"
        print(f"{count} to run, about {in_words(sum(left.values()))} on two idle cores", flush=True)
    for number, stage in enumerate(stages, start=1):
        label = f"[{number}/{len(stages)}] {stage.name}"
        if is_done(stage, folder):  # asked anew: what it reads may have been made a moment ago
            print(f"{label}: done before, kept", flush=True)
            after(stage)
            continue
        about = in_words(left.get(stage.name) or expected_s(stage, folder))
        print(f"\n{label}: {stage.says} (about {about})\n    {stage.command()}", flush=True)
        begun, spent = time.monotonic(), children_cpu_seconds()
        program = [sys.executable, str(PROGRAM), *stage.argv]
        if stage.resumes is not None and stage.resumes.exists():
            program.append("--resume")
        status = subprocess.run(program, check=False).returncode
        if status not in stage.tolerates:
            raise WorkflowStopped(
                f"the workflow stopped at '{stage.name}' (exit status {status}); what came before is kept: "
                f"fix what it says above and run the same command again."
            )
        missing = [str(path) for path in stage.makes if not path.exists()]
        if missing:
            raise WorkflowStopped(
                f"'{stage.name}' ended without making {', '.join(missing)}; please report this."
            )
        took = time.monotonic() - begun
        mark_done(stage, folder, took, children_cpu_seconds() - spent)
        print(f"    took {in_words(took)}", flush=True)
        after(stage)


def expected_s(stage: Stage, folder: Path) -> float:
    """How long a stage will take: as long as the last time here, or what the stage says."""
    stamp = folder / STAMPS / f"{stage.name}.json"
    if not stamp.is_file():
        return stage.takes_s
    record = json.loads(stamp.read_text())
    same = record.get("command") == stage.command()
    return float(record["seconds"]) if same else stage.takes_s


def in_words(seconds: float) -> str:
    """Say a length of time as a person would."""
    if seconds < 90:
        return f"{max(1, round(seconds))} s"
    if seconds < 5400:
        return f"{round(seconds / 60)} min"
    return f"{seconds / 3600:.1f} h"


def children_cpu_seconds() -> float:
    """Processor time of all stages so far: on a busy machine it says more than the clock."""
    times = os.times()
    return times.children_user + times.children_system
