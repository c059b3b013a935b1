"""The commands train, budget and evaluate as a builder meets them."""

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import vaectrol
from common.refusal import DoesNotFit, Refusal
from tests.train.small import SMALL_DRUM, SMALL_RHYTHM
from train.budget import refuse_what_cannot_fit, untrained_model
from train.kinds import load_recipe
from train.progress import Moment, clock
from train.run import load_run

ROOT = Path(__file__).parents[2]


def settings(*changes):
    return [word for change in changes for word in ("--set", change)]


def test_train_makes_a_run_and_says_where(rhythms, tmp_path, capsys):
    data = ["--data", str(rhythms.directory), "-o", str(tmp_path / "run")]
    changes = settings(*SMALL_RHYTHM, "fit.steps=2", "fit.interval=2")
    assert vaectrol.main(["train", "rhythm_quick", *data, *changes, "--anyway", "--json"]) == 0
    said = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    assert said["run"] == str(tmp_path / "run") and said["spent"]["wall_s"] > 0
    assert (tmp_path / "run" / "rhythm_quick.onnx").exists()
    model = tmp_path / "run" / "rhythm_quick.onnx"
    before = model.stat().st_mtime_ns
    assert vaectrol.main(["train", "rhythm_quick", *data, *changes, "--anyway"]) == 2
    said = capsys.readouterr().err
    assert "holds a finished run (rhythm_quick, score " in said
    assert "go on with it by --resume, replace it by --overwrite" in said
    assert model.stat().st_mtime_ns == before
    (tmp_path / "run" / "letter.txt").write_text("keep me")
    again = ["train", "rhythm_quick", *data, *settings(*SMALL_RHYTHM, "fit.steps=4", "fit.interval=2")]
    assert vaectrol.main([*again, "--anyway", "--overwrite"]) == 0
    history = json.loads((tmp_path / "run" / "metrics.json").read_text())["history"]
    assert [row["interval"] for row in history] == [0, 1] and model.stat().st_mtime_ns != before
    assert (tmp_path / "run" / "letter.txt").read_text() == "keep me"
    said = capsys.readouterr().err
    assert "after the training: latent table 0:" in said and "model files 0:" in said


