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

import vaectrol
from firmware.build import generate
from firmware.instruments.demo import find_demo
from firmware.instruments.presets import load_presets
from firmware.instruments.spec import available_instruments, load_instrument
from firmware.play.host import Rendered
from firmware.play.render import play
from firmware.ports.web.bundle import bundle
from firmware.ports.web.describe import describe, describe_script
from firmware.ports.web.gallery import instrument_page
from firmware.ports.web.link import WEB, link
from firmware.script.cv_script import read_script
from hardware.board import load_board
from tests.browser import CHROMIUM, Browser, browser
from toy.demo_phrases import play_phrase

SECONDS, RATE_HZ = 10.0, 48_000
TICKS = round(SECONDS * RATE_HZ)
BLOCKS = (48, 128)
LARGEST_BYTES = 600_000
BOARD = "patch_sm"
NODE = shutil.which("node")
RUNNER, WORKLET = (Path(__file__).with_name(f"web_{name}.mjs") for name in ("runner", "worklet"))
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
    check_in_node(name, wanted, tmp_path)
    if name not in ("rhythm", "arpeggio"):
        assert np.abs(wanted.host.audio).max() > 0.05


def check_in_node(instrument: str | Path, wanted: Case, tmp_path: Path) -> None:
    """The same script and sounds as WebAssembly: every sample, voltage and gate is the host's."""
    block, ticks = wanted.block, wanted.host.audio.shape[1]
    built = generate(instrument, BOARD, tmp_path, target="wasm", block=block)
    module = link(built, tmp_path)
    (tmp_path / "about.json").write_text(json.dumps(describe(built, block)))
    (tmp_path / "script.json").write_text(json.dumps(describe_script(read_script(wanted.script))))
    for jack, sound in wanted.sounds.items():
        sound.tofile(tmp_path / f"{jack}.f32")
    words = [str(NODE), str(RUNNER), str(WEB), str(tmp_path), module.name, str(ticks), *wanted.sounds]
    subprocess.run(words, check=True)
    for what, expected in (
        ("audio", wanted.host.audio),
        ("cv", wanted.host.cv),
        ("gates", wanted.host.gates),
    ):
        found = np.fromfile(tmp_path / f"{what}.out", np.uint32)
        differ = np.count_nonzero(found != np.ascontiguousarray(expected).view(np.uint32).ravel())
        assert (found.size, differ) == (expected.size, 0), what


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
        for part in (text, bundle(WEB / "main.js"), bundle(WEB / "worklet.js")):
            assert reaches_out not in part


