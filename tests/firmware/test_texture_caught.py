"""A texture that an ear listens beside: strokes of a chosen group freeze it, and nothing else does."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals
from tests.firmware.test_instrument_listener import PATCH, rises
from toy.demo_phrases import play_phrase
from train.models.ear.network import HOP

BLOCK, SECONDS = 48, 2
EAR = 'ear = "ear"\n'
CATCH = """
[[control]]
to = "catch"
knob = "knob_2"

[[control]]
to = "caught"
knob = "knob_3"

[[control]]
to = "ear.hat"
knob = "knob_4"
"""
TEXTURE = """
title = "Test"
kind = "texture"

[models]
encoder = "texture.encoder"
decoder = "texture"
{ear}
[[control]]
to = "level"
knob = "knob_1"
{catch}
[[output]]
jack = "audio_out_1"
from = "mix"

[[output]]
jack = "cv_out_1"
from = "latent.1"
"""


def made(folder, text):
    folder.mkdir()
    (folder / "test.toml").write_text(text)
    return generate(folder / "test.toml", "patch_sm", folder / "out", block=BLOCK, target="host")


def played(built, sound, instrument=None, **knobs):
    host = instrument or HostInstrument(host_library(built))
    resting = {**resting_knobs(built), **knobs}
    return host.render(signals(Script(), built.board, len(sound), {}, {"audio_in_1": sound}, resting), BLOCK)


@pytest.fixture(scope="module")
def beats():
    return play_phrase("drums")[: SECONDS * 48_000 // HOP * HOP]


@pytest.fixture(scope="module")
def free(tmp_path_factory, beats):
    return played(made(tmp_path_factory.mktemp("free") / "it", TEXTURE.format(ear="", catch="")), beats)


@pytest.fixture(scope="module")
def caught(tmp_path_factory):
    return made(tmp_path_factory.mktemp("caught") / "it", TEXTURE.format(ear=EAR, catch=CATCH))


@pytest.fixture(scope="module")
def hats(tmp_path_factory, beats):
    """Where an ear by itself raises its gate of hats."""
    listener = made(tmp_path_factory.mktemp("ear") / "it", PATCH.format(gate="hat", cv="velocity"))
    return rises(played(listener, beats).gates >> 1 & 1)


HOPS, STRAY = 19, 3
"""For which a stroke is caught, and by how many a knob may say it otherwise."""
KNOBS = {"knob_2": 0.6, "knob_3": (HOPS - 1) / 374}


def test_a_stroke_freezes_what_is_heard_for_as_long_as_is_said(caught, beats, free, hats):
    """The witnesses: the same texture without an ear, and the gates of an ear without a texture."""
    ours, plain = (one.cv[0][BLOCK - 1 :: BLOCK] for one in (played(caught, beats, **KNOBS), free))
    held, untouched = np.zeros(len(ours), bool), np.ones(len(ours), bool)
    for at in hats:
        first = -(-at // HOP)  # the hop that begins next is the first that is not taken
        held[(first + 1) * HOP // BLOCK : (first + HOPS - STRAY) * HOP // BLOCK] = True
        untouched[first * HOP // BLOCK - 1 : (first + HOPS + STRAY) * HOP // BLOCK] = False
    assert len(hats) >= 2 and held.any() and untouched.any()
    assert all(ours[i] == ours[i - 1] for i in np.flatnonzero(held) if held[i - 1])
    assert np.mean(ours[held] != plain[held]) > 0.8
    assert np.array_equal(ours[untouched], plain[untouched])


def test_what_is_not_chosen_freezes_nothing(caught, beats, free):
    for knobs in ({"knob_2": 1.0}, {"knob_2": 0.6, "knob_4": 0.0}):  # percussion; hardly anything is a hat
        assert np.array_equal(played(caught, beats, **knobs).audio[0], free.audio[0])


def test_the_emulated_module_is_caught_at_the_same_samples(caught, beats, tmp_path):
    from bench.emulated import EmulatedInstrument

    sound = beats[: BLOCK * 600]
    on_m7 = generate(caught.assignment.loaded.located.path, "patch_sm", tmp_path)
    resting = {**resting_knobs(caught), **KNOBS}
    asked = signals(Script(), caught.board, len(sound), {}, {"audio_in_1": sound}, resting)
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(asked, BLOCK)
    wanted = played(caught, sound, **KNOBS)
    assert np.array_equal(rendered.audio, wanted.audio) and np.array_equal(rendered.cv, wanted.cv)
