"""The causal building blocks that the streamable decoders share.

All are plain ``torch.nn`` layers with explicit left padding: a pruner or a quantizer sees Conv1d and
LeakyReLU, nothing else. Channel counts should be multiples of 4, the device kernels'
block.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

SLOPE = 0.125  # of the leaky ReLU: a power of two costs a shift


class CausalConv(nn.Module):
    """A convolution that sees the present and the past only, ``[N, in, T]`` to ``[N, out, T]``.

    Parameters
    ----------
    inputs, outputs : int
        Channels.
    kernel, dilation, groups : int
        As in ``nn.Conv1d``.
    """

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1, groups: int = 1):
        super().__init__()
        self.past = (kernel - 1) * dilation
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation, groups=groups)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve."""
        return self.conv(F.pad(x, (self.past, 0)) if self.past else x)


class Residual(nn.Module):
    """``x + conv(leaky(x))``: one dilated causal convolution beside its input."""

    def __init__(self, channels: int, kernel: int, dilation: int):
        super().__init__()
        self.activation = nn.LeakyReLU(SLOPE)
        self.conv = CausalConv(channels, channels, kernel, dilation)

    def forward(self, x: Tensor) -> Tensor:
        """Add."""
        return x + self.conv(self.activation(x))


def reader(channels: int, width: int) -> nn.Sequential:
    """Three convolutions that read frames ``[N, C, T]``, the last two at every second one."""
    return nn.Sequential(
        nn.Conv1d(channels, width, 3, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv1d(width, width, 3, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
        nn.Conv1d(width, width, 3, stride=2, padding=1),
        nn.LeakyReLU(SLOPE),
    )


def pooled(h: Tensor) -> Tensor:
    """Of a whole note ``[N, C, T]`` the mean, the strongest moments and the beginning, ``[N, 3·C]``."""
    return torch.cat([h.mean(2), h.amax(2), h[..., :4].mean(2)], 1)


def receptive_past(kernel: int, dilations: tuple[int, ...] | list[int]) -> int:
    """Frames of past that a chain of dilated convolutions reaches."""
    return sum((kernel - 1) * d for d in dilations)
