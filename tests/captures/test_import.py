"""A capture is what its file says it is, to 1e-5; a damaged or unknown one is refused in one sentence."""

import copy
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

import vaectrol
from captures.read import model_of, read_capture
from common.model_metadata import read_file
from common.refusal import Refusal
from tests.captures import json_reference, made, nam_reference

REAL = Path(__file__).resolve().parents[2].parent / "shared/data/instruments/amp_captures_nam"
SAMPLES = 400
CLOSE = 1e-5


def written(folder, document, name="capture.json"):
    path = folder / name
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def played(path, x, **more):
    """What the imported model answers, by onnxruntime."""
    import onnxruntime

    model = model_of(read_capture(path, **more), path.stem)
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, {"audio_in": np.float32(x)[None]})[0][0]


def noise(samples=SAMPLES, seed=3):
    return np.float32(np.random.default_rng(seed).uniform(-0.8, 0.8, (1, samples))).astype(np.float64)


def far(got, wanted):
    """Largest difference, of full scale or of the answer where that is larger."""
    assert got.shape == wanted.shape
    assert np.abs(wanted).max() > 1e-4
    return np.abs(got - wanted).max() / max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("name", made.NAM)
def test_a_nam_file_plays_as_its_definition_says(name, tmp_path):
    document, x = made.NAM[name], noise()
    silence = np.zeros((1, 500 if name == "LSTM" else 0))  # after which nothing is left of first states
    x = np.concatenate([silence, x], axis=1)
    got, wanted = played(written(tmp_path, document, "a.nam"), x), nam_reference.answer(document, x)
    assert far(got[:, silence.size :], wanted[:, silence.size :]) < CLOSE


@pytest.mark.parametrize("name", made.RTNEURAL)
def test_layers_of_rtneural_play_as_their_definition_says(name, tmp_path):
    document, x = made.RTNEURAL[name], noise()
    assert far(played(written(tmp_path, document), x), json_reference.rtneural(document, x)) < CLOSE


@pytest.mark.parametrize("name", made.PROTEUS)
def test_a_proteus_file_plays_as_its_definition_says(name, tmp_path):
    document, x = made.PROTEUS[name], noise()
    assert far(played(written(tmp_path, document), x), json_reference.proteus(document, x)) < CLOSE


@pytest.mark.real_data
@pytest.mark.skipif(not REAL.is_dir(), reason="needs ../shared/data/instruments")
@pytest.mark.parametrize("name", ["dumble", "ampeg", "jc", "jcm"])
def test_real_captures_play_as_their_definition_says(name):
    path = REAL / f"{name}.nam"
    document = json.loads(path.read_text())
    x = np.concatenate([np.zeros((1, 200)), noise(3000)], axis=1)
    assert far(played(path, x), nam_reference.answer(document, x)) < CLOSE


def test_a_normalised_convnet_is_the_same_network(tmp_path):
    config = {"channels": 3, "dilations": [1, 2], "batchnorm": True, "activation": "ReLU"}
    document, x = made.nam("ConvNet", config, seed=8), noise()
    document["weights"] = np.abs(document["weights"]).tolist()  # variances are positive
    assert far(played(written(tmp_path, document), x), nam_reference.answer(document, x)) < CLOSE


def test_of_several_sizes_the_wanted_one_is_read(tmp_path):
    small, large = made.NAM["LSTM"], made.NAM["A1"]
    sizes = [{"max_value": 0.5, "model": small}, {"max_value": 1.0, "model": large}]
    document = {"version": "0.7.0", "architecture": "SlimmableContainer", "config": {"submodels": sizes}}
    path, x = written(tmp_path, document, "many.nam"), noise()
    assert far(played(path, x), nam_reference.answer(large, x)) < CLOSE
    assert len(read_capture(path, 0.3).sketch.nodes) < len(read_capture(path).sketch.nodes)


def test_the_model_says_what_the_file_said(tmp_path):
    document = copy.deepcopy(made.NAM["A1"])
    document["metadata"] = {"name": "Loud", "modeled_by": "Anna", "loudness": -18.5, "gear_type": "amp"}
    document["sample_rate"] = 44100
    out = tmp_path / "loud.onnx"
    assert vaectrol.main(["import", str(written(tmp_path, document)), "-o", str(out)]) == 0
    about = read_file(out)
    assert (about.kind, about.title, about.credits, about.sample_rate_hz) == (
        "capture",
        "Loud",
        ["Anna"],
        44100,
    )
    said = about.model_extra["capture"]
    assert (said["format"], said["weights"]) == ("NAM 0.5.4", len(document["weights"]))
    assert (said["loudness"], said["gear_type"]) == (-18.5, "amp")
    onnx.checker.check_model(str(out), full_check=True)


