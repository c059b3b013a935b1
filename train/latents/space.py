"""Space matching: where the parameters of effects lie among the latents of a drive run, and back.

A run's posteriors over its training pairs, each with its type and parameters, are given to an invertible
flow (:mod:`train.models.flow`). The flow is fitted once and kept beside the run as ``flow.pt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from common.files import whole
from common.refusal import Refusal
from train.attributes.effect import ParameterTable, Setting
from train.models.flow import ParameterFlow

FILE = "flow.pt"
STEPS = 1500
BATCH = 256
RATE = 3e-3
DECAY = 0.03
JITTER = 0.3  # of an effect's own spread, added to every draw: few pairs must not be learnt by heart


@dataclass(frozen=True)
class Reading:
    """What a point of the latent space is, in words.

    Attributes
    ----------
    effect : str
        Likeliest type.
    probability : float
        Of that type among all, before which none was likelier than another.
    parameters : dict
        As that type would have them.
    others : dict
        Probability of every type.
    """

    effect: str
    probability: float
    parameters: dict[str, float]
    others: dict[str, float]


class Space:
    """A fitted flow and the table of what its coordinates mean."""

    def __init__(self, table: ParameterTable, flow: ParameterFlow):
        self.table, self.flow = table, flow.eval()

    def read(self, z: np.ndarray) -> Reading:
        """Read one point ``[Z]``."""
        with torch.no_grad():
            density = self.flow.density(torch.from_numpy(z[None].astype(np.float32)))[0]
        chances = torch.softmax(density, 0).tolist()
        best = int(np.argmax(chances))
        effect = self.table.effects[best]
        return Reading(
            effect,
            chances[best],
            self.parameters(z, effect),
            dict(zip(self.table.effects, chances, strict=True)),
        )

    def coordinates(self, z: np.ndarray, effect: str) -> np.ndarray:
        """``z [N, Z]`` as coordinates of an effect."""
        kind = torch.full((len(z),), self.table.effects.index(effect))
        with torch.no_grad():
            return self.flow(torch.from_numpy(z.astype(np.float32)), kind)[0].numpy()

    def parameters(self, z: np.ndarray, effect: str) -> dict[str, float]:
        """Parameters of one point ``[Z]``, taken for an effect."""
        u = self.coordinates(z[None], effect)[0]
        scales = self.table.scales[self.table.effects.index(effect)]
        return {scale.name: scale.mean + scale.spread * float(v) for scale, v in zip(scales, u, strict=False)}

    def latents(self, effect: str, u: np.ndarray) -> np.ndarray:
        """The points ``[N, Z]`` of standardised coordinates ``u [N, Z]`` of an effect."""
        kind = torch.full((len(u),), self.table.effects.index(effect))
        with torch.no_grad():
            return self.flow.inverse(torch.from_numpy(u.astype(np.float32)), kind).numpy()

    def save(self, path: Path) -> None:
        """Write under a temporary name and rename."""
        with whole(path) as part:
            torch.save({"table": self.table.as_json(), "flow": self.flow.state_dict()}, part)

    @classmethod
    def load(cls, path: Path) -> Space:
        """Read what :meth:`save` wrote.

        Raises
        ------
        Refusal
            When the file is damaged.
        """
        try:
            kept = torch.load(path, map_location="cpu", weights_only=True)
            table = ParameterTable.from_json(kept["table"])
            flow = ParameterFlow(table.latents, len(table.effects), torch.from_numpy(table.known()))
            flow.load_state_dict(kept["flow"])
        except Exception as error:
            raise Refusal(
                f"{path} cannot be read ({type(error).__name__}); remove it, it is fitted again when needed"
            ) from None
        return cls(table, flow)


def fit_space(
    items: Sequence[Setting], means: np.ndarray, spreads: np.ndarray, seed: int = 1, steps: int = STEPS
) -> Space:
    """Fit a flow to posteriors of known type and parameters.

    Every step draws its points anew from the posteriors, each effect as often as any other.

    Parameters
    ----------
    items : sequence of dict
        Manifest rows of the training pairs.
    means, spreads : ndarray, shape (N, Z)
        Of their posteriors.
    """
    table = ParameterTable.of(items, means.shape[1])
    kinds = np.array([table.effects.index(item["effect"]) for item in items])
    wanted = torch.from_numpy(table.standardised(items))
    z, deviation = torch.from_numpy(means.astype(np.float32)), torch.from_numpy(spreads.astype(np.float32))
    members = [torch.from_numpy(np.flatnonzero(kinds == number)) for number in range(len(table.effects))]
    own = torch.stack([z[some].std(0, correction=0) for some in members])
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        flow = ParameterFlow(table.latents, len(table.effects), torch.from_numpy(table.known()))
        with torch.no_grad():
            for number, some in enumerate(members):
                flow.centre[number] = z[some].mean(0)
                flow.log_size[number] = torch.log((z[some].var(0, correction=0) + 0.05**2).sqrt())
        optimizer = torch.optim.AdamW(flow.parameters(), lr=RATE, weight_decay=DECAY)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        for _ in range(steps):
            numbers = torch.randint(len(members), (BATCH,)).tolist()
            picked = torch.stack([members[n][torch.randint(len(members[n]), ())] for n in numbers])
            jitter = torch.sqrt(deviation[picked] ** 2 + (JITTER * own[numbers]) ** 2)
            drawn = z[picked] + jitter * torch.randn(BATCH, table.latents)
            loss = -flow.log_likelihood(drawn, torch.tensor(numbers), wanted[picked]).mean()
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(flow.parameters(), 5.0)
            optimizer.step()
            schedule.step()
    return Space(table, flow)


def open_space(folder: Path, task: Any) -> Space:
    """The space of a run: read, or fitted to its prepared training split and kept."""
    path = folder / FILE
    if path.exists():
        return Space.load(path)
    from train.latents.table import posterior

    means, variances = posterior(task, "train")
    items = [task.data.manifest[index] for index in task.picked["train"].tolist()]
    space = fit_space(items, means, np.sqrt(variances), task.recipe.seed)
    space.save(path)
    return space
