"""A search has two objectives, wastes nothing, survives being killed and is shared by processes."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import optuna
import pytest
from optuna.trial import TrialState

import vaectrol
from common.refusal import Refusal
from tests.pages import check_page
from tests.train.small import SMALL_RHYTHM
from train.kinds import load_recipe
from train.search.report import pareto, table
from train.search.study import counts, hopeless, open_study, search
from train.search.sweep import PruneSection, load_sweep, setting
from train.training import LossNotFinite

ROOT = Path(__file__).resolve().parents[2]
SPACE = """
trials = 3
startup = 2
[space]
"model.channels" = [4, 8, 12]
"fit.learning_rate" = { low = 1e-3, high = 1e-2, log = true }
"""


def recipe(*changes):
    return load_recipe("rhythm_quick", [*SMALL_RHYTHM, "fit.steps=4", "fit.interval=2", *changes])


def sweep_file(folder, text=SPACE):
    path = folder / "sweep.toml"
    path.write_text(text)
    return path


@pytest.fixture(autouse=True)
def brief(monkeypatch):
    """Leave out of finishing a run what a search has no use for: pictures, and the plane."""
    monkeypatch.setattr("train.tasks.rhythm.RhythmTask.show", lambda *_: None)
    monkeypatch.setattr("train.latents.table.plane_map", no_plane)


def no_plane(means, seed):
    return np.zeros((16, 16, means.shape[1])), np.zeros((len(means), 2))


@pytest.fixture
def priced(monkeypatch):
    """The compiler's answer, at once: cost grows with the channels."""

    def answer(made):
        wide = made.model.channels
        return SimpleNamespace(
            cpu_worst=wide / 100,
            cpu_mean=wide / 200,
            parameters=wide**2,
            macs_per_sample=float(wide),
            weight_bytes=wide**2,
            fits=True,
            reasons=[],
        )

    monkeypatch.setattr("train.search.study.recipe_budget", answer)


def test_a_study_makes_its_trials_and_reports_the_front(rhythms, tmp_path, capsys):
    words = ["train", "rhythm_quick", "--data", str(rhythms.directory), "-o", str(tmp_path / "study")]
    for change in (*SMALL_RHYTHM, "fit.steps=4", "fit.interval=2"):
        words += ["--set", change]
    text = SPACE.replace("trials = 3", "trials = 1")
    words += ["--sweep", str(sweep_file(tmp_path, text)), "--json"]
    assert vaectrol.main(words) == 0
    report = json.loads(capsys.readouterr().out)
    (first,) = report["trials"]
    # The recipe's own settings are the first trial; what it costs is what the compiler says.
    assert first["baseline"] and first["settings"]["model.channels"] == 8
    assert 0 < first["cpu_worst"] < 1 and first["parameters"] > 0
    assert [step for step, _ in first["curve"]] == [2, 4]
    assert first["score"] == min(score for _, score in first["curve"])
    assert report["front"] == [first] and report["finished"] == 1
    written = {path.name for path in (tmp_path / "study").iterdir()}
    assert written == {"study.db", "trials", "study.json", "pareto.md", "pareto.png", "study.html"}
    check_page((tmp_path / "study" / "study.html").read_text())
    assert "**front**" in (tmp_path / "study" / "pareto.md").read_text()
    # The same command finds it finished and trains nothing.
    before = (tmp_path / "study" / "trials" / first["folder"] / "metrics.json").stat().st_mtime_ns
    assert vaectrol.main(words[:-1]) == 0
    said = capsys.readouterr().out
    assert "1 of 1 trials; none is better in both than:" in said and "--set model.channels=" in said
    assert (tmp_path / "study" / "trials" / first["folder"] / "metrics.json").stat().st_mtime_ns == before


def settings_of(report):
    return [row["settings"] for row in report["trials"]]


