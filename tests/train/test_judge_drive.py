"""The judge of drives measures what it says; its opponent is a fair one."""

import json
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.signal import lfilter

from tests.pages import check_page
from tests.train.test_drive import SMALL
from train.fit import export_run, fit
from train.judges import drive as judge
from train.judges.evaluate import evaluate
from train.judges.player import open_player
from train.judges.static_curve import fit_static_curve
from train.kinds import load_recipe
from train.run import load_run
from train.tasks.drive import DriveTask


@pytest.fixture(scope="module")
def run(drives, tmp_path_factory):
    sets = [*SMALL, "direction='topology'", "type_latents=2", "fit.batch=6", "fit.validation_items=8"]
    recipe = load_recipe("drive_quick", [*sets, "fit.steps=6", "fit.interval=6"])
    folder = fit(recipe, drives, tmp_path_factory.mktemp("runs") / "drive", pictures=False, export=False)
    export_run(load_run(folder))
    return folder


@pytest.fixture
def brief(monkeypatch):
    monkeypatch.setattr(judge, "NOISE_MINUTES", 0.5)
    monkeypatch.setattr(judge, "POSITIONS", 5)
    monkeypatch.setattr(judge, "fit_space", partial(judge.fit_space, steps=60))


def test_a_run_is_judged_whole(run, drives, tmp_path, brief):
    report = evaluate(run, drives, tmp_path / "report", limit=6)
    kept = json.loads((tmp_path / "report" / "report.json").read_text())
    assert kept["items"] == report["items"] == 6 == len(report["rows"])
    assert report["silence_dbfs"] == -200
    assert report["safety"]["finite"] and report["safety"]["noise_minutes"] == 0.5
    assert report["safety"]["noise_peak_late_over_early"] < 2
    assert set(report["amount"]) == {"knob", "line", "flow"}
    assert set(report["amount"]["knob"]) == set(report["amount"]["line"]) >= {"fold", "clipping", "tube"}
    assert all(-1 <= v <= 1 for way in report["amount"].values() for v in way.values())
    assert set(report["types"]) >= {"knn", "knn_by_type", "knn_type_latents", "flow"}
    # Six steps teach nothing: a curve fitted to the answer is nearer.
    assert report["figures"]["esr_static_own"] < report["figures"]["esr"]
    page = (tmp_path / "report" / "report.html").read_text()
    check_page(page)
    assert "<audio controls" in page and "Distortion as the amount turns" in page
    from_file = evaluate(run / "drive_quick.onnx", drives, tmp_path / "file", limit=6)
    assert from_file["figures"]["esr"] == pytest.approx(report["figures"]["esr"], rel=1e-3)


def test_a_device_that_was_trained_on_is_also_made_at_the_point_heard_in_training():
    """An encoder that mishears quiet phrases: the point heard from loud ones acquits the decoder."""
    pedal = Pedal(lambda x, z: z * x)
    task = pedal.task
    words = {"effect": "box", "parameters": {"box.gain": 3}, "continues": False, "file": "f"}
    splits = ("train", "train", "test")
    rows = [{**words, "name": f"{number}", "split": split} for number, split in enumerate(splits)]
    task.data = SimpleNamespace(manifest=rows)
    task.picked = {"train": np.array([0, 1]), "test": np.array([2])}
    for number, level in enumerate((0.5, 0.6, 0.02)):
        dry = (level * music(number)).astype(np.float32)
        task.pairs[number] = dry, 0.5 * dry
    loud = float(np.abs(task.pairs[2][0]).max())
    pedal.encode = lambda windows: np.array(
        [np.full(8, 0.5 if np.abs(w[0]).max() > 2 * loud else 0.1, np.float32) for w in windows]
    )
    heard, _ = judge.hear(pedal, task.picked["test"])
    found, _ = judge._reconstruct(pedal, "test", task.picked["test"], heard)
    assert found[0]["device"] == "box box.gain 3"
    assert found[0]["model"]["esr"] == pytest.approx(0.64, abs=1e-3)
    assert found[0]["device_point"]["esr"] < 1e-9
    assert judge._figures(found)["esr_device_point"] == found[0]["device_point"]["esr"]
    # a setting that nobody trained on has no such point
    rows[2]["parameters"] = {"box.gain": 4}
    found, _ = judge._reconstruct(pedal, "test", task.picked["test"], heard)
    assert found[0]["device"] == "box" and "device_point" not in found[0]
    assert "esr_device_point" not in judge._figures(found)


