"""How a model that ships with the project is made: one command, from a data set to file, card and picture.

``firmware/models/NAME.toml`` holds what people have to say (recipe and options, where the data come from,
credits, known weaknesses); everything with a number in it is measured here, by commands a reader can type.
``vaectrol factory NAME --data DIR -o WORK`` trains, judges, quantizes, judges what is shipped, predicts its
cost on the boards, and writes ``NAME.int8.onnx`` and ``NAME.encoder.onnx`` (licence and credits inside),
``NAME.md`` and ``NAME.png``.
"""

from __future__ import annotations

import io
import json
import shutil
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import typer
from pydantic import BaseModel, ConfigDict, ValidationError

from common import model_metadata
from common.files import write_bytes, write_text
from common.measures import measure
from common.outputs import check_folder
from workflow.stages import Stage, WorkflowStopped, run_stages

MODELS = Path(__file__).parent / "firmware" / "models"
LARGEST_BYTES = 1_000_000
PICTURE_WIDTH = 1100
MOST_UNUSED = 0.25
"""Part of a factory model's latents that nothing may hang on: a dead knob is a promise that is not kept."""
# What a card leaves to the evaluation's own page, whatever was judged
NOT_FIGURES = ("rows", "items")


StageName = Literal["train", "evaluate", "quantize", "encoder", "evaluate-int8", "cost"]
STAGES: tuple[StageName, ...] = get_args(StageName)


class DataWords(BaseModel):
    """Where the training data come from, in words."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    what: str
    prepare: str
    split: str
    licence: str
    credits: list[str]


class Words(BaseModel):
    """What ``firmware/models/NAME.toml`` says about a factory model.

    Attributes
    ----------
    title, about : str
        Headline and one paragraph.
    recipe : str
        Recipe of ``vaectrol train``.
    train : list of list of str
        The options typed after the recipe, once a stage; each stage starts from the one before.
    quantize : list of str
        The options typed after the run.
    boards : list of str
        Boards whose cost is predicted.
    machine : str
        What the training ran on, and for how long.
    licence : str
        Of the model file.
    weaknesses : list of str
        What a performer will notice.
    stages : list of str
        Some of `STAGES`, in their order. Without ``evaluate-int8`` its training is its judge, and the card
        says what that measured.
    ends : str
        How the name of the model file ends.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    about: str
    recipe: str
    train: list[list[str]] = [[]]
    quantize: list[str]
    boards: list[str] = ["patch_sm"]
    machine: str
    licence: str
    weaknesses: list[str]
    stages: list[StageName] = list(STAGES)
    ends: str = ".int8.onnx"
    data: DataWords

    def has(self, stage: Stage) -> bool:
        """Whether a command is one of its stages; those of ``train`` and ``cost`` are numbered and named."""
        group = stage.name.partition("-")[0]
        return {"train": "train", "bench": "cost"}.get(group, stage.name) in self.stages


def read_words(name: str, folder: Path = MODELS) -> Words:
    """Read and check ``NAME.toml``.

    Raises
    ------
    WorkflowStopped
        When it is missing or a field is wrong: one sentence.
    """
    path = folder / f"{name}.toml"
    if not path.is_file():
        there = ", ".join(sorted(p.stem for p in folder.glob("*.toml")))
        raise WorkflowStopped(f"there is no {path}; the factory models are {there or 'not described yet'}.")
    try:
        return Words.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except tomllib.TOMLDecodeError as error:
        raise WorkflowStopped(f"{path} is not TOML: {error}.") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise WorkflowStopped(f"{path}: {where}: {first['msg'].lower()}; fix that field.") from None


