"""Factory presets: eight at least, each a sound of its own, none silent, none clipped."""

from __future__ import annotations

import functools
import itertools

import numpy as np
import pytest

import vaectrol
from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.instruments import kinds
from firmware.instruments.assign import assign
from firmware.instruments.demo import find_demo
from firmware.instruments.presets import OF_A_MODEL, Preset, find_preset, load_presets, positions
from firmware.instruments.spec import available_instruments, find_models, load_instrument
from firmware.play.audition import Audition
from firmware.play.render import has_sound, open_instrument, play
from firmware.play.verdict import complaint
from hardware.board import load_board
from toy.demo_phrases import play_phrase

FEWEST = 8
LEAST_APART_DB = 1.0
"""Between any two presets of an instrument: mean difference of their band levels over time."""
FRAME, BANDS = 2400, 24
FLOOR_DB = -60.0


@pytest.fixture(scope="module", autouse=True)
def built_once(tmp_path_factory):
    """Every instrument is compiled once; each rendering begins afresh."""

    @functools.cache
    def opened(name):
        return open_instrument(name, tmp_path_factory.mktemp(name), board="patch_sm")

    def begun(instrument, *_):
        opened(instrument)[1].begin()
        return opened(instrument)

    @functools.cache
    def kit_built(name):
        made = generate(name, "host", tmp_path_factory.mktemp("kit"))
        return made, host_library(made)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("firmware.play.render.open_instrument", begun)
        patch.setattr("firmware.play.struck.generate", lambda name, *_: kit_built(name)[0])
        patch.setattr("firmware.play.struck.host_library", lambda made: kit_built(made.name)[1])
        yield


def auditioned(name, preset, seconds=2.0):
    sounds = find_demo(name).inputs(play_phrase)
    return play(name, board="patch_sm", script=Audition(preset), sounds=sounds, seconds=seconds)


def band_levels_db(sound):
    """Levels of 24 bands, evenly spaced in log frequency, frame by frame, dB below the loudest."""
    mono = np.asarray(sound, np.float64).mean(axis=0)
    frames = mono[: len(mono) // FRAME * FRAME].reshape(-1, FRAME) * np.hanning(FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    edges = np.geomspace(2, power.shape[1] - 1, BANDS + 1).astype(int)
    bands = np.stack([power[:, a : max(b, a + 1)].sum(axis=1) for a, b in itertools.pairwise(edges)])
    return np.maximum(10 * np.log10(bands / bands.max() + 1e-12), FLOOR_DB)


@pytest.mark.parametrize("name", available_instruments())
def test_every_instrument_has_eight_presets_that_its_models_know(name):
    loaded = load_instrument(name)
    presets = load_presets(loaded)
    assert len(presets) >= FEWEST
    assignment = assign(loaded, find_models(loaded), load_board("patch_sm"))
    for preset in presets:
        assert preset.words.endswith(".") and len(preset.words.split()) <= 25
        assert len(positions(preset, assignment)) >= len(preset.set)


@pytest.mark.parametrize("name", available_instruments())
def test_presets_are_heard_do_not_clip_and_differ(name):
    levels = {}
    for preset in load_presets(load_instrument(name)):
        played = auditioned(name, preset.name)
        assert not complaint(played.rendered, has_sound(played.built)), preset.name
        assert played.peak > 0.02, preset.name
        levels[preset.name] = band_levels_db(played.sound)
    for one, other in itertools.combinations(levels, 2):
        apart = np.abs(levels[one] - levels[other]).mean()
        assert apart > LEAST_APART_DB, f"{one} and {other} are {apart:.2f} dB apart"


def test_a_preset_of_another_model_leaves_out_what_that_lacks():
    loaded = load_instrument("drum")
    assignment = assign(loaded, find_models(loaded), load_board("host"))
    assert positions(Preset(name="a", words="b.", set={"latent.99": 0.5, "decay": 0.2}), assignment) == {
        "decay": 0.2
    }
    with pytest.raises(Refusal, match="preset 'a' of drum sets 'dekay', which it lacks"):
        positions(Preset(name="a", words="b.", set={"dekay": 0.2}), assignment)
    assert not OF_A_MODEL.search("level")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[[preset]]\nname = "a"\nwords = "b."\nset = {"class" = 1.5}\n', "class stands at 1.5"),
        ('[[preset]]\nname = "a"\nwords = "b."\nset = {}\n', "line 4: preset.1.set"),
        ("", "preset"),
    ],
)
def test_a_bad_file_is_refused_with_its_line(text, said, tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(load_instrument("drum").located.path.read_text())
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "mine.toml").write_text(text)
    with pytest.raises(Refusal) as refusal:
        load_presets(load_instrument(mine))
    assert said in str(refusal.value)


def test_an_instrument_of_ones_own_needs_none(tmp_path):
    mine = tmp_path / "mine.toml"
    mine.write_text(load_instrument("drum").located.path.read_text())
    assert load_presets(load_instrument(mine)) == []
    with pytest.raises(Refusal, match="mine has no preset 'Wash'; there are none"):
        find_preset(load_instrument(mine), "Wash")


def test_play_auditions_a_preset(tmp_path, capsys):
    out = tmp_path / "wash.wav"
    assert vaectrol.main(["play", "drum", "--preset", "wash", "--seconds", "1", "-o", str(out)]) == 0
    assert out.exists()
    assert vaectrol.main(["play", "drum", "--preset", "wish", "-o", str(out)]) == 2
    assert "has no preset 'wish'; there are Deep kick" in capsys.readouterr().err
    assert vaectrol.main(["play", "drum", "--preset", "wash", "--demo"]) == 2


def test_every_kind_can_be_auditioned():
    for kind in map(kinds.named, kinds.names()):
        assert set(kind.audition) <= set(kind.gates)
