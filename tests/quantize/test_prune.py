"""Pruning removes channels for real and changes nothing but what was removed."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from common.refusal import Refusal
from quantize.data.examples import run, teach, tensors
from quantize.data.feeds import FeedMaker
from quantize.graph.channels import PINNED, trace_channels
from quantize.graph.graph import Graph
from quantize.graph.layers import count_parameters, layers
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.prune.select import (
    CRITERIA,
    Ranking,
    choose,
    element_scores,
    prune,
    prune_iteratively,
    rewound,
    savings,
)
from quantize.prune.surgery import layer_costs, remove
from tests.quantize.random_graphs import Builder, random_feed, random_graph

pytestmark = pytest.mark.fast


def masked(graph: Graph, channels, removed: set[int]) -> Graph:
    """The whole graph, deaf to the removed channels: what reads them has weight 0 there."""
    result = graph.copy()
    for _, node, layer in layers(graph):
        if node.inputs[1] not in channels.axes:
            continue
        axis = layer.input_axis(node)
        labels = channels.axes[node.inputs[1]][axis]
        if labels is None:  # depthwise: whoever reads its outputs is deaf
            continue
        gone = np.isin(channels.roots(labels), list(removed))
        index = [slice(None)] * 3
        index[axis] = gone
        result.constants[node.inputs[1]][tuple(index)] = 0.0
    return result


@settings(max_examples=20, derandomize=True)
@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_the_pruned_graph_is_the_whole_one_deaf_to_what_was_removed(seed, share):
    graph = random_graph(seed)
    channels = trace_channels(graph)
    roots = sorted(channels.families())
    random = np.random.default_rng(seed)
    # leave something of every family, as the chooser does
    kept = {family: root for root, family in channels.families().items()}
    removed = {r for r in roots if random.random() < share and r not in kept.values()}
    small = remove(channels, removed).graph
    feed = random_feed(seed, frames=17, batch=2)
    wanted = run(Network(masked(graph, channels, removed)), feed)["y"]
    made = run(Network(small), feed)["y"]
    np.testing.assert_allclose(made, wanted, atol=1e-5 * max(1.0, float(np.abs(wanted).max())))
    assert count_parameters(small) <= count_parameters(graph)
    onnx.checker.check_model(small.to_model(), full_check=True)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("scope", ["global", "local"])
def test_the_cost_falls_to_the_goal_and_counts_stay_multiples_of_four(criterion, scope):
    graph = random_graph(7, blocks=5)
    pool = teach(graph, [random_feed(s, batch=2) for s in range(2)])
    step = prune(graph, pool, 0.5, Ranking(criterion, scope=scope))
    assert step.macs <= 0.5
    assert all(after % 4 == 0 or after == before for before, after in step.widths.values())
    assert (
        run(Network(step.graph), random_feed(1))["y"].shape == run(Network(graph), random_feed(1))["y"].shape
    )


def test_pqmf_bands_and_noise_taps_stay(stream_file):
    graph = load_graph(stream_file)
    maker = FeedMaker(graph)
    step = prune(graph, teach(graph, [maker.make(0.05, 2)]), 0.6, Ranking(ticks=384))
    made = run(Network(step.graph), maker.make(0.05, 1))["audio"]
    assert made.shape[1] == 1
    assert count_parameters(step.graph) < count_parameters(graph)
    channels = trace_channels(graph)
    for node in graph.nodes:
        if node.is_domain:
            assert (channels.roots(channels.labels[node.inputs[0]]) == PINNED).all()


def plain(seed: int) -> Graph:
    """Two convolutions with an activation between."""
    return random_graph(seed, blocks=0)


def test_a_useless_channel_goes_first():
    graph = next(g for g in map(plain, range(20)) if g.nodes[1].op == "LeakyRelu").copy()
    channels = trace_channels(graph)
    first = graph.nodes[0]
    weight = graph.constants[first.inputs[1]]
    weight[5], graph.constants[first.inputs[2]][5] = 0.0, 0.0
    born = channels.roots(channels.births_of(first))
    pool = teach(graph, [random_feed(s) for s in range(2)])
    for criterion in ("activation", "taylor"):
        scores = element_scores(channels, criterion, pool)
        family = channels.families()[int(born[5])]
        others = [r for r, f in channels.families().items() if f == family]
        assert scores[int(born[5])] == min(scores[r] for r in others)


def test_worth_per_cycle_prefers_what_costs():
    graph = random_graph(11, blocks=4)
    channels = trace_channels(graph)
    costs = layer_costs(channels, 1)
    saved = savings(channels, costs)
    equal = dict.fromkeys(channels.families(), 1.0)
    dear = choose(channels, {r: 1.0 / saved[r] for r in equal}, costs, 0.7)
    cheap = choose(channels, {r: saved[r] for r in equal}, costs, 0.7)
    assert len(dear) <= len(cheap)


def test_savings_are_what_the_cost_falls_by():
    graph = random_graph(5)
    channels = trace_channels(graph)
    costs = layer_costs(channels, 1)
    for root, saved in savings(channels, costs).items():
        fall = costs.total(set()) - costs.total({root})
        assert fall <= saved * (1 + 1e-9)  # a channel that a layer reads and makes is counted twice at most
        assert saved <= 2 * fall + 1e-9


def test_no_part_of_a_split_loses_all_its_channels():
    b = Builder(3)
    both = b.conv("x", 3, 16)
    first, second = b.node("Split", [both], 2, axis=1, num_outputs=2)
    b.conv(b.node("Concat", [first, second, first], axis=1)[0], 24, 3)
    b.nodes[-1].output[0] = "y"
    graph = load_graph(b.model("split"))
    channels = trace_channels(graph)
    born = channels.roots(channels.births_of(graph.nodes[0])).tolist()
    scores = {root: float(place < 8) for place, root in enumerate(born)}  # the second part is worth nothing
    small = remove(channels, choose(channels, scores, layer_costs(channels, 1), 0.5)).graph
    made = Network(small)(tensors(random_feed(0)), keep=[first, second])
    assert (made[first].shape[1], made[second].shape[1]) == (3, 1)


def test_more_than_is_there_is_refused_with_numbers():
    graph = random_graph(2)
    with pytest.raises(Refusal, match=r"can't reach 0%.*is left"):
        prune(graph, teach(graph, [random_feed(0)]), 0.001)


def test_rounds_compose_and_rewinding_restores_the_trained_weights():
    graph = random_graph(4, blocks=5)
    pool = teach(graph, [random_feed(s) for s in range(2)])

    def spoil(current: Graph) -> Graph:
        changed = current.copy()
        for name in changed.constants:
            if changed.constants[name].dtype == np.float32:
                changed.constants[name] = changed.constants[name] * np.float32(1.5)
        return changed

    step = prune_iteratively(graph, pool, 0.4, spoil, Ranking(per_cycle=False), rounds=3, rewind=True)
    assert step.macs <= 0.4
    again = rewound(step.graph, graph, step.kept)
    for name, value in step.graph.constants.items():
        np.testing.assert_array_equal(value, again.constants[name])
        if name in graph.constants and value.dtype == np.float32:
            assert np.isin(value, graph.constants[name]).all()
