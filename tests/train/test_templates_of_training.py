"""The templates of a training kind and a recipe work as they are, under any name."""

import json
import subprocess
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

import train.models
import train.tasks
import vaectrol
from train.kinds import training_kinds
from train.run import load_run

ROOT = Path(__file__).resolve().parents[2]
TEMPLATES = ROOT / "docs" / "templates"
PLACES = {
    "training_task.py": "tasks/swell.py",
    "training_model.py": "models/swell.py",
    "recipe.toml": "swell.toml",
}


@pytest.fixture
def recipe(tmp_path, monkeypatch):
    """The templates, renamed as CONTRIBUTING says, in folders that the packages are found in too."""
    for template, place in PLACES.items():
        (tmp_path / place).parent.mkdir(exist_ok=True)
        with open(tmp_path / place, "w") as file:
            rename = "s/envelope/swell/g; s/Envelope/Swell/g"
            subprocess.run(["sed", rename, str(TEMPLATES / template)], stdout=file, check=True)
    for package in (train.tasks, train.models):
        folder = tmp_path / package.__name__.rpartition(".")[2]
        monkeypatch.setattr(package, "__path__", [*package.__path__, str(folder)])
    return tmp_path / "swell.toml"


def test_the_templates_train_export_and_open_in_onnxruntime(recipe, tmp_path, capsys):
    assert "swell" in training_kinds()
    ten_steps = ["--set", "fit.steps=10", "--set", "fit.interval=5", "--json"]
    assert vaectrol.main(["train", str(recipe), "-o", str(tmp_path / "run"), *ten_steps]) == 0
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["run"] == str(tmp_path / "run")
    run = load_run(tmp_path / "run")
    run.prepare("test")
    feeds, wanted = next(run.task.decoder_examples("test", 4, 0))
    session = onnxruntime.InferenceSession(str(tmp_path / "run" / "swell.onnx"))
    made = np.concatenate([session.run(None, {"z": z[None]})[0] for z in feeds["z"]])
    assert made.shape == wanted["levels"].shape == (4, 32, 1)
    assert np.isfinite(made).all() and 0 <= made.min() <= made.max() <= 1
    assert (tmp_path / "run" / "latent" / "map.png").exists()


def test_the_templates_learn(recipe):
    from train.kinds import load_recipe

    read = load_recipe(recipe)
    task = train.kinds.task_class(read.kind)(read)
    task.prepare(None)
    import torch

    optimizer = torch.optim.Adam(task.parameters(), 3e-3)
    first = task.score(task.validation_batches()[0])["score"].item()
    for step in range(200):
        optimizer.zero_grad()
        task.loss(task.draw(step))[0].backward()
        optimizer.step()
    assert task.score(task.validation_batches()[0])["score"].item() < 0.2 * first
