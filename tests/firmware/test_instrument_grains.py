"""Grains: places on the map sound at the pitch of a volt; the bank is never torn; wrong parts are refused."""

from __future__ import annotations

import json

import numpy as np
import onnx
import pytest

from common import model_metadata
from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.instruments.kinds.grains import PIECES
from firmware.instruments.spec import load_instrument
from firmware.models.model_file import MODELS_DIR
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals
from tests.firmware.test_instrument_oscillator import code, pulses

RATE_HZ = 48_000
C2_HZ = 440 * 2 ** ((36 - 69) / 12)
BEGUN = RATE_HZ // 4
TIGHT = {"x": 0.03, "y": 0.72, "spread": 0.0, "jitter": 0.0, "density": 0.8, "length": 0.9, "listen": 0.0}


class Module:
    """The shipped instrument, for this machine."""

    def __init__(self, folder, block=48, instrument="grains"):
        self.built = generate(instrument, "patch_sm", folder, target="host", block=block)
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def play(self, ticks, volts=2.0, audio=None, freeze=None, trigger=None, redraw=None, moves=None, **said):
        """Parameters as ``said`` from the beginning; ``moves``: (seconds, positions) of some, later."""
        columns = {name: ([0.0], [float(value)]) for name, value in said.items()}
        for name, (at, values) in (moves or {}).items():
            columns[name] = (at, values)
        script = Script(columns={n: (np.array(t), np.array(v)) for n, (t, v) in columns.items()})
        board = self.built.board
        made = signals(script, board, ticks, self.host.parameters, {}, resting_knobs(self.built))
        cv = next(i for i, one in enumerate(board.adcs) if one.name == "cv_1")
        made.inputs[cv] = code(board.adcs[cv], np.broadcast_to(volts, ticks))
        for row, gate in enumerate((freeze, trigger, redraw)):
            if gate is not None:
                made.gates[row] = gate
        if audio is not None:
            made.audio[0] = audio
        self.host.reset()
        return self.host.render(made, self.block)


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return Module(tmp_path_factory.mktemp("grains"))


def loudness(sound):
    return float(np.sqrt(np.mean(np.square(sound, dtype=float))))


def hz_near(sound, hz):
    size = 1 << 20
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound)), size))
    low, high = (int(hz * by * size / RATE_HZ) for by in (0.8, 1.25))
    return (low + np.argmax(spectrum[low:high])) * RATE_HZ / size


