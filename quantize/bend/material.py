"""What a model is played with to see what its sites do: its own controls, its own kind of sound, seeded."""

from __future__ import annotations

import numpy as np
import onnx
from numpy.typing import NDArray

from common.audio import SAMPLE_RATE_HZ
from common.model_metadata import ModelMetadata, TensorSpec

EVENTS = 32
SECONDS = 0.5
SEED = 23
FREQUENCIES_HZ = (110.0, 164.8, 220.0, 329.6)

Feed = dict[str, NDArray[np.float32]]


def feeds(model: onnx.ModelProto, about: ModelMetadata, count: int | None = None) -> list[Feed]:
    """Make feeds of one event, or of a second each; the same ones every time.

    Latents and attributes stand where their quantile tables lead, classes take turns, audio is plucked chords
    that die away, a bend rests.
    """
    random = np.random.default_rng(SEED)
    is_event = all(one.is_event for one in about.inputs)
    number = count or (EVENTS if is_event else 4)
    return [
        {
            one.name: _signal(one, about, index, random, _length(one, is_event))[None].astype(np.float32)
            for one in about.inputs
        }
        for index in range(number)
    ]


def _length(spec: TensorSpec, is_event: bool) -> int:
    if is_event:
        return 1
    return round(SECONDS * SAMPLE_RATE_HZ * float(spec.frames_per_sample or 1))


def _signal(
    spec: TensorSpec, about: ModelMetadata, index: int, random: np.random.Generator, length: int
) -> NDArray[np.float64]:
    if spec.role == "audio":
        return _chord(index, length)
    tables = {one.name: np.asarray(one.quantiles) for one in about.latents}
    tables |= {one.name: np.asarray(one.quantiles) for one in about.attributes}
    tables |= {f"attribute:{one.name}": np.asarray(one.quantiles) for one in about.attributes}
    neutral = {one.name: one.neutral for one in about.bends}
    classes = [name for name in spec.channels if name.startswith("class:")]
    rows = []
    for name in spec.channels:
        if name in neutral:
            value = neutral[name]
        elif name in classes:
            value = float(classes.index(name) == index % len(classes))
        else:
            table = tables.get(name, np.asarray(spec.limits))
            value = float(np.interp(random.random(), np.linspace(0, 1, len(table)), table))
        rows.append(np.full(length, value))
    return np.stack(rows)


def _chord(index: int, length: int) -> NDArray[np.float64]:
    time = np.arange(length) / SAMPLE_RATE_HZ
    sound = np.zeros(length)
    for voice, hz in enumerate(FREQUENCIES_HZ):
        pitch = hz * 2.0 ** (index / 12)
        for partial in range(1, 9):
            decay = np.exp(-time * (2.0 + 1.5 * partial))
            sound += decay * np.sin(2 * np.pi * pitch * partial * time + voice) / partial
    return 0.5 * sound[None] / np.abs(sound).max()
