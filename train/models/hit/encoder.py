"""The encoder of the per-hit drum: it looks at a hit, drafts latents, mends them by what they would play.

A log-mel picture of the first second and a half tells the sound; single bins below 1.2 kHz tell a kick's
pitch and where it glides; steps of a millisecond over the first 64 ms tell how it begins; the first 11 ms of
the waveform tell the phases. A copy of the decoder's network then says what the draft would be made of,
``sketch.py`` what the pictures would show of that, and what differs mends the draft (iterative amortized
inference, Marino et al. 2018). It never leaves the desktop.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from common.drums import CLASSES
from train.models.blocks import SLOPE
from train.models.hit.control import HitControl
from train.models.hit.picture import LowPicture, MelPicture
from train.models.hit.shape import HitShape
from train.models.hit.sketch import Sketch, SketchedPicture

WAVE = 512  # samples of the waveform that are looked at
# Groups of frames in which a draft is compared with what is heard, by picture.
WHOLE_GROUPS = (0, 1, 2, 3, 4, 5, 6, 8, 10, 13, 17, 22, 29, 38, 50, 66, 87, 115, 152, 200, 282)
LOW_GROUPS = (0, 1, 2, 3, 4, 6, 8, 12, 18, 27, 48)
STROKE_GROUPS = (0, 1, 2, 3, 4, 6, 8, 11, 15, 20, 27, 36, 48, 65)
STROKE_LOWEST_HZ = 94.0
ASIDE = 0.5  # how far drafts are moved in training, at most, standard deviation


class Views(NamedTuple):
    """What the encoder looks at: three pictures ``[N, bands, frames]`` and ``[N, 1, WAVE]``."""

    whole: Tensor
    low: Tensor
    stroke: Tensor
    wave: Tensor


class Drafts(NamedTuple):
    """What the encoder thought on the way.

    Attributes
    ----------
    mean, log_variance : Tensor, shape (N, latents)
        The posterior; its mean is the mended draft.
    first : Tensor, shape (N, latents)
        The draft before it was mended.
    classes : Tensor, shape (N, classes)
        Logits of what drum it takes the sound for.
    attributes : Tensor, shape (N, attributes)
        Where it takes the knobs to stand.
    """

    mean: Tensor
    log_variance: Tensor
    first: Tensor
    classes: Tensor
    attributes: Tensor


class HitEncoder(nn.Module):
    """Audio ``[N, 1, S]`` to the posterior's ``(mean, log-variance)``, each ``[N, latents]``."""

    def __init__(self, shape: HitShape):
        super().__init__()
        self.shape = shape
        width = shape.encoder
        narrow = width - width // 4
        self.whole, self.low = MelPicture(), LowPicture()
        self.stroke = MelPicture(0.064, 32, 256, 48, lowest_hz=STROKE_LOWEST_HZ)
        self.whole_body = _body(self.whole.mels, (narrow, width, width, width))
        self.low_body = _body(self.low.bins, (narrow, narrow, narrow))
        self.stroke_body = _body(self.stroke.mels, (narrow - 8, narrow - 8))
        self.wave_body = nn.Sequential(
            nn.Conv1d(1, 16, 16, stride=8, padding=4),
            nn.LeakyReLU(SLOPE),
            nn.Conv1d(16, 16, 5, stride=4, padding=2),
            nn.LeakyReLU(SLOPE),
        )
        features = width * _after(self.whole.frames, 4) + narrow * _after(self.low.frames, 3)
        features += (narrow - 8) * _after(self.stroke.frames, 2) + 16 * (WAVE // 32)
        self.head = nn.Linear(features, 2 * shape.latents + len(shape.knobs))
        if shape.looks:
            self.control = HitControl(shape).requires_grad_(False)
            self.sketch = self._sketch()
            self.mender = Mender(self.sketch, shape)

    def _sketch(self) -> Sketch:
        """The three pictures, as a sketch shows them."""
        single = np.eye(self.low.bins + 1, dtype=np.float32)[1:]
        parts = (
            (self.whole.bank[..., 0].numpy(), self.whole, WHOLE_GROUPS),
            (single, self.low, LOW_GROUPS),
            (self.stroke.bank[..., 0].numpy(), self.stroke, STROKE_GROUPS),
        )
        pictures = [
            SketchedPicture(bank, of.size, of.hop, groups, of.FLOOR, of.SCALE, self.shape)
            for bank, of, groups in parts
        ]
        return Sketch(self.shape, pictures)

    def look_at(self, control: nn.Module) -> None:
        """Take the decoder's present weights for what drafts are judged by."""
        if self.shape.looks:
            for mine, theirs in zip(self.control.parameters(), control.parameters(), strict=True):
                mine.data.copy_(theirs.data)

    def look(self, audio: Tensor) -> Views:
        """What it sees of a sound: nothing here is learnt."""
        wave = F.pad(audio[..., :WAVE], (0, max(0, WAVE - audio.shape[-1])))
        return Views(self.whole(audio), self.low(audio), self.stroke(audio), wave)

    def drafts(self, seen: Views, aside: float = 0.0) -> Drafts:
        """Latents, before and after they were mended.

        Parameters
        ----------
        seen : Views
            Of some sounds.
        aside : float
            How far the first draft is moved by chance before it is mended: on sounds that it knows it errs
            too little to learn from.
        """
        bodies = (self.whole_body, self.low_body, self.stroke_body, self.wave_body)
        parts = [body(view) for body, view in zip(bodies, seen, strict=True)]
        told = self.head(torch.cat([p.flatten(1) for p in parts], 1))
        sizes = [self.shape.latents, self.shape.latents, len(CLASSES), len(self.shape.attributes)]
        first, log_variance, classes, attributes = told.split(sizes, 1)
        attributes = torch.tanh(attributes)
        mean = first
        if self.shape.looks:
            if aside:
                mean = mean + aside * torch.rand_like(mean[:, :1]) * torch.randn_like(mean)
            knobs = torch.cat([torch.softmax(classes, 1), attributes], 1)
            heard = [
                picture.heard(view)  # type: ignore[operator]
                for picture, view in zip(self.sketch.pictures, seen, strict=False)
            ]
            for _ in range(self.shape.looks):
                drawn = self.sketch(self.control(mean[:, :, None], knobs[:, :, None]))
                mean = mean + self.mender(heard, drawn, mean, knobs)
        return Drafts(mean, log_variance.clamp(-10.0, 4.0), first, classes, attributes)

    def judge(self, seen: Views) -> tuple[Tensor, Tensor]:
        """Posterior of what was seen."""
        drafts = self.drafts(seen)
        return drafts.mean, drafts.log_variance

    def forward(self, audio: Tensor) -> tuple[Tensor, Tensor]:
        """Posterior of each sound."""
        return self.judge(self.look(audio))


class Mender(nn.Module):
    """What to add to a draft, from pictures of what is heard and of what the draft would play.

    Parameters
    ----------
    sketch : Sketch
        Whose pictures it looks at.
    shape : HitShape
        Sizes.
    """

    def __init__(self, sketch: Sketch, shape: HitShape):
        super().__init__()
        wide, narrow = 3 * shape.encoder // 4, shape.encoder // 2
        widths = ((wide, wide), (narrow,), (narrow, narrow))
        self.bodies = nn.ModuleList()
        features = shape.latents + len(shape.knobs)
        for picture, out in zip(sketch.pictures, widths, strict=True):
            assert isinstance(picture, SketchedPicture)
            self.bodies.append(_body(2 * picture.rows, out))
            features += out[-1] * _after(picture.groups, len(out))
        self.layers = nn.Sequential(
            nn.Linear(features, 2 * shape.encoder),
            nn.LeakyReLU(SLOPE),
            nn.Linear(2 * shape.encoder, 2 * shape.encoder),
            nn.LeakyReLU(SLOPE),
            nn.Linear(2 * shape.encoder, shape.latents),
        )
        nn.init.zeros_(self.layers[-1].weight)  # type: ignore[arg-type]
        nn.init.zeros_(self.layers[-1].bias)  # type: ignore[arg-type]

    def forward(self, heard: list[Tensor], drawn: list[Tensor], mean: Tensor, knobs: Tensor) -> Tensor:
        """The correction, ``[N, latents]``."""
        parts = [
            body(torch.cat([a - b, a], 1)).flatten(1)
            for body, a, b in zip(self.bodies, heard, drawn, strict=True)
        ]
        return self.layers(torch.cat([*parts, mean, knobs], 1))


def _body(channels: int, widths: tuple[int, ...]) -> nn.Sequential:
    """Convolutions that halve the frames each time."""
    layers: list[nn.Module] = []
    for out in widths:
        layers += [
            nn.Conv1d(channels, out, 5, stride=2, padding=2),
            nn.GroupNorm(4, out),
            nn.LeakyReLU(SLOPE),
        ]
        channels = out
    return nn.Sequential(*layers)


def _after(frames: int, halvings: int) -> int:
    for _ in range(halvings):
        frames = (frames + 1) // 2
    return frames
