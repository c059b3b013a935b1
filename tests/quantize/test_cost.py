"""What the report says a model costs, before and after."""

from __future__ import annotations

import numpy as np
import pytest

from quantize.budget import quick_integers
from quantize.cost import layer_cycles, predict, sizes
from quantize.data.calibration_set import from_metadata
from quantize.formats.qdq import to_qdq
from quantize.graph.layers import layers
from quantize.graph.load import load_graph
from quantize.procedure import Settings
from tests.quantize.random_graphs import random_graph


@pytest.mark.parametrize("which", ["rhythm_file", "drive_file"])
def test_float_is_counted_in_floats_and_integers_in_integers(which, request):
    graph = load_graph(request.getfixturevalue(which))
    noise = 0.1 * np.random.default_rng(0).standard_normal(48_000).astype(np.float32)
    calibration_set = from_metadata(graph, audio=[noise], count=4)
    model = to_qdq(quick_integers(graph, calibration_set, Settings()))
    real = predict(graph.to_model(), "patch_sm", as_if_quantized=False)
    foreseen, integers = predict(graph.to_model(), "patch_sm"), predict(model, "patch_sm")
    assert real.weight_bytes >= 4 * real.parameters
    assert real.weight_bytes > 1.5 * integers.weight_bytes
    assert foreseen.cpu_worst == pytest.approx(integers.cpu_worst, rel=0.2)
    assert real.cpu_worst > 1.1 * integers.cpu_worst
    told = sizes(graph, model, "patch_sm")
    assert told["weight bytes"] == f"{real.weight_bytes:,} → {integers.weight_bytes:,}"
    assert told["worst callback"].startswith(f"{real.cpu_worst:.2%} → ")


@pytest.mark.parametrize("seed", range(8))
def test_every_layer_of_a_graph_is_priced_whatever_it_was_fused_with(seed):
    graph = random_graph(seed)  # with ReLU, clips and gains behind layers, which take the layer's place
    priced = layer_cycles(graph, "patch_sm")
    assert set(priced) == {position for position, _, _ in layers(graph)}
    assert all(cycles > 0 for cycles in priced.values())
