"""What the latents of runs know: linear probes of effect parameters, neighbours of one kind, a t-SNE map.

A probe is a ridge regression (Alain and Bengio 2016 ask it of layers; here of z): what one parameter is, from
the latents of the wet clip, or from their difference to the dry clip's. It is fitted on the training split
and told by its R² on another. Chance is the R² that 19 of 20 probes with shuffled parameters stay below.
The t-SNE (van der Maaten and Hinton 2008) and the rest are scikit-learn's.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from common.files import write_picture, write_text
from common.refusal import Refusal
from train.analysis.probe_report import LinearProbe, Neighbours, ProbedRun, ProbeReport, ProbeRow
from train.attributes.effect import amount_of
from train.data.clips import NO_EFFECT, Clip

if TYPE_CHECKING:
    from train.data.store import DataSet
    from train.tasks.base import Task

FEWEST = {"train": 20, "tested": 6}  # different clips that a probe needs
SHUFFLES = 40
NEIGHBOURS = 5
MAP_ITEMS = 1500
ALPHAS = np.logspace(-2, 4, 25)


def probe_runs(
    runs: Sequence[str | Path],
    data: DataSet,
    out: str | Path,
    *,
    split: str = "test",
    watch: Callable[[str], None] = lambda _: None,
) -> ProbeReport:
    """Probe the latents of finished runs, draw them, and write ``probes.json``.

    Parameters
    ----------
    runs : sequence of path
        Run folders, of one or several compressions.
    data : DataSet
        That they are probed on.
    out : path
        Folder of figures and tables.
    split : str
        What the probes are told by; never ``train``.
    watch : callable
        Told what is being done.

    Returns
    -------
    ProbeReport
        What ``probes.json`` holds.

    Raises
    ------
    Refusal
        On data of another kind, or a split that the probes learn from.
    """
    from train.analysis.probe_figures import directions_figure, probes_figure, tsne_figure
    from train.latents.table import posterior
    from train.run import load_run

    if split not in ("validation", "test"):
        raise Refusal(f"probes learn from the training split, so --split {split} says nothing; take test")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[ProbedRun] = []
    previous: Task | None = None
    for number, directory in enumerate(runs, 1):
        run = load_run(directory)
        watch(f"{number} of {len(runs)}: clips of {directory}")
        run.task.check_data(data, f"{directory} is probed on")
        if previous is None or not run.task.share(previous):
            run.prepare("train", split, data=data)
        previous = run.task
        means = {name: posterior(run.task, name)[0] for name in ("train", split)}
        known = {name: run.task.known_items(name) for name in ("train", split)}
        watch(f"{number} of {len(runs)}: probes of {directory}")
        found = probes(means["train"], known["train"], means[split], known[split])
        name = f"{Path(directory).name}_{number}" if len(runs) > 1 else Path(directory).name
        row: ProbedRun = {
            "run": str(directory),
            "name": name,
            "latents": run.task.latents,
            "score": run.card["metrics"]["score"],
            "neighbours": neighbours(means["train"], known["train"], means[split], known[split]),
            "probes": found,
        }
        rows.append(row)
        watch(f"{number} of {len(runs)}: t-SNE of {directory}")
        places, shown = tsne(np.concatenate(list(means.values())), run.recipe.seed)
        clips = [clip for part in known.values() for clip in part]
        write_picture(
            folder / f"tsne_{name}.png",
            tsne_figure(
                places, [clips[i] for i in shown], amounts(clips)[shown], f"{run.task.latents} latents"
            ),
        )
        if found:
            write_picture(folder / f"directions_{name}.png", directions_figure(row))
    if any(row["probes"] for row in rows):
        write_picture(folder / "probes.png", probes_figure(rows, split))
    report: ProbeReport = {
        "data": {"path": str(data.directory), "hash": data.hash},
        "split": split,
        "runs": rows,
    }
    write_text(folder / "probes.json", json.dumps(report, indent=1))
    return report


def amounts(clips: Sequence[Clip]) -> np.ndarray:
    """Amount of every clip by rank among its effect's, 0..1, ``[N]``; NaN where nothing says it."""
    found = np.array([told[1] if (told := amount_of(c.parameters)) else np.nan for c in clips])
    out = np.full(len(clips), np.nan)
    effects = np.array([c.effect for c in clips])
    for effect in set(effects) - {NO_EFFECT}:
        here = np.flatnonzero((effects == effect) & np.isfinite(found))
        values = np.unique(found[here])
        if len(values) > 1:
            out[here] = np.interp(found[here], values, np.linspace(0, 1, len(values)))
    return out


def targets(clips: Sequence[Clip]) -> dict[tuple[str, str], np.ndarray]:
    """Values of every parameter of every effect, ``[N]`` with NaN elsewhere; frequencies as octaves.

    ``("any effect", "amount")`` is the rank of the amount, whatever the effect.
    """
    out: dict[tuple[str, str], np.ndarray] = {}
    for index, clip in enumerate(clips):
        for name, value in clip.parameters.items():
            column = out.setdefault((clip.effect, name), np.full(len(clips), np.nan))
            column[index] = np.log2(max(value, 1e-3)) if name.endswith("_hz") else value
    ranked = amounts(clips)
    if np.isfinite(ranked).any():
        out["any effect", "amount"] = ranked
    return out


