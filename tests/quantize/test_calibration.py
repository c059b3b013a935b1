"""Ranges, equalisation, rounding and tuning do what they say."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from common.refusal import Refusal
from quantize.data.calibration_set import extremes, recordings
from quantize.data.examples import run, teach
from quantize.data.feeds import FeedMaker, read_folder
from quantize.data.quality import compare, compare_truth, snr_db
from quantize.data.tune import Effort, fine_tune, pool_judge, pool_objective
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.equalise import equalise
from quantize.integers.mixed import goal_by_noise, goal_by_truth, mixed_scales, search
from quantize.integers.network import QuantizedNetwork
from quantize.integers.plan import make_plan
from quantize.integers.ranges import ESTIMATORS, Histogram, estimate
from quantize.integers.rounding import refine, round_adaptively
from quantize.procedure import reading_macs
from tests.quantize.random_graphs import random_feed, random_graph


@settings(max_examples=30)
@given(st.lists(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), min_size=1, max_size=5))
def test_a_histogram_counts_everything_and_minmax_is_the_peak(parts):
    histogram = Histogram()
    for part in parts:
        histogram.add(np.array(part))
    flat = np.abs(np.concatenate([np.array(p) for p in parts]))
    assert histogram.total == flat.size == (histogram.counts.sum() or flat.size)
    assert estimate(histogram, "minmax", 8) == flat.max()
    for method in ESTIMATORS:
        assert 0.0 <= estimate(histogram, method, 8) <= flat.max()


def test_the_mse_range_beats_the_peak_when_there_are_outliers():
    random = np.random.default_rng(0)
    values = np.concatenate([random.standard_normal(100_000), [30.0]])
    histogram = Histogram()
    histogram.add(values)

    def error(top: float) -> float:
        step = top / 127
        return float(((np.clip(np.rint(values / step), -127, 127) * step - values) ** 2).mean())

    assert error(estimate(histogram, "mse", 8)) < 0.7 * error(estimate(histogram, "minmax", 8))
    assert 3.0 < estimate(histogram, "entropy", 8) < 10.0


@pytest.mark.parametrize("seed", range(6))
def test_equalisation_keeps_the_function(seed):
    graph = random_graph(seed, blocks=5)
    feeds = [random_feed(seed)]
    seen = observe(Network(graph), activation_tensors(make_plan(graph)), feeds)
    wanted = run(Network(graph), feeds[0])["y"]
    made = run(Network(equalise(graph, seen)), feeds[0])["y"]
    np.testing.assert_allclose(made, wanted, atol=1e-4 * float(np.abs(wanted).max()))


def test_adaptive_rounding_beats_nearest_on_correlated_inputs():
    random = np.random.default_rng(0)
    rows = random.standard_normal((2000, 12)) @ random.standard_normal((12, 40))
    weight = random.standard_normal((8, 40))
    scale = np.abs(weight).max(1) / 15  # coarse, so that the rounding shows
    near = np.clip(np.rint(weight / scale[:, None]), -127, 127) * scale[:, None]
    better = round_adaptively(weight, scale, rows) * scale[:, None]
    assert np.square(rows @ (better - weight).T).mean() < 0.5 * np.square(rows @ (near - weight).T).mean()


def test_refinement_does_not_hurt_a_drum_and_rounds_what_it_leaves(stream_file):
    graph = load_graph(stream_file)
    maker = FeedMaker(graph)
    feeds = [maker.make(0.05, 2) for _ in range(3)]
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), feeds)
    network = QuantizedNetwork(plan, scales_from(plan, seen), "minmax")
    wanted = run(Network(graph), feeds[0])["audio"]
    before = snr_db(wanted, run(network, feeds[0])["audio"])
    refine(network, Network(graph), feeds, adapt=True, correct=True)
    assert snr_db(wanted, run(network, feeds[0])["audio"]) > before - 0.5
    layer = network.to_quantized().layer(plan.linear_positions()[0])
    node = graph.nodes[plan.linear_positions()[0]]
    value = network.constant(node.inputs[1]).detach().numpy()
    step = layer.scale[:, None, None]
    assert (np.abs(value - layer.weight * step) <= 0.5001 * step).all()


@pytest.mark.parametrize("seed", [3, 20, 28])
@pytest.mark.parametrize("how", [{"adapt": True, "correct": False}, {"adapt": False, "correct": True}])
def test_a_refinement_that_the_output_does_not_like_is_taken_back(seed, how):
    graph = random_graph(seed, blocks=4)
    feeds = [random_feed(seed + k) for k in range(3)]
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), feeds)
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    wanted = run(Network(graph), feeds[-1])["y"]
    before = snr_db(wanted, run(network, feeds[-1])["y"])
    refine(network, Network(graph), feeds, **how)
    assert snr_db(wanted, run(network, feeds[-1])["y"]) >= before


def test_tuning_8_bit_activations_helps_and_never_ends_worse():
    graph = random_graph(8, blocks=4)
    pool = teach(graph, [random_feed(s, batch=4) for s in range(4)])
    plan = make_plan(graph, 8)
    seen = observe(Network(graph), activation_tensors(plan), [e.feed for e in pool])
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    figures = fine_tune(network, pool_objective(pool), pool_judge(pool), Effort(steps=40), learning_rate=1e-4)
    assert figures["after"] < figures["before"]
    assert pool_judge(pool)(network) == pytest.approx(figures["after"])
    hopeless = fine_tune(
        network, pool_objective(pool), pool_judge(pool), Effort(steps=10), learning_rate=10.0
    )
    assert hopeless["after"] <= hopeless["before"]


def test_gradients_reach_weights_and_scales():
    graph = random_graph(1)
    plan = make_plan(graph, 8)
    seen = observe(Network(graph), activation_tensors(plan), [random_feed(0)])
    network = QuantizedNetwork(plan, scales_from(plan, seen))
    out = network({n: torch.from_numpy(v) for n, v in random_feed(0).items()})["y"]
    out.square().mean().backward()
    named = dict(network.named_parameters())
    assert all(p.grad is not None and torch.isfinite(p.grad).all() for p in named.values() if p.requires_grad)
    assert any(
        n.startswith("log_scales") and float(p.grad.abs()) > 0 for n, p in named.items() if p.requires_grad
    )


def test_feeds_cover_the_latents_whole_travel(stream_file):
    graph = load_graph(stream_file)
    maker = FeedMaker(graph)
    ends = extremes(graph, maker)
    z = np.concatenate([f["z"] for f in ends])
    assert z.min() == -2.5
    assert z.max() == 2.5
    feed = maker.make(0.1, 8)
    np.testing.assert_allclose(feed["knobs"][:, :8].sum(1), 1.0, atol=1e-6)
    assert feed["z"].shape == (8, 8, 100)
    assert (np.ptp(feed["z"], axis=2) > 0).any()


def test_a_model_that_reads_audio_is_calibrated_at_full_scale_and_its_latents_ends(drive_file):
    graph = load_graph(drive_file)
    heard = {"audio": np.full((2, 1, 4800), 0.01, np.float32), "latent": np.zeros((2, 3, 100), np.float32)}
    audio = recordings(graph, [heard])
    assert [len(a) for a in audio] == [4800, 4800]
    ends = extremes(graph, FeedMaker(graph, audio))
    assert all(np.abs(f["audio"]).max((1, 2)) == pytest.approx(1.0) for f in ends)
    assert {float(f["latent"].min()) for f in ends} == {-2.5}
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [heard, *ends])
    assert scales_from(plan, seen)[plan.scale_class["audio"]] * 32767 >= 1.0


def test_what_stays_float_is_named_with_its_reason(stream_file, drum_file, rhythm_file, drive_file):
    assert not make_plan(load_graph(rhythm_file)).left
    assert not make_plan(load_graph(drive_file)).left
    plan = make_plan(load_graph(stream_file))
    why = {plan.graph.nodes[p].op: reason for p, reason in plan.left.items()}
    assert "firmware" in why["PQMFSynthesis"]
    assert "firmware" in why["FilteredNoise"]
    assert why["Exp"] == "it has no integer form"
    plan = make_plan(load_graph(drum_file))
    assert [plan.graph.nodes[p].op for p in plan.left] == ["HitSound"]
    assert "which is float" in why["Mul"]
    # nothing but the way out: noise, gains, gate and synthesis
    assert set(why) == {"PQMFSynthesis", "FilteredNoise", "Exp", "Mul", "Add"}
    assert plan.left.keys() | plan.integer == set(range(len(plan.graph.nodes)))


def test_calibration_data_are_checked(tmp_path):
    graph = random_graph(0)
    with pytest.raises(Refusal, match="no calibration folder"):
        read_folder(tmp_path / "none", graph)
    with pytest.raises(Refusal, match="holds no"):
        read_folder(tmp_path, graph)
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 3, 8), np.float32))
    with pytest.raises(Refusal, match="no array 'c'"):
        read_folder(tmp_path, graph)
    np.savez(tmp_path / "a.npz", x=np.full((1, 3, 8), np.nan), c=np.zeros((1, 4, 8)))
    with pytest.raises(Refusal, match="NaN"):
        read_folder(tmp_path, graph)
    np.savez(tmp_path / "a.npz", x=np.zeros((1, 5, 8)), c=np.zeros((1, 4, 8)))
    with pytest.raises(Refusal, match="shape"):
        read_folder(tmp_path, graph)


def test_an_exploding_model_is_refused_by_tensor():
    graph = random_graph(0).copy()
    name = graph.nodes[0].inputs[1]
    graph.constants[name] = graph.constants[name] * np.float32(np.inf)
    with pytest.raises(Refusal, match="NaN or infinite"):
        observe(Network(graph), activation_tensors(make_plan(graph)), [random_feed(0)])


def test_measures_know_equal_and_different():
    audio = np.random.default_rng(0).standard_normal((1, 1, 4096)).astype(np.float32)
    same = compare(audio, audio)
    assert same["snr_db"] == np.inf
    assert same["mr_stft"] == pytest.approx(0.0, abs=1e-6)
    assert compare(audio, 0.5 * audio)["log_spectral_db"] == pytest.approx(6.02, abs=0.1)
    pattern = np.zeros((1, 27, 32))
    pattern[0, 0, ::4] = 1.0
    assert compare_truth(pattern, pattern, "rhythm") == {"onset_f1": 1.0}
    assert compare_truth(pattern, np.roll(pattern, 1, 2), "rhythm") == {"onset_f1": 0.0}


def test_the_search_keeps_16_bits_only_where_the_goal_needs_them():
    graph = random_graph(12, blocks=3)
    pool = teach(graph, [random_feed(s) for s in range(2)])
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [e.feed for e in pool])

    def reached() -> float:
        network = QuantizedNetwork(plan, mixed_scales(plan, seen))
        made = [run(network, e.feed)["y"] for e in pool]
        return float(np.mean([snr_db(e.taught["y"], m) for e, m in zip(pool, made, strict=True)]))

    widths = {}
    for goal in (200.0, 25.0, 0.0):
        choices = search(plan, seen, goal_by_noise(pool, goal), reading_macs(plan))
        widths[goal] = [plan.bits[root] for root in plan.members()]
        assert goal == 200.0 or reached() >= goal
    assert {r for c in choices for r in c.roots} == set(plan.members())
    assert set(widths[200.0]) == {16}
    assert set(widths[0.0]) == {8}
    assert 8 in widths[25.0]


def spoken(graph, count):
    """Examples with truths that the float model itself misses a little."""
    random = np.random.default_rng(5)
    examples = teach(graph, [random_feed(s) for s in range(count)])
    for example in examples:
        wanted = example.taught["y"]
        noise = random.standard_normal(wanted.shape).astype(np.float32)
        example.truth = {"y": wanted + 0.02 * float(np.abs(wanted).max()) * noise}
    return examples


def test_the_search_keeps_16_bits_where_the_data_hear_8():
    graph = random_graph(12, blocks=3)
    examples = spoken(graph, 2)
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [e.feed for e in examples])

    def searched(most):
        goal = goal_by_truth(
            examples, graph, most
        )  # percent of the float model's signal-to-noise ratio in dB
        search(plan, seen, goal, reading_macs(plan))
        harm = goal.harm(QuantizedNetwork(plan, mixed_scales(plan, seen)))
        return harm, {root for root in plan.members() if plan.bits[root] == 8}

    _, none = searched(-1000.0)
    worst, everything = searched(1000.0)
    assert none == set()
    assert everything == set(plan.members())
    harm, some = searched(worst / 2)
    assert set() < some < everything
    assert harm <= worst / 2


def test_what_is_lost_is_counted_from_the_float_model_and_grows_as_bits_go():
    graph = random_graph(12, blocks=3)
    examples = spoken(graph, 2)
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [e.feed for e in examples])
    goal = goal_by_truth(examples, graph, 1.0)
    harms = []
    for bits in (16, 8):
        plan.bits = dict.fromkeys(plan.bits, bits)
        harms.append(goal.harm(QuantizedNetwork(plan, mixed_scales(plan, seen))))
    assert abs(harms[0]) < harms[1]
    kept = float(np.mean([snr_db(e.truth["y"], e.taught["y"]) for e in examples]))
    network = QuantizedNetwork(plan, mixed_scales(plan, seen))
    left = float(np.mean([snr_db(e.truth["y"], run(network, e.feed)["y"]) for e in examples]))
    assert harms[1] == pytest.approx(100.0 * (kept - left) / kept)


def test_weights_travel_between_networks_of_other_widths():
    graph = random_graph(12, blocks=3)
    pool = teach(graph, [random_feed(s) for s in range(2)])
    plan = make_plan(graph)
    seen = observe(Network(graph), activation_tensors(plan), [e.feed for e in pool])
    wide = QuantizedNetwork(plan, mixed_scales(plan, seen))
    refine(wide, Network(graph), [e.feed for e in pool], adapt=True, correct=True)
    narrow_plan = make_plan(graph, 8)
    narrow = QuantizedNetwork(narrow_plan, mixed_scales(narrow_plan, seen))
    scales = narrow.to_quantized().scales
    narrow.take_weights(wide)
    assert narrow.to_quantized().scales == scales
    for position, layer in wide.to_quantized().layers.items():
        np.testing.assert_array_equal(narrow.to_quantized().layers[position].weight, layer.weight)
