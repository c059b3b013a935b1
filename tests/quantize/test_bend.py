"""Bending by graph surgery: at noon nothing changes, elsewhere every target plays the judge's integers."""

from __future__ import annotations

import shutil
from functools import cache
from pathlib import Path

import numpy as np
import onnx
import pytest

import vaectrol
from common import model_metadata
from common.refusal import Refusal
from firmware.compiler import budget
from firmware.compiler.binding import load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from quantize.bend import material, surgery
from quantize.bend.effects import Effect, choose, cosine, effects, is_sound
from quantize.bend.moves import BY_NAME, MOST_GAIN
from quantize.bend.sites import Inside, Site, named
from quantize.graph.runtime import run_onnx
from tests.firmware.compiler_targets import run_on

MODELS = Path(__file__).resolve().parents[2] / "firmware" / "models"
ALL = tuple(BY_NAME)
SITES = {
    "drum": "leaky_relu_1|conv1d_3|conv1d_4|conv1d_7",
    "rhythm": "add|mul|conv1d_3|sigmoid_1",
    "drive": "conv1d_1|mul_39|add_57|clamp_1",
    "texture": "cat|leaky_relu_1|conv1d_4:5|conv1d_4:6",
}
KINDS = tuple(SITES)


@cache
def opened(kind):
    path = MODELS / f"{kind}.int8.onnx"
    model = onnx.load(str(path))
    about = model_metadata.read(model)
    slow = surgery.slow_input(about, path.name).name
    feeds = material.feeds(model, about, 2)
    return model, about, Inside(model, path.name).sites(feeds, slow), slow


@cache
def bent(kind, moves=ALL):
    model, _, sites, _ = opened(kind)
    return surgery.bend(model, named(sites, SITES[kind], kind), moves)


def feeds_of(kind, seed, frames):
    """Controls all over their ranges, sound of any kind, and a neutral bend."""
    rng = np.random.default_rng(seed)
    about = model_metadata.read(bent(kind))
    feeds = {}
    for spec in about.inputs:
        count = 1 if spec.is_event else round(frames * 48 * float(spec.frames_per_sample))
        if spec.role == "bend":
            values = np.repeat(np.array([[one.neutral] for one in about.bends]), count, 1)
        else:
            values = rng.uniform(*spec.limits, (len(spec.channels), count))
        feeds[spec.name] = values[None].astype(np.float32)
    return feeds


def moving(kind, feeds, seed):
    """The same, every bend wherever its table leads."""
    rng = np.random.default_rng(seed)
    bends = model_metadata.read(bent(kind)).bends
    rows = [rng.choice(one.table, feeds["bend"].shape[2]) for one in bends]
    return {**feeds, "bend": np.stack(rows)[None].astype(np.float32)}


def without_bend(feeds):
    return {name: value for name, value in feeds.items() if name != "bend"}


def differing(kind, least):
    """Integers of the bent model at noon that differ from the unbent one's, and how many were compared."""
    programs = [
        compile_onnx(opened(kind)[0], witness=False, name=f"{kind}_plain"),
        compile_onnx(bent(kind), witness=False, name=f"{kind}_bent"),
    ]
    plain, other = (load_host(program) for program in programs)
    # more layers, cut over more callbacks: a stream may come later, and is the same stream
    late = [int(program.report["latency_samples"]) for program in programs]
    wrong = count = seed = 0
    while count < least:
        feeds = feeds_of(kind, seed, 500)
        seed += 1
        play = "evaluate" if hasattr(plain, "evaluate") else "process"
        before = getattr(plain, play)(without_bend(feeds))
        after = getattr(other, play)(feeds)
        for name, values in before.items():
            size = values.shape[1] - max(late)
            parts = [late[0] + np.arange(size), late[1] + np.arange(size)]
            wrong += int(np.count_nonzero(values[:, parts[0]] != after[name][:, parts[1]]))
            count += size * values.shape[0]
        if play == "process":
            plain.reset()
            other.reset()
    return wrong, count


@pytest.mark.parametrize("kind", KINDS)
def test_at_noon_a_bent_model_is_the_model_it_was(kind):
    wrong, count = differing(kind, 20_000)
    assert count >= 20_000
    assert wrong == 0


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_at_noon_none_of_a_million_integers_differs(kind):
    assert differing(kind, 1_000_000)[0] == 0


def against_onnxruntime(model, feeds):
    """What onnxruntime plays, and how far the judge is from it: root mean squares."""
    wanted = run_onnx(model, feeds)[0][0].astype(np.float64)
    judged = next(iter(run(compile_onnx(model, witness=False).graph, feeds).values()))
    error = judged[:, : wanted.shape[1]] - wanted
    return wanted, float(np.sqrt(np.mean(error**2) / np.mean(wanted**2)))


