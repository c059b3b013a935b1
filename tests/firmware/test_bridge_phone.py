"""The phone's page: motion moves a module in a real browser, strangers stay out, and rubbish does no harm."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import vaectrol
from common.refusal import Refusal, ToolMissing
from firmware.bridge.hub import Hub
from firmware.bridge.mapping import PHONE, Mapping, Rule
from firmware.bridge.phone.defaults import shown, with_defaults
from firmware.bridge.phone.messages import LONGEST_BYTES, NAMES, Unread, read_message
from firmware.bridge.run import Wanted, Ways, run
from firmware.bridge.targets import Targets
from firmware.play.live.outbox import Outbox
from hardware.board import load_board
from hardware.simulated import SimulatedBoard
from tests.browser import CHROMIUM, browser
from tests.firmware.test_bridge_module import board_library, until  # noqa: F401

aiohttp = pytest.importorskip("aiohttp")
pytest.importorskip("cryptography")

from firmware.bridge.phone import certificate  # noqa: E402
from firmware.bridge.phone.server import MOST_CLIENTS, Offered, PhoneServer, Place, qr_code  # noqa: E402

pytestmark = pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
TRUST = ssl.create_default_context()
TRUST.check_hostname, TRUST.verify_mode = False, ssl.CERT_NONE
RULES = Mapping(
    (
        Rule("phone/tilt_x", "latent/1"),
        Rule("phone/fader_1", "latent/2"),
        Rule("phone/pad_1", "gate/freeze", "gate"),
    )
)


@contextmanager
def served(**place: object) -> Iterator[tuple[PhoneServer, Outbox]]:
    hub = Hub(RULES)
    box, follow = hub.outbox(lambda target: True), hub.outbox(lambda target: True)
    offered = Offered("Test", shown(RULES), lambda name: 0.25, "<html><body>a module</body></html>")
    with PhoneServer(hub, offered, follow, Place(**{"port": 0, **place})) as phone:
        yield phone, box


def status(link: str) -> int:
    try:
        return urllib.request.urlopen(link, context=TRUST, timeout=20).status
    except urllib.error.HTTPError as error:
        return error.code


def waited(box: Outbox, count: int) -> list[tuple[str, float]]:
    found: list[tuple[str, float]] = []
    until(lambda: len(found) >= count or found.extend(box.take(9)) or len(found) >= count)
    return found


def test_only_the_token_opens_anything():
    with served() as (phone, _):
        base = f"https://127.0.0.1:{phone.port}"
        for path in ("/", "/ws", "/follow", "/module", "/phone.js", "/nothing"):
            for token in ("", "?t=", "?t=wrong", f"?t={phone.token[:-1]}", f"?t={phone.token}x", "?t=%ff%ed"):
                assert status(base + path + token) == 403, path + token
        assert phone.refused == 36 and "36 requests came without the token" in phone.in_words()
        for path in ("/", "/module", "/phone.js", "/phone.css", "/follow.js"):
            assert status(phone.link(path)) == 200, path
        assert status(phone.link("/nothing")) == 404
        assert len(phone.token) >= 22
    with served() as (other, _):
        assert other.token != phone.token


def test_it_is_reached_from_this_computer_only_unless_it_is_asked_for():
    there = certificate.lan_address()
    if there.startswith("127."):
        pytest.skip("this computer is in no network")
    with served() as (phone, _), pytest.raises(OSError):
        socket.create_connection((there, phone.port), timeout=5)
    with served(lan=True) as (phone, _):
        assert phone.link().startswith(f"https://{there}:")
        assert status(phone.link()) == 200


def test_the_certificate_is_good_for_where_it_is_served(tmp_path):
    """Python's own TLS client trusts it for its address, and for no other."""
    file = tmp_path / "made.pem"
    file.write_bytes(certificate.made(["127.0.0.1", "localhost"]))
    with served(certificate=file) as (phone, _):
        trust = ssl.create_default_context(cafile=str(file))
        for host in ("127.0.0.1", "localhost"):
            link = phone.link().replace("127.0.0.1", host)
            assert urllib.request.urlopen(link, context=trust, timeout=20).status == 200
        with (
            socket.create_connection(("127.0.0.1", phone.port), timeout=20) as plain,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            trust.wrap_socket(plain, server_hostname="elsewhere")
        assert status(phone.link()) == 200  # who refuses a certificate does no harm


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=TRUST))


