"""The whole workflow as a list of commands: what ``vaectrol make`` and ``vaectrol demo`` run, in order.

A stage is one vaectrol command with the files it reads and makes. A stage whose command and inputs have
not changed since it last ended well is kept, so an interrupted workflow continues where it stopped. Stages
run as processes of their own: each one's memory goes back before the next begins, and what it does
is exactly what a reader can type.
"""

from __future__ import annotations

import hashlib
import html
import json
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from common.files import write_text
from common.kinds import check_kind
from train.data.kinds import data_kinds

STAMPS = ".workflow"
HERE = Path(__file__).parent
MOVES = HERE / "firmware" / "instruments" / "moves.csv"


class WorkflowStopped(Exception):
    """A stage ended badly; the sentence names the stage and how to go on."""

    exit_status = 2


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
    """

    name: str
    says: str
    argv: tuple[str, ...]
    reads: tuple[Path, ...]
    makes: tuple[Path, ...]
    tolerates: tuple[int, ...] = (0,)
    resumes: Path | None = None

    def command(self) -> str:
        """Give the command as a reader would type it."""
        return shlex.join(("vaectrol", *self.argv))


def fingerprint(stage: Stage) -> str:
    """Digest of a stage's command and of the names, sizes and times of everything it reads."""
    digest = hashlib.sha256(json.dumps(stage.argv).encode())
    for path in stage.reads:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
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


def run_stages(stages: Sequence[Stage], folder: Path) -> None:
    """Run the stages in order, keeping those that are done.

    Raises
    ------
    WorkflowStopped
        When a stage fails; what the earlier ones made stays.
    """
    for number, stage in enumerate(stages, start=1):
        label = f"[{number}/{len(stages)}] {stage.name}"
        if is_done(stage, folder):
            print(f"{label}: done before, kept", flush=True)
            continue
        print(f"\n{label}: {stage.says}\n    {stage.command()}", flush=True)
        begun, spent = time.monotonic(), children_cpu_seconds()
        program = [sys.executable, str(Path(__file__).with_name("vaectrol.py")), *stage.argv]
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
        mark_done(stage, folder, time.monotonic() - begun, children_cpu_seconds() - spent)


def children_cpu_seconds() -> float:
    """Processor time of all stages so far: on a busy machine it says more than the clock."""
    times = os.times()
    return times.children_user + times.children_system


def sounds_to_module(
    source: Path, kind: str, board: str, folder: Path, *, recipe: str, train_time: str, quick: bool, cpu: str
) -> list[Stage]:
    """List the stages from a folder of sounds to a measured module.

    Parameters
    ----------
    source : Path
        Sounds, patterns or pairs.
    kind : str
        Of the data set; the recipe, the role and the instrument are called the same.
    board : str
        Board name or file.
    folder : Path
        Where everything goes.
    recipe : str
        Recipe name or file.
    train_time : str
        Wall-clock budget of the training, as ``10m``.
    quick : bool
        Prune by half and tune for a minute, instead of meeting ``cpu`` on the board.
    cpu : str
        Share of the processor the model may take at worst.
    """
    role = instrument = kind
    data, run, model = folder / "data", folder / "run", folder / f"{role}.int8.onnx"
    named = f"{role}={model}"
    pruning = ("--quick", "--prune", "0.3") if quick else ("--board", board, "--cpu", cpu)
    stages = [
        Stage(
            "prepare",
            "read the sounds, say what is wrong with them, split them by kit",
            ("data", "prepare", kind, str(source), str(data)),
            (source,),
            (data / "manifest.json", data / "report.html"),
            tolerates=(0, 1),
        ),
        Stage(
            "train",
            f"train the {role} VAE, at most {train_time}",
            ("train", recipe, "--data", str(data), "-o", str(run), "--time", train_time),
            (data / "manifest.json",),
            (run / "card.json",),
            resumes=run / "checkpoints" / "last.ckpt",
        ),
        Stage(
            "evaluate",
            "judge it on sounds it never met",
            ("evaluate", str(run), "--data", str(data), "--limit", "64" if quick else "0"),
            (run / "card.json",),
            (run / "evaluation" / "report.html",),
        ),
        Stage(
            "quantize",
            "prune, tune and quantize to int8 weights",
            ("quantize", str(run), *pruning, "--data", str(data), "-o", str(model)),
            (run / "card.json",),
            (model,),
        ),
        Stage(
            "compile",
            "compile the model to C for the Cortex-M7",
            ("compile", str(model), "--target", "m7", "--board", board, "-o", str(folder / "c")),
            (model,),
            (folder / "c",),
        ),
        Stage(
            "build",
            f"build the {instrument} instrument's image",
            ("build", instrument, "--board", board, "--model", named, "-o", str(folder / "image")),
            (model,),
            (folder / "image",),
        ),
    ]
    if kind == "drum":
        stages += played(instrument, board, folder, model=named, reads=(model,))
    stages.append(
        Stage(
            "bench",
            "predict CPU, memory, latency and quality on the board",
            ("bench", str(model), "--board", board, "-o", str(folder / "report"))
            + (("--quick",) if quick else ()),
            (model,),
            (folder / "report" / "report.html", folder / "report" / "report.json"),
        )
    )
    return stages


