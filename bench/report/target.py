"""What a bench is asked about: a model file, a run, a reference decoder or an instrument, and its formats."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path

from common.refusal import Refusal


def is_instrument(target: str) -> bool:
    """Tell whether `target` names an instrument, or a file of one."""
    from firmware.instruments.spec import available_instruments

    return Path(target).suffix == ".toml" or target in available_instruments()


def resolve(target: str, given: Mapping[str, Path] | None = None) -> dict[str, Path]:
    """Return the models behind a name, by role.

    Parameters
    ----------
    target : str
        A model file, a run folder, a reference decoder, or an instrument.
    given : models by role, in place of an instrument's own.

    Raises
    ------
    Refusal
        Neither a file nor a known name, a folder that is no run, or `given` models for what is no instrument.
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
    if path.is_dir():
        return {"model": decoder_of_run(path)}
    raise Refusal(
        f"{target!r} is no model file, run folder, instrument ({', '.join(available_instruments())}) "
        f"or reference decoder ({', '.join(DECODERS)})."
    )


def decoder_of_run(folder: Path) -> Path:
    """Find the decoder in a run folder: quantized where it is there, else float, as the module would run it.

    Raises
    ------
    Refusal
        No run, one without a decoder, or one with several quantized ones.
    """
    if not (folder / "recipe.toml").is_file():
        raise Refusal(
            f"{folder} is not a run (no recipe.toml); name a model file, or the folder that `vaectrol train` "
            "made."
        )
    found = [path for path in sorted(folder.glob("*.onnx")) if not path.name.endswith(".encoder.onnx")]
    quantized = [path for path in found if path.name.endswith(".int8.onnx")]
    if len(quantized) > 1:
        names = ", ".join(path.name for path in quantized)
        raise Refusal(f"{folder} holds several quantized models ({names}); name the file of one.")
    if not found:
        raise Refusal(f"{folder} holds no decoder (.onnx); finish its training with --resume.")
    return [*quantized, *(path for path in found if path not in quantized)][0]


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
