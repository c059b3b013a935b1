"""A prior as a module for nn~: it goes on as the module's engine does, whatever the buffers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from common import model_metadata
from common.refusal import Refusal
from firmware.models.model_file import MODELS_DIR
from quantize.formats.export import export_model
from tests.prior_by_numpy import walked

PRIOR = MODELS_DIR / "texture.prior.onnx"
EVERY, HOP = 4, 256


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    out = tmp_path_factory.mktemp("nn") / "prior.ts"
    return export_model(PRIOR, "torchscript", out, None, 0.1), out


@pytest.fixture
def module(exported):
    return torch.jit.load(str(exported[1]))


def told(hops, *, temperature=1.0, listen=0.0, latents=None):
    """Signals ``[1, 2 + Z, N]``."""
    rows = np.zeros((10, hops), np.float32)
    rows[0], rows[1] = temperature, listen
    if latents is not None:
        rows[2:] = latents
    return torch.from_numpy(rows[None])


def test_it_has_the_one_method_at_the_rate_of_the_latents(exported, module):
    figures, _ = exported
    assert figures["methods"] == ["prior"] and figures["snr_db"] > 80
    assert module.prior_params.tolist() == [10, HOP, 8, HOP]
    assert module.prior_input_labels[:3] == ["temperature", "listen", "z1"]


@pytest.mark.parametrize("temperature", [0.5, 1.0])
def test_it_goes_on_as_onnxruntime_and_a_few_lines_of_numpy_say(module, temperature):
    tied = model_metadata.read_file(PRIOR).prior
    own, data = np.array(tied.own)[tied.temperatures.index(temperature)], np.array(tied.data)
    with torch.no_grad():
        made = module.prior(told(50 * EVERY, temperature=temperature))[0].numpy()
    for n, raw in enumerate(walked(PRIOR, 50, temperature)):
        there = np.array([np.interp(raw[i], own[i], data[i]) for i in range(8)])
        wanted = raw + min(n, 16) / 16 * (there - raw)
        np.testing.assert_allclose(made[:, n * EVERY + EVERY - 1], wanted, atol=0.02)


def test_buffers_change_nothing(module):
    signal = told(120)
    with torch.no_grad():
        whole = module.prior(signal)
        module.reset()
        parts = [module.prior(part) for part in signal.split([1, 7, 2, 50, 60], 2)]
    assert torch.equal(torch.cat(parts, 2), whole)


def test_it_passes_what_it_listens_to_and_goes_on_from_there(module):
    rng = np.random.default_rng(0)
    heard = np.cumsum(0.05 * rng.normal(size=(8, 200)), 1).astype(np.float32)
    with torch.no_grad():
        passed = module.prior(told(200, listen=1.0, latents=heard))[0].numpy()
        answered = module.prior(told(8))[0].numpy()
    assert np.array_equal(passed, heard)
    assert np.abs(answered[:, 0] - heard[:, -1]).max() < 0.5


def test_what_is_no_number_is_rest(module):
    signal = told(40, listen=1.0)
    signal[0, :, 10] = torch.nan
    with torch.no_grad():
        assert torch.isfinite(module.prior(signal)).all()


def test_a_model_file_of_another_part_still_needs_its_run(tmp_path):
    with pytest.raises(Refusal, match="nn~ needs the encoder too, so give the run folder"):
        export_model(MODELS_DIR / "texture.int8.onnx", "torchscript", tmp_path / "x.ts", None, 0.1)
