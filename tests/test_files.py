"""A file is written whole or not at all, and a failure leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from common.files import files_below, links_to_nothing, whole, write_bytes, write_text
from common.refusal import CannotWrite


def test_a_block_that_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "model.onnx"
    write_text(path, "old")
    with pytest.raises(KeyError), whole(path) as part:
        part.write_text("half")
        raise KeyError
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_block_that_ends_renames(tmp_path: Path) -> None:
    with whole(tmp_path / "a.wav") as part:
        part.write_bytes(b"x")
        assert not (tmp_path / "a.wav").exists()
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]


def test_a_folder_in_the_way_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "x").touch()
    with pytest.raises(CannotWrite, match=r"cannot write .*taken"):
        write_bytes(tmp_path / "taken", b"")
    assert [p.name for p in tmp_path.iterdir()] == ["taken"]


def test_what_was_there_stays_and_no_part_is_left_where_writing_fails(tmp_path: Path) -> None:
    in_the_way = tmp_path / "report.json"
    in_the_way.mkdir()
    (in_the_way / "kept").touch()
    with pytest.raises(CannotWrite, match=r"cannot write .*report\.json"):
        write_text(in_the_way, "{}")
    assert list(tmp_path.iterdir()) == [in_the_way]
    with pytest.raises(CannotWrite, match="cannot write"):
        write_text(in_the_way / "kept" / "report.json", "{}")


def test_text_that_cannot_be_encoded_leaves_no_part(tmp_path: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        write_text(tmp_path / "a.txt", "\udcff")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_made_and_an_old_file_replaced(tmp_path: Path) -> None:
    place = tmp_path / "new" / "a.txt"
    for text in ("one", "zwölf"):
        write_text(place, text)
        assert place.read_text(encoding="utf-8") == text
    assert place.stat().st_mode & 0o777 == 0o644
    assert list(place.parent.iterdir()) == [place]


def test_links_to_folders_are_followed_once_and_never_in_a_circle(tmp_path):
    library, folder = tmp_path / "library", tmp_path / "sounds"
    (library / "kicks").mkdir(parents=True)
    (library / "kicks" / "a.wav").write_bytes(b"")
    (folder / "own").mkdir(parents=True)
    (folder / "own" / "b.wav").write_bytes(b"")
    (folder / "linked").symlink_to(library)
    (folder / "again").symlink_to(folder / "own")
    (folder / "own" / "up").symlink_to(folder)
    (folder / "gone").symlink_to(tmp_path / "nowhere")
    found = [path.relative_to(folder).as_posix() for path in files_below(folder)]
    assert found == ["linked/kicks/a.wav", "own/b.wav"]
    assert links_to_nothing(folder) == [folder / "gone"]
    assert files_below(tmp_path / "nowhere") == []