def stages_to_model(
    name: str, words: Words, data: Path, work: Path, run: Path | None, model: Path | None
) -> list[Stage]:
    """List the commands from a data set to everything the card shows.

    Parameters
    ----------
    name : str
        Of the model.
    words : Words
        Its recipe and options.
    data : Path
        Prepared data set.
    work : Path
        Folder of everything in between.
    run, model : Path, optional
        A finished run, and a quantized model made from it, to take instead of making them.
    """
    trained = run or work / "run"
    shipped = work / f"{name}.int8.onnx"
    stages = []
    if run is None:
        folders = [work / f"run{number}" for number in range(1, len(words.train))] + [trained]
        before: tuple[str, ...] = ()
        for number, (options, folder) in enumerate(zip(words.train, folders, strict=True), start=1):
            stages.append(
                Stage(
                    f"train-{number}",
                    f"train {words.title}, stage {number} of {len(folders)}",
                    ("train", words.recipe, "--data", str(data), "-o", str(folder), *options, *before),
                    (data / "manifest.json",),
                    (folder / "card.json",),
                    resumes=folder / "checkpoints" / "last.ckpt",
                )
            )
            before = ("--set", f"fit.start={folder}")
    stages.append(
        Stage(
            "evaluate",
            "judge the float model on what it never met",
            ("evaluate", str(trained), "--data", str(data), "-o", str(work / "float")),
            (trained / "card.json",),
            (work / "float" / "report.json",),
        )
    )
    if model is None:
        stages.append(
            Stage(
                "quantize",
                "prune, tune, quantize",
                ("quantize", str(trained), "--data", str(data), *words.quantize, "-o", str(shipped)),
                (trained / "card.json",),
                (shipped,),
            )
        )
    stages.append(
        Stage(
            "evaluate-int8",
            "judge what is shipped on the same sounds",
            ("evaluate", str(shipped), "--data", str(data), "-o", str(work / "int8")),
            (shipped,),
            (work / "int8" / "report.json",),
        )
    )
    return [stage for stage in (*stages, *cost_stages(words, shipped, work)) if words.has(stage)]


def cost_stages(words: Words, shipped: Path, work: Path) -> list[Stage]:
    """List the commands that predict what a model costs on each board."""
    return [
        Stage(
            f"bench-{board}",
            f"predict its cost on a {board}",
            ("bench", str(shipped), "--board", board, "--quick", "-o", str(work / f"bench-{board}")),
            (shipped,),
            (work / f"bench-{board}" / "report.json",),
        )
        for board in words.boards
    ]


def figures(
    report: Mapping[str, Any], leave_out: tuple[str, ...] = (), within: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], float]]:
    """Go through a report of ``vaectrol evaluate`` for its single numbers, as (keys to it, value)."""
    for key, value in report.items():
        if key in NOT_FIGURES or key in leave_out:
            continue
        if isinstance(value, dict):
            yield from figures(value, leave_out, (*within, key))
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            yield (*within, key), float(value)


def row_of(keys: tuple[str, ...], before: float | None, shipped: float) -> str:
    """Give a figure's row of the card: name, unit and which way is better; float, shipped."""
    *within, last = keys
    named = measure(last)
    where = [words.replace("_", " ") for words in within if words != "figures"]
    told = "–" if before is None else named.write(before)
    return f"| {' · '.join([*where, named.title])} | {told} | {named.write(shipped)} |"


def write_card(name: str, words: Words, work: Path, run: Path, folder: Path) -> Path:
    """Write ``NAME.md`` from the words and from what the stages measured.

    Parameters
    ----------
    name : str
        Of the model; ``folder/NAME.int8.onnx`` and its encoder are there already.
    words : Words
        What people say.
    work, run : Path
        Where the stages left their reports; the trained run.
    folder : Path
        Where the card goes.
    """
    from train.judges.evaluate import judge_of

    trained = json.loads((run / "card.json").read_text())
    judged = {
        kind: json.loads((work / kind / "report.json").read_text())
        for kind in ("float", "int8")
        if (work / kind / "report.json").is_file()
    }
    spent = trained["spent"]
    size = (folder / f"{name}.int8.onnx").stat().st_size
    encoder = folder / f"{name}.encoder.onnx"
    part = "trained decoder" if encoder.is_file() else "trained network"
    lines = [
        f"# {words.title}",
        "",
        words.about,
        "",
        "| | |",
        "|---|---|",
        f"| file | `{name}.int8.onnx`, {size:,} bytes, {words.licence} |",
        *(
            f"| encoder | `{path.name}`, {path.stat().st_size:,} bytes, to judge and to match sounds with |"
            for path in [encoder]
            if path.is_file()
        ),
        f"| {part} | {trained['parameters']:,} parameters, before pruning |",
        f"| data | {words.data.what} |",
        f"| data set | `{words.data.prepare}`, hash `{trained['data']['hash'][:16]}` |",
        f"| split | {words.data.split} |",
        f"| licence of the data | {words.data.licence} |",
        *(
            f"| recipe{which} | `{text}`, seed {trained_seed(run)} |"
            for which, text in recipe_commands(words)
        ),
        f"| quantization | `vaectrol quantize RUN {' '.join(words.quantize)}` |",
        f"| trained on | {words.machine}; {spent_in_words(spent)} |",
        f"| all of it | `vaectrol factory {name} --data DATA -o WORK` |",
        "",
        "**Credits.** " + " ".join(f"{credit.rstrip('.')}." for credit in words.data.credits),
        "",
        f"## On the {judged['int8']['split']} split ({judged['int8']['items']} items never trained on)",
        "",
        "| | float | shipped |",
        "|---|---|---|",
    ]
    judge = judge_of(judged["int8"].get("kind", ""))
    leave_out = judge.NOT_ON_CARD if judge else ()
    before = dict(figures(judged.get("float", {}), leave_out))
    lines += [row_of(keys, before.get(keys), value) for keys, value in figures(judged["int8"], leave_out)]
    lines += ["", *cost_lines(words, work)]
    lines += ["", "## Known weaknesses", "", *(f"- {text}" for text in words.weaknesses), ""]
    if (folder / f"{name}.png").is_file():
        lines += [f"![{words.title}, on sounds it never met]({name}.png)", ""]
    path = folder / f"{name}.md"
    write_text(path, "\n".join(lines))
    return path


