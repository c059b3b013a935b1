"""Assemble one report: predicted figures, formats, block sweep, quality, live and device measurements.

``predicted`` and ``quality`` are the same on every run of one commit; ``live`` and ``device`` are measured.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.predict import Progress, predict_model, silent, sweep
from common.files import read_json
from common.refusal import Refusal
from hardware.board import Board

if TYPE_CHECKING:
    from bench.live.peers import ToTflite
    from firmware.instruments.demo import Phrase

FORMAT = 1
GATE = 0.02
"""How much mean or worst CPU may grow, relatively, before `against` calls it a regression."""


INSTRUMENT_S = 2.5
"""So much of its demonstration a whole instrument plays while its cycles are counted."""
FUNCTIONS = 16
"""How many of an instrument's functions the report names."""


def is_instrument(target: str) -> bool:
    """Tell whether `target` names an instrument, or a file of one."""
    from firmware.instruments.spec import available_instruments

    return Path(target).suffix == ".toml" or target in available_instruments()


def resolve(target: str, board: Board, given: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """Return the models behind a name: one model file, a reference decoder, or every model of an instrument.

    Parameters
    ----------
    given : models by role, in place of an instrument's own.

    Raises
    ------
    Refusal
        Neither a file nor a known name, or `given` models for what is no instrument.
    """
    if given and not is_instrument(target):
        raise Refusal(f"--model goes with an instrument, and {target!r} is none.")
    from bench.reference_decoders import DECODERS, write_decoder

    path = Path(target)
    if path.suffix == ".onnx":
        if not path.is_file():
            raise Refusal(f"there is no model file {target}.")
        return {"model": path}
    name, _, form = target.partition(".")
    if name in DECODERS and form in ("", "w8a16", "w8a8", "float"):
        folder = Path(tempfile.gettempdir()) / "vaectrol-decoders"
        return {"model": write_decoder(name, form or "w8a16", folder)}
    from firmware.instruments.spec import available_instruments, find_models, load_instrument

    if is_instrument(target):
        models = find_models(load_instrument(target), given)
        return {role: model.path for role, model in models.items()}
    raise Refusal(
        f"{target!r} is no model file, instrument ({', '.join(available_instruments())}) "
        f"or reference decoder ({', '.join(DECODERS)})."
    )


def siblings(path: Path) -> dict[str, Path]:
    """Return the same model as far as it can be found: ``float``, ``pruned`` (float), ``w8a16``, ``w8a8``."""
    from bench.reference_decoders import DECODERS, FORMATS, write_decoder

    stem = path.name.split(".")[0]
    if stem in DECODERS and path.name.split(".")[1] in FORMATS:
        return {form: write_decoder(stem, form, path.parent) for form in FORMATS}
    beside = evidence(path)
    candidates = {
        "float": [path.with_name(f"{stem}.onnx"), beside / "float.onnx"],
        "pruned": [beside / "pruned.onnx"],
        "w8a16": [path.with_name(f"{stem}.int8.onnx")],
        "w8a8": [path.with_name(f"{stem}.w8a8.int8.onnx")],
    }
    found = {form: next((f for f in files if f.is_file()), None) for form, files in candidates.items()}
    return {form: file for form, file in found.items() if file is not None}


def evidence(path: Path) -> Path:
    """Where ``vaectrol quantize`` leaves what it made a model from, unless told otherwise."""
    return path.with_name(f"{path.name}.report")


def assess_quality(path: Path, found: dict[str, Path], seconds: float, wavs: Path | None) -> dict[str, Any]:
    """Judge a model's formats on its test items, or on seeded inputs where it came without."""
    from bench.quality import Item, assess, test_inputs, test_items

    others = {form: file for form, file in found.items() if form != "float"}
    file = evidence(path) / "test.npz"
    if file.is_file():
        items, source = test_items(file)
        return assess(
            found["float"], others, items, f"{len(items)} items of the test split of {source}", wavs
        )
    items = [Item(test_inputs(found["float"], seconds))]
    return assess(found["float"], others, items, f"seeded, {seconds:g} s", wavs)


def make_report(
    target: str,
    board: Board,
    *,
    models: Mapping[str, Path] | None = None,
    block: int | None = None,
    with_sweep: bool = True,
    with_formats: bool = True,
    with_quality: bool = True,
    with_live: bool = False,
    to_tflite: ToTflite | None = None,
    phrase: Phrase | None = None,
    port: str | None = None,
    seconds: float = 2.0,
    wavs: Path | None = None,
    progress: Progress = silent,
) -> dict[str, Any]:
    """Run everything that was asked for; see the parts' modules.

    `to_tflite` lets LiteRT take part in the live measurement (``bench.live.peers``), `phrase` plays what goes
    into an instrument with an audio input (``firmware.instruments.demo``). Quality on test items is
    cheap: a model that comes with them is judged in any case.

    Returns
    -------
    dict
        The report; sounds for pictures lie under keys that begin with ``_`` and are not written.
    """
    import importlib.metadata

    report: dict[str, Any] = {
        "format": FORMAT,
        "kind": "vaectrol bench",
        "target": Path(target).name,
        "board": board.name,
        "board_title": board.title,
        "line_fill_cycles": {r.name: r.line_fill_cycles for r in board.memory if r.line_fill_cycles},
        "version": importlib.metadata.version("vaectrol"),
        "models": {},
    }
    for role, path in resolve(target, board, models).items():
        part: dict[str, Any] = {"file": path.name}
        found = siblings(path)
        # a Pi or this computer has no cycle model: there it is measured live
        only_live = with_live and board.processor.core != "cortex-m7"
        predicted = {} if only_live else predict_model(path, board, block=block, progress=progress)
        if predicted:
            part["predicted"] = predicted
        streamed = not predicted.get("event")
        if with_formats and streamed and predicted:
            part["formats"] = _formats(found, path, predicted, board, block, progress)
        if with_sweep and streamed and predicted:
            part["sweep"] = sweep(path, board, progress=progress)
        # seeded walks say nothing about patterns: event models are judged on their test items only
        judged = (with_quality and streamed) or (evidence(path) / "test.npz").is_file()
        if judged and "float" in found and len(found) > 1:
            progress(f"{path.name}: quality against {found['float'].name}")
            part["quality"] = assess_quality(path, found, seconds, wavs / role if wavs else None)
        if with_live and streamed:
            from bench.live.host import live

            progress(f"{path.name}: live on this machine")
            part["live"] = live(
                path, block or board.audio.block, float_path=found.get("float"), to_tflite=to_tflite
            )
        report["models"][role] = part
    if is_instrument(target) and with_formats and board.processor.core == "cortex-m7":
        progress(f"{target}: the whole instrument")
        report["instrument"] = whole_instrument(target, board, models, block, phrase)
    if port:
        from bench.live.module import measure_device

        progress(f"asking {port}")
        try:
            report["device"] = measure_device(port)
        except Refusal as refusal:
            report["device"] = {"incomplete": str(refusal)}
    return report


def whole_instrument(
    target: str, board: Board, models: Mapping[str, Path] | None, block: int | None, phrase: Phrase | None
) -> dict[str, Any]:
    """Play the instrument's demonstration on the emulated module: engine, controls and every voice."""
    from bench.emulated import emulate
    from firmware.instruments.demo import find_demo

    demo = find_demo(target, other_models=bool(models))
    found = emulate(
        target,
        board,
        demo.script,
        sounds=demo.inputs(phrase),
        models=models,
        block=block,
        seconds=INSTRUMENT_S,
    ).report
    dearest = list(found["cpu_by_function"].items())[:FUNCTIONS]
    return {
        "script": demo.script.name,
        **{key: found[key] for key in ("block", "seconds", "traced_from_s", "callbacks_traced")},
        "cpu": found["predicted_cpu"],
        "callback_cycles": found["predicted_cycles"],
        "cycles_per_callback": board.cycles_per_frame * found["block"],
        "cpu_by_function": {name: round(share, 6) for name, share in dearest},
        "samples_that_differ_from_host": found["samples_that_differ"],
        "largest_difference_from_host": found["largest_difference_from_host"],
    }


def _formats(
    found: dict[str, Path],
    path: Path,
    predicted: dict[str, Any],
    board: Board,
    block: int | None,
    progress: Progress,
) -> dict[str, Any]:
    rows: dict[str, Any] = {}
    for form, file in found.items():
        try:
            same = file.resolve() == path.resolve()
            progress(f"{file.name}: as {form}")
            one = predicted if same else predict_model(file, board, block=block, callbacks=50, check=False)
            rows[form] = {
                "cpu_mean": one["cpu"]["mean"],
                "cpu_worst": one["cpu"]["worst"],
                "weight_bytes": one["weight_bytes"],
                "state_bytes": one["state_bytes"],
            }
        except Refusal as refusal:
            rows[form] = {"refused": str(refusal)}
    return rows


def published(report: dict[str, Any]) -> dict[str, Any]:
    """Return the report without what is only there for pictures."""

    def clean(value: Any) -> Any:
        if isinstance(value, dict):
            return {k: clean(v) for k, v in value.items() if not k.startswith("_")}
        return [clean(v) for v in value] if isinstance(value, list) else value

    return clean(report)


def against(new: dict[str, Any], old_path: Path) -> tuple[list[str], bool]:
    """Compare with an earlier report.

    Returns
    -------
    lines, one per figure that changed, and whether anything regressed by more than `GATE`.

    Raises
    ------
    Refusal
        The old file is not a report, or one of another board.
    """
    old = read_json(old_path)
    if old.get("kind") != "vaectrol bench" or not isinstance(old.get("models"), dict):
        raise Refusal(f"{old_path} is not a report of `vaectrol bench`.")
    if old.get("board") != new["board"]:
        raise Refusal(f"{old_path} is a report for {old.get('board')}, this one is for {new['board']}.")
    lines, worse = [], False

    def compare(name: str, was: dict[str, float], now: dict[str, float]) -> None:
        nonlocal worse
        for figure in ("mean", "worst", "p99"):
            before, after = was[figure], now[figure]
            if before and abs(after / before - 1) > 1e-6:
                regressed = after / before - 1 > GATE
                worse = worse or (regressed and figure != "p99")
                lines.append(
                    f"{name}: CPU {figure} {before:.2%} → {after:.2%} ({after / before - 1:+.1%})"
                    + " REGRESSED" * regressed
                )

    if "instrument" in new and "instrument" in old:
        compare("whole instrument", old["instrument"]["cpu"], new["instrument"]["cpu"])
    for role, part in new["models"].items():
        before = old["models"].get(role)
        if "predicted" not in part:
            continue
        if not isinstance(before, dict) or "predicted" not in before:
            lines.append(f"{role}: new")
            continue
        compare(role, before["predicted"]["cpu"], part["predicted"]["cpu"])
        for what in ("weight_bytes", "state_bytes", "stack_bytes"):
            was, now = before["predicted"].get(what), part["predicted"].get(what)
            if was != now and was is not None and now is not None:
                lines.append(f"{role}: {what} {was:,} → {now:,}")
    return lines, worse