def played(
    instrument: str, board: str, folder: Path, *, model: str | None = None, reads: tuple[Path, ...] = ()
) -> list[Stage]:
    """List the stages that play the CV script: on this machine with a picture, and on the emulated module."""
    chosen = ("--model", model) if model else ()
    wav, module = folder / f"{instrument}.wav", folder / f"{instrument}.module.wav"
    picture = folder / f"{instrument}.png"
    which = instrument if model else f"factory-{instrument}"
    return [
        Stage(
            f"play-{which}",
            f"play {MOVES.name} on the {instrument} instrument",
            ("play", instrument, "--cv", str(MOVES), *chosen, "-o", str(wav), "--picture", str(picture)),
            (MOVES, *reads),
            (wav, picture),
        ),
        Stage(
            f"emulate-{which}",
            "play it again on the emulated module, compare, count cycles",
            ("emulate", instrument, "--cv", str(MOVES), *chosen, "--board", board, "-o", str(module)),
            (MOVES, *reads),
            (module, module.with_suffix(".json")),
        ),
    ]


def write_index(folder: Path, title: str, stages: Sequence[Stage]) -> Path:
    """Write the one page that shows what the workflow made: figures, pictures, sounds, links."""
    parts = [f"<h1>{html.escape(title)}</h1>"]
    for line in headline(folder):
        parts.append(f"<p><b>{html.escape(line)}</b></p>")
    for picture in sorted(folder.glob("*.png")):
        parts.append(f'<h2>{picture.stem}</h2><img src="{picture.name}" alt="{picture.stem} played">')
    for sound in sorted(folder.glob("*.wav")):
        if ".gates" not in sound.suffixes and ".cv" not in sound.suffixes:
            parts.append(f'<p>{sound.name}<br><audio controls src="{sound.name}"></audio></p>')
    parts.append(
        "<h2>Stage by stage</h2><table><tr><th>stage</th><th>command</th><th>seconds</th>"
        "<th>of processor</th></tr>"
    )
    for stage in stages:
        stamp = folder / STAMPS / f"{stage.name}.json"
        record = json.loads(stamp.read_text()) if stamp.is_file() else {}
        links = "".join(
            f' <a href="{path.relative_to(folder)}">{path.name}</a>'
            for path in stage.makes
            if path.is_relative_to(folder) and path.suffix in (".html", ".json")
        )
        parts.append(
            f"<tr><td>{stage.name}{links}</td><td><code>{html.escape(stage.command())}</code></td>"
            f"<td>{record.get('seconds', '')}</td><td>{record.get('cpu_seconds', '')}</td></tr>"
        )
    parts.append("</table>")
    style = (
        "body{font:16px/1.5 system-ui;max-width:70em;margin:2em auto;padding:0 1em}img{max-width:100%}"
        "table{border-collapse:collapse}td,th{border-bottom:1px solid #ccc;padding:.3em .8em;text-align:left}"
        "code{font-size:.8em}"
    )
    page = f"<!doctype html><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>"
    index = folder / "index.html"
    write_text(index, page + "\n".join(parts))
    return index


def headline(folder: Path) -> list[str]:
    """Sentences with the figures that matter, from the stages' JSON."""
    lines = []
    for file in sorted(folder.glob("*.module.json")):
        found = json.loads(file.read_text())
        cpu = found["predicted_cpu"]
        agrees = "equals" if found["equals_host"] else "DIFFERS from"
        lines.append(
            f"{found['instrument']}: the whole instrument takes {cpu['mean']:.1%} of a {found['board']} at "
            f"block {found['block']}, worst callback {cpu['worst']:.1%} (predicted); the emulated module "
            f"{agrees} the host's rendering."
        )
    report = folder / "report" / "report.json"
    if report.is_file():
        for role, part in json.loads(report.read_text())["models"].items():
            cpu = part["predicted"]["cpu"]
            lines.append(
                f"{role}: the network alone takes {cpu['mean']:.1%}, worst callback {cpu['worst']:.1%} "
                "(predicted)."
            )
    return lines


