"""The bridge: what comes in moves what the mapping says, no last value is lost, a take renders the same."""

from __future__ import annotations

import itertools
import json
import math
import socket
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

import vaectrol
from common.refusal import Refusal
from firmware.bridge.curve import LAWS, Curve
from firmware.bridge.hub import Hub
from firmware.bridge.mapping import Mapping, Rule, read_mapping
from firmware.bridge.run import Wanted, Ways, run
from firmware.bridge.sinks.host import HostWanted
from firmware.bridge.sources.osc import OscSource
from firmware.bridge.sources.script import moments
from firmware.bridge.targets import Targets
from firmware.play.live.outbox import MOST_EVENTS, Outbox
from firmware.play.live.performance import Performance
from firmware.play.render import open_instrument
from firmware.script.cv_script import Script, events, read_script, script_text

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
TARGETS = Targets(["latent/1", "latent/2", "attribute/density"], ["freeze"], presets=8, osc=True, midi=True)


def mapped(folder: Path, text: str, targets: Targets = TARGETS) -> Mapping:
    path = folder / "map.toml"
    path.write_text(text)
    return read_mapping(path, targets)


def rule(source: str, target: str, **more: object) -> str:
    lines = [f'from = "{source}"', f'to = "{target}"', *(f"{name} = {value}" for name, value in more.items())]
    return "[[map]]\n" + "\n".join(lines) + "\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not toml", "map.toml is not valid TOML"),
        (rule("osc/x", "latent/9"), "line 3: map.1.to: there is no 'latent/9' here; nearest are latent/"),
        (rule("osc/x", "nonsense!"), "there are latent/1"),
        (rule("phone/nose", "latent/1"), "line 2: map.1.from: the phone says no 'phone/nose'"),
        (rule("x", "latent/1"), "there is no source 'x'"),
        (rule("osc/x", "latent/1", law='"odd"'), "line 4: map.1.law"),
        (rule("osc/x", "latent/1", range="[0, 2]"), "between 0 and 1"),
        (rule("osc/x", "latent/1", input="[3, 3]"), "both ends are the same"),
        (rule("osc/x", "preset"), "say which preset"),
        (rule("osc/x", "preset", value=9), "there are 1 to 8"),
        (rule("phone/tilt_x", "trigger/1"), "moves all the time; say where trigger/1 happens"),
        (
            rule("osc/x", "latent/1", above=0.5),
            "above and value are for what happens, and latent/1 is a level",
        ),
        (rule("osc/x", "latent/1", odd=1), "there is no such field"),
    ],
)
def test_a_wrong_mapping_is_refused_with_its_line(text, words, tmp_path):
    with pytest.raises(Refusal) as refused:
        mapped(tmp_path, text)
    assert words in str(refused.value) and "\n" not in str(refused.value)


def test_what_leads_nowhere_is_refused(tmp_path):
    alone = Targets(["latent/1"])
    for target, option in (("osc/max/x", "--osc-out"), ("midi/cc/1", "--midi-out")):
        with pytest.raises(Refusal, match=option):
            mapped(tmp_path, rule("osc/x", target), alone)


@pytest.mark.parametrize("law", LAWS)
def test_a_curve_goes_from_end_to_end_and_is_still_in_its_middle(law):
    curve = Curve((-1.0, 1.0), 0.2, law, (0.9, 0.1))
    assert curve(-9.0) == pytest.approx(0.9) and curve(9.0) == pytest.approx(0.1)
    assert curve(0.19) == curve(-0.19) == curve(0.0)
    told = [curve(x) for x in np.linspace(-1, 1, 101)]
    assert all(a >= b for a, b in itertools.pairwise(told))


def test_the_laws_are_those_of_the_panel():
    from firmware.instruments.schema import LAWS as PANEL

    assert tuple(LAWS) == PANEL


