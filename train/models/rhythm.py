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
FIRST_LOG_VARIANCE = -3.0
# Where training begins: spread of the latents, and logits as onsets less a cut, times a sharpness
FIRST_SPREAD, FIRST_CUT, FIRST_SHARPNESS = 2.0, 0.45, 8.0


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
    gated : bool
        Whether every plane has a gate of its own: an attribute then scales what the latents say, where a
        plain layer can only add to it.
    channels : int
        Width of the convolution over them.
    encoder : int
        Width of the encoder.
    look : int
        Width of what mends its draft.
    looks : int
        How often it does.
    """

    latents: int = 32
    attributes: int = 6
    hidden: int = 128
    planes: int = 20
    gated: bool = True
    channels: int = 32
    encoder: int = 288
    look: int = 160
    looks: int = 2


def pattern_of(logits: Tensor) -> Tensor:
    """The output laws, ``[N, 27, 32]``: onsets and velocities in 0..1, microtiming in ±0.5 step."""
    onset, velocity, micro = logits.split(V, 1)
    return torch.cat([torch.sigmoid(onset), torch.sigmoid(velocity), torch.tanh(micro) * 0.5], 1)


class RhythmDecoder(nn.Module):
    """``z [N, Nz, 1]``, ``attributes [N, 6, 1]`` to ``pattern [N, 27, 32]``."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        outputs = 3 * V
        self.planes, self.gated = shape.planes, shape.gated
        self.inlet = nn.Conv1d(shape.latents + shape.attributes, shape.hidden, 1)
        self.mix = nn.Conv1d(shape.hidden, shape.hidden, 1)
        self.bend = nn.LeakyReLU(SLOPE)
        laid = shape.planes * (2 if shape.gated else 1)
        self.lay = nn.ConvTranspose1d(shape.hidden, laid, STEPS, stride=STEPS)
        self.near = nn.Conv1d(shape.planes, shape.channels, 5, padding=2)
        self.outlet = nn.Conv1d(shape.channels, outputs, 5, padding=2)
        self.direct = nn.Conv1d(shape.planes, outputs, 1, bias=False)
        with torch.no_grad():  # each plane begins as a voice's onsets; the convolutions join in
            self.direct.weight.mul_(0.1)
            for voice in range(min(V, shape.planes)):
                self.direct.weight[voice, voice] = 2.0 if shape.gated else 1.0  # a gate begins half open
            self.outlet.weight[:V] *= 0.1

    def logits(self, z: Tensor, attributes: Tensor) -> Tensor:
        """Everything before the output laws, ``[N, 27, 32]``.

        What happens before the steps are laid out is written as products of matrices: the same numbers as the
        layers give, in two fifths of the time.
        """
        x = torch.cat([z, attributes], 1)[:, :, 0]
        x = self.bend(F.linear(x, self.inlet.weight[:, :, 0], self.inlet.bias))
        x = x + self.bend(F.linear(x, self.mix.weight[:, :, 0], self.mix.bias))
        assert self.lay.bias is not None
        laid = (x @ self.lay.weight.flatten(1)).reshape(len(x), -1, STEPS) + self.lay.bias[:, None]
        return self._drawn(laid)

    def _drawn(self, planes: Tensor) -> Tensor:
        """The steps as laid out, gated and drawn together."""
        if self.gated:
            planes, gates = planes.split(self.planes, 1)
            planes = planes * torch.sigmoid(gates)
        return self.direct(planes) + self.outlet(self.bend(self.near(planes)))

    def forward(self, z: Tensor, attributes: Tensor) -> Tensor:
        """The pattern, layer by layer, as it is exported."""
        x = self.bend(self.inlet(torch.cat([z, attributes], 1)))
        x = x + self.bend(self.mix(x))
        return pattern_of(self._drawn(self.lay(x)))


