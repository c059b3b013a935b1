"""The listener: its gates are what the model's numbers say, by the twin that training decides with."""

from __future__ import annotations

import numpy as np
import onnxruntime
import pytest
from scipy.signal import lfilter

from common.refusal import Refusal
from firmware.build import generate, host_library
from firmware.instruments.spec import find_models, load_instrument
from firmware.play.host import HostInstrument
from firmware.play.render import resting_knobs
from firmware.script.cv_script import Script, signals
from toy.demo_phrases import play_phrase
from toy.phrases import phrase
from train.models.ear.network import GROUPS, HOP, SURE_HOPS
from train.models.ear.picking import picked

STILL = 0.99869
LEAD = 4_800
PATCH = """
title = "Test"
kind = "listener"

[models]
ear = "ear"

[[control]]
to = "threshold"
knob = "knob_1"

[[control]]
to = "patience"
knob = "knob_2"

[[control]]
to = "near"
knob = "knob_3"

[[gate]]
to = "learn"
jack = "gate_in_1"

[[output]]
jack = "audio_out_1"
from = "mix"

[[output]]
jack = "gate_out_1"
from = "onset"

[[output]]
jack = "gate_out_2"
from = "{gate}"

[[output]]
jack = "cv_out_1"
from = "group"

[[output]]
jack = "cv_out_2"
from = "{cv}"
"""


class Module:
    """An instrument of the test's own file, for this machine."""

    def __init__(self, folder, gate="kick", cv="velocity", block=48):
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / "test.toml"
        path.write_text(PATCH.format(gate=gate, cv=cv))
        self.built = generate(path, "patch_sm", folder / "out", block=block, target="host")
        self.host = HostInstrument(host_library(self.built))
        self.block = block

    def play(self, sound, knobs=None, learn=None):
        self.host.reset()
        resting = {**resting_knobs(self.built), **(knobs or {})}
        made = signals(Script(), self.built.board, len(sound), {}, {"audio_in_1": sound}, resting)
        if learn is not None:
            made.gates[0] = 5.0 * learn
        return self.host.render(made, self.block)

    @property
    def decided(self) -> int:
        """Samples after a hop at which it is decided what happened in it."""
        return self.built.assignment.steps[-1][0]


@pytest.fixture(scope="module")
def module(tmp_path_factory):
    return Module(tmp_path_factory.mktemp("listener"))


