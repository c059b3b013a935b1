"""What leaves as ONNX computes what torch computes, says who it is, and never looks ahead."""

import json

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from common import model_metadata
from common.drums import CLASSES
from common.refusal import Refusal
from tests.train.small import SMALL_DRUM
from train.export.export import Port, example_inputs, export_module
from train.kinds import load_recipe
from train.models.noise import FilteredNoise
from train.models.pqmf import PQMFAnalysis
from train.tasks.drum import DrumTask
from train.tasks.rhythm import RhythmTask


@pytest.fixture(scope="module")
def drum(tmp_path_factory):
    task = DrumTask(load_recipe("drum_quick", SMALL_DRUM))
    path = tmp_path_factory.mktemp("export") / "drum.onnx"
    inputs, outputs = task.decoder_ports()
    export_module(task.model.decoder, inputs, outputs, {"kind": "drum", **task.decoder_metadata()}, path)
    return task, path


def test_the_file_is_standard_onnx_with_functions(drum):
    _, path = drum
    model = onnx.load(path)
    onnx.checker.check_model(model, full_check=True)
    assert {f.name for f in model.functions} == {"HitSound"}
    assert {o.domain: o.version for o in model.opset_import} == {"": 21, "vaectrol": 1}
    assert [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim] == [1, 3, 1]
    assert [n.op_type for n in model.graph.node].count("Conv") == 8


def test_the_metadata_is_json_and_describes_every_port(drum):
    _, path = drum
    about = model_metadata.read_file(path)
    assert about.format == 1
    assert [spec.name for spec in about.inputs] == ["z", "knobs"]
    assert all(spec.is_event for spec in (*about.inputs, *about.outputs))
    assert about.classes == list(CLASSES)
    for p in onnx.load(path).metadata_props:
        json.loads(p.value)


def test_onnxruntime_makes_the_same_hits(drum):
    import onnxruntime

    task, path = drum
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    task.eval()
    generator = torch.Generator().manual_seed(3)
    for _ in range(3):
        feeds = example_inputs(task.decoder_ports()[0], 1, generator)
        with torch.no_grad():
            ours = task.model.decoder(*feeds).numpy()
        names = ("z", "knobs")
        (theirs,) = session.run(None, {n: f.numpy() for n, f in zip(names, feeds, strict=True)})
        assert theirs.shape == (1, 1, 96_000)
        assert np.abs(ours - theirs).max() < 1e-4 * max(1.0, np.abs(ours).max())


def test_the_rhythm_decoder_is_an_event_graph(tmp_path):
    task = RhythmTask(load_recipe("rhythm_quick", ["model.channels=8"]))
    inputs, outputs = task.decoder_ports()
    model = export_module(task.model.decoder, inputs, outputs, {"kind": "rhythm"}, tmp_path / "r.onnx")
    assert all(
        d.dim_value for v in (*model.graph.input, *model.graph.output) for d in v.type.tensor_type.shape.dim
    )
    assert [d.dim_value for d in model.graph.output[0].type.tensor_type.shape.dim] == [1, 27, 32]


@pytest.mark.parametrize("hop", [1, 3])
def test_filtered_noise_runs_in_onnxruntime_bit_for_bit_noise(tmp_path, hop):
    layer = FilteredNoise(4, 3, hop, seed=5)
    port = Port("taps", "latent", "1/48", tuple(f"t{i}" for i in range(12)), -1, 1)
    export_module(layer, [port], [Port("noise", "audio", "1", ("b",) * 4, -1, 1)], {}, tmp_path / "n.onnx")


def test_pqmf_analysis_runs_in_onnxruntime(tmp_path):
    port = Port("audio", "audio", "1/16", ("audio",), -1, 1)

    class Framed(nn.Module):
        """Give the bank audio of a whole number of frames."""

        def __init__(self):
            super().__init__()
            self.bank = PQMFAnalysis(16, 96)
            self.spread = nn.ConvTranspose1d(1, 1, 16, stride=16)

        def forward(self, x):
            return self.bank(self.spread(x))

    export_module(
        Framed(), [port], [Port("bands", "audio", "1/16", ("b",) * 16, -1, 1)], {}, tmp_path / "a.onnx"
    )


def test_a_difference_from_torch_is_refused(tmp_path):
    class Treacherous(nn.Module):
        """Computes something else in the file."""

        def forward(self, x):
            return x * 2 if torch.onnx.is_in_onnx_export() else x

    port = Port("x", "latent", "event", ("x",), -1, 1)
    with pytest.raises(Refusal, match="differs from torch"):
        export_module(
            Treacherous(), [port], [Port("y", "audio", "event", ("y",), -1, 1)], {}, tmp_path / "t.onnx"
        )
    assert not list(tmp_path.iterdir())


class Encoder(nn.Module):
    """Audio in, latents out: strided convolutions with a hop of 32 that look back only."""

    def __init__(self):
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 4, 8, stride=8), nn.Conv1d(4, 3, 4, stride=4)

    def forward(self, audio):
        return self.second(torch.tanh(self.first(audio)))


def test_an_encoder_of_audio_into_latents_is_exported_and_compiled(tmp_path):
    """Its audio is a whole number of hops long, which only its output tells."""
    from firmware.compiler.pipeline import compile_onnx

    path = tmp_path / "encoder.onnx"
    audio = Port("audio", "audio", "1/1", ("mono",), -1.0, 1.0)
    latents = Port("z", "latent", "1/32", ("a", "b", "c"), -3.0, 3.0)
    model = export_module(Encoder(), [audio], [latents], {"kind": "texture"}, path)
    assert model.graph.input[0].type.tensor_type.shape.dim[2].dim_param == "32*frames"
    report = compile_onnx(path).report
    assert [port["period_ticks"] for port in report["ports"]] == [1, 32]
    assert report["witness"]["by"].startswith("onnxruntime")
