"""A search for better recipes: an Optuna study of two objectives that many processes and machines share.

Objectives, both to fall: the best validation score, and the part of the board's processor that the compiler
predicts for the worst block. A candidate that the board cannot hold is refused before a step is trained.
Optuna stops trials of one objective only, so stopping is our own: see :func:`hopeless`.

What a trial draws depends on the sweep's seed, its number and the trials finished before it: one process
alone gives the same study again, interrupted or not. A trial whose process died is drawn again with its
values, and goes on from its last checkpoint where that lies on the same disk.

STUDY/study.db          the study, unless ``storage`` says another place
STUDY/trials/NNNN/      the run of each trial trained here
STUDY/study.html, study.json, pareto.md, pareto.png
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import statistics
import time
import warnings
from collections.abc import Callable, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, TypedDict

import optuna
from lightning.pytorch.callbacks import Callback
from optuna.samplers import BaseSampler, TPESampler
from optuna.trial import FrozenTrial, TrialState

from common.refusal import Refusal
from train.budget import recipe_budget
from train.fit import Clock, KeepCheckpoints, fit
from train.kinds import task_class
from train.progress import Moment, Watcher
from train.recipe import Recipe
from train.search.report import StudyReport, describe, draw, write_report
from train.search.sweep import PruneSection, Sweep, candidate
from train.training import LossNotFinite

Curve = list[list[float]]  # [steps, validation score] in order
Watch = Callable[[int, int, str], None]
BEAT_S = 20.0
MACHINE_SETTINGS = ("workers", "accelerator", "devices")
Finished = (TrialState.COMPLETE, TrialState.PRUNED)


class Worker(TypedDict):
    """A process: its machine, its number there, and when it began."""

    host: str
    pid: int
    born: str


class Hopeless(Exception):
    """The trial at hand is worse than most that cost no more."""


def search(
    recipe: Recipe,
    data: Any,
    sweep: Sweep,
    out: str | Path,
    *,
    storage: str | None = None,
    time_limit_s: float | None = None,
    anyway: bool = False,
    watch: Watch = lambda done, trials, words: None,
) -> StudyReport:
    """Work on a study until it has its trials; begin it, join it or go on with it.

    Parameters
    ----------
    recipe : Recipe
        What is varied.
    data : DataSet or None
        What is trained on.
    sweep : Sweep
        From ``load_sweep``, for this recipe.
    out : path
        Folder of this machine's runs and of the report.
    storage : str, optional
        Database URL, or ``journal:FILE``; a file in ``out`` when omitted.
    time_limit_s : float, optional
        No trial begins after so many seconds.
    anyway : bool
        Train also what cannot fit the board.
    watch : callable
        Called with (trials done, trials wanted, words).

    Returns
    -------
    StudyReport
        What ``study.json`` holds.

    Raises
    ------
    Refusal
        When the database cannot be had, the study in it is another, or the data is not the recipe's.
    KeyboardInterrupt
        After Ctrl-C; the same command goes on.
    """
    task_class(recipe.kind).check_data(data, f"a {recipe.kind} recipe needs")
    folder = Path(out)
    folder.mkdir(parents=True, exist_ok=True)
    study = open_study(recipe, data, sweep, folder, storage)
    begun = time.monotonic()
    while True:
        revive(study, sweep)
        counted = [t for t in study.get_trials(deepcopy=False) if counts(t)]
        late = time_limit_s is not None and time.monotonic() - begun >= time_limit_s
        if len(counted) >= sweep.trials or late:
            break
        trial = study.ask()
        trial.set_user_attr("worker", this_worker())
        earlier = [t for t in study.get_trials(deepcopy=False) if counts(t) and t.number < trial.number]
        if len(earlier) >= sweep.trials:  # another process took the last one at the same moment
            study.tell(trial, state=TrialState.FAIL)
            continue
        done = sum(t.state in Finished for t in counted)

        def say(words: str, done: int = done, number: int = trial.number) -> None:
            watch(done, sweep.trials, f"trial {number}: {words}")

        try:
            _run(study, trial, recipe, data, sweep, folder, anyway, say)
        except BaseException:
            with contextlib.suppress(Exception):
                _again(study, study.trials[trial.number], sweep)
            raise
        write_report(study, recipe, sweep, folder)
    report = write_report(study, recipe, sweep, folder)
    draw(report, recipe, folder)
    watch(report["finished"], sweep.trials, "")
    return report


def _run(
    study: optuna.Study,
    trial: optuna.Trial,
    recipe: Recipe,
    data: Any,
    sweep: Sweep,
    folder: Path,
    anyway: bool,
    say: Callable[[str], None],
) -> None:
    """Price a candidate, train it, tell the study."""
    values = sweep.suggest(trial)
    place = trial.user_attrs.get("folder") or f"{trial.number:04d}"
    trial.set_user_attr("folder", place)
    say("asking for its cost")
    twin = next(
        (t for t in study.get_trials(deepcopy=False, states=Finished) if t.params == trial.params), None
    )
    if twin is not None:
        for name in ("cost", "curve", "reason", "folder"):
            if name in twin.user_attrs:
                trial.set_user_attr(name, twin.user_attrs[name])
        trial.set_user_attr("same_as", twin.number)
        if twin.state == TrialState.COMPLETE:
            study.tell(trial, twin.values)
        else:
            _leave(study, trial, twin.user_attrs.get("reason", ""), twin.constraints.get("budget", 0.0))
        return
    try:
        made = candidate(recipe, values)
        found = recipe_budget(made)
    except Exception as error:
        if getattr(error, "exit_status", None) is None:
            raise
        _leave(study, trial, f"refused: {error}", 1.0)
        return
    trial.set_user_attr("cost", describe(found))
    over = max(found.cpu_worst - made.budget.cpu, 0.0 if found.fits else 1e-3)
    if over > 0 and task_class(recipe.kind).on_board and not anyway:
        words = (
            "; ".join(found.reasons) or f"{found.cpu_worst:.0%} CPU where {made.budget.cpu:.0%} is allowed"
        )
        _leave(study, trial, f"refused: {words}", over)
        return
    guard = Guard(study, trial, found.cpu_worst, sweep.prune)
    run = folder / "trials" / place

    class Told(Watcher):
        """Keeps the study informed."""

        def step(self, moment: Moment) -> None:
            guard.beat()
            score = f", score {moment.figures['score']:.4g}" if "score" in moment.figures else ""
            say(f"step {moment.step} of {moment.steps}{score}")

    try:
        fit(
            made,
            data,
            run,
            resume=(run / "checkpoints" / "last.ckpt").exists(),
            watch=Told(),
            pictures=False,
            export=False,
            callbacks=[guard],
        )
    except Hopeless as stopped:
        _leave(study, trial, f"stopped: {stopped}", 0.0)
        return
    except LossNotFinite as error:
        _leave(study, trial, f"failed: {error}", 0.0)
        return
    if guard.interrupted:
        raise KeyboardInterrupt
    study.tell(trial, [min(score for _, score in guard.curve), found.cpu_worst])


def _leave(study: optuna.Study, trial: optuna.Trial, reason: str, over: float) -> None:
    """Give a trial up, with the reason, and how far it is over the budget (0 is within)."""
    trial.set_user_attr("reason", reason)
    trial.set_constraint("budget", over)
    study.tell(trial, state=TrialState.PRUNED)


# Stopping early ---------------------------------------------------------------------------------------


def hopeless(
    curve: Curve, cost: float, rivals: Sequence[tuple[float, Curve]], steps: int, settings: PruneSection
) -> str:
    """Why a trial should be stopped; empty when it should not.

    The median rule (Golovin et al., *Google Vizier*, KDD 2017, §3.2.2) held to two objectives: a trial is
    stopped when its best score so far is worse than the median best, at the same step, of those that cost no
    more. A dearer trial is never a rival, so a cheap one is not stopped for being less good.

    Parameters
    ----------
    curve : list of [step, score]
        Validations so far; lower is better.
    cost : float
        What it costs.
    rivals : sequence of (cost, curve)
        The other trials.
    steps : int
        Length of the training.
    settings : PruneSection
        ``rivals``: fewer say nothing. ``grace``: part of the training within which nothing is stopped.
    """
    if not settings.rivals or not curve or curve[-1][0] < settings.grace * steps:
        return ""
    step = curve[-1][0]
    best = min(score for _, score in curve)
    others = []
    for price, other in rivals:
        if price <= cost and other and other[-1][0] >= step:
            others.append(min(score for at, score in other if at <= step))
    if len(others) < settings.rivals or best <= statistics.median(others):
        return ""
    return (
        f"{best:.4g} at step {step:.0f}, where {len(others)} trials that cost no more have a median of "
        f"{statistics.median(others):.4g}"
    )


class Guard(Callback):
    """Writes a trial's curve into the study and stops it when it is hopeless."""

    def __init__(self, study: optuna.Study, trial: optuna.Trial, cost: float, settings: PruneSection):
        self.study, self.trial, self.cost, self.settings = study, trial, cost, settings
        self.curve: Curve = []
        self.interrupted = False
        self.told = 0.0

    def beat(self) -> None:
        """Say now and then that the trial is alive."""
        if time.monotonic() - self.told > BEAT_S:
            self.told = time.monotonic()
            self.trial.set_user_attr("beat", time.time())

    def on_train_epoch_end(self, trainer: Any, task: Any) -> None:
        """After a validation: the whole curve, for a resumed trial has one already."""
        keep = next(c for c in trainer.callbacks if isinstance(c, KeepCheckpoints))
        settings = task.recipe.fit
        self.curve = [
            [min((int(row["interval"]) + 1) * settings.interval, settings.steps), row["score"]]
            for row in keep.history
        ]
        self.trial.set_user_attr("curve", self.curve)
        self.beat()
        rivals = [
            (t.user_attrs["cost"]["cpu_worst"], t.user_attrs["curve"])
            for t in self.study.get_trials(deepcopy=False, states=(*Finished, TrialState.RUNNING))
            if t.number != self.trial.number and "curve" in t.user_attrs and "same_as" not in t.user_attrs
        ]
        if why := hopeless(self.curve, self.cost, rivals, settings.steps, self.settings):
            raise Hopeless(why)

    def on_fit_end(self, trainer: Any, task: Any) -> None:
        """Remember a Ctrl-C; and the curve of a trial that was whole when it was taken up again."""
        self.interrupted = any(isinstance(c, Clock) and c.asked for c in trainer.callbacks)
        if not self.curve:
            self.on_train_epoch_end(trainer, task)