def test_a_study_that_goes_on_draws_what_it_would_have_drawn(rhythms, tmp_path, priced):
    made = recipe()
    whole = search(made, rhythms, load_sweep(sweep_file(tmp_path), made), tmp_path / "whole")
    short = load_sweep(sweep_file(tmp_path, SPACE.replace("trials = 3", "trials = 2")), made)
    search(made, rhythms, short, tmp_path / "parts")
    parts = search(made, rhythms, load_sweep(sweep_file(tmp_path), made), tmp_path / "parts")
    assert settings_of(parts) == settings_of(whole)
    assert [row["score"] for row in parts["trials"]] == [row["score"] for row in whole["trials"]]
    assert len({json.dumps(s) for s in settings_of(whole)}) == 3


def test_a_candidate_over_the_budget_is_refused_before_a_step(rhythms, tmp_path, priced):
    made = recipe("budget.cpu=0.06")
    report = search(made, rhythms, load_sweep(sweep_file(tmp_path), made), tmp_path / "study")
    for row in report["trials"]:
        dear = row["settings"]["model.channels"] > 4
        assert row["state"] == ("left" if dear else "complete")
        assert (tmp_path / "study" / "trials" / row["folder"]).exists() != dear
        if dear:
            assert "CPU where 6% is allowed" in row["reason"] and row["score"] is None
    assert any(row["state"] == "left" for row in report["trials"])


def test_values_drawn_twice_are_trained_once(rhythms, tmp_path, priced):
    made = recipe()
    file = sweep_file(tmp_path, 'trials = 4\n[space]\n"model.channels" = [4, 8]\n')
    report = search(made, rhythms, load_sweep(file, made), tmp_path / "study")
    assert len(list((tmp_path / "study" / "trials").iterdir())) <= 2
    twins = [row for row in report["trials"] if "same_as" in row]
    assert len(twins) >= 2
    for row in twins:
        assert row["score"] == report["trials"][row["same_as"]]["score"]


def test_a_trial_that_diverges_is_left_and_said_so(rhythms, tmp_path, priced, monkeypatch):
    def diverge(*_, **__):
        raise LossNotFinite("the loss became nan at step 3")

    monkeypatch.setattr("train.search.study.fit", diverge)
    made = recipe()
    report = search(made, rhythms, load_sweep(sweep_file(tmp_path), made), tmp_path / "study")
    assert [row["reason"] for row in report["trials"]] == ["failed: the loss became nan at step 3"] * 3
    assert report["front"] == [] and "failed: the loss" in table(report)


CURVES = [(0.1, [[2, 5.0], [4, 4.0]]), (0.2, [[2, 6.0], [4, 3.0]]), (0.3, [[2, 7.0], [4, 6.0]])]


@pytest.mark.parametrize(
    ("curve", "cost", "stops"),
    [
        ([[2, 6.5]], 0.3, True),  # the median of the three at step 2 is 6
        ([[2, 6.0]], 0.3, False),
        ([[2, 5.5], [4, 6.5]], 0.3, True),  # the best so far counts: 5.5 against a median of 4
        ([[2, 3.5], [4, 6.5]], 0.3, False),
        ([[2, 9.0]], 0.2, False),  # only two cost no more
        ([[2, 9.0]], 0.05, False),  # the cheapest is never stopped
        ([[1, 9.0]], 0.3, False),  # within its grace
        ([[6, 9.0]], 0.3, False),  # nobody came so far
        ([], 0.3, False),
    ],
)
def test_hopeless_is_worse_than_the_median_of_what_costs_no_more(curve, cost, stops):
    why = hopeless(curve, cost, CURVES, 8, PruneSection(rivals=3, grace=0.25))
    assert bool(why) == stops
    assert not hopeless(curve, cost, CURVES, 8, PruneSection(rivals=0))


