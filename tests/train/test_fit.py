"""A training is exact to resume, cannot be lost, and says plainly why it stops."""

import errno
import json

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import Callback

from common import model_metadata
from common.refusal import Refusal
from tests.train.small import PLAIN, SMALL_DRUM, SMALL_RHYTHM
from train.fit import fit
from train.kinds import load_recipe
from train.run import load_run, load_task
from train.tasks.drum import DrumTask
from train.tasks.rhythm import RhythmTask


def rhythm_recipe(*changes):
    return load_recipe("rhythm_quick", [*SMALL_RHYTHM, "fit.steps=12", "fit.interval=4", *changes])


def weights(run):
    return load_task(run, "last").state_dict()


class StopAfter(Callback):
    """Stands for a power cut after so many intervals."""

    def __init__(self, intervals):
        self.intervals = intervals

    def on_train_epoch_end(self, trainer, task):
        if trainer.current_epoch + 1 >= self.intervals:
            trainer.should_stop = True


def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(rhythms, tmp_path):
    recipe = rhythm_recipe()
    fit(recipe, rhythms, tmp_path / "whole", **PLAIN)
    fit(recipe, rhythms, tmp_path / "parts", **PLAIN, callbacks=[StopAfter(1)])
    early = weights(tmp_path / "parts")
    fit(recipe, rhythms, tmp_path / "parts", resume=True, **PLAIN)
    whole, parts = weights(tmp_path / "whole"), weights(tmp_path / "parts")
    assert all(torch.equal(whole[k], parts[k]) for k in whole)
    assert not all(torch.equal(early[k], parts[k]) for k in early)
    a, b = (json.loads((tmp_path / n / "metrics.json").read_text())["history"] for n in ("whole", "parts"))
    assert a == b and len(a) == 3


def test_a_run_holds_everything_a_later_stage_needs(rhythms, tmp_path):
    run_dir = fit(rhythm_recipe(), rhythms, tmp_path / "run")
    names = {p.name for p in run_dir.iterdir()}
    assert {"recipe.toml", "model.pt", "latent.json", "metrics.json", "card.json", "latent", "log"} <= names
    assert not list(run_dir.rglob("*.part"))
    run = load_run(run_dir)
    assert run.card["data"]["hash"] == rhythms.hash
    about = model_metadata.read_file(run_dir / "rhythm_quick.onnx")
    assert about.kind == "rhythm" and about.part == "decoder"
    assert len(about.latents) == 4 and all(len(row.quantiles) == 33 for row in about.latents)
    shares = [row.variance_share for row in about.latents]
    assert shares == sorted(shares, reverse=True)
    assert np.array(about.plane.grid).shape == (16, 16, 4)
    assert about.attributes[0].name == "density"
    assert about.recipe["fit"]["steps"] == 12
    run.prepare("test")
    feeds, targets = next(run.task.decoder_examples("test", 5, 0))
    assert feeds["z"].shape == (5, 4, 1) and targets["pattern"].shape == (5, 27, 32)
    assert (run_dir / "latent" / "map.png").stat().st_size > 1000
    assert model_metadata.read_file(run_dir / "rhythm_quick.encoder.onnx").part == "encoder"


def test_a_drum_run_trains_with_every_option_on(drums, tmp_path):
    changes = ["augment.speeds=1", "augment.damp=1", "augment.other=0.5", "loss.homes=0.3", "loss.later=0.5"]
    recipe = load_recipe("drum_quick", [*SMALL_DRUM, "fit.steps=4", "fit.interval=2", *changes])
    run_dir = fit(recipe, drums, tmp_path / "run", **PLAIN)
    run = load_run(run_dir)
    run.prepare("test")
    feeds, targets = next(run.task.decoder_examples("test", 3, 0))
    assert {name: array.shape for name, array in feeds.items()} == {"z": (3, 3, 1), "knobs": (3, 10, 1)}
    assert targets["audio"].shape == (3, 1, 96_000)
    run.task._trainer, run.task.progress = None, 1.0  # as the quantizer tunes: by the task's own loss
    run.prepare("train")
    before = {k: v.clone() for k, v in run.model.state_dict().items()}
    loss, terms = run.task.loss(run.task.draw(0))
    assert torch.isfinite(loss) and "spectral" in terms
    assert all(torch.equal(before[k], v) for k, v in run.model.state_dict().items())


