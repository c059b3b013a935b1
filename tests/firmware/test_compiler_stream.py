"""A compiled stream equals the offline result, frame by frame, however it is cut into calls."""

from __future__ import annotations

import gc

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from bench.reference_decoders import anomaly, tcn
from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from firmware.compiler.read.load import load
from tests.firmware.compiler_graphs import quantized, random_graph, session

BLOCKS = [1, 1, 2, 3, 7, 13, 31, 48, 97, 211]
# The same graphs on every run of make test; the sweep over hundreds of seeds is the slow test below.
RELAXED = settings(max_examples=6, derandomize=True, suppress_health_check=list(HealthCheck))


def check_stream(seed: int, kind: str, *, slow: bool, block: int) -> int:
    """Compile one random graph and compare it with the judge and with onnxruntime; return values compared."""
    model, builder = random_graph(seed, 7, slow, batch_norm=kind == "float")
    if kind != "float":
        model = quantized(builder, kind)
    feeds = builder.feeds(builder.unit * 6)
    program = compile_onnx(model, block=block)
    before, after = run(load(model), feeds), run(program.graph, feeds)
    names = [o.name for o in model.graph.output]
    if (
        kind == "float"
    ):  # the passes change no result; whole quantized graphs are judged layer by layer elsewhere
        for name, truth in zip(names, session(model).run(None, feeds), strict=True):
            tolerance = 1e-4 * max(1.0, float(np.abs(truth).max()))
            assert before[name].shape == truth.shape[1:]
            assert np.abs(before[name] - truth[0]).max() < tolerance
            frames = min(before[name].shape[1], after[name].shape[1])
            assert np.abs(before[name][:, :frames] - after[name][:, :frames]).max() < tolerance
    stream = load_host(program)
    ports = {p["label"]: p for p in program.report["ports"]}
    ticks = feeds["x"].shape[2] * ports["x"]["period_ticks"]
    whole = stream.process(feeds, ticks)
    compared = 0
    for name in names:
        late = ports[name]["latency_ticks"] // ports[name]["period_ticks"]
        heard, offline = whole[name][:, late:], after[name]
        frames = min(heard.shape[1], offline.shape[1])
        assert np.all(whole[name][:, :late] == 0)
        limit = 1e-5 * max(1.0, float(np.abs(offline).max())) if kind == "float" else 0.0
        assert np.abs(heard[:, :frames] - offline[:, :frames]).max(initial=0) <= limit
        compared += heard[:, :frames].size
    cut = _in_pieces(stream, feeds, ticks, seed)
    for name in names:
        np.testing.assert_array_equal(cut[name], whole[name])
    return compared


def _in_pieces(stream, feeds, ticks: int, seed: int) -> dict[str, np.ndarray]:
    """Feed the same signal in calls of random lengths, 1 and primes among them."""
    rng = np.random.default_rng(seed)
    stream.reset()
    used = dict.fromkeys(feeds, 0)
    heard: dict[str, list[np.ndarray]] = {}
    while ticks:
        step = min(ticks, int(rng.choice(BLOCKS)))
        due = stream.frames_due(step)
        fed = {n: f[0, :, used[n] : used[n] + due[n]] for n, f in feeds.items()}
        for name, frames in stream.process(fed, step).items():
            heard.setdefault(name, []).append(frames)
        used = {n: used[n] + due[n] for n in used}
        ticks -= step
    return {name: np.concatenate(parts, axis=1) for name, parts in heard.items()}


@RELAXED
@given(seed=st.integers(0, 2**31), slow=st.booleans(), block=st.sampled_from([1, 5, 16, 48]))
def test_float_streams_equal_the_offline_result(seed, slow, block):
    check_stream(seed, "float", slow=slow, block=block)


@RELAXED
@given(
    seed=st.integers(0, 2**31),
    kind=st.sampled_from(["int16", "int8", "uint8"]),
    slow=st.booleans(),
    block=st.sampled_from([1, 5, 16, 48]),
)
def test_integer_streams_equal_the_judge_bit_for_bit(seed, kind, slow, block):
    check_stream(seed, kind, slow=slow, block=block)


@pytest.mark.parametrize(
    ("seed", "block", "kind"), [(39, 7, "float"), (39, 7, "int8"), (39, 7, "int16"), (12, 13, "int16")]
)
def test_two_firings_in_one_are_the_same_stream(seed, block, kind):
    model, builder = random_graph(seed, 7, True, batch_norm=kind == "float")
    plan = compile_onnx(model if kind == "float" else quantized(builder, kind), block=block).plan
    assert any(clock.firings == 2 for clock in plan.clocks)
    assert check_stream(seed, kind, slow=True, block=block) > 0


