"""What hands do on the page: Chromium is driven, and position, scope and sound follow."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

import vaectrol
from common.page import sound_source
from firmware.play.render import play
from firmware.ports.web.gallery import instrument_page
from tests.browser import CHROMIUM, Browser, browser
from toy.demo_phrases import play_phrase

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
BOARD = "patch_sm"
SEEN = "vaectrol.desk.seen"


@pytest.fixture(scope="module")
def pages(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("pages")
    for name in ("drum", "drive", "rhythm", "arpeggio", "texture", "voice"):
        text = instrument_page(name, BOARD, phrase=play_phrase)
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


@pytest.fixture
def drum(pages, chromium) -> Browser:
    """The drum's page, everything unplugged, playing."""
    chromium.console.clear()
    chromium.size(1280, 900)
    chromium.open("about:blank#")
    chromium.open((pages / "drum.html").as_uri())
    chromium.click("#play")
    chromium.until(f"{SEEN} && {SEEN}.tick > 0")
    chromium.click("#empty")
    return chromium


def position(page: Browser, name: str) -> float:
    """Where a parameter is in the firmware, once it stands still."""
    at = page.run(f"vaectrol.page.about.parameters.findIndex((one) => one.name === '{name}')")
    tick = page.run(f"{SEEN}.tick")
    page.until(f"{SEEN}.tick > {tick} + 4800")
    return page.run(f"{SEEN}.positions[{at}]")


def quiet(page: Browser) -> None:
    page.until(f"Math.max(...{SEEN}.peaks) < 1e-3")


def test_a_knob_turns_by_mouse_wheel_and_keys_and_the_parameter_follows(drum):
    before = position(drum, "latent/1")
    x, y = drum.middle('[data-part="knob_2"] .cap')
    drum.drag(x, y, x, y - 66)  # 66 of 220 pixels
    assert position(drum, "latent/1") == pytest.approx(before + 0.3, abs=0.01)
    turned = drum.run("document.querySelector('[data-part=knob_2] line').getAttribute('transform')")
    degrees = float(turned.removeprefix("rotate(").split()[0])
    assert degrees == pytest.approx(-150 + 300 * drum.run("vaectrol.desk.patch.knobs.knob_2"), abs=0.01)
    drum.key("Home")
    assert position(drum, "latent/1") == pytest.approx(0.0, abs=0.005)
    drum.key("PageUp")
    drum.key("ArrowUp")
    assert position(drum, "latent/1") == pytest.approx(0.11, abs=0.01)
    drum.mouse("mouseWheel", x, y, deltaX=0, deltaY=-100)
    assert position(drum, "latent/1") == pytest.approx(0.13, abs=0.01)
    assert drum.run("document.querySelector('[data-part=knob_2]').getAttribute('aria-valuenow')") == "13"
    assert drum.console == []


def test_an_lfo_pulled_to_a_jack_moves_its_parameter_at_its_rate(drum):
    still = position(drum, "latent/1")
    from_x, from_y = drum.middle('[data-source="lfo_4"]')
    to_x, to_y = drum.middle('[data-part="cv_2"] .cap')
    from_x, from_y = drum.run(
        "(() => { const b = document.querySelector('[data-source=lfo_4]').getBoundingClientRect();"
        "return [b.x + b.width / 2, b.y + b.height / 2]; })()"
    )
    drum.drag(from_x, from_y, to_x, to_y)
    assert drum.run("vaectrol.desk.patch.cables.cv_2.from") == "lfo_4"
    assert drum.run("document.querySelectorAll('.cables [data-cable=cv_2] .cord').length") == 1
    tick = drum.run(f"{SEEN}.tick")
    drum.until(f"{SEEN}.tick > {tick} + 2.1 * 48000")
    about = "vaectrol.page.about"
    crossings = drum.run(
        f"""(() => {{
          const at_jack = {about}.inputs.findIndex((one) => one.name === "cv_2");
          const row = {about}.cvOut + {about}.gateOut + at_jack;
          const volts = {SEEN}.slow.slice(row * 2048, (row + 1) * 2048), at = {SEEN}.slowAt;
          const line = Array.from(volts, (_, i) => volts[(at + i) % 2048]).slice(-2000);
          return line.filter((value, i) => i && (value > 0) !== (line[i - 1] > 0)).length;
        }})()"""
    )
    assert crossings in (23, 24, 25)  # 2 s of 6 Hz
    parameter = drum.run(f"{about}.parameters.findIndex((one) => one.name === 'latent/1')")
    drum.run(f"window.far = 0; setInterval(() => far = Math.max(far, {SEEN}.positions[{parameter}]), 20)")
    drum.until(f"far > {still} + 0.1")
    assert not drum.run("document.querySelector('[data-scope=cv_2]').closest('figure').hidden")
    first = drum.run("document.querySelector('[data-scope=cv_2]').toDataURL()")
    drum.until(f"document.querySelector('[data-scope=cv_2]').toDataURL() !== {first!r}")