def test_a_drum_learns_from_analysed_hits_first_and_listens_then(drums, tmp_path):
    recipe = load_recipe("drum_quick", [*SMALL_DRUM, "fit.steps=4", "fit.interval=2", "analysed.share=0.5"])
    task = DrumTask(recipe)
    task.prepare(drums)
    task.setup("fit")
    task._trainer = None
    told = [set(task.loss(task.draw(0))[1])]
    task.progress = 0.6
    told.append(set(task.loss(task.draw(0))[1]))
    assert {"noise", "frequency", "glide"} <= told[0] and "spectral" not in told[0]
    assert {"spectral", "level"} <= told[1] and "noise" not in told[1]


def test_the_waveform_of_a_stroke_says_nothing_about_its_noise(drums):
    """Compared with a recording's, random waveforms would learn to be silent."""
    task = DrumTask(load_recipe("drum_quick", SMALL_DRUM))
    task.prepare(drums)
    task.setup("fit")
    task._trainer, task.progress = None, 0.9
    control = task.model.decoder.control

    def pull(term):
        for parameter in control.parameters():
            parameter.grad = None
        torch.manual_seed(0)
        task.loss(task.draw(0))[1][term].backward()
        return [
            float(x.weight.grad.abs().sum()) if x.weight.grad is not None else 0.0
            for x in (control.noise, control.modes)
        ]

    assert pull("transient")[0] == 0.0 < pull("transient")[1]
    assert pull("spectral")[0] > 0.0


def test_analysed_hits_are_kept_and_damaged_ones_made_again(drums, tmp_path, monkeypatch):
    task = DrumTask(load_recipe("drum_quick", SMALL_DRUM))
    task.prepare(drums)
    task.directory = tmp_path
    task.setup("fit")
    kept = sorted((tmp_path / "hits").iterdir())
    assert len(kept) == len(task.versions) == 2

    def again():
        other = DrumTask(load_recipe("drum_quick", SMALL_DRUM))
        other.prepare(drums)
        other.directory = tmp_path
        other.setup("fit")
        for a, b in zip(task.versions, other.versions, strict=True):
            assert all(torch.equal(x, y) for x, y in zip(a.targets, b.targets, strict=True))
            assert all(np.array_equal(x, y) for x, y in zip(a.sounds, b.sounds, strict=True))

    kept[0].write_bytes(b"cut short")
    again()
    monkeypatch.setattr("train.analysis.hit.variants.analyse", None)  # nothing is analysed now
    again()


def test_the_second_stage_lets_the_encoder_rest(drums, tmp_path):
    changes = ["critic.start=0.5", "critic.channels=2", "analysed.share=0.25"]
    changes += ["fit.steps=4", "fit.interval=2"]
    recipe = load_recipe("drum_quick", [*SMALL_DRUM, *changes])
    first = fit(recipe, drums, tmp_path / "run", **PLAIN, callbacks=[StopAfter(1)])
    before = load_task(first, "last")
    fit(recipe, drums, tmp_path / "run", resume=True, **PLAIN)
    after = load_task(first, "last")

    def same(part):
        a, b = getattr(before.model, part).state_dict(), getattr(after.model, part).state_dict()
        return all(torch.equal(a[k], b[k]) for k in a)

    assert same("encoder") and not same("decoder")
    assert not all(
        torch.equal(a, b)
        for a, b in zip(before.opponent.parameters(), after.opponent.parameters(), strict=True)
    )


def test_a_loss_that_is_nan_stops_and_keeps_the_last_good_model(rhythms, tmp_path, monkeypatch):
    honest = RhythmTask.loss

    def spoiled(self, batch):
        loss, terms = honest(self, batch)
        return (loss * float("nan") if int(batch["step"]) == 6 else loss), {
            **terms,
            "odd": loss * float("nan"),
        }

    monkeypatch.setattr(RhythmTask, "loss", spoiled)
    with pytest.raises(
        Refusal, match=r"became nan at step 6 \(odd\) on .+ …; the last good checkpoint is kept"
    ):
        fit(rhythm_recipe(), rhythms, tmp_path / "run", **PLAIN)
    run = load_run(tmp_path / "run")
    assert all(torch.isfinite(p).all() for p in run.model.parameters())


