"""A prior that goes on by itself from rest, in a few lines of numpy: what its other forms are held to."""

from __future__ import annotations

from pathlib import Path
from statistics import NormalDist

import numpy as np
import onnxruntime

from common import model_metadata

CELLS, LAST_CELL, STRAY = 256, 1 / 1024, 0.5


def hashed(x: int) -> int:
    """As engine/dsp/hash.h, in 32 bits."""
    x &= 0xFFFFFFFF
    x ^= x >> 16
    x = x * 0x7FEB352D & 0xFFFFFFFF
    x ^= x >> 15
    x = x * 0x846CA68B & 0xFFFFFFFF
    return x ^ x >> 16


def even(frame: int, lane: int) -> float:
    """An evenly spread number of a frame."""
    return (hashed(frame * 64 + lane + 0x9E3779B9) >> 8) / 2**24


def walked(path: Path, frames: int, temperature: float = 1.0) -> list[np.ndarray]:
    """Frames ``[Z]`` as they are drawn, before they are moved to where the data are; the first is rest."""
    about = model_metadata.read_file(path)
    tied, count = about.prior, len(about.latents)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    cells = np.arange(CELLS + 1) / CELLS
    normal = [NormalDist().inv_cdf(float(p)) for p in cells.clip(LAST_CELL, 1 - LAST_CELL)]
    data = np.array(tied.data)
    reach = STRAY * (data[:, -1] - data[:, 0])
    z = np.zeros((1, count, 1), np.float32)
    state = np.zeros((1, len(about.input_with("state").channels), 1), np.float32)
    found = [z[0, :, 0]]
    for frame in range(1, frames):
        steps, chances, state = session.run(None, {"latent": z, "state": state})
        drawn = np.zeros(count)
        for i in range(count):
            way = i if even(frame, 2 * i) < chances[0, 2 * count + i, 0] else count + i
            spread = temperature * (tied.narrowest + tied.widest * chances[0, way, 0])
            noise = np.interp(even(frame, 2 * i + 1), cells, normal)
            drawn[i] = z[0, i, 0] + steps[0, way, 0] + spread * noise
        z = drawn.clip(data[:, 0] - reach, data[:, -1] + reach).astype(np.float32)[None, :, None]
        found.append(z[0, :, 0])
    return found
