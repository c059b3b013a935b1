"""``vaectrol export``: write a model for another runtime, load it back there, compare."""

from __future__ import annotations

from pathlib import Path
from typing import TypedDict

import numpy as np
import onnx

from common.files import whole, write_bytes
from common.refusal import Refusal
from quantize.data.quality import snr_db
from quantize.formats.qdq import read_qdq, to_qdq
from quantize.graph.graph import Feed, Graph
from quantize.graph.load import load_graph
from quantize.integers.plan import Quantized
from quantize.operators.record import QUANTIZE

# Least SNR in dB of the other runtime's output against ours. LiteRT's 16×8 kernels round a 16-bit
# multiplier, its
# 8-bit ones round each layer half away from zero where ours rounds half up; one step of 8 bits is -42 dB.
LEAST_SNR_DB = {"tflite16": 45.0, "tflite8": 15.0, "torchscript": 80.0, "onnx": 80.0}
SUFFIX = {"tflite": ".tflite", "torchscript": ".ts", "onnx": ".float.onnx"}


class Exported(TypedDict, total=False):
    """What was written and how it compares: which figures there are depends on the format."""

    format: str
    file: str
    bytes: int
    frames: int
    snr_db: float
    least_snr_db: float
    largest_difference: float
    largest_output: float
    against: str
    methods: list[str]
    attributes: list[str]
    decode_inputs: list[str]


def export_model(source: Path, to: str, out: Path | None, bits: int | None, seconds: float) -> Exported:
    """Write, load back, compare.

    Parameters
    ----------
    source : Path
        Float or QDQ model, or a run folder.
    to : {"tflite", "torchscript", "onnx"}
        Format.
    out : Path, optional
        File to write; beside `source` when absent.
    bits : int, optional
        Activations of a TFLite file made from a float model.
    seconds : float
        Length that a TFLite file is fixed to.

    Returns
    -------
    dict
        What was compared and how it came out.

    Raises
    ------
    Refusal
        When the source can't be read or exported, or the two runtimes disagree beyond the stated tolerance.
    """
    if out is None:
        stem = source / source.name if source.is_dir() else source.with_suffix("")
        out = stem.with_name(stem.name.removesuffix(".int8") + SUFFIX[to])
    figures = {"tflite": _tflite, "torchscript": _torchscript, "onnx": _onnx}[to](source, out, bits, seconds)
    figures["file"], figures["bytes"] = str(out), out.stat().st_size
    return figures


def _model_of(source: Path) -> onnx.ModelProto:
    """The ONNX model of a file or of a run."""
    from quantize.data.calibration_set import decoder_of

    path = decoder_of(source) if source.is_dir() else source
    if not path.is_file():
        raise Refusal(f"there is no model file {path}; give an .onnx file or a run folder.")
    try:
        model = onnx.load(str(path))
        onnx.checker.check_model(model)
    except Exception as error:
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise Refusal(f"{path} is not a valid ONNX model ({reason}); export it again.") from None
    return model


def is_quantized(model: onnx.ModelProto) -> bool:
    """Whether a model is in QDQ form."""
    return any(node.op_type == QUANTIZE for node in model.graph.node)


def _feed(graph: Graph, seconds: float) -> Feed:
    from quantize.data.feeds import FeedMaker

    if graph.about.inputs:
        noise = np.random.default_rng(0).standard_normal(96_000).astype(np.float32) * 0.1
        return FeedMaker(graph, [noise]).make(seconds, 1)
    from quantize.graph.channels import example_feeds

    frames = max(16, int(seconds * 1000))
    random = np.random.default_rng(0)
    return {
        n: random.standard_normal(v.shape).astype(np.float32) for n, v in example_feeds(graph, frames).items()
    }


def _check(key: str, ratio: float, what: str) -> None:
    if ratio < LEAST_SNR_DB[key]:
        raise Refusal(
            f"the exported model differs from ours by {ratio:.1f} dB SNR on {what} where "
            f"{LEAST_SNR_DB[key]:g} dB is "
            "the stated tolerance; nothing was written. Report it with the model."
        )


