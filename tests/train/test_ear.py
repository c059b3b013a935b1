"""An ear: what it learns from, what is told of a mixture, how numbers become strokes, its judge."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from common.audio import SAMPLE_RATE_HZ
from common.drums import CLASSES
from common.model_metadata import read_file
from common.refusal import Refusal
from toy.make import make_ear
from train.data.kinds.ear import EarOptions
from train.data.prepare import prepare
from train.data.store import DataSet
from train.fit import fit
from train.judges.evaluate import evaluate
from train.judges.player import open_player
from train.kinds import load_recipe
from train.models.ear.figures import Tally, offset
from train.models.ear.mixture import Event, Material, Mixture, Take, drawn, drums, told
from train.models.ear.network import GROUPS, HOP, SCENES, EarNetwork, EarShape, Rises
from train.models.ear.picking import matched, picked
from train.tasks.ear import EarTraining

SMALL = ["window=64", "fit.steps=4", "fit.interval=2", "fit.batch=4", "fit.validation_items=2"]
SMALL += ["model.channels=8", "model.bands=16", "model.dilations=[1,2]", "model.embedding=4"]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ear")
    make_ear(folder / "src", items=48, seed=0)
    prepare("ear", folder / "src", folder / "set")
    return DataSet.open(folder / "set")


@pytest.fixture(scope="module")
def run(data, tmp_path_factory):
    return fit(load_recipe("ear_quick", SMALL), data, tmp_path_factory.mktemp("runs") / "run")


def test_each_sort_has_all_splits_and_keeps_its_groups_whole(data):
    data.verify()
    assert {item["sort"] for item in data.manifest} == {"stroke", "pattern", "other"}
    for sort in ("stroke", "pattern", "other"):
        items = [item for item in data.manifest if item["sort"] == sort]
        assert {item["split"] for item in items} == {"train", "validation", "test"}
        for group in {item["group"] for item in items}:
            assert len({item["split"] for item in items if item["group"] == group}) == 1


def test_what_is_held_out_is_so_among_its_own_sort(data, tmp_path):
    source = data.directory.parent / "src"
    prepare("ear", source, tmp_path / "set", EarOptions(hold_out="others/bass/*"))
    now = {item["name"]: item["split"] for item in DataSet.open(tmp_path / "set").manifest}
    others = {name: split for name, split in now.items() if name.startswith("others")}
    assert all((split == "test") == name.startswith("others/bass") for name, split in others.items())
    rest = {i["name"]: i["split"] for i in data.manifest if i["sort"] != "other"}
    assert {name: now[name] for name in rest} == rest


@pytest.mark.parametrize(
    ("without", "says"),
    [
        (["strokes"], "there are no one-shots; an ear tells classes apart"),
        (["patterns"], "holds no MIDI performance to strike the one-shots by"),
        (
            [f"strokes/{label}" for label in CLASSES if label != "kick"],
            "all one-shots are of the class kick; an ear tells classes apart",
        ),
    ],
)
def test_what_no_ear_can_be_made_of_is_refused(data, without, says, tmp_path):
    shutil.copytree(data.directory.parent / "src", tmp_path / "src")
    for folder in without:
        shutil.rmtree(tmp_path / "src" / folder)
    with pytest.raises(Refusal, match=says):
        prepare("ear", tmp_path / "src", tmp_path / "set")
    assert not (tmp_path / "set" / "manifest.json").exists()


def test_a_split_without_a_performance_is_refused(data):
    """As one drummer leaves it."""
    of_shots = [dict(item, split="train") if item["sort"] == "pattern" else item for item in data.manifest]
    poor = DataSet(data.directory, {**data.head, "items": of_shots}, data.arrays)
    with pytest.raises(
        Refusal, match="no performances in its validation split; add those of another drummer"
    ):
        Material(poor, "validation")


def test_a_mixture_begins_to_sound_where_it_says(data):
    """The witness: energy of a struck mixture beside the same one a moment before."""
    material = Material(data, "train")
    louder = []
    for seed in range(6):
        found = drums(material, np.random.default_rng(seed), 2 * SAMPLE_RATE_HZ // HOP * HOP)
        for event in found.events:
            before, after = (
                found.audio[max(0, event.at - 240) : event.at],
                found.audio[event.at : event.at + 240],
            )
            if len(before) == len(after) == 240:
                louder.append(float(after @ after) > float(before @ before))
            assert event.groups[event.loudest]
    assert len(louder) > 20 and np.mean(louder) > 0.85


def test_every_sort_of_sound_is_drawn_the_same_by_the_same_seed(data):
    material = Material(data, "train")
    scenes = set()
    for seed in range(60):
        first, again = (drawn(material, np.random.default_rng(seed), 32 * HOP) for _ in range(2))
        assert np.array_equal(first.audio, again.audio) and np.abs(first.audio).max() <= 1.0
        scenes.add(first.scene)
    assert {-1, 1, 2, 3} >= scenes >= {-1, 1, 2}


def test_what_is_asked_for_lies_at_the_strokes():
    one = np.array([True, False, False, False, False])
    found = Mixture(np.zeros(64 * HOP, np.float32), [Event(10 * HOP + 3, one, 0, 5)], [30 * HOP])
    said = told(found, decided=4, sure=6)
    assert np.flatnonzero(said.onset).tolist() == [10]
    assert said.onset_weight[10] == 1 and said.onset_weight[11] == 0  # a hop late is not held against it
    assert not said.onset_weight[30:33].any() and said.onset_weight[40] == 1
    assert said.groups_weight[9:15].tolist() == [0, 0.25, 0.5, 0.75, 1, 0]
    assert said.groups[0, 10:14].all() and not said.groups[1:].any()
    assert said.instrument[16] == 5 and (np.delete(said.instrument, 16) == -1).all()
    assert Event(11 * HOP - 10, one, 0, 5).hop == 11  # ten samples of it show nothing


def test_one_stroke_is_one_gate_and_two_are_two():
    onset = np.full(40, -6.0)
    onset[5:12] = 3.0  # stays high: one
    onset[20], onset[21:26], onset[26] = 2.0, 0.5, 3.0  # rises again while it is high: two
    onset[30] = 5.0  # within the hold of the one before
    strokes = np.full((6, 40), -1.0)
    strokes[0] = onset
    strokes[3, 9], strokes[2, 7] = 9.0, 4.0
    found = picked(strokes, threshold=0.0, hold=4, wait=4)
    assert [one.hop for one in found] == [5, 20, 26]
    assert GROUPS[found[0].group] == "hat" and found[0].late == 4
    assert GROUPS[picked(strokes, hold=4, wait=2)[0].group] == "snare"
    assert found[0].groups[2] == pytest.approx(7 / 3)  # the mean of three hops
    assert picked(strokes, hold=4, wait=0)[0].groups[0] == -1.0  # and of none before the stroke
    assert picked(strokes[:, :8], wait=6)[0].late == 2  # no more was heard
    assert picked(np.full((6, 9), -1.0)) == []


def test_times_are_paired_one_to_one():
    assert matched(np.array([10.0, 11.0]), np.array([10.5]), 2.0) == [(0, 0)]
    assert matched(np.array([10.0]), np.array([12.5]), 2.0) == []


def test_a_tally_counts_missed_invented_and_misnamed_strokes():
    groups = np.eye(5, dtype=bool)
    events = [Event(at * HOP, groups[g], g, 0) for at, g in ((10, 0), (20, 1), (30, 3))]
    strokes = np.full((6, 64), -5.0)
    for hop, said in ((10, 0), (20, 2), (40, 0), (50, 0)):
        strokes[0, hop] = 5.0
        strokes[1 + said, hop + 4 : hop + 7] = 5.0
    tally = Tally()
    tally.add(Mixture(np.zeros(64 * HOP, np.float32), events, [50 * HOP]), strokes)
    found = tally.figures()
    assert (tally.wanted, tally.found, tally.right, tally.covered) == (3, 3, 2, 1)
    assert found["onset_f1"] == pytest.approx(2 / 3, abs=1e-4) and found["family_right"] == 0.5
    assert found["kick_precision"] == pytest.approx(1 / 3, abs=1e-4) and found["kick_recall"] == 1.0
    moved = offset([(Mixture(np.zeros(64 * HOP, np.float32), events), strokes - 8.0)])
    assert 3.0 <= moved <= 13.0  # strokes at −3, the rest at −13


def test_a_take_at_another_speed_is_another_drum(data):
    plain, more = Material(data, "train"), Material(data, "train", (0.8, 1.25))
    assert len(more.instruments) == 3 * plain.count == 3 * more.count
    name, (take, *_) = next(iter(plain.instruments.items()))
    slower, faster = (more.instruments[f"{name} at {speed}"][0] for speed in ("0.8", "1.25"))
    assert len(slower.codes) == pytest.approx(1.25 * len(take.codes), abs=3)
    assert len(faster.codes) == pytest.approx(0.8 * len(take.codes), abs=3)
    assert faster.instrument == take.instrument and np.abs(slower.audio).max() == pytest.approx(1.0, abs=0.05)


def test_a_take_that_fades_or_lies_on_another_is_an_instrument_that_is_not_in_the_data(data):
    take = Take(np.full(4800, 16384, np.int16), "snare", 3)
    faded = replace(take, fade=480.0).audio
    assert faded[0] == take.audio[0] and faded[480] == pytest.approx(take.audio[0] / np.e, rel=1e-3)
    both = replace(take, instrument=-1, beneath=Take(np.full(100, 32767, np.int16), "snare", 4)).audio
    assert len(both) == 4800 and both[99] == pytest.approx(1.2, abs=1e-3) and both[100] == take.audio[100]
    plain = drums(Material(data, "train"), np.random.default_rng(3), 64 * HOP)
    varied = [
        drums(Material(data, "train", varied=True), np.random.default_rng(s), 64 * HOP) for s in range(6)
    ]
    assert all(event.instrument >= 0 for event in plain.events)
    assert any(event.instrument < 0 for one in varied for event in one.events)


def test_a_band_that_rises_is_not_hidden_by_one_that_falls():
    bands = torch.zeros(1, 8, 12)
    bands[0, 2, 6:], bands[0, 5, :6] = 0.5, 0.5  # what one gains the other loses
    with torch.no_grad():
        heard = Rises(8, 2)(bands)[0, 1::2]  # the second filter of each band
    assert heard.sum(0)[3] == heard.sum(0)[9] == 0  # (ends of the sound aside)
    assert heard[2, 6] > 0.9 and heard.sum(0)[6] > 0.8


def answered(task, onset, batch):
    """The loss's terms where the network says `onset`, and of every group the same."""
    strokes = torch.cat([onset[:, None], torch.zeros(1, 5, onset.shape[1])], 1)
    said = strokes, torch.zeros(1, 4, onset.shape[1]), torch.zeros(1, 4, onset.shape[1])
    task.model.decoder.answers = lambda bands: said
    return {name: float(value.detach()) for name, value in task.loss(batch)[1].items()}


