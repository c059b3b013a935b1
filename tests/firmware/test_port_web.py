"""The page plays what `vaectrol play` plays, bit for bit: in node, and in Chromium from file or server."""

from __future__ import annotations

import base64
import functools
import hashlib
import http.server
import json
import shutil
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from firmware.build import generate
from firmware.instruments.demo import find_demo
from firmware.instruments.spec import available_instruments
from firmware.play.cv_script import read_script
from firmware.play.host import Rendered
from firmware.play.render import play
from firmware.ports.web.describe import describe, describe_script
from firmware.ports.web.link import WEB, link
from firmware.web import instrument_page
from tests.browser import CHROMIUM, Browser, browser
from toy.demo_phrases import play_phrase

SECONDS, RATE_HZ = 10.0, 48_000
TICKS = round(SECONDS * RATE_HZ)
BLOCKS = (48, 128)
LARGEST_BYTES = 600_000
BOARD = "patch_sm"
NODE = shutil.which("node")
RUNNER = Path(__file__).with_name("web_runner.mjs")
needs_node = pytest.mark.skipif(NODE is None, reason="node is not here: apt install nodejs")
needs_chromium = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")


@dataclass(frozen=True)
class Case:
    """An instrument's own script as the host plays it on the board."""

    name: str
    block: int
    sounds: dict[str, np.ndarray]
    script: Path
    host: Rendered


@functools.cache
def case(name: str, block: int) -> Case:
    demo = find_demo(name)
    sounds = {jack: np.asarray(sound, np.float32) for jack, sound in demo.inputs(play_phrase).items()}
    played = play(name, board=BOARD, script=demo.script, sounds=sounds, seconds=SECONDS, block=block)
    return Case(name, block, sounds, demo.script, played.rendered)


def digests(rendered: Rendered) -> dict[str, str]:
    """What the page says of its own rendering: audio, CV as float32, gates as uint32."""
    rows = {"audio": rendered.audio, "cv": rendered.cv, "gates": rendered.gates}
    return {
        name: hashlib.sha256(np.ascontiguousarray(row).tobytes()).hexdigest() for name, row in rows.items()
    }


@needs_node
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", available_instruments())
def test_webassembly_in_node_plays_the_hosts_samples_gates_and_voltages(name, block, tmp_path):
    wanted = case(name, block)
    built = generate(name, BOARD, tmp_path, target="wasm", block=block)
    module = link(built, tmp_path)
    (tmp_path / "about.json").write_text(json.dumps(describe(built, block)))
    (tmp_path / "script.json").write_text(json.dumps(describe_script(read_script(wanted.script))))
    for jack, sound in wanted.sounds.items():
        sound.tofile(tmp_path / f"{jack}.f32")
    words = [str(NODE), str(RUNNER), str(WEB), str(tmp_path), module.name, str(TICKS), *wanted.sounds]
    subprocess.run(words, check=True)
    for what, expected in (
        ("audio", wanted.host.audio),
        ("cv", wanted.host.cv),
        ("gates", wanted.host.gates),
    ):
        found = np.fromfile(tmp_path / f"{what}.out", np.uint32)
        differ = np.count_nonzero(found != np.ascontiguousarray(expected).view(np.uint32).ravel())
        assert (found.size, differ) == (expected.size, 0), what
    if name != "rhythm":
        assert np.abs(wanted.host.audio).max() > 0.05


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    """Every instrument's page, at every block."""
    folder = tmp_path_factory.mktemp("pages")
    for name in available_instruments():
        for block in BLOCKS:
            text = instrument_page(name, BOARD, block=block, phrase=play_phrase)
            (folder / f"{name}-{block}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def server(pages) -> Iterator[str]:
    handler = functools.partial(Quiet, directory=str(pages))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as serving:
        thread = threading.Thread(target=serving.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{serving.server_address[1]}"
        serving.shutdown()
        thread.join()


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


RENDER = """
(async () => {
  const {page, renderTake} = vaectrol, {about} = page, sounds = {};
  for (const [jack, text] of Object.entries(window.given || {})) {
    sounds[jack] = new Float32Array(Uint8Array.from(atob(text), (c) => c.charCodeAt(0)).buffer);
  }
  const script = {do: "script", script: page.demo.script, sounds, seconds: 1e6};
  const take = {before: [script], messages: [], ticks: TICKS, mic: null, wide: true};
  const began = performance.now();
  const rows = await renderTake(page, take);
  const took = (performance.now() - began) / 1e3;
  const sha = async (parts) => {
    const all = new Uint8Array(await new Blob(parts).arrayBuffer());
    const found = await crypto.subtle.digest("SHA-256", all);
    return [...new Uint8Array(found)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  };
  const cvs = about.audioOut + about.cvOut, gates = new Uint32Array(TICKS);
  for (let g = 0; g < about.gateOut; g++) rows[cvs + g].forEach((high, i) => (gates[i] |= high << g));
  return {
    audio: await sha(rows.slice(0, about.audioOut)), cv: await sha(rows.slice(about.audioOut, cvs)),
    gates: await sha([gates]), times: TICKS / about.rateHz / took,
  };
})()
"""


@needs_chromium
@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("name", available_instruments())
def test_the_page_in_chromium_plays_the_hosts_samples_gates_and_voltages(
    name, block, pages, server, chromium, record_property
):
    wanted = case(name, block)
    given = {jack: base64.b64encode(sound.tobytes()).decode() for jack, sound in wanted.sounds.items()}
    for address in (f"{server}/{name}-{block}.html", (pages / f"{name}-{block}.html").as_uri()):
        chromium.open(address)
        chromium.run(f"window.given = {json.dumps(given)}; 0")
        made = chromium.run(RENDER.replace("TICKS", str(TICKS)))
        record_property("times_real_time", made.pop("times"))
        assert made == digests(wanted.host), address
    assert chromium.console == []


@pytest.mark.parametrize("name", available_instruments())
def test_a_page_holds_all_it_needs_and_is_small(name, pages):
    path = pages / f"{name}-48.html"
    text = path.read_text(encoding="utf-8")
    assert path.stat().st_size <= LARGEST_BYTES
    for reaches_out in ('src="http', "src='http", 'href="http', "@import", "url(http", 'src="/', 'from "./'):
        assert reaches_out not in text


# ---- what hands do ---------------------------------------------------------------------------------------
