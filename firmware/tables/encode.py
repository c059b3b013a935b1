"""A table of what an encoder hears in a sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from common.refusal import Refusal
from firmware.instruments.latents.tables import FRAME_HZ, FRAMES, FULL, LATENTS, latents_hash
from firmware.models.model_file import read_model
from firmware.play.render import read_sound
from firmware.tables.wav import Table


def encode_table(sound: Path, encoder: Path) -> Table:
    """Let an encoder hear a sound, and keep its latents as a table.

    Parameters
    ----------
    sound : Path
        A sound file of up to 20 s.
    encoder : Path
        Model file of an encoder whose latents move, such as a texture's.

    Raises
    ------
    Refusal
        The file is no such encoder, the sound cannot be read, or it is too long.
    """
    import onnxruntime

    model = read_model(encoder)
    about = model.about
    heard, told = about.input_with("audio"), about.output_with("latent")
    rate = told.frames_per_sample if told is not None else None
    if about.part != "encoder" or not about.latents or heard is None or told is None or rate is None:
        raise Refusal(
            f"{encoder.name} is no encoder whose latents move while a sound lasts; give a texture's, such as "
            "texture.encoder.onnx."
        )
    audio = read_sound(sound, about.sample_rate_hz)
    hop = int(1 / rate)
    whole = np.pad(audio, (0, -len(audio) % hop)).astype(np.float32)
    session = onnxruntime.InferenceSession(str(encoder), providers=["CPUExecutionProvider"])
    (latents,) = session.run([told.name], {heard.name: whole[None, None]})
    hertz = about.sample_rate_hz / hop
    count = round(latents.shape[2] * FRAME_HZ / hertz)
    if not 1 <= count <= FRAMES:
        raise Refusal(
            f"{sound.name} lasts {len(audio) / about.sample_rate_hz:.1f} s, and a table up to "
            f"{FRAMES // FRAME_HZ} s; cut it."
        )
    at = np.arange(count) * hertz / FRAME_HZ
    frames = np.zeros((count, LATENTS), np.int16)
    for i, (row, latent) in enumerate(zip(latents[0, :LATENTS], about.latents, strict=False)):
        low, high = latent.quantiles[0], latent.quantiles[-1]
        share = (np.interp(at, np.arange(len(row)), row) - 0.5 * (low + high)) / (0.5 * (high - low))
        frames[:, i] = np.rint(np.clip(share, -1.0, 1.0) * FULL).astype(np.int16)
    return Table(frames, f"{latents_hash(model):08x}")
