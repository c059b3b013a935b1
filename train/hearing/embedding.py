"""An ear from outside: embeddings of sound effects that a network learnt, where its package is installed.

The network is that of Ma and Lerch, "Representation learning for the automatic indexing of sound effects
libraries" (ISMIR 2022). Its Python package ``aisfx`` (MIT) carries the weights. The package asks for old
versions of what is here already, so it is installed by itself: ``pip install --no-deps aisfx``.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from common.audio import SAMPLE_RATE_HZ

if TYPE_CHECKING:
    from torch import nn

PACKAGE = "aisfx"
ABSENT = "no embedding: the package aisfx is not installed; pip install --no-deps aisfx brings it"
RATE_HZ, SIZE, HOP, MELS, FRAMES = 44_100, 2048, 1024, 96, 100
PREFIX = "embedding_net."
BATCH = 16


def is_installed() -> bool:
    """Whether the package is here."""
    return importlib.util.find_spec(PACKAGE) is not None


@cache
def _network() -> nn.Module:
    """Load the published network; of the pickle in its wheel, numbers only."""
    import torch
    from aisfx.models import cnn2d

    weights = Path(cnn2d.__file__).with_name("checkpoint.pth")
    harmless: list[Any] = [
        (type(np.float64(0)).__reduce__(np.float64(0))[0], "numpy.core.multiarray.scalar"),
        np.dtype,
        type(np.dtype(np.int64)),
        type(np.dtype(np.float64)),
    ]
    with torch.serialization.safe_globals(harmless):
        state, _ = torch.load(weights, map_location="cpu", weights_only=True)
    network = cnn2d.EmbeddingNet("max", 3, 1, 64)
    network.load_state_dict(
        {name.removeprefix(PREFIX): value for name, value in state.items() if name.startswith(PREFIX)}
    )
    return network.eval().requires_grad_(False)


@cache
def _bank() -> np.ndarray:
    from librosa.filters import mel

    return np.asarray(mel(sr=RATE_HZ, n_fft=SIZE, n_mels=MELS, fmin=0.0, fmax=22_050.0, htk=True, norm=1.0))


def _picture(audio: np.ndarray) -> np.ndarray:
    """The picture ``[100, 96]`` that the network was trained on: two seconds, peak at 1."""
    import librosa
    import soxr

    sound = np.zeros(2 * SAMPLE_RATE_HZ, np.float32)
    sound[: len(audio)] = audio[: len(sound)]
    sound /= max(1e-6, float(np.abs(sound).max()))
    at_its_rate = soxr.resample(sound, SAMPLE_RATE_HZ, RATE_HZ)
    power = np.abs(librosa.stft(at_its_rate, n_fft=SIZE, hop_length=HOP)) ** 2
    level = np.log10(_bank() @ power * 10_000 + 1)[:, :FRAMES].T
    return np.pad(level, ((0, FRAMES - len(level)), (0, 0))).astype(np.float32)


def embeddings(sounds: Iterable[np.ndarray]) -> np.ndarray:
    """Embeddings ``[N, 512]`` of sounds at 48 kHz."""
    import torch

    seen = np.stack([_picture(sound) for sound in sounds])
    with torch.no_grad():
        parts = [
            _network()(torch.from_numpy(seen[i : i + BATCH])).numpy() for i in range(0, len(seen), BATCH)
        ]
    return np.concatenate(parts)
