"""A capture is an instrument: it plays what its model plays, and is refused at another rate."""

import copy
import json

import numpy as np
import onnx
import pytest
import soundfile

import vaectrol
from captures.read import model_of, read_capture
from common.model_metadata import write as write_metadata
from firmware.compiler.binding import load_host
from firmware.compiler.pipeline import compile_onnx
from tests.captures import made
from tests.captures.test_import import noise

BLOCK = 48


@pytest.fixture
def folder(tmp_path):
    loud = copy.deepcopy(made.NAM["A1"])
    loud["weights"][-1] = 3.0  # the scale of the head
    (tmp_path / "small.nam").write_text(json.dumps(loud))
    out = ["-o", str(tmp_path / "small.onnx"), "--instrument", str(tmp_path / "small.toml")]
    assert vaectrol.main(["import", str(tmp_path / "small.nam"), *out]) == 0
    (tmp_path / "small.onnx").rename(tmp_path / "small.int8.onnx")  # in float: nothing here is about integers
    return tmp_path


def play(folder, *words):
    sound = f"audio_in_1={folder / 'dry.wav'}"
    out = folder / "out.wav"
    status = vaectrol.main(["play", str(folder / "small.toml"), "--sound", sound, "-o", str(out), *words])
    return status, out


def test_a_capture_plays_what_its_model_plays(folder):
    dry = np.float32(0.5 * noise(9600))
    soundfile.write(folder / "dry.wav", dry[0], 48000, subtype="FLOAT")
    status, out = play(folder, "--seconds", "0.2")
    assert status == 0
    played, rate = soundfile.read(out, dtype="float32", always_2d=True)
    assert rate == 48000
    host = load_host(compile_onnx(folder / "small.int8.onnx", block=BLOCK))
    wanted = host.process({"audio_in": dry}, dry.shape[1])["audio"][0]
    count = min(len(wanted), len(played)) - 2 * BLOCK
    best = min(
        np.abs(played[shift : shift + count, 0] - wanted[:count] * scale).max()
        for shift in (0, BLOCK)
        for scale in (scale_of(played[shift : shift + count, 0], wanted[:count]),)
    )
    assert best < 2e-4 * np.abs(played).max()


def scale_of(a, b):
    """The factor between two signals that are one: the file's full scale is not the module's."""
    return float(a @ b / (b @ b))


def test_a_capture_at_another_rate_is_refused_in_one_sentence(folder, capsys):
    model = onnx.load(folder / "small.int8.onnx")
    write_metadata(model, {"sample_rate_hz": 44100})
    onnx.save(model, str(folder / "small.int8.onnx"))
    soundfile.write(folder / "dry.wav", noise(4800)[0], 48000)
    status, out = play(folder)
    complaint = capsys.readouterr().err
    assert status == 2 and not out.exists()
    assert "was made at 44,100 Hz and" in complaint and complaint.count("\n") == 1


def test_a_drive_and_a_capture_are_told_apart_from_other_models(folder, capsys):
    model = model_of(read_capture(folder / "small.nam"), "other")
    write_metadata(model, {"kind": "rhythm"})
    onnx.save(model, str(folder / "small.int8.onnx"))
    soundfile.write(folder / "dry.wav", noise(4800)[0], 48000)
    assert play(folder)[0] == 2
    assert "is a rhythm model, and this needs a drive model" in capsys.readouterr().err
