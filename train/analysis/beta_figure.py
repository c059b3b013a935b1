"""One figure that shows the VAE at work: digits, β from 0 to 4, warm-up on and off.

``python -m train.analysis.beta_figure OUT.png [STEPS]`` trains ten small VAEs (about two minutes on one
core).
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

BETAS = (0.0, 0.25, 1.0, 2.0, 4.0)


def sweep(folder: Path, steps: int) -> list[dict[str, Any]]:
    """Train every β with and without warm-up; figures on held-out digits and samples of the prior."""
    import torch

    from train.fit import fit
    from train.kinds import load_recipe
    from train.run import load_task
    from train.tasks.base import Task

    rows = []
    for beta in BETAS:
        for warmup in (0.0, 0.5):
            changes = [
                f"kl.beta={beta}",
                f"kl.warmup={warmup}",
                f"fit.steps={steps}",
                f"fit.interval={steps}",
            ]
            run_dir = folder / f"beta{beta}_warmup{warmup}"
            fit(load_recipe("digits", changes), None, run_dir, pictures=False, export=False)
            best = json.loads((run_dir / "metrics.json").read_text())["best"]
            task = load_task(run_dir)  # latents as trained: their prior is N(0, 1) whatever β made of it
            assert isinstance(task, Task)
            generator = torch.Generator().manual_seed(0)
            with torch.no_grad():
                z = torch.randn(10, task.latents, 1, generator=generator)
                ink = task.model.decoder(z)[:, :, 0].numpy()  # type: ignore[operator]
            rows.append(
                {
                    "beta": beta,
                    "warmup": warmup,
                    "reconstruction": best["val/reconstruction"],
                    "kl": best["val/kl"],
                    "active": best["val/active_latents"],
                    "ink": ink,
                }
            )
    return rows


def draw(rows: list[dict[str, Any]], path: Path) -> None:
    """Distortion, rate and negative ELBO against β on the left, samples on the right."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4.6), width_ratios=(1, 1.35))
    for warmup, style in ((0.0, "--"), (0.5, "-")):
        some = [r for r in rows if r["warmup"] == warmup]
        betas = [r["beta"] for r in some]
        words = "with warm-up" if warmup else "without"
        for name, colour in (("reconstruction", "tab:blue"), ("kl", "tab:orange")):
            left.plot(
                betas, [r[name] for r in some], style, color=colour, marker="o", label=f"{name}, {words}"
            )
        elbo = [r["reconstruction"] + r["kl"] for r in some]
        left.plot(betas, elbo, style, color="k", marker="o", label=f"−ELBO, {words}")
    left.set(xlabel="β", ylabel="nats per held-out digit", ylim=(0, 60))
    left.legend(fontsize=7)
    tiles = [np.hstack([image.reshape(8, 8) for image in r["ink"]]) for r in rows]
    right.imshow(np.vstack(tiles), cmap="gray_r", vmin=0, vmax=1)
    right.set_xticks([])
    right.set_yticks(
        [8 * i + 3.5 for i in range(len(rows))],
        [f"β {r['beta']:g}{', warm-up' if r['warmup'] else ''}" for r in rows],
        fontsize=7,
    )
    right.set_title("samples", fontsize=9)
    figure.tight_layout()
    figure.savefig(path, dpi=100)
    plt.close(figure)


def main(arguments: list[str]) -> int:
    """Sweep, draw and print the table."""
    if not 1 <= len(arguments) <= 2:
        print("usage: python -m train.analysis.beta_figure OUT.png [STEPS]", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        rows = sweep(Path(folder), int(arguments[1]) if len(arguments) > 1 else 1500)
    draw(rows, Path(arguments[0]))
    for r in rows:
        print(
            f"β {r['beta']:<5g} warm-up {r['warmup']:<4g} reconstruction {r['reconstruction']:.2f}  "
            f"KL {r['kl']:.2f}  active latents {r['active']:.0f}"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
