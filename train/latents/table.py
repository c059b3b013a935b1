"""Latents for hands: rotated, ordered, signed, with quantile tables, a map and traversals.

The posterior means of the training data are turned onto their principal axes and scaled to unit spread; the
turn is folded into the decoder's first layer, so that it costs nothing on the module. Dimension 1 then
explains most, signs follow what can be heard, and a quantile table makes even travel of a knob cover the
training density evenly.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NotRequired, Protocol, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from common.figure import COLOURS, new_figure
from common.files import write_picture, write_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTILES = 33
EDGE = 0.005  # of the density is left beyond either end of the travel
UNUSED = 0.02  # variance of the means below which a latent says nothing
MAP_SIZE = 16


@dataclass(frozen=True)
class Rotation:
    """``z = matrix @ y``: from what hands move (y) to what the encoder wrote (z).

    Attributes
    ----------
    matrix : ndarray, shape (Z, Z)
        Principal axes times spreads, as columns.
    variance_share : ndarray, shape (Z,)
        Part of the variance of the posterior means that each dimension carries.
    """

    matrix: np.ndarray
    variance_share: np.ndarray


@dataclass(frozen=True)
class Block:
    """Latents that are turned among themselves only, because training tied them to something.

    Attributes
    ----------
    latents : tuple of int
        Which.
    tied : str
        To what; empty for the free ones.
    signed : bool
        Whether more of it already means more of that, so that its sign must stay.
    """

    latents: tuple[int, ...]
    tied: str = ""
    signed: bool = False


class LatentRow(TypedDict):
    """One dimension in the latent table."""

    name: str
    mean: float
    std: float
    variance_share: float
    sign: str
    quantiles: list[float]
    tied: NotRequired[str]
    rest: NotRequired[float]


class PlaneMap(TypedDict):
    """Latents ``[size, size, Z]`` at even places of a plane."""

    size: int
    grid: list[list[list[float]]]


@dataclass(frozen=True)
class PreparedLatents:
    """A trained task's latents, rotated.

    Attributes
    ----------
    latents : list of LatentRow
        The latent table.
    map : PlaneMap
        The plane.
    rotation : list, shape (Z, Z)
        From what hands move to what the encoder wrote.
    places : ndarray, shape (N, 2)
        Where each training item lies on the plane.
    means : ndarray, shape (N, Z)
        Its rotated posterior mean.
    """

    latents: list[LatentRow]
    map: PlaneMap
    rotation: list[list[float]]
    places: np.ndarray
    means: np.ndarray


class TrainedTask(Protocol):
    """What a task (``train/tasks/base.py``) tells about its latents."""

    model: nn.Module
    recipe: Any

    def latent_layer(self) -> tuple[nn.Module, slice] | None:
        """The first decoder layer that reads z, and which of its input channels are z."""

    def latent_blocks(self) -> list[Block]:
        """Which latents may be turned together."""

    def encoder_inputs(self, split: str) -> Iterable[Tensor]:
        """What the encoder reads of every item of a split, in batches, in order."""

    def descriptors(self, split: str) -> dict[str, np.ndarray]:
        """Measured quantities of every item of a split, for the latents' signs."""

    def kinds_of_items(self, split: str) -> list[str]:
        """A word for every item of a split, to colour the map by."""

    def home(self) -> int | None:
        """The training item at whose latents the model rests; None: at the means."""

    def traversal(self, z: Tensor, title: str) -> tuple[Any, np.ndarray | None, int]:
        """Picture, sound and sample rate of what z decodes to."""


