"""Small untrained decoders of every kind, exported as the training room does it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from common.drums import CLASSES


class Stream(nn.Module):
    """Latents and knobs at 1 kHz to subbands at 3 kHz, filtered noise among them, to audio."""

    def __init__(self, latents: int, knobs: int):
        from train.models.blocks import CausalConv, Residual
        from train.models.noise import FilteredNoise
        from train.models.pqmf import PQMFSynthesis

        super().__init__()
        self.inlet = nn.Conv1d(latents + knobs, 12, 1)
        self.low = nn.Sequential(Residual(12, 3, 1), Residual(12, 3, 2))
        self.activation = nn.LeakyReLU(0.125)
        self.up = nn.ConvTranspose1d(12, 8, 6, stride=3)
        self.high = Residual(8, 3, 1)
        self.direct = CausalConv(8, 16, 3)
        self.gains = nn.Conv1d(8, 16, 1)
        self.filters = nn.Conv1d(8, 16 * 8, 1)
        self.noise = FilteredNoise(16, 8, 1, 1)
        self.pqmf = PQMFSynthesis(16, 512)
        with torch.no_grad():  # a signal to lose
            assert self.gains.bias is not None
            self.gains.bias.fill_(-1.0)

    def forward(self, z: torch.Tensor, knobs: torch.Tensor) -> torch.Tensor:
        """Sound of every frame."""
        x = self.activation(self.low(self.inlet(torch.cat([z, knobs], 1))))
        y = self.activation(self.high(self.up(x)[..., :-3]))
        gains = torch.exp(torch.clamp(self.gains(y), -12.0, 1.0))
        return self.pqmf(self.direct(y) + gains * self.noise(self.filters(y)))


LATENTS = tuple(f"z{i + 1}" for i in range(8))
KNOBS = (*(f"class:{name}" for name in CLASSES), "brightness", "decay")


def small_stream(path: Path) -> Path:
    """Write an untrained decoder of latent frames, with filtered noise and a filter bank."""
    from train.export.export import Port, export_module

    torch.manual_seed(3)
    inputs = [
        Port("z", "latent", "1/48", LATENTS, -4.0, 4.0),
        Port("knobs", "class", "1/48", KNOBS, -1.0, 1.0),
    ]
    metadata = {
        "name": "small",
        "sample_rate_hz": 48_000,
        "latents": [{"name": n, "quantiles": [-2.5, -1.0, 0.0, 1.0, 2.5]} for n in LATENTS],
    }
    decoder = Stream(len(LATENTS), len(KNOBS))
    export_module(decoder, inputs, [Port("audio", "audio", "1", ("audio",), -1.0, 1.0)], metadata, path)
    return path


def small_drum(path: Path) -> Path:
    """Write an untrained drum: an event graph that ends in the sound of a hit."""
    from train.export.export import Port, export_module
    from train.models.drum import FRAMES, DrumDecoder
    from train.models.hit.shape import FRAME, HitShape

    torch.manual_seed(3)
    shape = HitShape(latents=8, trunk=(16, 16), noise_rank=8, transient_rank=8)
    decoder = DrumDecoder(shape)
    with torch.no_grad():
        decoder.control.modes.weight.mul_(5.0)
        decoder.control.noise.weight.mul_(5.0)
    inputs = [
        Port("z", "latent", "event", LATENTS, -4.0, 4.0),
        Port("knobs", "class", "event", tuple(shape.knobs), -1.0, 1.0),
    ]
    metadata = {
        "kind": "drum",
        "name": "small",
        "sample_rate_hz": 48_000,
        "latents": [{"name": n, "quantiles": [-2.5, -1.0, 0.0, 1.0, 2.5]} for n in LATENTS],
    }
    audio = Port("audio", "audio", "event", ("audio",), -1.0, 1.0, length=FRAMES * FRAME)
    export_module(decoder, inputs, [audio], metadata, path)
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
