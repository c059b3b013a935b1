"""Time since the trigger, as the smooth signals a drum decoder reads.

Channels, for t seconds since the trigger (t < 0: not yet struck, all zero), in this order:

    gate        min(1, max(0, (window − t) / fade))     1 while sounding, 0 from ``window`` on
    ramp        t / window
    decays      exp(−t / τ) for every τ
    sines       sin(2π·f·t) for every f
    cosines     cos(2π·f·t) for every f

all multiplied by the gate's support (0 ≤ t < window). ``t`` belongs to the first sample of the frame and may
be a fraction of a sample: a trigger keeps its place to better than the control rate. Every value lies in
[−1, 1]. The engine computes the same from the model file's time basis.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from common.model_metadata import DECAYS_AND_TONES, ModelMetadata
from common.refusal import Refusal


def tone_grid(
    count: int, low_hz: float = 30.0, high_hz: float = 1500.0, bend_hz: float = 150.0
) -> list[float]:
    """Spread frequencies evenly over ``f + bend·log f``-like scale: linear below ``bend_hz``, log above.

    Neighbours are near enough for their beating to stand for any pitch between them over the length of
    a drum hit, and no denser.
    """
    low, high = np.arcsinh(low_hz / bend_hz), np.arcsinh(high_hz / bend_hz)
    return [round(float(bend_hz * np.sinh(u)), 3) for u in np.linspace(low, high, count)]


@dataclass(frozen=True)
class TimeBasis:
    """The constants of the basis.

    Attributes
    ----------
    window_s, fade_s : float
        When a hit is over, and the length of the fade before that, seconds.
    decays_s : tuple of float
        Time constants τ.
    frequencies_hz : tuple of float
        Tone grid.
    """

    window_s: float
    fade_s: float
    decays_s: tuple[float, ...]
    frequencies_hz: tuple[float, ...]

    @classmethod
    def of(cls, about: ModelMetadata) -> TimeBasis:
        """The basis that a model file states.

        Raises
        ------
        Refusal
            It states none, or one that is not known.
        """
        constants = about.time_basis.constants if about.time_basis else None
        if constants is None:
            raise Refusal(f"the model {about.name} states no time basis of decays and tones; train it again.")
        decays_s, frequencies_hz = tuple(constants.decays_s), tuple(constants.frequencies_hz)
        return cls(constants.window_s, constants.fade_s, decays_s, frequencies_hz)

    @property
    def smooth(self) -> int:
        """Channels before the tones: gate, ramp, decays."""
        return 2 + len(self.decays_s)

    @property
    def tones(self) -> int:
        """Frequencies; each has a sine and a cosine channel."""
        return len(self.frequencies_hz)

    @property
    def channels(self) -> int:
        """All channels."""
        return self.smooth + 2 * self.tones

    def names(self) -> list[str]:
        """Channel names, in order."""
        return [
            "gate",
            "ramp",
            *(f"decay {tau:g} s" for tau in self.decays_s),
            *(f"sin {f:g} Hz" for f in self.frequencies_hz),
            *(f"cos {f:g} Hz" for f in self.frequencies_hz),
        ]

    def __call__(self, seconds: Tensor) -> Tensor:
        """Evaluate.

        Parameters
        ----------
        seconds : Tensor, shape (N, T)
            Time since the trigger at every frame; negative before it.

        Returns
        -------
        Tensor, shape (N, channels, T), float32
        """
        t = seconds.double()[:, None, :]
        sounding = ((t >= 0) & (t < self.window_s)).double()
        decays = torch.tensor(self.decays_s, dtype=torch.float64, device=t.device)[None, :, None]
        phase = 2 * torch.pi * torch.tensor(self.frequencies_hz, dtype=torch.float64, device=t.device)
        phase = phase[None, :, None] * t
        parts = [
            ((self.window_s - t) / self.fade_s).clamp(0, 1),
            t / self.window_s,
            torch.exp(-t.clamp(min=0) / decays),
            torch.sin(phase),
            torch.cos(phase),
        ]
        return (torch.cat(parts, 1) * sounding).float()

    def metadata(self) -> dict[str, Any]:
        """What the model file says of it."""
        constants = {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}
        return {"kind": DECAYS_AND_TONES, "constants": constants, "channels": self.names()}