@pytest.mark.parametrize("kind", ["rhythm", "drive"])
def test_moving_bends_play_what_onnxruntime_plays(kind):
    model, about, _, _ = opened(kind)
    feeds = material.feeds(model, about, 1)[0]
    feeds = {
        name: value[..., : 960 if about.input(name).role == "audio" else 20] for name, value in feeds.items()
    }
    frames = min(value.shape[2] for value in feeds.values())
    feeds = moving(kind, {**feeds, "bend": np.zeros((1, 20, frames), np.float32)}, 4)
    plain, own = against_onnxruntime(model, without_bend(feeds))
    made, enlarged = against_onnxruntime(bent(kind), feeds)
    assert np.abs(plain - made).max() > 0.05
    # a float sum that falls between two steps is rounded the other way; a bend makes that four times as large
    assert enlarged <= MOST_GAIN * max(own, 1e-4)


@pytest.mark.parametrize("move", ALL)
def test_a_move_does_what_it_says(move):
    """Of the site itself: onnxruntime's value behind it, against numpy's of what stood there."""
    model, about, sites, _ = opened("rhythm")
    (site,) = named(sites, "leaky_relu_1", "")
    made = surgery.bend(model, [site], [move])
    last = {
        "scale": "scaled",
        "bias": "biased",
        "mask": "scaled",
        "threshold": "kept_loud",
        "swap": "swapped",
    }
    for graph, tensor in ((model, site.tensor), (made, f"bend/1/{last[move]}")):
        graph.graph.output.append(onnx.helper.make_tensor_value_info(tensor, 1, None))
    feeds = material.feeds(model, about, 1)[0]
    before = run_onnx(model, feeds)[-1][0, :, 0]
    del model.graph.output[-1]
    values = {
        "scale": 2.5,
        "bias": 0.25 * site.reach,
        "mask": -40.0,
        "threshold": 0.2 * site.reach,
        "swap": 1.0,
    }
    value = values[move]
    after = run_onnx(made, {**feeds, "bend": np.full((1, 1, 1), value, np.float32)})[-1][0, :, 0]
    half = site.channels // 2
    wanted = {
        "scale": before * value,
        "bias": before + value,
        "mask": np.where(np.isin(np.arange(site.channels), site.order[:-40]), before, 0.0),
        "threshold": np.sign(before) * np.maximum(np.abs(before) - value, 0.0),
        "swap": np.roll(before, half),
    }[move]
    top = 32767 * site.step
    assert np.abs(after - np.clip(wanted, -top, top)).max() <= 2 * site.step
    assert np.abs(after - before).max() > 20 * site.step


@pytest.mark.parametrize("target", ["m7", "aarch64", "wasm"])
def test_every_target_plays_the_host_s_integers_while_bends_move(target):
    if not shutil.which({"aarch64": "qemu-aarch64", "wasm": "node"}.get(target, "true")):
        pytest.skip("its runner is not installed (see CONTRIBUTING.md)")
    feeds = moving("drive", feeds_of("drive", 5, 12), 6)
    blocks = [48, 7, 96, 1, 48] * 2
    here = run_on("host", bent("drive"), feeds, blocks, block=48)["wet"]
    there = run_on(target, bent("drive"), feeds, blocks, block=48)["wet"]
    assert here.size == sum(blocks)
    assert np.array_equal(here, there)


def test_four_cheap_bends_of_the_drive_cost_at_most_two_percent():
    model, _, sites, _ = opened("drive")
    made = surgery.bend(
        model, named(sites, "latent_for_conv1d|conv1d|leaky_relu|conv1d_1", ""), ["scale", "bias"]
    )
    extra = budget(made).cpu_worst - budget(model).cpu_worst
    assert 0.0 < extra <= 0.02


def test_a_bend_of_a_part_leaves_the_other_channels_alone_and_two_parts_bend_one_signal():
    model, about, sites, _ = opened("texture")
    first, second = named(sites, "conv1d_3:[25]", "")
    made = surgery.bend(model, [first, second], ["scale"])
    for graph, tensor in ((model, first.tensor), (made, "bend/2/joined")):
        graph.graph.output.append(onnx.helper.make_tensor_value_info(tensor, 1, None))
    feeds = material.feeds(model, about, 1)[0]
    before = run_onnx(model, feeds)[-1][0]
    del model.graph.output[-1]
    values = np.repeat(np.float32([[[2.0], [0.0]]]), before.shape[1], 2)
    after = run_onnx(made, {**feeds, "bend": values})[-1][0]
    gains = np.ones(96)
    gains[12:24], gains[48:60] = 2.0, 0.0
    assert [(site.first, site.channels, site.width) for site in (first, second)] == [
        (12, 12, 96),
        (48, 12, 96),
    ]
    top = 32767 * first.step
    wanted = np.clip(before * gains[:, None], -top, top)
    assert np.abs(after - wanted).max() <= first.step
    assert (
        np.array_equal(after[gains == 1], before[gains == 1])
        and np.abs(after - before).max() > 20 * first.step
    )


