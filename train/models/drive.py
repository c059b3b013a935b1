"""The drive VAE: pairs of dry and wet sound; a decoder that distorts audio as its latents say.

Decoder, at audio rate, dry in and wet out, no look-ahead:

    dry ─ conv 1×1 ─┬─ dilated conv ─ × FiLM ─ leaky ─ clip ─ + ─┬─ … ─ × FiLM ─ conv 1×1 ─ wet
                    └────────────────────────────────────────────┘
    z at 1 kHz ─ conv 1×1 ─ leaky ─ conv 1×1 ─ FiLM gains, each held for 48 samples

No layer of the audio path has a bias and every nonlinearity maps 0 to 0, so silence gives exact silence;
the clip bounds every residual, so nothing can blow up; the leaky slope before it makes the curves uneven,
which even harmonics need. Clip and leaky ReLU are the cheapest nonlinearities in int16. The dilated stack
is WaveNet's (van den Oord et al. 2016) as used for amplifiers by Wright et al. (2020), FiLM by Perez et
al. (2018).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from train.models.blocks import receptive_past
from train.models.hit.picture import MelPicture

HOP = 48  # samples per latent frame
SLOPE = 0.25  # a power of two costs a shift
LIMIT = 1.0


@dataclass(frozen=True)
class DriveShape:
    """Sizes of a drive VAE; channels in multiples of 4.

    Attributes
    ----------
    latents : int
        Size of z.
    channels : int
        Width of the dilated stack.
    kernel : int
        Taps of each of its convolutions.
    dilations : tuple of int
        One layer each.
    film : int
        Hidden width of the network from z to the gains; it runs at 1 kHz and costs little.
    encoder : int
        Channels of the encoder.
    seconds : float
        How much of a pair the encoder hears.
    """

    latents: int = 8
    channels: int = 16
    kernel: int = 3
    dilations: tuple[int, ...] = (1, 3, 9, 27, 81, 243)
    film: int = 64
    encoder: int = 64
    seconds: float = 0.5

    @property
    def past(self) -> int:
        """Samples of past that reach an output sample."""
        return receptive_past(self.kernel, self.dilations)

    @property
    def macs_per_sample(self) -> float:
        """Multiplications per output sample, FiLM network included."""
        gains = (len(self.dilations) + 2) * self.channels
        audio = 2 * self.channels + self.kernel * self.channels**2 * len(self.dilations)
        return audio + (self.latents * self.film + self.film * gains) / HOP


class DriveDecoder(nn.Module):
    """``audio [N, 1, 48·T]``, ``latent [N, Z, T]`` to ``wet [N, 1, 48·T]``."""

    def __init__(self, shape: DriveShape):
        super().__init__()
        self.shape = shape
        channels = shape.channels
        gains = (len(shape.dilations) + 2) * channels
        self.film_in = nn.Conv1d(shape.latents, shape.film, 1)
        self.film_activation = nn.LeakyReLU(SLOPE)
        self.film_out = nn.Conv1d(shape.film, gains, 1)
        self.inlet = nn.Conv1d(1, channels, 1, bias=False)
        self.layers = nn.ModuleList(
            nn.Conv1d(channels, channels, shape.kernel, dilation=d, bias=False) for d in shape.dilations
        )
        self.bend = nn.LeakyReLU(SLOPE)
        self.outlet = nn.Conv1d(channels, 1, 1, bias=False)
        with torch.no_grad():
            for layer in self.layers:
                nn.init.orthogonal_(layer.weight.view(channels, -1))  # type: ignore[operator]
            self.film_out.weight.mul_(0.3)
            self.film_out.bias.fill_(1.0)  # type: ignore[union-attr]

    def forward(self, audio: Tensor, latent: Tensor) -> Tensor:
        """Distort."""
        gains = self.film_out(self.film_activation(self.film_in(latent)))
        if torch.onnx.is_in_onnx_export():
            return self._stack(audio, F.interpolate(gains, scale_factor=float(HOP), mode="nearest"))
        if audio.device.type != "cpu":
            return self._stack(audio, gains)
        # On a processor one item after the other, whose layers stay in its cache: twice as fast.
        return torch.cat([self._stack(audio[i : i + 1], gains[i : i + 1]) for i in range(len(audio))])

    def _stack(self, audio: Tensor, gains: Tensor) -> Tensor:
        """The audio path; ``gains`` by sample or by latent frame."""
        gain = gains.chunk(len(self.layers) + 2, 1)
        x = _amplified(self.inlet(audio), gain[0])
        for layer, dilation, scale in zip(self.layers, self.shape.dilations, gain[1:], strict=False):
            past = (self.shape.kernel - 1) * dilation
            bent = self.bend(_amplified(layer(F.pad(x, (past, 0))), scale))
            x = x + torch.clamp(bent, -LIMIT, LIMIT)
        return self.outlet(_amplified(x, gain[-1]))


def _amplified(x: Tensor, gain: Tensor) -> Tensor:
    """``x [N, C, S]`` times ``gain [N, C, S]``, or ``[N, C, S / HOP]`` each held for HOP samples."""
    if gain.shape[-1] == x.shape[-1]:
        return x * gain
    return (x.unflatten(-1, (-1, HOP)) * gain[..., None]).flatten(-2)


class DriveEncoder(nn.Module):
    """Dry and wet ``[N, 2, S]`` to the posterior's ``(mean, log-variance)``, each ``[N, latents]``.

    Both are seen as log-mel pictures; means and spreads over time of the pictures and of what convolutions
    make of them are kept, so that it does not matter when in the window something was played. Beside them
    stands the wet amplitude over the dry one (:func:`amplitude_curve`): a static curve shows there at once.
    """

    def __init__(self, shape: DriveShape):
        super().__init__()
        self.picture = MelPicture(shape.seconds)
        width = shape.encoder
        layers: list[nn.Module] = []
        channels = 2 * self.picture.mels
        for stride in (1, 2, 2):
            layers += [
                nn.Conv1d(channels, width, 5, stride=stride, padding=2),
                nn.GroupNorm(4, width),
                nn.LeakyReLU(0.125),
            ]
            channels = width
        self.body = nn.Sequential(*layers)
        heard = 2 * width + 4 * self.picture.mels + CURVE_FEATURES
        self.head = nn.Sequential(
            nn.Linear(heard, 2 * width), nn.LeakyReLU(0.125), nn.Linear(2 * width, 2 * shape.latents)
        )

    def forward(self, pair: Tensor) -> tuple[Tensor, Tensor]:
        """Hear both."""
        pictures = torch.cat([self.picture(pair[:, :1]), self.picture(pair[:, 1:])], 1)
        known = [*_over_time(self.body(pictures)), *_over_time(pictures), amplitude_curve(pair)]
        mean, log_variance = self.head(torch.cat(known, 1)).chunk(2, -1)
        return mean, log_variance.clamp(-10.0, 4.0)


def _over_time(features: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and spread over time, ``[N, C, T]`` to two of ``[N, C]``."""
    centre = F.adaptive_avg_pool1d(features, 1)[..., 0]
    power = F.adaptive_avg_pool1d((features - centre[..., None]) ** 2, 1)[..., 0]
    return centre, torch.sqrt(power + 1e-6)


