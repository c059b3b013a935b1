"""`vaectrol build`: models compiled for a board, the instrument's tables beside them, an image, a report."""

from __future__ import annotations

import importlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from common.files import make_folder, write_text
from common.refusal import DoesNotFit, Refusal
from common.version import version
from firmware.compiler.report import Report
from firmware.estimate import has_time, instrument_bytes, predict, without
from firmware.instruments import kinds
from firmware.instruments.assign import assign
from firmware.instruments.assignment import Assignment
from firmware.instruments.c.model_calls import CompiledModel
from firmware.instruments.c.slots import Slotted
from firmware.instruments.c.source import instrument_source, model_hash
from firmware.instruments.kinds.base import InstrumentKind, stack_bytes, state_region
from firmware.instruments.latents import layer
from firmware.instruments.schema import InstrumentFile
from firmware.instruments.spec import find_models, load_instrument
from firmware.models.model_file import ModelFile
from firmware.report import InstrumentReport
from hardware.board import Board, load_board

ENGINE = Path(__file__).parent / "engine"
PORTS = Path(__file__).parent / "ports"
PLUGIN_PORTS = ("disting_nt",)
SAME_RATE = 0.005
"""Part by which two sample rates may differ: a converter's true rate is a little off what it is called."""
"""Ports whose host loads many instances of one file, and that compile the sources themselves."""


@dataclass
class Built:
    """What a port needs to make an image.

    Attributes
    ----------
    name, board, target : the instrument, the board, the compiler's target (host, m7, aarch64).
    folder : where everything generated lies.
    sources, include_dirs : all C of the image but the port's own, and where its headers are.
    objects : the same, compiled for `target`.
    models, assignment : what it was made from.
    report : memory, predicted CPU and latency, as ``report.json`` has it.
    image : the linked image or program; None with ``--objects-only``: `image_missing` says so.
    """

    name: str
    board: Board
    target: str
    folder: Path
    version: str
    model_hash: str
    assignment: Assignment
    report: InstrumentReport
    sources: list[Path] = field(default_factory=list)
    include_dirs: list[Path] = field(default_factory=list)
    objects: list[Path] = field(default_factory=list)
    image: Path | None = None
    image_missing: str = ""
    slotted: Slotted | None = None
    """What a slot may replace; None: nothing."""
    model_stack: int = 0
    """Bytes of the stack that the models take for what passes within a chunk, one after the other."""
    counters: bool = False
    """Whether a plug-in counts its cycles."""


def engine_sources(kind: InstrumentKind, spec: InstrumentFile) -> list[Path]:
    """Return the engine's sources that an instrument is made of, kernels apart."""
    own = [f"instruments/{name}.c" for name in (kind.name, *kind.engine)]
    return [
        *sorted((ENGINE / "control").glob("*.c")),
        *(ENGINE / name for name in [*own, *sorted(layer.engine(spec) - set(own))]),
        *sorted((ENGINE / "slots").glob("*.c")),
    ]


def check_rate(model: ModelFile, board: Board) -> None:
    """Refuse a model that hears audio at another rate than the board's: it would be another effect there."""
    about, rate_hz = model.about, board.audio.sample_rate_hz
    if about.input_with("audio") is None or abs(about.sample_rate_hz / rate_hz - 1.0) <= SAME_RATE:
        return
    raise Refusal(
        f"{model.path.name} was made at {about.sample_rate_hz:,.0f} Hz and {board.name} runs at "
        f"{rate_hz:,.0f} Hz; use one that was made at {rate_hz:,.0f} Hz."
    )