def test_a_pad_strikes_the_drum_and_its_gate_sound_and_scope_follow(drum):
    quiet(drum)
    x, y = drum.middle('[data-pad="gate_in_1"]')
    drum.mouse("mousePressed", x, y)
    drum.until(f"{SEEN}.gatesIn & 1")
    drum.until(f"Math.max(...{SEEN}.peaks) > 0.05")
    drum.mouse("mouseReleased", x, y)
    drum.until(f"!({SEEN}.gatesIn & 1)")
    scope = (
        f"{SEEN}.slow.slice(2048 * 2, 2048 * 3)"  # behind two CV outputs: gate_out_1, the trigger passed on
    )
    assert drum.run(f"Math.max(...{scope})") == 5
    quiet(drum)
    drum.key("x")  # the accent alone strikes nothing
    drum.run("document.querySelector('[data-part=button_1]').focus()")
    drum.key(" ", "Space")  # the button on the panel does
    drum.until(f"Math.max(...{SEEN}.peaks) > 0.05")
    assert drum.console == []


def test_a_jack_is_patched_by_keyboard_alone(drum):
    drum.run("document.querySelector('[data-part=cv_1]').focus()")
    drum.key("Enter")
    drum.until("!document.getElementById('sheet').hidden")
    drum.run("document.querySelector('#sheet [data-choice=random_1]').focus()")
    drum.call("Input.dispatchKeyEvent", {"type": "keyDown", "key": "Enter", "code": "Enter", "text": "\r"})
    drum.until("(vaectrol.desk.patch.cables.cv_1 || {}).from === 'random_1'")
    drum.key("Escape")
    drum.until("document.getElementById('sheet').hidden")
    assert drum.run("document.activeElement.dataset.part") == "cv_1"
    assert "Random 1" in drum.run("document.activeElement.getAttribute('aria-description')")


def moved_by(page: Browser, knob: str) -> str:
    """Which parameter a knob of the panel moves."""
    about = "vaectrol.page.about"
    at = f"{about}.inputs.findIndex((one) => one.name === '{knob}')"
    return page.run(f"{about}.parameters.find((one) => one.knob === {at}).name")


def test_midi_plays_by_the_instruments_table_and_a_learnt_controller_turns_a_knob(drum):
    quiet(drum)
    drum.run("vaectrol.midi.hear([0x90, 60, 100]); vaectrol.midi.hear([0x80, 60, 0])")
    drum.until(f"Math.max(...{SEEN}.peaks) > 0.05")
    drum.run("vaectrol.midi.hear([0xb0, 21, 127])")  # the table's controller of the second knob
    assert drum.run("vaectrol.desk.patch.knobs.knob_2") == 1
    drum.click("#midi-learn")
    drum.click('[data-part="knob_3"] .cap')
    drum.run("vaectrol.midi.hear([0xb0, 21, 127])")
    assert drum.run("vaectrol.desk.patch.knobs.knob_3") == 1
    drum.run("vaectrol.midi.hear([0xb0, 21, 0])")
    assert position(drum, moved_by(drum, "knob_3")) == pytest.approx(0.0, abs=0.005)
    assert drum.run("vaectrol.desk.patch.knobs.knob_2") == 1  # it turns what it has learnt, and nothing else


