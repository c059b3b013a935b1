"""A kind of instrument is one Python file, one C pair, one TOML; nobody else names it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.spec import available_instruments, find_models, load_instrument

pytestmark = pytest.mark.fast

ROOT = Path(__file__).resolve().parents[2]
C = ROOT / "firmware" / "engine" / "instruments"

GROOVE = """\
title = "Test"
kind = "groove"

[models]
rhythm = "rhythm.onnx"
drum = "drum.onnx"

[[part]]
name = "kick"
plays = ["kick"]

[[part]]
name = "tom"
plays = ["tom_low"]
chokes = ["kick"]
"""


@pytest.mark.parametrize("name", kinds.names())
def test_a_kind_is_a_python_file_a_c_pair_and_a_toml(name):
    kind = kinds.named(name)
    assert kind.name == name
    assert (C / f"{name}.h").is_file()
    for source in (name, *kind.engine):
        assert (C / f"{source}.c").is_file(), source
    assert any(load_instrument(toml).spec.kind == name for toml in available_instruments())


@pytest.mark.parametrize("name", kinds.names())
def test_gates_and_sources_are_in_the_order_of_the_header(name):
    """What the C counts, it counts as the Python file lists it."""
    kind = kinds.named(name)
    header = (C / f"{name}.h").read_text()
    if not (own := re.search(rf"enum \{{\s+{name.upper()}_\w+ = 0[^}}]*\}}", header)):
        pytest.skip("its header has no gates of its own")
    gates = re.findall(rf"{name.upper()}_(\w+)", own[0])
    assert [gate.lower() for gate in gates] == [*kind.gates, "gates"]
    first = {
        "RHYTHM_VOICES": sum(source.startswith("velocity.") for source in kind.cv_sources),
        "0": 0,
        "TEXTURE_TOLD": 32,
    }
    for enum in re.findall(rf"enum \{{ {name.upper()}_OUT_[^}}]*\}}", header):
        at = first[re.search(r"= (\w+)", enum)[1]]
        listed = [word.lower() for word in re.findall(r"_OUT_(\w+)", enum)]
        assert any(
            list(sources[at:]) == listed
            for sources in (kind.gate_sources, kind.cv_sources, kind.audio_sources)
        ), enum


def written(tmp_path, text):
    path = tmp_path / "test.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('kind = "groove"', "", 1, ["kind", "say which kind it is", "drum"]),
        ('kind = "groove"', "kind = 3", 2, ["kind", "no kind of instrument 3", "drive"]),
        ('kind = "groove"', 'kind = "base"', 2, ["no kind of instrument 'base'"]),
        ("[[part]]", "[[voice]]", 8, ["voice", "[[part]]"]),
        ('plays = ["tom_low"]', 'plays = ["tom"]', 14, ["part.2.plays", "no part 'tom'", "tom_low"]),
        ('chokes = ["kick"]', 'chokes = ["hat"]', 1, ["'tom'", "'hat'", "no part here"]),
        ('name = "tom"', 'name = "kick"', 1, ["two parts have the same name"]),
        ("[models]", "[options]\nvoices = 2\n[models]", 4, ["options", "no such field"]),
        ('drum = "drum.onnx"', 'drive = "drum.onnx"', 4, ["a groove needs [models] drum"]),
        ('drum = "drum.onnx"', 'drum = "drum.onnx"\near = "a.onnx"', 7, ["rhythm and drum", "'ear'"]),
    ],
)
def test_a_wrong_table_of_a_kind_is_refused_with_its_line(old, new, line, words, tmp_path):
    with pytest.raises(Refusal) as refusal:
        load_instrument(written(tmp_path, GROOVE.replace(old, new, 1)))
    for word in [f"line {line}:", *words]:
        assert word in str(refusal.value), refusal.value


def test_a_groove_without_parts_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"lists its drums as \[\[part\]\]"):
        load_instrument(written(tmp_path, GROOVE[: GROOVE.index("[[part]]")]))


def test_a_role_that_may_be_absent_is_left_out_or_given(tmp_path, model_files, monkeypatch):
    kind = kinds.named("groove")
    rhythm, drum = kind.roles
    monkeypatch.setattr(drum, "required", False)
    loaded = load_instrument(written(tmp_path, GROOVE.replace('drum = "drum.onnx"', "", 1)))
    given = {"rhythm": model_files["rhythm"]}
    assert list(find_models(loaded, given)) == ["rhythm"]
    assert list(find_models(loaded, {**given, "drum": model_files["drum"]})) == ["rhythm", "drum"]
    assert rhythm.required
