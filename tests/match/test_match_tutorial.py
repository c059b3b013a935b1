"""The tutorial from a sound to a preset, done as it is written."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from tests.tutorials import blocks, done
from train.judges.distances import mr_stft


@pytest.mark.slow
def test_a_sound_becomes_a_preset_that_plays_it(tmp_path):
    made, match, play = blocks("sound-to-preset.md", "sh")
    for command in (made, match, *play.splitlines()):
        done(command, tmp_path)
    wanted, matched, played = (
        soundfile.read(tmp_path / name, dtype="float32", always_2d=True)[0][:, 0]
        for name in ("hits/kick/kick_0000_0.wav", "matched/kick_0000_0.match.wav", "strikes.wav")
    )
    stroke = played[np.flatnonzero(np.abs(played) > 1e-3)[0] :][:20_000]
    wanted, matched = (sound[: len(stroke)] / np.abs(sound).max() for sound in (wanted, matched))
    stroke = stroke / np.abs(stroke).max()
    noise = np.random.default_rng(1).standard_normal(len(stroke)).astype(np.float32)
    assert mr_stft(stroke, wanted) < 0.6 * mr_stft(noise, wanted)
    assert mr_stft(stroke, matched) < mr_stft(stroke, -noise)
