"""One knob for all parameters: three sounds are learnt, what lies between is interpolated, and it is kept."""

from __future__ import annotations

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.instruments.latents.macro import BYTES, WORDS
from firmware.ports.web.describe import describe
from tests.firmware.conftest import shim_library
from tests.firmware.test_latent_layer import layered, moving, opened

SET, RECALL, SAVE = 1, 6, 7
SECTORS = 4


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return shim_library("macro_shim.c", tmp_path_factory.mktemp("macro"), "control")


@pytest.fixture
def panel(shim):
    shim.ffi.memmove(shim.lib.shim_flash(), b"\xff" * SECTORS * 4096, SECTORS * 4096)
    shim.lib.shim_power(0xFFFFFFFF)
    shim.lib.shim_begin()
    shim.lib.shim_idle()
    return shim


def stand(shim, *knobs, learn=False, blocks=40):
    """Two knobs and the macro; where all four parameters stand after a while."""
    found = np.zeros(4, np.float32)
    ends = [0.005 + 0.99 * one for one in knobs]  # the knobs' margin
    shim.lib.shim_blocks(
        blocks,
        shim.ffi.from_buffer("float[]", np.array(ends, np.float32)),
        learn,
        shim.ffi.from_buffer("float[]", found),
    )
    return found


def learn(shim, *knobs):
    stand(shim, *knobs)
    stand(shim, *knobs, learn=True)
    stand(shim, *knobs)


def learn_three(shim):
    for knobs in ((0.1, 0.9, 0.0), (0.5, 0.2, 0.5), (0.9, 0.6, 1.0)):
        learn(shim, *knobs)


@pytest.mark.parametrize(
    ("used", "knob", "wanted"),
    [
        *((0b111, knob, wanted) for knob, wanted in ((0, 0), (0.25, 0.4), (0.5, 0.8), (0.75, 0.6), (1, 0.4))),
        *((0b101, 0.25, 0.1), (0b101, 1.0, 0.4), (0b110, 0.1, 0.8), (0b011, 0.9, 0.8), (0b010, 0.9, 0.8)),
        *((0b111, float("nan"), 0.0), (0b111, 7.0, 0.4)),
    ],
)
def test_between_anchors_it_is_a_straight_line(shim, used, knob, wanted):
    anchors = shim.ffi.new("uint16_t[]", [0, 52428, 26214])
    assert shim.lib.shim_macro_position(used, anchors, knob) == pytest.approx(wanted, abs=1e-4)


def test_until_two_sounds_are_learnt_it_moves_nothing(panel):
    assert stand(panel, 0.3, 0.7, 1.0)[:2] == pytest.approx([0.3, 0.7], abs=2e-3)
    learn(panel, 0.3, 0.7, 1.0)
    assert stand(panel, 0.4, 0.6, 0.0)[:2] == pytest.approx([0.4, 0.6], abs=2e-3)


def test_one_knob_moves_all_parameters_between_what_was_learnt(panel):
    panel.lib.shim_post(SET, 2, 0.0)
    learn(panel, 0.1, 0.9, 0.0)
    panel.lib.shim_post(SET, 2, 1.0)
    learn(panel, 0.9, 0.6, 1.0)
    for place in (0.0, 0.2, 0.6, 1.0):
        found = stand(panel, 0.9, 0.6, place)
        assert found[:3] == pytest.approx([0.1 + 0.8 * place, 0.9 - 0.3 * place, place], abs=4e-3)


def test_three_sounds_are_met_where_they_were_learnt(panel):
    learn_three(panel)
    for place, sound in ((0.0, (0.1, 0.9)), (0.5, (0.5, 0.2)), (1.0, (0.9, 0.6)), (0.25, (0.3, 0.55))):
        assert stand(panel, 0.9, 0.6, place)[:2] == pytest.approx(sound, abs=4e-3)


def test_a_knob_takes_over_where_it_passes_while_the_macro_rests(panel):
    learn_three(panel)
    assert stand(panel, 0.9, 0.6, 0.0)[0] == pytest.approx(0.1, abs=4e-3)
    stand(panel, 0.1, 0.6, 0.0)
    assert stand(panel, 0.45, 0.6, 0.0)[0] == pytest.approx(0.45, abs=4e-3)
    assert stand(panel, 0.45, 0.6, 0.5)[0] == pytest.approx(0.5, abs=4e-3)


