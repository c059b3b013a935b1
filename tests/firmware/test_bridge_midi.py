"""MIDI through the bridge: by rules and by the instrument's table, out as messages, refused in a sentence."""

from __future__ import annotations

import time
from pathlib import Path

import mido
import numpy as np
import pytest

import vaectrol
from firmware.bridge.hub import Hub
from firmware.bridge.mapping import Mapping, Rule
from firmware.bridge.sinks.midi import message_of, midi_output, takes_midi
from firmware.bridge.sources.midi import MidiSource
from firmware.instruments.spec import load_instrument
from firmware.midi.player import MidiPlayer
from firmware.play.render import play
from firmware.script.cv_script import read_script
from tests.firmware import null_midi

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
PARAMETERS = ["latent/1", "latent/2", "class", "level"]


@pytest.fixture
def backend(monkeypatch):
    before = mido.backend
    mido.set_backend("tests.firmware.null_midi")
    monkeypatch.setattr(null_midi, "SAYS", [])
    monkeypatch.setattr(null_midi, "HEARD", [])
    yield null_midi
    mido.set_backend(before)


def test_rules_win_over_the_instruments_table():
    hub = Hub(
        Mapping(
            (
                Rule("midi/cc/7", "latent/2"),
                Rule("midi/pitch_bend", "latent/1"),
                Rule("midi/note/36", "trigger/1", "stroke"),
            )
        )
    )
    box = hub.outbox(lambda target: True)
    source = MidiSource(hub, MidiPlayer(load_instrument("drum"), PARAMETERS))
    for message in (
        mido.Message("control_change", control=7, value=127),
        mido.Message("pitchwheel", pitch=-8192),
        mido.Message("note_on", note=36, velocity=127),
        mido.Message("note_off", note=36),
        mido.Message("sysex", data=[1, 2, 3]),
    ):
        source(message)
    assert box.take(9) == [("latent/2", 1.0), ("latent/1", 0.0), ("trigger/1", 1.0)]
    source(mido.Message("note_on", note=60, velocity=127))
    assert ("trigger/1", 1.0) in box.take(9)
    hub.through = False
    source(mido.Message("note_on", note=60, velocity=127))
    assert box.take(9) == []


@pytest.mark.parametrize(
    ("target", "value", "message"),
    [
        ("midi/cc/74@1", 0.5, mido.Message("control_change", channel=0, control=74, value=64)),
        ("midi/note/36@10", 1.0, mido.Message("note_on", channel=9, note=36, velocity=127)),
        ("midi/note/36@10", 1e-6, mido.Message("note_on", channel=9, note=36, velocity=1)),
        ("midi/note/36@10", 0.0, mido.Message("note_on", channel=9, note=36, velocity=0)),
        ("midi/pitch_bend@2", 1.0, mido.Message("pitchwheel", channel=1, pitch=8191)),
        ("midi/pitch_bend@2", 0.0, mido.Message("pitchwheel", channel=1, pitch=-8192)),
        ("midi/pressure@3", 7.0, mido.Message("aftertouch", channel=2, value=127)),
        ("midi/clock@1", 1.0, mido.Message("clock")),
    ],
)
def test_a_target_is_the_message_that_it_says(target, value, message):
    assert message_of(target, value) == message
    assert mido.Message.from_bytes(message_of(target, value).bytes()) == message


def test_notes_that_sound_are_ended_when_the_output_is_closed(backend):
    hub = Hub(Mapping((Rule("osc/a", "midi/note/50@1", "note"), Rule("osc/b", "midi/cc/1@1"))))
    with midi_output("null", hub.outbox(takes_midi)) as name:
        assert name == "Null synth 1"
        hub.receive("osc/a", 1.0)
        for number in range(1000):
            hub.receive("osc/b", number / 999)
        until = time.monotonic() + 20
        while not any(m.type == "control_change" and m.value == 127 for m in backend.HEARD):
            assert time.monotonic() < until
            time.sleep(0.01)
    notes = [message for message in backend.HEARD if message.type == "note_on"]
    assert [(message.note, message.velocity) for message in notes] == [(50, 127), (50, 0)]


@pytest.mark.parametrize(("option", "what"), [("--midi", "input"), ("--midi-out", "output")])
def test_a_port_that_is_not_there_or_taken_is_one_sentence(option, what, backend, monkeypatch, capsys):
    assert vaectrol.main(["bridge", "drum", option, "Moog", "--seconds", "1"]) == 2
    assert f"no MIDI {what} called 'Moog'; there are Null" in capsys.readouterr().err
    monkeypatch.setattr(null_midi, "TAKEN", True)
    assert vaectrol.main(["bridge", "drum", option, "Null", "--seconds", "1"]) == 2
    assert f"cannot open the MIDI {what} Null" in capsys.readouterr().err


def test_no_library_or_no_midi_at_all_is_one_sentence(monkeypatch, capsys):
    for error, words in ((ImportError("rtmidi"), "pip install python-rtmidi"), (OSError("ALSA"), "no MIDI")):

        def absent(*_, error=error):
            raise error

        monkeypatch.setattr(mido, "get_input_names", absent)
        monkeypatch.setattr(mido, "get_output_names", absent)
        for option in ("--midi", "--midi-out"):
            assert vaectrol.main(["bridge", "drum", option, "x", "--seconds", "1"]) == 2
            said = capsys.readouterr().err.strip()
            assert words in said and len(said.splitlines()) == 1


def test_keys_play_an_instrument_and_its_notes_go_out(backend, tmp_path, capsys):
    """A rhythm by MIDI clock: its notes leave as they are written into a file by `play --midi-out`."""
    clocks = [mido.Message("start"), *(mido.Message("clock") for _ in range(96 * 4))]
    backend.SAYS.extend(clocks)
    record = tmp_path / "take.csv"
    words = ["bridge", "rhythm", "--midi", "Null k", "--midi-out", "Null s", "--seconds", "3"]
    assert vaectrol.main([*words, "--record", str(record)]) == 0
    assert "follows Null keys 1" in capsys.readouterr().out
    take = read_script(record)
    assert len(take.columns["clock"][0]) > 40
    again = play("rhythm", script=record, seconds=3.0)
    from firmware.instruments.kinds import named
    from firmware.play.hits import hits

    notes = named("rhythm").midi_notes
    found = hits(again.built, again.rendered, notes)
    wanted = {notes[part]: len(strokes) for part, strokes in found.items()}
    begun = [message for message in backend.HEARD if message.type == "note_on" and message.velocity > 0]
    keys, counts = np.unique([message.note for message in begun], return_counts=True)
    assert dict(zip(keys.tolist(), counts.tolist(), strict=True)) == wanted and wanted
    assert all(message.channel == 9 for message in begun)


@pytest.mark.skipif(Path("/dev/snd/seq").exists(), reason="this computer has MIDI")
def test_a_computer_without_midi_says_so_in_one_line(capfd):
    """With the real library: what ALSA itself would print stays off the terminal."""
    pytest.importorskip("rtmidi")
    for option in ("--midi", "--midi-out"):
        assert vaectrol.main(["bridge", "drum", option, "x", "--seconds", "1"]) == 2
        said = capfd.readouterr().err.strip()
        assert "no MIDI" in said and len(said.splitlines()) == 1
