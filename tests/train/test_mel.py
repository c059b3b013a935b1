"""The mel VAE: pictures and back, clips of any audio set, a run that is judged and probed."""

import json

import librosa
import numpy as np
import pytest

import vaectrol
from common.audio import SAMPLE_RATE_HZ
from common.refusal import Refusal
from tests.pages import check_page
from tests.train.small import PLAIN, SMALL_MEL
from train.analysis.probe import amounts, linear_probe, neighbours, probe_runs, probes, targets
from train.data.clips import NO_EFFECT, Clip
from train.data.kinds import preparation
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import export_run, fit
from train.judges.evaluate import evaluate
from train.judges.mel import components, nearest
from train.kinds import load_recipe
from train.models.vocoder import FLOOR_DB, HIGH_HZ, LOW_HZ, SPAN_DB, Vocoder
from train.run import load_run


@pytest.fixture(scope="module")
def drive(tmp_path_factory):
    from toy.make import make_drive

    folder = tmp_path_factory.mktemp("drive")
    write = folder / "hard.toml"
    write.write_text(
        'name = "hard"\nsays = "clips"\n[[effect]]\nuse = "pedalboard.Clipping"\nthreshold_db = [-30, -3]\n'
    )
    make_drive(folder / "toy", 36, 0, 0.5, [write])
    prepare("drive", folder / "toy", folder / "set")
    return DataSet.open(folder / "set")


def recipe(*changes):
    return load_recipe("mel_quick", [*SMALL_MEL, "fit.steps=6", "fit.interval=3", *changes])