@pytest.mark.parametrize("volts", [1.0, 2.25, 3.4])
def test_a_cloud_has_the_pitch_that_volts_ask_for(module, volts):
    """Within three cents, judged by the spectrum of a second."""
    sound = module.play(RATE_HZ * 5 // 4, volts=volts, **TIGHT).audio[0][BEGUN:]
    hz = C2_HZ * 2**volts
    assert abs(1200 * np.log2(hz_near(sound, hz) / hz)) < 3


def test_a_frozen_bank_still_follows_the_pitch(module):
    """Pieces made at one pitch are read at another."""
    ticks = RATE_HZ * 2
    freeze = pulses(ticks, (RATE_HZ, ticks))
    volts = np.where(np.arange(ticks) < RATE_HZ + 480, 2.0, 2.5)
    sound = module.play(ticks, volts=volts, freeze=freeze, **TIGHT).audio[0][RATE_HZ + 9_600 :]
    hz = C2_HZ * 2**2.5
    assert abs(1200 * np.log2(hz_near(sound, hz) / hz)) < 3


def test_the_densest_cloud_at_no_spread_neither_clips_nor_drifts(module):
    """400 long grains a second of one code: by the gain's law within 6 dB of a thin cloud."""
    dense = module.play(RATE_HZ, **TIGHT | {"density": 1.0, "length": 1.0}).audio[0][BEGUN:]
    thin = module.play(RATE_HZ, **TIGHT | {"density": 0.55, "length": 1.0}).audio[0][BEGUN:]
    assert np.abs(dense).max() < 0.9
    assert abs(dense.mean()) < 0.01 * loudness(dense)
    assert abs(20 * np.log10(loudness(dense) / loudness(thin))) < 6


def test_without_density_only_triggers_sound(module):
    ticks = RATE_HZ
    trigger = pulses(ticks, (24_000, 24_480), (36_000, 36_480))
    found = module.play(ticks, trigger=trigger, **TIGHT | {"density": 0.0, "length": 0.5})
    sound, gates = found.audio[0], found.gates & 1
    assert not sound[:24_000].any()
    begun = np.flatnonzero(np.diff(gates.astype(int)) > 0) + 1
    assert begun.tolist() == [24_000, 36_000]
    assert loudness(sound[24_000:25_000]) > 0.005
    assert not sound[27_000:36_000].any()


def test_blocks_change_nothing_while_hands_rest(tmp_path):
    mine, other = (Module(tmp_path / f"{block}", block=block).play(24_000) for block in (48, 32))
    assert loudness(mine.audio) > 0.01
    np.testing.assert_array_equal(mine.audio, other.audio)
    np.testing.assert_array_equal(mine.gates, other.gates)


def test_places_far_apart_on_the_map_sound_different_and_a_frozen_bank_keeps_the_old_one(module):
    here, there = ({"x": x, "y": y} for x, y in ((0.03, 0.72), (0.9, 0.28)))

    def colour(**told):
        sound = module.play(RATE_HZ * 2, **TIGHT | told).audio[0][RATE_HZ:]
        power = np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) ** 2
        bands = [band.sum() for band in np.array_split(power[100:8000], 40)]
        return np.log10(np.array(bands) + 1e-9)

    moves = {name: ([0.0, 0.6], [here[name], there[name]]) for name in here}
    freeze = pulses(RATE_HZ * 2, (24_000, RATE_HZ * 2))
    away = {
        "other": np.abs(colour(**there) - colour(**here)).mean(),
        "frozen": np.abs(colour(moves=moves, freeze=freeze) - colour(**here)).mean(),
        "moved": np.abs(colour(moves=moves) - colour(**there)).mean(),
    }
    assert away["other"] > 3 * max(away["frozen"], away["moved"])


def test_what_comes_in_picks_the_code_that_onnxruntime_finds(module):
    """The encoder of the model file and the file of codes, run by onnxruntime, are the witness."""
    import onnxruntime

    n = np.arange(RATE_HZ)
    phase = 2 * np.pi * 196.0 * n / RATE_HZ
    audio = (0.3 * np.sign(np.sin(phase)) * np.minimum(1, n / 4800)).astype(np.float32)
    found = module.play(RATE_HZ, audio=audio, **TIGHT | {"listen": 1.0, "gain": 0.5})
    encoder, codes = (
        onnxruntime.InferenceSession(str(MODELS_DIR / name))
        for name in ("texture.encoder.onnx", "texture.codes.onnx")
    )
    heard = audio[: RATE_HZ // 256 * 256][None, None] * 1.0
    z = encoder.run(["latent"], {"audio": heard})[0]
    numbers = codes.run(["numbers"], {"latent": z})[0][0, 0]
    columns = {int(code) % 16 for code in numbers[-20:]}
    assert round(found.cv[0][-1] / 5 * 16 - 0.5) in columns
    assert loudness(found.audio[0][-9_600:]) > 0.01


def test_a_silent_input_that_is_listened_to_is_a_silent_cloud(module):
    loud, silent = (module.play(RATE_HZ, **TIGHT | {"listen": v}).audio[0][BEGUN:] for v in (0.0, 1.0))
    assert loudness(silent) < 0.01 * loudness(loud)


def test_a_piece_that_sounds_is_never_written(tmp_path):
    """A slow grain of the oldest piece, just before that is due to be made anew: as over a frozen bank.

    Only the first piece lies where the grain is asked for, and it is read two octaves down, so that the hand
    that writes would overtake the one that reads.
    """
    module, made = Module(tmp_path), 5_120
    due = PIECES * made
    moves = {"x": ([0.0, 0.02, (due - 2_400) / RATE_HZ], [0.03, 0.9, 0.03])}
    volts = np.where(np.arange(due + 6_000) < due - 2_400, 3.0, 1.0)
    told = TIGHT | {"y": 0.5, "density": 0.0, "length": 1.0}
    for before in (64, 900):
        found = []
        for held in (False, True):
            trigger, freeze = (pulses(len(volts), (due - at, len(volts))) for at in (before, before))
            module.play(9_600, **told | {"x": 0.03})
            found.append(
                module.play(
                    len(volts), volts, trigger=trigger, freeze=freeze if held else None, moves=moves, **told
                ).audio[0]
            )
        free, held = found
        assert loudness(free[due : due + 3_000]) > 0.003
        np.testing.assert_array_equal(free, held)


# ---- what is refused -------------------------------------------------------------------------------------


def changed(tmp_path, change):
    """The factory's codes with other metadata."""
    model = onnx.load(str(MODELS_DIR / "texture.codes.onnx"))
    told = json.loads({p.key: p.value for p in model.metadata_props}["vaectrol.codes"])
    model_metadata.write(model, change(told))
    path = tmp_path / "changed.onnx"
    onnx.save(model, str(path))
    return path


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda told: {"codec": "0" * 64},
            "its encoder, decoder, codes are of different runs .*codes 00000000",
        ),
        (
            lambda told: {"codes": told | {"side": 12}},
            "a map of 12 by 12 codes; .* train one of 2, 4, 8, 16 or 32",
        ),
        (lambda told: {"codes": told | {"gestures": told["gestures"][:9]}}, r"its gestures are \(9, 20, 3\)"),
        (lambda told: {"codes": told | {"ticks": 512}}, "3 books of 512 samples a frame"),
    ],
)
def test_codes_that_do_not_belong_or_fit_are_refused(tmp_path, change, says):
    with pytest.raises(Refusal, match=says):
        generate("grains", "patch_sm", tmp_path / "out", models={"codes": changed(tmp_path, change)})


