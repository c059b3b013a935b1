"""Assemble one report: predicted figures, formats, block sweep, quality, live and device measurements.

``predicted`` and ``quality`` are the same on every run of one commit; ``live`` and ``device`` are measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.predict import Progress, predict_model, silent, sweep
from bench.report.schema import FormatRow, InstrumentPart, ModelPart, Prediction, Report
from bench.report.target import evidence, is_instrument, resolve, siblings
from common.refusal import Refusal
from common.version import version
from hardware.board import Board

if TYPE_CHECKING:
    from bench.live.peers import ToTflite
    from bench.quality import Assessment
    from firmware.instruments.demo import Phrase

FORMAT = 1
INSTRUMENT_S = 2.5
"""So much of its demonstration a whole instrument plays while its cycles are counted."""
FUNCTIONS = 16
"""How many of an instrument's functions the report names."""
FORMAT_CALLBACKS = 50


@dataclass(frozen=True)
class Wanted:
    """What a bench run is asked for.

    Attributes
    ----------
    block : int, optional
        Samples a callback; the board's by default.
    sweep, formats : bool
        Predict other block sizes; the same model in other formats, and an instrument as a whole.
    quality : bool
        Compare formats on seeded inputs where no test items lie beside the model; those are cheap and always
        taken.
    live : bool
        Measure this machine.
    serial : str, optional
        Serial device of a module that runs its bench image.
    seconds : float
        Length of the seeded inputs.
    wavs : Path, optional
        Folder for the sounds that quality compared.
    to_tflite : callable, optional
        Lets LiteRT take part in the live measurement (``bench.live.peers``).
    phrase : callable, optional
        Plays what goes into an instrument with an audio input (``firmware.instruments.demo``).
    """

    block: int | None = None
    sweep: bool = True
    formats: bool = True
    quality: bool = True
    live: bool = False
    serial: str | None = None
    seconds: float = 2.0
    wavs: Path | None = None
    to_tflite: ToTflite | None = None
    phrase: Phrase | None = None


@dataclass
class Benched:
    """What a bench run found.

    Attributes
    ----------
    report : Report
        As it is written.
    sounds : dict of dict of ndarray
        What quality compared, by role and format, for the page.
    """

    report: Report
    sounds: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)


def make_report(
    target: str,
    board: Board,
    wanted: Wanted | None = None,
    *,
    models: Mapping[str, Path] | None = None,
    progress: Progress = silent,
) -> Benched:
    """Run everything that was asked for; see the parts' modules.

    Parameters
    ----------
    target : str
        A model file, run folder, reference decoder or instrument.
    models : mapping of str to Path, optional
        Models by role, in place of an instrument's own.
    """
    wanted = wanted or Wanted()
    benched = Benched(
        {
            "format": FORMAT,
            "kind": "vaectrol bench",
            "target": Path(target).name,
            "board": board.name,
            "board_title": board.title,
            "line_fill_cycles": {r.name: r.line_fill_cycles for r in board.memory if r.line_fill_cycles},
            "version": version(),
            "models": {},
        }
    )
    report = benched.report
    for role, path in resolve(target, models).items():
        part, sounds = _model(role, path, board, wanted, progress)
        report["models"][role] = part
        if sounds:
            benched.sounds[role] = sounds
    if is_instrument(target) and wanted.formats and board.processor.core == "cortex-m7":
        progress(f"{target}: the whole instrument")
        report["instrument"] = whole_instrument(target, board, models, wanted)
    if wanted.serial:
        from bench.live.module import measure_device

        progress(f"asking {wanted.serial}")
        try:
            report["device"] = measure_device(wanted.serial)
        except Refusal as refusal:
            report["device"] = {"incomplete": str(refusal)}
    return benched