@pytest.fixture(scope="module")
def beats():
    sound = play_phrase("drums")
    return sound[: len(sound) // HOP * HOP]


def gate(rendered, number):
    return rendered.gates >> number & 1


def rises(levels):
    return np.flatnonzero(np.diff(np.concatenate([[0], levels.astype(int)])) == 1)


def said_by_the_file(sound):
    model = find_models(load_instrument("ear"))["ear"].path
    still = lfilter([1.0, -1.0], [1.0, -STILL], sound).astype(np.float32)
    return onnxruntime.InferenceSession(str(model)).run(None, {"audio": still[None, None]})


@pytest.mark.parametrize(("patience", "wait"), [(0.75, SURE_HOPS), (0.0, 0)])
def test_gates_and_groups_are_what_the_numbers_say(module, beats, patience, wait):
    """The witness decides in Python on what onnxruntime makes of the model file."""
    rendered = module.play(beats, {"knob_2": patience})
    strokes, scene, _ = said_by_the_file(beats)
    found = picked(strokes[0], wait=wait, scene=scene[0])
    wanted = [one for one in found if (one.hop + 2 + one.late) * HOP < len(beats)]
    assert len(wanted) > 20
    onsets = rises(gate(rendered, 0))
    assert [int((at - module.decided) // HOP - 1) for at in onsets[: len(wanted)]] == [w.hop for w in wanted]
    assert all((at - module.decided) % HOP == 0 for at in onsets)
    kicks = [(one.hop + one.late + 1) * HOP + module.decided for one in wanted if one.raised[0]]
    assert rises(gate(rendered, 1))[: len(kicks)].tolist() == kicks
    for one in wanted:
        at = (one.hop + one.late + 1) * HOP + module.decided + 2 * module.block
        assert rendered.cv[0][at] == one.group, (one.hop, GROUPS[one.group])


def test_blocks_change_nothing(module, beats, tmp_path):
    other = Module(tmp_path, block=16).play(beats)
    ours = module.play(beats)
    assert np.array_equal(ours.gates, other.gates)
    assert np.array_equal(ours.audio[0], other.audio[0])


def test_a_stroke_is_told_within_twelve_milliseconds_where_its_first_hop_shows_it(module):
    """From the first hop that can show it to the gate: a hop to collect, and what deciding takes."""
    assert (HOP + module.decided) / 48_000 <= 0.012


def test_loud_strokes_have_more_volts(module, beats):
    loud, soft = (module.play(beats * np.float32(gain)).cv[1] for gain in (1.5, 0.15))
    assert loud.max() <= 5.0 and loud.mean() > soft.mean() + 1.0


@pytest.mark.parametrize("what", ["silence", "constant", "clipped tone", "clipped noise", "not a number"])
def test_what_is_no_stroke_raises_no_gate(module, what):
    count = 20 * 48_000
    time = np.arange(count) / 48_000
    sound = {
        "silence": np.zeros(count),
        "constant": np.full(count, 0.9),
        "clipped tone": np.sign(np.sin(2 * np.pi * 110 * time)),
        "clipped noise": np.sign(np.random.default_rng(1).standard_normal(count)),
        "not a number": np.full(count, np.nan),
    }[what].astype(np.float32)
    rendered = module.play(sound)
    assert np.isfinite(rendered.audio).all()
    assert not rises(gate(rendered, 0))[1:].size  # where it begins may be a stroke
    assert not rendered.gates[48_000:].any()


def test_the_emulated_module_raises_the_same_gates(module, beats, tmp_path):
    from bench.emulated import EmulatedInstrument

    sound = beats[: 48 * 500]
    wanted = module.play(sound)
    on_m7 = generate(module.built.assignment.loaded.located.path, "patch_sm", tmp_path)
    resting = resting_knobs(module.built)
    made = signals(Script(), module.built.board, len(sound), {}, {"audio_in_1": sound}, resting)
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(made, module.block)
    assert rises(gate(wanted, 0)).size >= 2
    assert np.array_equal(rendered.gates, wanted.gates)
    assert np.array_equal(rendered.cv, wanted.cv) and np.array_equal(rendered.audio, wanted.audio)


def hits(labels, apart=24_000):
    """Toy strokes of some classes, one every half second."""
    from toy import drums

    sound = np.zeros(apart * len(labels), np.float32)
    for number, (label, take) in enumerate(labels):
        index = (drums.CLASSES.index(label) + 8 * 3) * drums.HITS_PER_INSTRUMENT + take
        audio = drums.hit(0, index).audio[: apart - LEAD]
        at = number * apart + LEAD
        sound[at : at + len(audio)] += 0.5 * audio / np.abs(audio).max()
    return sound


def test_three_strokes_make_a_class_of_the_user(tmp_path):
    module = Module(tmp_path, gate="user", cv="likeness")
    order = [("clap", 0), ("clap", 1), ("clap", 0), ("kick", 0), ("clap", 1), ("hat_closed", 0), ("clap", 0)]
    sound = hits(order)
    learn = np.zeros(len(sound), bool)
    learn[: 3 * 24_000] = True
    rendered = module.play(sound, {"knob_1": 0.3, "knob_3": 0.7}, learn)
    struck = [int(at // 24_000) for at in rises(gate(rendered, 1))]
    assert set(struck) == {0, 1, 2, 4, 6}  # strokes that are learnt show themselves
    likeness = [float(rendered.cv[1][n * 24_000 + 12_000]) for n in range(3, 7)]
    assert min(likeness[1], likeness[3]) > max(likeness[0], likeness[2])


def test_who_learns_nothing_has_no_class(tmp_path):
    module = Module(tmp_path, gate="user", cv="likeness")
    sound = np.concatenate([np.zeros(24_000, np.float32), hits([("clap", 0), ("kick", 0)])])
    learn = np.zeros(len(sound), bool)
    learn[:12_000] = True
    rendered = module.play(sound, {"knob_3": 0.0}, learn)
    assert not gate(rendered, 1).any() and not rendered.cv[1].any()


def test_scenes_are_told(tmp_path, beats):
    module = Module(tmp_path, cv="scene")
    noise = (0.2 * np.random.default_rng(2).standard_normal(3 * 48_000)).astype(np.float32)
    plucked = phrase(1, 2, 3.0).audio
    sounds = {0: beats[: 3 * 48_000], 1: plucked, 2: noise, 3: np.zeros(3 * 48_000, np.float32)}
    told = {scene: float(module.play(sound).cv[1][-1]) for scene, sound in sounds.items()}
    assert told == {scene: float(scene) for scene in sounds}


def test_a_model_that_says_something_else_is_refused(tmp_path):
    path = tmp_path / "test.toml"
    path.write_text(PATCH.format(gate="kick", cv="scene").replace('ear = "ear"', 'ear = "texture.encoder"'))
    with pytest.raises(Refusal, match="texture"):
        generate(path, "patch_sm", tmp_path / "out", target="host")