def test_a_run_goes_nowhere_it_could_do_harm(rhythms, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("keep me")
    for place, more, complaint in (
        ("file", [], "is a file; give the name of a folder"),
        ("mine", [], "holds other files and no run; choose another folder"),
        ("mine", ["--overwrite"], "holds other files and no run"),
        ("none", ["--resume"], "holds no run; train without --resume"),
        ("none", ["--resume", "--overwrite"], "choose one"),
    ):
        words = ["train", "rhythm_quick", "--data", str(rhythms.directory), "-o", str(tmp_path / place)]
        assert vaectrol.main([*words, *more]) == 2
        assert complaint in capsys.readouterr().err
    assert (tmp_path / "mine" / "letter.txt").read_text() == "keep me"


def test_the_bar_ends_where_the_budget_or_the_steps_end():
    begun = Moment(step=440, steps=9000, elapsed_s=60, limit_s=240)
    assert begun.part == 0.25 and begun.remaining_s == 180
    assert begun.words().startswith("1:00 of 4:00, 3:00 left  step 440")
    fast = Moment(step=8000, steps=9000, elapsed_s=80, limit_s=240)
    assert fast.part == pytest.approx(8 / 9) and fast.remaining_s == pytest.approx(10)
    assert Moment(step=900, steps=9000, elapsed_s=250, limit_s=240).part == 1.0
    free = Moment(step=900, steps=9000, elapsed_s=360, figures={"train/loss": 0.5})
    assert free.part == pytest.approx(0.1) and free.remaining_s == pytest.approx(3240)
    assert free.words() == "6:00, 54:00 left  step 900 of 9,000  loss 0.5"
    # What an earlier training had done says nothing of the speed of this one.
    resumed = Moment(step=5100, steps=5200, elapsed_s=100, begun_at=5000)
    assert resumed.remaining_s == pytest.approx(100)
    assert [clock(s) for s in (0.2, 59.6, 3599, 3661)] == ["0:00", "1:00", "59:59", "1:01:01"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["train", "nothing"], "no recipe named 'nothing'"),
        (["train", "rhythm", "--data", "absent"], "holds no data set"),
        (["train", "rhythm", "--time", "soon"], "--time soon is not a length of time"),
        (["budget", "absent.onnx"], "there is no model file absent.onnx"),
        (["evaluate", "absent", "--data", "absent"], "holds no data set"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(words, complaint, capsys):
    assert vaectrol.main(words) == 2
    error = capsys.readouterr().err
    assert complaint in error and "Traceback" not in error


def test_the_budget_of_a_recipe_is_that_of_its_untrained_model(tmp_path, capsys):
    changes = [*SMALL_DRUM]
    assert vaectrol.main(["budget", "drum_quick", *settings(*changes), "--json"]) == 0
    from_recipe = json.loads(capsys.readouterr().out)
    model = untrained_model(load_recipe("drum_quick", changes), tmp_path / "m.onnx")
    assert vaectrol.main(["budget", str(model), "--json"]) == 0
    from_model = json.loads(capsys.readouterr().out)
    assert from_recipe == from_model
    assert from_recipe["fits"] and 0 < from_recipe["macs_per_event"] < 200_000


def test_a_recipe_that_cannot_fit_is_refused_with_numbers(monkeypatch):
    recipe = load_recipe("drum_quick", ["budget.cpu=0.3"])
    answer = SimpleNamespace(fits=True, reasons=[], cpu_worst=0.42)
    monkeypatch.setattr("train.budget.recipe_budget", lambda _: answer)
    with pytest.raises(
        Refusal, match=r"would take 42% of patch_sm in its worst block, predicted; budget\.cpu allows 30%"
    ):
        refuse_what_cannot_fit(recipe)
    answer.fits, answer.reasons = False, ["weights need 900,000 bytes where 513,000 are left"]
    with pytest.raises(DoesNotFit, match="does not fit patch_sm: weights need 900,000 bytes"):
        refuse_what_cannot_fit(recipe)


def test_the_budget_of_what_does_not_fit_is_told_without_a_limit(monkeypatch, capsys, tmp_path):
    from firmware.compiler import Budget

    found = Budget(
        parameters=1,
        macs_per_sample=1.0,
        cycles_per_second=1.0,
        cpu_mean=0.1,
        cpu_worst=0.1,
        weight_bytes=90_000_000,
        state_bytes=1,
        regions={"ram": {"used": 90_000_001, "left": None}},
        latency_samples=0.0,
        fits=False,
        reasons=["the model does not fit patch_sm."],
    )
    monkeypatch.setattr("firmware.compiler.budget", lambda *_, **__: found)
    model = tmp_path / "large.onnx"
    model.touch()
    assert vaectrol.main(["budget", str(model)]) == 0
    said = capsys.readouterr().out
    assert "ram             90,000,001 bytes used\n" in said
    assert "does not fit: the model does not fit patch_sm." in said


def test_the_work_of_a_pattern_is_told_by_the_event(capsys):
    """A model of events has no cost a sample; "0 MAC per sample" would read as if it were free."""
    assert vaectrol.main(["budget", "rhythm_quick"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"work +[1-9][\d,]+ MAC per event\n", said)


def test_the_standard_drum_recipe_keeps_the_issues_limits():
    from firmware.compiler import budget

    recipe = load_recipe("drum")
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory() as folder:
        found = budget(untrained_model(recipe, Path(folder) / "drum.onnx"))
    assert found.parameters <= 400_000
    assert found.macs_per_event <= 200_000  # asked every two callbacks of 48 samples
    assert found.fits


def test_ctrl_c_leaves_a_usable_run(rhythms, tmp_path):
    run_dir = tmp_path / "run"
    changes = settings(*SMALL_RHYTHM, "fit.steps=1000000", "fit.interval=5")
    words = ["train", "rhythm_quick", "--data", str(rhythms.directory), "-o", str(run_dir), *changes]
    training = subprocess.Popen(
        [sys.executable, str(ROOT / "vaectrol.py"), *words, "--anyway"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=tmp_path,
    )
    try:
        for _ in range(1200):  # a training that never gets to a checkpoint must not hang the suite
            if (run_dir / "checkpoints" / "best.ckpt").exists() or training.poll() is not None:
                break
            time.sleep(0.1)
        training.send_signal(signal.SIGINT)
        said, _ = training.communicate(timeout=120)
    finally:
        training.kill()
    assert training.returncode == 0, said
    assert "Traceback" not in said and "KeyboardInterrupt" not in said
    assert (run_dir / "rhythm_quick.onnx").exists() and not list(run_dir.rglob("*.part"))
    run = load_run(run_dir)
    run.prepare("test", data=rhythms)
    feeds, _ = next(run.task.decoder_examples("test", 2, 0))
    assert np.isfinite(feeds["z"]).all()
    assert 0 < len(json.loads((run_dir / "metrics.json").read_text())["history"]) < 200_000