def plain_site(name):
    return Site(name, name, "Conv", 1.0, "", "", 1.0, 1.0, (0,), 1)


def test_sites_are_proposed_whose_effects_differ_most():
    rng = np.random.default_rng(1)
    axes = np.linalg.qr(rng.normal(size=(40, 5)))[0].T * 100
    found = [Effect(plain_site(f"s{n}"), {}, axes[n % 5] + rng.normal(size=40)) for n in range(10)]
    found[0].vector = axes[1] + axes[2] + axes[3]
    chosen = choose(found, [0.004] * 10, 4, 0.02, 0.3)
    assert len({int(one.site.name[1]) % 5 for one in chosen}) == 4
    assert max(cosine(a, b) for a in chosen for b in chosen if a is not b) < 0.2
    assert len(choose(found, [0.009] * 10, 4, 0.02, 0.3)) == 2  # what the budget allows
    assert choose(found, [0.03] * 10, 4, 0.02, 0.3) == []


def test_the_rhythm_s_proposal_has_four_sites_that_differ():
    model, about, sites, slow = opened("rhythm")
    _, found = effects(model, about, sites, material.feeds(model, about, 2), slow)
    chosen = choose(found, [0.0] * len(found), 4, 0.02, 0.02)
    assert len(chosen) == 4 and not is_sound(about)
    assert max(cosine(a, b) for a in chosen for b in chosen if a is not b) < 0.5


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_four_sites_that_are_proposed_differ(kind, tmp_path, capsys):
    page = tmp_path / "page.html"
    assert vaectrol.main(["dissect", str(MODELS / f"{kind}.int8.onnx"), "-o", str(page)]) == 0
    proposed, _, cosine_ = capsys.readouterr().out.partition(" (cosine at most ")
    assert proposed.count(", ") == 3
    assert float(cosine_.partition(")")[0]) < 0.5


@pytest.mark.slow
def test_a_page_shows_every_site(tmp_path, capsys):
    page = tmp_path / "rhythm.html"
    assert vaectrol.main(["dissect", str(MODELS / "rhythm.int8.onnx"), "-o", str(page)]) == 0
    text = page.read_text()
    assert all(one.name in text for one in opened("rhythm")[2])
    assert text.count("<svg") >= 2 * len(opened("rhythm")[2])


def test_the_command_writes_a_model_whose_bends_have_names(tmp_path, capsys):
    out = tmp_path / "bent.onnx"
    source = MODELS / "drum.int8.onnx"
    assert vaectrol.main(["bend", str(source), "--sites", "leaky_relu_1|conv1d_4", "-o", str(out)]) == 0
    bends = model_metadata.read_file(out).bends
    assert [one.name for one in bends] == ["bend.1.scale", "bend.1.bias", "bend.2.scale", "bend.2.bias"]
    assert all(one.table[len(one.table) // 2] == one.neutral for one in bends)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["{float}"], "quantize it first"),
        (["{drum}", "--sites", "leaky_relu_99"], "leaky_relu_1"),
        (["{drum}", "--sites", "(", "-o", "{out}"], "regular expression"),
        (["{drum}", "--sites", "leaky_relu_1", "--moves", "melt"], "no move 'melt'"),
        (["{drum}", "--sites", ".*", "--moves", "all"], "such sites fit"),
        (["{bent}", "--sites", "leaky_relu_1"], "bent already"),
        (["{missing}"], "no model file"),
    ],
)
def test_what_cannot_be_bent_is_refused_in_one_sentence(arguments, says, drum_file, tmp_path, capsys):
    bent_file = tmp_path / "before.onnx"
    onnx.save(bent("drum", ("scale",)), str(bent_file))
    names = {
        **{"float": drum_file, "drum": MODELS / "drum.int8.onnx", "bent": bent_file},
        **{"missing": tmp_path / "no.onnx", "out": tmp_path / "x.onnx"},
    }
    out = tmp_path / "out.onnx"
    words = [word.format(**names) for word in arguments]
    assert vaectrol.main(["bend", *words, *([] if "-o" in words else ["-o", str(out)])]) == 2
    error = capsys.readouterr().err.strip().splitlines()
    assert len(error) == 1 and says in error[0], error
    assert not out.exists()


def test_a_model_that_hears_audio_alone_has_no_clock_for_bends():
    about = model_metadata.ModelMetadata(inputs=[model_metadata.TensorSpec(name="x", role="audio", rate="1")])
    with pytest.raises(Refusal, match="no clock for bends"):
        surgery.slow_input(about, "amp.onnx")
