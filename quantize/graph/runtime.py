"""Run a model file in onnxruntime: one thread, no graph rewriting, so that QDQ means what it says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx

from common.refusal import Refusal


def session(model: onnx.ModelProto | Path | str) -> Any:
    """Open a model.

    Notes
    -----
    With graph optimisation on, onnxruntime fuses 8-bit layers into kernels that saturate 16-bit partial
    sums on x86 processors without VNNI; the plain graph computes what it says.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    source = model.SerializeToString() if isinstance(model, onnx.ModelProto) else str(model)
    try:
        return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        reason = str(error).strip().splitlines()[0]
        raise Refusal(f"onnxruntime can't open the model ({reason}); check the file.") from None


def run_onnx(model: onnx.ModelProto | Path | str, feed: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Outputs of a model for one feed."""
    return session(model).run(None, {name: np.asarray(value) for name, value in feed.items()})