def test_midi_notes_come_out_of_sockets(drum):
    drum.run("vaectrol.desk.plug('gate_in_1', {from: 'midi_gate', depth: 1, offset: 0})")
    drum.run("vaectrol.midi.hear([0x90, 60, 100])")
    drum.until(f"{SEEN}.gatesIn & 1")
    drum.run("vaectrol.midi.hear([0x80, 60, 0])")
    drum.until(f"!({SEEN}.gatesIn & 1)")


def test_a_clock_by_midi_takes_the_place_of_the_pages(pages, chromium):
    chromium.open("about:blank#")
    chromium.open((pages / "rhythm.html").as_uri())
    chromium.click("#play")
    chromium.until(f"{SEEN} && {SEEN}.tick > 0")
    assert chromium.run("vaectrol.desk.patch.cables.gate_in_1.from") == "clock"
    chromium.run("vaectrol.midi.hear([0xfa])")
    chromium.run("for (let n = 0; n < 24 * 16; n++) setTimeout(() => vaectrol.midi.hear([0xf8]), 10 * n)")
    chromium.until("!vaectrol.desk.patch.cables.gate_in_1")
    chromium.until(f"Math.max(...{SEEN}.peaks) > 0.02")


def test_the_patch_is_in_the_address_and_survives_a_reload(drum):
    drum.run("vaectrol.desk.setKnob('knob_1', 0.25)")
    drum.run("vaectrol.desk.plug('cv_3', {from: 'cv_out_1', depth: -0.5, offset: 1})")
    drum.until(
        "atob((location.hash.split('=')[1] || '').replaceAll('-', '+').replaceAll('_', '/')).includes('0.25')"
    )
    drum.call("Page.reload")
    drum.until("document.readyState === 'complete' && window.vaectrol && !vaectrol.desk.seen")
    assert drum.run("vaectrol.desk.patch.knobs.knob_1") == 0.25
    assert drum.run("vaectrol.desk.patch.cables") == {
        "cv_3": {"from": "cv_out_1", "depth": -0.5, "offset": 1}
    }
    drum.run("location.hash = '#patch=eyJ'")
    drum.until("document.getElementById('warning').textContent.includes('cut off')")


def test_a_patch_is_kept_by_name(drum):
    drum.run("vaectrol.desk.setKnob('knob_4', 0.5)")
    drum.run("document.querySelector('#patches input[type=text]').value = 'short'")
    drum.run("document.querySelector('#patches button').click()")
    drum.run("vaectrol.desk.setKnob('knob_4', 1)")
    drum.run("document.querySelector('#patches ul:not(#factory) button').click()")
    assert drum.run("vaectrol.desk.patch.knobs.knob_4") == 0.5
    drum.run("document.querySelector('#patches ul:not(#factory) .close').click()")
    assert drum.run("document.querySelectorAll('#patches ul:not(#factory) li').length") == 0


PERFORM = """
(async () => {
  const {desk} = vaectrol, wait = (ms) => new Promise((done) => setTimeout(done, ms));
  document.getElementById("record").click();
  await wait(150);
  desk.plug("gate_in_1", {from: "clock", depth: 1, offset: 0});
  desk.plug("cv_2", {from: "lfo_3", depth: 0.7, offset: 0.5});
  desk.plug("cv_3", {from: "cv_out_1", depth: -1, offset: 1});
  desk.plug("cv_5", {from: "random_1", depth: 1, offset: 0});
  for (let n = 0; n < 12; n++) {
    await wait(60);
    desk.setKnob("knob_1", n / 12);
    desk.setRemote("level", 0.4 + n / 30);
    desk.press("gate_in_2", n % 3 === 0);
    vaectrol.midi.hear([n % 2 ? 0x80 : 0x90, 60, 30 + 8 * n]);
    vaectrol.midi.hear([0xb0, 27, 10 * n]);
  }
  desk.plug("gate_in_1", {from: "lfo_4", depth: 0.5, offset: 0});
  await wait(400);
  desk.press("button_1", true);
  await wait(300);
  desk.press("button_1", false);
  document.getElementById("record").click();
})()
"""