COSTS = "## What it costs (predicted, the network alone)"


def cost_lines(words: Words, work: Path) -> list[str]:
    """What a card says of cost, from the stages' reports."""
    lines = [COSTS, "", "| board | CPU mean | worst callback | block |", "|---|---|---|---|"]
    for board in words.boards:
        report = json.loads((work / f"bench-{board}" / "report.json").read_text())
        found = next(iter(report["models"].values()))["predicted"]
        cpu = found["cpu"]
        lines.append(
            f"| {report['board_title']} | {cpu['mean']:.1%} | {cpu['worst']:.1%} | {found['block']} |"
        )
    if "disting_nt" in words.boards:
        lines += [
            "",
            "On a disting NT the code is fetched from where its loader puts the file. "
            "[The manual](../../docs/manuals/disting-nt.md#what-it-costs) has the whole plug-in.",
        ]
    return lines


def renew_costs(name: str, words: Words, work: Path, folder: Path) -> Path:
    """Write anew what a card says of cost, and leave the rest of it alone.

    Raises
    ------
    WorkflowStopped
        There is no card with such a part.
    """
    path = folder / f"{name}.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    before, found, rest = text.partition(f"{COSTS}\n")
    _, following, after = rest.partition("\n## ")
    if not found or not following:
        raise WorkflowStopped(f"{path} has no part about cost to renew; make the model with its card first.")
    write_text(path, before + "\n".join(cost_lines(words, work)) + "\n" + following + after)
    return path


def recipe_commands(words: Words) -> Iterator[tuple[str, str]]:
    """Give the training commands as a reader would type them, each with its stage."""
    for number, options in enumerate(words.train, start=1):
        start = ["--set", f"fit.start=RUN{number - 1}"] if number > 1 else []
        which = f", stage {number}" if len(words.train) > 1 else ""
        yield which, " ".join(["vaectrol train", words.recipe, "--data DATA", *options, *start])


def trained_seed(run: Path) -> int:
    """Read the seed from the run's recipe."""
    return int(tomllib.loads((run / "recipe.toml").read_text()).get("seed", 0))


def spent_in_words(spent: Mapping[str, Any]) -> str:
    """Say how long the training took; an older card calls the CPU time ``processor_s``."""
    cpu = (spent["cpu_s"] if "cpu_s" in spent else spent["processor_s"]) / 60
    wall = spent["wall_s"] / 60
    return f"the last stage {cpu:.0f} CPU minutes in {wall:.0f} by the clock"