def generate(
    instrument: str | Path,
    board: str | Path | Board,
    out: Path,
    *,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    target: str | None = None,
    instances: bool = False,
) -> Built:
    """Compile the models and write the tables; nothing is compiled to objects yet.

    Parameters
    ----------
    instances : bool
        For a program that holds several of it (``engine/instance.h``); else its memory is static.

    Raises
    ------
    Refusal
        A bad instrument file or model, or a model that does not fit the board.
    """
    from firmware import toolchain
    from firmware.compiler.pipeline import compile_onnx

    board = board if isinstance(board, Board) else load_board(board)
    target = target or board.processor.target
    block = board.audio.block if block is None else block
    if not 1 <= block <= 256:
        raise Refusal(f"a block has 1 to 256 samples, not {block}.")
    loaded = load_instrument(instrument)
    files = find_models(loaded, models)
    for model in files.values():
        check_rate(model, board)
    assignment = assign(loaded, files, board)
    kind = kinds.named(assignment.kind)
    make_folder(out)
    compiled: dict[str, CompiledModel] = {}
    reports: dict[str, Report] = {}
    compiler_target = toolchain.target_named(target).models or target
    room = without(board, instrument_bytes(assignment)).model_copy(update={"for_instances": instances})
    busy = 0.0
    for role_name, model in files.items():
        role, name = kind.role(role_name), f"{role_name}_net"
        if not role.runs:
            continue
        program = compile_onnx(model.path, target=compiler_target, board=room, block=block, name=name)
        while (
            assignment.voices > 1
            and board.processor.target != "host"
            and not has_time(assignment, role, program.report, busy, block)
        ):
            assignment.voices -= 1
        busy += role.cycles(program.report, board)[1]
        program.write(out)
        (out / "report.json").replace(out / f"{name}.json")
        reports[role_name] = program.report
        room = without(room, {place: use["used"] for place, use in program.report["regions"].items()})
        compiled[role_name] = CompiledModel(
            role=role_name,
            file=model.path,
            name=name,
            model=model,
            latency_ticks=int(program.report["latency_samples"]),
            sample_rate_hz=board.audio.sample_rate_hz,
            input_order=list(program.report.get("inputs", [])),
            state_region=state_region(program.report),
            is_placed=target == "m7",
            sound=program.sound,
            ends=program.ends,
            copies=program.copies,
            states=role.states(assignment),
            part=program.part,
        )
    kind.plan(assignment, reports, block)
    source = out / "instrument.c"
    region = ("dtcm" if target == "m7" else "") if instances else None
    text, slotted = instrument_source(assignment, compiled, block, version(), region, target)
    write_text(source, text)
    built = Built(
        name=loaded.name,
        board=board,
        target=target,
        folder=out,
        version=version(),
        model_hash=model_hash(files),
        assignment=assignment,
        report=predict(assignment, reports, block),
        slotted=slotted,
        model_stack=max((stack_bytes(report) for report in reports.values()), default=0),
    )
    built.include_dirs = [*toolchain.include_dirs(), out]
    built.sources = [
        source,
        *(out / f"{model.name}.c" for model in compiled.values()),
        *engine_sources(kind, loaded.spec),
        *toolchain.kernel_sources(target),
    ]
    return built


def check_tools(board: str | Path | Board) -> None:
    """Refuse at once what would be missing at the end: the tools and libraries of the board's port.

    Raises
    ------
    ToolMissing
        Which, and how to get it.
    """
    board = board if isinstance(board, Board) else load_board(board)
    if board.port != "host":
        port = importlib.import_module(f"firmware.ports.{board.port}.link")
        getattr(port, "check_tools", lambda: None)()


def build_instrument(
    instrument: str | Path,
    board: str | Path | Board,
    out: Path,
    *,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    objects_only: bool = False,
    counters: bool = False,
) -> Built:
    """Do all of `vaectrol build`: generate, compile, link, report.

    Parameters
    ----------
    objects_only : bool
        Everything but the image, for which the port's tools may be missing.

    Raises
    ------
    Refusal
        What `generate` refuses, a predicted CPU above 100 %, or a compiler's complaint.
    ToolMissing
        A tool of the port is not here; nothing was made.
    """
    from firmware import toolchain

    board = board if isinstance(board, Board) else load_board(board)
    is_plugin = board.port in PLUGIN_PORTS
    if counters and not is_plugin:
        raise Refusal(f"{board.title} loads no plug-ins, and counters go into a plug-in; use a disting_nt.")
    if not objects_only:
        check_tools(board)
    built = generate(instrument, board, out, models=models, block=block, instances=is_plugin)
    built.counters = counters
    if built.report["cpu_worst"] > 1.0 and built.board.processor.target != "host":
        raise DoesNotFit(
            f"{built.name} would need {built.report['cpu_worst']:.0%} of the processor of {built.board.name} "
            "(predicted); use fewer voices, a smaller or quantized model, or a larger block."
        )
    if not is_plugin:
        built.objects = toolchain.compile_object(
            built.sources, built.target, out / "objects", extra=[f"-I{out}"]
        )
    if objects_only:
        built.image_missing = "--objects-only"
    elif built.board.port == "host":
        built.image = host_library(built)
    else:
        built.image = importlib.import_module(f"firmware.ports.{built.board.port}.link").link(built, out)
    built.report["image"] = str(built.image) if built.image else None
    built.report["image_missing"] = built.image_missing
    write_text(out / "report.json", json.dumps(built.report, indent=1))
    return built


def host_library(built: Built, out: Path | None = None, target: str = "host") -> Path:
    """Link a host build with the host port into a shared library."""
    from firmware import toolchain

    sources = [*built.sources, PORTS / "host" / "host.c"]
    library = out or built.folder / f"{built.name}.so"
    return toolchain.link_shared(sources, target, library, extra=[f"-I{built.folder}"])
