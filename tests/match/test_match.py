"""A recorded stroke becomes latents, a preset, a part of a groove; and what is no stroke is refused."""

import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import onnx
import pytest
import soundfile
import torch

import vaectrol
from common.drums import CLASSES
from common.refusal import Refusal
from firmware.instruments.spec import load_instrument
from match.groove import groove_of
from match.nearest import nearest
from match.preset import Preset, preset_of, read_preset, send, write_preset
from match.search import descend, match, open_matcher
from match.target import read_target, target_of
from quantize.operators.record import DEQUANTIZE
from tests.pages import check_page
from tests.train.small import SMALL_DRUM
from train.fit import fit
from train.judges.distances import mr_stft
from train.judges.drum_hits import strike
from train.kinds import load_recipe

ROOT = Path(__file__).resolve().parents[2]
MODEL = ROOT / "firmware" / "models" / "drum.int8.onnx"
RATE_HZ = 48_000


@pytest.fixture(scope="module")
def run(drums, tmp_path_factory):
    recipe = load_recipe("drum_quick", [*SMALL_DRUM, "analysed.share=0", "fit.steps=80", "fit.interval=80"])
    return fit(recipe, drums, tmp_path_factory.mktemp("runs") / "drum", pictures=False)


@pytest.fixture(scope="module")
def targets(drums):
    return [target_of(drums.manifest[int(i)]["name"], drums.audio(int(i))) for i in drums.split("test")[:3]]


@pytest.fixture(scope="module")
def found(run, targets):
    return list(match(open_matcher(run), targets, [0, 1, 2], steps=30))