@dataclass(frozen=True)
class Drafts:
    """What the encoder thought on the way.

    Attributes
    ----------
    mean, log_variance : Tensor, [N, latents]
        The posterior, of which the mean is the last fixed draft.
    attributes : Tensor, [N, attributes]
        Where it reads the knobs to stand.
    heard : list of Tensor, each [N, 27, 32]
        Logits of what every draft before the last would play.
    """

    mean: Tensor
    log_variance: Tensor
    attributes: Tensor
    heard: list[Tensor]


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
        self.look = nn.Sequential(
            nn.Linear(2 * V * STEPS + shape.latents, shape.look),
            nn.LeakyReLU(SLOPE),
            nn.Linear(shape.look, shape.look),
            nn.LeakyReLU(SLOPE),
            nn.Linear(shape.look, shape.latents),
        )
        nn.init.zeros_(self.look[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.look[-1].bias)  # type: ignore[arg-type]
        with torch.no_grad():  # little noise at first, or the means grow to drown it and never come back
            assert self.outlet.bias is not None
            self.outlet.bias[shape.latents : 2 * shape.latents] = FIRST_LOG_VARIANCE
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
        heard, played = [], pattern[:, :V].flatten(1)
        for _ in range(self.shape.looks):
            logits = self.sketch.logits(mean[:, :, None], attributes[:, :, None].clamp(-1.0, 1.0))
            heard.append(logits)
            onsets = logits[:, :V].flatten(1)
            mean = mean + self.look(torch.cat([played - torch.sigmoid(onsets), 0.2 * onsets, mean], 1))
        return Drafts(mean, log_variance.clamp(-10.0, 4.0), attributes, heard)

    def forward(self, pattern: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each pattern."""
        drafts = self.drafts(pattern)
        return drafts.mean, drafts.log_variance


@dataclass(frozen=True)
class Principal:
    """Training onsets as their mean, what the attributes say of them, and principal axes of the rest.

    Attributes
    ----------
    mean : Tensor, [288]
    slopes : Tensor, [288, attributes]
        Least squares of the onsets on the knobs.
    axes : Tensor, [288, latents]
        Orthonormal, and orthogonal to the slopes.
    spreads : Tensor, [latents]
        Standard deviation along each axis.
    """

    mean: Tensor
    slopes: Tensor
    axes: Tensor
    spreads: Tensor

    @classmethod
    def of(cls, onsets: Tensor, knobs: Tensor, latents: int) -> Principal:
        """Analyse ``onsets [N, 9, 32]`` and ``knobs [N, attributes]``."""
        flat, told = onsets.flatten(1).double(), knobs.double()
        mean = flat.mean(0)
        rest = flat - mean
        slopes = torch.linalg.lstsq(told - told.mean(0), rest).solution.T
        basis = torch.linalg.qr(slopes)[0]
        rest = rest - (rest @ basis) @ basis.T
        values, axes = torch.linalg.eigh(rest.T @ rest / len(rest))
        spreads = values.flip(0)[:latents].clamp(min=1e-4).sqrt()
        offset = mean - slopes @ told.mean(0)
        return cls(offset.float(), slopes.float(), axes.flip(1)[:, :latents].float(), spreads.float())


def begin_at(model: RhythmVAE, principal: Principal) -> None:
    """Set first weights that are a linear autoencoder; what else there is begins small.

    A pair of units with opposite weights carries a number through the bend unbent, ``SLOPE`` and all. The
    decoder's first pairs carry the latents and the attributes, one more unit carries the mean.
    """
    shape, decoder, encoder = model.shape, model.decoder, model.encoder
    pairs, whole = shape.latents + shape.attributes, 1.0 + SLOPE
    if shape.hidden <= 2 * pairs or shape.encoder < 2 * shape.latents or shape.planes < V:
        return  # too narrow for it
    linear = torch.cat([principal.axes * principal.spreads / FIRST_SPREAD, principal.slopes], 1)
    ups, downs, one = slice(0, pairs), slice(pairs, 2 * pairs), 2 * pairs
    with torch.no_grad():
        for bias in (decoder.inlet.bias, decoder.mix.bias, decoder.lay.bias, encoder.inlet.bias):
            assert bias is not None
            bias.zero_()
        decoder.inlet.weight[: one + 1].zero_()
        decoder.inlet.weight[ups, :, 0] = torch.eye(pairs)
        decoder.inlet.weight[downs, :, 0] = -torch.eye(pairs)
        decoder.inlet.bias[one] = 1.0  # type: ignore[index]
        decoder.mix.weight[: one + 1].zero_()
        decoder.lay.weight[:, :V].zero_()
        laid = FIRST_SHARPNESS * linear.T.reshape(pairs, V, STEPS) / whole
        decoder.lay.weight[ups, :V] = laid
        decoder.lay.weight[downs, :V] = -laid
        decoder.lay.weight[one, :V] = FIRST_SHARPNESS * (principal.mean.reshape(V, STEPS) - FIRST_CUT)
        decoder.lay.weight[:, shape.planes :] *= 0.1  # gates, half open
        decoder.direct.weight[:V] = torch.eye(V, shape.planes)[:, :, None] * decoder.direct.weight[:V]
        decoder.outlet.weight[:V].zero_()
        latents, count = shape.latents, V * STEPS
        inward = FIRST_SPREAD * principal.axes.T / principal.spreads[:, None]
        encoder.inlet.weight[: 2 * latents].zero_()
        encoder.outlet.weight[:latents].zero_()
        for rows, sign in ((slice(0, latents), 1.0), (slice(latents, 2 * latents), -1.0)):
            encoder.inlet.weight[rows, :count] = sign * inward
            encoder.inlet.bias[rows] = -sign * (inward @ principal.mean)  # type: ignore[index]
            encoder.outlet.weight[:latents, rows] = sign * torch.eye(latents) / whole
        encoder.outlet.bias[:latents] = 0.0  # type: ignore[index]
        for layer in encoder.layers:
            linear_layer = layer[1]  # type: ignore[index]
            linear_layer.weight[: 2 * latents].zero_()
            linear_layer.bias[: 2 * latents].zero_()


class RhythmVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: RhythmShape):
        super().__init__()
        self.shape = shape
        self.decoder = RhythmDecoder(shape)
        self.encoder = RhythmEncoder(shape)
