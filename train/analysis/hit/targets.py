"""Analysed hits as what a network should say, and how far what it says is from that.

Learning from these first is what makes a per-hit drum learn in minutes: a spectrum tells a frequency or a
decay that is far off next to nothing about where to go.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from train.analysis.hit.analyse import FLOOR, Analysis
from train.models.hit import shape as meaning
from train.models.hit.control import Hit, HitControl
from train.models.hit.shape import HitShape

AUDIBLE = 6.5  # nats below the loudest partial at which one no longer counts
LEAST_WEIGHT = 0.03
QUIET = -9.0  # log level that a slot without a partial should be below
AFTER_END = 0.15  # what the noise counts for after the sound's end
WEIGHTS = {
    "noise": 1.0,
    "level": 0.4,
    "frequency": 1.5,
    "decay": 0.4,
    "phase": 0.2,
    "glide": 0.1,
    "stroke": 0.15,
}


class Targets(NamedTuple):
    """Rows of tensors, one hit each; ``[N, modes]`` unless said otherwise.

    Attributes
    ----------
    there : Tensor of bool
        Whether a slot has a partial.
    place, decay, level, cosine, sine : Tensor
        How far from the anchor in parts of the spread; natural logs; start phase.
    weight : Tensor
        What each partial counts, in sum 1.
    glide : Tensor, shape (N, 2)
        Logs of amount and seconds.
    noise, noise_weight : Tensor, shapes (N, grid, bands) and (N, grid)
        Log gains, and what each point of the grid counts, in sum 1.
    stroke : Tensor, shape (N, transient)
        What the transient should be, already faded.
    """

    there: Tensor
    place: Tensor
    decay: Tensor
    level: Tensor
    cosine: Tensor
    sine: Tensor
    weight: Tensor
    glide: Tensor
    noise: Tensor
    noise_weight: Tensor
    stroke: Tensor

    def rows(self, picked: Tensor) -> Targets:
        """Some of the hits."""
        return Targets(*(table[picked] for table in self))


def targets_of(found: Sequence[Analysis], seconds: Sequence[float], shape: HitShape) -> Targets:
    """Stack analyses; ``seconds`` is how long each sound lasts."""

    def rows(values: list[np.ndarray]) -> Tensor:
        return torch.from_numpy(np.stack(values).astype(np.float32))

    hz, levels = rows([a.hz for a in found]), rows([a.levels for a in found])
    phases = rows([a.phases for a in found])
    there = hz > 0
    anchors, spreads = torch.from_numpy(shape.anchors_hz), torch.from_numpy(shape.spreads)
    place = torch.where(there, torch.log(hz.clamp(min=1.0) / anchors) / spreads, torch.zeros(()))
    weight = ((levels - levels.amax(1, keepdim=True)) / AUDIBLE + 1).clamp(LEAST_WEIGHT, 1) ** 2 * there
    glide = rows([np.array([np.clip(a.glide.amount, 1e-3, 4.0), a.glide.seconds]) for a in found])
    grid = np.array(shape.grid_ms) / 1000
    sounding = torch.from_numpy(np.where(grid[None] < np.array(seconds)[:, None] + 0.02, 1.0, AFTER_END))
    spaced = sounding * torch.from_numpy(np.gradient(grid))
    by_point, by_time = (w / w.sum(1, keepdim=True) for w in (sounding, spaced))
    fade = np.cos(np.arange(shape.transient) / shape.transient * np.pi / 2) ** 2
    strokes = [np.pad(a.rest, (0, shape.transient))[: shape.transient] * fade for a in found]
    return Targets(
        there,
        place,
        torch.log(rows([a.decays_s for a in found])),
        levels,
        torch.cos(phases),
        torch.sin(phases),
        weight / weight.sum(1, keepdim=True).clamp(min=1e-6),
        torch.log(glide),
        rows([a.noise for a in found]),
        (0.5 * (by_point + by_time)).float(),
        rows(strokes),
    )


def distance(hit: Hit, wanted: Targets, fade: Tensor) -> dict[str, Tensor]:
    """How far a network's answer is from analysed hits, by part; :data:`WEIGHTS` adds them up.

    Parameters
    ----------
    hit : Hit
        What the network says.
    wanted : Targets
        As many hits.
    fade : Tensor, shape (transient,)
        What the sound does to the transient.
    """
    count, modes = wanted.place.shape
    place, decay, level, cosine, sine = hit.modes[..., 0].reshape(count, 5, modes).unbind(1)
    weight = wanted.weight

    def weighed(far: Tensor) -> Tensor:
        return (weight * far).sum(1).mean()

    decay = torch.tanh(decay * 0.5) * meaning.DECAY_SPAN + float(np.log(meaning.DECAY_MIDDLE_S))
    level = level.clamp(meaning.LEVEL_LOWEST, meaning.LEVEL_HIGHEST)
    idle = ((level - QUIET).clamp(min=0) * ~wanted.there).mean()
    length = torch.rsqrt(cosine**2 + sine**2 + 1e-4)
    turned = (cosine * wanted.cosine + sine * wanted.sine) * length
    amount = hit.glide[:, 0, 0].clamp(meaning.GLIDE_LOWEST, meaning.GLIDE_HIGHEST) + meaning.GLIDE_OFFSET
    time = torch.tanh(hit.glide[:, 1, 0]) * meaning.GLIDE_TIME_SPAN + float(
        np.log(meaning.GLIDE_TIME_MIDDLE_S)
    )
    noise = hit.noise[..., 0].reshape(wanted.noise.shape)
    noise = noise.clamp(meaning.NOISE_LOWEST, meaning.NOISE_HIGHEST).clamp(min=FLOOR)
    stroke = (hit.transient[..., 0] * fade - wanted.stroke).abs().mean(1)
    return {
        "noise": ((noise - wanted.noise).abs().mean(2) * wanted.noise_weight).sum(1).mean(),
        "level": weighed((level - wanted.level).abs()) + 0.4 * idle,
        "frequency": weighed((torch.tanh(place) - wanted.place).abs()),
        "decay": weighed((decay - wanted.decay).abs()),
        "phase": weighed(1 - turned),
        "glide": (amount - wanted.glide[:, 0]).abs().mean() + 0.5 * (time - wanted.glide[:, 1]).abs().mean(),
        "stroke": (stroke / (wanted.stroke.abs().mean(1) + 1e-3)).mean(),
    }


def begin_at_mean(control: HitControl, wanted: Targets) -> None:
    """Set the output layers' offsets to the mean of analysed hits: the first thousand steps would do that."""
    modes = wanted.place.shape[1]
    mean_level, mean_decay = (
        (wanted.weight * row).sum(0) / wanted.weight.sum(0).clamp(min=1e-3)
        for row in (wanted.level, wanted.decay)
    )
    bent = (mean_decay - float(np.log(meaning.DECAY_MIDDLE_S))) / meaning.DECAY_SPAN
    with torch.no_grad():
        bias, noise = control.modes.bias, control.noise.bias
        assert bias is not None and noise is not None
        bias[2 * modes : 3 * modes] = mean_level
        bias[modes : 2 * modes] = 2 * torch.atanh(bent.clamp(-0.9, 0.9))
        noise.copy_(wanted.noise.mean(0).reshape(-1))
