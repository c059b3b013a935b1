"""Steps of latents: recorded live, played in time, and nothing at all where nothing was recorded."""

from __future__ import annotations

import time

import numpy as np
import pytest

from firmware.instruments.assign import assign
from firmware.instruments.latents.sequence import BYTES, WORDS
from firmware.instruments.spec import find_models, load_instrument
from firmware.ports.simulated.link import simulated_program
from hardware.board import load_board
from hardware.protocol import Link
from hardware.simulated import STORAGE_BYTES, SimulatedBoard
from tests.firmware.conftest import shim_library
from tests.firmware.test_latent_layer import layered, moving, opened

STEP = 6000
"""Samples of a sixteenth at 120 beats a minute."""
CLOCK, RESET, RECORD, CLEAR = 1, 2, 4, 8
REST = {
    "depth": 1.0,
    "steps": 16.0,
    "glide": 0.0,
    "probability": 1.0,
    "ratchet": 1.0,
    "mutation": 0.0,
    "ratio": 6 / 11,
    "tempo": 120.0,
}
SEQUENCE = "\n[latents]\nsequence = true\n"


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sequence")
    return shim_library("sequence_shim.c", folder, "control", "latents", "instruments")


def played(shim, gates, latents=None, clocked=False, **settings):
    """What goes on after every block, shape (blocks, 2), and the samples at which a step strikes."""
    blocks = len(gates) // 48
    came = np.full((blocks, 2), 9.0, np.float32) if latents is None else latents.astype(np.float32).copy()
    struck = np.zeros(len(gates), np.uint8)
    values = np.array([*{**REST, **settings}.values()], np.float32)
    cast = shim.ffi.from_buffer
    shim.lib.shim_sequence(
        clocked,
        blocks,
        cast("uint8_t[]", gates),
        cast("float[]", values),
        cast("float[]", came),
        cast("uint8_t[]", struck),
    )
    return came, np.flatnonzero(struck)


