"""The toy rhythms keep the rules written beside them."""

from __future__ import annotations

import io

import mido
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.drums import PARTS
from toy import rhythms


@settings(max_examples=40)
@given(st.integers(0, 2**31), st.integers(0, 20_000))
def test_a_pattern_is_well_formed_and_repeatable(seed, index):
    one = rhythms.pattern(seed, index)
    onset, velocity, timing = one.grid[:9], one.grid[9:18], one.grid[18:]
    assert np.array_equal(one.grid, rhythms.pattern(seed, index).grid)
    assert one.grid.shape == (27, 32) and one.grid.dtype == np.float32
    assert set(np.unique(onset)) <= {0.0, 1.0}
    assert (velocity[onset == 0] == 0).all() and (timing[onset == 0] == 0).all()
    assert (velocity[onset == 1] > 0).all() and velocity.max() <= 1
    assert timing.min() >= -0.5 and timing.max() < 0.5
    assert (timing[:, 0] >= 0).all()
    assert not onset[:, one.steps :].any()
    hats = [PARTS.index(name) for name in ("hat_closed", "hat_open")]
    if one.factors.swing == 0 and one.factors.looseness == 0:
        assert not (onset[hats[0]] * onset[hats[1]]).any()


def test_there_are_at_least_eight_styles_with_written_rules():
    table = rhythms.styles()
    assert len(table) >= 8
    for name, rule in table.items():
        rows = {voice: row for voice, row in rule.items() if voice in PARTS}
        steps = {"4/4": 32, "3/4": 24}[rule["meter"]]
        assert rule["says"] and rows, name
        assert all(len(row) == steps and set(row) <= set("Xxo-g.") for row in rows.values()), name


def test_what_a_rule_always_plays_is_played_where_it_says():
    for index in range(0, 120):
        one = rhythms.pattern(9, index)
        if one.fill or one.factors.looseness > 0.06 or one.style in ("shuffle", "waltz"):
            continue
        for voice, row in rhythms.styles()[one.style].items():
            if voice in PARTS:
                always = [step for step, mark in enumerate(row) if mark == "X"]
                if voice == "hat_closed":
                    continue  # an open hat may take its place
                assert one.grid[PARTS.index(voice), always].all(), (one.name, voice)


def test_swing_bends_time_within_its_unit():
    steps = np.arange(8)
    assert rhythms.swung(steps, 1, 0.0) == pytest.approx(steps)
    assert rhythms.swung(steps, 1, 0.25)[1::2] == pytest.approx(steps[1::2] + 0.25)
    shuffle = rhythms.swung(steps, 2, 1 / 3)
    assert shuffle[2::4] == pytest.approx(steps[2::4] + 2 / 3)  # the third triplet of the beat
    assert shuffle[::4] == pytest.approx(steps[::4])
    assert (np.diff(shuffle) > 0).all()


def test_midi_tells_the_same_as_the_array():
    for index in range(0, 44, 3):
        one = rhythms.pattern(4, index)
        stream = io.BytesIO()
        rhythms.to_midi(one).save(file=stream)
        stream.seek(0)
        file = mido.MidiFile(file=stream)
        tick, heard = 0, np.zeros((27, 32), np.float32)
        for message in file.tracks[0]:
            tick += message.time
            if message.type == "note_on" and message.velocity:
                step = int(np.floor(tick / 120 + 0.5))
                voice = rhythms.GM_NOTES.index(message.note)
                heard[[voice, 9 + voice, 18 + voice], step] = 1, message.velocity / 127, tick / 120 - step
        assert np.array_equal(heard, one.grid), one.name


def test_factors_shape_the_patterns():
    made = [rhythms.pattern(0, index) for index in range(0, 3000, 2)]
    strokes = np.array([one.grid[:9].sum() for one in made])
    for style in ("funk", "trap", "backbeat"):
        mine = np.array([one.style == style and not one.fill for one in made])
        busy = np.array([one.factors.complexity for one in made])
        assert np.corrcoef(busy[mine], strokes[mine])[0, 1] > 0.3, style
    assert 0.1 < np.mean([one.fill for one in made]) < 0.3