def test_hands_move_the_hub_and_what_goes_away_lets_go():
    async def play(phone: PhoneServer) -> dict:
        async with session() as client, client.ws_connect(phone.link("/ws")) as wire:
            hello = json.loads((await wire.receive()).data)
            await wire.send_str('{"tilt_x": 0.75, "fader_1": 1}')
            await wire.send_str("nonsense")
            await wire.send_bytes(b"\x00")
            await wire.send_str('{"pad_1": 1}')
            return hello

    with served() as (phone, box):
        assert asyncio.run(play(phone)) == {"at": {"fader_1": 0.25}}
        moves = waited(box, 4)
        assert moves == [("latent/1", 0.75), ("latent/2", 1.0), ("gate/freeze", 1.0), ("gate/freeze", 0.0)]
        assert sorted(phone.faults) == ["is no JSON", "is no text"]


def test_a_thousand_messages_a_second_from_four_phones_lose_no_last_value():
    async def play(phone: PhoneServer, name: str) -> None:
        async with session() as client, client.ws_connect(phone.link("/ws")) as wire:
            for number in range(1001):
                await wire.send_str(json.dumps({name: number / 1000}))
            await wire.close()

    async def all_of_them(phone: PhoneServer) -> None:
        await asyncio.gather(*(play(phone, name) for name in ("tilt_x", "fader_1", "tilt_x", "fader_1")))

    with served() as (phone, box):
        asyncio.run(all_of_them(phone))
        until(lambda: phone.hub.messages == 4004)
        assert dict(box.take(9)) == {"latent/1": 1.0, "latent/2": 1.0}


def test_the_fifth_client_is_told_to_wait():
    async def crowd(phone: PhoneServer) -> None:
        async with session() as client:
            wires = [await client.ws_connect(phone.link("/ws")) for _ in range(MOST_CLIENTS)]
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await client.ws_connect(phone.link("/ws"))
            assert refused.value.status == 503
            for wire in wires:
                await wire.close()

    async def again(phone: PhoneServer) -> None:
        async with session() as client, client.ws_connect(phone.link("/ws")) as wire:
            await wire.receive()

    with served() as (phone, _):
        asyncio.run(crowd(phone))
        until(lambda: not phone._clients)
        asyncio.run(again(phone))


def test_a_message_that_is_too_long_ends_its_connection_only():
    async def shout(phone: PhoneServer) -> int | None:
        async with session() as client, client.ws_connect(phone.link("/ws")) as wire:
            await wire.send_str("[" * (LONGEST_BYTES + 1))
            while (await wire.receive()).type == aiohttp.WSMsgType.TEXT:
                pass
            return wire.close_code

    with served() as (phone, _):
        assert asyncio.run(shout(phone)) in (1009, 1006)  # too big, or gone before it said so
        assert status(phone.link()) == 200


@pytest.mark.parametrize(
    "text",
    ["", "[]", "1", '{"nose": 0.5}', '{"tilt_x": 2}', '{"tilt_x": NaN}', '{"tilt_x": true}',
     '{"tilt_x": "1"}', '{"tilt_x": 1e999}', "[" * 4000, '{"a": ' * 500, " " * 5000],
)  # fmt: skip
def test_what_is_no_message_is_not_read(text):
    with pytest.raises(Unread):
        read_message(text)


def test_what_is_a_message_is_read():
    assert read_message('{"tilt_x": 0, "pad_4": 1.0}') == [("tilt_x", 0.0), ("pad_4", 1.0)]
    assert {f"phone/{name}" for name in NAMES} == set(PHONE)


def test_without_a_mapping_faders_tilt_and_pads_have_something_to_move():
    targets = Targets(["class", "latent/1", "latent/2", "latent/3"], ["trigger", "choke"])
    moves = shown(with_defaults(Mapping(), targets))
    assert moves["fader_1"] == moves["tilt_x"] == "class"
    assert moves["pad_1"] == moves["shake"] == "trigger 1" and moves["pad_2"] == "choke"
    assert "pad_3" not in moves
    own = Mapping((Rule("phone/turn", "osc/max/x"),))
    assert with_defaults(own, targets) == own and shown(own) == {"turn": "OSC max x"}