@needs_node
@pytest.mark.parametrize("block", [1, 33, 48, 128, 256])
def test_the_audio_thread_is_a_few_samples_late_and_allocates_nothing(block, tmp_path):
    """The worklet itself, in node, once it is compiled: all sources in cables, the microphone open."""
    name = "drive"
    built = generate(name, BOARD, tmp_path, target="wasm", block=block)
    module = link(built, tmp_path)
    cables = {
        "audio_in_1": "mic_1",
        "cv_1": "lfo_1",
        "cv_2": "random_1",
        "cv_3": "random_2",
        "cv_4": "cv_out_1",
        "cv_5": "steps",
        "gate_in_1": "bar",
    }
    before = [
        {"do": "cable", "jack": jack, "cable": {"from": source, "depth": 0.5, "offset": 0}}
        for jack, source in cables.items()
    ]
    (tmp_path / "about.json").write_text(json.dumps(describe(built, block)))
    (tmp_path / "before.json").write_text(json.dumps(before))
    worklet = tmp_path / "worklet.mjs"
    worklet.write_text(bundle(WEB / "worklet.js"))
    ticks = 128 * 200
    words = [str(NODE), "--expose-gc", str(WORKLET), str(worklet), str(tmp_path), module.name, str(ticks)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    heard = np.fromfile(tmp_path / "heard.out", np.float32).reshape(2, ticks)
    late = block - np.gcd(block, 128)
    assert not heard[:, :late].any()
    assert np.abs(heard[:, late:]).max() > 0.01
    # windows of 4,000 quanta, 11 s of sound (1,000 for single samples): not one byte a quantum in the
    # quietest; node writes in some
    assert json.loads(done.stdout)["grown"] < (1_000 if block < 16 else 4_000)


def test_a_gallery_leads_to_every_instrument_and_may_be_written_again(tmp_path):
    folder = tmp_path / "pages"
    for _ in range(2):
        assert vaectrol.main(["web", "rhythm", "-o", str(folder)]) == 0
    index = (folder / "index.html").read_text()
    assert 'href="rhythm.html"' in index
    assert 'href="index.html"' in (folder / "rhythm.html").read_text()
    assert sorted(path.name for path in folder.iterdir()) == [".vaectrol-web", "index.html", "rhythm.html"]


@needs_chromium
@pytest.mark.parametrize("board", ["host", "seed", "patch_init", "rpi5"])
def test_a_page_of_any_board_shows_its_parts(board, chromium, tmp_path):
    chromium.console.clear()
    page = tmp_path / "drum.html"
    page.write_text(instrument_page("drum", board), encoding="utf-8")
    chromium.open(page.as_uri())
    chromium.run("document.getElementById('play').click()", click=True)
    chromium.until("vaectrol.desk.seen && Math.max(...vaectrol.desk.seen.peaks) > 0.01")
    described = load_board(board)
    knobs = [adc.name for adc in described.adcs if adc.kind == "knob"]
    shown = chromium.run("[...document.querySelectorAll('[role=slider]')].map((one) => one.dataset.part)")
    assert shown == knobs
    assert chromium.console == []


@needs_chromium
@pytest.mark.parametrize("name", ["drum", "rhythm", "voice"])
def test_what_an_output_carries_stands_in_its_field_and_clear_of_its_name(name, chromium, tmp_path):
    """Boxes of ink, in millimetres of the panel; letters have half a millimetre of air above and below."""
    page = tmp_path / f"{name}.html"
    page.write_text(instrument_page(name, BOARD), encoding="utf-8")
    chromium.open(page.as_uri())
    rows = chromium.run("""[...document.querySelectorAll('#panel g.output')].map((one) => {
      const does = one.querySelector('.does'); if (!does) return null;
      const box = (of) => { const b = of.getBBox(); return [b.x, b.y, b.x + b.width, b.y + b.height]; };
      const [x, y] = [...'xy'].map((axis) => Number(one.querySelector('.cap').getAttribute('c' + axis)));
      const fields = [...document.querySelectorAll('#panel rect')].map(box).filter(
        ([l, t, r, b]) => r - l < 30 && l < x && x < r && t < y && y < b);
      return [does.textContent, box(does), box(one.querySelector('text:not(.does)')), fields]; })""")
    shown = [row for row in rows if row is not None]
    assert shown
    for words, does, printed, (field,) in shown:
        assert field[0] <= does[0] and does[2] <= field[2], words
        assert field[1] <= does[1], f"{words} stands over the edge of its field"
        assert does[3] - 0.25 <= printed[1] + 0.55, f"{words} touches the name of its jack"
    assert chromium.console == []


@needs_chromium
def test_a_factory_preset_turns_the_knobs_and_sets_what_has_none(chromium, tmp_path):
    page = tmp_path / "drum.html"
    page.write_text(instrument_page("drum", BOARD), encoding="utf-8")
    chromium.open(page.as_uri())
    presets = load_presets(load_instrument("drum"))
    shown = chromium.run("[...document.querySelectorAll('#factory button')].map((one) => one.textContent)")
    assert shown == [preset.name for preset in presets]
    wash = next(preset for preset in presets if preset.name == "Wash")
    chromium.run(f"document.querySelectorAll('#factory button')[{presets.index(wash)}].click()", click=True)
    knobs, remote = chromium.run("[vaectrol.desk.patch.knobs, vaectrol.desk.patch.remote]")
    assert knobs["knob_1"] == pytest.approx(0.005 + 0.99 * wash.set["class"])
    assert knobs["knob_4"] == pytest.approx(0.005 + 0.99 * wash.set["attribute.decay"])
    assert remote["level"] == 0.8 and "class" not in remote
    said = chromium.run("document.querySelector('#patches .said').textContent")
    assert said == f"{wash.name}. {wash.words}"
    assert chromium.console == []
