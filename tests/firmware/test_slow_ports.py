"""Graphs whose ports are all slow (a control net, an encoder's latents) run on the clock of the samples."""

from __future__ import annotations

import shutil

import numpy as np
import onnx
import pytest

from common import model_metadata
from common.refusal import Refusal
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.compiler_graphs import Builder, quantized, session
from tests.firmware.compiler_targets import run_on

HOPS = [192, 512, 2048, 4096]
SEED = 22
"""Of a random graph with one input, strides and upsampling."""


def slow(kind: str, hop: int) -> tuple[onnx.ModelProto, Builder]:
    """A random network with a frame of its inputs every ``hop`` samples or longer."""
    builder = Builder(SEED, 5, batch_norm=False)
    model = builder.model() if kind == "float" else quantized(builder, kind)
    rates = {s.name: f"1/{int(hop / s.rate)}" for s in builder.inputs}
    ports = [{"name": name, "rate": rate} for name, rate in rates.items()]
    model_metadata.write(model, {"format": 1, "kind": "slow", "inputs": ports, "outputs": []})
    return model, builder


@pytest.mark.parametrize("schedule", ["flat", "eager"])
@pytest.mark.parametrize("hop", HOPS)
@pytest.mark.parametrize("kind", ["float", "int16", "int8"])
def test_a_slow_graph_gives_what_onnxruntime_gives_in_blocks_of_any_length(kind, hop, schedule):
    model, builder = slow(kind, hop)
    feeds = builder.feeds(builder.unit * 2)
    program = compile_onnx(model, schedule=schedule)
    ports = {port["label"]: port for port in program.report["ports"]}
    assert program.report["ticks_per_sample"] == "1"
    assert ports["x"]["period_ticks"] == hop
    stream = load_host(program)
    ticks = feeds["x"].shape[2] * hop
    whole = stream.process(feeds, ticks)
    judged = run(program.graph, feeds)
    names = [value.name for value in model.graph.output]
    for name, truth in zip(names, session(model).run(None, feeds), strict=True):
        late = ports[name]["latency_ticks"] // ports[name]["period_ticks"]
        heard = whole[name][:, late:]
        frames = min(heard.shape[1], judged[name].shape[1])
        assert frames > 4
        limit = 1e-5 * max(1.0, float(np.abs(truth).max())) if kind == "float" else 0.0
        assert np.abs(heard[:, :frames] - judged[name][:, :frames]).max() <= limit
        if kind == "float":
            assert np.abs(heard[:, :frames] - truth[0][:, :frames]).max() <= limit
    stream.reset()
    used, pieces, done = dict.fromkeys(feeds, 0), {name: [] for name in names}, 0
    rng = np.random.default_rng(hop)
    while done < ticks:
        step = min(ticks - done, int(rng.choice([1, 48, 97, hop, 3 * hop + 1])))
        due = stream.frames_due(step)
        fed = {n: f[0, :, used[n] : used[n] + due[n]] for n, f in feeds.items()}
        for name, frames in stream.process(fed, step).items():
            pieces[name].append(frames)
        used = {n: used[n] + due[n] for n in used}
        done += step
    for name in names:
        np.testing.assert_array_equal(np.concatenate(pieces[name], axis=1), whole[name])


@pytest.mark.parametrize("kind", ["float", "int16", "int8"])
def test_every_processor_gives_the_same_slow_frames(kind):
    model, builder = slow(kind, 512)
    feeds = builder.feeds(builder.unit)
    ticks = feeds["x"].shape[2] * 512
    blocks = [min(48, ticks - at) for at in range(0, ticks, 48)]
    host = run_on("host", model, feeds, blocks)
    for target, needed in (("m7", None), ("aarch64", "qemu-aarch64"), ("wasm", "node")):
        if needed and not shutil.which(needed):
            continue
        for name, heard in run_on(target, model, feeds, blocks).items():
            np.testing.assert_array_equal(heard, host[name], err_msg=target)
            assert np.any(heard)


def test_state_does_not_grow_with_the_block():
    """A block of samples holds no whole frame of a latent, so no ring keeps one for each."""
    model, _ = slow("float", 512)
    sizes = {block: compile_onnx(model, block=block).report["state_bytes"] for block in (1, 48, 256)}
    assert max(sizes.values()) <= min(sizes.values()) + 64


def test_a_graph_slower_than_any_hop_is_refused():
    model, _ = slow("float", 8192)
    with pytest.raises(Refusal, match="one frame in 8192 ticks"):
        compile_onnx(model)