def ship(name: str, words: Words, source: Path, folder: Path, encoder: bool = False) -> Path:
    """Copy the quantized model, or its encoder, to where both are found, with licence and credits inside.

    Raises
    ------
    WorkflowStopped
        When it is larger than a factory model may be, or too many of its latents move nothing.
    """
    import onnx

    from common.outputs import encoder_beside

    model = onnx.load(str(source))
    model_metadata.write(
        model, {"licence": words.licence, "credits": words.data.credits, "title": words.title}
    )
    whole = model.SerializeToString()
    if len(whole) > LARGEST_BYTES:
        way = "make it smaller" if encoder else "prune more"
        raise WorkflowStopped(
            f"{source} has {len(whole):,} bytes; a factory model may have {LARGEST_BYTES:,}: {way}."
        )
    latents = model_metadata.read(model, str(source)).latents
    unused = [latent.name for latent in latents if latent.sign == "unused"]
    if len(unused) > MOST_UNUSED * len(latents):
        raise WorkflowStopped(
            f"{len(unused)} of the {len(latents)} latents of {source} are unused ({', '.join(unused)}); "
            "train it with a smaller kl.beta."
        )
    path = folder / f"{name}{words.ends}"
    if encoder:
        path = encoder_beside(path)
    write_bytes(path, whole)
    return path


def ship_picture(name: str, evaluation: Path, folder: Path) -> Path | None:
    """Shrink the evaluation's first picture and put it beside the card."""
    from PIL import Image

    found = sorted(evaluation.glob("*.png"))
    if not found:
        return None
    preferred = [path for path in found if path.stem == "reconstructions"] or found
    with Image.open(preferred[0]) as picture:
        ratio = min(1.0, PICTURE_WIDTH / picture.width)
        size = (round(picture.width * ratio), round(picture.height * ratio))
        small = picture.convert("RGB").resize(size, Image.Resampling.LANCZOS).quantize(256)
    path = folder / f"{name}.png"
    png = io.BytesIO()
    small.save(png, "PNG", optimize=True)
    write_bytes(path, png.getvalue())
    return path


OPPONENTS = {
    "surprise": "this prior",
    "surprise linear": "a linear model of the last two frames",
    "surprise last frame two ways": "the last frame plus noise of two spreads",
    "surprise last frame": "the last frame plus noise",
}


def write_card_of_training(name: str, words: Words, run: Path, shipped: Path, folder: Path) -> Path:
    """Write ``NAME.md`` from the words and from what a training measured that is its model's judge."""
    trained = json.loads((run / "card.json").read_text())
    found = trained["facts"]["figures"]
    spent = spent_in_words(trained["spent"]).removeprefix("the last stage ")
    ((_, command),) = recipe_commands(words)
    lines = [
        f"# {words.title}",
        "",
        words.about,
        "",
        "| | |",
        "|---|---|",
        f"| file | `{shipped.name}`, {shipped.stat().st_size:,} bytes, {words.licence} |",
        f"| network | {trained['parameters']:,} parameters |",
        f"| data | {words.data.what} |",
        f"| data set | `{words.data.prepare}`, hash `{trained['data']['hash'][:16]}` |",
        f"| split | {words.data.split} |",
        f"| licence of the data | {words.data.licence} |",
        f"| recipe | `{command}`, seed {trained_seed(run)} |",
        *(
            [f"| quantization | `vaectrol quantize RUN {' '.join(words.quantize)}` |"]
            if words.quantize
            else []
        ),
        f"| trained on | {words.machine}; {spent} |",
        f"| all of it | `vaectrol factory {name} --data DATA -o WORK` |",
        "",
        "**Credits.** " + " ".join(f"{credit.rstrip('.')}." for credit in words.data.credits),
        "",
        *(forecast_lines(found, trained["facts"]["ticks"], shipped, words) if "surprise" in found else []),
        *(["## What its training measured", "", "| | |", "|---|---|"] if "surprise" not in found else []),
        *(f"| {key} | {value:.3g} |" for key, value in found.items() if "surprise" not in found),
        "",
        "## Known weaknesses",
        "",
        *(f"- {text}" for text in words.weaknesses),
        "",
    ]
    path = folder / f"{name}.md"
    write_text(path, "\n".join(lines))
    return path


