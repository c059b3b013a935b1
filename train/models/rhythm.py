"""The rhythm VAE: 32 steps × 9 voices × (onset, velocity, microtiming).

The decoder is an event graph: one evaluation per pattern, ``z [1, Nz, 1]`` and ``attributes [1, 6, 1]`` to
``pattern [1, 27, 32]``. Two layers mix the inputs, a transposed convolution lays a few planes of all 32 steps
out at once, for a pattern's places are not alike (a snare belongs on the backbeat), and two convolutions over
the steps, beside a plain mix of the planes, write the 27 channels: onset probabilities, velocities in 0..1,
microtiming in ±0.5 step.

The encoder looks twice: it drafts latents, hears in a copy of the decoder what they would play, and fixes
them by what is missing (iterative amortized inference, Marino et al. 2018). It stays on the desktop.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.drums import PARTS
from train.models.blocks import SLOPE

STEPS = 32
V = len(PARTS)


@dataclass(frozen=True)
class RhythmShape:
    """Sizes of a rhythm VAE; channels in multiples of 4.

    Attributes
    ----------
    latents, attributes : int
        Sizes of the two inputs.
    hidden : int
        Width of the layers that mix the inputs.
    planes : int
        Channels laid out over the steps.
    channels : int
        Width of the convolution over them.
    encoder : int
        Width of the encoder, which is generous: it stays on the desktop, and a poor one wastes the latents.
    looks : int
        How often the encoder fixes its draft.
    """

    latents: int = 16
    attributes: int = 6
    hidden: int = 96
    planes: int = 12
    channels: int = 24
    encoder: int = 512
    looks: int = 2


class RhythmDecoder(nn.Module):
    """``z [N, Nz, 1]``, ``attributes [N, 6, 1]`` to ``pattern [N, 27, 32]``."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        outputs = 3 * V
        self.inlet = nn.Conv1d(shape.latents + shape.attributes, shape.hidden, 1)
        self.mix = nn.Conv1d(shape.hidden, shape.hidden, 1)
        self.bend = nn.LeakyReLU(SLOPE)
        self.lay = nn.ConvTranspose1d(shape.hidden, shape.planes, STEPS, stride=STEPS)
        self.near = nn.Conv1d(shape.planes, shape.channels, 5, padding=2)
        self.outlet = nn.Conv1d(shape.channels, outputs, 5, padding=2)
        self.direct = nn.Conv1d(shape.planes, outputs, 1, bias=False)
        with torch.no_grad():  # each plane begins as a voice's onsets; the convolutions join in
            self.direct.weight.mul_(0.1)
            for voice in range(min(V, shape.planes)):
                self.direct.weight[voice, voice] = 1.0
            self.outlet.weight[:V] *= 0.1

    def logits(self, z: Tensor, attributes: Tensor) -> Tensor:
        """Everything before the output laws, ``[N, 27, 32]``."""
        x = self.bend(self.inlet(torch.cat([z, attributes], 1)))
        x = x + self.bend(self.mix(x))
        planes = self.lay(x)
        return self.direct(planes) + self.outlet(self.bend(self.near(planes)))

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The pattern."""
        onset, velocity, micro = self.logits(z, attributes).split(V, 1)
        return torch.cat([torch.sigmoid(onset), torch.sigmoid(velocity), torch.tanh(micro) * 0.5], 1)


@dataclass(frozen=True)
class Drafts:
    """What the encoder thought on the way.

    Attributes
    ----------
    means : list of Tensor, each [N, latents]
        The first draft, and every fixed one; the last is the posterior's mean.
    log_variance : Tensor, [N, latents]
        Of the posterior.
    attributes : Tensor, [N, attributes]
        Where it reads the knobs to stand.
    """

    means: list[Tensor]
    log_variance: Tensor
    attributes: Tensor


class RhythmEncoder(nn.Module):
    """``pattern [N, 27, 32]`` to ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        self.shape = shape
        width = shape.encoder
        self.inlet = nn.Linear(3 * V * STEPS, width)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.LeakyReLU(SLOPE)) for _ in range(3)
        )
        self.outlet = nn.Linear(width, 2 * shape.latents + shape.attributes)
        seen, narrow = 2 * V * STEPS + shape.latents, max(4, width // 2)
        self.looks = nn.ModuleList(
            nn.Sequential(
                nn.Linear(seen, narrow),
                nn.LeakyReLU(SLOPE),
                nn.Linear(narrow, narrow),
                nn.LeakyReLU(SLOPE),
                nn.Linear(narrow, shape.latents),
            )
            for _ in range(shape.looks)
        )
        for look in self.looks:  # a draft is kept until a look has learnt to fix it
            nn.init.zeros_(look[-1].weight)  # type: ignore[index]
            nn.init.zeros_(look[-1].bias)  # type: ignore[index]
        self.sketch = RhythmDecoder(shape).requires_grad_(False)

    def look_at(self, decoder: nn.Module) -> None:
        """Take the decoder's present weights for the sketch."""
        for mine, theirs in zip(self.sketch.parameters(), decoder.parameters(), strict=True):
            mine.data.copy_(theirs.data)

    def drafts(self, pattern: Tensor) -> Drafts:
        """Latents, draft by draft."""
        x = F.leaky_relu(self.inlet(pattern.flatten(1)), SLOPE)
        for layer in self.layers:
            x = x + layer(x)
        latents = self.shape.latents
        mean, log_variance, attributes = self.outlet(x).split([latents, latents, self.shape.attributes], 1)
        means, played = [mean], pattern[:, :V].flatten(1)
        for look in self.looks:
            logits = self.sketch.logits(mean[:, :, None], attributes[:, :, None].clamp(-1.0, 1.0))
            onsets = logits[:, :V].flatten(1)
            mean = mean + look(torch.cat([played - torch.sigmoid(onsets), 0.2 * onsets, mean], 1))
            means.append(mean)
        return Drafts(means, log_variance.clamp(-10.0, 4.0), attributes)

    def forward(self, pattern: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each pattern."""
        drafts = self.drafts(pattern)
        return drafts.means[-1], drafts.log_variance


class RhythmVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        self.shape = shape
        self.decoder = RhythmDecoder(shape)
        self.encoder = RhythmEncoder(shape)
