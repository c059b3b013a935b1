"""Instrument files: what is wrong is said with line and field; what is right becomes the tables it says."""

from __future__ import annotations

import numpy as np
import onnx
import pytest

from common import model_metadata
from common.reading.toml_source import key_lines
from common.refusal import Refusal
from firmware.instruments import kinds
from firmware.instruments.assign import assign
from firmware.instruments.spec import available_instruments, find_models, load_instrument
from hardware.board import available_boards, load_board

pytestmark = pytest.mark.fast

DRUM = """\
title = "Test"
kind = "drum"

[models]
drum = "drum.onnx"

[[control]]
to = "latent.1"
knob = "knob_1"
cv = "cv_1"
attenuverter = 0.5

[[control]]
to = "decay"
knob = "knob_2"

[[gate]]
to = "trigger"
jack = "gate_in_1"

[[output]]
jack = "audio_out_1"
from = "mix"
"""


def write(tmp_path, text):
    path = tmp_path / "test.toml"
    path.write_text(text)
    return path


def assigned(path, models, board="host"):
    loaded = load_instrument(path)
    return assign(loaded, find_models(loaded, {r: models[r] for r in loaded.spec.models}), load_board(board))


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ('kind = "drum"', 'kind = "drun"', 2, ["kind", "drun"]),
        ("knob_1", "nob_1", 9, ["control.1.knob", "knob_N"]),
        ("attenuverter = 0.5", "attenuverter = 2", 11, ["attenuverter", "between -1 and 1"]),
        ("attenuverter = 0.5", "atenuverter = 0.5", 11, ["atenuverter", "no such field"]),
        ('knob = "knob_2"', 'law = "cubic"', 15, ["control.2.law", "cubic"]),
        ('knob = "knob_2"', "volts = [5, -5]", 15, ["volts", "lowest and the highest"]),
        ("latent.1", "latent.9", 8, ["control.1.to", "latent.9", "8 latents"]),
        ('to = "trigger"', 'to = "trigge"', 18, ["gate.1.to", "trigger"]),
        ('from = "mix"', 'from = "left"', 23, ["output.1.from", "mix"]),
        ("audio_out_1", "audio_1", 22, ["jack", "audio_out_N"]),
        ('drum = "drum.onnx"', 'drun = "drum.onnx"', 4, ["[models] drum"]),
        ('drum = "drum.onnx"', 'drum = "other.onnx"', 5, ["models.drum", "there is no model 'other.onnx'"]),
        ('title = "Test"', "title = Test", 0, ["not valid TOML", "line 1"]),
    ],
)
def test_a_bad_file_is_refused_with_line_and_field(old, new, line, words, tmp_path, model_files):
    path = write(tmp_path, DRUM.replace(old, new, 1))
    (tmp_path / "drum.onnx").write_bytes(model_files["drum"].read_bytes())
    with pytest.raises(Refusal) as refusal:
        loaded = load_instrument(path)
        assign(loaded, find_models(loaded), load_board("host"))
    said = str(refusal.value)
    assert "\n" not in said
    for word in [*words, *([f"line {line}:"] if line else [])]:
        assert word in said, said


def test_a_model_of_another_kind_is_refused(tmp_path, model_files):
    loaded = load_instrument(write(tmp_path, DRUM))
    with pytest.raises(Refusal, match=r"line 5: models.drum: rhythm.onnx is a rhythm model"):
        find_models(loaded, {"drum": model_files["rhythm"]})


def test_what_is_not_a_model_is_refused(tmp_path, model_files):
    loaded = load_instrument(write(tmp_path, DRUM))
    junk = tmp_path / "junk.onnx"
    for content in (b"", b"not onnx", model_files["drum"].read_bytes()[:200]):
        junk.write_bytes(content)
        with pytest.raises(Refusal):
            find_models(loaded, {"drum": junk})


@pytest.mark.parametrize("name", available_instruments())
@pytest.mark.parametrize("board", available_boards())
def test_every_instrument_lies_on_every_board(name, board, model_files, tmp_path):
    assignment = assigned(load_instrument(name).located.path, model_files, board)
    assert len(assignment.parameters) <= 64
    for parameter in assignment.parameters:
        assert 0.0 <= parameter.rest <= 1.0
        assert np.isfinite(parameter.table).all()
        assert -1 <= parameter.knob < len(assignment.board.adcs)


def test_controls_become_table_rows(tmp_path, model_files):
    assignment = assigned(write(tmp_path, DRUM), model_files)
    names = [adc.name for adc in assignment.board.adcs]
    row = assignment.parameters[assignment.index["latent.1"]]
    assert (names[row.knob], names[row.cv]) == ("knob_1", "cv_1")
    assert row.attenuverter == 0.5
    assert row.travel_per_volt == pytest.approx(0.1)
    assert np.interp(row.rest, np.linspace(0, 1, 33), row.table) == pytest.approx(0.0, abs=1e-6)
    assert assignment.index["latent.2"] >= 0  # without a control it can still be set remotely