def test_a_page_that_follows_is_told_everything_that_moves():
    async def follow(phone: PhoneServer) -> list:
        async with session() as client, client.ws_connect(phone.link("/follow")) as wire:
            first = json.loads((await wire.receive()).data)
            phone.hub.put("trigger/1", 0.5)
            return [first, json.loads((await wire.receive()).data)]

    with served() as (phone, _):
        phone.hub.put("latent/1", 0.5)
        phone.hub.put("trigger/1", 1.0)
        phone.hub.put("gate/freeze", 1.0)
        until(lambda: "gate/freeze" in phone._said)
        stood, came = asyncio.run(follow(phone))
        assert dict(stood) == {"latent/1": 0.5, "gate/freeze": 1.0} and came == [["trigger/1", 0.5]]
        text = urllib.request.urlopen(phone.link("/module"), context=TRUST).read().decode()
        assert text.startswith("<html><body>a module<script") and f"follow.js?t={phone.token}" in text


def test_a_missing_library_is_one_sentence(monkeypatch, capsys):
    for name, words in (("cryptography", "pip install cryptography"), ("aiohttp", "pip install aiohttp")):
        with monkeypatch.context() as without:
            without.setitem(sys.modules, name, None)
            with pytest.raises(ToolMissing, match=words):
                PhoneServer(Hub(Mapping()), Offered("x"), None, Place(0))
    monkeypatch.setitem(sys.modules, "segno", None)
    assert "pip install segno" in qr_code("https://x/")