LEVELS = 7  # octaves of dry amplitude, from 0.01 to 0.64, on either side of 0
CURVE_FEATURES = 6 * LEVELS


def amplitude_curve(pair: Tensor) -> Tensor:
    """What is wet where the dry sample has a given amplitude: ``[N, 2, S]`` to ``[N, CURVE_FEATURES]``.

    For every octave of amplitude and either sign, compressed to about ±1: the mean wet sample over that
    amplitude (a static curve's gain there), its spread (memory, noise) and how often the octave occurs.
    Every third sample is looked at.
    """
    dry, wet = pair[:, 0, ::3], pair[:, 1, ::3]
    octave = torch.log2(dry.abs().clamp(min=1e-4) / 0.01)
    features = []
    for number in range(LEVELS):
        near = F.relu(1.0 - (octave - number).abs())
        amplitude = 0.01 * 2**number
        for side in (dry > 0, dry < 0):
            share = near * side.to(near.dtype)
            often = share.mean(1)
            mean = (share * wet).mean(1) / (often + 1e-4)
            power = (share * wet**2).mean(1) / (often + 1e-4)
            spread = torch.sqrt((power - mean**2).clamp(min=0) + 1e-8)
            features += [
                0.3 * torch.asinh(4 * mean / amplitude),
                0.2 * torch.log(spread / amplitude + 0.01),
                0.1 * torch.log(often + 1e-4),
            ]
    return torch.stack(features, 1)


class DriveVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: DriveShape):
        super().__init__()
        self.shape = shape
        self.encoder = DriveEncoder(shape)
        self.decoder = DriveDecoder(shape)
