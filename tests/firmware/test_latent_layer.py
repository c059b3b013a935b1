"""The layer between panel and model: at rest it is not there; hold holds, the walk stays in the data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.instruments.latents.layer import BYTES, WORDS
from firmware.instruments.latents.tables import GATES
from firmware.play.host import HostInstrument
from firmware.ports.web.describe import describe
from firmware.script.cv_script import Script, signals
from tests.firmware.conftest import shim_library

INSTRUMENTS = Path(__file__).resolve().parents[2] / "firmware" / "instruments"
STAGES = ("hold", "wander", "shape", "slew", "sequence", "tables")
LAYER = "\n[latents]\n" + "".join(f"{stage} = true\n" for stage in STAGES)
HOLD = '\n[[gate]]\nto = "hold"\njack = "cv_8"\n'


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("layer")
    return shim_library("latents_shim.c", folder, "control", "latents", "instruments")


def layered(kind, folder, more=LAYER + HOLD):
    file = folder / f"{kind}_layered.toml"
    file.write_text((INSTRUMENTS / f"{kind}.toml").read_text() + more)
    return file


def opened(instrument, folder, models, target="host"):
    built = generate(instrument, "patch_sm", folder, models=models, target=target)
    return built, HostInstrument(host_library(built)) if target == "host" else None


def moving(built, host, seconds, columns=None):
    rng = np.random.default_rng(11)
    knots = np.arange(0, seconds + 0.05, 0.05)
    made = {adc.name: (knots, rng.random(len(knots))) for adc in built.board.adcs if adc.name != "cv_8"}
    for gate in built.board.gates_in:
        times = np.arange(0, seconds, 0.01)
        made[gate.name] = (times, (rng.random(len(times)) < 0.05).astype(float))
    script = Script(columns={**made, **(columns or {})})
    ticks = round(48_000 * seconds)
    found = signals(script, built.board, ticks, host.parameters, {}, gates=built.assignment.gate_names)
    found.audio[:] = rng.uniform(-0.5, 0.5, found.audio.shape)
    return found


@pytest.mark.parametrize("kind", ["drum", "drive", "rhythm"])
def test_a_layer_at_rest_leaves_an_instrument_as_it_was(kind, model_files, tmp_path):
    models = {kind: model_files[kind]}
    built, plain = opened(kind, tmp_path / "plain", models)
    _, other = opened(layered(kind, tmp_path), tmp_path / "layered", models)
    made = moving(built, plain, 2)
    before, after = plain.render(made), other.render(made)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name
    assert (
        "Latent"
        not in (tmp_path / "plain" / "instrument.c").read_text().partition("*/")[2].partition(".title")[0]
    )


def test_its_parameters_have_names_words_and_a_gate(model_files, tmp_path):
    built, _ = opened(layered("drum", tmp_path), tmp_path / "made", {"drum": model_files["drum"]})
    about = describe(built, 48)
    words = {one["name"].replace("/", "."): one["words"] for one in about["parameters"]}
    assert {name: words[name] for name in WORDS} == WORDS
    assert about["gateFunctions"][3:] == ["hold", "clock", "reset", "record", "clear", *GATES]


def test_what_is_held_does_not_move_until_it_is_let_go(model_files, tmp_path):
    built, host = opened(layered("drive", tmp_path), tmp_path / "made", {"drive": model_files["drive"]})
    gate = {"cv_8": (np.array([0.0, 0.5, 0.501, 1.5, 1.501, 2.0]), np.array([0, 0, 5, 5, 0, 0.0]))}
    still = {f"knob_{n}": (np.array([0.0, 2.0]), np.array([0.3, 0.3])) for n in range(1, 5)}
    jumps = {name: (np.array([0.0, 1.0, 1.001, 2.0]), np.array([0.3, 0.3, 0.9, 0.9])) for name in still}
    quiet = {f"cv_{n}": (np.array([0.0, 2.0]), np.zeros(2)) for n in range(1, 8)}
    first = host.render(moving(built, host, 2, {**quiet, **still, **gate})).audio[0]
    host.begin()
    second = host.render(moving(built, host, 2, {**quiet, **jumps, **gate})).audio[0]
    assert np.array_equal(first[:71_000], second[:71_000])
    assert np.abs(first[73_000:] - second[73_000:]).max() > 1e-3


def test_held_latents_glide_back_over_their_time(shim):
    high = np.array([0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0], np.uint8)
    moved = np.array([0, 1, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3], np.float32)
    out = np.zeros(12, np.float32)
    shim.lib.shim_hold(
        12,
        shim.ffi.from_buffer("uint8_t[]", high),
        5.0,
        shim.ffi.from_buffer("float[]", moved),
        shim.ffi.from_buffer("float[]", out),
    )
    assert out == pytest.approx([0, 1, 1, 1, 1.4, 1.8, 2.2, 2.6, 3, 3, 3, 3], abs=1e-5)


def test_every_walker_is_spread_evenly_over_the_travel(shim):
    """Kolmogorov and Smirnov's distance of an hour of each walk from an even spread."""
    places = np.zeros((36_000, 32), np.float32)
    shim.lib.shim_wander(36_000, 0.1, shim.ffi.from_buffer("float[]", places))
    assert places.min() >= 0 and places.max() <= 1
    wanted = (np.arange(36_000) + 0.5) / 36_000
    assert np.abs(np.sort(places, 0) - wanted[:, None]).max() < 0.1
    assert np.abs(np.diff(places, axis=0)).max() < 0.11
    assert np.abs(np.corrcoef(places.T) - np.eye(32)).max() < 0.3


def test_its_memory_is_what_the_estimate_says(shim):
    assert shim.lib.shim_bus_bytes() <= BYTES


def test_the_module_plays_the_layer_as_this_computer_does(model_files, tmp_path):
    from bench.emulated import EmulatedInstrument

    models = {"drive": model_files["drive"]}
    file = layered("drive", tmp_path)
    on_m7, _ = opened(file, tmp_path / "m7", models, "m7")
    here, host = opened(file, tmp_path / "host", models)
    rng = np.random.default_rng(3)
    knots = np.arange(0, 0.11, 0.01)
    names = [name.replace(".", "/") for name in WORDS]
    columns = {name: (knots, rng.random(len(knots))) for name in names}
    columns["cv_8"] = (knots, np.where(rng.random(len(knots)) < 0.5, 0.0, 5.0))
    for gate in ("clock", "record", *GATES):
        columns[f"gate/{gate}"] = (knots, (rng.random(len(knots)) < 0.5).astype(float))
    made = moving(here, host, 0.1, columns)
    expected = host.render(made, 48)
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(made, 48)
    assert np.abs(expected.audio).max() > 1e-3
    assert np.array_equal(rendered.audio, expected.audio)


@pytest.mark.parametrize("text", ["hold = [99]", "melt = true", 'wander = "far"', "", "slew = false"])
def test_a_wrong_table_is_refused(text, model_files, tmp_path):
    with pytest.raises(Refusal, match="latents"):
        generate(
            layered("drum", tmp_path, f"\n[latents]\n{text}\n"),
            "patch_sm",
            tmp_path / "x",
            models={"drum": model_files["drum"]},
        )
