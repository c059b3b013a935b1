"""The stages of a workflow: from sounds to a module, and an instrument played on both machines."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from workflow.stages import Stage

MOVES = Path(__file__).parents[1] / "firmware" / "instruments" / "moves.csv"


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