def test_a_hopeless_trial_is_stopped_early(rhythms, tmp_path, priced):
    made = recipe("fit.steps=6")
    text = 'trials = 2\n[prune]\nrivals = 1\ngrace = 0\n[space]\n"fit.learning_rate" = [4e-3, 1e-12]\n'
    sweep = load_sweep(sweep_file(tmp_path, text), made)
    study = open_study(made, rhythms, sweep, _folder(tmp_path / "study"))
    study.enqueue_trial({"fit.learning_rate": 4e-3})
    study.enqueue_trial({"fit.learning_rate": 1e-12})
    report = search(made, rhythms, sweep, tmp_path / "study")
    good, bad = report["trials"]
    assert good["state"] == "complete" and len(good["curve"]) == 3
    assert bad["state"] == "left" and len(bad["curve"]) < 3
    assert "1 trials that cost no more have a median of" in bad["reason"]


def _folder(path):
    path.mkdir()
    return path


def test_the_front_is_what_nothing_beats():
    points = [(5.0, 0.3), (4.0, 0.3), (6.0, 0.1), (6.0, 0.2), (3.0, 0.9), (4.0, 0.5), (6.0, 0.1)]
    assert pareto(points) == [2, 1, 4]
    assert pareto([]) == []


# Killed, interrupted, shared ------------------------------------------------------------------------------

PROGRAM = """
import os, sys
from types import SimpleNamespace
import numpy as np
import train.latents.table
import train.search.study as study
import train.tasks.rhythm
from train.data.store import DataSet
from train.kinds import load_recipe
from train.search.sweep import load_sweep

data, sweep, out, storage, kill, *changes = sys.argv[1:]

def price(made):
    wide = made.model.channels
    return SimpleNamespace(cpu_worst=wide / 100, cpu_mean=0.0, parameters=wide, macs_per_sample=0.0,
                           weight_bytes=0, fits=True, reasons=[])

study.recipe_budget = price
train.latents.table.plane_map = lambda means, seed: (
    np.zeros((16, 16, means.shape[1])), np.zeros((len(means), 2)))
train.tasks.rhythm.RhythmTask.show = lambda *_: None
honest = study.Guard.on_train_epoch_end

def die(self, trainer, task):
    honest(self, trainer, task)
    if kill == f"{self.trial.number}:{trainer.current_epoch}":
        os._exit(9)

study.Guard.on_train_epoch_end = die
recipe = load_recipe("rhythm_quick", changes)
print("ready", flush=True)
sys.stdin.readline()
study.search(recipe, DataSet.open(data), load_sweep(sweep, recipe), out, storage=storage or None)
"""


def start(rhythms, folder, storage="", kill="", text=SPACE):
    changes = [*SMALL_RHYTHM, "fit.steps=4", "fit.interval=2"]
    words = [str(rhythms.directory), str(sweep_file(folder, text)), str(folder / "study"), storage, kill]
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), *words, *changes],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_trial_killed_half_way_is_taken_up_from_its_checkpoint(rhythms, tmp_path, priced):
    worker = start(rhythms, tmp_path, kill="1:0")
    worker.communicate("go\n")
    assert worker.returncode == 9
    made = recipe()
    sweep = load_sweep(tmp_path / "sweep.toml", made)
    left = open_study(made, rhythms, sweep, tmp_path / "study").trials
    assert [t.state for t in left] == [TrialState.COMPLETE, TrialState.RUNNING]
    report = search(made, rhythms, sweep, tmp_path / "study")
    died, again = report["trials"][1], report["trials"][2]
    assert died["state"] == "died" and again["state"] == "complete"
    assert again["retry_of"] == 1 and again["settings"] == died["settings"]
    assert again["folder"] == died["folder"] and again["curve"][:1] == died["curve"]
    assert report["finished"] == 3
    # It is the trial that was not killed, bit for bit.
    whole = search(made, rhythms, sweep, tmp_path / "whole")
    assert again["curve"] == whole["trials"][1]["curve"]