def test_rules_shape_levels_strokes_gates_and_numbers(tmp_path):
    mapping = mapped(
        tmp_path,
        rule("osc/a", "latent/1", input="[0, 127]", range="[1.0, 0.5]")
        + rule("osc/a", "osc/copy", range="[-1.0, 1.0]", input="[0, 127]")
        + rule("osc/b", "trigger/2")
        + rule("osc/c", "gate/freeze")
        + rule("midi/cc/1", "preset", above=0.5, value=3)
        + rule("midi/note/60", "midi/note/36", channel=10)
        + rule("osc/d", "clock"),
    )
    hub = Hub(mapping)
    box = hub.outbox(lambda target: True)
    for name, value in (
        *(("osc/a", 127.0), ("osc/b", 0.25), ("osc/b", 0.0), ("osc/b", 0.5), ("osc/c", 0.4), ("osc/c", 0.6)),
        *(("osc/c", 0.48), ("osc/c", 0.2), ("midi/cc/1", 0.4), ("midi/cc/1", 0.6), ("midi/cc/1", 0.7)),
        *(("midi/note/60", 0.5), ("midi/note/60", 0.0), ("osc/d", 3.0), ("osc/a", math.nan)),
    ):
        assert hub.receive(name, value)
    assert not hub.receive("osc/unknown", 1.0)
    assert box.take(99) == [
        *(("latent/1", 0.5), ("osc/copy", 1.0), ("trigger/2", 0.25), ("trigger/2", 0.5)),
        *(("gate/freeze", 1.0), ("gate/freeze", 0.0), ("preset", 3.0)),
        *(("midi/note/36@10", 0.5), ("midi/note/36@10", 0.0), ("clock", 1.0)),
    ]
    assert hub.lost == 1


def test_a_smoothed_level_glides_to_the_very_value():
    hub = Hub(Mapping((Rule("osc/a", "latent/1", smoothing_s=0.02),)))
    box = hub.outbox(lambda target: True)
    seen = []
    with hub:
        hub.receive("osc/a", 0.0)
        hub.receive("osc/a", 1.0)
        until = time.monotonic() + 20
        while (not seen or seen[-1] != 1.0) and time.monotonic() < until:
            box.wait(0.05)
            seen += [value for _, value in box.take(9)]
    assert seen[0] == 0.0 and seen[-1] == 1.0
    assert seen == sorted(seen) and any(0.0 < value < 1.0 for value in seen)


def test_of_a_level_the_last_value_stays_and_of_gates_every_edge():
    box = Outbox()
    for number in range(100_000):
        box.put("latent/1", number / 100_000)
        box.put("latent/2", 1 - number / 100_000)
    box.put("gate/freeze", 1.0)
    box.put("gate/freeze", 0.0)
    assert [name for name, _ in box.take(1)] == ["latent/1"]
    assert box.take(9) == [("latent/2", pytest.approx(1e-5)), ("gate/freeze", 1.0), ("gate/freeze", 0.0)]
    assert not box.wait(0.0)


def test_a_full_outbox_drops_strokes_and_leaves_no_gate_held():
    box = Outbox()
    for _ in range(MOST_EVENTS + 7):
        box.put("trigger/1", 1.0)
    assert box.dropped == 7
    box.put("gate/freeze", 1.0)
    box.put("gate/freeze", 0.0)
    moves = box.take(10_000)
    assert len(moves) == MOST_EVENTS + 1 and moves[-1] == ("gate/freeze", 0.0)


def test_what_could_not_be_obeyed_comes_back_unless_something_newer_waits():
    box = Outbox()
    box.give_back("latent/1", 0.25)
    box.put("latent/2", 0.75)
    box.give_back("latent/2", 0.5)
    box.give_back("trigger/1", 1.0)
    assert box.take(9) == [("latent/1", 0.25), ("latent/2", 0.75)]


class Silent:
    """Parameters without a sound."""

    info = SimpleNamespace(presets=8)

    def __init__(self):
        self.parameters = {"latent/1": 0, "latent/2": 1}

    def post(self, kind, index=0, value=0.0):
        raise AssertionError("the hub has to obey")

    def position(self, name):
        return 0.75


def test_osc_goes_by_rules_first_then_by_its_own_addresses():
    hub = Hub(Mapping((Rule("osc/wii/pitch:2", "latent/1"), Rule("osc/bang", "trigger/1", "stroke"))))
    box = hub.outbox(lambda target: True)
    source = OscSource(hub, Silent(), lambda: ["t", "k", "b", "v"])
    assert source.answer("/wii/pitch", (9.0, 0.5)) == []
    assert source.answer("/bang", ()) == []
    assert source.answer("/latent/2", (0.25,)) == []
    assert source.answer("/trigger", (3, 0.5)) == source.answer("/preset", (2,)) == []
    assert source.answer("/latent/2", ()) == [("/latent/2", [0.75])]
    assert source.answer("/info", ())[0][1] == ["t", "k", "b", "v"]
    assert "no such address" in source.answer("/nonsense", (1.0,))[0][1][0]
    assert box.take(9) == [
        *(("latent/1", 0.5), ("trigger/1", 1.0), ("latent/2", 0.25), ("trigger/3", 0.5), ("preset", 2.0))
    ]
    hub.through = False
    assert source.answer("/latent/2", (0.5,)) == [] and not box.wait(0.0)


