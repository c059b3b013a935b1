"""Packed encoders compute what they did, and say the same of themselves."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from common import model_metadata
from common.outputs import encoder_beside
from quantize.formats.encoder import write_encoder
from train.export.export import Port, export_module
from train.export.pack import basis, packed
from train.kinds import load_recipe, task_class


def answers(model, feed):
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feed)


def stored(model, kind):
    """Bytes of a model's constants of one type."""
    arrays = (onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer)
    return sum(array.nbytes for array in arrays if array.dtype == kind)


@pytest.fixture(scope="module", params=["drum_quick", "rhythm_quick", "drive_quick"])
def encoder(request, tmp_path_factory):
    """An untrained encoder as a run writes it, and something for it to hear."""
    recipe = load_recipe(request.param)
    task = task_class(recipe.kind)(recipe).eval()
    inputs, outputs = task.encoder_ports()
    path = tmp_path_factory.mktemp("encoder") / "a.encoder.onnx"
    model = export_module(task.model.encoder, inputs, outputs, {"kind": recipe.kind, "codec": "ab"}, path)
    rng = np.random.default_rng(0)
    feed = {
        value.name: (
            0.2 * rng.standard_normal([d.dim_value or 24_000 for d in value.type.tensor_type.shape.dim])
        ).astype(np.float32)
        for value in model.graph.input
    }
    return model, feed


def test_a_packed_encoder_says_what_the_float_one_says(encoder):
    model, feed = encoder
    small = packed(model, 10**9)
    assert small.ByteSize() < 0.55 * model.ByteSize()
    assert model_metadata.read(small) == model_metadata.read(model)
    for a, b in zip(answers(model, feed), answers(small, feed), strict=True):
        np.testing.assert_allclose(b, a, atol=3e-3 * np.abs(a).max())


def test_where_float16_is_too_large_rows_become_integers(encoder):
    model, feed = encoder
    halves, rows = packed(model, 10**9), packed(model, 1)
    # Of the weights that were rounded: what is a formula or small is as large in both.
    assert stored(rows, np.int8) < 0.55 * stored(halves, np.float16)
    assert rows.ByteSize() < halves.ByteSize() - 0.4 * stored(halves, np.float16)
    for a, b in zip(answers(model, feed), answers(rows, feed), strict=True):
        np.testing.assert_allclose(b, a, atol=4e-2 * np.abs(a).max())


class Transform(nn.Module):
    """A short-time Fourier transform as a convolution, or something that only looks like one."""

    def __init__(self, change=0.0, first=0, bins=0):
        super().__init__()
        window = np.hanning(512)
        table = basis(window, first, bins)
        table[7, 9] += change
        self.register_buffer("table", torch.tensor(table, dtype=torch.float32)[:, None])

    def forward(self, x):
        return nn.functional.conv1d(x, self.table, stride=128)


@pytest.mark.parametrize(
    ("change", "first", "bins", "is_basis"),
    [(0.0, 0, 0, True), (0.01, 0, 0, False), (0.0, 1, 30, True), (0.0, 17, 240, True), (0.01, 1, 30, False)],
)
def test_a_fourier_basis_is_stored_as_its_window_and_nothing_else_is(change, first, bins, is_basis, tmp_path):
    ports = [Port("x", "audio", "event", ("x",), -1, 1, 4096)]
    ports_out = [Port("y", "latent", "event", tuple("y" * 2 * (bins or 257)), -1, 1)]
    model = export_module(Transform(change, first, bins), ports, ports_out, {}, tmp_path / "t.onnx")
    small = packed(model)
    assert (small.ByteSize() < 10_000) == is_basis
    feed = {"x": np.random.default_rng(1).standard_normal((1, 1, 4096)).astype(np.float32)}
    a, b = answers(model, feed)[0], answers(small, feed)[0]
    np.testing.assert_allclose(b, a, atol=(1e-5 if is_basis else 1e-2) * np.abs(a).max())


class Counting(nn.Module):
    """A low end of single bins as an exporter leaves it: turns are folded to whole numbers, sines are not."""

    def forward(self, x):
        turns = torch.arange(1, 52)[:, None] * torch.arange(2048)[None] % 2048
        angle = 2 * torch.pi / 2048 * turns.float()
        return nn.functional.conv1d(x, torch.cos(angle)[:, None], stride=512)


def test_whole_numbers_that_are_a_column_times_a_row_are_stored_as_those(tmp_path):
    ports = [Port("x", "audio", "event", ("x",), -1, 1, 4096)]
    outputs = [Port("y", "latent", "event", tuple("y" * 51), -1, 1)]
    model = export_module(Counting(), ports, outputs, {}, tmp_path / "t.onnx")
    assert model.ByteSize() > 400_000
    small = packed(model)
    assert small.ByteSize() < 30_000
    feed = {"x": np.random.default_rng(1).standard_normal((1, 1, 4096)).astype(np.float32)}
    np.testing.assert_array_equal(answers(small, feed)[0], answers(model, feed)[0])


def test_the_encoder_of_a_float_file_goes_with_it(encoder, tmp_path):
    model, _ = encoder
    source, out = tmp_path / "a.onnx", tmp_path / "made" / "b.int8.onnx"
    out.parent.mkdir()
    assert write_encoder(source, out) is None and not encoder_beside(out).exists()
    onnx.save(model, encoder_beside(source))
    assert write_encoder(source, out) == out.parent / "b.encoder.onnx"
    assert write_encoder(out, out) == out.parent / "b.encoder.onnx"  # its own stays
    assert model_metadata.read_file(out.parent / "b.encoder.onnx").codec == "ab"
