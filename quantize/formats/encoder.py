"""The encoder of a quantized decoder: the float one of its run, packed small and put beside it."""

from __future__ import annotations

from pathlib import Path

import onnx

from common.files import write_bytes
from train.export.pack import encoder_beside, packed


def encoder_of(source: Path) -> Path | None:
    """Find the encoder of a run folder or of a float decoder's file; None where there is none."""
    if source.is_dir():
        return next(iter(sorted(source.glob("*.encoder.onnx"))), None)
    beside = encoder_beside(source)
    return beside if beside.exists() else None


def write_encoder(source: Path, out: Path) -> Path | None:
    """Write the packed encoder of `source` beside the decoder `out`; None where there is none.

    An encoder that stands there already, and is the source's own, stays as it is.
    """
    found = encoder_of(source)
    target = encoder_beside(out)
    if found is None or found.resolve() == target.resolve():
        return found
    write_bytes(target, packed(onnx.load(str(found))).SerializeToString())
    return target
