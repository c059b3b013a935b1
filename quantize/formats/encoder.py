"""The encoder of a quantized decoder: that of its run, put beside it.

One that never leaves the desktop stays float and is packed small. One that runs on the module is rounded to
integers, on what it hears of the run's own training data.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import onnx

from common.files import write_bytes
from common.outputs import encoder_beside
from train.export.pack import packed

HEARD = 8
"""Batches that the ranges of an encoder's numbers are measured on."""


def encoder_of(source: Path) -> Path | None:
    """Find the encoder of a run folder or of a float decoder's file; None where there is none."""
    if source.is_dir():
        return next(iter(sorted(source.glob("*.encoder.onnx"))), None)
    beside = encoder_beside(source)
    return beside if beside.exists() else None


def write_encoder(source: Path, out: Path) -> Path | None:
    """Write the encoder of `source` beside the decoder `out`; None where there is none.

    An encoder that stands there already, and is the source's own, stays as it is.
    """
    found = encoder_of(source)
    target = encoder_beside(out)
    if found is None or found.resolve() == target.resolve():
        return found
    model = _for_board(source, found) if _runs_on_board(source) else packed(onnx.load(str(found)))
    write_bytes(target, model.SerializeToString())
    return target


def _runs_on_board(source: Path) -> bool:
    """Whether a run's encoder is for the module."""
    from train.kinds import load_recipe, task_class

    recipe = source / "recipe.toml"
    return recipe.is_file() and task_class(load_recipe(str(recipe)).kind).encoder_on_board


def _for_board(run_folder: Path, file: Path) -> onnx.ModelProto:
    """Round an encoder to integers without tuning."""
    from quantize.data.calibration_set import from_pool
    from quantize.data.tune import Effort
    from quantize.graph.load import load_graph
    from quantize.procedure import Settings, run_procedure
    from train.run import load_run

    run = load_run(run_folder)
    run.prepare("train")
    graph = load_graph(file)
    (name,) = graph.input_names
    feeds = [{name: heard.numpy()} for heard in islice(run.task.encoder_inputs("train"), HEARD)]
    return run_procedure(from_pool(graph, feeds, str(run_folder)), Settings(effort=Effort())).model