def with_latents(source, path, count, **changes):
    """A copy of a model file that describes so many latents, each like the source's first but for changes."""
    model = onnx.load(str(source))
    row = model_metadata.read(model).latents[0].model_dump()
    entry = model_metadata.read(model).input_with("latent").model_dump()
    others = [one.model_dump() for one in model_metadata.read(model).inputs if one.role != "latent"]
    channels = [f"z{number}" for number in range(1, count + 1)]
    inputs = [{**entry, "channels": channels}, *others]
    model_metadata.write(model, {"latents": [{**row, **changes}] * count, "inputs": inputs})
    model.graph.input[0].type.tensor_type.shape.dim[1].dim_value = count
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize("rest", [None, 0.7])
def test_a_latent_that_nobody_moves_stays_where_the_model_says_that_it_rests(rest, tmp_path, model_files):
    model = with_latents(model_files["rhythm"], tmp_path / "rests.onnx", 4, mean=0.1, rest=rest)
    assignment = assigned(load_instrument("rhythm").located.path, {"rhythm": model})
    tone, wanted = assignment.tones["rhythm"], rest or 0.1
    assert tone.latent_rest == [wanted] * 4
    assert tone.plane is None
    unmoved = assignment.parameters[tone.latent[3]]
    travel = np.linspace(0, 1, len(unmoved.table))
    assert np.interp(unmoved.rest, travel, unmoved.table) == pytest.approx(wanted, abs=1e-6)


@pytest.mark.parametrize(("rest", "control", "mapped"), [(None, "", 1), (0.7, "", 0), (0.7, "x", 1)])
def test_the_map_places_latents_unless_the_model_rests_elsewhere(
    rest, control, mapped, tmp_path, model_files
):
    path = with_latents(model_files["rhythm"], tmp_path / "map.onnx", 4, rest=rest)
    model = onnx.load(str(path))
    model_metadata.write(model, {"map": {"size": 2, "grid": [[[0.0] * 4] * 2] * 2}})
    onnx.save(model, str(path))
    text = load_instrument("rhythm").located.path.read_text()
    if control:
        text += f'\n[[control]]\nto = "{control}"\ncv = "cv_8"\n'
    tone = assigned(write(tmp_path, text), {"rhythm": path}).tones["rhythm"]
    assert (tone.plane is not None) == bool(mapped)


def test_a_pattern_of_many_latents_shows_the_first_eight_and_those_that_are_moved(tmp_path, model_files):
    text = load_instrument("rhythm").located.path.read_text().replace('"latent.2"', '"latent.11"')
    models = {"rhythm": with_latents(model_files["rhythm"], tmp_path / "many.onnx", 12)}
    tone = assigned(write(tmp_path, text), models).tones["rhythm"]
    assert [number for number, at in enumerate(tone.latent, 1) if at >= 0] == [1, 2, 3, 4, 5, 6, 7, 8, 11]
    assert len(tone.latent) == len(tone.latent_rest) == 12


def test_a_range_covers_part_of_the_travel_and_may_be_reversed(tmp_path, model_files):
    text = DRUM.replace("attenuverter = 0.5", "range = [0.75, 0.25]")
    row = (assignment := assigned(write(tmp_path, text), model_files)).parameters[
        assignment.index["latent.1"]
    ]
    assert row.table[0] > 0 > row.table[-1]


def test_lines_of_lists_and_dotted_keys_are_found():
    lines = key_lines('a = 1\n[b]\nc.d = 2\n[[e]]\nf = 1\n[[e]]\n"f" = 2\n[e.g]\nh = 3\n')
    assert lines[("b", "c", "d")] == 3
    assert lines[("e", 1, "f")] == 7
    assert lines[("e", 1, "g", "h")] == 9


def test_the_memory_set_aside_for_the_engine_is_enough(tmp_path):
    from firmware import toolchain
    from firmware.estimate import PANEL_BYTES

    lines = ['#include "control/panel.h"', f'_Static_assert(sizeof(Panel) <= {PANEL_BYTES}, "Panel");']
    for kind in map(kinds.named, kinds.names()):
        lines.append(f'#include "instruments/{kind.name}.h"')
        lines.append(f'_Static_assert(sizeof({kind.struct}) <= {kind.struct_bytes}, "{kind.name}");')
        lines.append(
            f"_Static_assert(sizeof({kind.struct}) > {kind.struct_bytes // 2}, "
            f'"{kind.name} is set aside too much");'
        )
    source = tmp_path / "sizes.c"
    source.write_text("\n".join(lines) + "\n")
    toolchain.compile_source(source, "m7")


@pytest.mark.parametrize("name", available_instruments())
def test_every_control_gate_and_output_says_what_it_does_to_the_sound(name):
    spec = load_instrument(name).spec
    rows = [*spec.control, *spec.gate, *spec.output]
    silent = [row for row in rows if not (row.words.endswith(".") and 2 <= len(row.words.split()) <= 25)]
    assert not silent, f"{name}.toml: write words = … at {silent}"


@pytest.mark.parametrize("name", available_instruments())
def test_every_parameter_says_what_it_does_to_the_sound(name, model_files):
    assignment = assigned(load_instrument(name).located.path, model_files)
    kind = kinds.named(assignment.kind)
    silent = [one for one in assignment.index if not kind.words_of(assignment, one).strip()]
    moved = {control.to for control in assignment.loaded.spec.control}
    groups = tuple(f"{group}." for group in kind.groups if group in moved)
    silent = [one for one in silent if one not in moved and not one.startswith(groups or "-")]
    assert not silent, f"{assignment.kind}: say in kinds/{assignment.kind}.py what these do: {silent}"
