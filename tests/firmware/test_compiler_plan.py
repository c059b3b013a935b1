"""Schedule, memory plan, proofs and arithmetic: what the compiler promises before anything runs."""

from __future__ import annotations

import json
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from common.refusal import DoesNotFit, Refusal
from firmware import toolchain
from firmware.compiler import budget
from firmware.compiler.binding import load_host
from firmware.compiler.graph import Quant
from firmware.compiler.judge import arithmetic
from firmware.compiler.judge.reference import run
from firmware.compiler.ops import FAMILIES
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.plan.memory import liveness_arena
from hardware.board import load_board
from tests.firmware.compiler_graphs import quantized, random_graph


def decoder(hops: tuple[int, ...] = (4, 4, 4, 2), latents: int = 32, width: int = 128, bands: int = 16):
    """A slow-rate decoder: latents upsampled by ``hops`` with a residual layer each, ending in subbands."""
    rng = np.random.default_rng(0)
    nodes, constants, channels, name = [], [], latents, "z"

    def weights(*shape: int) -> str:
        constants.append(
            numpy_helper.from_array(
                (rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))).astype(np.float32),
                f"w{len(constants)}",
            )
        )
        return constants[-1].name

    for level, hop in enumerate(hops):
        out = max(bands, width >> level)
        nodes.append(
            helper.make_node(
                "ConvTranspose",
                [name, weights(channels, out, 2 * hop)],
                [f"u{level}"],
                strides=[hop],
                pads=[0, hop],
            )
        )
        nodes.append(helper.make_node("LeakyRelu", [f"u{level}"], [f"a{level}"], alpha=0.2))
        nodes.append(
            helper.make_node("Conv", [f"a{level}", weights(out, out, 3)], [f"c{level}"], pads=[2, 0])
        )
        nodes.append(helper.make_node("Add", [f"u{level}", f"c{level}"], [f"r{level}"]))
        name, channels = f"r{level}", out
    graph = helper.make_graph(
        nodes,
        "decoder",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, latents, "frames"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, "t"])],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    total = int(np.prod(hops)) * bands
    entry = model.metadata_props.add()
    entry.key, entry.value = "vaectrol.inputs", json.dumps([{"name": "z", "rate": f"1/{total}"}])
    return model


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


def test_a_model_too_large_for_a_board_is_told_apart_and_still_budgeted():
    board = load_board("patch_sm")
    memory = tuple(region.model_copy(update={"reserved_bytes": region.bytes}) for region in board.memory)
    full = board.model_copy(update={"memory": memory})
    with pytest.raises(DoesNotFit, match=f"the model does not fit {board.title}: .* too many"):
        compile_onnx(decoder(), "m7", full, as_if_quantized=True)
    found = budget(decoder(), full)
    assert not found.fits and "does not fit" in found.reasons[0]
    assert found.cpu_worst > 0


@settings(max_examples=30, deadline=None)
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


def test_the_overflow_proof_holds_at_the_extremes_and_splits_where_it_fails():
    """Weights of one sign against extreme inputs reach the bound; past 2^31 the sum gets 64 bits."""
    family = FAMILIES["Conv"]
    for taps, wide in ((16, False), (600, True)):
        from firmware.compiler.graph import Constant, Node
        from firmware.compiler.ops.conv import ConvAttributes

        weight = Constant(np.full((1, 1, taps), 127, np.int64), np.array([0.01]), 0)
        attrs = ConvAttributes(before=taps - 1, padded=taps - 1)
        node = Node("c", "Conv", ("x",), ("y",), attrs, {"weight": weight})
        x, y = Quant(1e-4, "int16", -32768, 32767), Quant(1.0, "int16", -32768, 32767)
        made = family.integer(node, [x], y, [1])
        assert made is not None
        assert made.attrs.sums.wide is wide
        assert int(made.attrs.sums.bound[0]) == 127 * taps * 32768


