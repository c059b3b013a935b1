"""`vaectrol table`: what a module recorded as a WAV file, and back; soundfile and `wave` are witnesses."""

from __future__ import annotations

import json
import shutil
import struct
import subprocess
import time
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vaectrol
from common.refusal import Refusal
from firmware.build import generate
from firmware.instruments.latents.tables import FRAME_HZ, FRAMES, LATENTS, latents_hash
from firmware.models.model_file import read_model
from firmware.ports.simulated.link import simulated_program
from firmware.ports.web.describe import describe, describe_script
from firmware.ports.web.link import WEB, link
from firmware.ports.web.page import tables_about
from firmware.script.cv_script import read_script
from firmware.tables.module import fetch_table, send_table
from firmware.tables.put import TableFiles
from firmware.tables.wav import Table, read_table, write_table
from hardware.board import load_board
from hardware.protocol import Link
from hardware.simulated import STORAGE_BYTES, SimulatedBoard
from tests.firmware.test_latent_layer import layered
from tests.firmware.test_latent_tables import TABLES

MODEL = "0123abcd"


@pytest.fixture
def table():
    drawn = np.random.default_rng(4).integers(-32767, 32768, (137, LATENTS))
    return Table(drawn.astype(np.int16), MODEL)


def test_a_table_comes_back_from_its_file(table, tmp_path):
    write_table(tmp_path / "t.wav", table)
    again = read_table(tmp_path / "t.wav")
    assert np.array_equal(again.frames, table.frames)
    assert again.model == MODEL


def test_soundfile_and_wave_read_what_is_written(table, tmp_path):
    write_table(tmp_path / "t.wav", table)
    samples, rate_hz = soundfile.read(tmp_path / "t.wav", dtype="int16")
    assert rate_hz == FRAME_HZ and np.array_equal(samples, table.frames)
    with soundfile.SoundFile(tmp_path / "t.wav") as file:
        assert MODEL in file.comment
    with wave.open(str(tmp_path / "t.wav")) as file:
        assert (file.getnchannels(), file.getframerate(), file.getsampwidth()) == (LATENTS, FRAME_HZ, 2)
        assert file.readframes(file.getnframes()) == table.frames.astype("<i2").tobytes()


@pytest.mark.parametrize("subtype", ["PCM_16", "PCM_32", "FLOAT"])
def test_what_soundfile_writes_is_read(subtype, table, tmp_path):
    shares = table.frames / 32767
    with soundfile.SoundFile(tmp_path / "t.wav", "w", FRAME_HZ, LATENTS, subtype) as file:
        file.comment = f"of the model {MODEL}"
        file.write(shares)
    again = read_table(tmp_path / "t.wav")
    assert np.abs(again.frames.astype(int) - table.frames).max() <= 1
    assert again.model == MODEL


def test_what_wave_writes_is_read_and_is_of_no_known_model(table, tmp_path):
    with wave.open(str(tmp_path / "t.wav"), "wb") as file:
        file.setnchannels(LATENTS)
        file.setframerate(FRAME_HZ)
        file.setsampwidth(2)
        file.writeframes(table.frames.astype("<i2").tobytes())
    again = read_table(tmp_path / "t.wav")
    assert np.array_equal(again.frames, table.frames) and again.model == ""


def test_another_rate_becomes_ours(tmp_path):
    ramp = np.linspace(-1, 1, 801)[:, None].repeat(LATENTS, 1)
    soundfile.write(tmp_path / "t.wav", ramp, 400, "FLOAT")
    frames = read_table(tmp_path / "t.wav").frames
    assert len(frames) == 200
    assert frames[:, 3] / 32767 == pytest.approx(np.linspace(-1, 1, 801)[: 4 * 200 : 4], abs=1e-4)


