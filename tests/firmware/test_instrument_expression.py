"""A voice whose loudness a network says: it is told what it was trained with, and what it says is heard."""

from __future__ import annotations

import tomllib

import numpy as np
import pytest
import torch

from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.play.host import HostInstrument
from tests.firmware import test_instrument_oscillator as plain
from tests.firmware.test_instrument_oscillator import LATENTS, PATCH, RATE_HZ, pulses
from train.models.expression.network import noise_of
from train.models.expression.shape import NOISES

CODEC = "0123456789abcdef"
KNOBS = {"life": 0.0, "decay": 0.5, "release": 0.5, "velocity": 0.75}


def patch():
    """The patch of the plain voice, whose four knobs move other things."""
    text = PATCH.replace('voice = "v.onnx"', 'voice = "v.onnx"\ncontrol = "c.onnx"')
    for old, new in zip(plain_knobs(), KNOBS, strict=True):
        text = text.replace(f'to = "{old}"', f'to = "{new}"')
    return text


def plain_knobs():
    return [control["to"] for control in tomllib.loads(PATCH)["control"] if "knob" in control]


HOP = 192


def told_index(name):
    from train.models.expression.shape import told_names

    return told_names(LATENTS).index(name)


def expression(path, heard, *, rest=(1.0, 0.0, 0.0), codec=CODEC):
    """An expression that adds to each curve's ``rest`` what ``heard`` says, ``{(channel, curve): slope}``."""
    from train.export.export import export_module
    from train.kinds import load_recipe
    from train.tasks.expression import ExpressionTask

    sizes = ["model.width=16", "model.latents=2", f"model.voice_latents={LATENTS}"]
    task = ExpressionTask(load_recipe("expression_quick", sizes))
    decoder = task.model.decoder
    with torch.no_grad():
        for parameter in decoder.parameters():
            parameter.zero_()
        for row, ((channel, curve), slope) in enumerate(heard.items()):
            where = 2 + told_index(channel) if isinstance(channel, str) else channel
            for sign in (1.0, -1.0):  # max(x, x / 8) less that of −x is 1.125 x
                unit = 2 * row + (sign < 0)
                decoder.inlet.conv.weight[unit, where] = sign
                decoder.outlet.weight[curve, unit] = sign * slope / 1.125
        decoder.outlet.bias.copy_(torch.tensor(rest))
    task.eval()
    latents = [
        {"name": f"w{i + 1}", "mean": 0.0, "std": 1.0, "quantiles": np.linspace(-2, 2, 33).tolist()}
        for i in range(2)
    ]
    told = {"kind": "expression", "part": "decoder", "latents": latents, "sample_rate_hz": RATE_HZ}
    export_module(decoder, *task.decoder_ports(), {**told, "voice_codec": codec}, path)
    return path


@pytest.fixture(scope="module")
def voice(tmp_path_factory):
    import onnx

    from common import model_metadata

    path = plain.written(tmp_path_factory.mktemp("voice") / "v.onnx")
    model = onnx.load(str(path))
    model_metadata.write(model, {"codec": CODEC})
    onnx.save(model, str(path))
    return path


class Module(plain.Module):
    """The same module with a network that says loudness."""

    def __init__(self, folder, voice, control, block=48):
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / "test.toml"
        self.path.write_text(patch())
        self.models = {"voice": voice, "control": control}
        self.built = generate(
            self.path, "patch_sm", folder / "out", models=self.models, block=block, target="host"
        )
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def signals(self, ticks, **told):
        hands = KNOBS | (told.pop("knobs", None) or {})
        return super().signals(
            ticks, knobs={f"knob_{list(KNOBS).index(k) + 1}": v for k, v in hands.items()}, **told
        )

    def loudness_db(self, ticks, begin, **told):
        """Loudness of every frame of a note whose gate rises at a sample, by the envelope's voltage."""
        made = self.play(ticks, **told)
        volts = made.cv[0]
        heard = int(np.argmax(volts > 0)) if (volts > 0).any() else begin
        return 20 * np.log10(np.maximum(volts[heard + 10 :: HOP], 1e-9) / 10)


def test_what_the_network_says_is_what_is_heard(voice, tmp_path):
    """Loudness falls by 20 dB with the age of 0.3 s, and by 20 more when it is let go."""
    from train.models.expression.network import clocks

    says = {("age_0.3", 0): 0.5, ("gate", 0): 0.5}
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", says, rest=(-0.25, 0, 0)))
    held = 125 * HOP
    heard = module.loudness_db(held + 20_000, 480, gate=pulses(held + 20_000, (480, 480 + held)))
    clock = clocks(torch.tensor([0]), torch.tensor([125]), 160)[0]
    wanted = 40 * (-0.25 + 0.5 * clock[4] + 0.5 * clock[0]).numpy() - 40
    for frame in (0, 1, 10, 60, 120, 150):
        assert heard[frame] == pytest.approx(wanted[frame], abs=0.3), frame


