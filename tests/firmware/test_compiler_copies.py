"""Tables of which instances have copies: what is copied, what stays, and that nothing else changes."""

from __future__ import annotations

import re

import pytest

from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.write.writer import PARAMETERS
from hardware.board import load_board


def board_for(name, instances=True):
    """A board as `firmware.build` hands it over."""
    return load_board(name).model_copy(update={"for_instances": instances})


def copied(program, region):
    """Names of the tables in a region's struct."""
    struct = re.search(rf"typedef struct net_{region} {{\n(.*?)}} net_{region};", program.header, re.DOTALL)
    return re.findall(r"(\w+)\[\d+\];", struct[1]) if struct else []


@pytest.mark.parametrize("kind", ["drum", "drive"])
def test_tables_are_copied_to_where_the_plan_wants_them(kind, model_files):
    board = board_for("disting_nt")
    program = compile_onnx(model_files[kind], "m7", board, 24, "net")
    assert program.copies
    tensors = {t["name"]: t for t in program.report["tensors"]}
    found = {name: region for region in program.copies for name in copied(program, region)}
    assert found
    for name, region in found.items():
        assert tensors[name]["region"] == region
    missed = set(tensors) - set(found) - {"state", PARAMETERS}
    assert all(not board.region(tensors[name]["region"]).copies for name in missed)
    for name in found:
        assert f"#define {name} (s->in_{found[name]}->{name})" in program.source
        assert not re.search(rf"^_Alignas\(8\) static const \w+ {name}\[", program.source, re.MULTILINE)


def test_what_only_events_read_leaves_tightly_coupled_memory_to_others(model_files):
    board = board_for("disting_nt")
    drum = compile_onnx(model_files["drum"], "m7", board, 24, "net")
    drive = compile_onnx(model_files["drive"], "m7", board, 24, "net")
    assert drum.copies == ("axi",)
    assert "dtcm" in drive.copies


@pytest.mark.parametrize(("board", "instances"), [("disting_nt", False), ("patch_sm", True)])
def test_nothing_is_copied_where_a_linker_places_tables(board, instances, model_files):
    program = compile_onnx(model_files["drum"], "m7", board_for(board, instances), 24, "net")
    without_slots = load_board(board).model_copy(update={"storage_bytes": 0})
    plain = compile_onnx(model_files["drum"], "m7", without_slots, 24, "net")
    assert not program.copies and (program.header, program.source) == (plain.header, plain.source)
