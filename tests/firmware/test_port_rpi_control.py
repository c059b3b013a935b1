"""The Pi's control plane: OSC reaches the module, telemetry leaves it, a restart is survived."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from firmware.play.live.osc import OscControl
from firmware.ports.rpi.control_plane import Telemetry, serve
from firmware.ports.serial.remote import RemoteInstrument
from firmware.toolchain import link_shared
from hardware.board import load_board
from hardware.protocol import Report
from hardware.simulated import SimulatedBoard

ROOT = Path(__file__).resolve().parents[2]
PORTS = ROOT / "firmware" / "ports"
CONTROL = ROOT / "firmware" / "engine" / "control"


@pytest.fixture(scope="module")
def board_library(tmp_path_factory):
    sources = [ROOT / "tests" / "hardware" / "voltmeter.c", CONTROL / "calibration.c", CONTROL / "store.c"]
    sources += [*(PORTS / "serial").glob("*.c"), PORTS / "simulated" / "board.c"]
    return link_shared(sources, "host", tmp_path_factory.mktemp("board") / "board.so")


@pytest.fixture
def module(board_library):
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        yield board


def test_osc_moves_what_it_names(module):
    instrument = RemoteInstrument(module.device)
    control = OscControl(instrument, instrument.describe)
    assert control.answer("/latent/2", (0.25,)) == []
    assert control.answer("/trigger", (1, 0.5)) == []
    assert control.answer("/preset/save", (1,)) == []
    time.sleep(0.05)
    assert control.answer("/latent/2", ()) == [("/latent/2", [0.25])]
    assert control.answer("/info", ()) == [("/info", ["voltmeter", "test", "patch_sm", "0.1.0"])]
    assert instrument.report().triggers[0] == 1
    instrument.close()


def test_what_osc_cannot_do_is_answered_with_a_sentence(module):
    instrument = RemoteInstrument(module.device)
    control = OscControl(instrument, instrument.describe)
    assert "between 0 and 1" in control.answer("/latent/1", (7.0,))[0][1][0]
    assert "no such address" in control.answer("/nothing", ())[0][1][0]
    module.unplug()
    address, (sentence,) = control.answer("/latent/1", (0.5,))[0]
    assert address == "/error" and module.device in sentence


def test_telemetry_sends_changes_only():
    sent: list[tuple[str, float]] = []
    telemetry = Telemetry(lambda address, value: sent.append((address, value)), ["latent/1"])
    fields = {"blocks": 1, "volts": [], "gates_out": 0, "preset": 255, "unsaved": False, "triggers": [0]}
    still = Report(**fields, position=[0.5], value=[0.1], gates_in=0, cpu_mean=0.3, cpu_worst=0.4)
    assert telemetry.report(still) == len(sent) > 3
    assert telemetry.report(still) == 0
    moved = still.model_copy(update={"position": [0.6], "gates_in": 1})
    sent.clear()
    telemetry.report(moved)
    assert sent == [("/position/latent/1", 0.6), ("/gate/0", 1.0)]


def test_it_serves_over_udp_both_ways(module):
    from pythonosc.dispatcher import Dispatcher
    from pythonosc.osc_server import ThreadingOSCUDPServer
    from pythonosc.udp_client import SimpleUDPClient

    heard: dict[str, float] = {}
    dispatcher = Dispatcher()
    dispatcher.set_default_handler(lambda address, value: heard.__setitem__(address, value))
    with (
        ThreadingOSCUDPServer(("127.0.0.1", 0), dispatcher) as ear,
        ThreadingOSCUDPServer(("127.0.0.1", 0), Dispatcher()) as free,
    ):
        threading.Thread(target=ear.serve_forever, daemon=True).start()
        osc_port = free.server_address[1]
        free.server_close()
        arguments = (module.device, osc_port, "127.0.0.1", ("127.0.0.1", ear.server_address[1]), 50.0, 2.0)
        plane = threading.Thread(target=serve, args=arguments)
        plane.start()
        time.sleep(0.8)
        SimpleUDPClient("127.0.0.1", osc_port).send_message("/latent/3", 0.75)
        plane.join()
        ear.shutdown()
    assert heard["/position/latent/3"] == pytest.approx(0.75)
    assert "/load/mean" in heard