def test_pitch_goes_where_the_network_says(voice, tmp_path):
    """A scoop of 40 cents that is gone after a tenth of a second."""
    module = Module(
        tmp_path, voice, expression(tmp_path / "c.onnx", {("age_0.03", 1): -0.8}, rest=(0.5, 0, 0))
    )
    volts = module.play(24_000, volts=2.0).cv[1]
    cents = 1200 * (volts - 2.0)
    assert cents[400:600].min() == pytest.approx(-40, abs=4)
    assert np.abs(cents[8000:]).max() < 2


def test_breath_is_added_to_the_noise(voice, tmp_path):
    levels = []
    for number, log_gain in enumerate((0.0, 2.5)):
        model = expression(tmp_path / f"{number}.onnx", {}, rest=(0.5, 0, log_gain))
        sound = Module(tmp_path / str(number), voice, model).play(30_000, volts=4.0).audio[0][-(1 << 14) :]
        power = np.abs(np.fft.rfft(sound * np.blackman(1 << 14))) ** 2
        place = np.fft.rfftfreq(1 << 14, 1 / RATE_HZ) / (plain.C2_HZ * 16)
        between = (np.abs(place - np.rint(place)) > 0.3) & (place < 12)
        levels.append(10 * np.log10(power[between].mean()))
    assert levels[1] - levels[0] == pytest.approx(20 * 2.5 / np.log(10), abs=3)


def test_velocity_and_accent_are_heard_by_the_network(voice, tmp_path):
    module = Module(
        tmp_path, voice, expression(tmp_path / "c.onnx", {("velocity", 0): 0.5}, rest=(0.0, 0, 0))
    )

    def level(**told):
        return module.loudness_db(9600, 48, **told)[20]

    soft, hard = (level(knobs={"velocity": at}) for at in (0.25, 0.75))
    assert hard - soft == pytest.approx(20, abs=0.3)
    assert level(knobs={"velocity": 0.25}, accent=np.full(9600, 5.0)) == pytest.approx(
        -40 + 20 * 0.81, abs=0.3
    )


def test_decay_and_release_turn_the_clocks(voice, tmp_path):
    """With decay fully left a note stays as it is at a tenth of a second."""
    says = {("age_0.3", 0): 0.5, ("since_0.1", 0): 0.3}
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", says, rest=(0.0, 0, 0)))
    kept = module.loudness_db(30_000, 48, knobs={"decay": 0.0})
    assert kept[100] - kept[30] == pytest.approx(0, abs=0.1)
    fell = module.loudness_db(30_000, 48)
    assert fell[30] - fell[100] > 5
    gate = pulses(30_000, (48, 48 + 50 * HOP))
    slow, quick = (module.loudness_db(30_000, 48, gate=gate, knobs={"release": at}) for at in (0.7, 0.3))
    assert slow[70] - quick[70] > 4


def test_a_note_held_for_long_goes_on_dying(voice, tmp_path):
    """It fell by 17 dB a second while it was as old as what was learnt, which is told no further."""
    says = {("age_3", 0): 2.0}
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", says, rest=(-1.0, 0, 0)))
    heard = module.loudness_db(4 * RATE_HZ, 48)
    assert heard[440] - heard[440 + 250] == pytest.approx((heard[300] - heard[400]) * 2.5, rel=0.15)
    assert heard[-1] < heard[440] - 20


def test_a_released_note_ends_in_silence(voice, tmp_path):
    """Although the network would go on at −20 dB."""
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", {}, rest=(0.5, 0, 0)))
    made = module.play(80_000, gate=pulses(80_000, (100, 10_000)))
    assert np.abs(made.audio[0][4000:10_000]).max() > 0.02
    assert not np.any(made.audio[0][-4800:]) and made.cv[0][-1] == 0.0