def test_a_recording_is_what_vaectrol_play_plays_from_its_script(drum, tmp_path):
    drum.run(PERFORM, click=True)
    drum.until("vaectrol.recorder.take && !document.getElementById('kept').hidden")
    script = tmp_path / "take.csv"
    script.write_text(drum.run("vaectrol.scriptOfTake(vaectrol.page, vaectrol.recorder.take)"))
    ticks = drum.run("vaectrol.recorder.take.ticks")
    wav = drum.run(
        """(async () => {
          const blob = await vaectrol.wavOfTake(vaectrol.page, vaectrol.recorder.take);
          const bytes = new Uint8Array(await blob.arrayBuffer());
          let text = "";
          for (const byte of bytes) text += String.fromCharCode(byte);
          return btoa(text);
        })()"""
    )
    audio, rate_hz = soundfile.read(io.BytesIO(base64.b64decode(wav)), dtype="float32", always_2d=True)
    assert (rate_hz, len(audio)) == (48_000, ticks)
    assert ticks > 48_000
    assert np.abs(audio).max() > 0.05
    played = play("drum", board=BOARD, script=script, seconds=ticks / rate_hz)
    np.testing.assert_array_equal(played.rendered.audio.T.view(np.uint32), audio.view(np.uint32))
    text = script.read_text()
    assert all(
        name in text.split("\n")[0] for name in ("knob_1", "cv_2", "cv_3", "cv_5", "level", "button_1")
    )
    assert drum.console == []


def test_a_recording_is_what_was_heard(drum):
    """The browser's own analyser taps the live sound; its samples are found in the take, each one."""
    drum.run("window.tap = new AnalyserNode(vaectrol.desk.sound.context, {fftSize: 32768})")
    drum.run("vaectrol.desk.sound.node.connect(tap); 0")
    tapped = PERFORM.replace('  document.getElementById("record").click();\n})', TAP + "})")
    drum.run(tapped, click=True)
    drum.until("vaectrol.recorder.take && !document.getElementById('kept').hidden")
    found = drum.run(
        """vaectrol.renderTake(vaectrol.page, vaectrol.recorder.take).then(([row]) => {
          const same = (start) => heard.every((value, i) => value === row[start + i]);
          for (let start = 0; start + heard.length <= row.length; start++) if (same(start)) return start;
          return -1;
        })"""
    )
    assert drum.run("Math.max(...heard)") > 0.01
    assert found > 0


TAP = """
  window.heard = new Float32Array(32768);
  tap.getFloatTimeDomainData(heard);
  document.getElementById("record").click();
"""


def test_the_instrument_plays_its_demonstration(drum):
    quiet(drum)
    drum.click("#demo")
    drum.until(f"{SEEN}.script > 0.5 && Math.max(...{SEEN}.peaks) > 0.05")
    drum.click("#demo")
    drum.until(f"{SEEN}.script < 0")