def test_a_wide_accumulator_gives_the_judges_integers_in_c():
    from firmware.compiler.binding import load_host

    rng = np.random.default_rng(0)
    weight = np.full((2, 3, 300), 127, np.int8)
    weight[1] = rng.integers(-127, 128, (3, 300))
    parts = {
        "sx": np.float32(1 / 32767),
        "zx": np.int16(0),
        "w": weight,
        "sw": np.full(2, 0.001, np.float32),
        "zw": np.zeros(2, np.int8),
        "sy": np.float32(0.004),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=0),
        helper.make_node("Conv", ["xd", "wd"], ["c"], pads=[299, 0]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zx"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "wide",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "frames"])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in parts.items()],
    )
    program = compile_onnx(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    assert program.report["overflow_proofs"][0]["accumulator_bits"] == 64
    x = np.sign(rng.normal(size=(3, 700))).astype(np.float32)
    x[:, 300:] = 1.0
    np.testing.assert_array_equal(
        load_host(program).process({"x": x})["y"], run(program.graph, {"x": x})["y"]
    )


def test_a_transposed_convolution_is_bounded_phase_by_phase():
    """256 inputs, 8 taps of 127 pass 2^31, but with stride 4 only two taps ever meet: 32 bits hold."""
    from firmware.compiler.binding import load_host

    weight = np.full((256, 2, 8), 127, np.int8)
    weight[:, 1] = np.random.default_rng(3).integers(-127, 128, (256, 8))
    parts = {
        "sx": np.float32(1 / 32767),
        "zx": np.int16(0),
        "w": weight,
        "sw": np.full(2, 0.001, np.float32),
        "zw": np.zeros(2, np.int8),
        "sy": np.float32(0.004),
    }
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"], axis=1),
        helper.make_node("ConvTranspose", ["xd", "wd"], ["c"], strides=[4], pads=[0, 4]),
        helper.make_node("QuantizeLinear", ["c", "sy", "zx"], ["cq"]),
        helper.make_node("DequantizeLinear", ["cq", "sy", "zx"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "phases",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 256, "frames"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "longer"])],
        [numpy_helper.from_array(np.asarray(v), k) for k, v in parts.items()],
    )
    program = compile_onnx(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    )
    (proof,) = program.report["overflow_proofs"]
    assert proof["accumulator_bits"] == 32
    assert len(proof["per_channel"]) == 8
    assert proof["largest_sum"] == 256 * 2 * 127 * 32768
    assert "conv_w8a16_wide" not in program.source
    x = np.where(np.random.default_rng(4).random((256, 40)) < 0.5, -1.1, 1.1).astype(np.float32)
    x[:, 20:25] = -1.1
    judged = run(program.graph, {"x": x})["y"]
    np.testing.assert_array_equal(load_host(program).process({"x": x})["y"], judged)
    assert judged[0].min() < -65.0  # two taps of all inputs at full scale: the bound is met


@settings(max_examples=200, deadline=None)
@given(
    acc=st.integers(-(2**31) + 1, 2**31 - 1),
    factor=st.floats(1e-9, 0.49),
)
def test_requantization_is_a_single_rounding(acc, factor):
    chosen = arithmetic.requantize_multiplier(np.array([factor]), 2**31 - 1)
    y = int(arithmetic.requantize(np.array([acc]), chosen.multiplier, chosen.shift, -(2**40), 2**40)[0])
    exact = acc * int(chosen.multiplier[0])
    assert y == (exact + 2**31) >> 32
    assert abs(y - acc * factor) <= 0.5 + abs(acc) * 2.0**-33 + 1e-6


@settings(max_examples=200, deadline=None)
@given(
    st.floats(1e-4, 100.0), st.floats(-100.0, 100.0), st.integers(-32768, 32767), st.integers(-32768, 32767)
)
def test_a_residual_add_never_overflows_and_rounds_once(fa, fb, a, b):
    chosen = arithmetic.blend_multipliers((fa, fb), (32768, 32768))
    total = a * chosen.multipliers[0] + b * chosen.multipliers[1] + (1 << chosen.shift >> 1)
    assert -(2**31) <= total < 2**31
    y = int(arithmetic.blend((np.array(a), np.array(b)), chosen, -(2**40), 2**40))
    error = abs(y - (a * fa + b * fb))
    assert error <= 0.5 + 2.0 ** (-chosen.shift - 1) * (abs(a) + abs(b)) + 1e-6


def test_a_float_model_is_budgeted_as_if_quantized_and_nearly_like_its_int8_file():
    _, builder = random_graph(4, batch_norm=False)
    as_float, as_int = budget(builder.model()), budget(quantized(builder, "int16"))
    assert as_float.fits
    assert as_float.parameters == as_int.parameters
    assert as_float.macs_per_sample == pytest.approx(as_int.macs_per_sample)
    assert as_float.cycles_per_second == pytest.approx(as_int.cycles_per_second, rel=0.25)


