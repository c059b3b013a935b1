"""A capture is an instrument: it plays what its model plays, and is refused at another rate."""

import copy
import json
import re

import numpy as np
import onnx
import pytest
import soundfile
from scipy.signal import csd, welch

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


def imported(folder, name, document, *words):
    """A capture file, its model in float under the name of its integers, and its instrument."""
    (folder / f"{name}.nam").write_text(json.dumps(document))
    out = ["-o", str(folder / f"{name}.onnx"), "--instrument", str(folder / f"{name}.toml"), *words]
    assert vaectrol.main(["import", str(folder / f"{name}.nam"), *out]) == 0
    (folder / f"{name}.onnx").rename(folder / f"{name}.int8.onnx")


@pytest.fixture
def pair(folder):
    """Two captures with instruments of their own, and a third instrument that fades between them."""
    other = made.wavenet(made.array(1, 3, 1, [1, 2]), seed=7)
    other["weights"][-1] = 2.0
    imported(folder, "other", other)
    small = json.loads((folder / "small.nam").read_text())
    imported(folder, "both", small, "--second", str(folder / "other.int8.onnx"))
    soundfile.write(folder / "dry.wav", np.float32(0.5 * noise(9600))[0], 48000, subtype="FLOAT")
    return folder


def heard(folder, name, **rests):
    """What an instrument plays where its controls rest so."""
    text = (folder / f"{name}.toml").read_text()
    for control, rest in rests.items():
        before, found, after = text.partition(f'to = "{control}"')
        assert found
        text = before + found + re.sub(r"default = [\d.]+", f"default = {rest}", after, count=1)
    (folder / "now.toml").write_text(text)
    out = folder / "now.wav"
    words = ["--sound", f"audio_in_1={folder / 'dry.wav'}", "--seconds", "0.2", "-o", str(out)]
    assert vaectrol.main(["play", str(folder / "now.toml"), *words]) == 0
    return soundfile.read(out, dtype="float32", always_2d=True)[0][:, 0].astype(np.float64)


def test_the_sound_fades_from_one_capture_to_the_other(pair):
    first, half, second = (heard(pair, "both", blend=share) for share in (0.0, 0.5, 1.0))
    np.testing.assert_array_equal(first, heard(pair, "small"))
    np.testing.assert_allclose(second, heard(pair, "other"), atol=1e-6)
    assert np.abs(first - second).max() > 0.1 * np.abs(first).max()
    np.testing.assert_allclose(half, 0.5 * (first + second), atol=1e-6)


def test_the_tone_raises_one_end_as_it_lowers_the_other(pair):
    noon, bright, dark = (heard(pair, "small", tone=at) for at in (0.5, 1.0, 0.0))

    def gain_db(sound, low_hz, high_hz):
        """Of a band, against noon."""
        hz, across = csd(noon, sound, 48000, nperseg=2048)
        band = (hz >= low_hz) & (hz <= high_hz)
        return 20 * np.log10(np.abs(across[band] / welch(noon, 48000, nperseg=2048)[1][band]).mean())

    assert [gain_db(bright, 9e3, 14e3), gain_db(bright, 40, 80)] == pytest.approx([6, -6], abs=0.7)
    assert [gain_db(dark, 9e3, 14e3), gain_db(dark, 40, 80)] == pytest.approx([-6, 6], abs=1.3)


def test_a_second_model_must_be_a_capture_of_an_instrument(pair, capsys):
    words = ["import", str(pair / "small.nam"), "-o", str(pair / "x.onnx"), "--second", str(pair / "y.onnx")]
    assert vaectrol.main(words) == 2
    assert "say --instrument NAME.toml too" in capsys.readouterr().err
    assert not (pair / "x.onnx").exists()
    model = onnx.load(pair / "other.int8.onnx")
    write_metadata(model, {"kind": "drive"})
    onnx.save(model, str(pair / "other.int8.onnx"))
    assert vaectrol.main(["play", str(pair / "both.toml"), "-o", str(pair / "now.wav")]) == 2
    assert "is a drive model, and this needs a capture model" in capsys.readouterr().err