@pytest.mark.parametrize("name", ["drive", "texture"])
def test_what_hears_plays_its_phrase_at_once_and_takes_a_dropped_sound(name, pages, chromium):
    chromium.console.clear()
    chromium.open((pages / f"{name}.html").as_uri())
    chromium.until("vaectrol.desk.tape")
    chromium.click("#play")
    chromium.until(f"{SEEN} && Math.max(...{SEEN}.peaks) > 0.02")
    drop = """
      (async () => {
        const file = new File([FILE], NAME), moved = new DataTransfer();
        moved.items.add(file);
        const how = {bubbles: true, cancelable: true, dataTransfer: moved};
        document.body.dispatchEvent(new DragEvent("drop", how));
      })()
    """
    chromium.run(drop.replace("FILE", "'not a sound'").replace("NAME", "'a.txt'"))
    chromium.until("document.getElementById('warning').textContent.startsWith('a.txt is no sound')")
    tone = io.BytesIO()
    soundfile.write(
        tone, np.sin(np.arange(24_000) * 0.05).astype(np.float32), 48_000, format="WAV", subtype="FLOAT"
    )
    data = base64.b64encode(tone.getvalue()).decode()
    given = f"Uint8Array.from(atob('{data}'), (c) => c.charCodeAt(0))"
    chromium.run(drop.replace("FILE", given).replace("NAME", "'tone.wav'"))
    chromium.until("vaectrol.desk.tape.length === 24000")


def test_a_texture_follows_knob_and_freeze(pages, chromium):
    chromium.console.clear()
    chromium.open("about:blank#")
    chromium.open((pages / "texture.html").as_uri())
    chromium.until("vaectrol.desk.tape")
    chromium.click("#play")
    chromium.until(f"{SEEN} && Math.max(...{SEEN}.peaks) > 0.02")
    x, y = chromium.middle('[data-pad="gate_in_1"]')
    chromium.mouse("mousePressed", x, y)
    chromium.until(f"{SEEN}.gatesIn & 1")
    scope = f"{SEEN}.slow.slice(2048 * 2, 2048 * 3)"  # behind two CV outputs: gate_out_1, held by freeze
    chromium.until(f"Math.max(...{scope}) === 5 && Math.max(...{SEEN}.peaks) > 0.02")
    chromium.mouse("mouseReleased", x, y)
    chromium.until(f"!({SEEN}.gatesIn & 1)")
    chromium.click("#empty")
    chromium.run("document.querySelector('[data-part=knob_1]').focus()")
    chromium.key("Home")
    assert position(chromium, "latent/1") == pytest.approx(0.0, abs=0.005)
    chromium.key("PageUp")
    assert position(chromium, "latent/1") == pytest.approx(0.1, abs=0.01)
    assert chromium.console == []


def test_a_voice_plays_a_line_when_its_page_is_played(pages, chromium):
    chromium.open((pages / "voice.html").as_uri())
    chromium.click("#play")
    chromium.until(f"{SEEN} && Math.max(...{SEEN}.peaks) > 0.02")


@pytest.mark.parametrize("name", ["rhythm", "arpeggio"])
def test_a_module_without_a_sound_plays_another_to_be_heard(name, pages, chromium):
    chromium.open((pages / f"{name}.html").as_uri())
    chromium.click("#play")
    chromium.until(f"{SEEN} && Math.max(...{SEEN}.peaks) > 0.02")
    assert "no sound of its own" in chromium.run("document.body.textContent")


@pytest.mark.parametrize(
    ("before", "words"),
    [
        ("delete window.AudioWorkletNode", "This browser has no AudioWorklet here"),
        ("WebAssembly.validate = () => false", "This browser has no WebAssembly SIMD"),
    ],
)
def test_a_browser_that_lacks_something_is_told_which(before, words, pages, chromium):
    added = chromium.call("Page.addScriptToEvaluateOnNewDocument", {"source": before})
    try:
        chromium.open("about:blank#")
        chromium.open((pages / "drum.html").as_uri())
        said = chromium.until("document.getElementById('warning').textContent")
        assert said.startswith(words)
        assert said.count(".") - said.count("16.4") - said.count("14.1") == 1
    finally:
        chromium.call("Page.removeScriptToEvaluateOnNewDocument", {"identifier": added["identifier"]})


def test_a_refused_microphone_is_one_sentence(drum):
    drum.click("#mic-open")
    said = drum.until("document.getElementById('warning').textContent")
    assert said.startswith(("There is no microphone here;", "The microphone was refused;"))
    assert said.count(".") == 1


