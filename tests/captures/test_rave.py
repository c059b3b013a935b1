"""A RAVE export becomes an encoder and a decoder that say what torch says, and its code never runs."""

from __future__ import annotations

import json
import pickle
import zipfile

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

import vaectrol
from captures.rave.archive import read_archive
from captures.rave.weights import read_rave
from common import model_metadata
from common.refusal import Refusal
from tests.captures.rave_model import Rave, exported, holder

HOP = 4 * 4 * 2


def made(seed: int, **shape) -> Rave:
    torch.manual_seed(seed)
    return Rave(**shape).eval()


def heard(file, name: str, x: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    return session.run(None, {name: x[None].astype(np.float32)})[0][0]


@pytest.mark.parametrize("causal", [False, True])
def test_encoder_and_decoder_are_torchs(tmp_path, causal, capsys):
    model = made(1, causal=causal)
    source = exported(tmp_path / "amp.ts", model)
    out = tmp_path / "amp.onnx"
    assert vaectrol.main(["import", str(source), "-o", str(out), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["hop_samples"], found["latents"], found["is_causal"]) == (HOP, 4, causal)
    random = np.random.default_rng(2)
    x, z = 0.2 * random.normal(size=20 * HOP), random.normal(size=(4, 40))
    wanted = model.encoded(x)
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(heard(tmp_path / "amp.encoder.onnx", "audio_in", x[None]), wanted, atol=1e-6)
    sound, heard_sound = model.decoded(z), heard(out, "latents", z)[0]
    inner = slice(14 * HOP, -10 * HOP)  # at the ends the mean, which is folded in, meets zeros
    assert np.abs(sound[inner]).max() > 1e-3
    np.testing.assert_allclose(heard_sound[inner], sound[inner], atol=1e-6)
    for file in (out, tmp_path / "amp.encoder.onnx"):
        about = model_metadata.read(onnx.load(file))
        assert about.sample_rate_hz == 44_100 and len(about.latents) == 4


def test_fewer_latents_are_the_first_ones(tmp_path):
    model = made(3)
    source = exported(tmp_path / "amp.ts", model)
    assert vaectrol.main(["import", str(source), "-o", str(tmp_path / "a.onnx"), "--latents", "2"]) == 0
    z = np.random.default_rng(4).normal(size=(2, 40))
    inner = slice(14 * HOP, -10 * HOP)
    np.testing.assert_allclose(
        heard(tmp_path / "a.onnx", "latents", z)[0][inner], model.decoded(z)[inner], atol=1e-6
    )


def test_a_noise_branch_is_left_out_and_said(tmp_path, capsys):
    source = exported(tmp_path / "amp.ts", made(5, noise=True))
    assert vaectrol.main(["import", str(source), "-o", str(tmp_path / "a.onnx")]) == 0
    assert "noise" in capsys.readouterr().out
    assert read_rave(source).has_noise and not read_rave(exported(tmp_path / "b.ts", made(5))).has_noise


class Discrete(nn.Module):
    def __init__(self):
        super().__init__()
        self.pqmf, self.decoder = holder(), holder()
        self.encoder = holder(rvq=nn.Linear(2, 2))

    def forward(self, x):
        return self.encoder.rvq(x)


def second(path):
    """As v2 has it: no branches of wave and loudness."""
    model = made(7)
    model.decoder.synth = holder()
    return exported(path, model)


def broken(path):
    """Cut short."""
    exported(path, made(8))
    path.write_bytes(path.read_bytes()[:-700])
    return path


def plain_zip(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "hello")
    return path


@pytest.mark.parametrize(
    ("write", "said"),
    [
        (lambda path: exported(path, made(6, channels=2)), "2 channels"),
        (lambda path: exported(path, Discrete()), "discrete latents"),
        (lambda path: exported(path, nn.Linear(2, 2)), "something else than RAVE"),
        (second, "RAVE v2 or v3"),
        (broken, "cut short or damaged"),
        (plain_zip, "holds no TorchScript"),
    ],
)
def test_what_is_not_read_is_refused_in_a_sentence(tmp_path, capsys, write, said):
    source = write(tmp_path / "amp.ts")
    assert vaectrol.main(["import", str(source), "-o", str(tmp_path / "a.onnx")]) == 2
    error = capsys.readouterr().err
    assert said in " ".join(error.split()) and "Traceback" not in error
    assert not list(tmp_path.glob("*.onnx"))


def test_options_that_do_not_fit_are_refused(tmp_path, capsys):
    source = exported(tmp_path / "amp.ts", made(9))
    for words in (["--latents", "7"], ["--size", "0.5"]):
        assert vaectrol.main(["import", str(source), "-o", str(tmp_path / "a.onnx"), *words]) == 2
    capsys.readouterr()
    assert not list(tmp_path.glob("*.onnx"))


def test_nothing_in_a_file_is_run(tmp_path):
    """A pickle that calls a program is refused, and nothing was called."""

    class Trap:
        def __reduce__(self):
            return open, (str(tmp_path / "sprung"), "w")

    source = exported(tmp_path / "amp.ts", made(10))
    trapped = tmp_path / "trap.ts"
    with zipfile.ZipFile(source) as whole, zipfile.ZipFile(trapped, "w") as archive:
        for name in whole.namelist():
            data = pickle.dumps(Trap()) if name.endswith("/data.pkl") else whole.read(name)
            archive.writestr(name, data)
    with pytest.raises(Refusal, match="can't be read as TorchScript"):
        read_archive(trapped)
    assert not (tmp_path / "sprung").exists()


def test_it_rounds_and_fits_a_board(tmp_path, capsys):
    """The decoder's integers, and what the board is asked for."""
    from quantize.budget import quick_integers
    from quantize.cost import predict
    from quantize.data.calibration_set import from_metadata
    from quantize.formats.qdq import to_qdq
    from quantize.graph.load import load_graph
    from quantize.procedure import Settings

    source = exported(tmp_path / "amp.ts", made(11, causal=True))
    assert vaectrol.main(["import", str(source), "-o", str(tmp_path / "a.onnx")]) == 0
    graph = load_graph(tmp_path / "a.onnx")
    lessons = from_metadata(graph, count=1, batch=1)
    found = predict(to_qdq(quick_integers(graph, lessons, Settings())), "rpi4")
    assert found.fits and 0 < found.cpu_worst < 1