def probes(
    z: np.ndarray, clips: Sequence[Clip], z_tested: np.ndarray, tested: Sequence[Clip]
) -> list[ProbeRow]:
    """Fit a probe for every parameter that varies, on ``z [N, Z]``; tell it on the tested ``[M, Z]``.

    Returns
    -------
    list of ProbeRow
    """
    rows: list[ProbeRow] = []
    learnt, asked = targets(clips), targets(tested)
    for key in sorted(set(learnt) & set(asked)):
        here, there = (np.flatnonzero(np.isfinite(side[key])) for side in (learnt, asked))
        y, y_tested = learnt[key][here], asked[key][there]
        if len(here) < FEWEST["train"] or len(there) < FEWEST["tested"]:
            continue
        if np.ptp(y) == 0 or len(np.unique(y_tested)) < 3:
            continue
        row: ProbeRow = {
            "effect": key[0],
            "parameter": key[1],
            "clips": len(here),
            "tested_clips": len(there),
            "from_point": linear_probe(z[here], y, z_tested[there], y_tested),
        }
        pairs = [
            np.array([side[i].dry for i in some.tolist()]) for side, some in ((clips, here), (tested, there))
        ]
        if all((dry >= 0).all() for dry in pairs):
            row["from_difference"] = linear_probe(
                z[here] - z[pairs[0]], y, z_tested[there] - z_tested[pairs[1]], y_tested
            )
        rows.append(row)
    return rows


def linear_probe(x: np.ndarray, y: np.ndarray, x_tested: np.ndarray, y_tested: np.ndarray) -> LinearProbe:
    """Ridge regression of ``y [N]`` on ``x [N, Z]``, its penalty by leave-one-out, told on what is tested."""
    from sklearn.linear_model import Ridge, RidgeCV

    chosen = RidgeCV(ALPHAS).fit(x, y)
    rng = np.random.default_rng(0)
    values, which = np.unique(y, return_inverse=True)
    lucky = []
    for _ in range(SHUFFLES):
        # Clips of one item share its parameters: they are shuffled together.
        shuffled = rng.permutation(values)[which]
        lucky.append(r_squared(Ridge(chosen.alpha_).fit(x, shuffled).predict(x_tested), y_tested))
    norm = float(np.linalg.norm(chosen.coef_))
    return {
        "r2": r_squared(chosen.predict(x_tested), y_tested),
        "chance": float(np.quantile(lucky, 0.95)),
        "direction": [round(float(w) / max(norm, 1e-12), 4) for w in chosen.coef_],
    }


def r_squared(predicted: np.ndarray, wanted: np.ndarray) -> float:
    """Part of the variance that is explained: 1 at best, 0 for the mean, below it for worse."""
    return float(1 - ((predicted - wanted) ** 2).sum() / ((wanted - wanted.mean()) ** 2).sum())


def neighbours(
    z: np.ndarray, clips: Sequence[Clip], z_tested: np.ndarray, tested: Sequence[Clip]
) -> dict[str, Neighbours]:
    """How often the nearest training clips name a tested clip's sound and its effect.

    Beside it stands the training split's commonest name. Effects are asked of the data sets that have some.
    """
    from sklearn.neighbors import KNeighborsClassifier

    with_effects = {clip.data_set for clip in clips if clip.effect != NO_EFFECT}
    out: dict[str, Neighbours] = {}
    for what in ("sound", "effect"):
        here, there = (
            [i for i, clip in enumerate(side) if what == "sound" or clip.data_set in with_effects]
            for side in (clips, tested)
        )
        names = [getattr(clips[i], what) for i in here]
        if len(set(names)) < 2 or not there:
            continue
        truth = np.array([getattr(tested[i], what) for i in there])
        voters = KNeighborsClassifier(min(NEIGHBOURS, len(here))).fit(z[here], names)
        commonest = max(sorted(set(names)), key=names.count)
        out[what] = {
            "accuracy": float((voters.predict(z_tested[there]) == truth).mean()),
            "commonest": float((truth == commonest).mean()),
            "names": len(set(names)),
        }
    return out


def tsne(z: np.ndarray, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lay latents ``[N, Z]`` out on a plane; places ``[M, 2]`` and which items they are, at most 1,500."""
    from sklearn.manifold import TSNE

    from train.tasks.base import evenly

    shown = evenly(np.arange(len(z)), MAP_ITEMS)
    perplexity = min(30.0, max(1.0, (len(shown) - 1) / 3))
    init = "pca" if z.shape[1] > 1 else "random"
    made = TSNE(2, perplexity=perplexity, init=init, random_state=seed, n_jobs=1).fit_transform(z[shown])
    return made, shown