@pytest.mark.parametrize("kind", ["float", "int16"])
def test_a_delay_of_a_whole_period_around_a_sliced_clock_does_not_tie_it_to_itself(kind):
    """In this graph a path leaves a sliced clock and comes back a period late."""
    assert check_stream(64, kind, slow=False, block=1) > 0


def test_ends_stay_as_they_are():
    """Zeros behind a cropped transposed convolution."""
    assert check_stream(42, "float", slow=False, block=16) > 0


def test_a_clamp_before_subpixel_upsampling_stays():
    """Convolution, clamp and reordering become one node, which must keep the clamp's bounds."""
    assert check_stream(132, "int16", slow=False, block=1) > 0


def test_behind_a_crop_a_stream_is_that_of_the_signal_going_on():
    """Offline a look beyond ``x[..., :-5]`` meets zeros; a stream has no end, so it meets the next frames."""
    rng = np.random.default_rng(0)
    weight = numpy_helper.from_array(rng.normal(size=(2, 2, 3)).astype(np.float32), "w")
    at = [numpy_helper.from_array(np.array([v], np.int64), n) for v, n in ((0, "b"), (-5, "e"), (2, "a"))]
    shape = [1, 2, "frames"]
    graph = helper.make_graph(
        [
            helper.make_node("Slice", ["x", "b", "e", "a"], ["cropped"]),
            helper.make_node("Conv", ["cropped", "w"], ["y"], pads=[1, 1]),
        ],
        "crop",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, "shorter"])],
        [weight, *at],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    long = rng.normal(size=(1, 2, 120)).astype(np.float32)
    program = compile_onnx(model)
    assert program.report["latency_samples"] == 1
    heard = load_host(program).process({"x": long[:, :, :100]}, 100)["y"][:, 1:]
    np.testing.assert_allclose(heard, run(program.graph, {"x": long})["y"][:, :99], atol=1e-5)
    truth = session(model).run(None, {"x": long[:, :, :100]})[0][0]
    np.testing.assert_allclose(heard[:, :94], truth[:, :94], atol=1e-5)
    assert np.abs(heard[:, 94] - truth[:, 94]).max() > 1e-3  # the one frame that sees the end


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["float", "int16", "int8", "uint8"])
def test_streams_over_many_graphs(kind):
    compared = 0
    for seed in range(300):
        compared += check_stream(seed, kind, slow=seed % 2 == 1, block=(1, 5, 16, 48)[seed % 4])
    assert compared > 300_000


def test_a_causal_model_has_no_latency_and_look_ahead_is_reported():
    for pads, expected in (([2, 0], 0), ([1, 1], 1), ([0, 2], 2)):
        weight = numpy_helper.from_array(np.ones((1, 1, 3), np.float32), "w")
        graph = helper.make_graph(
            [helper.make_node("Conv", ["x", "w"], ["y"], pads=pads)],
            "fir",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 1, "frames"])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 1, "frames"])],
            [weight],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        assert isinstance(model, onnx.ModelProto)
        assert compile_onnx(model).report["latency_samples"] == expected


def test_buffers_that_are_bound_once_are_read_anew_at_each_call():
    """The callback of the bench: the same samples as call by call, and no block that cuts a frame."""
    model = tcn("w8a16", 4)
    sound = np.random.default_rng(3).standard_normal((1, 4 * 48)).astype(np.float32)
    stream = load_host(compile_onnx(model, block=48))
    whole = stream.process({"audio": sound})["audio_out"]
    stream.reset()
    block = np.zeros((1, 48), np.float32)
    call, made = stream.bound({"audio": block}, 48)
    del stream  # what was bound holds what it needs: the library, too
    gc.collect()
    heard = []
    for at in range(0, sound.shape[1], 48):
        block[:] = sound[:, at : at + 48]
        call()
        heard.append(made["audio_out"].copy())
    np.testing.assert_array_equal(np.concatenate(heard, axis=1), whole)
    with pytest.raises(Refusal, match="7 frames, but 48 are due"):
        load_host(compile_onnx(model, block=48)).bound({"audio": block[:, :7]}, 48)
    slow = load_host(compile_onnx(anomaly(), block=48))
    with pytest.raises(Refusal, match="7 ticks are no whole frames of ports that have one in 48"):
        slow.bound({"spectrum": np.zeros((640, 1), np.float32)}, 7)
