"""Pictures of what latents know: the t-SNE map, R² by parameter and compression, directions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from train.analysis.probe_report import WAYS, From, ProbedRun
from train.data.clips import NO_EFFECT, Clip

LEAST_R2 = -0.5  # what lies below is drawn here


def tsne_figure(places: np.ndarray, clips: Sequence[Clip], amount: np.ndarray, title: str) -> Any:
    """The map three times: coloured by class (what was played), type (what was done to it) and amount.

    Parameters
    ----------
    places : ndarray, shape (N, 2)
    clips : sequence of Clip
        N of them.
    amount : ndarray, shape (N,)
        0..1, NaN where there is none.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(1, 3, figsize=(15, 5.2))
    for place, what, words in ((axes[0], "sound", "class"), (axes[1], "effect", "type")):
        names = np.array([getattr(clip, what) for clip in clips])
        number = 0
        for name in sorted(set(names), key=lambda n: (n != NO_EFFECT, n)):
            at = places[names == name]
            colour: Any = "0.8"
            if name != NO_EFFECT:
                colour = plt.cm.tab20(number % 20)  # type: ignore[attr-defined]
                number += 1
            place.scatter(at[:, 0], at[:, 1], s=7, color=colour, label=name)
        place.set_title(f"coloured by {words}")
        place.legend(fontsize=7, markerscale=2, loc="best", framealpha=0.7)
    known = np.isfinite(amount)
    axes[2].scatter(places[~known, 0], places[~known, 1], s=4, color="0.85")
    dots = axes[2].scatter(
        places[known, 0], places[known, 1], s=8, c=amount[known], cmap="viridis", vmin=0, vmax=1
    )
    axes[2].set_title("coloured by amount (rank within the type)")
    figure.colorbar(dots, ax=axes[2], fraction=0.04)
    for place in axes:
        place.set(xticks=[], yticks=[])
    figure.suptitle(f"t-SNE of {title}")
    figure.tight_layout()
    return figure


def probes_figure(rows: Sequence[ProbedRun], split: str) -> Any:
    """R² of every parameter at every compression, and where chance ends."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    keys = sorted({(p["effect"], p["parameter"]) for row in rows for p in row["probes"]}, reverse=True)
    kinds = [k for k, _ in WAYS if any(k in p for r in rows for p in r["probes"])]
    words = {"from_point": "from the wet clip's point", "from_difference": "from wet minus dry"}
    figure, axes = plt.subplots(
        1, len(kinds), figsize=(3.2 + 4.4 * len(kinds), 1.4 + 0.27 * len(keys)), sharey=True, squeeze=False
    )
    for place, kind in zip(axes[0], kinds, strict=True):
        chance = np.full(len(keys), LEAST_R2)
        for number, row in enumerate(rows):
            found = {(p["effect"], p["parameter"]): p[kind] for p in row["probes"] if kind in p}
            heights = [i for i, key in enumerate(keys) if key in found]
            values = [max(found[keys[i]]["r2"], LEAST_R2) for i in heights]
            for i in heights:
                chance[i] = max(chance[i], found[keys[i]]["chance"])
            colour = plt.cm.viridis(number / max(1, len(rows) - 1))  # type: ignore[attr-defined]
            place.scatter(values, heights, s=26, color=colour, label=f"{row['latents']} latents", zorder=3)
        place.barh(range(len(keys)), chance - LEAST_R2, left=LEAST_R2, color="0.88", label="up to chance")
        place.axvline(0, color="0.5", lw=0.8)
        place.set(xlim=(LEAST_R2 - 0.03, 1.02), xlabel=f"R², {split} split", title=words[kind])
        place.grid(axis="x", color="0.93")
    axes[0, 0].set_yticks(range(len(keys)), [f"{e}: {_short(p)}" for e, p in keys], fontsize=8)
    axes[0, 0].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    return figure


def directions_figure(row: ProbedRun) -> Any:
    """Where in the latents each parameter points: the unit vectors of a run's probes."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    kind: From = "from_difference" if any("from_difference" in p for p in row["probes"]) else "from_point"
    shown = [p for p in row["probes"] if kind in p]
    vectors = np.array([p[kind]["direction"] for p in shown])
    figure, place = plt.subplots(figsize=(3.6 + 0.28 * vectors.shape[1], 1.6 + 0.27 * len(shown)))
    image = place.imshow(vectors, cmap="RdBu_r", vmin=-1, vmax=1, aspect="auto")
    place.set_xticks(range(vectors.shape[1]), [str(i + 1) for i in range(vectors.shape[1])], fontsize=7)
    place.set_yticks(
        range(len(shown)),
        [f"{p['effect']}: {_short(p['parameter'])} (R² {p[kind]['r2']:.2f})" for p in shown],
        fontsize=8,
    )
    place.set_xlabel("latent, by share of variance")
    place.set_title("directions, " + ("wet minus dry" if kind == "from_difference" else "wet"), fontsize=9)
    figure.colorbar(image, ax=place, fraction=0.05)
    figure.tight_layout()
    return figure


def _short(parameter: str) -> str:
    return ".".join(parameter.split(".")[-2:])