# Many processes, one study ----------------------------------------------------------------------------


class NumberedSampler(BaseSampler):
    """Optuna's tree-structured Parzen estimator, seeded for each trial by the trial's number.

    Processes that share a study draw different trials, and a study that goes on draws those that it would
    have drawn.
    """

    def __init__(self, seed: int, startup: int):
        self.seed, self.startup = seed, startup
        self.inner = self._made(0)

    def _made(self, number: int) -> TPESampler:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return TPESampler(n_startup_trials=self.startup, seed=self.seed * 100_003 + number)

    def before_trial(self, study: optuna.Study, trial: FrozenTrial) -> None:
        """Seed."""
        self.inner = self._made(trial.number)
        self.inner.before_trial(study, trial)

    def infer_relative_search_space(self, study: optuna.Study, trial: FrozenTrial) -> Any:
        """As the estimator."""
        return self.inner.infer_relative_search_space(study, trial)

    def sample_relative(self, study: optuna.Study, trial: FrozenTrial, search_space: Any) -> dict[str, Any]:
        """As the estimator."""
        return self.inner.sample_relative(study, trial, search_space)

    def sample_independent(
        self, study: optuna.Study, trial: FrozenTrial, param_name: str, param_distribution: Any
    ) -> Any:
        """As the estimator."""
        return self.inner.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(
        self, study: optuna.Study, trial: FrozenTrial, state: TrialState, values: Sequence[float] | None
    ) -> None:
        """As the estimator."""
        self.inner.after_trial(study, trial, state, values)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial is one of those asked for: finished, stopped, refused, or under way."""
    return trial.state in (*Finished, TrialState.RUNNING)


def this_worker() -> Worker:
    """Who this process is, so that another can see whether it still lives."""
    return {"host": socket.gethostname(), "pid": os.getpid(), "born": _born(os.getpid())}


def _born(pid: int) -> str:
    """When a process began, in the kernel's ticks; empty when there is none, or no /proc to ask."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def dead(trial: FrozenTrial, sweep: Sweep) -> bool:
    """Whether a running trial's process has ended: seen at once on this machine, by its silence elsewhere."""
    worker = trial.user_attrs.get("worker")
    if worker and worker["host"] == socket.gethostname():
        try:
            os.kill(worker["pid"], 0)
        except ProcessLookupError:
            return True
        except PermissionError:
            pass
        return bool(worker["born"]) and _born(worker["pid"]) != worker["born"]
    last = trial.user_attrs.get("beat") or (trial.datetime_start or datetime.now()).timestamp()
    return time.time() - last > 60 * sweep.silence_minutes