def test_a_part_that_stands_for_another_is_refused(tmp_path):
    files = {
        "codes": ("texture.int8.onnx", "is the decoder of a texture, not its codes"),
        "encoder": ("texture.int8.onnx", "it stands for the encoder; exchange them"),
    }
    for role, (name, says) in files.items():
        with pytest.raises(Refusal, match=says):
            generate("grains", "patch_sm", tmp_path / role, models={role: MODELS_DIR / name})


@pytest.mark.parametrize("left_out", ["decoder", "codes"])
def test_grains_without_a_decoder_or_codes_are_refused(tmp_path, left_out):
    text = load_instrument("grains").located.path.read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text("\n".join(line for line in text.splitlines() if not line.startswith(f"{left_out} = ")))
    with pytest.raises(Refusal, match="mine: grains need a decoder and codes of its latents"):
        generate(mine, "patch_sm", tmp_path / "out")


def test_without_an_encoder_hands_say_all(tmp_path):
    text = load_instrument("grains").located.path.read_text()
    mine = tmp_path / "mine.toml"
    mine.write_text("\n".join(line for line in text.splitlines() if not line.startswith("encoder = ")))
    built = generate(mine, "patch_sm", tmp_path / "out", target="host")
    whole = generate("grains", "patch_sm", tmp_path / "whole", target="host")
    assert built.report["cpu_worst"] < whole.report["cpu_worst"] - 0.03


def test_the_latent_layer_lies_between_codes_and_decoder(tmp_path):
    """At rest it changes no bit; scaled to nothing, all codes sound as the mean."""
    mine = tmp_path / "mine.toml"
    mine.write_text(load_instrument("grains").located.path.read_text() + "\n[latents]\nshape = true\n")
    layered = Module(tmp_path / "out", instrument=mine)
    plain = Module(tmp_path / "plain").play(24_000)
    np.testing.assert_array_equal(layered.play(24_000).audio, plain.audio)
    here, there = (
        layered.play(48_000, **TIGHT | {"x": x, "latents/scale": 0.0, "density": 0.8}).audio[0][24_000:]
        for x in (0.03, 0.9)
    )
    colours = [np.abs(np.fft.rfft(sound * np.hanning(len(sound)))) for sound in (here, there)]
    assert np.corrcoef(colours)[0, 1] > 0.9
