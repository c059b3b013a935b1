"""The critic of the second stage: small convolutional judges over spectrograms at three resolutions.

Multi-resolution spectrogram discriminators as in Jang et al., "UnivNet" (Interspeech 2021), with the hinge
loss; trained beside the generator and never shrunk with it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from train.losses import feature_loss, hinge_critic_loss, hinge_generator_loss


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


class SpectralCritic(nn.Module):
    """Three judges.

    Parameters
    ----------
    channels : int
        Width of each.
    """

    def __init__(self, channels: int = 16):
        super().__init__()
        self.judges = nn.ModuleList(SpectralJudge(size, channels) for size in (2048, 512, 128))

    def forward(self, audio: Tensor) -> tuple[list[Tensor], list[list[Tensor]]]:
        """Scores and features at every resolution."""
        outcomes = [judge(audio) for judge in self.judges]
        return [o[0] for o in outcomes], [o[1] for o in outcomes]

    def judge(self, made: Tensor, real: Tensor) -> Tensor:
        """What the critic descends."""
        return hinge_critic_loss(self(real)[0], self(made.detach())[0])

    def listen(self, made: Tensor, real: Tensor) -> tuple[Tensor, Tensor]:
        """What the generator descends: deception and feature distance."""
        with torch.no_grad():
            _, wanted = self(real)
        scores, features = self(made)
        return hinge_generator_loss(scores), feature_loss(wanted, features)