def take(steps, recorded, seconds_of_steps=None):
    """Gates that record the first steps, and latents that are the step's number while they do, then 9."""
    ticks = STEP * (seconds_of_steps or steps)
    gates = np.zeros(ticks, np.uint8)
    gates[: STEP * recorded] |= RECORD
    step = np.arange(ticks // 48) * 48 // STEP
    latents = np.where(step < recorded, step, 9)[:, None] * np.array([1, -1])
    return gates, latents


def at_steps(out):
    """The first latent in the middle of every step."""
    return out[STEP // 96 :: STEP // 48, 0]


def test_what_is_recorded_comes_again_and_strikes_on_the_sample(shim):
    gates, latents = take(12, 4)
    out, struck = played(shim, gates, latents, steps=4.0)
    assert at_steps(out).tolist() == [0, 1, 2, 3] * 3
    assert np.array_equal(out[:, 1], -out[:, 0])
    assert np.abs(struck - STEP * np.arange(12)).max() <= 1


def test_a_step_that_holds_nothing_leaves_the_knobs_alone(shim):
    gates, latents = take(16, 2)
    out, struck = played(shim, gates, latents, steps=4.0)
    assert at_steps(out).tolist() == [0, 1, 9, 9] * 4
    assert len(struck) == 8


def test_the_record_gate_takes_the_step_that_is_playing(shim):
    gates = np.zeros(STEP * 16, np.uint8)
    gates[STEP * 5 + 1500 : STEP * 5 + 2000] = RECORD
    latents = np.full((len(gates) // 48, 2), 9.0)
    latents[STEP * 5 // 48 : STEP * 6 // 48] = 3.0
    out, _ = played(shim, gates, latents, steps=8.0)
    assert at_steps(out)[6:].tolist() == [9] * 7 + [3] + [9] * 2


def test_the_record_gate_a_little_early_takes_the_step_that_comes(shim):
    gates, latents = take(16, 0)
    gates[STEP * 5 - 480 : STEP * 5 - 240] = RECORD
    latents[STEP * 5 // 48 : STEP * 6 // 48] = 3.0
    out, struck = played(shim, gates, latents, steps=8.0)
    assert at_steps(out).tolist() == [9] * 5 + [3] + [9] * 7 + [3] + [9] * 2
    assert len(struck) == 2


def test_cleared_steps_hold_nothing_again(shim):
    gates, latents = take(16, 4)
    gates[STEP * 5 - 480 : STEP * 6 - 480] |= CLEAR
    out, _ = played(shim, gates, latents, steps=4.0)
    assert at_steps(out).tolist() == [0, 1, 2, 3, 0, 9, 2, 3] + [0, 9, 2, 3] * 2


def test_a_glide_takes_its_share_of_the_step(shim):
    gates, latents = take(8, 4)
    out, _ = played(shim, gates, latents, steps=4.0, glide=0.5)
    way = out[5 * 125 : 6 * 125, 0]  # from step 0 to step 1
    wanted = np.minimum((np.arange(125) + 1) * 48 / (STEP / 2), 1.0)
    assert way == pytest.approx(wanted, abs=0.02)


def test_depth_is_the_way_from_the_knobs_to_the_steps(shim):
    gates, latents = take(8, 4)
    out, _ = played(shim, gates, latents, steps=4.0, depth=0.5)
    assert at_steps(out)[4:].tolist() == [4.5, 5.0, 5.5, 6.0]


def test_ratchets_strike_evenly_within_a_step(shim):
    gates, latents = take(4, 4)
    _, struck = played(shim, gates, latents, ratchet=4.0)
    assert len(struck) == 16
    assert np.abs(np.diff(struck) - STEP / 4).max() <= 1


def test_as_many_steps_are_played_as_the_probability_says(shim):
    gates, latents = take(4000, 1)
    _, struck = played(shim, gates, latents, steps=1.0, probability=0.3)
    assert len(struck) == pytest.approx(1200, abs=90)  # three times the spread of that many draws
    assert len(played(shim, gates, latents, steps=1.0, probability=0.0)[1]) == 1  # the recorded one
    assert len(played(shim, gates, latents, steps=1.0)[1]) == 4000


def test_a_step_that_is_not_played_lets_the_last_one_go_on(shim):
    gates, latents = take(400, 4)
    out = at_steps(played(shim, gates, latents, steps=4.0, probability=0.5)[0])
    own = np.arange(400) % 4
    assert np.all((out == own) | (np.r_[-1, out[:-1]] == out))


def test_mutation_goes_to_where_training_data_were(shim):
    """Kolmogorov and Smirnov's distance from the even spread of the shim's quantiles, 0 … 8 and 0 … −8."""
    gates, latents = take(4000, 1)
    out, _ = played(shim, gates, latents, steps=1.0, mutation=1.0)
    for found in (at_steps(out) / 8, -out[STEP // 96 :: STEP // 48, 1] / 8):
        assert found.min() >= 0 and found.max() <= 1
        assert np.abs(np.sort(found) - (np.arange(4000) + 0.5) / 4000).max() < 0.04
    little = at_steps(played(shim, gates, latents, steps=1.0, mutation=0.01)[0])
    assert 0 < np.abs(np.diff(little)).max() <= 0.081


def test_pulses_from_outside_move_it_and_a_reset_begins_anew(shim):
    gates = np.zeros(48 * 400, np.uint8)
    gates[::960] |= CLOCK
    gates[1::960] &= ~np.uint8(CLOCK)
    gates[: 960 * 4] |= RECORD
    gates[960 * 10 - 400] |= RESET
    step = np.arange(400) * 48 // 960
    latents = np.where(step < 4, step, 9)[:, None] * np.array([1, -1])
    out, struck = played(shim, gates, latents, clocked=True)
    assert out[10::20, 0].tolist() == [0, 1, 2, 3] + [9] * 6 + [0, 1, 2, 3] + [9] * 6
    assert struck.tolist() == [960 * n for n in (0, 1, 2, 3, 10, 11, 12, 13)]


def test_five_steps_stay_five_when_the_clock_s_count_starts_over(shim):
    pulses = 4000  # the count wraps at 1,536 steps
    gates = np.zeros(48 * pulses, np.uint8)
    gates[::48] |= CLOCK
    gates[: 48 * 5] |= RECORD
    latents = np.where(np.arange(pulses) < 5, np.arange(pulses), 9)[:, None] * np.array([1, -1])
    out, _ = played(shim, gates, latents, clocked=True, steps=5.0)
    assert np.array_equal(out[:, 0], np.arange(pulses) % 5)


@pytest.mark.parametrize("clocked", [False, True])
def test_many_samples_at_once_move_the_clock_as_one_after_the_other(shim, clocked):
    skips = shim.ffi.new("uint32_t *")
    assert shim.lib.shim_skips_as_it_ticks(clocked, 20_000, skips)
    assert skips[0] > 2_000


def test_a_cut_at_every_byte_of_a_save_leaves_the_old_sequence_or_the_new(shim):
    cuts, news = shim.ffi.new("uint32_t *"), shim.ffi.new("uint32_t *")
    assert shim.lib.shim_cut_everywhere(cuts, news) == 0
    assert cuts[0] == 2 * 4096 + 20 + 8 + 16 * 80 * 4  # every byte erased or programmed was one of the cuts
    assert 1 <= news[0] <= 2


def test_a_sequence_of_another_model_and_one_with_a_flipped_bit_are_not_played(shim):
    shim.lib.shim_forget()
    shim.lib.shim_fill(3)
    assert shim.lib.shim_idle() == shim.ffi.NULL
    assert [shim.lib.shim_found(hash_) for hash_ in (77, 78)] == [3, 0]
    flash = shim.ffi.buffer(shim.lib.shim_flash(), STORAGE_BYTES)
    for bit in range(0, 8 * (20 + 8 + 16 * 80 * 4), 13):
        byte = 52 * 4096 + bit // 8
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
        assert shim.lib.shim_found(77) == 0
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
    assert shim.lib.shim_found(77) == 3


def test_a_flash_that_refuses_is_said_and_the_old_sequence_is_there(shim):
    shim.lib.shim_forget()
    shim.lib.shim_fill(3)
    assert shim.lib.shim_idle() == shim.ffi.NULL
    shim.lib.shim_power(0xFFFFFFFF, 1, 1)
    shim.lib.shim_fill(5)
    assert b"the one stored before" in shim.ffi.string(shim.lib.shim_idle())
    assert shim.lib.shim_found(77) == 3
    shim.lib.shim_power(0xFFFFFFFF, 1, 0)
    assert shim.lib.shim_idle() == shim.ffi.NULL
    assert shim.lib.shim_found(77) == 5


def test_what_a_hand_recorded_rests_two_seconds_and_a_mutation_thirty(shim):
    assert shim.lib.shim_rests(0.0, 0.0) == -1.0
    assert shim.lib.shim_rests(1.0, 0.0) == pytest.approx(2.0, abs=0.01)
    assert shim.lib.shim_rests(1.0, 0.1) == pytest.approx(30.0, abs=0.05)


def test_its_memory_is_what_the_estimate_says(shim):
    assert shim.lib.shim_sequence_bytes() <= BYTES


@pytest.mark.parametrize("kind", ["drum", "drive", "rhythm"])
def test_a_sequence_of_nothing_leaves_an_instrument_as_it_was(kind, model_files, tmp_path):
    """Whatever its settings are: it is the recording that makes a difference."""
    models = {kind: model_files[kind]}
    built, plain = opened(kind, tmp_path / "plain", models)
    other_built, other = opened(layered(kind, tmp_path, SEQUENCE), tmp_path / "layered", models)
    made = moving(built, plain, 2)
    rng = np.random.default_rng(5)
    knots = np.arange(0, 2.05, 0.1)
    names = [name.replace(".", "/") for name in WORDS]
    columns = {name: (knots, rng.random(len(knots))) for name in names}
    turned = moving(other_built, other, 2, columns)
    assert np.array_equal(made.inputs, turned.inputs) and np.array_equal(made.gates, turned.gates)
    before, after = plain.render(made), other.render(turned)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name


def test_a_recorded_drum_plays_by_itself(model_files, tmp_path):
    built, host = opened(
        layered("drum", tmp_path, SEQUENCE), tmp_path / "made", {"drum": model_files["drum"]}
    )
    still = {adc.name: (np.array([0.0, 3.0]), np.full(2, 0.5)) for adc in built.board.adcs}
    gates = {gate.name: (np.array([0.0, 3.0]), np.zeros(2)) for gate in built.board.gates_in}
    record = (np.array([0.0, 0.45, 0.451, 3.0]), np.array([1.0, 1.0, 0.0, 0.0]))
    found = host.render(moving(built, host, 3, {**still, **gates, "gate/record": record}))
    rises = np.flatnonzero(np.diff(found.gates & 1, prepend=np.uint32(0)) == 1)
    assert len(rises) == 8 and np.abs(np.diff(rises[:4]) - STEP).max() <= 48
    assert np.abs(found.audio[0, 2 * 48_000 + 4_800 :]).max() > 1e-3


def test_a_recorded_drum_plays_again_after_the_power_was_off(model_files, tmp_path):
    """Of the whole module: a gate records, the power goes, and steps strike by themselves."""
    file, models = layered("drum", tmp_path, SEQUENCE), {"drum": model_files["drum"]}
    program = simulated_program(file, "patch_sm", tmp_path, models)
    board, loaded = load_board("patch_sm"), load_instrument(file)
    names = assign(loaded, find_models(loaded, models), board).gate_names
    record, strike = names.index("record"), names.index("trigger")
    flash = bytearray(b"\xff" * STORAGE_BYTES)

    def strikes(link, wait_s):
        time.sleep(wait_s)
        return link.ask("report")["triggers"][strike]

    with SimulatedBoard(board, program, flash=flash) as played, Link(played.device) as link:
        assert strikes(link, 0.3) == 0
        for held in (1, 0):
            link.ask("gate", index=record, value=held)
            time.sleep(0.4)
        deadline = time.monotonic() + 20
        while flash.count(b"VECT", 52 * 4096) == 0 and time.monotonic() < deadline:
            time.sleep(0.02)
    with SimulatedBoard(board, program, flash=flash) as played, Link(played.device) as link:
        deadline = time.monotonic() + 20
        while strikes(link, 0.1) == 0:
            assert time.monotonic() < deadline