def test_a_stroke_may_be_found_a_hop_late_and_no_later():
    task = EarTraining(load_recipe("ear_quick", SMALL), {"instruments": 3})
    kick = np.array([True, False, False, False, False])
    batch = task._batch([Mixture(np.zeros(64 * HOP, np.float32), [Event(40 * HOP, kick, 0, 1)])])
    costs = []
    for hop in (38, 40, 41, 42):
        onset = torch.full((1, 64), -9.0)
        onset[0, hop] = 9.0
        costs.append(answered(task, onset, batch)["onset"])
    early, own, late, later = costs
    assert own < late < 1e-2 * min(early, later)


def test_groups_are_asked_to_be_calm_where_something_else_is_taken_for_a_stroke():
    task = EarTraining(load_recipe("ear_quick", SMALL), {"instruments": 3})
    quiet, struck = torch.full((1, 64), -9.0), torch.full((1, 64), -9.0)
    struck[0, 50] = 9.0
    for scene, asked in (("pitched", True), ("noise", True), ("silence", False)):
        batch = task._batch([Mixture(np.zeros(64 * HOP, np.float32), scene=SCENES.index(scene))])
        found = answered(task, struck, batch)["calm"]
        assert (found > 0.5) is asked
        assert found > answered(task, quiet, batch)["calm"] or not asked