def test_a_preset_is_not_turned_away_by_a_macro_at_rest(panel):
    learn_three(panel)
    stand(panel, 0.9, 0.6, 0.0)
    panel.lib.shim_post(SAVE, 3, 0.0)
    stand(panel, 0.9, 0.6, 1.0)
    panel.lib.shim_post(RECALL, 3, 0.0)
    assert stand(panel, 0.9, 0.6, 1.0)[:2] == pytest.approx([0.1, 0.9], abs=4e-3)


def test_what_was_learnt_is_there_after_the_power_was_off(panel):
    learn_three(panel)
    assert panel.lib.shim_idle() == panel.ffi.NULL
    panel.lib.shim_begin()
    panel.lib.shim_idle()
    assert stand(panel, 0.0, 0.0, 0.5)[:2] == pytest.approx([0.5, 0.2], abs=4e-3)


def test_a_power_cut_while_it_is_stored_leaves_the_old_sounds_or_the_new(panel):
    learn_three(panel)
    panel.lib.shim_idle()
    kept = bytes(panel.ffi.buffer(panel.lib.shim_flash(), SECTORS * 4096))
    seen = set()
    for cut in [*range(0, 4096, 256), *range(4096, 6400, 7)]:
        panel.ffi.memmove(panel.lib.shim_flash(), kept, len(kept))
        panel.lib.shim_power(0xFFFFFFFF)
        panel.lib.shim_begin()
        panel.lib.shim_idle()
        learn(panel, 0.8, 0.4, 0.0)
        panel.lib.shim_power(cut)
        panel.lib.shim_idle()
        panel.lib.shim_power(0xFFFFFFFF)
        panel.lib.shim_begin()
        panel.lib.shim_idle()
        seen.add(round(float(stand(panel, 0.5, 0.5, 0.0, blocks=60)[0]), 1))
    assert seen == {0.1, 0.8}


def test_its_memory_is_what_the_estimate_says(shim):
    assert shim.lib.shim_bank_bytes() <= BYTES


MACRO = "macro = true\n"


def with_macro(kind, folder):
    file = layered(kind, folder, "")
    file.write_text(MACRO + file.read_text())
    return file


@pytest.mark.parametrize("kind", ["drum", "drive", "rhythm"])
def test_a_macro_that_learnt_nothing_leaves_an_instrument_as_it_was(kind, model_files, tmp_path):
    models = {kind: model_files[kind]}
    built, plain = opened(kind, tmp_path / "plain", models)
    other_built, other = opened(with_macro(kind, tmp_path), tmp_path / "macro", models)
    made = moving(built, plain, 2)
    turned = moving(other_built, other, 2, {"macro": (np.array([0.0, 2.0]), np.array([0.0, 1.0]))})
    before, after = plain.render(made), other.render(turned)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    words = {one["name"]: one["words"] for one in describe(other_built, 48)["parameters"]}
    assert words["macro"] == WORDS and describe(other_built, 48)["gateFunctions"][-1] == "learn"


def test_the_module_plays_a_macro_as_this_computer_does(model_files, tmp_path):
    from bench.emulated import EmulatedInstrument

    models = {"drive": model_files["drive"]}
    file = with_macro("drive", tmp_path)
    on_m7, _ = opened(file, tmp_path / "m7", models, "m7")
    here, host = opened(file, tmp_path / "host", models)
    knots = np.arange(0, 0.16, 0.01)
    columns = {
        "macro": (knots, np.clip(np.r_[0, 0, 0, 0, 1, 1, 1, 1, np.linspace(1, 0, 8)], 0, 1)),
        "gate/learn": (knots, np.r_[0, 0, 1, 0, 0, 0, 1, 0, np.zeros(8)]),
    }
    made = moving(here, host, 0.15, columns)
    expected = host.render(made, 48)
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(made, 48)
    assert np.array_equal(rendered.audio, expected.audio)
    plain = host_without(columns, here, host)
    assert np.abs(plain.audio - expected.audio).max() > 1e-4


def host_without(columns, here, host):
    host.begin()
    return host.render(moving(here, host, 0.15, {"macro": columns["macro"]}), 48)


def test_a_macro_that_is_no_yes_or_no_is_refused(model_files, tmp_path):
    from firmware.build import generate

    file = layered("drum", tmp_path, "")
    file.write_text('macro = "knob_1"\n' + file.read_text())
    with pytest.raises(Refusal, match="macro"):
        generate(file, "patch_sm", tmp_path / "x", models={"drum": model_files["drum"]})