def judged_sounds(path: Path) -> None:
    """What `vaectrol evaluate` writes: ten groups of what was heard, made, and an opponent."""
    tone = np.sin(np.arange(24_000) * 0.02).astype(np.float32)
    source = sound_source(tone, 48_000)
    groups = [
        [
            {"title": f"kick {number}, heard", "source": source},
            {"title": "made", "source": source},
            {"title": "oracle nearest neighbour", "source": source},
        ]
        for number in range(10)
    ]
    path.write_text(json.dumps(groups))


def test_originals_and_the_models_own_are_switched_while_they_play(chromium, tmp_path):
    judged_sounds(tmp_path / "heard.json")
    page = tmp_path / "kit.html"
    words = ["web", "drum", "--beside", str(tmp_path / "heard.json"), "-o", str(page)]
    assert vaectrol.main(words) == 0
    assert page.stat().st_size <= 600_000
    chromium.open(page.as_uri())
    assert chromium.run("document.querySelectorAll('.pair').length") == 8
    chromium.click(".pair:nth-child(2) [data-plays=original]")
    pressed = "[...document.querySelectorAll('.pair [aria-pressed=true]')].map((one) => one.ariaLabel).join()"
    chromium.until(f"{pressed} === 'kick 1, original'")
    chromium.click(".pair:nth-child(2) [data-plays=made]")
    chromium.until(f'{pressed} === "kick 1, the model\'s"')
    chromium.until(f"{pressed} === ''")  # it ends by itself


@pytest.mark.parametrize("width", [320, 400, 768])
def test_a_narrow_window_needs_no_sideways_scrolling(width, pages, chromium):
    chromium.size(width, 860, phone=True)
    for name in ("drum", "rhythm"):
        chromium.open((pages / f"{name}.html").as_uri())
        assert chromium.run("document.documentElement.scrollWidth") <= width


def test_everything_one_can_touch_has_a_name(drum):
    nameless = drum.run(
        """[...document.querySelectorAll("button, input, select, [tabindex]")].filter((one) =>
          !(one.getAttribute("aria-label") || one.textContent.trim() || one.labels?.length))
          .map((one) => one.outerHTML)"""
    )
    assert nameless == []
    small = drum.run(
        """[...document.querySelectorAll("button")].filter((one) => one.offsetWidth && one.offsetHeight < 24)
          .map((one) => one.outerHTML)"""
    )
    assert small == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["drum", "-o", "{}/kit.wav"], "ends in .wav; name a page .html"),
        (["-o", "{}/kit.html"], "holds one instrument; say which"),
        (["drum", "--model", "drum={}/none.onnx", "-o", "{}/kit.html"], "there is no model file"),
        (["drum", "--model", "drum=x.onnx", "-o", "{}/gallery"], "is a gallery of what ships"),
        (["lyre", "-o", "{}/kit.html"], "there is no instrument 'lyre'"),
        (["drum", "-o", "{}"], "holds something else already"),
        (["drum", "--beside", "{}/none.json", "-o", "{}/kit.html"], "cannot read"),
        (["drum", "--beside", "{}/someone's", "-o", "{}/kit.html"], "holds no judged sounds"),
    ],
)
def test_a_page_that_cannot_be_is_refused_in_a_sentence(words, said, tmp_path, capsys):
    (tmp_path / "someone's").write_text("")
    assert vaectrol.main(["web", *(word.format(tmp_path) for word in words)]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["someone's"]


def test_a_board_without_audio_outputs_is_refused(tmp_path, capsys):
    board = tmp_path / "mute.toml"
    from hardware.board import BOARDS_DIR

    text = (BOARDS_DIR / "patch_sm.toml").read_text()
    board.write_text(text.replace("outputs = 2", "outputs = 0"))
    assert vaectrol.main(["web", "drum", "--board", str(board), "-o", str(tmp_path / "kit.html")]) == 2
    assert "has no audio output, so a page has nothing to play" in capsys.readouterr().err