@pytest.fixture(scope="module")
def run(drive, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "mel"
    fit(recipe("fit.steps=60", "fit.interval=30"), drive, out, **PLAIN)
    export_run(load_run(out))
    return out


def noise(vocoder, seed=0):
    return np.random.default_rng(seed).standard_normal(vocoder.samples).astype(np.float32) * 0.1


def test_a_picture_is_librosas_mel_spectrogram_in_forties_of_decibels():
    vocoder = Vocoder(40, 24, 1024, 256)
    audio = noise(vocoder)
    mel = librosa.feature.melspectrogram(
        y=audio,
        sr=SAMPLE_RATE_HZ,
        n_fft=1024,
        hop_length=256,
        n_mels=40,
        fmin=LOW_HZ,
        fmax=HIGH_HZ,
        norm=None,
        pad_mode="constant",
    )
    wanted = 10 * np.log10(mel[:, :24] / 256**2 + 10 ** (FLOOR_DB / 10)) / SPAN_DB + 1
    assert np.allclose(vocoder.picture(audio[None])[0], wanted, atol=1e-4)
    t = np.arange(vocoder.samples) / SAMPLE_RATE_HZ
    sine = np.sin(2 * np.pi * 1000 * t).astype(np.float32)
    assert vocoder.picture(sine[None]).max() == pytest.approx(1.0, abs=0.1)
    assert np.all(vocoder.picture(np.zeros((1, vocoder.samples))) == -1)


def test_a_sound_made_of_a_picture_has_that_picture():
    vocoder = Vocoder(64, 24, 1024, 256)
    picture = vocoder.picture(noise(vocoder)[None])[0]
    sound = vocoder.sound(picture)
    error = (vocoder.picture(sound[None])[0] - picture)[:, 2:-2] * SPAN_DB
    assert np.sqrt((error**2).mean()) < 3.0  # dB; another noise is 6 dB away
    other = vocoder.picture(noise(vocoder, 1)[None])[0]
    assert np.sqrt((((other - picture) * SPAN_DB) ** 2).mean()) > 3.5
    assert np.array_equal(sound, vocoder.sound(picture))
    assert not vocoder.sound(np.full((64, 24), -1.0)).any()


def test_clips_of_a_drive_set_know_their_dry_side(drive):
    found = list(preparation("drive").clips(drive, "train", 8192))
    wet = [(clip, audio) for clip, audio in found if clip.effect != NO_EFFECT]
    dry = [clip for clip, _ in found if clip.effect == NO_EFFECT]
    # Half a second holds three of 8,192 samples, the third of them nine tenths full.
    assert len(wet) == 3 * len(drive.split("train"))
    assert len({clip.name for clip in dry}) == len(dry) < len(wet)
    for clip, audio in wet:
        beside, sound = found[clip.dry]
        assert beside.effect == NO_EFFECT and beside.sound == clip.sound
        threshold = 10 ** (clip.parameters["Clipping.threshold_db"] / 20)
        assert audio.shape == (8192,)
        assert np.allclose(audio, np.clip(sound, -threshold, threshold), atol=0.1)


def test_clips_of_a_drum_set_are_its_hits(drums):
    found = list(preparation("drum").clips(drums, "test", 6000))
    assert len(found) == len(drums.split("test"))
    assert all(clip.effect == NO_EFFECT and clip.dry == -1 for clip, _ in found)
    assert {clip.sound for clip, _ in found} == {drums.manifest[i]["class"] for i in drums.split("test")}
    assert all(abs(np.abs(audio).max() - 1) < 1e-4 for _, audio in found)


def test_it_trains_on_drums_with_a_drive_set_beside(drums, drive, tmp_path):
    made = recipe(f'beside=["{drive.directory}"]')
    out = fit(made, drums, tmp_path / "run", **PLAIN)
    run = load_run(out)
    assert run.card["facts"]["beside"][0]["hash"] == drive.hash
    run.prepare("test")
    assert {clip.data_set for clip in run.task.known_items("test")} == {"drum", "drive"}
    for clip in run.task.known_items("test"):
        if clip.dry >= 0:
            assert run.task.known_items("test")[clip.dry].effect == NO_EFFECT
    drive_only = load_run(fit(recipe(), drive, tmp_path / "other", **PLAIN))
    assert drive_only.card["facts"]["beside"] == []


def test_other_data_beside_and_other_kinds_are_refused(rhythms, drums, drive, tmp_path):
    with pytest.raises(Refusal, match="needs data of kind drum or drive"):
        fit(recipe(), rhythms, tmp_path / "run")
    with pytest.raises(Refusal, match=r"mel_quick sees data of kind drum or drive; .* holds rhythm"):
        fit(recipe(f'beside=["{rhythms.directory}"]'), drums, tmp_path / "run")
    task = load_run(fit(recipe(f'beside=["{drive.directory}"]'), drums, tmp_path / "run", **PLAIN)).task
    task.facts["beside"][0]["hash"] = "0" * 64
    with pytest.raises(Refusal, match="is other data than mel_quick was trained on beside"):
        task.prepare(drums)
    with pytest.raises(Refusal, match="hop 512 is more than half of size 512; lower it"):
        recipe("model.hop=512")


def test_it_learns_and_a_run_and_its_files_are_judged_alike(run, drive, tmp_path):
    history = json.loads((run / "metrics.json").read_text())["history"]
    assert history[-1]["score"] < history[0]["score"]
    from_run = evaluate(run, drive, tmp_path / "a", limit=3)
    from_file = evaluate(run / "mel_quick.onnx", drive, tmp_path / "b", limit=3)
    a, b = from_run["mel_distance_db"], from_file["mel_distance_db"]
    assert a["model"] == pytest.approx(b["model"], abs=1e-2)
    assert a["nearest"] < a["mean"] and from_run["items"] == 3
    assert from_run["compression"] == 16 * 16 / 3
    assert set(from_run["vocoder"]) == {"mr_stft_vocoder_alone", "mr_stft_model_and_vocoder"}
    assert (tmp_path / "a" / "heard_vocoder_made.wav").stat().st_size > 10_000
    page = (tmp_path / "a" / "report.html").read_text()
    check_page(page)
    assert page.count("<audio controls") == 9  # heard, vocoder, model and vocoder, of three clips


def test_opponents_are_what_they_say():
    rng = np.random.default_rng(0)
    axes = rng.standard_normal((2, 4, 5))
    train = np.tensordot(rng.standard_normal((40, 2)), axes, 1).astype(np.float32)
    wanted = np.tensordot(rng.standard_normal((6, 2)), axes, 1).astype(np.float32)
    assert np.allclose(components(train, wanted, 2), wanted, atol=1e-4)
    assert not np.allclose(components(train, wanted, 1), wanted, atol=0.1)
    assert np.array_equal(nearest(train, train[7:9] + 1e-3), train[7:9])


def known(count, seed):
    """Latents of which the second is a gain, and clips that say so; every fourth clip is dry."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((count, 4))
    made = [
        Clip(str(i), "drive", "bass", parameters={})
        if i % 4 == 0
        else Clip(
            str(i),
            "drive",
            "bass",
            "fuzz" if z[i, 0] > 0 else "tube",
            {"tube.drive_db": float(z[i, 1]), "filter.cutoff_hz": 2.0 ** rng.uniform(6, 12)},
            i // 4 * 4,
        )
        for i in range(count)
    ]
    return z, made


def test_probes_find_what_a_latent_says_and_nothing_else():
    (z, made), (z_tested, tested) = known(600, 0), known(300, 1)
    found = {(row["effect"], row["parameter"]): row for row in probes(z, made, z_tested, tested)}
    sure = found["fuzz", "tube.drive_db"]["from_point"]
    assert sure["r2"] > 0.99 and sure["direction"] == pytest.approx([0, 1, 0, 0], abs=0.02)
    unsure = found["fuzz", "filter.cutoff_hz"]["from_point"]
    assert unsure["r2"] < 0.2 and sure["chance"] < 0.6
    assert 0.3 < found["tube", "tube.drive_db"]["from_difference"]["r2"] < 0.9  # the dry point hides a part
    assert found["any effect", "amount"]["from_point"]["r2"] > 0.9
    near = neighbours(z, made, z_tested, tested)
    assert near["effect"]["names"] == 3 and near["effect"]["accuracy"] > near["effect"]["commonest"]
    assert "sound" not in near


def test_frequencies_are_probed_as_octaves_and_amounts_as_ranks():
    made = [Clip("", "drive", "bass", "crush", {"b.bit_depth": b, "f.low_hz": 2.0**b}) for b in (3, 4, 8)]
    made.append(Clip("", "drum", "kick"))
    assert amounts(made) == pytest.approx([1, 0.5, 0, np.nan], nan_ok=True)
    found = targets(made)
    assert found["crush", "f.low_hz"] == pytest.approx([3, 4, 8, np.nan], nan_ok=True)
    assert found["any effect", "amount"] == pytest.approx([1, 0.5, 0, np.nan], nan_ok=True)


def test_the_chance_level_is_that_of_shuffled_parameters():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((60, 8)), rng.standard_normal(60)
    found = linear_probe(x[:40], y[:40], x[40:], y[40:])
    assert found["r2"] < found["chance"] + 0.3 and -1 < found["chance"] < 0.5


def test_the_probe_command_draws_and_writes(run, drive, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("train.analysis.probe.FEWEST", {"train": 5, "tested": 3})
    words = ["probe", str(run), str(run), "--data", str(drive.directory), "-o", str(tmp_path / "p")]
    assert vaectrol.main(words) == 0
    said = capsys.readouterr().out
    assert "3 latents" in said and "hard: Clipping.threshold_db" in said and "chance" in said
    names = {path.name for path in (tmp_path / "p").iterdir()}
    assert names == {
        "probes.json",
        "probes.png",
        *(f"{what}_mel_{n}.png" for what in ("tsne", "directions") for n in (1, 2)),
    }
    written = json.loads((tmp_path / "p" / "probes.json").read_text())
    assert written["runs"][0]["probes"] == written["runs"][1]["probes"] != []
    assert vaectrol.main([*words, "--split", "train"]) == 2
    assert "take test" in capsys.readouterr().err


def test_any_kind_can_be_probed(drums, rhythms, run, tmp_path):
    from tests.train.small import SMALL_RHYTHM

    made = load_recipe("rhythm_quick", [*SMALL_RHYTHM, "fit.steps=2", "fit.interval=2"])
    other = fit(made, rhythms, tmp_path / "rhythm", **PLAIN)
    report = probe_runs([other], rhythms, tmp_path / "p")
    assert report["runs"][0]["probes"] == [] and report["runs"][0]["neighbours"]["sound"]["names"] > 1
    with pytest.raises(Refusal, match="is probed on data of kind drum or drive"):
        probe_runs([run], rhythms, tmp_path / "q")


def test_runs_that_see_the_same_pictures_take_them_once(run, drive, tmp_path):
    first, second = load_run(run).task, load_run(run).task
    first.prepare(drive, ("test",))
    assert second.share(first) and second.pictures["test"] is first.pictures["test"]
    coarser = load_run(fit(recipe("model.hop=128"), drive, tmp_path / "run", **PLAIN)).task
    assert not coarser.share(first)
