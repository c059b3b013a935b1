"""A model of the same shape as another: its weights turned round, its scales and its latents others."""

from __future__ import annotations

import json
from pathlib import Path


def other_model(path: Path, out: Path) -> Path:
    """Write another model of the shape of `path`."""
    import numpy as np
    import onnx
    from onnx import numpy_helper

    model = onnx.load(str(path))
    for tensor in model.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype == np.int8 and values.size > 1 and values.any():
            values = np.roll(values.reshape(-1), 7).reshape(values.shape)
        elif "weight/scale" in tensor.name:
            values = values * np.float32(0.9)
        else:
            continue
        tensor.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values), tensor.name))
    for entry in model.metadata_props:
        if entry.key == "vaectrol.latents":
            latents = json.loads(entry.value)
            for latent in latents:
                latent["quantiles"] = [0.9 * value for value in latent["quantiles"]]
            entry.value = json.dumps(latents)
    onnx.save(model, str(out))
    return out
