"""Play: scripts in, sound and tracks out, whatever is in the script; OSC plays it too."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from common.refusal import Refusal
from firmware.script.cv_script import Script, read_script, signals
from hardware.board import load_board

HOST = load_board("host")


def script(tmp_path, text) -> Path:
    path = tmp_path / "script.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "first of them is `time`"),
        ("cv_1\n1\n", "first of them is `time`"),
        ("time,cv_1,cv_1\n0,1,2\n", "line 1: 'cv_1' twice"),
        ("time,cv_1\n0,loud\n", "line 2, column 2: cv_1 is 'loud', which is no number"),
        ("time,cv_1\n1,0\n0.5,0\n", "line 3: time must rise"),
        ("time,cv_1\nnan,0\n", "line 2, column 1: time is 'nan', which is no number"),
        ("time,cv_1\n-1,0\n", "line 2: time must rise"),
        ("time,cv_1\n0,1,2,3\n", "line 2: 4 cells under 2 columns"),
        ("time,cv_99\n0,1\n", "there is no 'cv_99' here"),
        ("time,trigger\n0,0.5\n", "line 2, column 2: trigger takes whole numbers from 1"),
    ],
)
def test_a_bad_script_is_refused_with_its_line(text, words, tmp_path):
    with pytest.raises(Refusal) as refusal:
        signals(read_script(script(tmp_path, text)), HOST, 100, {"mix": 0}, {})
    assert words in str(refusal.value)


def test_knobs_are_lines_gates_are_steps_events_are_events(tmp_path):
    text = "time,knob_1,cv_1,gate_in_1,mix,preset\n0,0,-10,0,,\n1,1,10,1,0.25,2\n2,,,0,,\n"
    made = signals(read_script(script(tmp_path, text)), HOST, 96_000, {"mix": 3}, {})
    names = [adc.name for adc in HOST.adcs]
    assert made.inputs[names.index("knob_1"), 24_000] == pytest.approx(0.5, abs=1e-4)
    assert made.inputs[names.index("cv_1"), 24_000] == pytest.approx(0.5, abs=1e-4)
    assert made.inputs[names.index("knob_2"), 0] == pytest.approx(0.5)  # nothing said: in the middle
    assert made.inputs[names.index("cv_2"), 0] == pytest.approx(0.5)  # nothing patched: 0 V
    assert made.gates[0, 47_999] == 0.0
    assert made.gates[0, 48_000] == 5.0
    assert [(e.tick, e.kind, e.index) for e in made.events] == [(48_000, 1, 3), (48_000, 6, 1)]


@pytest.fixture(scope="module")
def drum(model_files, tmp_path_factory):
    from firmware.build import generate, host_library
    from firmware.play.host import HostInstrument

    built = generate("drum", "host", tmp_path_factory.mktemp("drum"), models={"drum": model_files["drum"]})
    return built, HostInstrument(host_library(built))


def rendered(host, columns, ticks=24_000, block=48):
    host.begin()
    columns = {name: (np.array(t, float), np.array(v, float)) for name, (t, v) in columns.items()}
    return host.render(signals(Script(columns=columns), HOST, ticks, host.parameters, {}), block)


def test_the_declarations_are_those_of_the_headers(drum):
    from firmware import toolchain
    from firmware.play.host import DECLARATIONS

    built, host = drum
    names = ("PortInfo", "PortReport", "PortCommand")
    source = built.folder / "sizes.c"
    checks = "\n".join(f'_Static_assert(sizeof({n}) == {host.ffi.sizeof(n)}, "");' for n in names)
    source.write_text(f'#include "port.h"\n{checks}\n')
    toolchain.compile_source(source, "host")
    assert "instrument_render" not in DECLARATIONS  # Python never passes a block


def test_a_trigger_sounds_and_silence_is_silent(drum):
    _, host = drum
    assert not rendered(host, {}).audio.any()
    out = rendered(host, {"gate_in_1": ([0.1, 0.101], [1, 0])})
    assert not out.audio[0, :4800].any()
    assert np.abs(out.audio[0, 4800:9600]).max() > 1e-3
    assert (np.flatnonzero(out.gates & 1)[0], int((out.gates & 1).sum())) == (4800, 240)


@pytest.mark.parametrize("block", [1, 16, 64, 256])
def test_still_controls_sound_the_same_at_any_block(drum, block):
    _, host = drum
    hits = {"gate_in_1": ([0.05, 0.051, 0.2, 0.201], [1, 0, 1, 0])}
    # a gate is handed over at its sample, whatever the block; controls that do not move have no ramps
    assert np.abs(rendered(host, hits, block=block).audio - rendered(host, hits).audio).max() < 1e-5


def test_the_same_script_gives_the_same_sound(drum):
    _, host = drum
    moves = {"gate_in_1": ([0.05, 0.051], [1, 0]), "knob_2": ([0, 0.5], [0, 1]), "cv_1": ([0, 0.5], [-3, 3])}
    first, second = rendered(host, moves), rendered(host, moves)
    assert np.array_equal(first.audio, second.audio)
    assert np.array_equal(first.positions, second.positions)


def test_a_broken_cable_is_survived(drum):
    _, host = drum
    nan = float("nan")
    moves = {
        "cv_1": ([0, 0.1, 0.2], [0, nan, 0]),
        "knob_2": ([0, 0.1, 0.3], [nan, 1e30, -1e30]),
        "gate_in_1": ([0.05, 0.051], [1, nan]),
    }
    out = rendered(host, moves)
    assert np.isfinite(out.audio).all()
    assert np.abs(out.audio).max() <= 1.0


def test_remote_parameters_move_the_sound(drum):
    _, host = drum
    hit = {"gate_in_1": ([0.05, 0.051], [1, 0])}
    plain = rendered(host, hit).audio
    assert np.abs(rendered(host, {**hit, "level": ([0], [0.0])}).audio).max() < 1e-6
    assert not np.allclose(rendered(host, {**hit, "latent/6": ([0], [1.0])}).audio, plain)
    assert np.abs(rendered(host, {"trigger": ([0.1], [1])}).audio).max() > 1e-3


def test_rendering_leaves_the_callers_floating_point_as_it_was(drum):
    _, host = drum
    rendered(host, {"gate_in_1": ([0.05, 0.051], [1, 0])})
    assert np.float32(1e-40) * np.float32(1.0) > 0


def test_the_envelope_follows_what_sounds(drum):
    _, host = drum
    out = rendered(host, {"gate_in_1": ([0.05, 0.051], [1, 0]), "decay": ([0], [0.3]), "level": ([0], [1.0])})
    audio, envelope = np.abs(out.audio[0]), out.cv[0]
    assert not envelope[:2000].any()
    assert envelope.max() > 0.01
    assert np.all(envelope >= np.minimum(5.0, 5.0 * audio) - 1e-3)
    assert np.all(envelope[1:] >= 0.999 * envelope[:-1] - 1e-5)
    assert envelope[-1] < 0.1 * envelope.max()


def test_play_writes_sound_and_tracks(tmp_path, model_files):
    import soundfile

    from firmware.play.render import play, write_tracks

    out = tmp_path / "deep" / "out.wav"
    text = "time,gate_in_1,knob_2\n0,0,0\n0.1,1,1\n0.2,0,0\n"
    played = play("drum", script=script(tmp_path, text), models={"drum": model_files["drum"]}, seconds=0.5)
    files = write_tracks(out, played.sound, played.rendered, played.built)
    assert [path.name for path in files] == ["out.wav", "out.cv.wav", "out.gates.wav"]
    audio, rate = soundfile.read(out)
    assert (rate, audio.shape) == (48_000, (24_000, 2))
    assert np.abs(audio).max() == pytest.approx(played.peak)
    gates, _ = soundfile.read(tmp_path / "deep" / "out.gates.wav")
    assert set(np.unique(gates)) == {0.0, 1.0}


def test_sounds_go_into_jacks(tmp_path, model_files):
    import soundfile

    from firmware.play.render import play

    tone = tmp_path / "tone.wav"
    soundfile.write(tone, 0.3 * np.sin(np.arange(22_050) * 0.05), 44_100)
    models = {"drive": model_files["drive"]}
    played = play("drive", sounds={"audio_in_1": tone}, models=models)
    assert played.seconds == pytest.approx(1.5)
    assert np.abs(played.rendered.audio[0, :24_000]).max() > 0.05
    with pytest.raises(Refusal, match="cannot read the sound"):
        play("drive", sounds={"audio_in_1": tmp_path / "none.wav"}, models=models)
    with pytest.raises(Refusal, match="nothing to play: give --demo"):
        play("drive", models=models)


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf"), 1e9])
def test_a_length_that_is_none_is_refused(seconds):
    from firmware.play.render import play

    with pytest.raises(Refusal, match="nothing to play in"):
        play("drive", seconds=seconds)


def test_a_knob_that_nobody_names_is_where_a_board_without_it_has_its_parameter(model_files, tmp_path):
    """The host has a level knob that a Patch SM lacks: both play at the same level."""
    from firmware.play.render import play

    text = "time,gate_in_1\n0,0\n0.05,1\n0.06,0\n"
    models = {"drum": model_files["drum"]}
    peaks = [
        play("drum", board=board, script=script(tmp_path, text), models=models, seconds=0.3).peak
        for board in ("host", "patch_sm", "rpi4")
    ]
    assert peaks[0] > 0.01
    assert peaks == pytest.approx([peaks[0]] * 3, rel=0.02)


def test_the_margin_of_a_knob_is_the_panels():
    from firmware.build import ENGINE
    from firmware.play.render import KNOB_MARGIN

    assert f"#define KNOB_MARGIN {KNOB_MARGIN}f" in (ENGINE / "control" / "panel.c").read_text()


def test_bypass_and_dry_are_the_input_and_no_click(tmp_path, model_files):
    from firmware.build import generate, host_library
    from firmware.play.host import HostInstrument

    built = generate("drive", "host", tmp_path, models={"drive": model_files["drive"]})
    host = HostInstrument(host_library(built))
    tone = (0.3 * np.sin(np.arange(48_000) * 0.02)).astype(np.float32)
    columns = {
        "gate_in_1": (np.array([0.5]), np.array([1.0])),
        "knob_6": (np.array([0.0]), np.array([0.7071])),
    }
    made = signals(Script(columns=columns), HOST, 48_000, host.parameters, {"audio_in_1": tone})
    out = host.render(made).audio[0]
    gain = host.report().value[host.parameters["gain"]]
    assert np.allclose(out[30_000:], tone[30_000:] * gain, atol=1e-4)
    assert np.abs(np.diff(out[20_000:30_000], 2)).max() < 0.02
    assert not np.allclose(out[10_000:20_000], tone[10_000:20_000] * gain, atol=1e-2)


def test_osc_sets_triggers_answers_and_refuses(drum):
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import BlockingOSCUDPServer
    from pythonosc.udp_client import SimpleUDPClient

    from firmware.play.live.osc import OscControl, OscServer

    _, host = drum
    host.begin()
    control = OscControl(host, lambda: ["Latent drum", "drum", "host", "0"])
    heard: list[tuple[str, tuple]] = []
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, *values: heard.append((address, values)))
    quiet = signals(Script(), HOST, 480, host.parameters, {})
    with OscServer(control, 0) as server, BlockingOSCUDPServer(("127.0.0.1", 0), dispatcher) as ears:
        ears.timeout = 5.0
        client = SimpleUDPClient("127.0.0.1", server.port)
        client._sock = ears.socket  # answers come back to where the question came from

        def ask(address, *values):
            count = len(control.recorded)
            client.send_message(address, list(values))
            deadline = time.monotonic() + 5.0
            while not values and address != "/trigger":
                ears.handle_request()
                return heard[-1]
            while len(control.recorded) == count and time.monotonic() < deadline:
                time.sleep(0.005)
            return None

        ask("/latent/6", 0.75)
        for _ in range(20):
            host.render(quiet)
        assert ask("/latent/6") == ("/latent/6", (pytest.approx(0.75, abs=1e-3),))
        ask("/trigger", 1, 0.5)
        assert np.abs(host.render(quiet).audio).max() > 1e-4
        assert ask("/info")[1][0] == "Latent drum"
        assert ask("/nonsense")[0] == "/error"
        assert "no such address" in heard[-1][1][0]
    assert [column for _, column, _ in control.recorded] == ["latent/6", "trigger/1"]
    for bad in (
        ("/latent/6", (2.0,)),
        ("/latent/6", ("x",)),
        ("/preset", (99,)),
        ("/preset", ()),
        ("/trigger", (0,)),
    ):
        assert control.answer(*bad)[0][0] == "/error"


def test_a_live_session_renders_again_from_its_recording(tmp_path):
    import socket
    import threading

    import soundfile
    from pythonosc.udp_client import SimpleUDPClient

    from firmware.play.live.live import Inputs, play_live
    from firmware.play.render import play

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    client, out, record = SimpleUDPClient("127.0.0.1", port), tmp_path / "live.wav", tmp_path / "take.csv"

    def hands() -> None:
        for number in range(100):
            client.send_message("/latent/1", number / 100)
            if number % 10 == 0:
                client.send_message("/trigger", [1, 0.5])
            time.sleep(0.01)

    playing = threading.Thread(target=hands)
    made = play_live(
        "drum",
        out,
        models=None,
        inputs=Inputs(osc_port=port),
        seconds=2.0,
        block=None,
        record=record,
        tell=lambda line: playing.start(),
    )
    playing.join()
    assert made["messages"] > 20 and "messages obeyed" in made["says"]
    live, _ = soundfile.read(out, dtype="float32")
    again = play("drum", script=record, seconds=2.0)
    assert np.abs(live).max() > 1e-3 and np.array_equal(live.T, again.sound)


@pytest.mark.parametrize(
    "kind",
    ["drum", "rhythm", "arpeggio", "voice", "choir", "drive", "groove", "modal", "ear", "spectra", "grains"],
)
def test_everything_going_wrong_stays_bounded(kind, model_files):
    """A short piece of the hour that `python -m firmware.play.fuzz` runs."""
    from firmware.play.fuzz import fuzz

    roles = {"groove": ("rhythm", "drum"), "arpeggio": ("chords",), "choir": ("voice",), "modal": ()}
    roles = (roles | {"grains": ("encoder", "decoder", "codes")}).get(kind, (kind,))
    status, text = fuzz(kind, 8.0, 5, {role: model_files[role] for role in roles})
    assert status == 0, text
    assert "all bounded" in text
