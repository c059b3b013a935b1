"""MIDI of any tempo, resolution and metre lands on the grid where it was played."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.drums import PARTS
from common.refusal import LeftOut, Refusal
from tests.train.data_sources import beat, midi
from train.data import patterns

pytestmark = pytest.mark.fast

TABLE = patterns.read_map()


def read(path, hop=1):
    return patterns.windows(patterns.read_performance(path, TABLE), TABLE, hop)[0]


def reason(path):
    with pytest.raises(LeftOut) as left_out:
        read(path)
    return str(left_out.value)


@settings(max_examples=30)
@given(
    st.sampled_from([24, 96, 120, 384, 480, 960]),
    st.integers(30, 300),
    st.lists(
        st.tuples(
            st.integers(0, 31), st.sampled_from([36, 38, 42, 46, 43, 47, 50, 49, 51]), st.integers(1, 127)
        ),
        min_size=4,
        max_size=60,
        unique_by=lambda note: note[:2],
    ),
)
def test_any_resolution_and_tempo_gives_the_same_grid(tmp_path_factory, ticks, bpm, notes):
    path = tmp_path_factory.mktemp("m") / "a.mid"
    midi(path, [(step / 4, note, velocity) for step, note, velocity in notes], ticks, bpm=bpm)
    (window,) = read(path)
    assert window.steps == 32 and window.meter == "4/4"
    wanted = np.zeros((27, 32), np.float32)
    for step, note, velocity in notes:
        wanted[TABLE[note], step] = 1
        wanted[9 + TABLE[note], step] = velocity / 127
    assert np.allclose(window.grid, wanted)


@settings(max_examples=30)
@given(st.floats(-0.45, 0.45), st.integers(1, 31))
def test_microtiming_is_kept(tmp_path_factory, offset, step):
    path = tmp_path_factory.mktemp("m") / "a.mid"
    midi(path, [*beat(), ((step + offset) / 4, 49, 99)], 960)
    grid = read(path)[0].grid
    crash = PARTS.index("crash")
    assert grid[crash, step] == 1 and grid[18 + crash, step] == pytest.approx(offset, abs=1 / 240 + 1e-6)


def test_of_a_flam_the_louder_stroke_stays(tmp_path):
    grid = read(midi(tmp_path / "a.mid", [*beat(), (3.0, 38, 40), (3.03, 38, 120), (3.05, 38, 60)]))[0].grid
    assert grid[10, 12] == pytest.approx(120 / 127) and grid[19, 12] == pytest.approx(0.12, abs=0.01)


def test_windows_move_by_bars_and_keep_to_bars(tmp_path):
    path = midi(tmp_path / "a.mid", beat(6), beats=24)
    assert [window.bar for window in read(path)] == [0, 1, 2, 3, 4]
    assert [window.bar for window in read(path, hop=2)] == [0, 2, 4]
    assert all(np.array_equal(window.grid, read(path)[0].grid) for window in read(path))


@pytest.mark.parametrize(
    ("meter", "beats_per_bar", "steps"),
    [((3, 4), 3, 24), ((6, 8), 3, 24), ((5, 4), 5, 20), ((5, 8), 2.5, 20), ((2, 4), 2, 16)],
)
def test_other_metres_use_as_many_steps_as_their_bars_have(tmp_path, meter, beats_per_bar, steps):
    notes = [(bar * beats_per_bar + k / 2, 42, 80) for bar in range(2) for k in range(int(2 * beats_per_bar))]
    window = read(midi(tmp_path / "a.mid", notes, meter=meter, beats=2 * beats_per_bar))[0]
    assert (window.steps, window.meter) == (steps, f"{meter[0]}/{meter[1]}")
    assert window.grid[2, 0] == 1 and not window.grid[:, steps:].any()


def test_a_change_of_metre_starts_a_new_count(tmp_path):
    notes = beat(2) + [(8 + beat_, note, v) for beat_, note, v in beat(2, 3)]
    found = read(midi(tmp_path / "a.mid", notes, beats=14, meters=[(8, 3, 4)]))
    assert [(window.meter, window.bar) for window in found] == [("4/4", 0), ("3/4", 2)]
    assert found[1].grid[0, 0] == 1 and found[1].grid[0, 12] == 1


def test_a_metre_that_does_not_fit_is_refused_by_name(tmp_path):
    assert "9/4" in reason(midi(tmp_path / "a.mid", beat(2, 9), meter=(9, 4), beats=18))
    assert "5/32" in reason(midi(tmp_path / "b.mid", beat(2), meter=(5, 32)))


def test_short_fills_keep_what_they_have(tmp_path):
    fill = [(k / 4, 38, 100) for k in range(3)]
    (window,) = read(midi(tmp_path / "fill.mid", fill, beats=1))
    assert window.grid[1, :4].tolist() == [1, 1, 1, 0]


def test_roland_and_general_midi_notes_find_their_voices():
    for note, voice in {
        22: "hat_closed",
        26: "hat_open",
        44: "hat_closed",
        58: "tom_low",
        48: "tom_high",
        40: "snare",
        37: "snare",
        53: "ride",
        55: "crash",
        59: "ride",
    }.items():
        assert PARTS[TABLE[note]] == voice


def test_files_without_drums_say_what_they_have(tmp_path):
    piano = [(k / 2, 60 + k, 90) for k in range(8)]
    assert "no drums: notes only on channels 1" in reason(midi(tmp_path / "a.mid", piano, channel=0))
    assert "no notes" in reason(midi(tmp_path / "b.mid", []))
    assert "has no drums in the map (its notes: 90)" in reason(
        midi(tmp_path / "c.mid", [(0, 90, 9), (1, 90, 9)])
    )
    (window,) = read(midi(tmp_path / "d.mid", beat(), channel=0))  # a pack that writes drums on channel 1
    assert window.grid[0, 0] == 1


def test_damaged_files_say_why(tmp_path):
    whole = midi(tmp_path / "a.mid", beat()).read_bytes()
    for name, content, says in [
        ("empty", b"", "is empty"),
        ("text", b"just some text, not music", "not a MIDI file"),
        ("cut", whole[: len(whole) // 2], "damaged or truncated"),
        ("head", whole[:10], "damaged or truncated"),
        ("smpte", whole[:12] + b"\xe7\x28" + whole[14:], "SMPTE"),
        ("type2", whole[:9] + b"\x02" + whole[10:], "type 2"),
        ("zero", whole[:12] + b"\x00\x00" + whole[14:], "ticks per beat"),
    ]:
        path = tmp_path / f"{name}.mid"
        path.write_bytes(content)
        assert says in reason(path), name


@settings(max_examples=60)
@given(st.data())
def test_no_damage_ends_in_a_traceback(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("m")
    raw = bytearray(midi(folder / "a.mid", beat()).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path = folder / "b.mid"
    path.write_bytes(raw)
    try:
        read(path)
    except LeftOut as left_out:
        assert "\n" not in str(left_out)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[a\n", "not TOML"),
        ("[a]\ngong = [3]", "voice 'gong'"),
        ("[a]\nkick=[3]\n[b]\nsnare=[3]", "two voices"),
    ],
)
def test_a_wrong_map_is_refused(tmp_path, text, says):
    path = tmp_path / "map.toml"
    path.write_text(text)
    with pytest.raises(Refusal, match=says):
        patterns.read_map(path)