def test_the_same_model_compiles_to_the_same_text():
    first, second = (compile_onnx(decoder(), "m7", "patch_sm", as_if_quantized=True) for _ in range(2))
    assert (first.source, first.header) == (second.source, second.header)


def test_an_unknown_target_and_an_absurd_block_are_refused():
    with pytest.raises(Refusal, match="choose host"):
        compile_onnx(decoder(), "z80")
    with pytest.raises(Refusal, match="block"):
        compile_onnx(decoder(), block=1 << 20)


def event_model():
    """A pattern decoder."""
    rng = np.random.default_rng(1)
    parts = {
        "w0": rng.normal(size=(256, 8)).astype(np.float32) * 0.3,
        "shape": np.array([1, 32, 8]),
        "w1": rng.normal(size=(32, 48, 4)).astype(np.float32) * 0.2,
        "w2": rng.normal(size=(27, 48, 3)).astype(np.float32) * 0.2,
    }
    nodes = [
        helper.make_node("Gemm", ["z", "w0"], ["h"], transB=1),
        helper.make_node("Reshape", ["h", "shape"], ["r"]),
        helper.make_node("ConvTranspose", ["r", "w1"], ["u"], strides=[4]),
        helper.make_node("LeakyRelu", ["u"], ["a"], alpha=0.1),
        helper.make_node("Conv", ["a", "w2"], ["c"], pads=[1, 1]),
        helper.make_node("Sigmoid", ["c"], ["pattern"]),
    ]
    graph = helper.make_graph(
        nodes,
        "pattern",
        [helper.make_tensor_value_info("z", TensorProto.FLOAT, [1, 8])],
        [helper.make_tensor_value_info("pattern", TensorProto.FLOAT, [1, 27, 32])],
        [numpy_helper.from_array(v, k) for k, v in parts.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


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


@pytest.mark.parametrize("schedule", ["flat", "eager"])
def test_the_stack_bound_covers_what_the_emulated_m7_uses(schedule):
    """The bound holds over what a run touches, and is near enough to say something."""
    pytest.importorskip("unicorn", reason="needs the unicorn emulator")
    from bench.m7.model import MARK_DEFINITION, EmulatedModel
    from firmware.compiler.plan.footprint import footprint

    board = load_board("patch_sm")
    program = compile_onnx(decoder((4, 4), 8, 16), "m7", board, 48, schedule=schedule)
    # The emulated build marks its layers, which takes a register: the same flags for both.
    found = footprint(program.name, program.header, program.source, MARK_DEFINITION)
    model = EmulatedModel(program, board)
    used = 0
    for _ in range(12):
        due = model.frames_due(48)
        inputs = {p["label"]: np.zeros((p["channels"], due[p["label"]]), np.float32) for p in model.inputs}
        model.process(inputs, 48, traced=True)
        used = max(used, model.call.stack_bytes)
    assert 0 < used <= found.stack_bytes <= 3 * used
    assert 2_000 < found.text_bytes <= 24 * 1024
    assert found.deepest[0] == f"{program.name}_process"


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
            assert region in ("text", "ARM"), name
    state = program.report["tensors"][0]
    assert state["name"] == "state"
    placed[state["region"]] = placed.get(state["region"], 0) + state["bytes"]
    for region, planned in program.report["regions"].items():
        assert 0 <= planned["used"] - placed.get(region, 0) <= 64, region  # gaps in front of tables
    host = compile_onnx(model(), "host", "patch_sm", block)
    assert load_host(host).state_bytes == state["bytes"]


def test_a_stack_without_bound_is_refused():
    from firmware.compiler.plan.footprint import footprint

    header = "int m_dig(int depth);\nvoid m_process(int *out);\n"
    source = (
        '#include "m.h"\nint m_dig(int depth) { volatile int kept[4] = {0}; '
        "return depth > 0 ? m_dig(depth - 1) + kept[depth & 3] : 0; }\n"
        "void m_process(int *out) { *out = m_dig(*out); }\n"
    )
    with pytest.raises(Refusal, match="calls itself"):
        footprint("m", header, source)
