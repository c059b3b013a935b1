"""One odd file is left out with its reason and the set goes on, whatever the file is."""

from __future__ import annotations

import json
import os
import resource
import struct
from typing import ClassVar

import numpy as np
import pytest
import soundfile

from common.reading import recording
from common.refusal import LeftOut, Refusal
from firmware.play.render import read_sound
from tests.train.data_sources import beat, hit, kits, midi, write
from train.data import patterns
from train.data.kinds import base
from train.data.prepare import prepare
from train.data.workshop import Result

TABLE = patterns.read_map()


def gsm(path):
    """A WAV of a codec that cannot seek."""
    return write(path, hit(rate_hz=8000), 8000, format="WAV", subtype="GSM610")


def with_rate(path, rate_hz):
    """A WAV whose header claims a rate."""
    write(path, hit(rate_hz=48_000), 48_000, subtype="PCM_16")
    raw = bytearray(path.read_bytes())
    raw[24:28] = struct.pack("<I", rate_hz)
    path.write_bytes(raw)
    return path


def reasons(kind, source, out):
    outcome = prepare(kind, source, out)
    return {one["file"]: one["reason"] for one in outcome.left_out}, outcome.manifest["items"]


def test_a_codec_that_cannot_seek_is_read(tmp_path):
    gsm(tmp_path / "src/crash.wav")
    left_out, items = reasons("drum", kits(tmp_path / "src"), tmp_path / "out")
    assert not left_out and "crash.wav" in {item["file"] for item in items}


@pytest.mark.parametrize("rate_hz", [1, 999, 1_900_000_000])
def test_a_rate_that_no_sound_has_leaves_the_file_out(tmp_path, rate_hz):
    with_rate(tmp_path / "src/hat.wav", rate_hz)
    left_out, items = reasons("drum", kits(tmp_path / "src"), tmp_path / "out")
    assert f"claims a sample rate of {rate_hz:,} Hz" in left_out["hat.wav"] and len(items) == 18


def test_a_hundred_channels_are_refused_before_they_are_read(tmp_path):
    path = write(tmp_path / "a.wav", np.zeros((48_000, 250)), 48_000, subtype="PCM_U8")
    with pytest.raises(LeftOut, match="250 channels"):
        recording.read_recording(path, 30)


def test_what_a_decoder_raises_is_a_reason(tmp_path, monkeypatch):
    path = write(tmp_path / "a.wav", hit())
    for error in (ValueError("odd"), struct.error("short"), EOFError(), TypeError("x"), OverflowError("big")):

        def fail(*arguments, error=error):
            raise error

        monkeypatch.setattr(soundfile, "SoundFile", fail)
        with pytest.raises(LeftOut, match="cannot be decoded"):
            recording.read_recording(path, 30)
    monkeypatch.setattr(soundfile, "SoundFile", lambda path: (_ for _ in ()).throw(MemoryError()))
    with pytest.raises(LeftOut, match="memory"):
        recording.read_recording(path, 30)


def test_play_reads_what_prepare_reads_and_refuses_the_rest_in_the_same_words(tmp_path):
    assert 12_000 <= len(read_sound(gsm(tmp_path / "a.wav"), 48_000)) < 16_000  # whole frames of the codec
    for path, says in (
        (with_rate(tmp_path / "b.wav", 1_900_000_000), "claims a sample rate"),
        (write(tmp_path / "c.wav", np.full(500, np.nan), subtype="FLOAT"), "not numbers"),
    ):
        with pytest.raises(LeftOut, match=says):
            recording.read_recording(path, 30)
        with pytest.raises(Refusal, match=says):
            read_sound(path, 48_000)


def test_a_name_that_is_not_utf8_is_left_out_and_can_be_read_in_the_report(tmp_path):
    source = kits(tmp_path / "src")
    os.rename(source / "Kit A/kick_01.wav", os.fsencode(source) + b"/Kit A/kick_\xff.wav")
    left_out, items = reasons("drum", source, tmp_path / "out")
    assert "not UTF-8" in left_out["Kit A/kick_\\xff.wav"] and len(items) == 17
    assert "kick_\\xff.wav" in (tmp_path / "out/report.html").read_text()


def test_a_library_behind_a_link_is_read(tmp_path):
    """As samplers keep theirs: one folder of links to libraries elsewhere."""
    kits(tmp_path / "library")
    (tmp_path / "sounds").mkdir()
    (tmp_path / "sounds" / "kits").symlink_to(tmp_path / "library")
    (tmp_path / "sounds" / "kick.wav").symlink_to(tmp_path / "nowhere.wav")
    left_out, items = reasons("drum", tmp_path / "sounds", tmp_path / "out")
    assert len(items) == 18
    assert left_out == {"kick.wav": "is a link to a file that is not there"}


