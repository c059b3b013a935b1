"""The training loop: from a recipe and a data set to a run that is always usable.

RUN/recipe.toml          the resolved recipe
RUN/checkpoints/         last.ckpt (to resume from), best.ckpt (by validation)
RUN/model.pt             the finished model, latents rotated
RUN/latent.json          latent table, map, rotation
RUN/NAME.onnx            decoder; RUN/NAME.encoder.onnx encoder
RUN/metrics.json         validation figures, wall-clock and CPU seconds
RUN/card.json            data, licence, credits, recipe, figures
RUN/latent/              map, traversals as pictures and sound
RUN/log/                 TensorBoard
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import signal
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import lightning
import torch
from lightning.pytorch.callbacks import Callback

from common.files import whole, write_text
from common.refusal import CannotWrite, Refusal
from common.version import version
from train.export.export import Port, export_module
from train.kinds import parse_recipe, task_class
from train.latents.table import LatentRow, prepare_latents, save_table, write_pictures
from train.progress import Moment, Watcher
from train.recipe import Recipe
from train.run import (
    Card,
    DataReference,
    Run,
    Spent,
    _torch_load,
    check_place,
    count_parameters,
    load_run,
    load_task,
    metadata_of,
    remove_run,
)
from train.tasks.base import Task
from train.training import Training

if TYPE_CHECKING:
    from train.data.store import DataSet


class KeepCheckpoints(Callback):
    """Keep the last and the best by validation, each renamed into place."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.best = float("inf")
        self.stale = 0
        self.history: list[dict[str, float]] = []

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training goes on from."""
        return {"best": self.best, "stale": self.stale, "history": self.history}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up again."""
        self.best, self.stale, self.history = state["best"], state["stale"], state["history"]

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """After the validation of an interval."""
        figures = {k: float(v) for k, v in trainer.callback_metrics.items() if k.startswith("val/")}
        score = trainer.callback_metrics.get("score")
        if score is None:
            return
        self.history.append({"interval": trainer.current_epoch, "score": float(score), **figures})
        self.stale += 1
        better = float(score) < self.best
        if better:
            self.best, self.stale = float(score), 0
        whole = trainer.fit_loop.epoch_loop.batch_progress.current.completed >= trainer.num_training_batches
        if whole:  # one cut short could not be resumed exactly
            self._save(trainer, "last.ckpt")
        if better:
            self._save(trainer, "best.ckpt")
        patience = task.recipe.fit.patience
        if patience and self.stale >= patience:
            trainer.should_stop = True

    def _save(self, trainer: Any, name: str) -> None:
        try:
            with whole(self.folder / name) as part:
                trainer.save_checkpoint(part)
        except CannotWrite as error:
            raise Refusal(
                f"cannot write {self.folder / name} ({error.reason}); the checkpoint before it "
                "is whole; make room and run again with --resume"
            ) from None