def test_rendering_in_pieces_is_rendering_whole(run, monkeypatch):
    player = open_player(run)
    dry = np.random.default_rng(0).uniform(-1, 1, 5000).astype(np.float32)
    z = player.prior(1, 0)[0]
    whole = judge.render(player, dry, z)
    monkeypatch.setattr(judge, "CHUNK", 960)
    assert len(whole) == 5000 and np.allclose(judge.render(player, dry, z), whole, atol=1e-6)


class Pedal:
    """What stands in for a model: a curve whose hardness is the first latent."""

    def __init__(self, curve):
        self.curve, self.task = curve, DriveTask(load_recipe("drive_quick", SMALL))
        self.latents = [{"quantiles": [-1.0, 1.0]}] * 8

    def prior(self, count, seed):
        return np.random.default_rng(seed).uniform(-1, 1, (count, 8)).astype(np.float32)

    def decode(self, feeds):
        return self.curve(feeds["audio"], feeds["latent"][:, :1, :1])


def test_distortion_is_the_part_beside_the_fundamental():
    clean, square = Pedal(lambda x, z: 0.3 * x), Pedal(lambda x, z: np.sign(x))
    assert judge.distortion_of(clean, np.zeros(8)) == pytest.approx(0.0, abs=1e-3)
    # of a square wave's power 8/π² is the fundamental
    assert judge.distortion_of(square, np.zeros(8)) == pytest.approx(np.sqrt(1 - 8 / np.pi**2), abs=0.01)
    hard = [judge.distortion_of(Pedal(lambda x, z: np.tanh(z * x)), np.full(8, k)) for k in (1.0, 4.0, 16.0)]
    assert hard[0] < hard[1] < hard[2]


def test_a_model_that_blows_up_is_found_out(brief):
    growing = Pedal(lambda x, z: np.cumsum(x, -1))
    assert judge.safety(growing)["dc_peak"] > 90_000
    assert judge.silence(Pedal(lambda x, z: x + 0.01)) == pytest.approx(-40, abs=0.1)


def music(seed, n=48_000):
    rng = np.random.default_rng(seed)
    return lfilter([0.2], [1, -0.8], rng.standard_normal(n)) * np.repeat(
        rng.uniform(0.05, 1, n // 4800), 4800
    )


@pytest.mark.parametrize("order", ["curve first", "filter first"])
def test_the_opponent_finds_a_curve_and_a_filter_in_either_order(order):
    def device(x):
        bent = np.tanh(3 * x) + 0.2 * np.tanh(3 * x) ** 2
        heard = lfilter([0.3], [1, -0.7], x)
        return lfilter([0.3], [1, -0.7], bent) if order == "curve first" else np.tanh(3 * heard)

    fitted = fit_static_curve([(music(0), device(music(0)))])
    assert fitted.curve_first is (order == "curve first")
    assert judge.esr(fitted(music(1)), device(music(1))) < 5e-3
    assert np.all(fitted(np.zeros(100)) == 0)


def test_the_opponent_of_silence_is_refused():
    with pytest.raises(ValueError, match="nothing sounds"):
        fit_static_curve([(np.zeros(1000), np.zeros(1000))])


def test_parameters_that_stand_in_the_latents_are_read():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((160, 8)).astype(np.float32)
    z[::2, 3] += 6
    items = [
        {
            "effect": "ab"[i % 2 == 0],
            "parameters": {"x.drive_db": float(10 + 3 * row[0]), "x.tone": float(row[1])},
        }
        for i, row in enumerate(z)
    ]
    from train.latents.space import fit_space

    space = fit_space(items[:120], z[:120], np.full((120, 8), 0.05), steps=300)
    read = judge.parameters_read(items[:120], z[:120], items[120:], z[120:], space)
    assert read["amounts"]["regression"] > 0.9 and read["pooled"]["regression"] > 0.9
    assert read["amounts"]["flow"] > 0.7
    blind = judge.parameters_read(items[:120], z[:120], items[120:], rng.permutation(z[120:]), space)
    assert blind["pooled"]["regression"] < 0.2
