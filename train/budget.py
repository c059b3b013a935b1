"""What a recipe would cost on a board, before a single step: build it, export it, ask the compiler."""

from __future__ import annotations

import tempfile
from pathlib import Path

from common.audio import SAMPLE_RATE_HZ
from common.refusal import DoesNotFit
from firmware.compiler import Budget, budget
from train.recipe import Recipe


def recipe_budget(recipe: Recipe, board: str | None = None) -> Budget:
    """Cost of the recipe's decoder.

    Parameters
    ----------
    recipe : Recipe
        Whose ``budget`` section names the board and the block.
    board : str, optional
        Another board.

    Returns
    -------
    Budget
        Parameters, MAC per sample, cycles, memory by region, whether it fits and why not.
    """
    with tempfile.TemporaryDirectory() as folder:
        model = untrained_model(recipe, Path(folder) / f"{recipe.name}.onnx")
        return budget(model, board=board or recipe.budget.board, block=recipe.budget.block)


def untrained_model(recipe: Recipe, path: Path) -> Path:
    """Write the recipe's decoder, untrained, as ONNX."""
    from train.export.export import export_module
    from train.kinds import task_class

    task = task_class(recipe.kind)(recipe)
    inputs, outputs = task.decoder_ports()
    metadata = {"kind": recipe.kind, "name": recipe.name, "sample_rate_hz": SAMPLE_RATE_HZ, "part": "decoder"}
    export_module(task.model.decoder, inputs, outputs, {**metadata, **task.decoder_metadata()}, path)  # type: ignore[arg-type]
    return path


def refuse_what_cannot_fit(recipe: Recipe) -> Budget:
    """Raise when the recipe cannot run on its board; returns the budget otherwise.

    Raises
    ------
    DoesNotFit
        With the numbers, and what may be turned to make it fit.
    """
    found = recipe_budget(recipe)
    allowed = recipe.budget.cpu
    if not found.fits:
        raise DoesNotFit(
            f"{recipe.name} does not fit {recipe.budget.board}: {'; '.join(found.reasons)}; make the model "
            "smaller or train it all the same with --anyway"
        )
    if found.cpu_worst > allowed:
        raise DoesNotFit(
            f"{recipe.name} would take {found.cpu_worst:.0%} of {recipe.budget.board} in its worst block, "
            f"predicted; budget.cpu allows {allowed:.0%}; make the model smaller or train it all the same "
            "with --anyway"
        )
    return found
