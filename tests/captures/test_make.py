"""`vaectrol make CAPTURE.nam`: its stages, and what is refused before the first of them."""

import json

import pytest

import vaectrol
from tests.captures import made
from workflow.capture import capture_stages, is_capture
from workflow.page import write_index


@pytest.fixture
def capture(tmp_path):
    path = tmp_path / "amp.nam"
    path.write_text(json.dumps(made.NAM["A1"]))
    return path


def test_a_file_is_a_capture_and_folders_are_sounds(capture, tmp_path):
    assert is_capture([capture], "") and is_capture([capture], "capture")
    assert not is_capture([tmp_path], "") and not is_capture([capture], "drum")


def test_every_stage_reads_what_an_earlier_one_makes(capture, tmp_path):
    stages = capture_stages([capture], "patch_sm", tmp_path / "out")
    there = {capture}
    for stage in stages:
        for path in stage.reads:
            assert path in there or any(one.parent == path for one in there), (stage.name, path)
        there |= set(stage.makes)
    assert [stage.argv[0] for stage in stages] == [
        "import",
        "toy",
        "quantize",
        "build",
        "play",
        "bench",
        "web",
    ]


def test_own_recordings_calibrate_in_place_of_the_toy_phrase(capture, tmp_path):
    dry = tmp_path / "dry"
    dry.mkdir()
    (dry / "di.wav").write_bytes(b"RIFF")
    quantize = capture_stages([capture, dry], "patch_sm", tmp_path / "out")[2]
    assert str(dry) in quantize.argv


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["no.nam", "--kind", "capture"], "there is no file"),
        (["amp.nam", "empty", "--kind", "capture"], "there is no .wav file in"),
        (["amp.nam", "--board", "host"], "host"),
        (["amp.nam", "empty", "empty"], "3 given"),
    ],
)
def test_what_cannot_be_made_is_refused_first(words, said, capture, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    assert vaectrol.main(["make", *words, "-o", "out"]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_page_shows_an_instrument_that_is_a_file(capture, tmp_path):
    folder = tmp_path / "out"
    stages = [stage for stage in capture_stages([capture], "patch_sm", folder) if stage.name == "play"]
    folder.mkdir()
    vaectrol.main(
        ["import", str(capture), "-o", str(folder / "capture.onnx"), "--instrument", stages[0].argv[1]]
    )
    for path in stages[0].makes:
        path.write_bytes(b"")
    page = write_index(folder, "captures", stages).read_text()
    assert stages[0].makes[0].name in page and "capture played" in page