def test_two_processes_share_one_study(rhythms, tmp_path):
    storage = f"sqlite:///{tmp_path / 'shared.db'}"
    text = SPACE.replace("trials = 3", "trials = 4")
    workers = [start(rhythms, tmp_path, storage, text=text) for _ in range(2)]
    for worker in workers:
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:  # they meet where the tables are made
        worker.stdin.write("go\n")
        worker.stdin.flush()
    for worker in workers:
        _, errors = worker.communicate()
        assert worker.returncode == 0, errors
    made = recipe()
    study = open_study(made, rhythms, load_sweep(tmp_path / "sweep.toml", made), tmp_path / "study", storage)
    done = [t for t in study.trials if counts(t)]
    assert len(done) == 4 and all(t.state == TrialState.COMPLETE for t in done)
    assert any(t.user_attrs.get("baseline") for t in done)
    # No values were trained twice, but for the recipe's own by two that began at the same moment.
    assert len({json.dumps(t.params, sort_keys=True) for t in done}) >= 3


def test_a_journal_on_a_shared_disk_holds_a_study_too(rhythms, tmp_path, priced):
    made, storage = recipe(), f"journal:{tmp_path / 'study.log'}"
    one = load_sweep(sweep_file(tmp_path, SPACE.replace("trials = 3", "trials = 1")), made)
    search(made, rhythms, one, tmp_path / "here", storage=storage)
    two = load_sweep(sweep_file(tmp_path, SPACE.replace("trials = 3", "trials = 2")), made)
    report = search(made, rhythms, two, tmp_path / "there", storage=storage)
    assert [row["state"] for row in report["trials"]] == ["complete"] * 2
    assert [p.name for p in sorted((tmp_path / "there" / "trials").iterdir())] == ["0001"]


def test_ctrl_c_leaves_a_study_that_goes_on(rhythms, tmp_path, priced, monkeypatch):
    from train.search.study import Guard

    honest = Guard.on_train_epoch_end

    def interrupted(self, trainer, task):
        honest(self, trainer, task)
        if self.trial.number == 1 and trainer.current_epoch == 0:
            os.kill(os.getpid(), 2)

    made = recipe()
    sweep = load_sweep(sweep_file(tmp_path), made)
    with monkeypatch.context() as patch:
        patch.setattr(Guard, "on_train_epoch_end", interrupted)
        with pytest.raises(KeyboardInterrupt):
            search(made, rhythms, sweep, tmp_path / "study")
    report = search(made, rhythms, sweep, tmp_path / "study")
    assert report["finished"] == 3 and sum("retry_of" in row for row in report["trials"]) == 1


# What is refused ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("trials = 3\n", r"\[space\] is empty; name what to search"),
        ("trials = 3\n[space]\n", r"\[space\] is empty"),
        ('[space]\n"model.chanels" = [4]', r"model.chanels is not a setting of rhythm_quick; did you mean"),
        ('[space]\n"model" = [4]', r"model is a section of rhythm_quick; name one of its settings"),
        ('[space]\n"budget.cpu" = [0.5]', r"budget.cpu must be the same in all trials"),
        ('[space]\n"kind" = ["drum"]', r"kind must be the same in all trials"),
        ('[space]\n"model.channels" = []', r"model.channels has no values"),
        ('[space]\n"model.channels" = [8, "wide"]', r"model.channels = \"wide\""),
        ('[space]\n"model.channels" = 8', r"model.channels = 8 is no list of choices and no range"),
        ('[space]\n"fit.batch" = { low = 9, high = 4 }', r"fit.batch goes from 9 to 4; low must lie below"),
        ('[space]\n"fit.batch" = { low = 0, high = 4 }', r"fit.batch = 0: input should be greater than 0"),
        ('[space]\n"fit.batch" = { min = 1, high = 4 }', r"fit.batch: low is missing; add it \(1 more\)"),
        ('[space]\n"kl.beta" = { low = 0, high = 4, log = true }', r"cannot be logarithmic"),
        ('tries = 3\n[space]\n"fit.batch" = [4]', r"tries is not a setting; remove it"),
        ('trials = 0\n[space]\n"fit.batch" = [4]', r"trials = 0"),
        ("[space\n", r"is not valid TOML"),
    ],
)
def test_a_bad_sweep_is_one_sentence(tmp_path, text, complaint):
    with pytest.raises(Refusal, match=complaint) as found:
        load_sweep(sweep_file(tmp_path, text), recipe())
    assert "\n" not in str(found.value) and "sweep.toml" in str(found.value)