def test_a_taken_port_and_a_certificate_that_is_none_are_one_sentence(tmp_path, capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        assert vaectrol.main(["bridge", "drum", "--phone", "--phone-port", port, "--seconds", "1"]) == 2
    assert "try another --phone-port" in capsys.readouterr().err
    wrong = tmp_path / "wrong.pem"
    for text in ("", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"):
        wrong.write_text(text)
        with pytest.raises(Refusal, match="is refused as a certificate"):
            certificate.context_for(["localhost"], wrong)
    with pytest.raises(Refusal, match="is refused as a certificate"):
        certificate.context_for(["localhost"], tmp_path / "absent.pem")


def test_a_qr_code_holds_the_link():
    """Read back by a decoder of another library."""
    segno = pytest.importorskip("segno")
    link = "https://192.168.1.20:8443/?t=abcdefghijklmnop"
    drawn = qr_code(link)
    size = segno.make(link, error="l").symbol_size(border=2)[0]
    lines = drawn.splitlines()
    assert max(map(len, lines)) >= size and len(lines) >= size // 2


def test_rubbish_leaves_nothing_behind(capfd):
    """A short piece of what `python -m firmware.bridge.fuzz` sends."""
    from firmware.bridge.fuzz import fuzz

    done = fuzz(1500, seed=3)
    assert done.moves > 10 and any("no JSON" in line for line in done.said)
    assert capfd.readouterr().err == ""


@pytest.mark.slow
def test_a_hundred_thousand_messages_of_rubbish_each_way_leave_nothing_behind(capfd):
    from firmware.bridge.fuzz import fuzz

    assert fuzz(100_000).messages == 300_000
    assert capfd.readouterr().err == ""


MOVED = """(async () => {
  for (let n = 0; n < 40; n++) {
    dispatchEvent(new DeviceMotionEvent('devicemotion', {
      accelerationIncludingGravity: {x: %s, y: 0, z: %s}, acceleration: {x: 0, y: 0, z: 0},
      rotationRate: {alpha: 0, beta: 0, gamma: 0}, interval: 16}));
    await new Promise((done) => setTimeout(done, 25));
  }
})()"""


SHAKEN = """for (const x of [40, -40]) dispatchEvent(new DeviceMotionEvent('devicemotion', {
  accelerationIncludingGravity: {x, y: 0, z: 9.81}, acceleration: {x, y: 0, z: 0},
  rotationRate: {alpha: 0, beta: 0, gamma: 0}, interval: 16}))"""
"""Two at once: their times are as near as the page takes them to be, however busy the machine is."""


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here: apt install chromium")
def test_a_phone_in_a_browser_moves_a_module(board_library, tmp_path):  # noqa: F811
    """Tilt, fader and pad of the page, in Chromium; the simulated board's latents follow."""
    mapping = tmp_path / "map.toml"
    mapping.write_text(
        '[[map]]\nfrom = "phone/tilt_x"\nto = "latent/1"\nsmoothing_s = 0.02\n'
        '[[map]]\nfrom = "phone/fader_1"\nto = "latent/2"\n'
        '[[map]]\nfrom = "phone/pad_1"\nto = "trigger/1"\n'
        '[[map]]\nfrom = "phone/shake"\nto = "trigger/2"\n'
    )
    said: list[str] = []
    record = tmp_path / "take.csv"
    with SimulatedBoard(load_board("patch_sm"), board_library) as board:
        wanted = Wanted(device=board.device, mapping=mapping, ways=Ways(phone=Place(0)), record=record)
        stop = threading.Event()
        bridge = threading.Thread(target=run, args=(wanted, said.append, stop))
        bridge.start()
        until(lambda: bool(said))
        link = said[-1].split()[-1]
        with browser("--ignore-certificate-errors") as page:
            page.open(link)
            page.until("document.getElementById('state').dataset.is === 'on'")
            page.size(400, 860, phone=True)
            assert page.run("document.documentElement.scrollWidth") <= 400
            page.run(MOVED % (9.81, 0))  # not armed: nothing moves
            page.click("[data-arm='tilt_x']")
            page.run(MOVED % (-9.81, 0))
            page.run(MOVED % (0, 9.81))
            tilted = (
                "getComputedStyle(document.querySelector(\"[data-meter='tilt_x']\")).getPropertyValue('--to')"
            )
            assert abs(float(page.run(tilted)) - 0.5) < 0.01
            page.run("document.querySelector('[data-fader=\"fader_1\"]').focus()")
            page.key("End")
            page.key("PageDown")
            page.click("[data-pad='pad_1']")
            page.click("[data-arm='tilt_x']")
            page.click("[data-arm='shake']")
            page.run(SHAKEN)
            page.size(1280, 800)
            assert page.run("document.documentElement.scrollWidth") <= 1280
            assert page.console == []
            page.run("new Promise((done) => setTimeout(done, 3000))")  # for what is on its way
        stop.set()
        bridge.join()
    from firmware.script.cv_script import read_script

    take = read_script(record).columns
    tilts = take["latent/1"][1]
    assert tilts.max() > 0.99 and abs(tilts[-1] - 0.5) < 0.02
    assert take["latent/2"][1][-1] == pytest.approx(0.9)
    assert take["trigger/1"][1].tolist() == [1.0]
    assert len(take["trigger/2"][1]) >= 1


@pytest.mark.skipif(CHROMIUM is None, reason="chromium is not here: apt install chromium")
def test_the_instruments_own_page_follows_a_phone(capsys):
    """Two pages in two browsers: what one does moves the firmware that runs in the other."""
    from firmware.bridge.sinks.host import HostWanted
    from firmware.ports.web.gallery import instrument_page

    said: list[str] = []
    html = instrument_page("drum", "patch_sm")
    wanted = Wanted(HostWanted("drum"), ways=Ways(phone=Place(0), module_page=html))
    stop = threading.Event()
    bridge = threading.Thread(target=run, args=(wanted, said.append, stop), daemon=True)
    bridge.start()
    until(lambda: len(said) == 2)
    phone_link, page_link = (line.split()[-1] for line in said)
    first = next(iter(shown(with_defaults(Mapping(), Targets(["latent/1"])))))
    assert first == "fader_1"
    with browser("--ignore-certificate-errors") as module, browser("--ignore-certificate-errors") as phone:
        module.open(page_link)
        phone.open(phone_link)
        phone.until("document.getElementById('state').dataset.is === 'on'")
        moved: Callable[[], object] = lambda: module.run("window.vaectrol.desk.patch.remote")  # noqa: E731
        phone.run("document.querySelector('[data-fader=\"fader_1\"]').focus()")
        phone.key("Home")
        phone.key("PageUp")
        end = time.monotonic() + 20
        while not any(abs(value - 0.1) < 1e-6 for value in dict(moved()).values()):
            assert time.monotonic() < end, moved()
            time.sleep(0.1)
        assert module.console == phone.console == []
    stop.set()
    bridge.join()


def test_the_pages_are_whole():
    """No address of elsewhere, and every id that the script asks for is there."""
    folder = Path(__file__).resolve().parents[2] / "firmware" / "bridge" / "phone"
    script, html = (folder / "phone.js").read_text(), (folder / "phone.html").read_text()
    for name in ("state", "allow", "told"):
        assert f'$("{name}")' in script and f'id="{name}"' in html
    assert "http://" not in script + html and "https://" not in script + html
