"""A pruned graph is fitted anew to the whole one: what is exact stays so, what can be made up for is."""

from __future__ import annotations

import numpy as np
import onnx
import onnxruntime
import pytest

from quantize.data.examples import run, teach, tensors
from quantize.graph.channels import trace_channels
from quantize.graph.graph import Graph
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.prune.axes import eased
from quantize.prune.refit import refitted
from quantize.prune.select import REGRESSION, Ranking, element_scores, prune
from tests.quantize.random_graphs import Builder, random_feed, random_graph

pytestmark = pytest.mark.fast


def heard(graph: Graph, x: np.ndarray) -> np.ndarray:
    """What onnxruntime makes of a graph."""
    session = onnxruntime.InferenceSession(
        graph.to_model().SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x, "c": np.zeros((len(x), 4, x.shape[2]), np.float32)})[0]


def wavenet(width: int = 8, rank: int = 3) -> Graph:
    """Three residual layers whose signal lies in `rank` dimensions, and a head that reads a mean."""
    b = Builder(1)
    basis = b.random.normal(size=(width, rank)).astype(np.float32)

    def conv(x, weight, bias=True, dilation=1):
        weight = np.asarray(weight, np.float32)
        inputs = [x, b.constant(weight)]
        if bias:
            inputs.append(b.constant(0.1 * b.random.normal(size=len(weight)).astype(np.float32)))
        reach = (weight.shape[2] - 1) * dilation
        return b.node("Conv", inputs, pads=[reach, 0], dilations=[dilation], kernel_shape=[weight.shape[2]])[
            0
        ]

    def normal(*shape, size=1.0):
        return size * b.random.normal(size=shape)

    stream = conv("x", (basis @ normal(rank, 3))[:, :, None], bias=False)
    given = []
    for dilation in (1, 2):
        z = b.node("Tanh", [conv(stream, normal(width, width, 3, size=0.15), dilation=dilation)])[0]
        given.append(z)
        stream = b.node(
            "Add", [stream, conv(z, (basis @ normal(rank, width))[:, :, None] * 0.2, bias=False)]
        )[0]
    mean = b.node("Mean", given)[0]
    head = conv(mean, normal(3, width, 1))
    b.node("Add", [head, conv(stream, normal(3, width, 1), bias=False)])
    b.nodes[-1].output[0] = "y"
    return load_graph(b.model("wavenet"))


def feeds(count: int, frames: int = 400) -> list[dict[str, np.ndarray]]:
    return [random_feed(seed, frames=frames, batch=2) for seed in range(count)]


def error(made: np.ndarray, wanted: np.ndarray) -> float:
    """Error to signal, once the memory is full: before, constants of the layers meet zeros."""
    made, wanted = (x[..., 60:] for x in (made, wanted))
    return float(((made - wanted) ** 2).mean() / (wanted**2).mean())


def test_other_axes_and_opened_means_are_the_same_function():
    graph = wavenet()
    other = eased(graph, teach(graph, feeds(2)))
    assert "Mean" not in {node.op for node in other.nodes}
    onnx.checker.check_model(other.to_model(), full_check=True)
    x = random_feed(9, frames=300)["x"]
    assert error(heard(other, x), heard(graph, x)) < 1e-11
    # the signal of three dimensions has three channels that are not silent
    stream = next(node for node in other.nodes if node.op == "Conv").outputs[0]
    found = Network(other)(tensors(random_feed(9, frames=300)), keep=[stream])[stream].detach().numpy()
    loud = (found**2).mean((0, 2))
    assert (loud[3:] < 1e-9 * loud[:3].min()).all()


@pytest.mark.parametrize("seed", range(6))
def test_any_graph_keeps_its_function(seed):
    graph = random_graph(seed, blocks=4)
    feed = random_feed(seed + 50, frames=100)
    other = eased(graph, teach(graph, [random_feed(seed)]))
    wanted = run(Network(graph), feed)["y"]
    np.testing.assert_allclose(run(Network(other), feed)["y"], wanted, atol=2e-5 * np.abs(wanted).max())


def test_what_is_not_needed_goes_without_a_trace():
    """Five of eight channels of the stream say nothing of their own: with four the sound is the same."""
    graph = wavenet()
    pool = teach(graph, feeds(3))
    whole = eased(graph, pool)
    step = prune(whole, pool, 0.8, Ranking(REGRESSION, per_cycle=False))
    assert 4 in {after for _, after in step.widths.values()}
    small = refitted(step.graph, whole, step.kept, pool)
    x = random_feed(77, frames=500)["x"]
    assert error(heard(small, x), heard(graph, x)) < 1e-8
    assert error(heard(prune(graph, pool, 0.8, Ranking(per_cycle=False)).graph, x), heard(graph, x)) > 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_the_fitted_graph_is_nearer_on_what_it_never_heard(seed):
    graph = random_graph(seed, blocks=4)
    pool = teach(graph, [random_feed(s, frames=400, batch=4) for s in range(4)])
    step = prune(graph, pool, 0.7, Ranking(REGRESSION))
    small = refitted(step.graph, graph, step.kept, pool)
    unheard = [random_feed(s, frames=400, batch=2) for s in range(90, 93)]

    def far(one: Graph) -> float:
        return sum(error(run(Network(one), f)["y"], run(Network(graph), f)["y"]) for f in unheard)

    assert far(small) < far(step.graph)


def test_a_channel_that_another_says_too_goes_first():
    graph = eased(wavenet(rank=8), teach(wavenet(rank=8), feeds(1)))
    first = next(node for node in graph.nodes if node.op == "Conv" and len(node.inputs) > 2)
    for name in first.inputs[1:]:
        graph.constants[name][5] = graph.constants[name][2]  # the same pre-activation twice
    channels = trace_channels(graph)
    born = channels.roots(channels.births_of(first)).tolist()
    scores = element_scores(channels, REGRESSION, teach(graph, feeds(2)))
    assert min(born, key=lambda root: scores[root]) in (born[2], born[5])
    taken = {born[2], born[5]}
    assert max(scores[root] for root in taken) > 100 * min(scores[root] for root in taken)
