"""Judges measure what they say, and a report says the same of a run and of its model files."""

import dataclasses
import json

import numpy as np
import onnx
import pytest
import torch

from common import model_metadata
from common.outputs import encoder_beside
from common.refusal import Refusal
from quantize.formats.encoder import write_encoder
from tests.pages import check_page
from tests.train.small import SMALL_DRUM, SMALL_RHYTHM
from train.fit import export_run, fit
from train.judges.drum import log_spectral_distance, mr_stft, onset_ms, silence
from train.judges.evaluate import evaluate, headline
from train.judges.player import open_player
from train.judges.rhythm import REFINED, STEPPED, onset_f1, reconstruction, refine
from train.kinds import load_recipe
from train.run import load_run

SAMPLE_RATE_HZ = 48_000


@pytest.fixture(scope="module")
def rhythm_run(rhythms, tmp_path_factory):
    recipe = load_recipe("rhythm_quick", [*SMALL_RHYTHM, "fit.steps=4", "fit.interval=4"])
    run = fit(recipe, rhythms, tmp_path_factory.mktemp("runs") / "rhythm", pictures=False, export=False)
    export_run(load_run(run))
    return run


def test_a_run_and_its_model_files_get_the_same_figures(rhythm_run, rhythms, tmp_path):
    from_run = evaluate(rhythm_run, rhythms, tmp_path / "a", limit=6)
    from_file = evaluate(rhythm_run / "rhythm_quick.onnx", rhythms, tmp_path / "b", limit=6)
    a, b = from_run["figures"]["model"], from_file["figures"]["model"]
    assert a["onset_f1"] == pytest.approx(b["onset_f1"], abs=1e-3)
    assert json.loads((tmp_path / "a" / "report.json").read_text())["items"] == from_run["items"] > 0
    page = (tmp_path / "a" / "report.html").read_text()
    check_page(page)
    assert page.count("<audio controls") == 8 and "<svg" in page
    assert set(from_run["control"]) == set(from_run["motion"]) == set(from_run["leakage"])
    assert 0 <= from_run["drawn"]["valid"] <= 1
    # The oracle nearest neighbour is chosen using the target; the mean is blind.
    assert from_run["figures"]["nearest"]["onset_f1"] > from_run["figures"]["mean"]["onset_f1"]
    # Latents are sought with gradients, which a model file has not.
    for who in ("stepped", "refined"):
        assert who in from_run["figures"] and who not in from_file["figures"]
    assert dict(headline(from_run))["items"] == str(from_run["items"])


@pytest.mark.parametrize("how", [STEPPED, REFINED])
def test_sought_latents_reconstruct_better_than_those_they_come_from(how, rhythm_run, rhythms):
    """From the middle, where the pull to it is nothing: whatever is gained is gained on the pattern."""
    player = open_player(rhythm_run)
    player.task.prepare(rhythms, ("test",))
    patterns, knobs = player.task.patterns["test"], player.task.knobs["test"]
    middle = np.zeros_like(player.encode(patterns))

    def far(latents):
        with torch.no_grad():
            feeds = torch.from_numpy(latents)[:, :, None], torch.from_numpy(knobs)[:, :, None]
            logits = player.task.model.decoder.logits(*feeds)
            terms = player.task.reconstruction(logits, torch.from_numpy(patterns))
            return float(player.task.distance(terms))

    sought = refine(player.task, middle, knobs, patterns, *how)
    gain = far(middle) - far(sought)
    assert gain > 0.05 * float((sought**2).sum()) / len(sought)


def test_a_drum_run_is_judged_beside_the_nearest_training_sound(drums, tmp_path):
    recipe = load_recipe("drum_quick", [*SMALL_DRUM, "fit.steps=2", "fit.interval=2"])
    run = fit(recipe, drums, tmp_path / "run", pictures=False, export=False)
    report = evaluate(run, drums, tmp_path / "report", limit=3)
    assert report["items"] == 3 and len(report["rows"]) == 3
    player = open_player(run)
    player.task.prepare(drums, ("train",))
    assert report["silence_dbfs"] == pytest.approx(silence(player))
    ends = player.decode({"z": np.zeros((1, 3, 1), np.float32), "knobs": np.zeros((1, 10, 1), np.float32)})
    quieter = dataclasses.replace(player, answer=lambda _: (ends * 0,))
    assert silence(quieter) == -200
    assert set(report["control"]) == {"brightness", "decay"}
    assert report["figures"]["nearest"]["mr_stft"] <= report["figures"]["first"]["mr_stft"]
    # Two steps cannot beat a recording.
    assert report["figures"]["nearest"]["mr_stft"] < report["figures"]["model"]["mr_stft"]
    assert (tmp_path / "report" / "reconstructions.wav").stat().st_size > 10_000
    page = (tmp_path / "report" / "report.html").read_text()
    check_page(page)
    classes = len({item["class"] for item in drums.manifest if item["split"] == "train"})
    # heard, made, the oracle's, of three sounds; made and real of every class
    assert page.count("<audio controls") == 9 + 2 * classes
    assert (tmp_path / "report" / "gallery_kick_made.flac").stat().st_size > 10_000
    heard = report["hearing"]
    # three sounds are too few to be a crowd; the hits at random latents are enough
    assert np.isnan(heard["crowds"]["log_mel"]["told_made"])
    assert 0.5 < heard["crowds"]["log_mel"]["told_random"] <= 1.0
    written = json.loads((tmp_path / "report" / "report.json").read_text())
    assert written["hearing"]["crowds"]["log_mel"]["told_made"] is None
    # two hundred figures of classes are for the page; a terminal gets what fits on it
    printed = [name for name, _ in headline(report)]
    assert len(printed) < 60 and not any("classes" in name for name in printed)


