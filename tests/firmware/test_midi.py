"""MIDI in is a CV script, MIDI out is what the gates played; other readers agree on both."""

from __future__ import annotations

import json
import os
import shutil
import struct
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import mido
import numpy as np
import pytest

import vaectrol
from common.drums import CLASSES, PARTS
from common.refusal import Refusal, ToolMissing
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.midi.cable import MidiFollower, midi_input
from firmware.midi.notes_out import write_notes
from firmware.midi.player import MidiPlayer
from firmware.midi.song import read_song, script_of, song_script
from firmware.play.live.osc import OscControl
from firmware.play.render import play
from firmware.script.cv_script import read_script, script_text
from tests.firmware import null_midi
from train.data.patterns import FACTORY_MAP, read_map

ROOT = Path(__file__).resolve().parents[2]
BEAT = 480
NAMES = (
    "latent/1",
    "latent/2",
    "latent/3",
    "mix",
    "density/kick",
    "density/snare",
    "class",
    "level",
    "threshold",
)


def written(path: Path, messages: list, tempos: tuple = ((0, 500_000),), length: int = 4 * BEAT) -> Path:
    """A type 1 file: tempos in one track; messages at their ticks in another."""
    file = mido.MidiFile(type=1, ticks_per_beat=BEAT)
    for events in ([(t, mido.MetaMessage("set_tempo", tempo=v)) for t, v in tempos], messages):
        track, now = mido.MidiTrack(), 0
        for tick, message in sorted(events, key=lambda event: event[0]):
            track.append(message.copy(time=tick - now))
            now = tick
        track.append(mido.MetaMessage("end_of_track", time=max(0, length - now)))
        file.tracks.append(track)
    file.save(path)
    return path


def key(tick: int, note: int, velocity: int = 100, ticks: int = 100, channel: int = 0) -> list:
    return [
        (tick, mido.Message("note_on", note=note, velocity=velocity, channel=channel)),
        (tick + ticks, mido.Message("note_off", note=note, channel=channel)),
    ]


def turn(tick: int, controller: int, value: int) -> tuple:
    return tick, mido.Message("control_change", control=controller, value=value)


def heard(made) -> list[np.ndarray]:
    rendered = made.rendered
    return [np.asarray(a) for a in (made.sound, rendered.cv, rendered.gates, rendered.positions)]


SONGS = {
    "drum": ([*key(0, 36, 127), *key(BEAT, 60, 32), turn(BEAT, 21, 127), turn(700, 20, 64)], ((0, 500_000),)),
    "drive": ([*key(BEAT, 60), turn(10, 22, 100)], ((0, 400_000),)),
    "rhythm": ([turn(9, 20, 90), *key(2 * BEAT, 60, ticks=BEAT)], ((0, 500_000), (BEAT, 300_000))),
    "groove": ([turn(5, 21, 127)], ((0, 600_000),)),
}


@pytest.mark.parametrize(("instrument", "board"), [(n, b) for n in SONGS for b in ("host", "patch_sm")])
def test_a_song_is_its_script_bit_for_bit(instrument, board, tmp_path):
    """The script goes through CSV and back."""
    messages, tempos = SONGS[instrument]
    song = read_song(written(tmp_path / "song.mid", messages, tempos))
    tone = {"audio_in_1": np.sin(np.arange(96_000) / 20).astype(np.float32)} if instrument == "drive" else {}
    csv = tmp_path / "song.csv"
    once = play(instrument, board=board, script=song_script(song, "song.mid", csv), sounds=tone)
    again = play(instrument, board=board, script=csv, sounds=tone)
    for made, wanted in zip(heard(once), heard(again), strict=True):
        assert np.array_equal(made, wanted)
    assert np.ptp(np.asarray(once.rendered.positions), axis=0).max() > 0.1
    assert np.abs(once.sound).max() > 1e-3