def torn(path, size):
    path.write_bytes(path.read_bytes()[:size])


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (lambda path: path.unlink(), "cannot read"),
        (lambda path: path.write_bytes(b"no sound"), "no WAV file"),
        (lambda path: torn(path, 500), "torn"),
        (lambda path: torn(path, 44), "torn"),
        (lambda path: soundfile.write(path, np.zeros((50, 2)), FRAME_HZ), "2 channels and a table 16"),
        (lambda path: soundfile.write(path, np.zeros((FRAMES + 1, LATENTS)), FRAME_HZ), "Cut it"),
        (lambda path: soundfile.write(path, np.zeros((0, LATENTS)), FRAME_HZ), "0 frames"),
        (lambda path: soundfile.write(path, np.zeros((9, LATENTS)), FRAME_HZ, "PCM_24"), "24-bit"),
        (lambda path: soundfile.write(path, np.full((9, LATENTS), np.nan), FRAME_HZ, "FLOAT"), "not finite"),
    ],
)
def test_a_bad_file_is_one_sentence(spoil, sentence, table, tmp_path, capsys):
    path = tmp_path / "t.wav"
    write_table(path, table)
    spoil(path)
    with pytest.raises(Refusal, match=sentence):
        read_table(path)
    assert vaectrol.main(["table", "write", str(path), "--port", "/dev/null"]) == 2
    assert sentence in capsys.readouterr().err