class Clock(Callback):
    """Stops at a wall-clock budget or at Ctrl-C, and reports progress."""

    def __init__(self, limit_s: float | None, watch: Watcher):
        self.limit_s, self.watch = limit_s, watch
        self.begun = time.monotonic()
        self.begun_at: int | None = None  # steps that an earlier training had done
        self.interval_begun = self.begun
        self.intervals_s: list[float] = []
        self.asked = False

    def on_train_start(self, trainer: Any, task: Any) -> None:
        """Start the clock and listen for Ctrl-C, where signals can be had."""
        self.begun = self.interval_begun = time.monotonic()

    def on_train_batch_end(self, trainer: Any, task: Any, outputs: Any, batch: Any, index: int) -> None:
        """Look at the clock."""
        elapsed = time.monotonic() - self.begun
        if self.limit_s:
            task.time_progress = min(1.0, elapsed / self.limit_s)
        step = int(batch["step"]) + 1
        if self.begun_at is None:
            self.begun_at = step - 1
        figures = {k: float(v) for k, v in trainer.callback_metrics.items() if k in ("train/loss", "score")}
        self.watch.step(Moment(step, task.recipe.fit.steps, elapsed, self.begun_at, self.limit_s, figures))
        if self.asked or (self.limit_s and elapsed >= self.limit_s):
            trainer.should_stop = True

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """Stop between intervals when the next would not end in time: that can be resumed."""
        now = time.monotonic()
        self.intervals_s.append(now - self.interval_begun)
        self.interval_begun = now
        if self.limit_s and now - self.begun + max(self.intervals_s) > self.limit_s * 1.02:
            trainer.should_stop = True

    def interrupt(self, signum: int, frame: Any) -> None:
        """First Ctrl-C: finish this batch and leave a usable run. Second: at once."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True


def fit(
    recipe: Recipe,
    data: DataSet | None,
    out: str | Path,
    *,
    resume: bool = False,
    overwrite: bool = False,
    time_limit_s: float | None = None,
    watch: Watcher | None = None,
    pictures: bool = True,
    export: bool = True,
    callbacks: list[Callback] | None = None,
) -> Path:
    """Train a recipe.

    Parameters
    ----------
    recipe : Recipe
        As from ``load_recipe``.
    data : DataSet or None
        An open data set; None for kinds that bring their own.
    out : path
        Folder of the run.
    resume : bool
        Go on from ``checkpoints/last.ckpt``.
    overwrite : bool
        Remove the run that is there.
    time_limit_s : float, optional
        Wall-clock budget, seconds; schedules are fitted to it.
    watch : Watcher, optional
        Told of every step and stage.
    pictures : bool
        Whether to write the latent pictures and traversals.
    export : bool
        Whether to write the model files; ``export_run`` does it later.
    callbacks : list of Callback, optional
        More of Lightning's.

    Returns
    -------
    Path
        The run's folder.

    Raises
    ------
    Refusal
        On data of another kind, an existing run, a checkpoint of another recipe, a loss that is not finite,
        a full disk. Whatever was good before is kept.
    """
    folder = Path(out)
    kind = task_class(recipe.kind)
    kind.check_data(data, f"a {recipe.kind} recipe needs")
    watch = watch or Watcher()
    check_place(folder, resume=resume, overwrite=overwrite)
    if resume:
        _same_recipe(folder, recipe, data)
    watch.stage("reading the data")
    begun, cpu = time.monotonic(), time.process_time()
    task = kind(recipe)
    task.prepare(data)
    if recipe.fit.start and not resume:
        _start_from(task, recipe.fit.start)
    elif not resume:
        task.begin()
    if overwrite:
        remove_run(folder)
    try:
        (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CannotWrite(folder, error.strerror or error) from None
    write_text(folder / "recipe.toml", recipe.as_toml())
    write_text(folder / "data.json", json.dumps(_data_reference(data)))
    keep, clock = KeepCheckpoints(folder / "checkpoints"), Clock(time_limit_s, watch)
    failure = _run_trainer(task, folder, resume, [keep, clock, *(callbacks or [])])
    if not (folder / "checkpoints" / "best.ckpt").exists():
        raise failure or Refusal(f"{folder} was stopped before its first validation; nothing to keep yet")
    spent: Spent = {
        "wall_s": round(time.monotonic() - begun, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
        "threads": torch.get_num_threads(),
        "machine": f"{os.cpu_count()} cores",
    }
    finish(folder, task, keep.history, spent, data, watch=watch, pictures=pictures, export=export)
    if failure:
        raise failure
    return folder


def _start_from(task: Training, where: str) -> None:
    """Take the weights of a run, or of a model file of a kind that can, to begin with.

    Raises
    ------
    Refusal
        When that model is of another shape, or its kind starts from runs alone.
    """
    if where.endswith(".onnx"):
        task.start_from_file(Path(where))
        return
    try:
        task.model.load_state_dict(load_task(where).model.state_dict())
    except RuntimeError:
        raise Refusal(
            f"{where} cannot start {task.recipe.name}: its model has another shape; give both one [model]"
        ) from None


def _run_trainer(task: Training, folder: Path, resume: bool, callbacks: list[Callback]) -> Refusal | None:
    """Run Lightning; a refusal is handed back, so that the run can be finished from its best checkpoint."""
    from lightning.pytorch.loggers import TensorBoardLogger

    for chatty in ("lightning", "lightning.pytorch", "lightning.fabric"):
        logging.getLogger(chatty).setLevel(logging.ERROR)
    settings = task.recipe.fit
    clock = next(c for c in callbacks if isinstance(c, Clock))
    previous = None
    with contextlib.suppress(ValueError):  # not the main thread: whoever owns it handles Ctrl-C
        previous = signal.signal(signal.SIGINT, clock.interrupt)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            trainer = lightning.Trainer(
                max_epochs=-(-settings.steps // settings.interval),
                accelerator=settings.accelerator,
                devices=settings.devices,
                precision=settings.precision,  # type: ignore[arg-type]
                logger=TensorBoardLogger(str(folder), name="log", version=""),
                callbacks=callbacks,
                enable_checkpointing=False,
                enable_progress_bar=False,
                enable_model_summary=False,
                log_every_n_steps=10,
                num_sanity_val_steps=0,
                use_distributed_sampler=False,
                reload_dataloaders_every_n_epochs=1,
            )
            trainer.fit(task, ckpt_path=str(folder / "checkpoints" / "last.ckpt") if resume else None)
    except Refusal as refusal:
        return refusal
    finally:
        if previous is not None:
            signal.signal(signal.SIGINT, previous)
    return None


def finish(
    folder: Path,
    task: Training,
    history: list[dict[str, float]],
    spent: Spent,
    data: DataSet | None,
    *,
    watch: Watcher | None = None,
    pictures: bool = True,
    export: bool = True,
) -> None:
    """Turn the best checkpoint into model files, tables, card and pictures.

    Raises
    ------
    Refusal
        When the disk is full; everything written before is whole.
    """
    watch = watch or Watcher()
    watch.stage("latent table")
    checkpoint = _torch_load(folder / "checkpoints" / "best.ckpt")
    task.cpu()
    task.load_state_dict(checkpoint["state_dict"])
    task.eval()
    best = min(history, key=lambda row: row["score"])
    metrics = {"best": best, "history": history, "spent": spent}
    try:
        prepared = None
        if isinstance(task, Task):
            prepared = prepare_latents(task)
            task.know_latents(prepared.means)
        else:
            task.know_itself()
        reference = _data_reference(data)
        card: Card = {
            "version": version(),
            "name": task.recipe.name,
            "title": task.recipe.title,
            "kind": task.recipe.kind,
            "data": reference,
            "licence": task.recipe.licence or reference.get("licence", ""),
            "credits": reference.get("credits", []),
            "facts": task.facts,
            "parameters": count_parameters(task.model.decoder),
            "metrics": best,
            "spent": spent,
        }
        with whole(folder / "model.pt") as part:
            torch.save(task.model.state_dict(), part)
        if prepared is not None:
            save_table(prepared, folder / "latent.json")
        write_text(folder / "metrics.json", json.dumps(metrics, indent=1))
        write_text(folder / "card.json", json.dumps(card, indent=1))
        if export:
            watch.stage("model files")
            if isinstance(task, Task):
                export_run(load_run(folder))
            else:
                export_decoder(task, {**metadata_of(task, card), **task.decoder_metadata()}, folder)
        if pictures and prepared is not None:
            assert isinstance(task, Task)
            watch.stage("pictures and sounds")
            write_pictures(task, prepared, folder / "latent")
    except (CannotWrite, OSError) as error:
        reason = error.reason if isinstance(error, CannotWrite) else error.strerror or error
        raise Refusal(
            f"cannot finish {folder} ({reason}); its checkpoints are whole: make room and "
            "run again with --resume"
        ) from None
    watch.done()


def export_run(run: Run) -> list[Path]:
    """Write a run's decoder and encoder as ONNX; returns their paths."""
    encoder = run.directory / f"{run.recipe.name}.encoder.onnx"
    metadata = run.metadata()
    decoder = export_decoder(run.task, metadata, run.directory)
    inputs, outputs = run.task.encoder_ports()
    short = {
        k: metadata[k]
        for k in ("kind", "name", "version", "sample_rate_hz", "licence", "credits", "data", "codec")
    }
    if run.task.encoder_on_board:
        short["latents"] = metadata["latents"]
    export_module(run.task.encoder_module(), inputs, outputs, {**short, "part": "encoder"}, encoder)
    return [decoder, encoder]


