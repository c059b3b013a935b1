"""The road keeps what is done, goes on where it stopped, and says where it did."""

from __future__ import annotations

from pathlib import Path

import pytest

import road
import vaectrol


def toy_stage(folder: Path, items: str = "8") -> road.Stage:
    sounds = folder / "sounds"
    return road.Stage(
        "toy",
        "a few drums",
        ("toy", "drums", str(sounds), "--items", items),
        (),
        (sounds / "manifest.json",),
    )


def prepare_stage(folder: Path) -> road.Stage:
    return road.Stage(
        "prepare",
        "read them",
        ("data", "prepare", "drums", str(folder / "sounds"), str(folder / "data")),
        (folder / "sounds",),
        (folder / "data" / "manifest.json",),
        tolerates=(0, 1),
    )


def test_a_stage_that_is_done_is_kept_and_runs_again_when_what_it_reads_changes(tmp_path, capfd):
    stages = [toy_stage(tmp_path), prepare_stage(tmp_path)]
    road.travel(stages, tmp_path)
    made = (tmp_path / "data" / "manifest.json").stat().st_mtime_ns
    capfd.readouterr()
    road.travel(stages, tmp_path)
    assert capfd.readouterr().out.count("done before, kept") == 2
    assert (tmp_path / "data" / "manifest.json").stat().st_mtime_ns == made
    page = road.write_index(tmp_path, "toy", stages).read_text()
    assert "vaectrol toy drums" in page
    (tmp_path / "sounds" / "manifest.json").touch()
    assert road.is_done(stages[0], tmp_path)
    assert not road.is_done(stages[1], tmp_path)


def test_a_stage_that_fails_stops_the_road_and_leaves_no_stamp(tmp_path):
    stage = prepare_stage(tmp_path)
    (tmp_path / "sounds").mkdir()
    with pytest.raises(road.RoadStopped, match="stopped at 'prepare'"):
        road.travel([stage], tmp_path)
    assert not road.is_done(stage, tmp_path)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["make", "nowhere", "--kind", "drums"], "there is no folder nowhere"),
        (["make", ".", "--kind", "pianos"], "there is no kind 'pianos'"),
    ],
)
def test_bad_input_is_one_sentence_and_status_2(words, said, capsys):
    assert vaectrol.main(words) == 2
    assert said in capsys.readouterr().err