def test_the_sweeps_that_come_with_it_hold_for_their_recipes(tmp_path):
    for name in ("drum_quick", "drive"):
        made = load_recipe(name)
        assert all(setting(made, path) is not None for path in load_sweep(name, made).space)
    with pytest.raises(Refusal, match="there is no sweep named 'nothing'; there are"):
        load_sweep("nothing", recipe())
    with pytest.raises(Refusal, match="there is no sweep file"):
        load_sweep(tmp_path / "absent.toml", recipe())


def test_paths_may_be_written_as_tables(tmp_path):
    text = "[space.model]\nnoise_rank = [8, 12]\n[space.fit]\nbatch = { low = 2, high = 8 }\n"
    found = load_sweep(sweep_file(tmp_path, text), load_recipe("drum_quick"))
    assert found.space["model.noise_rank"] == [8, 12] and found.space["fit.batch"].whole


def test_another_recipe_space_or_data_in_the_same_place_is_refused(rhythms, tmp_path, priced, with_nan):
    made = recipe()
    sweep = load_sweep(sweep_file(tmp_path, 'trials = 1\n[space]\n"model.channels" = [8]\n'), made)
    search(made, rhythms, sweep, tmp_path / "study")
    with pytest.raises(Refusal, match=r"holds a study of rhythm_quick with kl.beta = .+, now 3.0; go on"):
        search(recipe("kl.beta=3"), rhythms, sweep, tmp_path / "study")
    other = load_sweep(sweep_file(tmp_path, 'trials = 1\n[space]\n"model.channels" = [4]\n'), made)
    with pytest.raises(Refusal, match=r"with space.model.channels = \[8\], now \[4\]"):
        search(made, rhythms, other, tmp_path / "study")
    with_nan.hash = "0" * 64
    with pytest.raises(Refusal, match=r"with data = "):
        search(made, with_nan, sweep, tmp_path / "study")


def test_wrong_data_is_refused_before_a_study_begins(drums, tmp_path):
    made = recipe()
    with pytest.raises(Refusal, match="needs data of kind rhythm"):
        search(made, drums, load_sweep(sweep_file(tmp_path), made), tmp_path / "study")
    assert not (tmp_path / "study").exists()


@pytest.mark.parametrize(
    ("storage", "complaint"),
    [
        ("postgresql+nothing://user:secret@nowhere/db", "cannot be used"),
        ("sqlite:////nowhere/at/all.db", "cannot be used"),
        ("not a url", "cannot be used"),
        ("journal:/nowhere/log", "there is no folder /nowhere"),
    ],
)
def test_a_database_that_cannot_be_had_is_one_sentence(rhythms, tmp_path, capsys, storage, complaint):
    words = ["train", "rhythm_quick", "--data", str(rhythms.directory), "-o", str(tmp_path / "study")]
    words += ["--sweep", str(sweep_file(tmp_path)), "--storage", storage]
    assert vaectrol.main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error and "Traceback" not in error and "secret" not in error


def test_a_file_that_is_no_database_and_a_study_that_is_not_ours_are_refused(rhythms, tmp_path):
    made = recipe()
    sweep = load_sweep(sweep_file(tmp_path), made)
    (tmp_path / "torn.db").write_bytes(b"not a database" * 100)
    with pytest.raises(Refusal, match=r"torn\.db cannot be used"):
        open_study(made, rhythms, sweep, tmp_path, f"sqlite:///{tmp_path / 'torn.db'}")
    place = f"sqlite:///{tmp_path / 'other.db'}"
    optuna.create_study(storage=place, study_name="rhythm_quick")
    with pytest.raises(Refusal, match=r"is not ours|cannot be used"):
        open_study(made, rhythms, sweep, tmp_path, place)