class RotatedEncoder(nn.Module):
    """An encoder whose posterior is told in rotated coordinates."""

    def __init__(self, encoder: nn.Module, latents: int):
        super().__init__()
        self.encoder = encoder
        self.register_buffer("inverse", torch.eye(latents))
        self.inverse: Tensor

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log-variance of y; the covariance that rotation brings is left out."""
        return self.turned(*self.encoder(x))

    def turned(self, mean: Tensor, log_variance: Tensor) -> tuple[Tensor, Tensor]:
        """A posterior of the encoder, ``[N, Z]`` or ``[N, Z, T]``, in rotated coordinates."""
        mean, variance = mean.movedim(1, -1), torch.exp(log_variance).movedim(1, -1)
        mean, variance = mean @ self.inverse.T, variance @ (self.inverse**2).T
        return mean.movedim(-1, 1), torch.log(variance + 1e-12).movedim(-1, 1)


def principal_rotation(means: np.ndarray, variances: np.ndarray) -> Rotation:
    """Find the principal axes of posterior means.

    Parameters
    ----------
    means, variances : ndarray, shape (N, Z)
        Of every training item's posterior.
    """
    covariance = np.cov(means.T).reshape(means.shape[1], -1)
    values, axes = np.linalg.eigh(covariance)
    order = np.argsort(values)[::-1]
    values, axes = np.maximum(values[order], 0.0), axes[:, order]
    # A dimension nobody uses keeps the prior's unit spread, so that its table is the prior's and not noise.
    spread = np.where(values > UNUSED, np.sqrt(values), 1.0)
    return Rotation(axes * spread, values / max(values.sum(), 1e-12))


def blockwise_rotation(means: np.ndarray, variances: np.ndarray, blocks: Sequence[Block]) -> Rotation:
    """Principal axes of each block by itself, in the order of the blocks; shares are of all the variance."""
    matrix, shares = np.zeros((means.shape[1],) * 2), np.zeros(means.shape[1])
    total = max(float(means.var(0, ddof=1).sum()), 1e-12)
    column = 0
    for block in blocks:
        rows = list(block.latents)
        turned = principal_rotation(means[:, rows], variances[:, rows])
        columns = slice(column, column + len(rows))
        matrix[rows, columns] = turned.matrix
        shares[columns] = turned.variance_share * float(means[:, rows].var(0, ddof=1).sum()) / total
        column += len(rows)
    return Rotation(matrix, shares)


def fold(task: TrainedTask, rotation: Rotation) -> None:
    """Fold the rotation into the decoder's first layer and put it behind the encoder, in place."""
    layer = task.latent_layer()
    assert layer is not None
    module, part = layer
    matrix = torch.tensor(rotation.matrix, dtype=torch.float64)
    with torch.no_grad():
        weight = module.weight  # type: ignore[union-attr]
        assert isinstance(weight, Tensor)
        old = weight.double().clone()
        if isinstance(module, nn.ConvTranspose1d):  # [in, out, kernel]
            weight[part] = torch.einsum("iok,ij->jok", old[part], matrix.to(old)).to(weight)
        else:  # [out, in, kernel]
            weight[:, part] = torch.einsum("oik,ij->ojk", old[:, part], matrix.to(old)).to(weight)
    wrapped = RotatedEncoder(task.model.encoder, matrix.shape[0])  # type: ignore[arg-type]
    wrapped.inverse.copy_(torch.linalg.inv(matrix).float())
    task.model.encoder = wrapped


def signs(means: np.ndarray, descriptors: dict[str, np.ndarray]) -> tuple[np.ndarray, list[str]]:
    """Choose the sign of each dimension: the descriptor it follows most closely must rise with it.

    Parameters
    ----------
    means : ndarray, shape (N, Z)
        Rotated posterior means.
    descriptors : dict of str to ndarray, shape (N,)
        What was measured of the same items.

    Returns
    -------
    signs : ndarray of ±1, shape (Z,)
    words : list of str
        "brightness +0.71" for each dimension (Spearman's coefficient).
    """
    from scipy.stats import spearmanr

    flips, words = np.ones(means.shape[1]), []
    for i in range(means.shape[1]):
        found = {}
        for name, values in descriptors.items():
            if np.ptp(values) > 0 and np.ptp(means[:, i]) > 0:
                found[name] = float(spearmanr(means[:, i], values).statistic)
        if not found:
            words.append("")
            continue
        name = max(found, key=lambda n: abs(found[n]))
        flips[i] = 1.0 if found[name] >= 0 else -1.0
        words.append(f"{name} {abs(found[name]):+.2f}")
    return flips, words


def quantile_table(values: np.ndarray) -> list[float]:
    """Values at even probabilities between the edges, strictly rising."""
    table = np.quantile(values, np.linspace(EDGE, 1 - EDGE, QUANTILES))
    for i in range(1, QUANTILES):
        table[i] = max(table[i], table[i - 1] + 1e-6)
    return [round(float(v), 6) for v in table]


def posterior(task: TrainedTask, split: str = "train") -> tuple[np.ndarray, np.ndarray]:
    """Posterior means and variances of a split, each ``[N, Z]``; of latents that move, every frame is one."""
    means, variances = [], []
    task.model.eval()
    with torch.no_grad():
        for x in task.encoder_inputs(split):
            mean, log_variance = task.model.encoder(x)  # type: ignore[operator]
            means.append(_rows(mean))
            variances.append(_rows(log_variance.exp()))
    return np.concatenate(means), np.concatenate(variances)


def _rows(x: Tensor) -> np.ndarray:
    """``[N, Z]`` or ``[N, Z, T]`` as float64 ``[N · T, Z]``."""
    return x.double().movedim(1, -1).reshape(-1, x.shape[1]).numpy()