def test_a_mixture_is_met_again_as_it_was(data):
    task = EarTraining(load_recipe("ear_quick", [*SMALL, "pool=3"]), {"instruments": 3})
    task.prepare(data, ("train",))
    first = task.draw(0)
    again = EarTraining(load_recipe("ear_quick", [*SMALL, "pool=3"]), {"instruments": 3})
    again.prepare(data, ("train",))
    again.draw(5)  # a resumed training begins elsewhere
    for name, value in again.draw(0).items():
        assert value == first[name] if name == "names" else torch.equal(value, first[name])
    assert len(task.met) <= 3 and first["bands"].shape == (4, 16, 64)


def test_a_network_in_the_decoders_place_hears_for_itself(data):
    """As quantize puts one there: it takes sound, as the model's file does."""
    losses = []
    for stands in (False, True):
        task = EarTraining(load_recipe("ear_quick", SMALL), {"instruments": 3})
        task.prepare(data, ("train",))
        if stands:
            task.take_network(nn.Sequential(task.model.decoder))
        losses.append(float(task.loss(task.draw(0))[0].detach()))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_the_network_hears_nothing_of_the_future():
    network = EarNetwork(EarShape(bands=16, channels=8, dilations=(1, 2), embedding=4)).eval()
    audio = torch.randn(1, 1, 40 * HOP, generator=torch.Generator().manual_seed(1))
    other = audio.clone()
    other[..., 20 * HOP :] = 0.0
    with torch.no_grad():
        for a, b in zip(network(audio), network(other), strict=True):
            assert torch.equal(a[..., :20], b[..., :20]) and not torch.equal(a[..., 20:], b[..., 20:])