def test_a_full_disk_loses_nothing(rhythms, tmp_path, monkeypatch):
    from lightning.pytorch import Trainer

    honest, written = Trainer.save_checkpoint, []

    def full(self, path, *rest, **more):
        if len(written) >= 2:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        honest(self, path, *rest, **more)

    monkeypatch.setattr(Trainer, "save_checkpoint", full)
    with pytest.raises(Refusal, match="No space left on device"):
        fit(rhythm_recipe(), rhythms, tmp_path / "run", **PLAIN)
    monkeypatch.undo()
    load_run(tmp_path / "run")
    assert not list((tmp_path / "run").rglob("*.part"))
    fit(rhythm_recipe(), rhythms, tmp_path / "run", resume=True, **PLAIN)


def test_a_wall_clock_budget_is_kept_and_leaves_a_usable_run(rhythms, tmp_path):
    run_dir = fit(
        rhythm_recipe("fit.steps=100000", "fit.interval=50000"),
        rhythms,
        tmp_path / "run",
        time_limit_s=2.0,
        **PLAIN,
    )
    assert json.loads((run_dir / "card.json").read_text())["spent"]["wall_s"] < 60
    load_run(run_dir)


def test_early_stopping_stops(rhythms, tmp_path):
    recipe = rhythm_recipe("fit.steps=400", "fit.interval=2", "fit.patience=2", "fit.learning_rate=1e-30")
    run_dir = fit(recipe, rhythms, tmp_path / "run", **PLAIN)
    assert len(json.loads((run_dir / "metrics.json").read_text())["history"]) < 20


def test_what_does_not_fit_together_is_refused(rhythms, drums, tmp_path, with_nan):
    recipe = rhythm_recipe("fit.steps=2", "fit.interval=2")
    with pytest.raises(Refusal, match="needs data of kind rhythm"):
        fit(recipe, drums, tmp_path / "run")
    with pytest.raises(Refusal, match="needs data of kind rhythm; no data set"):
        fit(recipe, None, tmp_path / "run")
    with pytest.raises(Refusal, match="holds NaN"):
        fit(recipe, with_nan, tmp_path / "run")
    fit(recipe, rhythms, tmp_path / "run", **PLAIN)
    with pytest.raises(Refusal, match="holds a finished run"):
        fit(recipe, rhythms, tmp_path / "run")
    with pytest.raises(Refusal, match="trained by another recipe \\(kl"):
        fit(
            rhythm_recipe("fit.steps=2", "fit.interval=2", "kl.beta=3"),
            rhythms,
            tmp_path / "run",
            resume=True,
        )
    with pytest.raises(Refusal, match="holds no run; train without --resume"):
        fit(recipe, rhythms, tmp_path / "other", resume=True)
    (tmp_path / "run" / "checkpoints" / "last.ckpt").write_bytes(b"torn")
    with pytest.raises(Refusal, match="damaged"):
        fit(recipe, rhythms, tmp_path / "run", resume=True)
    with pytest.raises(Refusal, match="is not a run"):
        load_run(tmp_path)


def test_digits_bring_their_own_data_and_learn(tmp_path):
    recipe = load_recipe("digits", ["fit.steps=200", "fit.interval=100"])
    run_dir = fit(recipe, None, tmp_path / "digits", **PLAIN)
    history = json.loads((run_dir / "metrics.json").read_text())["history"]
    assert history[-1]["val/reconstruction"] < 30  # nats; an even grey costs 44


def test_a_run_can_start_from_anothers_weights(rhythms, tmp_path):
    recipe = rhythm_recipe("fit.steps=2", "fit.interval=2")
    first = fit(recipe, rhythms, tmp_path / "first", **PLAIN)
    still = rhythm_recipe("fit.steps=1", "fit.interval=1", "fit.learning_rate=1e-30", f"fit.start={first}")
    second = fit(still, rhythms, tmp_path / "second", **PLAIN)
    a, b = load_task(first).model.state_dict(), load_task(second).model.state_dict()
    assert all(torch.equal(a[k], b[k]) for k in a)
    wider = rhythm_recipe("model.channels=12", f"fit.start={first}")
    with pytest.raises(Refusal, match="its model has another shape"):
        fit(wider, rhythms, tmp_path / "third", **PLAIN)


def test_a_run_of_another_version_is_refused_in_a_sentence(rhythms, tmp_path):
    run_dir = fit(rhythm_recipe("fit.steps=2", "fit.interval=2"), rhythms, tmp_path / "old", **PLAIN)
    kept = torch.load(run_dir / "model.pt", weights_only=True)
    kept.pop(next(iter(kept)))
    torch.save(kept, run_dir / "model.pt")
    with pytest.raises(Refusal, match="built otherwise; train it again"):
        load_run(run_dir)
