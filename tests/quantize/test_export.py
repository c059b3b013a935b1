"""What is exported gives the same in its own runtime."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from common.refusal import Refusal
from quantize.data.examples import run
from quantize.data.feeds import FeedMaker
from quantize.data.quality import snr_db
from quantize.formats.export import LEAST_SNR_DB, export_model
from quantize.formats.nn_tilde.modules import DriveModule, DrumModule
from quantize.formats.qdq import to_qdq
from quantize.formats.tflite import run_tflite, to_tflite
from quantize.formats.torchscript import compare_module, frames_looked_back, trace_decoder
from quantize.graph.load import load_graph
from quantize.graph.network import Network
from quantize.graph.runtime import run_onnx
from quantize.integers.calibrate import activation_tensors, observe, scales_from
from quantize.integers.plan import Quantized, make_plan
from tests.quantize.quantized_files import every_operator
from tests.quantize.random_graphs import random_feed, random_graph

pytestmark = pytest.mark.fast


def rounded(graph, feeds, bits):
    plan = make_plan(graph, bits)
    seen = observe(Network(graph), activation_tensors(plan), feeds)
    return Quantized(plan, scales_from(plan, seen), {})


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("seed", range(8))
def test_litert_reference_kernels_agree_on_random_graphs(seed, bits):
    graph = random_graph(seed)
    feed = random_feed(seed, frames=24)
    model = rounded(graph, [feed], bits)
    try:
        data = to_tflite(model, 24)
    except Refusal as refusal:
        pytest.skip(str(refusal))
    theirs = run_tflite(data, feed, graph.input_names)[0]
    ours = run_onnx(to_qdq(model), feed)[0]
    steps = np.abs(np.rint((theirs - ours) / model.scale("y")))
    assert snr_db(ours, theirs) > LEAST_SNR_DB[f"tflite{bits}"]
    if bits == 8:
        assert np.quantile(steps, 0.95) <= 3


@pytest.mark.parametrize("bits", [16, 8])
@pytest.mark.parametrize("which", ["stream_file", "rhythm_file"])
def test_whole_decoders_run_in_litert(which, bits, request, tmp_path):
    path = request.getfixturevalue(which)
    figures = export_model(path, "tflite", tmp_path / "m.tflite", bits, 0.05)
    assert figures["snr_db"] >= LEAST_SNR_DB[f"tflite{bits}"]
    assert (tmp_path / "m.tflite").stat().st_size == figures["bytes"]


def test_a_quantized_file_exports_to_float_onnx_and_back(rhythm_file, tmp_path):
    import onnx

    graph = load_graph(rhythm_file)
    maker = FeedMaker(graph)
    model = to_qdq(rounded(graph, [maker.make(0, 8)], 16))
    path = tmp_path / "r.int8.onnx"
    onnx.save(model, str(path))
    figures = export_model(path, "onnx", None, None, 0.1)
    written = load_graph(figures["file"])
    assert not any(n.op.endswith("quantizeLinear") for n in written.nodes)
    assert figures["snr_db"] > 40.0


def test_a_traced_decoder_takes_any_length_and_goes_on_with_its_noise(stream_file):
    graph = load_graph(stream_file)
    decoder = trace_decoder(graph)
    feed = FeedMaker(graph).make(0.09, 1)
    inputs = [torch.from_numpy(feed[n]) for n in graph.input_names]
    wanted = run(Network(graph), feed)["audio"]
    with torch.no_grad():
        made = decoder(inputs, torch.zeros((), dtype=torch.int64)).numpy()
        past = frames_looked_back(graph)
        late = decoder([t[:, :, 90 - past - 10 :] for t in inputs], torch.tensor(90 - past - 10)).numpy()
    np.testing.assert_allclose(made, wanted, atol=1e-5)
    np.testing.assert_allclose(late[..., -480:], wanted[..., -480:], atol=1e-5)


class Silent(nn.Module):
    """An encoder that always finds the same point."""

    def __init__(self, latents: int = 8):
        super().__init__()
        self.latents = latents

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.zeros(x.shape[0], self.latents) + 0.0 * x.sum()


def test_the_nn_module_plays_any_buffers_as_the_whole(drum_file, tmp_path):
    graph = load_graph(drum_file)
    entries = {spec.name: spec.channels for spec in graph.about.inputs}
    heard = 9600
    module = DrumModule(
        trace_decoder(graph),
        torch.jit.trace(Silent(), (torch.zeros(1, 1, heard),)),
        list(entries["z"]),
        list(entries["knobs"]),
        8,
        heard,
    )
    path = tmp_path / "m.ts"
    torch.jit.script(module.eval()).save(str(path))
    loaded = torch.jit.load(str(path))
    figures = compare_module(loaded, graph)
    assert figures["methods"] == ["encode", "decode", "forward"]
    assert figures["snr_db"] >= LEAST_SNR_DB["torchscript"]
    assert loaded.decode_params.tolist() == [19, 1, 1, 1]
    assert list(loaded.encode_output_labels) == list(entries["z"])
    assert loaded.encode(torch.zeros(1, 1, 4096)).shape == (1, 8, 2)
    assert loaded.set_drum_class(3) == 0
    assert loaded.get_drum_class() == [3]
    assert loaded.set_drum_class(8) == -1
    loaded.reset()
    assert float(loaded.forward(torch.zeros(1, 1, 1000)).abs().max()) == 0.0


def test_the_drive_module_streams_any_buffers_as_the_whole(drive_file, tmp_path):
    graph = load_graph(drive_file)
    names = graph.about.input("latent").channels
    heard = 9600
    place = [0.1, 0.2, 0.3]
    past = frames_looked_back(graph)
    encoder = torch.jit.trace(Silent(3), (torch.zeros(1, 2, heard),))
    module = DriveModule(trace_decoder(graph), encoder, past, names, place, 48, heard)
    path = tmp_path / "d.ts"
    torch.jit.script(module.eval()).save(str(path))
    loaded = torch.jit.load(str(path))
    figures = compare_module(loaded, graph)
    assert figures["attributes"] == ["latent", "value"]
    assert figures["snr_db"] >= LEAST_SNR_DB["torchscript"]
    assert figures["largest_output"] > 0.01
    assert figures["decode_inputs"] == ["dry", *names]
    assert loaded.encode(torch.zeros(1, 2, 4096)).shape == (1, 3, 2)
    loaded.reset()
    dry = 0.1 * torch.randn(1, 1, 1000, generator=torch.Generator().manual_seed(1))
    as_set = loaded.forward(dry)
    loaded.reset()
    held = torch.tensor(place)[None, :, None].expand(1, 3, 1000)
    torch.testing.assert_close(as_set, loaded.decode(torch.cat([dry, held], 1)))
    assert (loaded.set_latent(3), loaded.set_value(-2.0)) == (0, 0)
    assert loaded.get_value() == [-2.0]
    assert (loaded.set_latent(4), loaded.set_latent(0), loaded.set_value(5.0)) == (-1, -1, -1)
    loaded.reset()
    assert float((loaded.forward(dry) - as_set).abs().max()) > 1e-3
    loaded.reset()
    assert float(loaded.forward(torch.zeros(1, 1, 500)).abs().max()) == 0.0


def test_a_model_file_alone_is_not_enough_for_nn(rhythm_file, tmp_path):
    with pytest.raises(Refusal, match="run folder"):
        export_model(rhythm_file, "torchscript", tmp_path / "x.ts", None, 0.1)


def test_every_operator_with_a_kernel_in_tflite_is_written():
    graph = every_operator(in_tflite=True)
    random = np.random.default_rng(0)
    feed = {n: random.standard_normal(graph.fixed_shape(n)).astype(np.float32) for n in ("x", "c")}
    model = rounded(graph, [feed], 16)
    assert to_tflite(model, 24)[4:8] == b"TFL3"
