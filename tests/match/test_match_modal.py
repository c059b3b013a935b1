"""A recorded stroke becomes a patch of the modal body; what is no stroke, or was cut off, is refused."""

from __future__ import annotations

import json

import numpy as np
import pytest
import soundfile
import torch

import vaectrol
from firmware.instruments.kinds.modal import SOUND
from match.commands import MODELS
from match.modal import STARTS, RandomPatch, descend, length_of, match_patches
from match.preset import read_preset
from match.target import padded, target_of
from tests.pages import check_page
from train.judges.distances import mr_stft
from train.judges.player import open_player
from train.models.modal.parameters import random_patches
from train.models.modal.sound import FRAME, stroke

RATE_HZ = 48_000


@pytest.fixture(scope="module")
def target():
    with torch.no_grad():
        return target_of("body", stroke(torch.from_numpy(random_patches(3, 8)[2:]), 300)[0].numpy())


def test_a_match_is_never_farther_than_the_best_draw(target):
    (found,) = match_patches(open_player(MODELS / "modal.onnx"), [target], 3)
    assert found.mr_stft <= found.guess_mr_stft
    assert found.positions.shape == (16,) and found.positions.min() >= 0 and found.positions.max() <= 1


def test_a_match_is_never_farther_than_the_nearest_random_patch(target, monkeypatch):
    """A random patch that happens to be the very sound: nothing that is found is nearer."""
    true = random_patches(3, 8)[2]
    player = open_player(MODELS / "modal.onnx")
    (found,) = match_patches(player, [target], 1, [RandomPatch("patch 2 of 3", true, target.audio, 0.0)])
    assert np.array_equal(found.positions, true) and found.mr_stft == 0.0 < found.guess_mr_stft
    begun: list[np.ndarray] = []

    def noted(positions, wanted, steps):
        begun.extend(positions.numpy().copy())
        return descend(positions, wanted, steps)

    monkeypatch.setattr("match.modal.descend", noted)
    match_patches(player, [target], 1, [RandomPatch("patch 2 of 3", true, target.audio, 9.0)])
    assert len(begun) == STARTS and any(np.array_equal(start, true) for start in begun)


def test_a_descent_comes_nearer(target):
    samples = length_of(target)
    wanted = padded([target], samples)[0, 0]
    begun = torch.from_numpy(random_patches(2, 9))
    ended = descend(begun, torch.from_numpy(wanted), 15)

    def far(positions):
        with torch.no_grad():
            sounds = stroke(positions, samples // FRAME)
        return [mr_stft((one / one.abs().max()).numpy(), wanted) for one in sounds]

    assert all(after < before for before, after in zip(far(begun), far(ended), strict=True))


def test_the_command_writes_a_preset_of_the_instrument_a_sound_and_a_page(tmp_path, target, capsys):
    """And leaves out what is no stroke, with its reason."""
    soundfile.write(tmp_path / "body.wav", target.audio, RATE_HZ)
    soundfile.write(tmp_path / "click.wav", target.audio[:400], RATE_HZ)
    (tmp_path / "torn.wav").write_bytes(b"no sound at all")
    sounds = [str(tmp_path / f"{name}.wav") for name in ("click", "body", "torn")]
    words = ["match", "modal", *sounds, "-o", str(tmp_path / "out"), "--steps", "2"]
    assert vaectrol.main([*words, "--random", "20", "--json"]) == 1
    said = capsys.readouterr()
    outcome = json.loads(said.out)
    (told,) = outcome["matches"]
    assert told["sound"] == "body" and told["random_mr_stft"] > 0
    assert "click.wav sounds for" in outcome["left_out"][0] and "torn.wav" in outcome["left_out"][1]
    assert all(f"left out: {reason}" in said.err for reason in outcome["left_out"])
    preset = read_preset(tmp_path / "out" / "body.preset.json")
    assert set(preset.parameters) == set(SOUND)
    page = (tmp_path / "out" / "match.html").read_text()
    check_page(page)
    assert "nearest random patch" in page
    matched, _ = soundfile.read(tmp_path / "out" / "body.match.wav")
    assert len(matched) % FRAME == 0 and abs(len(matched) - length_of(target)) < 480


@pytest.mark.parametrize(
    ("sound", "says"),
    [
        (np.zeros(RATE_HZ), "is silent"),
        (0.1 * np.random.default_rng(0).standard_normal(30 * RATE_HZ), "lasts 30 s"),
        (np.sign(np.sin(np.arange(9600) / 40)) * np.r_[np.ones(4800), np.linspace(1, 0, 4800)], "is clipped"),
    ],
    ids=["silence", "song", "clipped"],
)
def test_what_cannot_be_matched_is_refused_in_one_sentence(tmp_path, capsys, sound, says):
    soundfile.write(tmp_path / "a.wav", sound, RATE_HZ)
    assert vaectrol.main(["match", "modal", str(tmp_path / "a.wav"), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip()
    assert says in told and "\n" not in told
    assert not (tmp_path / "out").exists()


def test_what_is_no_sound_is_refused_in_one_sentence(tmp_path, capsys):
    (tmp_path / "a.wav").write_bytes(b"no sound at all")
    assert vaectrol.main(["match", "modal", str(tmp_path / "a.wav"), "-o", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err.strip()
    assert "give a recording of one drum stroke" in told and "\n" not in told
