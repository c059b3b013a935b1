"""A file is written whole or not at all, and a failure leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from firmware.files import write_text
from hardware.refusal import Refusal


def test_what_was_there_stays_and_no_part_is_left_where_writing_fails(tmp_path: Path) -> None:
    in_the_way = tmp_path / "report.json"
    in_the_way.mkdir()
    (in_the_way / "kept").touch()
    with pytest.raises(Refusal, match=r"cannot write .*report\.json"):
        write_text(in_the_way, "{}")
    assert list(tmp_path.iterdir()) == [in_the_way]
    with pytest.raises(Refusal, match="cannot write"):
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
