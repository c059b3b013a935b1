"""A table of what an encoder hears: the latents of the model file, a hundred frames a second."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
import soundfile
import typer
from typer.testing import CliRunner

from common.refusal import Refusal
from firmware.instruments.latents.tables import latents_hash
from firmware.models.model_file import MODELS_DIR, read_model
from firmware.tables.commands import register
from firmware.tables.encode import encode_table
from firmware.tables.wav import read_table

ENCODER = MODELS_DIR / "texture.encoder.onnx"


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    path = tmp_path_factory.mktemp("sound") / "line.wav"
    n = np.arange(2 * 48_000)
    hertz = 220 * 2 ** (n // 24_000 * 3 / 12)
    soundfile.write(path, 0.4 * np.sign(np.sin(2 * np.pi * np.cumsum(hertz) / 48_000)), 48_000, "FLOAT")
    return path


def test_a_table_says_what_the_encoder_says(sound, tmp_path):
    app = typer.Typer()
    register(app)
    out = tmp_path / "line.table.wav"
    done = CliRunner().invoke(app, ["table", "encode", str(sound), "--model", str(ENCODER), "-o", str(out)])
    assert done.exit_code == 0, done.output
    table = read_table(out)
    assert table.frames.shape == (200, 16) and not table.frames[:, 8:].any()
    model = read_model(ENCODER)
    assert (
        table.model
        == f"{latents_hash(model):08x}"
        == f"{latents_hash(read_model(MODELS_DIR / 'texture.int8.onnx')):08x}"
    )
    audio = soundfile.read(sound, dtype="float32")[0]
    latents = onnxruntime.InferenceSession(str(ENCODER)).run(["latent"], {"audio": audio[None, None]})[0][0]
    for i, latent in enumerate(model.about.latents):
        low, high = latent.quantiles[0], latent.quantiles[-1]
        back = (low + high) / 2 + table.frames[:, i] / 32767 * (high - low) / 2
        wanted = np.interp(np.arange(200) * 1.875, np.arange(375), latents[i]).clip(low, high)
        np.testing.assert_allclose(back, wanted, atol=(high - low) / 32767)


def test_what_is_no_encoder_or_too_long_is_refused(sound, tmp_path):
    with pytest.raises(Refusal, match="is no encoder whose latents move while a sound lasts; give a texture"):
        encode_table(sound, MODELS_DIR / "texture.int8.onnx")
    with pytest.raises(Refusal, match="is no encoder whose latents move"):
        encode_table(sound, MODELS_DIR / "drum.encoder.onnx")
    long = tmp_path / "long.wav"
    soundfile.write(long, np.zeros(21 * 48_000), 48_000)
    with pytest.raises(Refusal, match=r"long.wav lasts 21.0 s, and a table up to 20 s; cut it"):
        encode_table(long, ENCODER)
