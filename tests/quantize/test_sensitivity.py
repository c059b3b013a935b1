"""What one tensor's rounding does alone."""

import numpy as np
import pytest

from common.refusal import Refusal
from quantize.data.calibration_set import from_metadata
from quantize.data.examples import run
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.plan import make_plan
from quantize.report.sensitivity import PartlyRounded, _quiet_noise, measure_sensitivity


def prepared(path, bits=16):
    calibration_set = from_metadata(load_graph(path), count=2)
    plan = make_plan(calibration_set.graph, bits)
    seen = observe(Network(calibration_set.graph), activation_tensors(plan), calibration_set.feeds)
    return calibration_set, plan, scales_from(plan, seen)


def test_every_scale_gets_a_row_and_fewer_bits_harm_more(stream_file):
    found = {}
    for bits in (16, 8):
        calibration_set, plan, scales = prepared(stream_file, bits)
        recorded = [{n: v * np.float32(0.999) for n, v in e.taught.items()} for e in calibration_set.test]
        pairs = list(zip([e.feed for e in calibration_set.test], recorded, strict=True))
        *alone, together = measure_sensitivity(plan, scales, pairs)
        assert together.tensor == "all activations"
        assert {row.tensor for row in alone} <= set(scales)
        assert all(np.isfinite(row.reach) and row.reach > 0 for row in alone)
        found[bits] = together
    assert found[8].change_percent > found[16].change_percent


def test_only_the_named_tensors_are_rounded(stream_file):
    calibration_set = from_metadata(load_graph(stream_file), count=2)
    feed = calibration_set.test[0].feed
    name = calibration_set.graph.output_names[0]
    plain = run(Network(calibration_set.graph), feed)[name]
    np.testing.assert_array_equal(run(PartlyRounded(calibration_set.graph, {}), feed)[name], plain)
    step = 0.25
    rounded = run(PartlyRounded(calibration_set.graph, {name: (step, 16)}), feed)[name]
    np.testing.assert_array_equal(rounded, np.rint(plain / np.float32(step)) * np.float32(step))


def test_noise_is_counted_where_the_recording_is_quiet():
    truth = np.zeros((1, 1, 960), np.float32)
    truth[..., 480:] = 0.5
    made = truth + 0.01
    made[..., 480:] += 0.3
    np.testing.assert_allclose(_quiet_noise(truth, truth, made), [1e-4], rtol=1e-4)


def test_a_model_without_sound_is_refused(rhythm_file):
    calibration_set, plan, scales = prepared(rhythm_file)
    with pytest.raises(Refusal, match="makes no audio"):
        list(measure_sensitivity(plan, scales, [(e.feed, e.taught) for e in calibration_set.test]))
