"""Files appear whole or not at all."""

import pytest

from quantize.files import whole, write_bytes, write_text
from train.refusal import Refusal


def test_a_block_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "model.onnx"
    write_text("old", path)
    with pytest.raises(KeyError), whole(path) as temporary:
        temporary.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_ends_renames(tmp_path):
    with whole(tmp_path / "a.wav") as temporary:
        temporary.write_bytes(b"x")
        assert not (tmp_path / "a.wav").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_missing_folder_and_a_folder_in_the_way_are_one_sentence(tmp_path):
    with pytest.raises(Refusal, match="there is no folder"):
        write_bytes(b"", tmp_path / "no" / "a")
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    with pytest.raises(Refusal, match=r"cannot write .*taken"):
        write_bytes(b"", tmp_path / "taken")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]