def _model(
    role: str, path: Path, board: Board, wanted: Wanted, progress: Progress
) -> tuple[ModelPart, dict[str, np.ndarray]]:
    """Everything about one model, and the sounds that quality compared."""
    part: ModelPart = {"file": path.name}
    sounds: dict[str, np.ndarray] = {}
    found = siblings(path)
    streamed = True
    # a Pi or this computer has no cycle model: there it is measured live
    if board.processor.core == "cortex-m7" or not wanted.live:
        predicted = predict_model(path, board, block=wanted.block, progress=progress)
        part["predicted"] = predicted
        streamed = "event" not in predicted
        if wanted.formats and streamed:
            part["formats"] = _formats(found, path, predicted, board, progress)
        if wanted.sweep and streamed:
            part["sweep"] = sweep(path, board, progress=progress)
    # seeded inputs say nothing about patterns: event models are judged on their test items only
    judged = (wanted.quality and streamed) or (evidence(path) / "test.npz").is_file()
    if judged and "float" in found and len(found) > 1:
        progress(f"{path.name}: quality against {found['float'].name}")
        folder = wanted.wavs / role if wanted.wavs else None
        part["quality"], sounds = assess_quality(path, found, wanted.seconds, folder)
    if wanted.live and streamed:
        from bench.live.host import live

        progress(f"{path.name}: live on this machine")
        part["live"] = live(
            path,
            board.audio.block if wanted.block is None else wanted.block,
            float_path=found.get("float"),
            to_tflite=wanted.to_tflite,
        )
    return part, sounds


def assess_quality(path: Path, found: dict[str, Path], seconds: float, wavs: Path | None) -> Assessment:
    """Judge a model's formats on its test items, or on seeded inputs where it came without."""
    from bench.quality import Item, assess, test_inputs, test_items

    others = {form: file for form, file in found.items() if form != "float"}
    file = evidence(path) / "test.npz"
    if file.is_file():
        items, source = test_items(file)
        said = f"{len(items)} items of the test split of {source}"
    else:
        items, said = [Item(test_inputs(found["float"], seconds))], f"seeded, {seconds:g} s"
    return assess(found["float"], others, items, said, wavs)


def whole_instrument(
    target: str, board: Board, models: Mapping[str, Path] | None, wanted: Wanted
) -> InstrumentPart:
    """Play the instrument's demonstration on the emulated module: engine, controls and every voice."""
    from bench.emulated import emulate
    from firmware.instruments.demo import find_demo

    demo = find_demo(target, other_models=bool(models))
    found = emulate(
        target,
        board,
        demo.script,
        sounds=demo.inputs(wanted.phrase),
        models=models,
        block=wanted.block,
        seconds=INSTRUMENT_S,
    ).report
    dearest = list(found["cpu_by_function"].items())[:FUNCTIONS]
    assert found["predicted_cpu"] is not None
    return {
        "script": demo.script.name,
        "block": found["block"],
        "seconds": found["seconds"],
        "traced_from_s": found["traced_from_s"],
        "callbacks_traced": found["callbacks_traced"],
        "cpu": found["predicted_cpu"],
        "callback_cycles": found["predicted_cycles"],
        "cycles_per_callback": board.cycles_per_frame * found["block"],
        "cpu_by_function": {name: round(share, 6) for name, share in dearest},
        "samples_that_differ_from_host": found["samples_that_differ"],
        "largest_difference_from_host": found["largest_difference_from_host"],
    }


def _formats(
    found: dict[str, Path], path: Path, predicted: Prediction, board: Board, progress: Progress
) -> dict[str, FormatRow]:
    rows: dict[str, FormatRow] = {}
    for form, file in found.items():
        try:
            one = predicted
            progress(f"{file.name}: as {form}")
            if file.resolve() != path.resolve():
                one = predict_model(
                    file, board, block=predicted["block"], callbacks=FORMAT_CALLBACKS, check=False
                )
            rows[form] = {
                "cpu_mean": one["cpu"]["mean"],
                "cpu_worst": one["cpu"]["worst"],
                "weight_bytes": one["weight_bytes"],
                "state_bytes": one["state_bytes"],
            }
        except Refusal as refusal:
            rows[form] = {"refused": str(refusal)}
    return rows