def revive(study: optuna.Study, sweep: Sweep) -> None:
    """Queue the trials again whose process died; of several processes that see it, one does."""
    for trial in study.get_trials(states=(TrialState.RUNNING,)):
        if dead(trial, sweep):
            with contextlib.suppress(ValueError, RuntimeError):  # another process was first
                _again(study, trial, sweep)


def _again(study: optuna.Study, trial: FrozenTrial, sweep: Sweep) -> None:
    """End a trial and queue its values."""
    study.tell(trial.number, state=TrialState.FAIL)
    if set(trial.params) == set(sweep.space):
        again = {"retry_of": trial.number, "folder": trial.user_attrs.get("folder", "")}
        if trial.user_attrs.get("baseline"):
            again["baseline"] = True
        study.enqueue_trial(trial.params, user_attrs=again)


def _crossed() -> tuple[type[Exception], ...]:
    """What a database raises where two processes make its tables or a study at the same moment."""
    from optuna.exceptions import DuplicatedStudyError, StorageInternalError
    from sqlalchemy import exc

    return (
        *(exc.OperationalError, exc.IntegrityError, exc.ProgrammingError),
        *(DuplicatedStudyError, StorageInternalError),
    )


def open_study(
    recipe: Recipe, data: Any, sweep: Sweep, folder: Path, storage: str | None = None
) -> optuna.Study:
    """Begin a study or join the one that is there.

    Raises
    ------
    Refusal
        When its place cannot be reached or written, or holds a study of another recipe, space or data.
    """
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    where = storage or f"sqlite:///{folder / 'study.db'}"
    shown = _without_password(where)
    study = None
    for attempt in range(5):
        try:
            study = optuna.create_study(
                storage=_storage(where),
                study_name=recipe.name,
                directions=["minimize", "minimize"],
                sampler=NumberedSampler(sweep.seed, sweep.startup),
                load_if_exists=True,
            )
            break
        except Refusal:
            raise
        except Exception as error:
            # Two processes that make the tables at the same moment trip over each other.
            if isinstance(error, _crossed()) and attempt < 4:
                time.sleep(0.1 * (attempt + 1))
                continue
            words = str(error).strip().splitlines() or [type(error).__name__]
            raise Refusal(
                f"the study's database {shown} cannot be used ({_without_password(words[0])[:160]}); check "
                "--storage, that its server runs and that its driver is installed"
            ) from None
    assert study is not None
    if len(study.directions) != 2:
        raise Refusal(f"{shown} holds a study {recipe.name} that is not ours; choose another place")
    mine = identity(recipe, data, sweep)
    if "identity" not in study.user_attrs:
        own = sweep.own_values(recipe)
        if own is not None:
            study.enqueue_trial(own, user_attrs={"baseline": True}, skip_if_exists=True)
        study.set_user_attr("identity", mine)
    theirs = study.user_attrs["identity"]
    for key in sorted(set(mine) | set(theirs)):
        if mine.get(key) != theirs.get(key):
            raise Refusal(
                f"{shown} holds a study of {recipe.name} with {key} = {json.dumps(theirs.get(key))}, now "
                f"{json.dumps(mine.get(key))}; go on with that or choose another place with -o or --storage"
            )
    return study