def test_a_song_is_the_script_that_a_person_would_write(tmp_path):
    """Independent of our own writing: times and values as 120 beats a minute and the [midi] table say."""
    messages, tempos = SONGS["drum"]
    song = read_song(written(tmp_path / "song.mid", messages, tempos))
    by_hand = tmp_path / "hand.csv"
    by_hand.write_text(
        f"time,trigger/1,latent/1,class\n0,1,,0\n0.5,{32 / 127!r},1,1\n{700 / 960!r},,,{64 / 127!r}\n2,,,\n"
    )
    for made, wanted in zip(
        heard(play("drum", script=song_script(song, "song.mid"))),
        heard(play("drum", script=by_hand)),
        strict=True,
    ):
        assert np.array_equal(made, wanted)


@pytest.mark.parametrize("instrument", ["drum", "drum_electronic"])
def test_keys_choose_the_drum_that_general_midi_calls_them(instrument):
    """Held to the map by which recorded performances are read."""
    names = list(CLASSES)
    follower = MidiPlayer(load_instrument(instrument), NAMES, {"class": names})
    called = {"tom_low": "tom", "tom_mid": "tom", "tom_high": "tom", "crash": "cymbal", "ride": "cymbal"}
    standard = {note: PARTS[at] for note, at in read_map(FACTORY_MAP).items() if 35 <= note <= 57}
    assert len(standard) > 15
    for note, name in standard.items():
        moves = dict(played(follower, mido.Message("note_on", note=note, velocity=127)))
        assert names[round(moves["class"] * 7)] == called.get(name, name), note
        assert moves["trigger/1"] == 1.0
    other = MidiPlayer(load_instrument(instrument), NAMES, {"class": ["kick", "voice"]})
    assert played(other, mido.Message("note_on", note=38, velocity=127)) == [("trigger/1", 1.0)]
    for note in range(128):  # every key strikes once
        moves = played(other, mido.Message("note_on", note=note, velocity=127))
        assert [column for column, _ in moves].count("trigger/1") == 1


def test_tempos_change_time_exactly(tmp_path):
    tempos = ((0, 500_000), (100, 333_333), (1000, 600_001))
    song = read_song(written(tmp_path / "s.mid", key(1100, 60), tempos))
    wanted = Fraction(100 * 500_000 + 900 * 333_333 + 100 * 600_001, BEAT * 1_000_000)
    assert [at for at, message in song.messages if message.type == "note_on"] == [wanted]
    assert song.tempo == 500_000
    clocks = [at for at, message in song.messages if message.type == "clock"]
    assert len(clocks) == 4 * 24
    assert clocks[0] == 0 and clocks[5] == Fraction(100 * 500_000, BEAT * 1_000_000)


def player(instrument: str, names=NAMES) -> MidiPlayer:
    return MidiPlayer(load_instrument(instrument), names)


def played(follower: MidiPlayer, *messages) -> list:
    return [move for message in messages for move in follower.play(message)]


def test_velocity_controllers_and_groups_move_what_the_table_names():
    assert played(player("drum"), mido.Message("note_on", note=1, velocity=127)) == [("trigger/1", 1.0)]
    assert played(player("drum"), mido.Message("note_on", note=1, velocity=0)) == []
    turned = played(player("rhythm"), mido.Message("control_change", control=22, value=127))
    assert turned == [("density/kick", 1.0), ("density/snare", 1.0)]
    assert played(player("rhythm"), mido.Message("pitchwheel", pitch=3)) == []


def test_a_gate_is_high_as_long_as_any_key_of_it_is_held():
    follower = player("drive")
    down, up = (mido.Message(kind, note=60) for kind in ("note_on", "note_off"))
    other = down.copy(channel=3)
    assert played(follower, down, other, up) == [("gate/bypass", 1.0)]
    assert played(follower, other.copy(velocity=0)) == [("gate/bypass", 0.0)]
    assert played(follower, down, mido.Message("control_change", control=123)) == [
        ("gate/bypass", 1.0),
        ("gate/bypass", 0.0),
    ]
    assert played(follower, up) == []


def test_the_clock_is_divided_and_stops_and_starts():
    follower = player("rhythm")
    clock, start, stop, go = (mido.Message(kind) for kind in ("clock", "start", "stop", "continue"))
    assert played(follower, start, *[clock] * 13) == [("reset", 1.0), *[("clock", 1.0)] * 3]
    assert played(follower, stop, *[clock] * 20) == []
    assert played(follower, go, *[clock] * 6) == [("clock", 1.0)]
    assert played(player("drum"), start, *[clock] * 12) == []


