"""The texture codec: a sound in, latents to play with, a sound out, a hop of 256 samples at a time.

    audio ─ Ear ─ log-mel ─ convolutions ─ z [Z, T] ─┐
              └── loudness ─┐                        ├─ convolutions ─ filters ─ SourceFilter ─ audio
    audio ─ pitch tracker ──┴─ control [3, T] ───────┘

Both halves run on the module. Pitch, voicing and loudness are latents with a name: they stand beside z, so
that z need not say them, and hands can move, quantize or replace them. What is made is late by
:data:`LATE` samples, which the training takes out; the hop comes on top on the module.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.blocks import SLOPE, CausalConv, Residual
from train.models.source_filter.ear import HOP, Ear
from train.models.source_filter.sound import SourceFilter

LATE = 192
"""Samples by which what is made follows what was heard, beside the hop that is collected."""
CONTROLS = ("pitch", "voicing", "loudness")


@dataclass(frozen=True)
class TextureShape:
    """Sizes of a texture codec; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    mels : int
        Bands that the encoder hears.
    encoder, decoder : int
        Channels.
    encoder_dilations, decoder_dilations : tuple of int
        One residual each.
    bands : int
        Bands of the filters.
    """

    latents: int = 8
    mels: int = 64
    encoder: int = 64
    decoder: int = 96
    encoder_dilations: tuple[int, ...] = (1, 2)
    decoder_dilations: tuple[int, ...] = (1, 2, 4)
    bands: int = 48

    @property
    def answers(self) -> int:
        """Numbers that the decoder's network says of a hop."""
        return 2 * self.bands + 1

    @property
    def macs_per_sample(self) -> float:
        """Multiplications of both networks, per sample."""
        e, d = self.encoder, self.decoder
        hearing = 3 * self.mels * e + 3 * e * e * len(self.encoder_dilations) + e * self.latents
        making = 3 * (self.latents + 3) * d + 3 * d * d * len(self.decoder_dilations) + d * self.answers
        return (hearing + making) / HOP


class TextureEncoder(nn.Module):
    """``audio [N, 1, 256·T]`` to the posterior's ``(mean, log-variance)``, each ``[N, Z, T]``."""

    def __init__(self, shape: TextureShape):
        super().__init__()
        self.ear = Ear(shape.mels)
        self.inlet = CausalConv(shape.mels, shape.encoder, 3)
        self.layers = nn.Sequential(
            *(Residual(shape.encoder, 3, d) for d in shape.encoder_dilations), nn.LeakyReLU(SLOPE)
        )
        self.mean = nn.Conv1d(shape.encoder, shape.latents, 1)
        self.log_variance = nn.Conv1d(shape.encoder, shape.latents, 1)

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Hear."""
        return self.of_bands(self.ear(audio))

    def of_bands(self, heard: Tensor) -> tuple[Tensor, Tensor]:
        """The posterior by what the ear heard, ``[N, mels + 1, T]``."""
        features = self.layers(self.inlet(heard[:, :-1]))
        return self.mean(features), self.log_variance(features).clamp(-8.0, 2.0)


class TextureNetwork(nn.Module):
    """``z [N, Z, T]`` and control ``[N, 3, T]`` to the numbers of the filters ``[N, 2·B + 1, T]``."""

    def __init__(self, shape: TextureShape):
        super().__init__()
        self.inlet = CausalConv(shape.latents + len(CONTROLS), shape.decoder, 3)
        self.layers = nn.Sequential(
            *(Residual(shape.decoder, 3, d) for d in shape.decoder_dilations), nn.LeakyReLU(SLOPE)
        )
        self.outlet = nn.Conv1d(shape.decoder, shape.answers, 1)
        nn.init.zeros_(self.outlet.bias)  # type: ignore[arg-type]

    def forward(self, z: Tensor, control: Tensor) -> Tensor:
        """Say the filters."""
        return self.outlet(self.layers(self.inlet(torch.cat([z, control], 1))))


class TextureDecoder(nn.Module):
    """``latent [N, Z, T]``, control ``[N, 3, T]`` to ``audio [N, 1, 256·T]``."""

    def __init__(self, shape: TextureShape):
        super().__init__()
        self.network: nn.Module = TextureNetwork(shape)
        self.sound = SourceFilter(shape.bands)

    def forward(self, z: Tensor, control: Tensor) -> Tensor:
        """Sound."""
        return self.sound(self.network(z, control), control)


class TextureVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: TextureShape):
        super().__init__()
        self.shape = shape
        self.encoder = TextureEncoder(shape)
        self.decoder = TextureDecoder(shape)


class Hearing(nn.Module):
    """The encoder's model file: ``audio`` to posterior means ``[N, Z, T]`` and loudness ``[N, 1, T]``.

    Parameters
    ----------
    encoder : TextureEncoder
    turn : Tensor, shape (Z, Z), optional
        What turns its mean to what hands move.
    """

    def __init__(self, encoder: TextureEncoder, turn: Tensor | None = None):
        super().__init__()
        self.encoder = encoder
        self.outlet = nn.Conv1d(encoder.mean.in_channels, encoder.mean.out_channels, 1)
        with torch.no_grad():
            weight, bias = encoder.mean.weight[..., 0], encoder.mean.bias
            assert bias is not None
            turn = torch.eye(len(bias)) if turn is None else turn
            self.outlet.weight.copy_((turn @ weight)[..., None])
            self.outlet.bias.copy_(turn @ bias)  # type: ignore[union-attr]

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Hear."""
        heard = self.encoder.ear(audio)
        features = self.encoder.layers(self.encoder.inlet(heard[:, :-1]))
        return self.outlet(features), heard[:, -1:]


def delayed(audio: Tensor) -> Tensor:
    """What a decoder should make of ``audio [N, 1, S]``: the same, :data:`LATE` samples later."""
    return F.pad(audio, (LATE, 0))[..., : audio.shape[-1]]