def _tflite(source: Path, out: Path, bits: int | None, seconds: float) -> Exported:
    from quantize.formats.tflite import run_tflite, to_tflite
    from quantize.graph.runtime import run_onnx

    model = _model_of(source)
    quantized = _as_quantized(model, bits)
    graph = quantized.plan.graph
    feed = _feed(graph, seconds)
    frames = min(v.shape[-1] for v in feed.values())
    data = to_tflite(quantized, frames)
    ours = run_onnx(to_qdq(quantized), feed)
    theirs = run_tflite(data, feed, graph.input_names)
    widths = {quantized.plan.width(n) for n in quantized.scales}
    key = "tflite16" if widths == {16} else "tflite8"
    ratio = min(snr_db(a, b) for a, b in zip(ours, theirs, strict=True))
    _check(key, ratio, "LiteRT's reference kernels")
    write_bytes(out, data)
    again = run_tflite(out.read_bytes(), feed, graph.input_names)
    assert all(np.array_equal(a, b) for a, b in zip(theirs, again, strict=True))
    worst = max(float(np.abs(a - b).max()) for a, b in zip(ours, theirs, strict=True))
    return {
        "format": "TFLite 16×8" if key == "tflite16" else "TFLite W8A8",
        "frames": frames,
        "snr_db": ratio,
        "least_snr_db": LEAST_SNR_DB[key],
        "largest_difference": worst,
    }


def _as_quantized(model: onnx.ModelProto, bits: int | None) -> Quantized:
    """Integers of a QDQ file, or of a float one rounded to nearest on feeds from its metadata."""
    if is_quantized(model):
        quantized = read_qdq(model)
        widths = {quantized.plan.width(n) for n in quantized.scales}
        if bits is not None and widths != {bits}:
            raise Refusal(
                f"this model has {'/'.join(str(w) for w in sorted(widths))}-bit activations; export "
                "it without --bits, "
                "or quantize the float model to the other width."
            )
        return quantized
    from quantize.budget import quick_integers
    from quantize.data.calibration_set import from_metadata
    from quantize.procedure import Settings

    graph = load_graph(model)
    return quick_integers(
        graph, from_metadata(graph, count=4), Settings(activations="8" if bits == 8 else "16")
    )


def float_graph(model: onnx.ModelProto) -> Graph:
    """The float graph of a model; of a QDQ one, its integers as the reals they stand for."""
    return read_qdq(model).plan.graph if is_quantized(model) else load_graph(model)


def _onnx(source: Path, out: Path, bits: int | None, seconds: float) -> Exported:
    from quantize.graph.runtime import run_onnx

    model = _model_of(source)
    graph = float_graph(model)
    feed = _feed(graph, seconds)
    written = graph.to_model()
    ours = run_onnx(model, feed)
    theirs = run_onnx(written, feed)
    ratio = min(snr_db(a, b) for a, b in zip(ours, theirs, strict=True))
    if not is_quantized(model):
        _check("onnx", ratio, "onnxruntime")
    write_bytes(out, written.SerializeToString())
    return {"format": "float ONNX", "snr_db": ratio, "against": "the file it was made from"}


def _torchscript(source: Path, out: Path, bits: int | None, seconds: float) -> Exported:
    import torch

    from quantize.formats.torchscript import compare_module, module_of_prior, module_of_run

    graph = float_graph(_model_of(source))
    if not source.is_dir() and graph.about.prior is None:
        raise Refusal(
            f"{source} is a model file; nn~ needs the encoder too, so give the run folder it came from."
        )
    module = module_of_run(source, graph) if graph.about.prior is None else module_of_prior(source, graph)
    with whole(out) as temporary:
        module.save(str(temporary))
        figures = compare_module(torch.jit.load(str(temporary)), graph)
        _check("torchscript", figures["snr_db"], "TorchScript fed in uneven buffers")
    return {"format": "TorchScript for nn~", **figures}
