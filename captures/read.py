"""A capture file of any known format, told by what it holds; and the model file it becomes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from captures.capture import Capture
from captures.document import read_document
from captures.graph import INPUT, OUTPUT
from captures.nam import is_nam, read_nam
from captures.proteus import is_proteus, read_proteus
from captures.rtneural import is_rtneural, read_rtneural
from common import model_metadata
from common.refusal import Refusal
from common.version import version

if TYPE_CHECKING:
    import onnx

KIND = "capture"
FORMAT = 1


def read_capture(path: Path, size: float | None = None) -> Capture:
    """Read a capture.

    Parameters
    ----------
    path : Path
    size : float, optional
        0 to 1: which of several sizes in one file; the largest when omitted.

    Raises
    ------
    Refusal
        A file of another kind, or a damaged one.
    """
    document = read_document(path)
    if is_nam(document):
        return read_nam(document, size)
    if is_rtneural(document):
        return read_rtneural(document)
    if is_proteus(document):
        return read_proteus(document)
    raise Refusal(
        f"{path.name} is no capture that is known; .nam files are read, and the JSON of RTNeural, "
        "AIDA-X and Proteus."
    )


def model_of(capture: Capture, name: str) -> onnx.ModelProto:
    """Write a capture as a model file (docs/design.md#model-file)."""
    model = capture.sketch.model(capture.result)
    port = {"role": "audio", "rate": "1", "range": [-1.0, 1.0], "channels": ["audio"]}
    model_metadata.write(
        model,
        {
            "format": FORMAT,
            "kind": KIND,
            "name": name,
            "title": capture.title or name,
            "version": version(),
            "sample_rate_hz": capture.played_hz,
            "inputs": [{"name": INPUT, **port}],
            "outputs": [{"name": OUTPUT, **port}],
            "latency_samples": 0,
            "licence": capture.licence,
            "credits": [capture.author] if capture.author else [],
            "capture": {
                "format": capture.format,
                "architecture": capture.architecture,
                "weights": capture.weights,
                "reach_samples": capture.reach,
                "says_its_rate": capture.rate_hz is not None,
                **capture.facts,
            },
        },
    )
    return model