def test_a_file_that_may_not_be_read_is_left_out(tmp_path, monkeypatch):
    real = base.read_source.__globals__["file_sha256"]

    def unreadable(path):
        if path.name == "kick_01.wav":
            raise PermissionError(13, "Permission denied", str(path))
        return real(path)

    monkeypatch.setitem(base.read_source.__globals__, "file_sha256", unreadable)
    left_out, items = reasons("drum", kits(tmp_path / "src"), tmp_path / "out")
    assert len(left_out) == 3 and "Permission denied" in left_out["Kit A/kick_01.wav"] and len(items) == 15


def test_an_error_nobody_foresaw_leaves_one_file_out_and_is_not_kept(tmp_path):
    class Shop:
        kept: ClassVar[list] = []

        def recall(self, key):
            return None

        def keep(self, key, result):
            self.kept.append(key)

    def fail():
        raise ZeroDivisionError("division\nby zero")

    units = [base.Unit("a", {"n": 1}, fail), base.Unit("b", {"n": 2}, lambda: Result([{}], [{}]))]
    batch = base.work(Shop(), units, base.unwatched)
    reason = "cannot be used (ZeroDivisionError: division by zero)"
    assert batch.left_out == [{"file": "a", "reason": reason}]
    assert len(batch.items) == 1 and Shop.kept == [{"n": 2}]


def with_meta(path, kind, data):
    """A good MIDI file with one more meta event at its start."""
    raw = midi(path, beat()).read_bytes()
    at = raw.index(b"MTrk")
    length = int.from_bytes(raw[at + 4 : at + 8], "big")
    event = bytes([0, 0xFF, kind, len(data)]) + data
    path.write_bytes(raw[: at + 4] + (length + len(event)).to_bytes(4, "big") + event + raw[at + 8 :])
    return path


def test_bad_meta_events_leave_only_their_own_file_out(tmp_path):
    source = tmp_path / "src"
    midi(source / "good.mid", beat())
    with_meta(source / "key.mid", 0x59, b"\x0b\x05")
    with_meta(source / "tempo.mid", 0x51, b"\x00\x00\x00")
    with_meta(source / "short.mid", 0x51, b"\x07")
    for name, metre in (("metre", b"\x00\x02"), ("under", b"\x04\xff")):
        raw = (source / "good.mid").read_bytes()
        assert b"\xff\x58\x04\x04\x02" in raw
        (source / f"{name}.mid").write_bytes(raw.replace(b"\xff\x58\x04\x04\x02", b"\xff\x58\x04" + metre))
    left_out, items = reasons("rhythm", source, tmp_path / "out")
    assert {item["file"] for item in items} == {"good.mid"}
    assert "key" in left_out["key.mid"] and "tempo of 0" in left_out["tempo.mid"]
    assert "damaged" in left_out["short.mid"] and "0/4" in left_out["metre.mid"] and "under.mid" in left_out


def test_one_wrong_time_is_refused_before_anything_is_made_of_it(tmp_path):
    path = midi(tmp_path / "a.mid", beat(), ticks_per_beat=24, beats=8 + 2**27 // 24)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(LeftOut, match=r"1,398,\d+ bars, more than 10,000"):
        patterns.windows(patterns.read_performance(path, TABLE), TABLE, 1)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 50_000


def test_too_many_notes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(patterns, "MAX_NOTES", 10)
    with pytest.raises(LeftOut, match="notes, more than 10"):
        patterns.read_performance(midi(tmp_path / "a.mid", beat()), TABLE)
    monkeypatch.setattr(patterns, "MAX_BYTES", 100)
    with pytest.raises(LeftOut, match="MB"):
        patterns.read_performance(midi(tmp_path / "a.mid", beat()), TABLE)


def test_a_constant_is_not_called_silent(tmp_path):
    write(tmp_path / "src/clap.wav", np.full(20_000, 0.5))
    left_out, _ = reasons("drum", kits(tmp_path / "src"), tmp_path / "out")
    assert "constant +0.5 of full scale (DC)" in left_out["clap.wav"]


def test_whole_numbers_in_a_float_file_are_a_finding(tmp_path):
    write(tmp_path / "src/snare.wav", 32_767 * hit(), subtype="FLOAT")
    prepare("drum", kits(tmp_path / "src"), tmp_path / "out")
    found = json.loads((tmp_path / "out/report.json").read_text())["findings"]
    assert [one["files"] for one in found if "above full scale" in one["text"]] == [["snare.wav"]]
