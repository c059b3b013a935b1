"""The stages of a workflow: from sounds to a module, and an instrument that shows itself on both machines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from workflow.plan import Plan, data_kind
from workflow.stages import Stage

EMULATED_S = 2.5
"""So much of a demonstration the emulated module plays: emulating takes up to ten seconds a second."""
EMULATED_CALLBACKS = 60
"""So many of its callbacks go through the pipeline model, which is ten times slower still."""


def sounds_to_module(plan: Plan) -> list[Stage]:
    """List the stages from folders of sounds to a measured module."""
    models, heard = {}, []
    stages: list[Stage] = []
    for role in plan.sources:
        alone = len(plan.sources) == 1
        folder = plan.folder if alone else plan.folder / role
        models[role] = folder / f"{role}.int8.onnx"
        heard.append(folder / "run" / "evaluation" / "heard.json")
        stages += model_stages(plan, role, folder, models[role], prefix="" if alone else f"{role}-")
    return [*stages, *instrument_stages(plan, models), web_stage(plan, models, heard)]


def model_stages(plan: Plan, role: str, folder: Path, model: Path, prefix: str) -> list[Stage]:
    """List the stages from sounds to one quantized model, and to its C."""
    data, run = folder / "data", folder / "run"
    quick = ("--quick",) if plan.quick else ()
    source, board = plan.sources[role], plan.board
    return [
        Stage(
            f"{prefix}prepare",
            "read the sounds, say what is wrong with them, split them",
            ("data", "prepare", data_kind(role), str(source), str(data)),
            (source,),
            (data / "manifest.json", data / "report.html"),
            tolerates=(0, 1),
            takes_s=20,
        ),
        Stage(
            f"{prefix}train",
            f"train the {role} model, at most {plan.train_time}",
            ("train", plan.recipes[role], "--data", str(data), "-o", str(run), "--time", plan.train_time),
            (data / "manifest.json",),
            (run / "card.json",),
            resumes=run / "checkpoints" / "last.ckpt",
            takes_s=plan.train_s + 20,
        ),
        Stage(
            f"{prefix}evaluate",
            "judge it on sounds it never met",
            ("evaluate", str(run), "--data", str(data), "--limit", "64" if plan.quick else "0"),
            (run / "card.json",),
            (run / "evaluation" / "report.html", run / "evaluation" / "heard.json"),
            takes_s=20 if plan.quick else 120,
        ),
        Stage(
            f"{prefix}quantize",
            "prune as far as the board needs, tune and quantize to int8 weights",
            (
                *("quantize", str(run), *quick, "--board", board, "--cpu", plan.cpu),
                *("--data", str(data), "-o", str(model)),
            ),
            (run / "card.json",),
            (model,),
            takes_s=60 if plan.quick else 600,
        ),
        Stage(
            f"{prefix}compile",
            "compile the model to C for the Cortex-M7",
            ("compile", str(model), "--target", "m7", "--board", board, "-o", str(folder / "c")),
            (model,),
            (folder / "c",),
            takes_s=4,
        ),
    ]


def without_image(board: str) -> tuple[str, ...]:
    """Where the tools of the board's port are missing, everything but the image is made."""
    from common.refusal import Refusal
    from firmware.build import check_tools

    try:
        check_tools(board)
    except Refusal:
        return ("--objects-only",)
    return ()


def instrument_stages(plan: Plan, models: Mapping[str, Path]) -> list[Stage]:
    """List the stages from models to an image that was heard and measured."""
    chosen = [word for role, model in models.items() for word in ("--model", f"{role}={model}")]
    reads = tuple(models.values())
    target = [str(reads[0])] if len(reads) == 1 else [plan.kind, *chosen]
    report = plan.folder / "report"
    return [
        Stage(
            "build",
            f"build the {plan.kind} instrument's image",
            (
                *("build", plan.kind, "--board", plan.board, *chosen, *without_image(plan.board)),
                *("-o", str(plan.folder / "image")),
            ),
            reads,
            (plan.folder / "image",),
            takes_s=8,
        ),
        play_stage(plan.kind, plan.board, plan.folder, chosen, reads),
        emulate_stage(plan.kind, plan.board, plan.folder, chosen, reads),
        Stage(
            "bench",
            "predict CPU, memory, latency and quality on the board",
            (
                "bench",
                *target,
                "--board",
                plan.board,
                "-o",
                str(report),
                *(("--quick",) if plan.quick else ()),
            ),
            reads,
            (report / "report.html", report / "report.json"),
            takes_s=20 if plan.quick else 120,
        ),
    ]


