"""A manifest is read, or refused with the place; never passed over in silence."""

from __future__ import annotations

import json

import pytest

from common.reading.tables import number
from common.refusal import Refusal
from tests.train.data_sources import beat, hit, kits, midi, write
from train.data.kinds.drum import Drums
from train.data.prepare import prepare
from train.data.source import read_manifest

PLAIN = "path,class\nkicks/a.wav,snare\nkicks/b.wav,clap\n"


def rows_of(folder, content, name="info.csv"):
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(content)
    return read_manifest(folder)[1]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_every_way_to_write_the_same_table_reads_the_same(tmp_path, mark, encoding, end):
    text = PLAIN.replace(",", mark).replace("\n", end)
    assert rows_of(tmp_path, text.encode(encoding)) == {
        "kicks/a.wav": {"path": "kicks/a.wav", "class": "snare"},
        "kicks/b.wav": {"path": "kicks/b.wav", "class": "clap"},
    }


@pytest.mark.parametrize(
    "text",
    [
        "sep=;\nPath;Class\n.\\kicks\\a.wav;snare\n\n;\nkicks/b.wav;clap;\n",
        '\n"path","class","note"\n" kicks/a.wav","snare","a, b; c\nd"\nkicks/b.wav,clap\n',
        "path,class;note\nkicks/a.wav,snare\nkicks/b.wav,clap\n",
    ],
)
def test_excels_first_line_capitals_quotes_and_empty_lines(tmp_path, text):
    assert list(rows_of(tmp_path, text.encode())) == ["kicks/a.wav", "kicks/b.wav"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (b"", "is empty"),
        (b"folder,class\nkicks,snare\n", "line 1, column 1: 'folder,class' names no column"),
        (b"path,x;file\na,b;c\n", "two ways"),
        (b"path,class,class\na.wav,x,y\n", "line 1, column 3: a second column 'class'"),
        (b"path,bpm\na.mid,120,5\n", "line 2, column 3: there are 3 cells and 2 columns"),
        (b"path;bpm\na.mid;90\n\nb.mid;fast\n", "line 4, column 2: 'fast' is no number"),
        (b"path;bpm\na.mid;1,200\n", "line 2, column 2: '1,200' may be 1200 or 1.200"),
        (b"path;bpm\na.mid;nan\n", "line 2, column 2: 'nan' is no finite number"),
        (b"path,class\na.wav,kick\nM\xe4nner.wav,kick\n", "line 3, column 2: this is no text in UTF-8"),
        (b"path,class\na.wav,ki\0ck\n", "line 2, column 9: there is a zero byte"),
        (b"path,class\n,kick\n", "line 2 names no file"),
        (b"path,class\na.wav,kick\na.wav,snare\n", "line 3 says something else of a.wav"),
    ],
)
def test_what_has_two_meanings_or_none_is_refused_with_its_place(tmp_path, text, says):
    with pytest.raises(Refusal) as refusal:
        rows_of(tmp_path, text)
    assert says in str(refusal.value) and "info.csv" in str(refusal.value)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'[{"path": "a.wav", "bpm": NaN}]', "NaN is no number"),
        (b'[{"class": "kick"}]', "item 1 names no file"),
        (b'[{"path": ]', "line 1 column"),
        (b"[" * 100_000, "cannot be read"),
        (b'{"path": "a.wav"}', "no list of items"),
    ],
)
def test_a_wrong_json_manifest_is_refused(tmp_path, content, says):
    with pytest.raises(Refusal, match=says):
        rows_of(tmp_path, content, "manifest.json")


@pytest.mark.parametrize(
    ("text", "value"), [("120", 120), (" 120,5 ", 120.5), ("0,125", 0.125), (",5", 0.5), ("-3,25", -3.25)]
)
def test_a_decimal_comma_is_a_point(text, value):
    assert number(text) == value


def test_a_table_with_semicolons_decides_the_classes(tmp_path):
    source = kits(tmp_path / "src")
    (source / "Info.csv").write_text("﻿path;class\nKit A/kick_01.wav;snare\n", encoding="utf-8")
    items = prepare("drum", source, tmp_path / "out").manifest["items"]
    found = {item["file"]: (item["class"], item["class_from"]) for item in items}
    assert found["Kit A/kick_01.wav"] == ("snare", "manifest")


def test_a_tempo_with_a_comma_is_read_and_one_that_is_none_leaves_its_file_out(tmp_path):
    midi(tmp_path / "src/a.mid", beat())
    (tmp_path / "src/info.csv").write_text("midi_filename;bpm\na.mid;97,5\n")
    assert prepare("rhythm", tmp_path / "src", tmp_path / "out").manifest["items"][0]["bpm"] == 97.5
    midi(tmp_path / "two/a.mid", beat())
    midi(tmp_path / "two/b.mid", beat())
    (tmp_path / "two/manifest.json").write_text(json.dumps([{"path": "b.mid", "bpm": "fast"}]))
    outcome = prepare("rhythm", tmp_path / "two", tmp_path / "out2")
    assert [one["file"] for one in outcome.left_out] == ["b.mid"] and "'fast'" in outcome.left_out[0][
        "reason"
    ]


def test_parameters_that_are_text_leave_their_pair_out(tmp_path):
    for name in ("x", "y", "riff_dry", "riff_wet"):
        write(tmp_path / f"src/{name}.wav", hit(seconds=1.0, noise=0.3))
    (tmp_path / "src/manifest.csv").write_text("dry,wet,parameters\nx.wav,y.wav,gain 3\n")
    left_out = prepare("drive", tmp_path / "src", tmp_path / "out").left_out
    assert "gain 3" in next(one["reason"] for one in left_out if one["file"] == "y.wav")


def test_a_manifest_that_is_not_used_is_a_finding(tmp_path):
    source = kits(tmp_path / "src")
    (source / "info.csv").write_text("path,class\nnotes.txt,snare\n")
    (source / "manifest.csv").write_text("path,class\nother.mid,snare\n")
    remarks = Drums(source, tmp_path / "out", Drums.options_type()).source.remarks
    assert remarks[0].startswith("info.csv was not read, since manifest.csv is there")
    assert remarks[1].startswith("manifest.csv says something of 1 files, but of none")
    prepare("drum", source, tmp_path / "out")
    assert "info.csv was not read" in (tmp_path / "out/report.html").read_text()
