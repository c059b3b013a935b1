"""Names tell class and instrument; splits never cut an instrument."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.refusal import Refusal
from train.data import splits
from train.data.names import class_of_name, guess_class, instrument_of, read_table
from train.data.source import SourceFile

pytestmark = pytest.mark.fast

TABLE = read_table()


def file(relative, **row):
    return SourceFile(Path(relative), relative, "", row)


@pytest.mark.parametrize(
    ("name", "label"),
    [
        ("Kick_01", "kick"),
        ("BD2550", "kick"),
        ("drum_bass_hard", "kick"),
        ("SD_hard", "snare"),
        ("OpenHat 3", "hat_open"),
        ("hat-open", "hat_open"),
        ("hihat_closed_07", "hat_closed"),
        ("CHH12", "hat_closed"),
        ("half-open-hihat_hohh5", "hat_open"),
        ("snare_mic_ks_vl4", "kick"),
        ("CR78_kick", "kick"),
        ("drum_cymbal_closed", "hat_closed"),
        ("FloorTom16", "tom"),
        ("handclap", "clap"),
        ("RideBell", "cymbal"),
        ("cowbell", "perc"),
        ("mykick2", "kick"),
        ("sidestick3", "perc"),
        ("zzz_0001", None),
    ],
)
def test_a_name_speaks_of_its_class(name, label):
    assert class_of_name(name, TABLE) == label


def test_manifest_beats_folder_beats_file_name():
    assert guess_class(file("tom/Kit_snare.wav", category="clap"), TABLE) == ("clap", "manifest")
    assert guess_class(file("Toms/Kit_snare.wav"), TABLE) == ("tom", "folder Toms")
    assert guess_class(file("vol2/Kit_snare.wav"), TABLE) == ("snare", "file name")
    assert guess_class(file("vol2/0001.wav"), TABLE) == ("perc", "nothing")


def test_takes_of_one_instrument_share_its_name():
    same = ["A/kick_vl1_rr1.wav", "A/kick_vl9_rr3.wav", "A/Kick 03.wav", "A/kick_front_mic_2.wav"]
    assert len({instrument_of(file(name), "kick", TABLE) for name in same}) == 1
    other = ["B/kick_vl1.wav", "A/kick_felt_vl1.wav"]
    assert len({instrument_of(file(name), "kick", TABLE) for name in [same[0], *other]}) == 3
    assert instrument_of(file("x.wav", instrument="Ludwig 1964"), "kick", TABLE) == "Ludwig 1964"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[classes\n", "not TOML"),
        ("[classes]\ngong = ['gong']", "has a class 'gong'"),
        ("[classes]\nkick = ['bd']\nsnare = ['bd']", "gives 'bd' to kick and to snare"),
        ("unknown = 'bin'", "'unknown'"),
    ],
)
def test_a_wrong_table_is_refused_in_one_sentence(tmp_path, text, says):
    path = tmp_path / "names.toml"
    path.write_text(text)
    with pytest.raises(Refusal) as refusal:
        read_table(path)
    assert says in str(refusal.value) and str(path) in str(refusal.value)


groups_and_classes = st.lists(
    st.tuples(st.integers(0, 25), st.sampled_from(["kick", "snare", "tom"])), min_size=1, max_size=150
)


@settings(max_examples=60)
@given(groups_and_classes)
def test_no_group_is_ever_cut(drawn):
    groups = [f"{label}{number}" for number, label in drawn]
    classes = [label for _, label in drawn]
    chosen = splits.assign(groups, classes, [None] * len(groups))
    sides = {}
    for group, split in zip(groups, chosen, strict=True):
        assert sides.setdefault(group, split) == split
    for label in set(classes):
        mine = {group for group, other in zip(groups, classes, strict=True) if other == label}
        held = {sides[group] for group in mine}
        assert "train" in held
        if len(mine) >= 3:
            assert held == {"train", "validation", "test"}
        if len(mine) == 2:
            assert held == {"train", "test"}
    assert chosen == splits.assign(groups, classes, [None] * len(groups))


def test_shares_are_about_a_tenth_when_there_are_many_groups():
    groups = [f"g{index // 4}" for index in range(2000)]
    chosen = splits.assign(groups, ["kick"] * 2000, [None] * 2000)
    for name in ("validation", "test"):
        assert 180 <= chosen.count(name) <= 220


def test_a_manifest_with_splits_is_followed_and_never_cuts_a_group():
    given_splits = ["train", "train", "valid", "test", None]
    assert splits.assign(list("aabcd"), ["x"] * 5, given_splits) == [
        "train",
        "train",
        "validation",
        "test",
        "train",
    ]
    assert (
        splits.assign(["a", "a", "a", "b"], ["x"] * 4, ["train", "test", "test", "train"])[:3] == ["test"] * 3
    )


def test_near_duplicates_join_their_groups():
    assert splits.joined(list("abcd"), [(0, 2), (2, 3)]) == ["a", "b", "a", "a"]


def test_time_is_cut_once_into_three():
    parts = splits.by_time(344)
    assert parts == sorted(parts, key=["train", "validation", "test"].index)
    assert (parts.count("train"), parts.count("validation"), parts.count("test")) == (275, 35, 34)
