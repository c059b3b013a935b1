"""A page plays the notes that leave a module as `vaectrol play` does: the same gates and volts to both."""

from __future__ import annotations

import json
import shutil
import subprocess

import numpy as np
import pytest

from firmware.instruments.demo import find_demo
from firmware.midi.pitched import sound_notes, voices_of
from firmware.play.render import play
from firmware.ports.web.link import WEB
from firmware.ports.web.page import notes_about

NODE = shutil.which("node")
pytestmark = [
    pytest.mark.fast,
    pytest.mark.skipif(NODE is None, reason="node is not here: apt install nodejs"),
]
RATE_HZ, BLOCK = 48_000, 48
DRIVER = """
import {readFileSync, writeFileSync} from "node:fs";
import {playerOf} from "WEB/outside.js";
const {notes, block, cvs, ticks} = JSON.parse(readFileSync("about.json"));
const gates = new Uint32Array(readFileSync("gates.bin").buffer);
const cv = new Float32Array(readFileSync("cv.bin").buffer);
const player = playerOf({notes}, block, 48000), out = new Float32Array(2 * ticks);
for (let at = 0; at < ticks; at += block) {
  const cvOut = Array.from({length: cvs}, (_, c) => cv.subarray(c * ticks + at, c * ticks + at + block));
  player.render({gatesOut: gates.subarray(at, at + block), cvOut}, block);
  for (let side = 0; side < 2; side++) out.set(player.rows[side].subarray(0, block), side * ticks + at);
}
writeFileSync("out.bin", out);
"""


@pytest.fixture(scope="module")
def played():
    return play("arpeggio", board="patch_sm", script=find_demo("arpeggio").script, seconds=6.0)


def in_node(folder, notes, gates, cv):
    """What the page's player makes of gates [ticks] and volts [cvs, ticks]: sound [2, ticks]."""
    about = {"notes": notes, "block": BLOCK, "cvs": len(cv), "ticks": gates.size}
    (folder / "about.json").write_text(json.dumps(about))
    (folder / "gates.bin").write_bytes(np.asarray(gates, np.uint32).tobytes())
    (folder / "cv.bin").write_bytes(np.ascontiguousarray(cv, np.float32).tobytes())
    (folder / "driver.mjs").write_text(DRIVER.replace("WEB", WEB.as_posix()))
    subprocess.run([NODE, "driver.mjs"], cwd=folder, check=True)
    return np.frombuffer((folder / "out.bin").read_bytes(), np.float32).reshape(2, -1)


def test_the_pages_notes_are_those_of_play(played, tmp_path):
    """Sample by sample, but for one gain: a rendering knows its peak, a page does not."""
    rendered = played.rendered
    ticks = rendered.gates.size // BLOCK * BLOCK
    found = in_node(
        tmp_path, notes_about(voices_of(played.built)), rendered.gates[:ticks], rendered.cv[:, :ticks]
    )
    expected = sound_notes(played.built, rendered)[0][:, :ticks]
    gain = float(np.vdot(expected, found) / np.vdot(found, found))
    assert np.abs(found).max() > 0.1 and np.abs(found).max() < 1.0
    assert np.abs(gain * found - expected).max() < 1e-5 * np.abs(expected).max()


def test_a_tied_note_changes_its_pitch_and_an_unheard_one_ends(tmp_path):
    """A gate that stays high while the volts move is several notes; nothing sounds after four seconds."""
    notes = {
        **notes_about([]),
        "voices": [{"gate": 2, "cv": 0, "untilNext": False}],
    }
    ticks = 6 * RATE_HZ
    gates = np.where(np.arange(ticks) >= 480, 4, 0).astype(np.uint32)
    volts = np.where(np.arange(ticks) < RATE_HZ, 1.0, 2.0).astype(np.float32)[None]
    sound = in_node(tmp_path, notes, gates, volts)[0]
    for first, hz in ((0.3, 130.81), (1.3, 261.63)):
        part = sound[round(first * RATE_HZ) :][: RATE_HZ // 2] * np.hanning(RATE_HZ // 2)
        loudest_hz = np.abs(np.fft.rfft(part)).argmax() * 2.0
        assert abs(loudest_hz - hz) <= 2.0
    assert not sound[:480].any() and np.abs(sound[480:]).max() > 0.05
    assert not sound[round(5.1 * RATE_HZ) :].any()
