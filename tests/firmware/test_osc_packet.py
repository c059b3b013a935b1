"""OSC datagrams as strangers send them: time tags far off, text that is none, bundles that never end."""

from __future__ import annotations

import socket
import struct
import threading
import time
from types import SimpleNamespace

import pytest

from firmware.play.live import osc
from firmware.play.live.osc import OscControl, OscServer
from firmware.play.live.osc_packet import AT_ONCE, NO_OSC, NOT_UTF8, UNIX_EPOCH_S, read_packet


def message(address: bytes, value: float = 0.5) -> bytes:
    padded = address + b"\0" * (4 - len(address) % 4)
    return padded + b",f\0\0" + struct.pack(">f", value)


def bundle(tag: int, *parts: bytes) -> bytes:
    inside = b"".join(struct.pack(">i", len(part)) + part for part in parts)
    return b"#bundle\0" + struct.pack(">Q", tag) + inside


def tag(at: float) -> int:
    return int((at + UNIX_EPOCH_S) * 2**32)


class Instrument:
    """Remembers what reached it, and when."""

    def __init__(self):
        self.parameters = {"mix": 0}
        self.info = SimpleNamespace(presets=8)
        self.posted: list[tuple[float, float]] = []

    def post(self, kind, index=0, value=0.0):
        self.posted.append((time.time(), round(value, 3)))
        return True

    def position(self, name):
        return 0.25


@pytest.fixture
def played():
    instrument = Instrument()
    control = OscControl(instrument, lambda: [])
    with OscServer(control, 0) as server, socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.settimeout(5.0)

        def send(data: bytes, wait: bool = True) -> None:
            sender.sendto(data, ("127.0.0.1", server.port))
            if wait:  # an answer to a question says that everything before it was read
                sender.sendto(b"/mix\0\0\0\0,\0\0\0", ("127.0.0.1", server.port))
                sender.recv(1024)

        yield SimpleNamespace(instrument=instrument, control=control, send=send, server=server)


def test_a_time_tag_far_ahead_hangs_nothing_and_is_counted(played):
    before = threading.active_count()
    for ahead in (osc.FAR_S + 5, 3600, 1e6):
        played.send(bundle(tag(time.time() + ahead), message(b"/mix"), message(b"/mix")))
    played.send(bundle(2**64 - 1, message(b"/mix")))
    assert threading.active_count() == before
    assert played.instrument.posted == []
    assert played.control.faults_in_words() == [
        "7 OSC messages were tagged more than 10 s ahead and were left out"
    ]


def test_a_tag_soon_is_obeyed_in_its_time_and_a_late_one_at_once(played):
    now = time.time()
    played.send(bundle(tag(now + 0.3), message(b"/mix", 0.3)))
    played.send(bundle(tag(now + 0.15), message(b"/mix", 0.2)))
    played.send(bundle(tag(now - 60), message(b"/mix", 0.1)))
    played.send(bundle(AT_ONCE, bundle(AT_ONCE, message(b"/mix", 0.0))))
    deadline = time.time() + 5.0
    while len(played.instrument.posted) < 4 and time.time() < deadline:
        time.sleep(0.01)
    times, values = zip(*played.instrument.posted, strict=True)
    assert values == (0.1, 0.0, 0.2, 0.3)
    assert times[2] >= now + 0.15 - 1e-3 and times[3] >= now + 0.3 - 1e-3
    assert played.control.faults == {osc.LATE: 1}


def test_what_waits_is_bounded_and_counted_at_the_end(played, monkeypatch):
    monkeypatch.setattr(osc, "MOST_WAITING", 8)
    played.send(bundle(tag(time.time() + 5), *[message(b"/mix")] * 11))
    assert played.control.faults == {osc.CROWDED: 3}
    began = time.monotonic()
    played.server.__exit__()
    assert time.monotonic() - began < 2.0
    assert played.control.faults == {osc.CROWDED: 3, osc.UNFINISHED: 8}


def test_an_address_that_is_not_utf8_is_one_counted_line(played, capfd):
    for _ in range(3):
        played.send(message(b"/m\xff\xfex"))
    played.send(bundle(1, message(b"/\xc3\x28"), message(b"/mix", 0.75)))
    assert played.control.faults_in_words() == [
        "4 OSC messages held text that is not UTF-8 and were left out"
    ]
    assert [value for _, value in played.instrument.posted] == [0.75]
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "messages", "faults"),
    [
        (b"", 0, {NO_OSC: 1}),
        (b"hello", 0, {NO_OSC: 1}),
        (b"#bundle\0", 0, {NO_OSC: 1}),
        (bundle(1), 0, {}),
        (bundle(1, message(b"/mix")) + struct.pack(">i", -4), 1, {NO_OSC: 1}),
        (bundle(1) + struct.pack(">i", 0) * 3, 0, {NO_OSC: 1}),
        (bundle(1) + struct.pack(">i", 2**31 - 1), 0, {NO_OSC: 1}),
        (b"/mix\0\0\0\0,i\0\0\0", 0, {NO_OSC: 1}),
        (b"/mix\0\0\0\0,s\0\0\xff\0\0\0", 0, {NOT_UTF8: 1}),
        (message(b"/mix"), 1, {}),
    ],
)
def test_a_datagram_is_read_to_its_end(data, messages, faults):
    found, wrong = read_packet(data)
    assert (len(found), wrong) == (messages, faults)


def test_bundles_in_bundles_end_too():
    data = message(b"/mix")
    while len(data) < 65_000:
        data = bundle(1, data)
    found, wrong = read_packet(data)
    assert (len(found), wrong) == (1, {})


def test_the_largest_datagram_arrives_whole(played):
    played.send(bundle(AT_ONCE, *[message(b"/mix")] * 2500))
    assert len(played.instrument.posted) == 2500
    assert not played.control.faults