def prepare_latents(task: TrainedTask) -> PreparedLatents:
    """Rotate a trained task's latents, in place, and describe them.

    Returns
    -------
    PreparedLatents
    """
    means, variances = posterior(task)
    blocks = task.latent_blocks()
    rotation = blockwise_rotation(means, variances, blocks)
    descriptors = task.descriptors("train")
    rotated = means @ np.linalg.inv(rotation.matrix).T
    flips, words = signs(rotated, descriptors)
    owners = [block for block in blocks for _ in block.latents]
    flips = np.where([block.signed for block in owners], 1.0, flips)
    rotation = Rotation(rotation.matrix * flips, rotation.variance_share)
    rotated = rotated * flips
    fold(task, rotation)
    spread_left = variances @ (np.linalg.inv(rotation.matrix) ** 2).T
    table: list[LatentRow] = []
    home = task.home()
    for i in range(rotated.shape[1]):
        used = float(np.cov(means.T).reshape(len(flips), -1).trace() * rotation.variance_share[i]) > UNUSED
        values = rotated[:, i] if used else np.random.default_rng(i).standard_normal(4096)
        row: LatentRow = {
            "name": f"z{i + 1}",
            "mean": round(float(rotated[:, i].mean()), 6) if used else 0.0,
            "std": round(float(np.sqrt(rotated[:, i].var() + spread_left[:, i].mean())), 6),
            "variance_share": round(float(rotation.variance_share[i]), 6),
            "sign": words[i] if used else "unused",
            "quantiles": quantile_table(values),
        }
        if owners[i].tied:
            row["tied"] = owners[i].tied
        if home is not None and used:
            row["rest"] = round(float(rotated[home, i]), 6)
        table.append(row)
    plane, places = plane_map(rotated, task.recipe.seed)
    grid = np.round(plane, 4).tolist()
    return PreparedLatents(table, {"size": MAP_SIZE, "grid": grid}, rotation.matrix.tolist(), places, rotated)


def plane_map(means: np.ndarray, seed: int, steps: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Lay the latents out on a plane: a small autoencoder through two numbers, its axes evened out.

    Parameters
    ----------
    means : ndarray, shape (N, Z)
        Rotated posterior means.

    Returns
    -------
    grid : ndarray, shape (MAP_SIZE, MAP_SIZE, Z)
        Latents at even places of the plane; [row = y, column = x].
    places : ndarray, shape (N, 2)
        Where each item lies, 0..1.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        size = means.shape[1]
        inward = nn.Sequential(nn.Linear(size, 32), nn.Tanh(), nn.Linear(32, 2))
        outward = nn.Sequential(nn.Linear(2, 32), nn.Tanh(), nn.Linear(32, size))
        x = torch.tensor(means, dtype=torch.float32)
        optimizer = torch.optim.Adam([*inward.parameters(), *outward.parameters()], lr=1e-2)
        for _ in range(steps):
            batch = x[torch.randint(len(x), (256,))]
            code = inward(batch)
            loss = ((outward(code) - batch) ** 2).mean() + 1e-3 * (code**2).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        with torch.no_grad():
            codes = inward(x).numpy()
            ranks = np.stack([np.argsort(np.argsort(codes[:, i])) for i in range(2)], 1) / max(1, len(x) - 1)
            travel = np.linspace(EDGE, 1 - EDGE, MAP_SIZE)
            axes = [np.quantile(codes[:, i], travel) for i in range(2)]
            cells = np.stack(np.meshgrid(axes[0], axes[1]), -1).reshape(-1, 2)
            grid = outward(torch.tensor(cells, dtype=torch.float32)).numpy()
    return grid.reshape(MAP_SIZE, MAP_SIZE, size), ranks


def write_pictures(task: TrainedTask, prepared: PreparedLatents, folder: Path) -> None:
    """Write the map and every dimension's traversal as picture and sound."""
    import soundfile

    folder.mkdir(parents=True, exist_ok=True)
    figure = map_figure(prepared.places, task.kinds_of_items("train"))
    write_picture(folder / "map.png", figure, 110)
    centre = torch.tensor([[row["mean"] for row in prepared.latents]])
    for index, row in enumerate(prepared.latents):
        if row["sign"] == "unused":
            continue
        positions = np.linspace(0, 1, 5)
        z = centre.repeat(5, 1)
        z[:, index] = torch.tensor(
            np.interp(positions, np.linspace(0, 1, QUANTILES), row["quantiles"]), dtype=z.dtype
        )
        title = f"{row['name']}: {row['variance_share']:.0%} of the variance, {row['sign']}"
        figure, audio, rate = task.traversal(z, title)
        write_picture(folder / f"{row['name']}.png", figure, 80)
        if audio is not None:
            soundfile.write(folder / f"{row['name']}.wav", audio, rate)


def map_figure(places: np.ndarray, kinds: Sequence[str]) -> Figure:
    """Where every training item lies on the plane, coloured by its kind."""
    figure, axes = new_figure(width=7, height=5.6)
    axis = axes[0, 0]
    kinds_array = np.array(kinds)
    for number, kind in enumerate(sorted(set(kinds))):
        at = places[kinds_array == kind]
        mark = "o^s"[number // len(COLOURS) % 3]
        axis.scatter(*at.T, s=7, color=COLOURS[number % len(COLOURS)], marker=mark, label=kind)
    axis.set(xlabel="x", ylabel="y", xlim=(0, 1), ylim=(0, 1), title="the plane of training items")
    axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=7, markerscale=2)
    return figure


def save_table(prepared: PreparedLatents, path: Path) -> None:
    """Write what the run keeps of its latents."""
    kept = {"latents": prepared.latents, "map": prepared.map, "rotation": prepared.rotation}
    write_text(path, json.dumps(kept))