def test_a_file_without_a_rate_is_taken_to_be_at_48_khz_and_says_so(tmp_path, capsys):
    document = {k: v for k, v in made.NAM["A1"].items() if k != "sample_rate"}
    out = tmp_path / "plain.onnx"
    assert vaectrol.main(["import", str(written(tmp_path, document)), "-o", str(out)]) == 0
    assert "does not say its sample rate" in capsys.readouterr().out
    assert read_file(out).sample_rate_hz == 48000


def changed(document, **fields):
    found = copy.deepcopy(document)
    found.update(fields)
    return found


def reconfigured(**fields):
    found = copy.deepcopy(made.NAM["A1"])
    found["config"]["layers"][0].update(fields)
    return found


WHOLE = json.dumps(made.NAM["A1"])
WRONG = {
    "one weight less": (
        changed(made.NAM["A1"], weights=made.NAM["A1"]["weights"][:-1]),
        "weights, but its WaveNet",
    ),
    "one weight more": (
        changed(made.NAM["A1"], weights=[*made.NAM["A1"]["weights"], 0.0]),
        "weights, but its",
    ),
    "another architecture": (changed(made.NAM["A1"], architecture="Transformer"), "'Transformer'"),
    "another version": (changed(made.NAM["A1"], version="0.9.0"), "version 0.9.0"),
    "cut short": (WHOLE[: len(WHOLE) // 2], "is cut short"),
    "empty": ("", "is cut short"),
    "a list": ("[1, 2]", "no JSON object"),
    "something else": ({"hello": 1}, "no capture that is known"),
    "a curve nobody knows": (reconfigured(activation="Wobble"), "'Wobble'"),
    "text for a number": (reconfigured(channels="four"), 'channels is "four"'),
    "a negative dilation": (reconfigured(dilations=[1, -2, 8]), "dilations"),
    "arrays that do not meet": (reconfigured(channels=5), "channels of the 5"),
    "groups that do not divide": (reconfigured(groups_input=3), "does not divide"),
    "a weight that is text": (changed(made.NAM["A1"], weights=["a"]), "something else than numbers"),
    "a weight that is no number": (
        '{"version": "0.5.4", "architecture": "WaveNet", "config": {"layers": []}, "weights": [NaN]}',
        "not finite",
    ),
    "a rate of nothing": (changed(made.NAM["A1"], sample_rate=0), "sample_rate is 0 Hz"),
    "two inputs": (changed(made.RTNEURAL["LSTM"], in_shape=[None, None, 2]), "reads 2 inputs"),
    "a layer nobody knows": (made.rtneural(made.layer("attention", 4, (1, 4))), "'attention'"),
    "a table of another shape": (made.rtneural(made.layer("dense", 1, (2, 1), (1,))), "shape [2, 1]"),
    "cells nobody knows": (
        changed(made.PROTEUS["LSTM"], model_data={**made.PROTEUS["LSTM"]["model_data"], "unit_type": "RNN"}),
        "'RNN'",
    ),
    "a table that is missing": (
        {**made.PROTEUS["LSTM"], "state_dict": {"lin.weight": [[0.0] * 4]}},
        "rec.weight_ih_l0 is missing",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_capture_is_refused_in_one_sentence(name, tmp_path, capsys):
    document, said = WRONG[name]
    out = tmp_path / "out.onnx"
    assert vaectrol.main(["import", str(written(tmp_path, document, "bad.nam")), "-o", str(out)]) == 2
    complaint = capsys.readouterr().err
    assert said in complaint
    assert complaint.count("\n") == 1 and "Traceback" not in complaint
    assert not out.exists() and [p.name for p in tmp_path.iterdir()] == ["bad.nam"]


def test_damage_anywhere_is_a_refusal_or_a_model(tmp_path):
    """Bytes changed at random: never another exception."""
    random, text = np.random.default_rng(1), json.dumps(made.NAM["everything"])
    for _ in range(150):
        letters = list(text[: random.integers(len(text) // 2, len(text) + 1)])
        for place in random.integers(len(letters), size=3):
            letters[place] = random.choice(list('0123456789.-"[]{},:aN'))
        try:
            model_of(read_capture(written(tmp_path, "".join(letters), "x.nam")), "x")
        except Refusal:
            continue


def test_a_file_that_is_not_there_and_one_that_is_no_text(tmp_path, capsys):
    assert vaectrol.main(["import", str(tmp_path / "none.nam"), "-o", str(tmp_path / "a.onnx")]) == 2
    assert "there is no file" in capsys.readouterr().err
    binary = tmp_path / "b.nam"
    binary.write_bytes(b"\xff\xfe\x00\x01" * 9)
    assert vaectrol.main(["import", str(binary), "-o", str(tmp_path / "a.onnx")]) == 2
    assert "not JSON text" in capsys.readouterr().err


def test_reading_a_capture_needs_no_torch(tmp_path):
    path = written(tmp_path, made.NAM["A1"])
    code = "import sys, pathlib; from captures.read import *; "
    code += f"model_of(read_capture(pathlib.Path({str(path)!r})), 'a')"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
