"""Textures: recordings of any length go in whole, and a codec hears and makes what its definitions say."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

from common.refusal import Refusal
from firmware.compiler.ops.hop_ends import ear as ear_definition
from firmware.compiler.ops.hop_ends import source_filter as sound_definition
from tests.train.data_sources import write
from train.data import audio as sound
from train.data.prepare import prepare
from train.data.store import DataSet
from train.kinds import load_recipe
from train.latents.table import prepare_latents
from train.models.source_filter.ear import Ear
from train.models.source_filter.sound import SourceFilter
from train.models.texture import LATE, TextureShape, TextureVAE, delayed
from train.tasks.texture import Recording, TextureTask

ROOT = Path(__file__).resolve().parents[2]
RATE = 44_100


def tone(seconds, hz=220.0, rate=RATE, level=0.5):
    n = np.arange(round(seconds * rate))
    return level * np.sin(2 * np.pi * hz * n / rate)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Files of 30 ms to two minutes and a half, in three folders, and some that have no place."""
    root = tmp_path_factory.mktemp("sounds")
    for k, name in enumerate(("horn", "reed", "string")):
        for take in range(4):
            write(root / name / f"note{take} {k}.wav", tone(0.3 + 0.2 * take, 110 * (k + take + 1)), RATE)
    write(root / "horn" / "click.wav", tone(0.03, 900), RATE)
    rng = np.random.default_rng(0)
    long = tone(150, 330) + 0.05 * rng.normal(size=150 * RATE)
    write(root / "string" / "long.flac", long, RATE)
    write(root / "bad" / "too_short.wav", tone(0.01), RATE)
    write(root / "bad" / "silent.wav", np.zeros(RATE), RATE)
    return root


