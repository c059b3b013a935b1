"""The drum VAE: one-shots at 48 kHz, made of what a small network says of each hit (``hit/``).

    z, knobs → HitControl → modes, glide, noise gains, transient → HitSound → two seconds of audio

The decoder's network is asked once per hit, and again as often as the engine has time while latents and knobs
move; the sound is the engine's own. The encoder never leaves the desktop.
"""

from __future__ import annotations

from torch import Tensor, nn

from train.models.hit.control import Hit, HitControl
from train.models.hit.encoder import HitEncoder
from train.models.hit.shape import FRAMES_PER_S, WINDOW_S, HitShape
from train.models.hit.sound import HitSound

FRAMES = round(WINDOW_S * FRAMES_PER_S)


class Answering(nn.Module):
    """Another network in the place of `HitControl`, which gives the same four tensors."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, z: Tensor, knobs: Tensor) -> Hit:
        """What it says, by name."""
        return Hit(*self.network(z, knobs))


class DrumDecoder(nn.Module):
    """``z [N, Z, 1]`` and ``knobs [N, K, 1]``, once per hit, to ``audio [N, 1, 96 000]``.

    Parameters
    ----------
    shape : HitShape
        Sizes.
    seed : int
        Which noise it makes outside training.
    """

    def __init__(self, shape: HitShape, seed: int = 1):
        super().__init__()
        self.control: nn.Module = HitControl(shape)
        self.sound = HitSound(shape, seed)

    def hit(self, z: Tensor, knobs: Tensor) -> Hit:
        """What ``z [N, Z]`` and ``knobs [N, K]`` are made of."""
        return self.control(z[:, :, None], knobs[:, :, None])

    def forward(self, z: Tensor, knobs: Tensor) -> Tensor:
        """The whole sound."""
        return self.sound(self.control(z, knobs), FRAMES)


class DrumVAE(nn.Module):
    """Encoder and decoder together."""

    def __init__(self, shape: HitShape, seed: int = 1):
        super().__init__()
        self.shape = shape
        self.encoder = HitEncoder(shape)
        self.decoder = DrumDecoder(shape, seed)