def test_a_script_says_lines_as_lines_and_moves_as_they_are():
    script = Script(
        columns={
            "cv_1": (np.array([0.0, 0.1]), np.array([0.0, 1.0])),
            "latent/1": (np.array([0.05]), np.array([0.5])),
        }
    )
    told = moments(script, TARGETS)
    assert [name for _, name, _ in told].count("cv_1") == 11
    assert (0.05, "latent/1", 0.5) in told and told[-1][1:] == ("cv_1", 1.0)


def test_events_keep_their_order_through_a_recording(tmp_path):
    """Everything at once, in an order that the alphabet does not have."""
    built, host = open_instrument("drum", tmp_path)
    outbox = Outbox()
    played = Performance(built, host, outbox, 48)
    order = [f"trigger/{1 + n % 2}" for n in range(20)] + [
        "reset",
        "clock",
        *(f"latent/{n}" for n in (5, 2, 7)),
    ]
    for column in order:
        outbox.put(column, 0.5)
    for _ in range(4):
        played.render(48)
    path = tmp_path / "take.csv"
    path.write_text(script_text(played.script()))
    again = events(read_script(path), built.board, host.parameters)
    names = {number: name for name, number in host.parameters.items()}
    kinds = {3: "clock", 4: "reset"}
    told = [
        names[e.index] if e.kind == 1 else f"trigger/{e.index + 1}" if e.kind == 2 else kinds[e.kind]
        for e in again
    ]
    assert told == order
    assert all(a.tick < b.tick for a, b in itertools.pairwise(again))


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def sent(port: int, stop: threading.Event, seed: int, names: list[str]) -> dict[str, float]:
    """Play at random, about as fast as a sender of a thousand a second; the last values are returned."""
    from pythonosc.udp_client import SimpleUDPClient

    client, rng, last = SimpleUDPClient("127.0.0.1", port), np.random.default_rng(seed), {}
    while not stop.is_set():
        for _ in range(5):
            name = names[rng.integers(len(names))]
            value = float(np.float32(rng.random()))
            client.send_message(f"/{name}", value)
            last[name] = value
        if rng.random() < 0.1:
            client.send_message("/trigger", [1, float(rng.random())])
        time.sleep(0.005)
    return last


