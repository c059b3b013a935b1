"""Small untrained decoders of every kind, exported as the training room does it."""

from __future__ import annotations

from pathlib import Path

import torch


def small_drum(path: Path) -> Path:
    """Write an untrained drum decoder of a few thousand parameters, with metadata."""
    from train.export.export import Port, export_module
    from train.models.drum import DrumDecoder, DrumShape

    torch.manual_seed(3)
    shape = DrumShape(low=12, high=8, low_dilations=(1, 2), high_dilations=(1,), tones=4)
    decoder = DrumDecoder(shape)
    with torch.no_grad():  # away from the quiet beginning, so that there is a signal to lose
        decoder.gains.bias.fill_(-1.0)
        decoder.amplitudes.weight.mul_(5.0)
        decoder.direct.conv.weight.mul_(5.0)
    latents = tuple(f"z{i + 1}" for i in range(shape.latents))
    inputs = [
        Port("z", "latent", "1/48", latents, -4.0, 4.0),
        Port("knobs", "class", "1/48", tuple(shape.knobs), -1.0, 1.0),
        Port("time", "time", "1/48", tuple(shape.basis.names()), -1.0, 1.0),
    ]
    metadata = {
        "kind": "drum",
        "name": "small",
        "sample_rate_hz": 48_000,
        "time_basis": shape.basis.metadata(),
        "latents": [{"name": n, "quantiles": [-2.5, -1.0, 0.0, 1.0, 2.5]} for n in latents],
    }
    export_module(decoder, inputs, [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)], metadata, path)
    return path


def small_rhythm(path: Path) -> Path:
    """Write an untrained rhythm decoder: an event graph."""
    from train.export.export import Port, export_module
    from train.models.rhythm import RhythmDecoder, RhythmShape

    torch.manual_seed(3)
    shape = RhythmShape(latents=4, channels=12)
    latents = tuple(f"z{i + 1}" for i in range(4))
    names = tuple(f"a{i + 1}" for i in range(shape.attributes))
    channels = tuple(f"p{i + 1}" for i in range(27))
    export_module(
        RhythmDecoder(shape),
        [
            Port("z", "latent", "event", latents, -4.0, 4.0),
            Port("attributes", "attribute", "event", names, -1, 1),
        ],
        [Port("pattern", "pattern", "event", channels, -0.5, 1.0, length=32)],
        {"kind": "rhythm", "name": "small_rhythm"},
        path,
    )
    return path


def small_drive(path: Path) -> Path:
    """Write an untrained drive decoder: audio through gains that a latent moves, bends and clips."""
    from train.export.export import Port, export_module
    from train.models.drive import DriveDecoder, DriveShape

    torch.manual_seed(3)
    decoder = DriveDecoder(DriveShape(latents=3, channels=8, dilations=(1, 3, 9), film=8))
    with torch.no_grad():  # loud enough that the clip has something to do
        decoder.inlet.weight.mul_(3.0)
    latents = tuple(f"z{i + 1}" for i in range(3))
    export_module(
        decoder,
        [
            Port("audio", "audio", "1", ("audio",), -1.0, 1.0),
            Port("latent", "latent", "1/48", latents, -4.0, 4.0),
        ],
        [Port("wet", "audio", "1", ("audio",), -1.0, 1.0)],
        {
            "kind": "drive",
            "name": "small_drive",
            "sample_rate_hz": 48_000,
            "latents": [{"name": n, "quantiles": [-2.5, 0.0, 2.5]} for n in latents],
        },
        path,
    )
    return path
