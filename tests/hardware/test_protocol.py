"""The protocol on both sides: what is asked is answered, and no line hangs it or puts it in a wrong state."""

from __future__ import annotations

import ctypes
import os
import shutil
import threading
import time

import pytest

from common.refusal import ModuleGone, Refusal
from hardware.board import load_board
from hardware.protocol import Link, choose_port, decode
from hardware.simulated import SimulatedBoard
from tests.hardware.test_protocol_fuzz import Program

pytestmark = pytest.mark.fast


@pytest.fixture
def module(board_library):
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        yield board


def test_a_module_says_what_it_is(module):
    with Link(module.device) as link:
        hello = link.hello()
        assert (hello.board, hello.instrument, hello.protocol) == ("patch_sm", "voltmeter", 1)
        assert link.parameters()[0].name == "latent/1"


def test_volts_at_the_jack_reach_the_report(module):
    module.jacks.volts["cv_3"] = 2.5
    with Link(module.device) as link:
        time.sleep(0.05)
        link.report()
        time.sleep(0.05)
        volts = link.report().volts
        assert volts[2] == pytest.approx(2.5, abs=0.01)
        assert volts[0] == pytest.approx(0.0, abs=0.01)


def test_set_trigger_and_preset_change_what_they_name(module):
    with Link(module.device) as link:
        link.ask("set", parameter=1, value=0.25)
        link.ask("trigger", voice=0, accent=1.0)
        link.ask("preset", do="save", index=2)
        time.sleep(0.05)
        report = link.report()
        assert report.position[:2] == [0.0, 0.25]
        assert report.triggers[0] == 1
        link.ask("set", parameter=1, value=0.75)
        link.ask("preset", do="recall", index=2)
        time.sleep(0.05)
        assert link.report().position[1] == 0.25
        assert link.report().preset == 2


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"cmd": "set", "parameter": 99, "value": 0.5}, "number of a parameter"),
        ({"cmd": "set", "parameter": 0.5, "value": 0.5}, "number of a parameter"),
        ({"cmd": "set", "parameter": 0, "value": 1.5}, "value from 0 to 1"),
        ({"cmd": "set", "parameter": 0, "valu": 0.5}, "does not know"),
        ({"cmd": "dance"}, "no such command"),
        ({"cmd": "preset", "do": "burn", "index": 0}, "recall or save"),
        ({"cmd": "calibrate", "input": 0, "points": [[2.0, 1.0]]}, "points"),
        ({"cmd": "bench"}, "bench image"),
        ({"cmd": "reboot", "to": "mars"}, "app, bootloader or rom"),
    ],
)
def test_a_wrong_request_is_refused_with_a_sentence(module, request_, sentence):
    cmd = request_.pop("cmd")
    with Link(module.device) as link, pytest.raises(Refusal, match=sentence):
        link.ask(cmd, **request_)


def test_babble_between_the_lines_does_not_hide_the_answer(module):
    with Link(module.device) as link:
        module.babble(
            b"\x00\xff{{{]\n" + os.urandom(300).replace(b"\n", b"") + b"\n[1,2]\n" + b"x" * 40_000 + b"\n"
        )
        assert link.hello().board == "patch_sm"
        assert link.garbage_lines >= 2


def test_a_stream_arrives_and_stops(module):
    with Link(module.device) as link:
        link.ask("stream", hz=50)
        deadline, reports = time.monotonic() + 20, 0
        while reports < 20 and time.monotonic() < deadline:
            reports += sum(event["event"] == "report" for event in link.events(0.1))
        assert reports >= 20
        link.ask("stream", hz=0)
        list(link.events(0.1))
        assert not list(link.events(0.2))


@pytest.mark.parametrize(("hz", "late_ms"), [(1, 0), (20, 0), (50, 0), (200, 0), (1, 7), (20, 7), (50, 7)])
def test_a_stream_keeps_its_rate_by_the_clock_of_the_module(board_library, tmp_path, hz, late_ms):
    """Ten seconds; asked late now and then, it still sends as many."""
    program = Program(shutil.copy(board_library, tmp_path / "board.so"))
    program.say(b'{"cmd":"stream","hz":%d}' % hz)
    reports, now_ms = 0, 1000
    while now_ms < 11_000:
        program.c.board_idle(ctypes.c_uint32(now_ms))
        reports += len(program.taken())
        now_ms += 1 + late_ms * (now_ms % 9 == 0)
    assert abs(reports - 10 * hz) <= 1 + hz // 20


def test_unplugging_is_one_sentence(module):
    with Link(module.device) as link:
        link.hello()
        module.unplug()
        with pytest.raises(ModuleGone, match=r"went away|did not answer"):
            link.hello()


def test_two_hands_that_pull_the_cable_close_it_once(board_library, monkeypatch):
    """A handle that is closed twice may be another file's by then."""
    closed = []

    def close(handle):
        closed.append(handle)
        time.sleep(0.01)
        os_close(handle)

    os_close = os.close
    board = SimulatedBoard(load_board("patch_sm"), board_library)
    board.start()
    monkeypatch.setattr("hardware.simulated.os.close", close)
    hands = [threading.Thread(target=board.unplug) for _ in range(4)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()
    assert len(closed) == len(set(closed)) == 2


def test_a_silent_port_is_one_sentence():
    master, slave = os.openpty()
    try:
        with (
            Link(os.ttyname(slave), timeout_s=0.2) as link,
            pytest.raises(ModuleGone, match="did not answer hello"),
        ):
            link.hello()
    finally:
        os.close(master)
        os.close(slave)


def test_no_board_two_boards_and_no_such_port_are_told_apart(monkeypatch):
    from hardware import protocol

    monkeypatch.setattr(protocol, "candidate_ports", lambda: [])
    with pytest.raises(Refusal, match="no board found"):
        choose_port(None)
    monkeypatch.setattr(
        protocol, "candidate_ports", lambda: [protocol.Port("/dev/a", ""), protocol.Port("/dev/b", "")]
    )
    with pytest.raises(Refusal, match=r"2 boards found .*/dev/a, /dev/b"):
        choose_port(None)
    with pytest.raises(Refusal, match="there is no port"):
        Link("/dev/ttyNOWHERE")


def test_permission_denied_names_the_group(monkeypatch):
    import serial

    def denied(*_, **__):
        raise serial.SerialException(13, "could not open port /dev/null: [Errno 13] Permission denied")

    monkeypatch.setattr(serial, "Serial", denied)
    with pytest.raises(Refusal, match="usermod -aG root"):
        Link("/dev/null")


def test_a_port_that_another_program_holds_is_said_to_be_in_use():
    master, slave = os.openpty()
    try:
        with (
            Link(os.ttyname(slave), timeout_s=0.2),
            pytest.raises(Refusal, match="in use by another program"),
        ):
            Link(os.ttyname(slave))
    finally:
        os.close(master)


def test_only_an_object_is_a_line():
    assert decode(b'{"a": 1}') == {"a": 1}
    for line in (b"[1]", b"12", b'{"a": NaN}', b"\xff", b"{", b"[" * 5000):
        assert decode(line) is None


def test_a_bench_board_counts_its_callbacks(board_library):
    board = load_board("patch_sm")
    with SimulatedBoard(board, board_library, bench=True) as played, Link(played.device) as link:
        time.sleep(0.1)
        counted = link.ask("bench")
        assert counted["clock_hz"] == 480_000_000 and counted["budget"] == pytest.approx(479_857, abs=2)
        assert counted["callbacks"] > 20
        assert counted["p50"] <= counted["p99"] <= counted["worst"]
        assert link.hello().counts_cycles