def test_what_cannot_be_judged_is_refused(rhythm_run, drums, tmp_path):
    with pytest.raises(Refusal, match="judged on data of kind rhythm"):
        evaluate(rhythm_run, drums, tmp_path)
    with pytest.raises(Refusal, match="neither a run folder nor"):
        open_player(tmp_path / "nothing.onnx")
    (tmp_path / "torn.onnx").write_bytes(b"not a model")
    with pytest.raises(Refusal, match="not a readable ONNX file"):
        open_player(tmp_path / "torn.onnx")
    lonely = tmp_path / "lonely.onnx"
    lonely.write_bytes((rhythm_run / "rhythm_quick.onnx").read_bytes())
    with pytest.raises(Refusal, match="no encoder beside it"):
        open_player(lonely)


def test_an_encoder_of_another_run_is_refused(rhythm_run, tmp_path):
    for name in ("rhythm_quick.onnx", "rhythm_quick.encoder.onnx"):
        (tmp_path / name).write_bytes((rhythm_run / name).read_bytes())
    assert open_player(tmp_path / "rhythm_quick.onnx").latents
    decoder = model_metadata.read_file(tmp_path / "rhythm_quick.onnx")
    encoder = model_metadata.read_file(tmp_path / "rhythm_quick.encoder.onnx")
    assert decoder.codec == encoder.codec != ""
    other = onnx.load(tmp_path / "rhythm_quick.encoder.onnx")
    model_metadata.write(other, {"codec": "0123456789abcdef"})
    onnx.save(other, tmp_path / "rhythm_quick.encoder.onnx")
    with pytest.raises(Refusal, match="is of another training than"):
        open_player(tmp_path / "rhythm_quick.onnx")


def test_a_packed_encoder_beside_a_decoder_judges_as_the_run_does(rhythm_run, rhythms, tmp_path):
    decoder = tmp_path / "shipped.onnx"
    decoder.write_bytes((rhythm_run / "rhythm_quick.onnx").read_bytes())
    whole = (rhythm_run / "rhythm_quick.encoder.onnx").stat().st_size
    made = write_encoder(rhythm_run, decoder)
    assert made == encoder_beside(decoder) and made.stat().st_size < whole
    a = evaluate(rhythm_run, rhythms, tmp_path / "a", limit=6)["figures"]["model"]
    b = evaluate(decoder, rhythms, tmp_path / "b", limit=6)["figures"]["model"]
    assert a["onset_f1"] == pytest.approx(b["onset_f1"], abs=2e-2)


def click(at_ms, level=0.5, seconds=0.3):
    t = np.arange(int(seconds * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    ring = np.exp(-t / 0.03) * np.sin(2 * np.pi * 900 * t) * level
    return np.roll(np.pad(ring, (0, 4800)), int(at_ms * 48))[: len(t)].astype(np.float32)


def test_distances_are_zero_on_the_same_and_grow_with_difference():
    noise = np.random.default_rng(0).standard_normal(14_400).astype(np.float32) * 0.2
    assert mr_stft(click(0), click(0)) == pytest.approx(0.0, abs=1e-6)
    assert log_spectral_distance(click(0), click(0)) == 0.0
    assert log_spectral_distance(noise * 0.5, noise) == pytest.approx(6.02, abs=0.1)
    assert mr_stft(click(0) * 0.5, click(0)) < mr_stft(noise, click(0))


@pytest.mark.parametrize("late_ms", [1, 5, 20])
def test_onsets_are_found_to_half_a_millisecond(late_ms):
    assert onset_ms(click(late_ms)) - onset_ms(click(0)) == pytest.approx(late_ms, abs=0.5)


def test_f1_by_hand():
    wanted, made = np.zeros((1, 9, 32), bool), np.zeros((1, 9, 32), bool)
    wanted[0, 0, [0, 8, 16, 24]] = True
    made[0, 0, [0, 8, 9]] = True
    assert onset_f1(made, wanted) == pytest.approx(2 * 2 / (3 + 4))
    pattern = np.concatenate([wanted, wanted * 0.7, wanted * 0.1], 1).astype(np.float32)
    other = np.concatenate([wanted, wanted * 0.5, wanted * -0.1], 1).astype(np.float32)
    figures = reconstruction(other, pattern)
    assert figures["onset_f1"] == 1.0
    assert figures["velocity_mae"] == pytest.approx(0.2, abs=1e-6)
    assert figures["timing_mae_steps"] == pytest.approx(0.2, abs=1e-6)