def forecast_lines(found: Mapping[str, float], ticks: int, shipped: Path, words: Words) -> list[str]:
    """What a card says of a model that tells what comes next, up to its weaknesses."""
    from firmware.compiler import budget
    from hardware.board import load_board

    cost = budget(shipped, board=words.boards[0], block=48)
    board = load_board(words.boards[0])
    cycles = sum(layer["cycles_per_event"] for layer in cost.layers)
    share = 100 * cycles / ticks / board.cycles_per_frame
    temperatures = [key.rpartition(" ")[2] for key in found if key.startswith("distance at")]
    columns = " | ".join(temperatures)
    return [
        "## What comes next, on the test split",
        "",
        "| forecast | surprise, nats a frame (lower is better) |",
        "|---|---|",
        *(f"| {told} | {found[key]:.2f} |" for key, told in OPPONENTS.items()),
        "",
        "## Ten minutes by itself",
        "",
        "How far the worst latent is from the training data (Kolmogorov-Smirnov): 0 is the same, 1 is apart.",
        "",
        f"| temperature | {columns} |",
        "|---|" + "---|" * len(temperatures),
        "| as drawn |" + "".join(f" {found[f'distance uncoupled at {t}']:.2f} |" for t in temperatures),
        "| as played |" + "".join(f" {found[f'distance at {t}']:.2f} |" for t in temperatures),
        "",
        f"It takes {cycles:,.0f} cycles a frame and {share:.2f} % of a {board.title}, predicted.",
    ]


def register(app: typer.Typer) -> None:
    """Add the command to the command line."""
    app.command("factory", epilog="Example: vaectrol factory drum --data /tmp/kits -o /tmp/drum")(factory)


def factory(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model of firmware/models/NAME.toml.")],
    out: Annotated[Path, typer.Option("-o", "--out", help="Folder of everything in between.")],
    data: Annotated[Path | None, typer.Option(help="The prepared data set.")] = None,
    run: Annotated[Path | None, typer.Option(help="A finished run to take instead of training.")] = None,
    model: Annotated[
        Path | None, typer.Option(help="A model quantized from that run, instead of doing so.")
    ] = None,
    into: Annotated[Path, typer.Option(help="Where model, card and picture go.")] = MODELS,
    shipped_alone: Annotated[
        bool, typer.Option("--shipped-alone", help="Do not judge the float model, which takes as long again.")
    ] = False,
    costs_alone: Annotated[
        bool,
        typer.Option("--costs-alone", help="Only predict the cost anew, and renew that part of the card."),
    ] = False,
) -> None:
    """Make a factory model: train, quantize, judge, predict; then the file and its model card."""
    from quantize.formats.encoder import write_encoder

    words = read_words(name)
    if costs_alone:
        check_folder(out)
        out.mkdir(parents=True, exist_ok=True)
        if "cost" not in words.stages:
            raise WorkflowStopped(f"{name} has no stage cost in its words; leave out --costs-alone.")
        run_stages(cost_stages(words, into / f"{name}{words.ends}", out), out)
        typer.echo(f"\nits cost is renewed in {renew_costs(name, words, out, into)}")
        return
    if data is None:
        raise WorkflowStopped("there is no data set to train with; name one with --data.")
    for path, what in ((data / "manifest.json", "data set"), (run, "run"), (model, "model")):
        if path is not None and not path.exists():
            raise WorkflowStopped(f"there is no {what} at {path}; check the path.")
    if model is not None and run is None:
        raise WorkflowStopped("--model needs --run: the run that the model was quantized from.")
    check_folder(out)
    check_folder(into)
    out.mkdir(parents=True, exist_ok=True)
    into.mkdir(parents=True, exist_ok=True)
    trained = run or out / "run"
    stages = stages_to_model(name, words, data, out, run, model)
    if shipped_alone:
        stages = [stage for stage in stages if stage.name != "evaluate"]
    before = [stage for stage in stages if not stage.name.startswith(("evaluate-", "bench-"))]
    run_stages(before, out)
    if model is not None and model.resolve() != (out / f"{name}.int8.onnx").resolve():
        shutil.copyfile(model, out / f"{name}.int8.onnx")
    if "encoder" in words.stages:
        write_encoder(trained, out / f"{name}.int8.onnx")
    run_stages(stages[len(before) :], out)
    made = out / f"{name}.int8.onnx" if "quantize" in words.stages else trained / f"{words.recipe}.onnx"
    shipped = ship(name, words, made, into)
    if "encoder" in words.stages:
        ship(name, words, out / f"{name}.encoder.onnx", into, encoder=True)
    if "evaluate-int8" in words.stages:
        ship_picture(name, out / "int8", into)
        card = write_card(name, words, out, trained, into)
    else:
        card = write_card_of_training(name, words, trained, shipped, into)
    typer.echo(f"\n{shipped} is made; its card is {card}")