def test_every_torn_file_is_refused_or_read(table, tmp_path):
    path = tmp_path / "t.wav"
    write_table(path, Table(table.frames[:3], MODEL))
    whole = path.read_bytes()
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(Refusal):
            read_table(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("board")


@pytest.fixture(scope="module")
def program(model_files, folder):
    file = layered("drum", folder, TABLES)
    return simulated_program(file, "patch_sm", folder, {"drum": model_files["drum"]})


def test_a_module_takes_a_table_plays_it_and_has_it_again_after_a_power_cut(program, table, tmp_path):
    flash = bytearray(b"\xff" * STORAGE_BYTES)
    board = load_board("patch_sm")
    with SimulatedBoard(board, program, flash=flash) as played, Link(played.device) as link:
        with pytest.raises(Refusal, match=r"table b of .* is empty"):
            fetch_table(link, "b")
        with pytest.raises(Refusal, match="no table 'c'"):
            fetch_table(link, "c")
        with pytest.raises(Refusal, match="of the model 0123abcd, and the module plays"):
            send_table(link, "b", table)
        send_table(link, "b", table, of_any_model=True)
        here = fetch_table(link, "b")
        assert np.array_equal(here.frames, table.frames)
        send_table(link, "a", here)  # now it is of this model
        deadline = time.monotonic() + 20
        while flash.count(b"VTAB") < 2 and time.monotonic() < deadline:
            time.sleep(0.02)
    with SimulatedBoard(board, program, flash=flash) as played:
        for name in "ab":
            out = tmp_path / f"{name}.wav"
            assert vaectrol.main(["table", "read", "--port", played.device, "-t", name, "-o", str(out)]) == 0
            assert np.array_equal(read_table(out).frames, table.frames)
        assert vaectrol.main(["table", "write", str(out), "--port", played.device, "-t", "a"]) == 0


def test_a_performer_hears_a_table_file_as_the_hands_that_it_holds(tmp_path, model_files, capsys):
    """`play --table`: frames that stand at a knob's place sound as that knob; so do an emulated module's."""
    file, models = layered("drum", tmp_path, TABLES), ["--model", f"drum={model_files['drum']}"]
    script = tmp_path / "hits.csv"
    script.write_text("time,gate_in_1,knob_2\n0,0,0.9\n0.05,1,0.9\n0.1,0,0.9\n0.3,0,0.9\n")
    words = [str(file), "--cv", str(script), *models, "--board", "patch_sm", "--seconds", "0.3"]
    latents = read_model(model_files["drum"]).about.latents
    at_rest = np.zeros((50, LATENTS), np.int16)
    for number, latent in enumerate(latents):
        low, high = latent.quantiles[0], latent.quantiles[-1]
        at_rest[:, number] = round(32767 * (2 * latent.at_rest - low - high) / (high - low))
    write_table(tmp_path / "rest.wav", Table(at_rest, f"{latents_hash(read_model(model_files['drum'])):08x}"))

    def played(name, command, *more):
        assert vaectrol.main([command, *words, *more, "-o", str(tmp_path / name)]) == 0
        return soundfile.read(tmp_path / name)[0]

    table = ["--table", f"a={tmp_path / 'rest.wav'}"]
    rests = played("rests.wav", "play", *table)
    script.write_text(script.read_text().replace("0.9", "0.5"))
    assert np.abs(rests).max() > 0.01 and np.abs(played("plain.wav", "play") - rests).max() < 1e-3
    module = played("module.wav", "emulate", *table, "--callbacks", "4")
    assert np.array_equal(module, rests)
    if shutil.which("node"):
        files = TableFiles({"a": tmp_path / "rest.wav"})
        page = in_node(file, {"drum": model_files["drum"]}, script, files, tmp_path)
        assert np.array_equal(page, rests.T)
    capsys.readouterr()


def in_node(instrument, models, script, tables, folder):
    """What the page's own script and module play in 0.3 s."""
    built = generate(instrument, "patch_sm", folder / "wasm", models=models, target="wasm")
    about = {**describe(built, 48), "tables": tables_about(built, tables)}
    module = link(built, folder)
    (folder / "about.json").write_text(json.dumps(about))
    (folder / "script.json").write_text(json.dumps(describe_script(read_script(script))))
    runner = Path(__file__).with_name("web_runner.mjs")
    subprocess.run(["node", str(runner), str(WEB), str(folder), module.name, "14400"], check=True)
    return np.fromfile(folder / "audio.out", np.float32).reshape(2, -1)


@pytest.mark.parametrize(
    ("table", "sentence"),
    [
        ("a={other}", "t.wav is of the model 0123abcd, and the instrument plays"),
        ("c={other}", "there is no table 'c'"),
        ("a={torn}", "torn"),
        ("a={missing}", "cannot read"),
        ("{other}", "takes NAME=FILE"),
    ],
)
def test_a_table_that_cannot_be_played_is_one_sentence(
    table, sentence, program, folder, model_files, tmp_path, capsys
):
    other, cut = tmp_path / "t.wav", tmp_path / "torn.wav"
    write_table(other, Table(np.zeros((3, LATENTS), np.int16), MODEL))
    cut.write_bytes(other.read_bytes()[:-5])
    named = table.format(other=other, torn=cut, missing=tmp_path / "no.wav")
    out = tmp_path / "out.wav"
    words = ["play", str(folder / "drum_layered.toml"), "--seconds", "0.1", "-o", str(out)]
    assert vaectrol.main([*words, "--model", f"drum={model_files['drum']}", "--table", named]) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and sentence in said[0]
    assert not out.exists()


def test_an_instrument_without_tables_says_how_to_have_some(table, tmp_path, model_files, capsys):
    write_table(tmp_path / "t.wav", table)
    words = ["play", "drum", "--seconds", "0.1", "-o", str(tmp_path / "out.wav")]
    words += ["--model", f"drum={model_files['drum']}", "--table", f"a={tmp_path / 't.wav'}"]
    assert vaectrol.main(words) == 2
    assert "say tables = true in [latents]" in capsys.readouterr().err
    page = ["web", "drum", *words[-4:], "-o", str(tmp_path / "page.html")]
    assert vaectrol.main(page) == 2
    assert "say tables = true in [latents]" in capsys.readouterr().err
    assert vaectrol.main(["web", "drum", *words[-2:], "-o", str(tmp_path / "pages")]) == 2
    assert "with --table name one page" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"table": 7, "at": 0}, "no such table"),
        ({"table": 0, "at": 2001}, "0 to 2000"),
        ({"table": 0}, "0 to 2000"),
    ],
)
def test_a_bad_request_is_refused_in_the_module_s_own_words(program, request_, sentence):
    with SimulatedBoard(load_board("patch_sm"), program) as played, Link(played.device) as link:
        with pytest.raises(Refusal, match=sentence):
            link.ask("table", **request_)
        for spoilt in ({"hash": "0123"}, {"data": [0] * 15}, {"data": [40000] * 16}, {"hash": "00000000"}):
            good = {"table": 0, "at": 0, "hash": "0123abcd", "data": [0] * 16}
            with pytest.raises(Refusal, match=r"wants|another model"):
                link.ask("table_write", **{**good, **spoilt})


def test_the_numbers_of_a_wav_file_mean_what_they_say(table, tmp_path):
    """Independent of both readers: the bytes, by hand."""
    write_table(tmp_path / "t.wav", table)
    raw = (tmp_path / "t.wav").read_bytes()
    at = raw.index(b"data")
    assert struct.unpack("<I", raw[4:8])[0] == len(raw) - 8
    assert struct.unpack("<I", raw[at + 4 : at + 8])[0] == table.frames.size * 2
    assert struct.unpack("<h", raw[at + 8 + 2 * 5 : at + 10 + 2 * 5])[0] == table.frames[0, 5]
