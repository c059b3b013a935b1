"""One process-wide small decoder of every kind."""

from __future__ import annotations

import pytest
import torch

from tests.quantize.models import small_drive, small_drum, small_rhythm, small_stream

torch.set_num_threads(1)


@pytest.fixture(scope="session")
def stream_file(tmp_path_factory):
    """An untrained decoder of latent frames, with filtered noise and a filter bank."""
    return small_stream(tmp_path_factory.mktemp("models") / "stream.onnx")


@pytest.fixture(scope="session")
def drum_file(tmp_path_factory):
    """An untrained drum: an event graph that ends in the sound of a hit."""
    return small_drum(tmp_path_factory.mktemp("models") / "small.onnx")


@pytest.fixture(scope="session")
def rhythm_file(tmp_path_factory):
    """An untrained rhythm decoder: an event graph."""
    return small_rhythm(tmp_path_factory.mktemp("models") / "rhythm.onnx")


@pytest.fixture(scope="session")
def drive_file(tmp_path_factory):
    """An untrained drive decoder: audio through gains that a latent moves, bends and clips."""
    return small_drive(tmp_path_factory.mktemp("models") / "drive.onnx")