def identity(recipe: Recipe, data: Any, sweep: Sweep) -> dict[str, Any]:
    """What must be the same for trials to belong to one study, flat."""
    values = recipe.model_dump(mode="json")
    for key in MACHINE_SETTINGS:
        values["fit"].pop(key)
    out: dict[str, Any] = {"data": None if data is None else data.hash}
    for key, value in values.items():
        inner = value if isinstance(value, dict) else {"": value}
        out.update({f"{key}.{name}".rstrip("."): v for name, v in inner.items()})
    for path, where in sweep.space.items():
        out[f"space.{path}"] = where if isinstance(where, list) else where.model_dump()
    return out


def _storage(where: str) -> Any:
    """Open what a URL names."""
    if where.startswith("journal:"):
        from optuna.storages import JournalStorage
        from optuna.storages.journal import JournalFileBackend

        path = Path(where.removeprefix("journal:"))
        if not path.parent.is_dir():
            raise Refusal(
                f"there is no folder {path.parent} for the study's journal; make it or fix --storage"
            )
        return JournalStorage(JournalFileBackend(str(path)))
    from optuna.storages import RDBStorage

    options = {"connect_args": {"timeout": 60}} if where.startswith("sqlite") else {}
    with contextlib.suppress(ImportError):
        return RDBStorage(where, engine_kwargs=options)
    raise Refusal(
        f"the driver for {_without_password(where)} is not installed; install it (psycopg2, PyMySQL …) or "
        "use journal:FILE on a shared disk"
    )


def _without_password(text: str) -> str:
    import re

    return re.sub(r"(://[^:/@\s]+):[^@\s]+@", r"\1:***@", text)
