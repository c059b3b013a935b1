"""Kits of soundfonts: every stroke lands in its own file, once, under its kit's name."""

import csv
import shutil
import struct

import mido
import numpy as np
import pytest
import soundfile

from common.refusal import Refusal
from train.data.kinds.drum import DrumOptions
from train.data.prepare import prepare
from train.data.soundfonts.render import HIT_S, Heard, render_kits, strokes_of, write_midi
from train.data.store import DataSet

needs_fluidsynth = pytest.mark.skipif(not shutil.which("fluidsynth"), reason="needs fluidsynth")


def quietly(things, label):
    return things


def chunk(name, body):
    return struct.pack("<4sI", name, len(body)) + body + b"\0" * (len(body) % 2)


def record(*parts):
    return b"".join(
        part if isinstance(part, bytes) else struct.pack("<H" if part >= 0 else "<h", part) for part in parts
    )


def name(text):
    return text.encode().ljust(20, b"\0")


def soundfont(path, hits):
    """A soundfont (2.01) whose kits ``{program: {key: sound}}`` are what they say, written by hand."""
    pool, headers, presets, preset_bags, preset_gens = b"", b"", b"", b"", b""
    instruments, bags, gens, number = b"", b"", b"", 0
    for order, (program, keys) in enumerate(hits.items()):
        presets += record(name(f"kit {program}"), program, 128, order) + bytes(12)
        preset_bags += record(order, 0)
        preset_gens += record(41, order)
        instruments += record(name(f"kit {program}"), number)
        for key, sound in keys.items():
            start = len(pool) // 2
            pool += (np.clip(sound, -1, 1) * 32767).astype("<i2").tobytes()
            stop = len(pool) // 2
            pool += bytes(92)
            headers += name(f"hit {key}") + struct.pack(
                "<5IBbHH", start, stop, start, stop, 48_000, key, 0, 0, 1
            )
            bags += record(len(gens) // 4, 0)
            gens += record(43, bytes([key, key]), 54, 0, 58, key, 53, number)
            number += 1
    presets += record(name("EOP"), 0, 0, len(hits)) + bytes(12)
    preset_bags += record(len(hits), 0)
    preset_gens += record(0, 0)
    instruments += record(name("EOI"), number)
    bags += record(len(gens) // 4, 0)
    gens += record(0, 0)
    headers += name("EOS") + bytes(26)
    info = chunk(b"ifil", record(2, 1)) + chunk(b"isng", b"EMU8000\0") + chunk(b"INAM", b"test\0\0")
    pdta = chunk(b"phdr", presets) + chunk(b"pbag", preset_bags) + chunk(b"pmod", bytes(10))
    pdta += chunk(b"pgen", preset_gens) + chunk(b"inst", instruments) + chunk(b"ibag", bags)
    pdta += chunk(b"imod", bytes(10)) + chunk(b"igen", gens) + chunk(b"shdr", headers)
    body = b"sfbk" + chunk(b"LIST", b"INFO" + info) + chunk(b"LIST", b"sdta" + chunk(b"smpl", pool))
    path.write_bytes(chunk(b"RIFF", body + chunk(b"LIST", b"pdta" + pdta)))
    return path


def beep(hz, seconds=0.3):
    t = np.arange(round(seconds * 48_000)) / 48_000
    return 0.8 * np.sin(2 * np.pi * hz * t) * np.exp(-12 * t)


def test_strokes_stand_apart_in_the_file_and_each_has_its_key(tmp_path):
    strokes = strokes_of(8)
    write_midi(8, strokes, tmp_path / "kit.mid")
    song = mido.MidiFile(tmp_path / "kit.mid")
    now, heard = 0.0, []
    for message in song:
        now += message.time
        if message.type == "program_change":
            assert (message.channel, message.program) == (9, 8)
        if message.type == "note_on":
            heard.append((round(now, 6), message.note, message.velocity))
    assert heard == [(round(n * HIT_S, 6), s.key, s.velocity) for n, s in enumerate(strokes)]


def test_a_drum_that_two_kits_share_is_kept_once_at_any_level():
    heard = Heard()
    assert not heard.again(36, beep(60))
    assert heard.again(36, 0.3 * beep(60))
    assert not heard.again(36, beep(90))
    assert not heard.again(38, beep(60))


@needs_fluidsynth
def test_kits_become_one_shots_that_prepare_reads(tmp_path):
    font = soundfont(
        tmp_path / "My_Font.sf2",
        {0: {36: beep(60), 38: beep(200)}, 8: {36: beep(75), 38: beep(200)}, 16: {36: beep(90)}},
    )
    beside = tmp_path / "mine"
    beside.mkdir()
    soundfile.write(beside / "clap_1.wav", beep(1000), 48_000)
    (beside / "manifest.csv").write_text("path,category,set,split\nclap_1.wav,clap,mine,train\n")
    counts = render_kits([font], tmp_path / "kits", beside, quietly)
    # the snare of kit 8 is that of kit 0, and a soundfont of one layer has one hit a drum
    assert {k: v for k, v in counts.items() if v} == {
        "my-font-standard": 2,
        "my-font-room": 1,
        "my-font-power": 1,
    }
    with (tmp_path / "kits/manifest.csv").open() as file:
        rows = {row["path"]: row for row in csv.DictReader(file)}
    assert {row["set"] for row in rows.values()} == {"mine", *(k for k, v in counts.items() if v)}
    for path in rows:
        sound, rate = soundfile.read(tmp_path / "kits" / path)
        assert rate == 48_000 and np.abs(sound).max() > 0.01
    kick = next(path for path in rows if "room__kick" in path)
    sound, _ = soundfile.read(tmp_path / "kits" / kick)
    spectrum = np.abs(np.fft.rfft(sound[:24_000]))
    assert np.argmax(spectrum) * 2 == pytest.approx(75, abs=4)
    prepare(
        "drum",
        tmp_path / "kits",
        tmp_path / "set",
        DrumOptions(hold_out="*/my-font-room__*,*/my-font-power__*"),
    )
    items = DataSet.open(tmp_path / "set").manifest
    assert {item["class"] for item in items} == {"kick", "snare", "clap"}
    held = {item["file"] for item in items if item["split"] == "test"}
    assert held == {path for path in rows if "room" in path or "power" in path}


def test_what_cannot_be_rendered_is_refused_in_a_sentence(tmp_path, monkeypatch):
    font = tmp_path / "a.sf2"
    with pytest.raises(Refusal, match="there is no soundfont"):
        render_kits([font], tmp_path / "out", None, quietly)
    font.write_bytes(b"no soundfont")
    (tmp_path / "full").mkdir()
    (tmp_path / "full/x").write_text("")
    with pytest.raises(Refusal, match="is not empty"):
        render_kits([font], tmp_path / "full", None, quietly)
    (tmp_path / "bare").mkdir()
    with pytest.raises(Refusal, match="has no manifest"):
        render_kits([font], tmp_path / "out", tmp_path / "bare", quietly)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(Refusal, match="fluidsynth is not installed"):
        render_kits([font], tmp_path / "other", None, quietly)
