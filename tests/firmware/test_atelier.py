"""The atelier: texture, prior, tables, ear and bends in one instrument, each of which is heard."""

from __future__ import annotations

import numpy as np
import pytest

from docs.gallery import BENT, bend_models, named
from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals
from tests.prose import ROOT
from toy.demo_phrases import play_phrase

BLOCK, TICKS = 48, 48_000
BUDGET = 0.30
"""Part of a Patch SM that the catalogue's sum gives it."""


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bent")
    bend_models(folder)
    file, words = named("atelier", ROOT, folder)[0], named("atelier", ROOT, folder)[-1]
    return file, {BENT["atelier"].role: words.split("=")[1]}


def made(models, folder, target):
    file, files = models
    return generate(file, "patch_sm", folder, models=files, block=BLOCK, target=target)


@pytest.fixture(scope="module")
def built(models, tmp_path_factory):
    return made(models, tmp_path_factory.mktemp("atelier"), "host")


def asked(built, ticks=TICKS, **jacks):
    """Drums, recorded for a quarter of a second, and what stands at jacks and knobs from then on."""
    knots = np.array([0.0, 0.25, 0.25])
    columns = {name: (knots, np.array([0.0, 0.0, value])) for name, value in jacks.items()}
    columns["gate_in_2"] = (knots, np.array([1.0, 1.0, 0.0]))
    sound = play_phrase("drums")[:ticks]
    return signals(
        Script(columns=columns, seconds=0.25),
        built.board,
        ticks,
        {},
        {"audio_in_1": sound},
        resting_knobs(built),
    )


PARTS = {
    "prior": {"knob_1": 0.4},
    "table": {"knob_3": 0.6},
    "ear": {"cv_5": -1.0, "cv_6": 0.5},
    "bend": {"cv_7": 3.0},
}
"""Of the ear: any stroke is caught, for half a second."""


def test_every_part_of_it_is_heard(built):
    """Whatever is turned, the sound is another one from then on, and the same before."""
    library = host_library(built)
    heard = {
        name: HostInstrument(library).render(asked(built, **jacks), BLOCK).audio[0]
        for name, jacks in {"none": {}, **PARTS}.items()
    }
    plain, turned = heard.pop("none"), TICKS // 4
    assert np.abs(plain).max() > 0.05
    for name, sound in heard.items():
        assert np.array_equal(sound[:turned], plain[:turned]), name
        assert np.sqrt(np.mean((sound - plain)[turned:] ** 2)) > 0.1 * np.std(plain), name


def test_the_emulated_module_plays_the_host_s_samples_within_the_sum_of_the_parts(built, models, tmp_path):
    from bench.emulated import EmulatedInstrument

    on_m7 = made(models, tmp_path, None)
    assert on_m7.report["cpu_worst"] <= BUDGET
    script = asked(built, 24_000, **{jack: at for jacks in PARTS.values() for jack, at in jacks.items()})
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(script, BLOCK)
    wanted = HostInstrument(host_library(built)).render(script, BLOCK)
    assert np.array_equal(rendered.audio, wanted.audio) and np.array_equal(rendered.cv, wanted.cv)
