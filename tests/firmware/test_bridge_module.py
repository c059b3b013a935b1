"""A module behind the bridge: the simulated board follows, keeps last values, and may be unplugged."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from pythonosc.osc_message import OscMessage
from pythonosc.udp_client import SimpleUDPClient

from common.refusal import Refusal
from firmware.bridge.run import Wanted, Ways, run
from firmware.bridge.sinks.instrument import Length
from firmware.bridge.sinks.module import ModuleSide
from firmware.play.live.outbox import Outbox
from firmware.script.cv_script import read_script
from firmware.toolchain import link_shared
from hardware.board import load_board
from hardware.simulated import SimulatedBoard

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
ROOT = Path(__file__).resolve().parents[2]
PORTS = ROOT / "firmware" / "ports"
CONTROL = ROOT / "firmware" / "engine" / "control"
PATIENCE_S = 30.0


@pytest.fixture(scope="module")
def board_library(tmp_path_factory):
    sources = [ROOT / "tests" / "hardware" / "voltmeter.c", CONTROL / "calibration.c", CONTROL / "store.c"]
    sources += [*(PORTS / "serial").glob("*.c"), PORTS / "simulated" / "board.c"]
    return link_shared(sources, "host", tmp_path_factory.mktemp("board") / "board.so")


@pytest.fixture
def module(board_library):
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        yield board


def until(what: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not what():
        assert time.monotonic() < end
        time.sleep(0.02)


def asked(client: SimpleUDPClient, address: str) -> float:
    client.send_message(address, [])
    client._sock.settimeout(PATIENCE_S)
    return OscMessage(client._sock.recv(4096)).params[0]


def test_osc_through_the_bridge_moves_a_module_and_is_written_down(module, tmp_path):
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    mapping, record, said = tmp_path / "map.toml", tmp_path / "take.csv", []
    mapping.write_text('[[map]]\nfrom = "osc/hand"\nto = "latent/2"\nrange = [1.0, 0.0]\n')
    ways = Ways(osc=port, osc_out=("127.0.0.1", 9))  # port 9 discards
    wanted = Wanted(device=module.device, mapping=mapping, ways=ways, record=record, hz=200.0)
    made: dict = {}
    stop = threading.Event()
    bridge = threading.Thread(target=lambda: made.update(run(wanted, said.append, stop)))
    bridge.start()
    until(lambda: bool(said))
    client = SimpleUDPClient("127.0.0.1", port)
    client.send_message("/trigger", [1, 0.5])
    for value in np.linspace(0.0, 0.75, 2000, dtype=np.float32):
        client.send_message("/hand", float(value))
        client.send_message("/latent/1", float(value))
        time.sleep(0.0002)
    until(lambda: asked(client, "/latent/1") == 0.75)
    stop.set()
    bridge.join()
    take = read_script(record)
    assert take.columns["latent/1"][1][-1] == 0.75 and take.columns["latent/2"][1][-1] == 0.25
    assert take.columns["trigger/1"][1].tolist() == [0.5]
    assert "obeyed by" in made["says"]
    side = ModuleSide(module.device)
    assert side.position("latent/1") == 0.75 and side.position("latent/2") == 0.25
    assert side.values()["/position/latent/2"] == 0.25


def test_a_module_that_goes_away_and_comes_back_has_the_last_values(module, monkeypatch):
    monkeypatch.setattr("firmware.bridge.sinks.module.BACK_S", 0.05)
    side, outbox = ModuleSide(module.device), Outbox()
    began, stop = threading.Event(), threading.Event()
    playing = threading.Thread(
        target=side.perform, args=(outbox, Length(60.0, stop), lambda *_: None, began.set)
    )
    playing.start()
    began.wait()
    outbox.put("latent/1", 0.5)
    until(lambda: side.obeyed == 1)
    module.unplug()
    outbox.put("latent/1", 0.25)
    until(lambda: any("went away" in line or "no port" in line for line in side.in_words()))
    outbox.put("latent/1", 0.125)
    module.start()
    side._remote.device = module.device  # a real one keeps its name; a pty gets a new one
    until(lambda: side.obeyed >= 2)
    stop.set()
    playing.join()
    assert side.position("latent/1") == 0.125
    side.close()


def test_a_modules_midi_table_is_that_of_the_file_that_is_named(module):
    side = ModuleSide(module.device)
    with pytest.raises(Refusal, match="no instrument here is called 'voltmeter'; name its file"):
        side.midi_player()
    side.close()
    named = ModuleSide(module.device, "drum")
    assert named.midi_player().table.note
    named.close()


def test_a_module_can_be_asked_until_it_is_let_go(module):
    """Telemetry asks from a thread of its own, also while the performance ends."""
    side = ModuleSide(module.device)
    side.perform(Outbox(), Length(0.0), lambda *_: None, lambda: None)
    assert side.values()["/load/mean"] is not None
    side.close()