def test_chance_moves_notes_and_without_it_they_are_alike(voice, tmp_path):
    says = {("noise_1", 0): 0.05, (0, 0): 0.05}
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", says, rest=(0.3, 0, 0)))
    gate = pulses(48_000, (192, 9600), (24_192, 33_600))

    def notes(life):
        module.play(4800, knobs={"life": life})  # the knob has arrived
        volts = module.play(48_000, gate=gate, knobs={"life": life}).cv[0]
        return volts[1000:9000], volts[25_000:33_000]

    first, second = notes(0.0)
    np.testing.assert_array_equal(first, second)
    assert np.ptp(first) == 0
    first, second = notes(0.5)
    assert abs(20 * np.log10(first.mean() / second.mean())) > 0.1  # of the note
    again, _ = notes(0.5)
    np.testing.assert_array_equal(first, again)


@pytest.mark.parametrize("channel", range(NOISES))
def test_noise_is_as_strong_and_as_smooth_as_the_one_that_was_learnt(voice, tmp_path, channel):
    """Beside the training's filter, which scipy runs."""
    says = {(f"noise_{channel + 1}", 0): 0.05}
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", says, rest=(0.3, 0, 0)))
    begins = [100 + int(1.8 * RATE_HZ) * number for number in range(12)]
    ticks = begins[-1] + int(1.8 * RATE_HZ)
    gate = pulses(ticks, *((begin, begin + int(1.7 * RATE_HZ)) for begin in begins))
    volts = module.play(ticks, gate=gate, knobs={"life": 0.5}).cv[0]
    notes = np.stack([volts[begin + 4800 : begin + int(1.6 * RATE_HZ) : HOP] for begin in begins])
    found = 20 * np.log10(notes) / (40 * 0.05)
    found -= found.mean()
    learnt = noise_of(1, 64, 5000)[:, channel].numpy()
    assert np.std(found) == pytest.approx(learnt.std(), rel=(0.1, 0.2, 0.4)[channel])
    assert np.std(np.diff(found)) == pytest.approx(np.diff(learnt).std(), rel=0.1)


def test_a_note_sounds_within_six_milliseconds_of_its_gate(voice, tmp_path):
    module = Module(tmp_path, voice, expression(tmp_path / "c.onnx", {}, rest=(0.5, 0, 0)))
    for begin in range(4000, 4200, 17):
        made = module.play(12_000, gate=pulses(12_000, (begin, 11_000))).audio[0]
        assert np.abs(made[:begin]).max() == 0.0
        first = int(np.argmax(np.abs(made) > 0.03 * np.abs(made).max()))
        assert 0 < first - begin <= 0.006 * RATE_HZ


def test_blocks_change_nothing_and_the_emulated_module_plays_the_same_bits(voice, tmp_path):
    from bench.emulated import EmulatedInstrument

    says = {("age_0.1", 0): 0.3, ("noise_1", 0): 0.1, ("noise_2", 1): 0.3, ("noise_3", 2): 0.5, (1, 0): 0.1}
    model = expression(tmp_path / "c.onnx", says, rest=(0.3, 0.1, 0.2))
    gate = pulses(9600, (100, 3000), (3100, 3150), (4000, 7000))
    knobs = {"life": 0.7}
    whole = Module(tmp_path / "a", voice, model)
    found = whole.play(9600, gate=gate, knobs=knobs)
    for block in (1, 31, 256):
        other = Module(tmp_path / str(block), voice, model, block).play(9600, gate=gate, knobs=knobs)
        np.testing.assert_array_equal(other.audio, found.audio)
    built = generate(whole.path, "patch_sm", tmp_path / "m7", models=whole.models)
    made = whole.signals(4800, gate=gate[:4800], knobs=knobs)
    emulated, _ = EmulatedInstrument(built, tmp_path / "m7").render(made, 48)
    np.testing.assert_array_equal(emulated.audio, found.audio[:, :4800])
    assert np.abs(found.audio).max() > 0.01


def test_absurd_volts_and_a_chattering_gate_end_in_numbers(voice, tmp_path):
    module = Module(
        tmp_path, voice, expression(tmp_path / "c.onnx", {("pitch", 0): 3.0}, rest=(9.0, 9.0, 9.0))
    )
    ticks = 24_000
    gate = np.where(np.arange(ticks) // 24 % 2, 5.0, 0.0)
    sound = module.play(ticks, volts=np.where(np.arange(ticks) < 9000, np.nan, -9.0), gate=gate).audio[0]
    assert np.isfinite(sound).all() and np.abs(sound).max() <= 1


def test_one_that_was_trained_for_another_voice_is_refused(voice, tmp_path):
    model = expression(tmp_path / "c.onnx", {}, codec="fedcba9876543210")
    with pytest.raises(
        Refusal, match=r"was trained for another voice than v.onnx \(fedcba98, not 01234567\)"
    ):
        Module(tmp_path / "m", voice, model)
