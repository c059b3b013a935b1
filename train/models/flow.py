"""An invertible flow between latents and the parameters of an effect, one map for each type of effect.

Affine coupling layers (RealNVP, Dinh et al. 2017) that know the type, between latents ``z`` and coordinates
``u`` of the same number: the first of ``u`` are the type's parameters, standardised, the others are whatever
else the latents say. Used as by Esling et al. (Flow Synthesizer, 2019): knobs speak in parameters through the
inverse, a latent is read as parameters forwards, and the density says which type it belongs to.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

REACH = 0.5  # the logarithm of a coupling's scale stays within ±this


class Coupling(nn.Module):
    """Scale and shift one half of the coordinates by what the other half and the type say."""

    def __init__(self, size: int, types: int, hidden: int, flipped: bool):
        super().__init__()
        order = torch.arange(size).flip(0) if flipped else torch.arange(size)
        kept = size // 2 if size > 1 else 0
        self.register_buffer("kept", order[:kept], persistent=False)
        self.register_buffer("moved", order[kept:], persistent=False)
        self.kept: Tensor
        self.moved: Tensor
        self.body = nn.Sequential(
            nn.Linear(kept + types, hidden), nn.SiLU(), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, 2 * (size - kept))
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def _scale_and_shift(self, x: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        scale, shift = self.out(self.body(torch.cat([x[:, self.kept], kind], 1))).chunk(2, 1)
        return REACH * torch.tanh(scale / REACH), shift

    def forward(self, x: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """From the latents' side; also the logarithm of the volume's change, ``[N]``."""
        scale, shift = self._scale_and_shift(x, kind)
        y = x.clone()
        y[:, self.moved] = (x[:, self.moved] + shift) * torch.exp(scale)
        return y, scale.sum(1)

    def inverse(self, y: Tensor, kind: Tensor) -> Tensor:
        """Back."""
        scale, shift = self._scale_and_shift(y, kind)
        x = y.clone()
        x[:, self.moved] = y[:, self.moved] * torch.exp(-scale) - shift
        return x


class ParameterFlow(nn.Module):
    """Latents ``z [N, Z]`` of known type to coordinates ``u [N, Z]`` and back, exactly.

    Parameters
    ----------
    size : int
        Z.
    types : int
        Kinds of effect.
    known : Tensor, shape (types, Z)
        1 where a coordinate of a type is one of its parameters, else 0.
    layers, hidden : int
        Couplings, and the width of their networks.
    """

    def __init__(self, size: int, types: int, known: Tensor, layers: int = 6, hidden: int = 64):
        super().__init__()
        self.types = types
        self.register_buffer("known", known.float())
        self.known: Tensor
        self.couplings = nn.ModuleList(
            Coupling(size, types, hidden, flipped=bool(i % 2)) for i in range(layers)
        )
        # Each type begins with its own place and size, and its parameters with how surely they can be read.
        self.centre = nn.Parameter(torch.zeros(types, size))
        self.log_size = nn.Parameter(torch.zeros(types, size))
        self.log_doubt = nn.Parameter(torch.full((types, size), -1.0))

    def _one_hot(self, kind: Tensor) -> Tensor:
        return nn.functional.one_hot(kind, self.types).float()

    def forward(self, z: Tensor, kind: Tensor) -> tuple[Tensor, Tensor]:
        """``z`` and type numbers ``kind [N]`` to ``u`` and the logarithm of the volume's change, ``[N]``."""
        hot = self._one_hot(kind)
        u = (z - self.centre[kind]) * torch.exp(-self.log_size[kind])
        volume = -self.log_size[kind].sum(1)
        for coupling in self.couplings:
            u, change = coupling(u, hot)
            volume = volume + change
        return u, volume

    def inverse(self, u: Tensor, kind: Tensor) -> Tensor:
        """``u`` back to ``z``."""
        hot = self._one_hot(kind)
        for coupling in reversed(self.couplings):
            u = coupling.inverse(u, hot)  # type: ignore[operator]
        return u * torch.exp(self.log_size[kind]) + self.centre[kind]

    def _stated(self, kind: Tensor, parameters: Tensor) -> Tensor:
        return (self.known[kind] > 0) & torch.isfinite(parameters)

    def corrected(self, z: Tensor, kind: Tensor, parameters: Tensor, reach: float = 2.0) -> Tensor:
        """Latents ``[N, Z]`` that read as the parameters and otherwise as ``z``, but within ±``reach``.

        NaN in ``parameters [N, Z]`` means not known.
        """
        u, _ = self(z, kind)
        wanted = torch.where(self._stated(kind, parameters), parameters, u.clamp(-reach, reach))
        return self.inverse(wanted, kind)

    def log_likelihood(self, z: Tensor, kind: Tensor, parameters: Tensor) -> Tensor:
        """Of latents whose parameters are known, ``[N]``: NaN in ``parameters [N, Z]`` means not known."""
        u, volume = self(z, kind)
        stated = self._stated(kind, parameters)
        doubt = torch.where(stated, self.log_doubt[kind], 0.0)
        off = u - torch.where(stated, parameters, 0.0)
        each = -0.5 * (off * torch.exp(-doubt)) ** 2 - doubt - 0.5 * math.log(2 * math.pi)
        return each.sum(1) + volume

    def density(self, z: Tensor) -> Tensor:
        """Log-density of latents under every type with its parameters unknown, ``[N, types]``."""
        columns = []
        for number in range(self.types):
            u, volume = self(z, torch.full((len(z),), number, device=z.device))
            columns.append((-0.5 * u**2 - 0.5 * math.log(2 * math.pi)).sum(1) + volume)
        return torch.stack(columns, 1)