def test_a_performance_renders_again_bit_for_bit(tmp_path, capsys):
    """Two senders at once play over real sockets; last values stand, and the take is the live file."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import ThreadingOSCUDPServer

    heard: dict[str, float] = {}
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, value: heard.__setitem__(address, value))
    port, out, record, again = (
        free_port(),
        tmp_path / "live.wav",
        tmp_path / "take.csv",
        tmp_path / "again.wav",
    )
    mapping = tmp_path / "map.toml"
    mapping.write_text(rule("osc/hand", "latent/4", smoothing_s=0.05))
    lasts: dict[str, float] = {}
    enough, ended, listens = threading.Event(), threading.Event(), threading.Event()
    made: dict = {}

    def play(seed: int, names: list[str]) -> None:
        lasts.update(sent(port, enough, seed, names))

    with ThreadingOSCUDPServer(("127.0.0.1", 0), dispatcher) as ear:
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        wanted = Wanted(
            HostWanted("drum", out=out),
            mapping=mapping,
            ways=Ways(osc=port, osc_out=("127.0.0.1", ear.server_address[1])),
            seconds=120.0,
            record=record,
        )
        tell = lambda line: listens.set() if "listens" in line else None  # noqa: E731
        bridge = threading.Thread(target=lambda: made.update(run(wanted, tell, ended)))
        bridge.start()
        listens.wait()
        senders = [
            threading.Thread(target=play, args=(1, ["latent/1", "latent/2", "hand"])),
            threading.Thread(target=play, args=(2, ["latent/3", "level"])),
        ]
        for sender in senders:
            sender.start()
        time.sleep(2.0)
        enough.set()
        for sender in senders:
            sender.join()
        stands = {f"/position/{name}": value for name, value in lasts.items() if name != "hand"}
        stands["/position/latent/4"] = lasts["hand"]
        end = time.monotonic() + 60.0
        while not all(abs(heard.get(address, 9.0) - value) < 0.02 for address, value in stands.items()):
            assert time.monotonic() < end, (stands, heard)
            time.sleep(0.05)
        ended.set()
        bridge.join()
        ear.shutdown()
    assert made["messages"] > 100
    take = read_script(record)
    for name, value in lasts.items():
        if name != "hand":
            assert take.columns[name][1][-1] == value
    assert take.columns["latent/4"][1][-1] == pytest.approx(lasts["hand"], abs=0.02)
    command = next(line for line in made["says"].splitlines() if line.startswith("the same again: "))
    words = [*command.removeprefix("the same again: vaectrol ").split(), "--allow-silence"]
    assert vaectrol.main([*words, "-o", str(again)]) == 0
    live, rate_hz = soundfile.read(out)
    second, _ = soundfile.read(again)
    assert rate_hz == 48_000 and np.abs(live).max() > 1e-3
    assert live.shape == second.shape and np.array_equal(live, second)
    for track in ("cv", "gates"):
        first, second = (soundfile.read(path.with_suffix(f".{track}.wav"))[0] for path in (out, again))
        assert np.array_equal(first, second)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "say what to play"),
        (["drum", "--osc-out", "nowhere"], "write HOST:PORT"),
        (["drum", "-o", "out.wav"], "needs its length"),
        (["--port", "/dev/nothing", "-o", "out.wav"], "for an instrument here"),
        (["--port", "/dev/nothing"], "there is no port /dev/nothing"),
        (["drum", "--map", "absent.toml"], "cannot read absent.toml"),
        (["drum", "--cv", "absent.csv"], "cannot read the CV script"),
        (["drum", "--seconds", "-1"], "nothing to play"),
        (["nonesuch"], "nonesuch"),
    ],
)
def test_a_wrong_bridge_is_one_sentence(words, said, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert vaectrol.main(["bridge", *words]) == 2
    told = capsys.readouterr().err.strip()
    assert said in told and len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_taken_port_is_one_sentence(capsys):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = str(taken.getsockname()[1])
        assert vaectrol.main(["bridge", "drum", "--osc", port, "--seconds", "1"]) == 2
    assert "try another --osc port" in capsys.readouterr().err


def test_the_outcome_is_json_for_a_machine(tmp_path, capsys):
    path = tmp_path / "moves.csv"
    path.write_text("time,latent/1,trigger/1\n0.0,0.25,\n0.05,,1\n0.1,0.75,\n")
    record = tmp_path / "take.csv"
    words = ["bridge", "drum", "--cv", str(path), "--seconds", "3", "--record", str(record), "--json"]
    assert vaectrol.main(words) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["messages"] == 3 and made["files"] == [str(record)]
    take = read_script(record)
    assert take.columns["latent/1"][1].tolist() == [0.25, 0.75]
    assert take.columns["trigger/1"][1].tolist() == [1.0]


def test_what_a_texture_hears_goes_out_and_its_take_renders_the_same(tmp_path):
    """An encoder's latents leave by OSC while a sound plays; with that sound the take is the live file."""
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import ThreadingOSCUDPServer

    rate_hz, rng = 48_000, np.random.default_rng(2)
    time_s = np.arange(3 * rate_hz) / rate_hz
    tone = 0.3 * np.sin(2 * np.pi * 220 * time_s * (1 + 0.1 * np.floor(2 * time_s))) + 0.01 * rng.normal(
        size=len(time_s)
    )
    sound, out, record, again = (tmp_path / name for name in ("in.wav", "live.wav", "take.csv", "again.wav"))
    soundfile.write(sound, tone.astype(np.float32), rate_hz, subtype="FLOAT")
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        rule("instrument/out/latent/1", "osc/heard", input="[-5, 5]")
        + rule("script/cv_1", "latent/2", input="[-5, 5]")
    )
    script = tmp_path / "moves.csv"
    script.write_text("time,latent/1,gate/freeze,cv_1\n0.0,0.5,0,-5\n1.0,0.9,1,5\n1.5,0.2,0,0\n")
    heard: dict[str, list[float]] = {}
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, value: heard.setdefault(address, []).append(value))
    with ThreadingOSCUDPServer(("127.0.0.1", 0), dispatcher) as ear:
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        wanted = Wanted(
            HostWanted("texture", sounds={"audio_in_1": sound}, out=out),
            mapping=mapping,
            ways=Ways(osc_out=("127.0.0.1", ear.server_address[1]), script=script),
            seconds=3.0,
            record=record,
        )
        made = run(wanted, lambda line: None)
        ear.shutdown()
    assert len(set(heard["/out/latent/1"])) > 20 and len(set(heard["/out/pitch"])) > 3
    assert len(heard["/heard"]) > 20 and all(0.0 <= value <= 1.0 for value in heard["/heard"])
    take = read_script(record).columns
    assert take["gate/freeze"][1].tolist() == [0.0, 1.0, 0.0] and len(take["latent/2"][1]) > 100
    command = made["says"].splitlines()[-1].removeprefix("the same again: vaectrol ")
    assert vaectrol.main([*command.split(), "--allow-silence", "-o", str(again)]) == 0
    live, second = (soundfile.read(path)[0] for path in (out, again))
    assert np.abs(live).max() > 1e-3 and np.array_equal(live, second)