def instrument_file(tmp_path: Path, table: str, base: str = "drum") -> Path:
    path = tmp_path / "mine.toml"
    text = (ROOT / "firmware" / "instruments" / f"{base}.toml").read_text()
    begin = text.index("[midi]")
    end = text.index("[[output]]", begin)
    path.write_text(text[:begin] + table + "\n" + text[end:])
    return path


def test_pitch_follows_as_by_volts_and_settings_come_before_the_stroke(tmp_path):
    table = (
        '[midi]\nchannel = 10\n[[midi.note]]\nnotes = [36, 84]\ntrigger = 2\nvelocity = "level"\n'
        'pitch = "latent.1"\nset = { class = 0.25 }\n'
    )
    follower = MidiPlayer(load_instrument(instrument_file(tmp_path, table)), NAMES)
    struck = mido.Message("note_on", channel=9, note=72, velocity=127)
    assert played(follower, struck) == [
        ("class", 0.25),
        ("level", 1.0),
        ("latent/1", 0.6),
        ("trigger/2", 1.0),
    ]
    assert played(follower, struck.copy(note=35), struck.copy(channel=8)) == []


@pytest.mark.parametrize(
    ("table", "words"),
    [
        ('[midi]\ncc = [{ cc = 1, to = "latent.99" }]', "latent.99"),
        ('[midi]\n[[midi.note]]\ngate = "bypass"', "a drum has no gate 'bypass'; it has trigger"),
        ('[midi]\n[[midi.note]]\nvelocity = "loudness"', "nothing called 'loudness'"),
        ("[midi]\n[[midi.note]]\nset = { klass = 0.5 }", "nothing called 'klass'"),
        ("[midi]\n[[midi.note]]\nnotes = [70, 60]", "lowest and the highest"),
        ("[midi]\n[[midi.note]]\nset = { class = 2.0 }", "between 0 and 1"),
        ("[midi]\nclock = 6", "a drum follows no clock"),
        ("[midi]\nchannel = 17", "17|less than or equal to 16"),
    ],
)
def test_a_wrong_table_is_refused_with_its_place(table, words, tmp_path, capsys):
    path = instrument_file(tmp_path, table)
    song = written(tmp_path / "s.mid", key(0, 60))
    assert vaectrol.main(["play", str(path), "--midi", str(song), "-o", str(tmp_path / "x.wav")]) == 2
    said = capsys.readouterr().err
    assert any(word in said for word in words.split("|")), said
    assert "mine.toml" in said


@pytest.mark.parametrize("instrument", available_instruments())
def test_every_shipped_instrument_says_what_midi_does(instrument, tmp_path):
    table = load_instrument(instrument).spec.midi
    assert table is not None
    assert table.cc and (table.note or table.clock)
    song = read_song(written(tmp_path / "s.mid", [turn(0, table.cc[0].cc, 127), *key(10, 60)]))
    assert play(instrument, script=song_script(song, "s.mid"), seconds=0.1).seconds > 0


