"""The critic of a drum's last stage: it sees spectrograms and the stroke's waveform, and knows the class.

Multi-resolution spectrogram judges as in Jang et al., "UnivNet" (Interspeech 2021), with the hinge loss; the
class by projection (Miyato and Koyama, "cGANs with projection discriminator", ICLR 2018): a kick that would
pass for a fine tom is no kick. Trained beside the generator and never shrunk with it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.losses import feature_loss, hinge_critic_loss, hinge_generator_loss

STROKE = 1024  # samples of the waveform that are looked at


class SpectralJudge(nn.Module):
    """Score a log spectrogram; returns the scores and the features on the way."""

    def __init__(self, size: int, channels: int):
        super().__init__()
        self.size = size
        self.register_buffer("window", torch.hann_window(size), persistent=False)
        self.window: Tensor
        sizes = ((1, channels), (channels, channels), (channels, 2 * channels), (2 * channels, 2 * channels))
        self.layers = nn.ModuleList(nn.Conv2d(a, b, (9, 3), stride=(3, 1), padding=(4, 1)) for a, b in sizes)
        self.head = nn.Conv2d(2 * channels, 1, 3, padding=1)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores ``[N, 1, F, T]`` and features of ``audio [N, 1, S]``."""
        bins = torch.stft(
            audio[:, 0],
            self.size,
            self.size // 4,
            window=self.window,
            return_complex=True,
            pad_mode="constant",
        )
        x = torch.log(bins.real**2 + bins.imag**2 + 1e-4)[:, None] * 0.2
        features = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.head(x), features


class StrokeJudge(nn.Module):
    """Score the beginning of a waveform; returns the scores and the features on the way."""

    def __init__(self, channels: int):
        super().__init__()
        sizes = ((1, channels), (channels, 2 * channels), (2 * channels, 4 * channels))
        self.layers = nn.ModuleList(nn.Conv1d(a, b, 15, stride=4, padding=7) for a, b in sizes)
        self.head = nn.Conv1d(4 * channels, 1, 3, padding=1)

    def forward(self, audio: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores and features of ``audio [N, 1, S]``."""
        x = audio[..., :STROKE] * 3.0
        features = []
        for layer in self.layers:
            x = nn.functional.leaky_relu(layer(x), 0.1)
            features.append(x)
        return self.head(x), features


class HitCritic(nn.Module):
    """Four judges that know the class.

    Parameters
    ----------
    channels : int
        Width of each.
    classes : int
        How many there are.
    """

    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.judges = nn.ModuleList(SpectralJudge(size, channels) for size in (2048, 512, 128))
        self.judges.append(StrokeJudge(channels))
        widths = (*[2 * channels] * 3, 4 * channels)
        self.classes = nn.ModuleList(nn.Embedding(classes, width) for width in widths)
        for table in self.classes:
            nn.init.zeros_(table.weight)  # type: ignore[arg-type]

    def forward(self, audio: Tensor, labels: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Scores and features of every judge."""
        scores, features = [], []
        for judge, table in zip(self.judges, self.classes, strict=True):
            score, seen = judge(audio)
            suits = (seen[-1].flatten(2).mean(2) * table(labels)).sum(1)
            scores.append(score.flatten(1) + suits[:, None])
            features.append(seen)
        return scores, features

    def judge(self, made: Tensor, real: Tensor, made_labels: Tensor, labels: Tensor) -> Tensor:
        """What the critic descends."""
        return hinge_critic_loss(self(real, labels)[0], self(made.detach(), made_labels)[0])

    def listen(self, made: Tensor, real: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator descends for sounds made of recordings: deception and feature distance."""
        with torch.no_grad():
            _, wanted = self(real, labels)
        scores, features = self(made, labels)
        return hinge_generator_loss(scores), feature_loss(wanted, features)

    def suspect(self, made: Tensor, labels: Tensor) -> Tensor:
        """What the generator descends for sounds of no recording."""
        return hinge_generator_loss(self(made, labels)[0])