@pytest.fixture(scope="module")
def data(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("set") / "data"
    prepare("texture", folder, out)
    return DataSet.open(out)


# ---- the intake ------------------------------------------------------------------------------------------


def test_nothing_is_dropped_for_being_short_and_what_has_no_place_is_named(data):
    data.verify()
    files = {item["file"] for item in data.manifest}
    assert "horn/click.wav" in files and len(files) == 14
    reasons = {one["file"]: one["reason"] for one in data.head["left_out"]}
    assert "10 ms" in reasons["bad/too_short.wav"]
    assert "silent" in reasons["bad/silent.wav"]


def test_a_long_file_comes_in_spans_without_a_seam(data, folder):
    import soundfile

    spans = [i for i, item in enumerate(data.manifest) if item["file"] == "string/long.flac"]
    assert [data.manifest[i]["samples"] for i in spans] == [60 * 48_000, 60 * 48_000, 30 * 48_000]
    assert len({data.manifest[i]["split"] for i in spans}) == 1
    whole = np.concatenate([data.texture(i) for i in spans])
    audio = soundfile.read(folder / "string" / "long.flac")[0]
    wanted = sound.resample(audio - audio.mean(), RATE)
    middle = slice(59 * 48_000, 121 * 48_000)
    assert np.abs(whole[middle] - wanted[middle]).max() < 2e-4


def test_takes_of_a_sound_stay_together_and_every_folder_is_split(tmp_path):
    for name in ("a", "b"):
        for number in range(6):
            for take in (1, 2):
                write(
                    tmp_path / "src" / name / f"n{number}x_take{take}.wav", tone(0.1, 200 + 40 * number), RATE
                )
    prepare("texture", tmp_path / "src", tmp_path / "out")
    items = DataSet.open(tmp_path / "out").manifest
    split_of = {}
    for item in items:
        split_of.setdefault(item["group"], set()).add(item["split"])
    assert all(len(splits) == 1 for splits in split_of.values()) and len(split_of) == 12
    for name in ("a", "b"):
        assert {i["split"] for i in items if i["label"] == name} == {"train", "validation", "test"}


def test_silence_is_shortened_to_a_second_and_kept(tmp_path):
    quiet = np.zeros(5 * RATE)
    write(tmp_path / "src" / "gap.wav", np.concatenate([tone(1), quiet, tone(1)]), RATE)
    prepare("texture", tmp_path / "src", tmp_path / "out")
    found = DataSet.open(tmp_path / "out")
    audio = found.texture(0)
    assert len(audio) == pytest.approx(3 * 48_000, abs=960)
    silent = np.abs(audio[round(1.05 * 48_000) : round(1.95 * 48_000)])
    assert silent.max() < 1e-3
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    assert told["silent_seconds"] == pytest.approx(4, abs=0.05)


def test_interrupted_anywhere_it_ends_with_the_same_hash(folder, data, tmp_path):
    def stops_after(count):
        def watch(things, label):
            for number, thing in enumerate(things):
                if label == "reading" and number == count:
                    raise KeyboardInterrupt
                yield thing

        return watch

    for count in (0, 7):
        with pytest.raises(KeyboardInterrupt):
            prepare("texture", folder, tmp_path / "out", watch=stops_after(count))
        with pytest.raises(Refusal, match="unfinished"):
            DataSet.open(tmp_path / "out")
    outcome = prepare("texture", folder, tmp_path / "out")
    assert outcome.manifest["hash"] == data.hash and outcome.recalled >= 7


def test_the_report_says_what_is_wrong(tmp_path):
    source = tmp_path / "src"
    dull = np.repeat(tone(2, 440, 8000), 1) + 0.1 * np.random.default_rng(1).normal(size=16_000)
    write(source / "dull.wav", dull, 8000)
    left = tone(1, 300)
    write(source / "cancelled.wav", np.stack([left, -0.9 * left], 1), RATE)
    click = np.zeros(RATE)
    click[500] = 0.9
    write(source / "click.wav", click, RATE)
    prepare("texture", source, tmp_path / "out")
    told = json.loads((tmp_path / "out" / "report.json").read_text())
    text = {f["text"]: f["files"] for f in told["findings"]}
    assert any("nothing above 4 kHz" in t and "dull.wav" in f for t, f in text.items())
    assert any("cancel" in t and f == ["cancelled.wav"] for t, f in text.items())
    assert any("clicks" in t and f == ["click.wav"] for t, f in text.items())
    assert any("hours a mode" in t for t in text)


def test_the_command_says_one_sentence_of_an_empty_folder(tmp_path):
    (tmp_path / "src").mkdir()
    done = subprocess.run(
        [
            sys.executable,
            ROOT / "vaectrol.py",
            "data",
            "prepare",
            "texture",
            tmp_path / "src",
            tmp_path / "out",
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2 and "Traceback" not in done.stderr
    assert "holds no audio" in done.stderr and not (tmp_path / "out").exists()


@pytest.mark.slow
def test_six_hours_are_read_in_300_megabytes(tmp_path):
    import soundfile

    path = tmp_path / "src" / "long.wav"
    path.parent.mkdir()
    with soundfile.SoundFile(path, "w", 48_000, 1, "PCM_16") as file:
        minute = (0.3 * np.random.default_rng(0).normal(size=60 * 48_000)).clip(-1, 1)
        for _ in range(360):
            file.write(minute)
    code = (
        "import resource, sys; from pathlib import Path; from train.data.prepare import prepare;"
        "prepare('texture', Path(sys.argv[1]), Path(sys.argv[2]));"
        "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, path.parent, tmp_path / "out"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert int(done.stdout.split()[-1]) < 300_000


# ---- the codec -------------------------------------------------------------------------------------------


def test_the_ear_and_the_sound_are_those_of_the_firmware():
    torch.manual_seed(0)
    audio = 0.3 * torch.randn(1, 1, 256 * 12)
    ear = Ear()
    heard = ear(audio)[0].double().numpy()
    constants = ear_definition.EarConstants(ear.bank.double().numpy(), ear.weight.double().numpy())
    wanted = ear_definition.heard(constants, audio[0, 0].double().numpy())
    np.testing.assert_allclose(heard, wanted, atol=2e-6)
    made = SourceFilter(16, seed=7).eval()
    numbers = 2 * torch.randn(1, 33, 12)
    control = torch.stack([torch.linspace(-2, 3, 12), torch.ones(12), torch.linspace(-3, 2, 12)])[None]
    share = made.share.double().numpy()
    wanted = sound_definition.sound(
        sound_definition.SourceConstants(share, 7), numbers[0].double().numpy(), control[0].double().numpy()
    )
    found = made(numbers, control)[0, 0].numpy()
    assert np.abs(found - wanted).max() < 1e-4 * np.abs(wanted).max()


def test_nothing_of_the_future_is_heard():
    torch.manual_seed(1)
    model = TextureVAE(TextureShape(encoder=8, decoder=8, bands=8)).eval()
    a, b = 0.2 * torch.randn(2, 1, 1, 256 * 20)
    b[..., : 256 * 10] = a[..., : 256 * 10]
    for of in (lambda x: model.encoder(x)[0], lambda x: Ear()(x)):
        x, y = of(a), of(b)
        torch.testing.assert_close(x[..., :10], y[..., :10])
        assert (x[..., 10] - y[..., 10]).abs().max() > 1e-4


def test_what_is_made_is_late_by_what_the_model_says():
    click = torch.zeros(1, 1, 1024)
    click[..., 100] = 1
    assert int(delayed(click)[0, 0].argmax()) == 100 + LATE


def test_a_window_beyond_the_ends_is_silence_at_the_same_pitch():
    recording = Recording.of("a", "b", tone(0.5, 196, 48_000).astype(np.float32))
    audio, octaves, voicing = recording.window(-3, recording.hops + 6)
    assert len(audio) == 256 * (recording.hops + 6) and not audio[: 3 * 256].any() and not voicing[-3:].any()
    assert octaves[0] == octaves[3] and octaves[-1] == octaves[-4]
    assert np.median(octaves) == pytest.approx(np.log2(196 / 220), abs=0.01)


def test_a_sound_is_of_the_hop_before_and_as_loud_as_its_own():
    made = SourceFilter(8, seed=3).eval()
    numbers = torch.zeros(1, 17, 8)
    control = torch.tensor([0.0, 1.0, 2.0])[None, :, None].repeat(1, 1, 8)
    before = made(numbers, control)
    louder, brighter = control.clone(), numbers.clone()
    louder[:, 2, 4] += 1.0
    brighter[:, 8:16, 4] += 4.0
    for changed, first in ((made(numbers, louder), 4), (made(brighter, control), 5)):
        differs = (changed != before)[0, 0].reshape(8, 256).any(1)
        assert differs.tolist() == [first <= hop < first + 2 for hop in range(8)]


def test_a_faster_recording_is_higher_and_is_tracked_where_it_was():
    recording = Recording.of("a", "b", tone(0.6, 196, 48_000).astype(np.float32))
    faster = recording.at_speed(1.25)
    tracked = Recording.of("a", "b", faster.audio)
    assert faster.hops == pytest.approx(recording.hops / 1.25, abs=1)
    middle = slice(20, -10)
    np.testing.assert_allclose(faster.octaves[middle], tracked.octaves[middle], atol=0.01)
    np.testing.assert_allclose(faster.octaves[middle], np.log2(245 / 220), atol=0.01)
    assert faster.voicing[middle].min() > 0.9


@pytest.fixture(scope="module")
def task(data):
    recipe = load_recipe(
        "texture_quick", ["model.encoder=8", "model.decoder=8", "model.latents=4", "model.bands=8"]
    )
    task = TextureTask(recipe)
    task.prepare(data)
    return task


def test_a_batch_depends_on_its_step_alone(task):
    a, b, other = task.draw(3), task.draw(3), task.draw(4)
    assert torch.equal(a["audio"], b["audio"]) and a["names"] == b["names"]
    assert not torch.equal(a["audio"], other["audio"])
    assert task.draw(3)["tracked"].shape[1:] == (2, a["audio"].shape[-1] // 256)


def test_a_loss_falls_and_latents_are_turned_without_a_change_of_sound(task):
    optimizer = torch.optim.Adam(task.model.parameters(), 5e-3)
    task.train()
    losses = []
    for step in range(30):
        torch.manual_seed(step)
        loss, _ = task.loss(task.draw(0))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < 0.85 * losses[0]
    task.eval()
    batch = task.validation_batches()[0]
    with torch.no_grad():
        mean, _, control = task.hear(batch)
        before = task.model.decoder(mean, control)
    prepared = prepare_latents(task)
    with torch.no_grad():
        mean, _, control = task.hear(batch)
        after = task.model.decoder(mean, control)
    torch.testing.assert_close(before, after, atol=2e-4, rtol=1e-3)
    assert len(prepared.latents) == 4
    shares = [row["variance_share"] for row in prepared.latents]
    assert shares == sorted(shares, reverse=True)


def test_both_halves_are_files_that_any_runtime_plays(task, tmp_path):
    from train.export.export import export_module

    task.eval()
    metadata = {"kind": "texture"}
    heard = export_module(
        task.encoder_module(),
        *task.encoder_ports(),
        {**metadata, "part": "encoder"},
        tmp_path / "b.encoder.onnx",
    )
    made = export_module(
        task.model.decoder, *task.decoder_ports(), {**metadata, "part": "decoder"}, tmp_path / "b.onnx"
    )
    encoder, decoder = (onnxruntime.InferenceSession(m.SerializeToString()) for m in (heard, made))
    recording = Recording.of("a", "b", tone(0.4, 330, 48_000).astype(np.float32))
    z, loudness = encoder.run(None, {"audio": recording.audio[None, None]})
    told = np.concatenate([np.stack([recording.octaves, recording.voicing])[None], loudness], 1)
    audio = decoder.run(None, {"latent": z, "control": told.astype(np.float32)})[0]
    assert audio.shape == (1, 1, len(recording.audio)) and np.isfinite(audio).all()
    other = TextureTask(task.recipe)
    other.eval()
    other.start_from_file(tmp_path / "b.onnx")
    batch = {"audio": torch.tensor(recording.audio)[None, None], "tracked": torch.tensor(told[:, :2])}
    with torch.no_grad():
        again, _, control = other.hear(batch)
        np.testing.assert_allclose(again.numpy(), z, atol=1e-4)
        np.testing.assert_allclose(other.model.decoder(again, control).numpy(), audio, atol=2e-3)
    ratio = np.mean(audio[0, 0, 4096:] ** 2) / np.mean(recording.audio[4096:] ** 2)
    assert abs(10 * np.log10(ratio)) < 10  # it is as loud as it is told, however it was trained
