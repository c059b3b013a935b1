"""The modal body: struck to the sample, in tune with volts, held and choked, the float twin's own sound."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from firmware.build import generate, host_library
from firmware.instruments.kinds.modal import SOUND
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.ports.web import page
from firmware.script.cv_script import Script, signals
from train.models.modal.parameters import ENDS, NAMES, random_patches
from train.models.modal.sound import FRAME, MODES, SEED, stroke

ROOT = Path(__file__).resolve().parents[2]
RATE_HZ = 48_000
SETTLED = RATE_HZ // 4
"""Samples after which controls have come to rest."""
STRING = {"stretch": 0.4286, "scatter": 0.0, "decay": 0.9, "brightness": 0.3, "direct": 0.0, "drive": 0.0}
BOW = {"exciter": 1.0, "length": 0.3, "decay": 0.3, "attack": 0.2, "direct": 0.2}


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    built = generate("modal", "host", tmp_path_factory.mktemp("modal"))
    return built, host_library(built)


def played(library, strokes, patch, ticks, block=48, gates=None, volts=0.0):
    """Sound of strokes at samples after `SETTLED`, and where the knobs stood."""
    built, path = library
    host = HostInstrument(path)
    script = Script(seconds=(SETTLED + ticks) / RATE_HZ)
    for name, position in {**patch, "level": 1.0}.items():
        script.columns[name] = (np.zeros(1), np.array([position]))
    script.columns["cv_1"] = (np.zeros(1), np.array([volts]))
    made = signals(script, built.board, SETTLED + ticks, host.parameters, {}, resting_knobs(built))
    for jack, spans in {0: [(at, at + 50) for at in strokes], **(gates or {})}.items():
        for first, last in spans:
            made.gates[jack][SETTLED + first : SETTLED + last] = 5.0
    sound = host.render(made, block).audio[0][SETTLED:]
    return sound, np.array([[host.position(name) for name in NAMES]], np.float32)


@pytest.mark.parametrize("block", [1, 16, 48, 256])
def test_a_stroke_is_exact_to_the_sample_and_the_same_at_any_block(library, block):
    patch = {"exciter": 0.3, "bend": 0.4, "scatter": 0.5}
    first, _ = played(library, [0], patch, 9600)
    for at in (1, 31, 47):
        later, _ = played(library, [at], patch, 9600 + at, block)
        assert np.array_equal(later[at:], first)
        assert not later[:at].any()
    assert np.abs(first).max() > 0.05


def test_a_volt_is_an_octave(library):
    heard = []
    for volts in (-2.0, -1.0, 0.0, 1.0):
        sound, _ = played(library, [0], STRING, RATE_HZ, volts=volts)
        part = sound[9600:] * np.hanning(RATE_HZ - 9600)
        size = 1 << 19
        power = np.abs(np.fft.rfft(part, size))
        heard.append(np.argmax(power) * RATE_HZ / size)
    assert heard == pytest.approx([65.406, 130.813, 261.626, 523.251], rel=2e-3)


def test_a_held_bow_goes_on_and_a_hand_stops_it(library):
    free, _ = played(library, [0], BOW, RATE_HZ)
    held, _ = played(library, [0], BOW, RATE_HZ, gates={1: [(0, RATE_HZ)]})
    choked, _ = played(library, [0], BOW, RATE_HZ, gates={1: [(0, RATE_HZ)], 3: [(24_000, RATE_HZ)]})
    late = slice(36_000, None)
    assert np.abs(held[late]).max() > 0.03
    assert np.abs(free[late]).max() < 0.1 * np.abs(held[late]).max()
    assert np.array_equal(choked[:24_000], held[:24_000])
    assert np.abs(choked[late]).max() < 0.01 * np.abs(held[late]).max()


def test_an_accent_is_twice_as_strong(library):
    patch = {**STRING, "drive": 0.0}
    plain, _ = played(library, [0], patch, 9600)
    accented, _ = played(library, [0], patch, 9600, gates={2: [(0, 100)]})
    assert 1.5 < np.abs(accented).max() / np.abs(plain).max() < 2.1  # the drive takes a little


def test_no_two_strokes_within_a_millisecond(library):
    """A trigger that bounces strikes once, so that 48 samples never begin more than two frames."""
    once, _ = played(library, [0], {}, 4800)
    twice, _ = played(library, [0], {}, 4800, gates={0: [(0, 8), (20, 28)]})
    assert np.array_equal(once, twice)


def test_silence_is_silence(library):
    sound, _ = played(library, [], {"direct": 1.0, "drive": 1.0, "exciter": 0.5}, 9600)
    assert not sound.any() or np.abs(sound).max() < 1e-7
    after, _ = played(library, [0], {"decay": 0.0, "length": 0.0}, 2 * RATE_HZ)
    assert np.abs(after[RATE_HZ:]).max() < 1e-7


def test_its_page_claims_no_integers_and_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr(page, "link", lambda built, folder: ROOT / "LICENSE")  # any file: nothing is played
    texts = {}
    for name in ("modal", "voice"):
        built = generate(name, "patch_sm", tmp_path / name, target="wasm")
        texts[name] = page.page_html(built, 48, page.Extras()).split("<footer>")[1].split("</footer>")[0]
    assert "8-bit" not in texts["modal"] and "models" not in texts["modal"]
    assert "8-bit integers" in texts["voice"] and "models " in texts["voice"]


def test_the_twin_has_the_parameters_and_sizes_of_the_instrument():
    assert list(ENDS) == list(SOUND)
    for name, (ends, _) in SOUND.items():
        assert ENDS[name] == pytest.approx(ends)


def test_sizes_are_those_of_the_headers():
    from tests.firmware.test_engine_constants import define

    assert define("instruments/modal.h", "MODAL_MODES") == MODES
    assert define("instruments/modal.h", "MODAL_FRAME") == FRAME
    assert define("instruments/modal.h", "MODAL_SEED") == SEED
    assert define("dsp/resonators.h", "VK_RESONATORS") == MODES


def test_the_twin_sounds_like_the_instrument(library):
    """Random patches, a second each: the error is below −60 dB of the sound, and below −80 dB as a rule."""
    errors = []
    for patch in random_patches(12, 11):
        sound, at = played(library, [0], dict(zip(NAMES, patch.tolist(), strict=True)), RATE_HZ)
        with torch.no_grad():
            twin = stroke(torch.from_numpy(at))[0].numpy()
        errors.append(10 * np.log10(((twin - sound) ** 2).sum() / (sound**2).sum()))
    assert max(errors) < -60
    assert np.median(errors) < -80


def test_gradients_of_the_twin_are_those_of_differences():
    """Of the energies of the first milliseconds, by each knob."""
    patch = torch.from_numpy(random_patches(1, 5))
    weights = torch.linspace(1.0, 3.0, 20)

    def energy(x):
        return (stroke(x, 20).unflatten(1, (20, FRAME)).double().square().sum(-1) * weights).sum()

    x = patch.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(energy(x), x)
    slopes = []
    for at in range(len(NAMES)):
        step = torch.zeros_like(patch)
        step[0, at] = 2e-4
        with torch.no_grad():
            slopes.append(float(energy(patch + step) - energy(patch - step)) / 4e-4)
    assert gradient[0].tolist() == pytest.approx(slopes, rel=0.03, abs=2e-3 * float(gradient.abs().max()))
    assert np.count_nonzero(slopes) >= len(NAMES) - 1
