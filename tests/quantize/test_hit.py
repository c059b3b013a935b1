"""The sound of a hit in the quantizer: float, trained through, and tuned without being played."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from quantize.data.feeds import FeedMaker
from quantize.data.training_task import StandIn, said_of_a_hit
from quantize.formats.qdq import to_qdq
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.plan import Quantized, make_plan

pytestmark = pytest.mark.fast


def test_it_sounds_as_in_onnxruntime(drum_file):
    graph = load_graph(drum_file)
    feed = FeedMaker(graph).make(0.0, 1)
    wanted = run_onnx(graph.to_model(), feed)[0]
    with torch.no_grad():
        made = Network(graph)({n: torch.from_numpy(v) for n, v in feed.items()})["audio"].numpy()
    assert np.abs(wanted).max() > 0.05
    np.testing.assert_allclose(made, wanted, atol=1e-4 * np.abs(wanted).max())


def test_a_gradient_comes_back_through_every_part(drum_file):
    network = Network(load_graph(drum_file))
    feed = FeedMaker(network.graph).make(0.0, 2)
    network({n: torch.from_numpy(v) for n, v in feed.items()})["audio"].square().mean().backward()
    parts = [name for name in network.index if name.endswith("weight")]
    assert len(parts) >= 8
    for name in parts:
        gradient = network.weights[network.index[name]].grad
        assert gradient is not None and torch.isfinite(gradient).all() and gradient.abs().max() > 0, name


def test_a_task_is_given_what_the_sound_is_made_of(drum_file):
    graph = load_graph(drum_file)
    stand = StandIn(graph)
    stand.network[:] = [Network(graph)]
    feed = FeedMaker(graph).make(0.0, 3)
    with torch.no_grad():
        said = stand(*(torch.from_numpy(feed[n]) for n in graph.input_names))
    assert len(said) == len(said_of_a_hit(graph)) == 4
    assert [tuple(part.shape[::2]) for part in said] == [(3, 1)] * 4


def test_what_is_not_asked_for_is_not_computed(drum_file, monkeypatch):
    graph = load_graph(drum_file)
    network = Network(graph)
    ran = []
    execute = network.execute
    monkeypatch.setattr(network, "execute", lambda node, values: ran.append(node.op) or execute(node, values))
    feed = {n: torch.from_numpy(v) for n, v in FeedMaker(graph).make(0.0, 1).items()}
    network(feed, keep=said_of_a_hit(graph), outputs=False)
    assert "HitSound" not in ran and "Conv" in ran
    network(feed)
    assert ran[-1] == "HitSound"


def test_a_quantized_drum_runs_in_onnxruntime_and_sounds_alike(drum_file):
    graph = load_graph(drum_file)
    maker = FeedMaker(graph)
    plan = make_plan(graph, 16)
    seen = observe(Network(graph), activation_tensors(plan), [maker.make(0.0, 8) for _ in range(3)])
    model = to_qdq(Quantized(plan, scales_from(plan, seen), {}))
    feed = maker.make(0.0, 1)
    wanted, made = run_onnx(graph.to_model(), feed)[0], run_onnx(model, feed)[0]
    early = slice(0, 4800)
    error = np.sqrt(np.mean((made - wanted)[..., early] ** 2) / np.mean(wanted[..., early] ** 2))
    assert 0 < error < 0.2