BAD = {
    "words": (b"words", "is not a MIDI file"),
    "nothing": (b"", "is empty"),
    "half": (b"MThd\0\0\0\6\0\0\0\1\1\xe0MTrk\0\0\0\x20\0\x90", "damaged or truncated"),
    "frames": (b"MThd\0\0\0\6\0\0\0\1\xe8\x28MTrk\0\0\0\4\0\xff\x2f\0", "SMPTE"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_file_that_is_no_song_is_refused(kind, tmp_path):
    data, words = BAD[kind]
    (tmp_path / "bad.mid").write_bytes(data)
    with pytest.raises(Refusal, match=words):
        read_song(tmp_path / "bad.mid")


def test_a_song_without_notes_is_refused(tmp_path, capsys):
    song = written(tmp_path / "s.mid", [(0, mido.Message("program_change", program=3))])
    out = tmp_path / "x.wav"
    assert vaectrol.main(["play", "drum", "--midi", str(song), "-o", str(out)]) == 2
    assert "nothing in s.mid moves this instrument" in capsys.readouterr().err
    assert not out.exists()
    assert vaectrol.main(["play", "drum", "--midi", str(song), "--demo"]) == 2
    assert vaectrol.main(["play", "drum", "--demo", "--midi-out", str(tmp_path / "o.mid")]) == 2
    assert "these do: arpeggio, ear, rhythm" in capsys.readouterr().err


def smf_notes(data: bytes) -> list[tuple[Fraction, int, int, int]]:
    """Read a format 0 file by the specification alone: seconds, channel, key and velocity of each note-on."""
    assert data[:4] == b"MThd"
    length, form, tracks, division = struct.unpack(">IHHH", data[4:14])
    assert (length, form, tracks) == (6, 0, 1) and division < 0x8000
    assert data[14:18] == b"MTrk" and struct.unpack(">I", data[18:22])[0] == len(data) - 22
    at, status, seconds, tempo, found = 22, 0, Fraction(0), 500_000, []

    def quantity() -> int:
        nonlocal at
        value = 0
        while True:
            byte = data[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value

    while True:
        seconds += Fraction(quantity() * tempo, division * 1_000_000)
        if data[at] >= 0x80:
            status, at = data[at], at + 1
        if status == 0xFF:
            kind, at = data[at], at + 1
            size = quantity()
            body, at = data[at : at + size], at + size
            if kind == 0x2F:
                assert at == len(data)
                return found
            if kind == 0x51:
                tempo = int.from_bytes(body, "big")
        else:
            assert status >> 4 in (8, 9)
            note, velocity, at = data[at], data[at + 1], at + 2
            if status >> 4 == 9 and velocity:
                found.append((seconds, status & 15, note, velocity))


def test_what_a_rhythm_plays_is_written_and_read_by_others(tmp_path):
    song = read_song(written(tmp_path / "s.mid", [turn(0, 20, 64)], ((0, 480_000),), length=16 * BEAT))
    made = play("rhythm", script=song_script(song, "s.mid"))
    out = tmp_path / "o.mid"
    count = write_notes(made, out, song.tempo)
    found = smf_notes(out.read_bytes())
    assert len(found) == count > 20
    named = read_map(FACTORY_MAP)  # the notes of `data prepare rhythm`: what is written can be learnt from
    parts = ("kick", "snare", "hat_closed", "hat_open", "tom_low", "tom_mid", "tom_high", "crash", "ride")
    assignment = made.built.assignment
    from firmware.instruments.kinds import named as kind_of

    sources = kind_of("rhythm").gate_sources
    rises = []
    for bit, source in enumerate(assignment.gate_out):
        if source >= 0 and sources[source] in parts:
            level = (np.asarray(made.rendered.gates) >> bit & 1).astype(np.int8)
            rises += [(t / 48_000, sources[source]) for t in np.flatnonzero(np.diff(level, prepend=0) > 0)]
    heard_notes = sorted((float(at), parts[named[note]]) for at, _, note, _ in found)
    assert [part for _, part in heard_notes] != []
    half_a_tick = 480_000 / 960 / 2e6
    assert len(rises) == len(heard_notes)
    by_part = {
        part: [sorted(t for t, p in those if p == part) for those in (rises, heard_notes)] for part in parts
    }
    for ours, theirs in by_part.values():
        assert np.allclose(ours, theirs, rtol=0, atol=half_a_tick + 1e-9)
    assert {channel for _, channel, _, _ in found} == {9}
    symusic = pytest.importorskip("symusic")
    score = symusic.Score(str(out))
    assert sorted(n.pitch for n in score.tracks[0].notes) == sorted(note for _, _, note, _ in found)


class Played:
    """What a follower posts."""

    def __init__(self, room: int = 99):
        self.parameters = {name: number for number, name in enumerate(NAMES)}
        self.info = None
        self.posted: list = []
        self.room = room

    def post(self, kind, index=0, value=0.0):
        if len(self.posted) >= self.room:
            return False
        self.posted.append((kind, index, round(value, 3)))
        return True

    def position(self, name):
        return 0.0


def followed(instrument: str, room: int = 99) -> tuple[MidiFollower, OscControl, Played]:
    from firmware.instruments.kinds import named

    host = Played(room)
    control = OscControl(host, list)
    loaded = load_instrument(instrument)
    return MidiFollower(MidiPlayer(loaded, NAMES), control, named(loaded.spec.kind).gates), control, host


@pytest.fixture
def null_backend(monkeypatch):
    before = mido.backend
    mido.set_backend("tests.firmware.null_midi")
    monkeypatch.setattr(null_midi, "SAYS", [mido.Message("note_on", note=60), mido.Message("clock")])
    yield
    mido.set_backend(before)


def test_an_input_is_followed_message_by_message(null_backend, monkeypatch):
    follower, control, host = followed("drive")
    with midi_input("null", follower) as name:
        assert name == "Null keys 1"
        assert host.posted == [(5, 0, 1.0)]  # PORT_GATE, bypass
        assert [(column, value) for _, column, value in control.recorded] == [("gate/bypass", 1.0)]
    with (
        pytest.raises(Refusal, match="no MIDI input called 'Moog'; there are Null keys 1"),
        midi_input("Moog", follower),
    ):
        pass
    monkeypatch.setattr(null_midi, "TAKEN", True)
    with (
        pytest.raises(Refusal, match="cannot open the MIDI input Null keys 1: taken"),
        midi_input("Null", follower),
    ):
        pass


def test_a_full_queue_drops_and_says_so():
    follower, control, host = followed("drum", room=1)
    for _ in range(3):
        follower(mido.Message("note_on", note=60, velocity=64))
    assert host.posted == [(2, 0, 0.504)]
    assert control.faults_in_words() == ["2 MIDI messages found the queue full and were dropped"]


def test_without_the_library_a_sentence_says_what_to_install(monkeypatch):
    def absent(*_):
        raise ImportError("no rtmidi")

    monkeypatch.setattr(mido, "get_input_names", absent)
    with pytest.raises(ToolMissing, match="pip install python-rtmidi"), midi_input("x", followed("drum")[0]):
        pass


def test_a_live_instrument_follows_an_input_and_keeps_what_it_did(null_backend, tmp_path, capsys):
    out, record = tmp_path / "live.wav", tmp_path / "live.csv"
    words = [
        "play",
        "drum",
        "--midi-port",
        "Null",
        "--seconds",
        "0.5",
        "-o",
        str(out),
        "--record",
        str(record),
    ]
    assert vaectrol.main(words) == 0
    assert "Latent drum follows Null keys 1" in capsys.readouterr().out
    assert record.read_text().splitlines()[0] == "time,class,trigger/1"
    made = play("drum", script=record)
    assert np.abs(made.sound).max() > 1e-3


NULL_DEVICE = (
    "pcm.!default {\n type null\n hint { show on description null }\n}\nctl.!default { type hw card 0 }\n"
)


def test_live_sound_goes_through_a_null_device(tmp_path):
    pytest.importorskip("sounddevice", exc_type=(ImportError, OSError))
    (tmp_path / "asound.conf").write_text(NULL_DEVICE)
    words = [sys.executable, str(ROOT / "vaectrol.py"), "play", "drum", "--live", "--seconds", "1"]
    environment = {**os.environ, "ALSA_CONFIG_PATH": str(tmp_path / "asound.conf")}
    done = subprocess.run(words, env=environment, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "played 1." in done.stdout


def test_any_song_reads_back_from_its_csv_number_by_number(tmp_path):
    rng = np.random.default_rng(8)

    def byte() -> int:
        return int(rng.integers(128))

    for number in range(40):
        kinds_of = [
            lambda: mido.Message("note_on", note=byte(), velocity=byte()),
            lambda: mido.Message("note_off", note=byte()),
            lambda: mido.Message("control_change", control=byte(), value=byte()),
            lambda: mido.Message("pitchwheel", pitch=64 * byte() - 4096),
        ]
        messages = [
            (int(rng.integers(8 * BEAT)), kinds_of[rng.integers(4)]()) for _ in range(rng.integers(2, 200))
        ]
        tempos = tuple((int(rng.integers(4 * BEAT)), int(rng.integers(1, 2_000_000))) for _ in range(3))
        song = read_song(written(tmp_path / "s.mid", [*messages, turn(0, 20, number)], tempos))
        instrument = available_instruments()[number % len(available_instruments())]
        script = script_of(song, player(instrument), "s.mid")
        (tmp_path / "s.csv").write_text(script_text(script))
        again = read_script(tmp_path / "s.csv")
        assert list(again.columns) == list(script.columns)
        assert again.seconds == script.seconds
        for column, knots in script.columns.items():
            for made, wanted in zip(again.columns[column], knots, strict=True):
                assert np.array_equal(made, wanted), (instrument, column)


def test_the_wheel_bends_the_last_note():
    """Two semitones at its ends; a note that follows begins bent."""
    names = ("pitch", "velocity", "dynamics")
    voice = player("voice", names)
    assert played(voice, mido.Message("pitchwheel", pitch=8191)) == []
    moves = dict(played(voice, mido.Message("note_on", note=48, velocity=127)))
    volts = 10 * moves["pitch"] - 5
    assert volts == pytest.approx(1 + 2 / 12 * 8191 / 8192) and moves["velocity"] == 1.0
    assert moves["gate/gate"] == 1.0
    ((column, at),) = played(voice, mido.Message("pitchwheel", pitch=-4096))
    assert column == "pitch" and 10 * at - 5 == pytest.approx(1 - 1 / 12)
    ((_, at),) = played(voice, mido.Message("pitchwheel", pitch=0))
    assert 10 * at - 5 == pytest.approx(1)


def test_a_melody_plays_the_voice_as_volts_and_gates_would(tmp_path):
    """C3, E3 and, as E3 is let go, C4: a new note each, at the pitch and the loudness of its key."""
    messages = [
        *key(0, 48, 127, ticks=700),
        *key(BEAT * 2, 52, 95, ticks=BEAT),
        *key(BEAT * 3, 60, 64, ticks=500),
    ]
    messages += [(BEAT * 4 - 200, mido.Message("pitchwheel", pitch=4096))]
    song = read_song(written(tmp_path / "song.mid", messages))
    made = play("voice", board="patch_sm", script=song_script(song, "song.mid"))
    by_hand = tmp_path / "hand.csv"
    end = 700 / 960
    third = (BEAT * 3 + 500) / 960

    def position(volts):
        return repr((volts + 5) / 10)

    rows = [
        (0, 1, position(1), 1.0),
        (end, 0, "", ""),
        (1, 1, position(4 / 3), 95 / 127),
        (1.5 - 0.005, 0, "", ""),
        (1.5, 1, position(2), 64 / 127),
        ((BEAT * 4 - 200) / 960, "", position(2 + 1 / 12), ""),
        (third, 0, "", ""),
        (float(song.seconds), "", "", ""),
    ]
    text = "".join(
        ",".join(repr(one) if isinstance(one, float) else str(one) for one in row) + "\n" for row in rows
    )
    by_hand.write_text("time,gate/gate,pitch,velocity\n" + text)
    again = play("voice", board="patch_sm", script=by_hand)
    for one, other in zip(heard(made), heard(again), strict=True):
        assert np.array_equal(one, other)
    volts = np.asarray(made.rendered.cv[1])
    for at_s, wanted in ((0.5, 1.0), (1.3, 4 / 3), (1.55, 2.0), (1.9, 2 + 1 / 12)):
        assert volts[round(at_s * 48_000)] == pytest.approx(wanted, abs=3 / 1200), at_s
    gate = np.asarray(made.rendered.gates) & 1
    assert np.flatnonzero(np.diff(gate.astype(int)) == 1).size == 2 + int(gate[0] == 0)


def test_keys_at_once_each_take_the_voice_that_was_let_go_first():
    """A fifth key goes over the oldest without a stroke; a key that lost its voice lets nothing go."""
    names = ("pitch", "pitch/2", "pitch/3", "pitch/4", "velocity")
    choir = player("choir", names)

    def gates(kind, *notes):
        messages = [mido.Message(kind, note=note, velocity=100 if kind == "note_on" else 0) for note in notes]
        return [move for move in played(choir, *messages) if move[0].startswith("gate/")]

    assert gates("note_on", 48, 52, 55) == [("gate/gate", 1.0), ("gate/gate_2", 1.0), ("gate/gate_3", 1.0)]
    assert gates("note_off", 52) == [("gate/gate_2", 0.0)]
    assert gates("note_on", 60) == [("gate/gate_4", 1.0)]
    moves = played(choir, mido.Message("note_on", note=64, velocity=100))
    assert dict(moves)["pitch/2"] == pytest.approx((28 / 12 + 5) / 10) and ("gate/gate_2", 1.0) in moves
    stolen = played(choir, mido.Message("note_on", note=67, velocity=100))
    assert dict(stolen)["pitch"] == pytest.approx((31 / 12 + 5) / 10)
    assert not [column for column, _ in stolen if column.startswith("gate/")]
    assert gates("note_off", 48) == [] and gates("note_off", 67) == [("gate/gate", 0.0)]
    bent = dict(played(choir, mido.Message("pitchwheel", pitch=8191)))
    assert {"pitch", "pitch/2", "pitch/3", "pitch/4"} == set(bent)
    assert bent["pitch/3"] == pytest.approx((19 / 12 + 2 / 12 * 8191 / 8192 + 5) / 10)
    released = played(choir, mido.Message("control_change", control=123, value=0))
    assert {column for column, value in released if value == 0.0} == {
        "gate/gate_2",
        "gate/gate_3",
        "gate/gate_4",
    }


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not here: apt install nodejs")
def test_pages_give_keys_the_voices_that_play_does(tmp_path):
    """Some hundred keys, wheels and controllers at random, by the page's own module in node."""
    names = ("pitch", "pitch/2", "pitch/3", "pitch/4", "velocity", "dynamics")
    choir = player("choir", names)
    rng = np.random.default_rng(5)
    messages = []
    for _ in range(300):
        note = int(rng.integers(40, 49))
        on = mido.Message("note_on", note=note, velocity=int(rng.integers(1, 128)))
        wheel = mido.Message("pitchwheel", pitch=int(rng.integers(-8192, 8192)))
        silence = mido.Message("control_change", control=123, value=0)
        off = mido.Message("note_off", note=note)
        messages.append(rng.choice([on, off, wheel, silence], p=[0.5, 0.44, 0.04, 0.02]))
    job = tmp_path / "job.mjs"
    table = {"messages": [one.bytes() for one in messages], "midi": choir.columns(), "names": names}
    web = ROOT / "firmware" / "ports" / "web" / "midi.js"
    job.write_text(
        f"""import {{Midi}} from {json.dumps(web.as_uri())};
const {{messages, midi, names}} = {json.dumps(table)};
const moves = [], gates = ["gate", "accent", "gate_2", "gate_3", "gate_4"];
const desk = {{
  about: {{midi, gateFunctions: gates, parameters: names.map((name) => ({{name, knob: -1}})), inputs: []}},
  parameterNumbers: new Map(names.map((name, at) => [name, at])),
  listen() {{}}, patch: {{cables: {{}}}}, jacks: {{}},
  setRemote(column, value) {{ moves.push([column, value]); }},
  sound: {{send({{do: what, index, value}}) {{
    if (what === "post") moves.push([`gate/${{gates[index]}}`, value]);
  }}}},
}};
const player = new Midi(desk);
const heard = messages.map((bytes) => {{ moves.length = 0; player.hear(bytes); return moves.slice(); }});
console.log(JSON.stringify(heard));
"""
    )
    (tmp_path / "package.json").write_text('{"type": "module"}')
    found = json.loads(subprocess.run(["node", str(job)], capture_output=True, check=True, text=True).stdout)
    for message, moves in zip(messages, found, strict=True):
        assert dict(moves) == pytest.approx(dict(choir.play(message))), message