def web_stage(plan: Plan, models: Mapping[str, Path], heard: list[Path]) -> Stage:
    """Write the page in which what was made plays, beside the sounds it was judged on."""
    page = plan.folder / f"{plan.kind}.html"
    return Stage(
        "web",
        f"a page in which the {plan.kind} plays, beside the originals",
        (
            *("web", plan.kind, "--board", plan.board),
            *(word for role, model in models.items() for word in ("--model", f"{role}={model}")),
            *(word for file in heard for word in ("--beside", str(file))),
            *("-o", str(page)),
        ),
        (*models.values(), *heard),
        (page,),
        takes_s=6,
    )


def gallery_stage(board: str, folder: Path) -> Stage:
    """Write pages in which the shipped instruments play."""
    models = [model for used in factory_instruments().values() for model in used]
    return Stage(
        "web-factory",
        "pages in which the factory instruments play",
        ("web", "--board", board, "-o", str(folder)),
        tuple(dict.fromkeys(models)),
        (folder / "index.html",),
        takes_s=20,
    )


def factory_stages(board: str, folder: Path) -> list[Stage]:
    """List the stages that let every shipped instrument show itself: on this machine, in pages, emulated."""
    instruments = factory_instruments()
    plays = [play_stage(name, board, folder, reads=tuple(models)) for name, models in instruments.items()]
    emulated = [
        emulate_stage(name, board, folder, reads=tuple(models)) for name, models in instruments.items()
    ]
    pages = [gallery_stage(board, folder / "pages")] if instruments else []
    return [*plays, *pages, *emulated]


def play_stage(
    instrument: str, board: str, folder: Path, chosen: list[str] | None = None, reads: tuple[Path, ...] = ()
) -> Stage:
    """Let an instrument show itself on this machine, with a picture.

    It plays what the board would; one without a sound of its own has all the gates of the host.
    """
    wav, picture = folder / f"{instrument}.wav", folder / f"{instrument}.png"
    heard_on = board if has_sound(instrument) else "host"
    return Stage(
        f"play-{instrument}" if chosen else f"play-factory-{instrument}",
        f"the {instrument} instrument shows itself",
        (
            *("play", instrument, "--demo", "--board", heard_on, *(chosen or [])),
            *("-o", str(wav), "--picture", str(picture)),
        ),
        (*demo_files(instrument, chosen), *reads),
        (wav, picture),
        takes_s=6,
    )


def emulate_stage(
    instrument: str, board: str, folder: Path, chosen: list[str] | None = None, reads: tuple[Path, ...] = ()
) -> Stage:
    """Play the beginning of the same on the emulated module, and compare."""
    module = folder / f"{instrument}.module.wav"
    return Stage(
        f"emulate-{instrument}" if chosen else f"emulate-factory-{instrument}",
        f"its first {EMULATED_S:g} s on the emulated module, compared with the host; cycles counted",
        (
            *("emulate", instrument, "--demo", "--board", board, *(chosen or [])),
            *("--seconds", f"{EMULATED_S:g}", "--callbacks", str(EMULATED_CALLBACKS), "-o", str(module)),
        ),
        (*demo_files(instrument, chosen), *reads),
        (module, module.with_suffix(".json")),
        takes_s=15,
    )


def demo_files(instrument: str, chosen: list[str] | None) -> tuple[Path, ...]:
    """Files that say what an instrument is and what it plays."""
    from firmware.instruments.demo import find_demo
    from firmware.instruments.spec import load_instrument

    demo = find_demo(instrument, other_models=bool(chosen))
    sounds = [sound for sound in demo.sounds.values() if isinstance(sound, Path)]
    return (load_instrument(instrument).located.path, demo.script, *sounds)


def has_sound(instrument: str) -> bool:
    """Whether an instrument sends anything to an audio output."""
    from firmware.instruments.spec import load_instrument

    return any(output.jack.startswith("audio_out") for output in load_instrument(instrument).spec.output)


def factory_instruments() -> dict[str, list[Path]]:
    """Instruments all of whose models come with the project, with the models' files."""
    from common.refusal import Refusal
    from firmware.instruments.spec import available_instruments, find_models, load_instrument

    found: dict[str, list[Path]] = {}
    for name in available_instruments():
        try:
            models = find_models(load_instrument(name))
        except Refusal:
            continue
        found[name] = [model.path for model in models.values()]
    return found