def export_decoder(task: Training, metadata: dict[str, Any], folder: Path) -> Path:
    """Write a model's decoder as ONNX; returns its path."""
    path = folder / f"{task.recipe.name}.onnx"
    inputs, outputs = task.decoder_ports()
    export_module(task.model.decoder, _ranged(inputs, metadata["latents"]), outputs, metadata, path)  # type: ignore[arg-type]
    return path


def _ranged(ports: list[Port], latents: list[LatentRow]) -> list[Port]:
    """Give latent ports the range that their quantile tables need."""
    import dataclasses

    ends = [abs(v) for row in latents for v in (row["quantiles"][0], row["quantiles"][-1])]
    edge = round(float(max([4.0, *ends])), 3)
    return [dataclasses.replace(p, low=-edge, high=edge) if p.role == "latent" else p for p in ports]


def _data_reference(data: DataSet | None) -> DataReference:
    if data is None:
        return {}
    source: object = data.head.get("source")
    told: dict[str, object] = source if isinstance(source, dict) else {}
    reference: DataReference = {
        "path": str(data.directory),
        "hash": data.hash,
        "kind": data.kind,
        "items": len(data),
    }
    more = {key: told[key] for key in ("licence", "credits", "title") if told.get(key)}
    return cast(DataReference, {**reference, **more})


def _same_recipe(folder: Path, recipe: Recipe, data: DataSet | None) -> None:
    """Refuse to resume what is not this recipe on this data; only the length and the machine may change."""
    checkpoint = _torch_load(folder / "checkpoints" / "last.ckpt")
    then = parse_recipe(checkpoint["recipe"], f"{folder}/checkpoints/last.ckpt").model_dump(mode="json")
    now = recipe.model_dump(mode="json")
    free = ("steps", "patience", "workers", "accelerator", "devices")
    for fit_section in (then["fit"], now["fit"]):
        for key in free:
            fit_section.pop(key)
    for key in sorted(now):
        if key not in ("budget", "title", "licence") and then.get(key) != now[key]:
            raise Refusal(
                f"{folder} was trained by another recipe ({key} = {json.dumps(then.get(key))}, now "
                f"{json.dumps(now[key])}); resume with {folder}/recipe.toml or choose another folder with -o"
            )
    reference = folder / "data.json"
    if data is not None and reference.exists():
        before = json.loads(reference.read_text()).get("hash")
        if before and before != data.hash:
            raise Refusal(
                f"{folder} was trained on other data ({before[:12]}, now {data.hash[:12]}); use that data"
            )
