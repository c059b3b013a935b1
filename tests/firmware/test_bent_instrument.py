"""Bent instruments: bends are parameters by name, and noon leaves everything as it was."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from common import model_metadata
from common.model_metadata import TensorSpec
from firmware.build import generate, host_library
from firmware.instruments.assign import assign
from firmware.instruments.spec import find_models, load_instrument
from firmware.play.host import HostInstrument
from firmware.ports.web.describe import describe
from firmware.script.cv_script import Script, signals
from hardware.board import load_board
from quantize.bend import material, surgery
from quantize.bend.sites import Inside, named

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "drum_bent.toml"
SITES = {
    "drum": "cat_for_conv1d|conv1d_2|conv1d_4|conv1d_5",
    "drive": "latent_for_conv1d|conv1d:2|conv1d:5|conv1d_1:1",
    "texture": "conv1d_3:6|conv1d_4:4|conv1d_4:5|conv1d_4:6",
}
"""As `vaectrol dissect` proposes them."""
ROLES = {"texture": "decoder"}

BENDS = [f"bend/{number}/{move}" for number in range(1, 5) for move in ("scale", "bias")]


@pytest.fixture(scope="module")
def bent(tmp_path_factory):
    """Factory models with four bent sites, by kind."""
    files = {}
    for kind, pattern in SITES.items():
        model = onnx.load(str(ROOT / "firmware" / "models" / f"{kind}.int8.onnx"))
        about = model_metadata.read(model)
        feeds = material.feeds(model, about, 2)
        sites = Inside(model, kind).sites(feeds, surgery.slow_input(about, kind).name)
        files[kind] = tmp_path_factory.mktemp("bent") / f"{kind}.int8.onnx"
        onnx.save(surgery.bend(model, named(sites, pattern, kind), ["scale", "bias"]), str(files[kind]))
    return files


def opened(instrument, folder, models=None):
    built = generate(instrument, "patch_sm", folder, models=models, target="host")
    return built, HostInstrument(host_library(built))


def moving(built, host, seconds, seed=7, bends=()):
    """Every control and gate at random, sound at the inputs, and slow waves on the bends."""
    rng = np.random.default_rng(seed)
    knots = np.arange(0, seconds + 0.05, 0.05)
    columns = {adc.name: (knots, rng.random(len(knots))) for adc in built.board.adcs}
    for name in bends:
        phase, hz = rng.random(), rng.uniform(0.05, 3.0)
        columns[name] = (knots, 0.5 + 0.5 * np.sin(2 * np.pi * (hz * knots + phase)))
    for gate in built.board.gates_in:
        times = np.arange(0, seconds, 0.01)
        columns[gate.name] = (times, (rng.random(len(times)) < 0.05).astype(float))
    ticks = round(48_000 * seconds)
    made = signals(Script(columns=columns), built.board, ticks, host.parameters, {})
    made.audio[:] = rng.uniform(-0.5, 0.5, made.audio.shape)
    return made


@pytest.mark.parametrize("kind", sorted(SITES))
def test_untouched_bends_leave_an_instrument_as_it_was(kind, bent, tmp_path):
    built, plain = opened(kind, tmp_path / "plain")
    _, other = opened(kind, tmp_path / "bent", {ROLES.get(kind, kind): bent[kind]})
    made = moving(built, plain, 3)
    names = ["audio", "cv", "gates"]
    if kind == "texture":  # it reads controls and tells voltages when so much of a hop's work is done
        made.inputs[:] = made.inputs[:, :1]
        made.gates[:] = 0.0
        names.remove("cv")
    before, after = plain.render(made), other.render(made)
    assert np.abs(before.audio).max() > 0.05
    for name in names:
        assert np.array_equal(getattr(before, name), getattr(after, name)), name


def test_bends_are_parameters_by_name_with_words_for_the_page(bent, tmp_path):
    built, host = opened("drum", tmp_path, {"drum": bent["drum"]})
    assert [name for name in host.parameters if name.startswith("bend/")] == BENDS
    said = {one["name"]: one["words"] for one in describe(built, 48)["parameters"]}
    assert "Pushes all channels" in said["bend/1/bias"] and "conv1d_4" in said["bend/3/scale"]


PIECE_S = 20.0


def still_sound(kind, bent, folder, seconds):
    """Offset of what a bent instrument plays, played in pieces, bends and controls moving all the time."""
    built, host = opened(kind, folder, {ROLES.get(kind, kind): bent[kind]})
    total, played = 0.0, 0
    for seed in range(max(1, round(seconds / PIECE_S))):
        audio = host.render(moving(built, host, min(seconds, PIECE_S), seed, BENDS)).audio
        assert np.isfinite(audio).all()
        assert 0.01 < np.abs(audio).max() <= 1.0
        total += float(audio[0].sum(dtype=np.float64))
        played += audio.shape[1]
    return abs(total / played)


@pytest.mark.parametrize("kind", sorted(SITES))
def test_moving_bends_stay_finite_and_bounded_and_a_drive_does_not_lean(kind, bent, tmp_path):
    """The unbent drive leans by 0.012, the bent one by 0.021, where nothing takes it away."""
    offset = still_sound(kind, bent, tmp_path, 4)
    assert kind != "drive" or offset < 0.003


@pytest.mark.slow
@pytest.mark.parametrize("kind", sorted(SITES))
def test_ten_minutes_of_moving_bends_give_no_offset(kind, bent, tmp_path):
    assert still_sound(kind, bent, tmp_path, 600) < 0.003


def test_four_bends_cost_at_most_two_percent(bent, tmp_path):
    for kind in SITES:
        plain = generate(kind, "patch_sm", tmp_path / f"{kind}_plain").report
        other = generate(
            kind, "patch_sm", tmp_path / f"{kind}_bent", models={ROLES.get(kind, kind): bent[kind]}
        ).report
        assert 0.0 < other["cpu_worst"] - plain["cpu_worst"] <= 0.02, kind


def test_the_example_has_four_sites_on_cv_and_no_voltage_leaves_it_as_it_was(bent, tmp_path):
    built, host = opened(EXAMPLE, tmp_path, {"drum": bent["drum"]})
    moved = {one.name for one in built.assignment.parameters if one.cv >= 0 and one.name.startswith("bend/")}
    assert moved == {f"bend/{number}/scale" for number in range(1, 5)}
    host.render(signals(Script(), built.board, 480, host.parameters, {}))
    assert [host.position(name) for name in BENDS] == pytest.approx([0.5] * 8, abs=0.01)
    report = host.report()
    values = [float(report.value[host.parameters[name]]) for name in BENDS]
    assert values == [1.0, 0.0] * 4  # the middle of a table is flat, so noon need not be exact


def test_a_part_of_a_groove_is_bent_by_a_control(bent, tmp_path):
    text = (ROOT / "firmware" / "instruments" / "groove.toml").read_text()
    text += '\n[[control]]\nto = "drums.bend.1.scale"\ncv = "cv_8"\n'
    file = tmp_path / "groove.toml"
    file.write_text(text)
    loaded = load_instrument(file)
    assignment = assign(loaded, find_models(loaded, {"drum": bent["drum"]}), load_board("patch_sm"))
    assert "drums.bend.1.scale" in assignment.index
    moved = [tone.knob[-8] for name, tone in assignment.tones.items() if name != "rhythm"]
    assert set(moved) == {assignment.index["drums.bend.1.scale"]}


def test_bends_lie_behind_the_knobs(bent):
    about = model_metadata.read_file(bent["drum"])
    spec = about.input_with("bend")
    assert isinstance(spec, TensorSpec) and len(spec.channels) == 8
    assert len(about.input_with("class", "attribute").channels) + 8 <= surgery.MOST_CHANNELS