def test_a_training_ends_in_a_model_file_that_says_the_same(run, data):
    about = read_file(run / "ear_quick.onnx")
    assert (about.kind, [len(o.channels) for o in about.outputs]) == ("ear", [6, 4, 4])
    player, file = open_player(run), open_player(run / "ear_quick.onnx")
    audio = np.random.default_rng(2).uniform(-1, 1, (1, 1, 50 * HOP)).astype(np.float32)
    for a, b in zip(player.answer({"audio": audio}), file.answer({"audio": audio}), strict=True):
        assert np.abs(a - b).max() < 1e-4 * max(1.0, np.abs(a).max())
    with pytest.raises(Refusal, match="no latents"):
        player.encode(audio)


def test_the_judge_tells_every_figure_that_was_asked_for(run, data, tmp_path):
    report = evaluate(run, data, tmp_path / "report", limit=1)
    wanted = {
        "strokes",
        "opponent",
        "false_a_minute",
        "few_shot_auc",
        "scene",
        "false_in_trouble",
        "by_level",
    }
    assert wanted <= report.keys()
    assert {"onset_f1", "family_right"} <= report["opponent"].keys() < report["strokes"].keys()
    assert "kick_precision" in report["strokes"]
    assert json.loads((tmp_path / "report" / "report.json").read_text())["items"] == 1
    assert "spectral flux" in (tmp_path / "report" / "report.html").read_text()