def stroke(hz=60.0, seconds=0.3):
    t = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return np.exp(-t / 0.08) * np.sin(2 * np.pi * hz * t)


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (0.1 * np.random.default_rng(0).standard_normal(30 * RATE_HZ), "lasts 30 s"),
        (np.zeros(RATE_HZ), "is silent"),
        (0.5 * np.hanning(960), "which is a click"),
        (np.full(RATE_HZ, 0.5), "DC"),
    ],
    ids=["song", "silence", "click", "constant"],
)
def test_what_is_no_stroke_is_refused_in_one_sentence(tmp_path, capsys, sound, says):
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ)
    assert vaectrol.main(["match", str(MODEL), str(tmp_path / "a.wav"), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told and "\n" not in told and str(tmp_path / "a.wav") in told
    assert not (tmp_path / "out").exists()


def test_files_that_are_no_sounds_are_refused(tmp_path):
    with pytest.raises(Refusal, match="there is no sound file"):
        read_target(tmp_path / "a.wav")
    (tmp_path / "a.wav").write_bytes(b"RIFF")
    with pytest.raises(Refusal, match="give a recording of one drum stroke"):
        read_target(tmp_path / "a.wav")


def test_a_stroke_is_read_from_its_onset_on_whatever_its_rate_and_level(tmp_path):
    late = np.concatenate([np.zeros(4410), 0.05 * stroke()])
    soundfile.write(tmp_path / "late.wav", np.stack([late, late], 1), 44_100)
    target = read_target(tmp_path / "late.wav")
    assert target.name == "late" and np.abs(target.audio).max() == pytest.approx(1.0)
    assert np.argmax(np.abs(target.audio) > 0.5) < 0.01 * RATE_HZ


def test_a_match_is_nearer_than_the_encoders_guess_and_can_be_turned_by_hand(run, found):
    matcher = open_matcher(run)
    assert all(one.mr_stft <= one.guess_mr_stft for one in found)
    assert sum(one.mr_stft for one in found) < sum(one.guess_mr_stft for one in found)
    for one in found:
        for row, value in zip(matcher.player.latents, one.z, strict=True):
            assert row["quantiles"][0] - 1e-5 <= value <= row["quantiles"][-1] + 1e-5
        assert np.abs(one.knobs[len(CLASSES) :]).max() <= 1.0


def test_the_gradient_finds_latents_that_are_known(run):
    """A sound that the model made itself, with latents that matter, sought from the middle."""
    matcher = open_matcher(run)
    inlet = matcher.task.model.decoder.control.inlet
    latents = len(matcher.player.latents)
    inlet.weight[:, :latents] *= 6.0
    true = matcher.player.at_places(np.array([[0.9, 0.15, 0.8][:latents]]))
    knobs = np.zeros((1, len(CLASSES) + 2), np.float32)
    knobs[0, 0] = 1.0
    wanted = strike(matcher.player, true, knobs, 0.25)
    begin = matcher.player.at_places(np.full((1, latents), 0.5))
    z, turned = descend(matcher, begin, knobs, torch.from_numpy(wanted[:, None]), 150)
    before, after = (
        mr_stft(strike(matcher.player, a, b, 0.25)[0], wanted[0]) for a, b in ((begin, knobs), (z, turned))
    )
    assert after < 0.6 * before


def test_the_model_file_gets_the_same_as_the_run(run, targets, found):
    path = run / "drum_quick.onnx"
    from_file = list(match(open_matcher(path), targets, [0, 1, 2], steps=30))
    for a, b in zip(found, from_file, strict=True):
        assert a.guess_mr_stft == pytest.approx(b.guess_mr_stft, rel=2e-3)
        assert a.mr_stft == pytest.approx(b.mr_stft, rel=1e-2)


def test_the_class_is_found_by_trying(run, targets):
    found = list(match(open_matcher(run), targets[:1], steps=2))
    assert 0 <= found[0].label < len(CLASSES)
    assert found[0].knobs[: len(CLASSES)].sum() == 1.0


def test_a_preset_is_the_match_by_the_modules_own_tables(run, found, tmp_path):
    matcher = open_matcher(run)
    preset = preset_of(matcher, found[0])
    places = np.array([[preset.parameters[f"latent/{k + 1}"] for k in range(len(found[0].z))]])
    np.testing.assert_allclose(matcher.player.at_places(places)[0], found[0].z, atol=2e-3)
    assert preset.parameters["class"] == pytest.approx(found[0].label / 7, abs=1e-5)
    again = strike(matcher.player, matcher.player.at_places(places), found[0].knobs[None], 0.25)[0]
    assert np.abs(again - found[0].matched[: len(again)]).max() < 0.02
    write_preset(preset, tmp_path / "a.json")
    assert read_preset(tmp_path / "a.json") == preset
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(Refusal, match="is no preset"):
        read_preset(tmp_path / "a.json")


def test_several_sounds_become_parts_of_a_groove(run, found, tmp_path):
    matcher = open_matcher(run)
    presets = [preset_of(matcher, one) for one in found]
    (tmp_path / "kit.toml").write_text(groove_of(found, presets, MODEL))
    loaded = load_instrument(tmp_path / "kit.toml")
    parts = loaded.spec.part
    assert [part.drum_class for part in parts] == [CLASSES[one.label] for one in found]
    assert parts[0].latents["1"] == presets[0].parameters["latent/1"]
    assert loaded.spec.models["drum"] == str(MODEL)
    with pytest.raises(Refusal, match="more than a groove has parts"):
        groove_of(found * 3, presets * 3, MODEL)


def test_the_nearest_training_sound_of_a_training_sound_is_itself(drums, found):
    index = int(drums.split("train")[0])
    own = found[0].__class__(
        target_of("own", drums.audio(index)),
        0,
        *(getattr(found[0], n) for n in ("z", "knobs", "guessed", "matched")),
        1.0,
        1.0,
    )
    (neighbour,) = nearest(drums, [own])
    assert neighbour.name == drums.manifest[index]["name"] and neighbour.mr_stft < 1e-5


def test_a_page_presets_sounds_and_a_groove_are_written(run, drums, tmp_path, capsys):
    for name, hz in (("low", 55.0), ("high", 90.0)):
        soundfile.write(tmp_path / f"{name}.wav", stroke(hz), RATE_HZ)
    out = tmp_path / "out"
    words = ["match", str(run), str(tmp_path / "low.wav"), str(tmp_path / "high.wav"), "-o", str(out)]
    assert (
        vaectrol.main([*words, "--class", "kick", "--steps", "3", "--data", str(drums.directory), "--json"])
        == 0
    )
    told = json.loads(capsys.readouterr().out)
    assert [row["class"] for row in told["matches"]] == ["kick", "kick"]
    assert {p.name for p in out.iterdir()} == {
        *(f"{name}.{end}" for name in ("low", "high") for end in ("preset.json", "match.wav")),
        "groove.toml",
        "match.html",
    }
    page = (out / "match.html").read_text()
    check_page(page)
    assert page.count("<audio controls") == 8  # target, guess, match, neighbour, of two sounds
    assert soundfile.info(out / "low.match.wav").samplerate == RATE_HZ


class Module:
    """Answers as a module does, and remembers what it was told."""

    def __init__(self, names, presets=8):
        self.names, self.places, self.told = names, presets, []

    def hello(self):
        return type("Hello", (), {"instrument": "drum", "presets": self.places})

    def parameters(self):
        return [type("Parameter", (), {"name": name}) for name in self.names]

    def ask(self, cmd, **members):
        self.told.append((cmd, members))


def test_presets_that_do_not_fit_change_nothing_on_the_module():
    presets = [Preset(name="a", parameters={"class": 0.5, "latent/1": 0.25})] * 2
    small = Module(["class"])
    with pytest.raises(Refusal, match=r"plays drum, which has no latent/1"):
        send(small, presets, 1)
    full = Module(["class", "latent/1"], presets=2)
    with pytest.raises(Refusal, match="places 1 to 2"):
        send(full, presets, 2)
    assert not small.told and not full.told
    assert send(full, presets, 1) == [1, 2]
    assert full.told[2] == ("preset", {"do": "save", "index": 0}) and len(full.told) == 6


def is_of_this_version():
    """Whether the shipped drum is made of hits, with its encoder beside it."""
    return (MODEL.with_name("drum.encoder.onnx")).exists()


@pytest.mark.skipif(not is_of_this_version(), reason="the factory drum ships without its encoder")
def settled(link, wanted, reports=100):
    """The module's report once its positions are where a preset asks them, or its last one: they glide."""
    for _ in range(reports):
        report = link.report()
        if all(abs(report.position[number] - value) <= 2e-3 for number, value in wanted.items()):
            break
        time.sleep(0.05)
    return report


def test_a_match_through_the_shipped_integers_is_saved_on_a_simulated_module(tmp_path):
    """The whole way: a sound, the shipped model, the module's own program behind a serial port."""
    from hardware.protocol import Link

    assert any(node.op_type == DEQUANTIZE for node in onnx.load(MODEL).graph.node)
    soundfile.write(tmp_path / "kick.wav", stroke(), RATE_HZ)
    words = ["simulate", "drum", "--board", "patch_sm", "-o", str(tmp_path / "board"), "--seconds", "300"]
    with subprocess.Popen(
        [sys.executable, "-u", "vaectrol.py", *words], cwd=ROOT, stdout=subprocess.PIPE, text=True
    ) as played:
        assert played.stdout is not None
        try:
            port = (
                next(line for line in played.stdout if "/dev/" in line)
                .split("at ")[1]
                .split()[0]
                .rstrip(":;,.")
            )
            out = tmp_path / "out"
            words = ["match", str(MODEL), str(tmp_path / "kick.wav"), "-o", str(out), "--class", "kick"]
            assert vaectrol.main([*words, "--steps", "10", "--send", "--port", port, "--preset", "2"]) == 0
            preset = read_preset(out / "kick.preset.json")
            with Link(port) as link:
                names = [parameter.name for parameter in link.parameters()]
                for number in range(len(names)):
                    link.ask("set", parameter=number, value=0.0)
                link.ask("preset", do="recall", index=1)
                wanted = {names.index(name): value for name, value in preset.parameters.items()}
                report = settled(link, wanted)
        finally:
            played.terminate()
    assert report.preset == 1
    for name, value in preset.parameters.items():
        assert report.position[names.index(name)] == pytest.approx(value, abs=2e-3), name
