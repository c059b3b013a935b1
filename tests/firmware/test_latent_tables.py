"""Tables of latents: recorded by a gate, read by voltages, kept through a power cut at any byte."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.instruments.latents.tables import BYTES, FRAMES, LATENTS, STATE_BYTES, WORDS
from tests.firmware.conftest import shim_library
from tests.firmware.test_latent_layer import LAYER, layered, moving, opened

A, B, START = 1, 2, 4
REST = {"depth": 1.0, "speed": 1.0, "position": 0.0, "begin": 0.0, "length": 1.0, "morph": 0.0}
TABLES = "\n[latents]\ntables = true\n"
STEP = 8 / 32767
"""What a latent of the shim is rounded to."""


@pytest.fixture(scope="module")
def shim(tmp_path_factory):
    return shim_library(
        "tables_shim.c", tmp_path_factory.mktemp("tables"), "control", "latents", "instruments"
    )


@pytest.fixture
def empty(shim):
    shim.lib.shim_model(77)
    shim.lib.shim_forget()
    shim.ffi.memmove(shim.lib.shim_flash(), b"\xff" * 56 * 4096, 52 * 4096)
    shim.lib.shim_power(0xFFFFFFFF, 1, 0)
    return shim


def play(shim, gates, first=9.0, **settings):
    """The first latent after each frame; `first` is what the hands say."""
    frames = len(gates)
    values = np.zeros((frames, 6), np.float32)
    for at, (name, rest) in enumerate(REST.items()):
        values[:, at] = settings.get(name, rest)
    came = np.zeros((frames, 2), np.float32)
    came[:, 0], came[:, 1] = first, -np.asarray(first)
    cast = shim.ffi.from_buffer
    shim.lib.shim_play(
        frames, cast("uint8_t[]", np.asarray(gates, np.uint8)), cast("float[]", values), cast("float[]", came)
    )
    return came[:, 0]


def recorded(shim, what, gate=A):
    """Record these values of the first latent, a frame each."""
    hands = np.array([*what, 0.0], np.float32)
    out = play(shim, [gate] * len(what) + [0], hands)
    assert np.array_equal(out[:-1], hands[:-1], equal_nan=True)  # what is recorded is heard


def test_what_the_hands_did_comes_again_in_a_loop(empty):
    hands = np.array([0.5, 1.0, 4.0, 6.0, 7.5])
    recorded(empty, hands)
    out = play(empty, [0] * 20)
    assert out == pytest.approx(np.resize(np.roll(hands, -2), 20), abs=STEP)


def test_a_tap_holds_one_moment(empty):
    assert play(empty, [A, 0, 0, 0], [3.0, 5.0, 5.0, 5.0])[1:] == pytest.approx(3.0, abs=STEP)
    assert empty.lib.shim_frames(0) == 1


@pytest.mark.parametrize("speed", [0.25, 2.0, -1.0, -3.5])
def test_speed_says_how_far_it_goes_on_each_frame(empty, speed):
    hands = np.linspace(0, 8, 101)
    recorded(empty, hands)
    out = play(empty, [START, *[0] * 19], speed=speed)
    place = (np.arange(20) * speed) % 101
    wanted = np.interp(place, np.arange(102), np.r_[hands, hands[0]])
    assert out == pytest.approx(wanted, abs=0.01)


def test_a_voltage_scrubs_from_the_first_frame_to_the_last(empty):
    hands = np.linspace(0, 8, 200)
    recorded(empty, hands)
    position = 0.5 - 0.5 * np.cos(2 * np.pi * 20 * np.arange(500) / 100 / 7)
    play(empty, [START], speed=0.0)
    out = play(empty, [0] * 500, speed=0.0, position=position)
    assert out == pytest.approx(8 * position, abs=0.01)


def test_a_crop_loops_within_its_bounds(empty):
    recorded(empty, np.linspace(0, 8, 101))
    out = play(empty, [START, *[0] * 300], begin=0.5, length=0.2)
    assert out.min() == pytest.approx(4.0, abs=0.01) and out.max() == pytest.approx(5.6, abs=0.1)


def test_morph_goes_from_one_table_to_the_other(empty):
    recorded(empty, [2.0] * 10)
    recorded(empty, [6.0] * 30, gate=B)
    for morph in (0.0, 0.25, 1.0):
        assert play(empty, [0] * 40, morph=morph) == pytest.approx(2 + 4 * morph, abs=2 * STEP)


def test_an_empty_table_is_what_the_hands_do(empty):
    recorded(empty, [2.0] * 10)
    assert play(empty, [0] * 5, first=7.0, morph=1.0) == pytest.approx(7.0)
    assert play(empty, [0] * 5, first=7.0, depth=0.5) == pytest.approx(4.5, abs=STEP)


def test_a_recording_ends_when_the_table_is_full(empty):
    play(empty, [A] * (FRAMES + 50))
    assert empty.lib.shim_frames(0) == FRAMES


def test_latents_beyond_their_ends_and_no_numbers_are_kept_within(empty):
    recorded(empty, [40.0, np.nan, -40.0, 4.0])
    frame = np.frombuffer(empty.ffi.buffer(empty.lib.shim_frame(0), 4 * LATENTS * 2), np.int16)
    assert frame.reshape(4, LATENTS)[:, 0].tolist() == [32767, -32767, -32767, 0]
    settings = {name: np.nan for name in REST}
    assert np.isfinite(play(empty, [0] * 50, first=1.0, **settings)).all()


def test_a_table_is_there_again_after_the_power_was_off(empty):
    hands = np.linspace(0, 8, 700)
    recorded(empty, hands)
    assert empty.lib.shim_settle()  # loads what there is: nothing; then stores
    empty.lib.shim_forget()
    assert empty.lib.shim_settle()
    assert empty.lib.shim_frames(0) == 700
    assert play(empty, [START, *[0] * 699]) == pytest.approx(hands, abs=STEP)


def test_a_table_of_another_model_is_not_played(empty):
    recorded(empty, [2.0] * 10)
    assert empty.lib.shim_settle()
    empty.lib.shim_forget()
    empty.lib.shim_model(78)
    assert empty.lib.shim_settle()
    assert empty.lib.shim_frames(0) == 0
    why = empty.lib.shim_write(0, 77, 1, empty.ffi.NULL, 0)
    assert empty.ffi.string(why) == b"the table is of another model"


def test_a_recording_that_begins_while_the_last_is_stored_is_stored_too(empty):
    recorded(empty, [2.0] * 1500)
    for _ in range(6):
        empty.lib.shim_idle()
    recorded(empty, [5.0] * 900)
    assert empty.lib.shim_settle()
    empty.lib.shim_forget()
    assert empty.lib.shim_settle()
    assert empty.lib.shim_frames(0) == 900
    assert play(empty, [0] * 20) == pytest.approx(5.0, abs=STEP)


def test_a_flash_that_refuses_is_said_and_the_old_table_is_there(empty):
    recorded(empty, [2.0] * 10)
    assert empty.lib.shim_settle()
    empty.lib.shim_power(0xFFFFFFFF, 1, 1)
    recorded(empty, [5.0] * 20)
    said = [empty.lib.shim_idle() for _ in range(4)]
    assert b"the one stored before" in empty.ffi.string(next(s for s in said if s != empty.ffi.NULL))
    empty.lib.shim_power(0xFFFFFFFF, 1, 0)
    empty.lib.shim_forget()
    assert empty.lib.shim_settle()
    assert empty.lib.shim_frames(0) == 10


def test_any_flipped_bit_of_a_stored_table_is_noticed(empty):
    recorded(empty, [2.0] * 3)
    assert empty.lib.shim_settle()
    flash = empty.ffi.buffer(empty.lib.shim_flash(), 56 * 4096)
    for bit in range(8 * (24 + 3 * 32)):
        byte = 4 * 4096 + bit // 8
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
        empty.lib.shim_forget()
        empty.lib.shim_idle()
        assert empty.lib.shim_frames(0) == 0
        flash[byte] = bytes([flash[byte][0] ^ (1 << bit % 8)])
    empty.lib.shim_forget()
    empty.lib.shim_idle()
    assert empty.lib.shim_frames(0) == 3


def cut_everywhere(shim, old, new):
    cuts, news = shim.ffi.new("uint32_t *"), shim.ffi.new("uint32_t *")
    assert shim.lib.shim_cut_everywhere(old, new, cuts, news) == 0
    return cuts[0], news[0]


def test_a_cut_at_every_byte_of_a_save_leaves_the_old_table_or_the_new(empty):
    cuts, news = cut_everywhere(empty, 20, 140)
    assert cuts == 2 * 4096 + 24 + 140 * 32  # every byte erased or programmed was one of the cuts
    assert 1 <= news <= 2


@pytest.mark.slow
def test_a_cut_at_every_byte_of_a_full_table_leaves_the_old_one_or_the_new(empty):
    cuts, _ = cut_everywhere(empty, 20, FRAMES)
    assert cuts == 16 * 4096 + 24 + FRAMES * 32


def test_its_memory_is_what_the_estimate_says(shim):
    assert shim.lib.shim_tables_bytes() == BYTES
    assert shim.lib.shim_store_bytes() <= STATE_BYTES


@pytest.mark.parametrize("kind", ["drum", "drive", "rhythm"])
def test_empty_tables_leave_an_instrument_as_it_was(kind, model_files, tmp_path):
    """Whatever their settings are: it is the recording that makes a difference."""
    models = {kind: model_files[kind]}
    built, plain = opened(kind, tmp_path / "plain", models)
    other_built, other = opened(layered(kind, tmp_path, TABLES), tmp_path / "layered", models)
    made = moving(built, plain, 2)
    rng = np.random.default_rng(5)
    knots = np.arange(0, 2.05, 0.1)
    columns = {name.replace(".", "/"): (knots, rng.random(len(knots))) for name in WORDS}
    turned = moving(other_built, other, 2, columns)
    before, after = plain.render(made), other.render(turned)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(after, name)), name


def test_a_texture_goes_on_with_what_its_encoder_heard(model_files, tmp_path):
    """At rest the layer is not there; a table that was recorded while a sound went in moves the silence."""
    models = {role: model_files[role] for role in ("encoder", "decoder")}
    built, plain = opened("texture", tmp_path / "plain", models)
    _, other = opened(layered("texture", tmp_path, LAYER), tmp_path / "layered", models)
    still = {adc.name: (np.array([0.0, 3.0]), np.full(2, 0.5)) for adc in built.board.adcs}
    gates = {gate.name: (np.array([0.0, 3.0]), np.zeros(2)) for gate in built.board.gates_in}
    made = moving(built, plain, 2, {**still, **gates})
    before = plain.render(made)
    for name in ("audio", "cv", "gates"):
        assert np.array_equal(getattr(before, name), getattr(other.render(made), name)), name
        other.begin()
    other_built, _ = opened(layered("texture", tmp_path, LAYER), tmp_path / "again", models)
    record = {"gate/table_a": (np.array([0.0, 1.0, 1.01, 2.0]), np.array([1.0, 1.0, 0.0, 0.0]))}
    recorded = other.render(moving(other_built, other, 2, {**still, **gates, **record}))
    heard = slice(48_000 + 4_800, None)
    assert np.array_equal(recorded.audio[0, :48_000], before.audio[0, :48_000])
    assert np.abs(recorded.audio[0, heard] - before.audio[0, heard]).max() > 1e-3
