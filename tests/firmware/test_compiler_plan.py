"""Schedule and memory plan: what the compiler promises before anything runs."""

from __future__ import annotations

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware import toolchain
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.plan.memory import liveness_arena
from firmware.compiler.write import stream_program
from tests.firmware.compiler_graphs import decoder, event_model, quantized, random_graph


def test_slow_layers_are_spread_so_that_every_callback_costs_about_the_same():
    flat = compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True).report
    eager = compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True, schedule="eager").report
    assert flat["cycles_per_callback"]["worst_over_mean"] <= 1.15
    assert eager["cycles_per_callback"]["worst_over_mean"] > 3
    assert eager["latency_samples"] == 0
    assert 0 < flat["latency_samples"] <= 2 * 2048 + 1024


@pytest.mark.parametrize("block", [24, 48, 64, 100])
def test_hops_that_do_not_divide_the_block_stay_flat(block):
    report = compile_onnx(decoder(), "m7", "patch_sm", block, as_if_quantized=True).report
    assert report["cycles_per_callback"]["worst_over_mean"] <= 1.3


def test_two_firings_in_one_cost_less_and_come_no_callback_later(monkeypatch):
    def planned():
        return compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True)

    paired = planned()
    monkeypatch.setattr(stream_program, "in_pairs", lambda graph, block, sliced: sliced)
    single = planned()
    assert {(c.period, c.firings) for c in paired.plan.clocks} > {(64, 2)}
    assert all(clock.firings == 1 for clock in single.plan.clocks)
    assert paired.report["cpu_mean"] < 0.97 * single.report["cpu_mean"]
    assert 0 < paired.report["latency_samples"] - single.report["latency_samples"] <= 48


def test_a_look_ahead_that_would_wait_longer_keeps_firings_apart():
    """Layers that read the next frame would wait for twice as many samples, each of them."""

    def firings(pads):
        made = decoder(hops=(4, 2), width=64)
        for node in made.graph.node:
            if node.op_type == "Conv":
                node.attribute[0].ints[:] = pads
        plan = compile_onnx(made, "m7", "patch_sm", as_if_quantized=True).plan
        return {(clock.period, clock.firings) for clock in plan.clocks if clock.sliced}

    assert firings([2, 0]) == {(128, 1), (64, 2)}
    assert firings([1, 1]) == {(128, 1), (32, 1)}


def test_every_tensor_has_a_region_bytes_traffic_and_a_reason():
    report = compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True).report
    assert {t["region"] for t in report["tensors"]} <= {"dtcm", "axi", "d2", "sdram"}
    assert all(t["bytes"] > 0 and t["why"] for t in report["tensors"])
    hot = [t for t in report["tensors"] if t["region"] == "dtcm"]
    cold = [t for t in report["tensors"] if t["region"] == "axi"]
    if hot and cold:
        density = [t["bytes_per_second"] / t["bytes"] for t in hot[1:]]
        assert min(density, default=np.inf) >= 0
    used = {r: sum(t["bytes"] for t in report["tensors"] if t["region"] == r) for r in report["regions"]}
    assert used == {r: v["used"] for r, v in report["regions"].items()}


@settings(max_examples=30)
@given(
    st.lists(st.tuples(st.integers(0, 20), st.integers(0, 10), st.integers(1, 500)), min_size=1, max_size=30)
)
def test_buffers_alive_together_never_overlap(lives):
    intervals = [(str(i), first, first + length, size) for i, (first, length, size) in enumerate(lives)]
    offsets, total = liveness_arena(intervals)
    for i, (name, first, last, size) in enumerate(intervals):
        assert offsets[name] + size <= total
        for other, begin, end, length in intervals[:i]:
            if first <= end and begin <= last:
                assert offsets[name] + size <= offsets[other] or offsets[other] + length <= offsets[name]


def test_event_steps_stay_within_their_share_of_a_callback():
    """Steps of a pattern decoder are small, and their sizes change nothing."""
    model = event_model()
    report = compile_onnx(model, "m7", "patch_sm", as_if_quantized=True).report
    assert report["event"]
    assert report["cpu_worst"] < 0.02
    program = compile_onnx(model, as_if_quantized=True)
    z = np.random.default_rng(2).uniform(-1, 1, (8, 1)).astype(np.float32)
    truth = run(program.graph, {"z": z})["pattern"]
    compiled = load_host(program)
    for budget_cycles in (1, 900, 1 << 30):
        np.testing.assert_array_equal(
            compiled.evaluate({"z": z}, budget_cycles)["pattern"], truth.astype(np.float32)
        )


def sections(data: bytes) -> list[tuple[str, int, int]]:
    """Name, bytes and alignment of the sections with contents of a 32-bit little-endian ELF object."""
    (at,) = struct.unpack_from("<I", data, 32)
    size, count, names = struct.unpack_from("<HHH", data, 46)
    rows = [struct.unpack_from("<IIIIIIIIII", data, at + i * size) for i in range(count)]
    strings = rows[names][4]
    found = []
    for row in rows:
        if row[2] & 2:  # SHF_ALLOC
            name = data[strings + row[0] : data.index(b"\0", strings + row[0])].decode()
            found.append((name, row[5], row[8]))
    return found


@pytest.mark.parametrize(
    ("model", "block"),
    [
        (decoder, 48),  # float, sliced clocks
        (lambda: quantized(random_graph(5, 9, True, batch_norm=False)[1], "int16"), 48),
        (lambda: quantized(random_graph(8, 9, False, batch_norm=False)[1], "int8"), 16),
        (event_model, 48),
    ],
)
def test_the_plan_counts_what_the_object_places(model, block):
    program = compile_onnx(model(), "m7", "patch_sm", block)
    folder = toolchain.cache_dir() / "models" / f"plan_{program.name}"
    program.write(folder)
    placed: dict[str, int] = {}
    for name, size, align in sections(
        toolchain.compile_source(folder / f"{program.name}.c", "m7").read_bytes()
    ):
        region = name.split(".")[1]
        if region in program.report["regions"]:
            assert align <= 8
            placed[region] = placed.get(region, 0) + -(-size // align) * align
        elif size:  # no constant lies where the plan has not put it
            of_slots = f".rodata.{program.name}_part"  # read where a model is sent, never while one plays
            assert region in ("text", "ARM") or name.startswith(of_slots), name
    state = program.report["tensors"][0]
    assert state["name"] == "state"
    placed[state["region"]] = placed.get(state["region"], 0) + state["bytes"]
    for region, planned in program.report["regions"].items():
        assert 0 <= planned["used"] - placed.get(region, 0) <= 64, region  # gaps in front of tables
    host = compile_onnx(model(), "host", "patch_sm", block)
    assert load_host(host).state_bytes == state["bytes"]
