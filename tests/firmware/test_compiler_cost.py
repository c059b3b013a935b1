"""The compiler's prices are those of the emulated Cortex-M7."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from bench.fit_costs import block_shape
from common.files import read_json
from firmware.compiler import budget
from firmware.compiler.ops import Work
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.plan.cost import BLOCKS, COPY_WORDS, FEW, TURN_UNITS, blocks, cost_model, short_blocks
from firmware.compiler.plan.schedule import clamp_work
from firmware.kernelgen.assembly import UNITS
from tests.firmware.compiler_graphs import quantized, random_graph

ENDPOINTS = ("Input", "Output")
KERNELS = Path(__file__).resolve().parents[2] / "bench" / "results" / "kernels.json"


def test_convolutions_cost_what_the_emulator_counted():
    model = cost_model("cortex-m7")
    off = []
    for row in read_json(KERNELS)["rows"]:
        name = row["kernel"].removeprefix("vk_")
        if name in BLOCKS and row["region"] == "dtcm":
            runs, run, channels, frames = block_shape(row["shape"], short=name.endswith("_short"))
            work = Work(name, shape=(runs, run, channels, 1), calls=0)
            alone = model.cycles(work, frames) + model.blocked[name]["call"]
            off.append(abs(alone / row["cycles"] - 1))
    assert len(off) > 100
    assert max(off) < 0.08
    assert np.mean(off) < 0.02


@pytest.mark.parametrize(
    ("channels", "frames", "three", "two", "one"),
    [(8, 1, 0, 0, 2), (8, 2, 0, 4, 0), (8, 5, 4, 4, 0), (8, 7, 4, 8, 0), (16, 7, 16, 0, 4), (8, 6, 8, 0, 0)],
)
def test_blocks_are_cut_as_the_kernel_cuts_them(channels, frames, three, two, one):
    """One run of 20 numbers: three frames at a time, and those that are left; of few channels two and two."""
    found = blocks(1, 20, channels, frames)
    assert (found["three_block"], found["two_block"], found["one_block"]) == (three, two, one)
    assert found["join"] == 0


def test_the_limits_of_copies_are_those_of_the_kernel():
    source = (KERNELS.parents[2] / "firmware/engine/kernels/conv_w8a16_m7.c").read_text()
    assert f"COPY_WORDS {COPY_WORDS}u" in source
    assert f"TURN_UNITS {TURN_UNITS}u" in source
    assert TURN_UNITS == UNITS
    assert f"FEW {FEW}u" in source
    # dilated windows of 600 numbers: too long for three frames, and copied for two
    found = blocks(3, 200, 2, 3)
    assert (found["three_block"], found["two_call"], found["join"]) == (0, 2, 3)


def test_short_layers_are_counted_by_fours_of_frames():
    found = short_blocks(3, 16, 5, 7)
    assert (found["four_pair"], found["four_step"], found["one_pair"]) == (3, 72, 9)


def test_half_a_firing_costs_between_none_and_one():
    model = cost_model("cortex-m7")
    work = Work("conv_w8a16", shape=(3, 16, 16, 1))
    one, two = model.cycles(work, 1), model.cycles(work, 2)
    assert model.cycles(work, 1.5) == pytest.approx((one + two) / 2)
    assert 0 < model.cycles(work, 0.5) < one


def test_a_clamp_behind_an_operator_is_priced():
    graph = compile_onnx(quantized(random_graph(3, 9, batch_norm=False)[1], "uint8")).graph
    narrow = [n for n in graph.nodes if n.op == "Conv" and graph.tensors[n.outputs[0]].quant]
    assert narrow
    assert all(clamp_work(n, graph) is not None for n in narrow)  # 0..255 less the zero point, kept in int16


@pytest.mark.parametrize("model", ["drum", "drive", "rhythm"])
def test_every_layer_says_which_tensor_of_the_file_it_makes(model):
    path = Path(__file__).resolve().parents[2] / "firmware" / "models" / f"{model}.int8.onnx"
    names = {name for node in onnx.load(str(path)).graph.node for name in node.output}
    layers = [layer for layer in budget(str(path), board="patch_sm").layers if layer["op"] not in ENDPOINTS]
    assert layers and all(layer["origin"] in names for layer in layers)


@pytest.mark.parametrize("kind", ["lstm", "gru", "gru_before"])
def test_recurrent_layers_cost_what_the_emulator_counted(kind):
    model = cost_model("cortex-m7")
    rows = [row for row in read_json(KERNELS)["rows"] if row["kernel"] == f"vk_{kind}_s16"]
    assert len(rows) > 6
    for row in rows:
        call, _, output, mac = model.table[f"{kind}_s16"]
        assert call + output * row["outputs"] + mac * row["priced_macs"] == pytest.approx(
            row["cycles"], rel=0.08
        )