def register(app: typer.Typer) -> None:
    """Add the workflow's commands to the command line."""
    app.command("make", epilog="Example: vaectrol make ~/Samples/kits --kind drum --board patch_sm -o mykit")(
        make
    )
    app.command("demo", epilog="Example: vaectrol demo -o demo")(demo)


def make(
    source: Annotated[Path, typer.Argument(metavar="SRC", help="Folder of sounds, patterns or pairs.")],
    kind: Annotated[str, typer.Option(help="drum, rhythm or drive.")] = "drum",
    board: Annotated[str, typer.Option(help="Board, by name or .toml file.")] = "patch_sm",
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("made"),
    recipe: Annotated[str | None, typer.Option(help="Recipe; the kind's standard one if omitted.")] = None,
    time_limit: Annotated[str, typer.Option("--time", help="Wall-clock budget of the training.")] = "45m",
    cpu: Annotated[str, typer.Option(help="Worst share of the processor the model may take.")] = "45%",
    quick: Annotated[bool, typer.Option("--quick", help="Quick recipe, quick pruning: minutes.")] = False,
) -> None:
    """Run the whole workflow on your own sounds: prepare, train, quantize, compile, build, play, bench."""
    check_kind(kind, data_kinds())
    if not source.is_dir():
        raise WorkflowStopped(f"there is no folder {source}; name the folder that holds your sounds.")
    chosen = recipe or kind + ("_quick" if quick else "")
    stages = sounds_to_module(
        source, kind, board, out, recipe=chosen, train_time=time_limit, quick=quick, cpu=cpu
    )
    run_stages(stages, out)
    index = write_index(out, f"{source.name} on a {board}", stages)
    typer.echo("\n" + "\n".join(headline(out)))
    typer.echo(f"Everything is in {out}; begin with {index}")


def demo(
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything.")] = Path("demo"),
    items: Annotated[int, typer.Option(help="Toy drums to train on.")] = 160,
    train_time: Annotated[str, typer.Option(help="Wall-clock budget of the training.")] = "75s",
    board: Annotated[str, typer.Option(help="Board with a Cortex-M7.")] = "patch_sm",
) -> None:
    """Run the whole workflow on toy drums, then play the factory instruments; a second run keeps it."""
    sounds = out / "sounds"
    toy = Stage(
        "toy",
        f"synthesise {items} drum sounds",
        ("toy", "drum", str(sounds), "--items", str(items)),
        (),
        (sounds / "manifest.json",),
    )
    stages = [
        toy,
        *sounds_to_module(
            sounds, "drum", board, out, recipe="drum_quick", train_time=train_time, quick=True, cpu="45%"
        ),
    ]
    for instrument, roles in factory_instruments().items():
        stages += played(instrument, board, out / "factory", reads=tuple(roles))
    run_stages(stages, out)
    index = write_index(out, "Vaectrol demo: toy drums on an emulated module", stages)
    typer.echo("\n" + "\n".join([*headline(out), *headline(out / "factory")]))
    typer.echo(
        f"\nSee and hear it: {index}\nThe board's report: {out / 'report' / 'report.html'}\n"
        f"How well it learnt: {out / 'run' / 'evaluation' / 'report.html'}\n\nTry next:\n"
        "  vaectrol make ~/Samples/my_kit --kind drum --board patch_sm -o mykit\n"
        f"  vaectrol play drum --model drum={out / 'drum.int8.onnx'} --cv {MOVES} -o out.wav\n"
        "  vaectrol bench raspberry --board patch_sm -o raspberry"
    )


def factory_instruments() -> dict[str, list[Path]]:
    """Instruments all of whose models come with the project and that the CV script can play."""
    from common.refusal import Refusal
    from firmware.instruments.spec import available_instruments, find_models, load_instrument

    found: dict[str, list[Path]] = {}
    for name in available_instruments():
        try:
            models: dict[str, Any] = find_models(load_instrument(name))
        except Refusal:
            continue
        found[name] = [model.path for model in models.values()]
    return found
