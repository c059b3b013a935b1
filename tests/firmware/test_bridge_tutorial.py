"""The tutorials from sensors to latents and from what is heard to an effect, done as they are written."""

from __future__ import annotations

import csv

import numpy as np
import soundfile

from firmware.bridge.mapping import read_mapping
from firmware.bridge.targets import Targets
from tests.tutorials import blocks, done, free_port, started


def test_sensors_play_latents_and_the_two_files_are_one(tmp_path):
    page = "sensors-to-latents.md"
    hands, phone = blocks(page, "toml")
    play, sensor, again = blocks(page, "sh")
    (tmp_path / "hands.toml").write_text(hands)
    (tmp_path / "phone.toml").write_text(phone)
    assert len(read_mapping(tmp_path / "phone.toml", Targets(["latent/1"])).rules) == 2
    port = free_port()
    with started(play, tmp_path, port) as bridge:
        assert bridge.stdout is not None
        assert "listens for OSC" in bridge.stdout.readline()
        with started(sensor, tmp_path, port) as sent:
            assert sent.wait() == 0
        said, wrong = bridge.communicate()
        assert bridge.returncode == 0, wrong
    assert said.strip().splitlines()[-1] == f"the same again: {again.partition(' -o')[0]}"
    done(again, tmp_path)
    live, rendered = (soundfile.read(tmp_path / name)[0] for name in ("live.wav", "again.wav"))
    assert np.abs(live).max() > 0.01 and np.array_equal(live, rendered)
    header = (tmp_path / "take.csv").read_text().splitlines()[0]
    assert header == "time,latent/1,latent/2,trigger/1"


def test_what_an_ear_hears_turns_the_knobs_of_an_effect(tmp_path):
    page = "classification-to-effect.md"
    (loop,) = blocks(page, "toml")
    (sounds, play, ear, again) = blocks(page, "sh")
    (tmp_path / "loop.toml").write_text(loop)
    for command in sounds.splitlines():
        done(command, tmp_path)
    port = free_port()
    with started(play, tmp_path, port) as bridge:
        assert bridge.stdout is not None
        assert "listens for OSC" in bridge.stdout.readline()
        with started(ear, tmp_path, port) as heard:
            _, wrong = heard.communicate()
            assert heard.returncode == 0, wrong
        _, wrong = bridge.communicate()
        assert bridge.returncode == 0, wrong
    done(again, tmp_path)
    live, rendered = (soundfile.read(tmp_path / name)[0] for name in ("live.wav", "again.wav"))
    assert np.abs(live).max() > 0.01 and np.array_equal(live, rendered)
    with (tmp_path / "take.csv").open() as file:
        rows = list(csv.DictReader(file))
    kinds = {round(float(row["latent/1"]), 1) for row in rows if row["latent/1"]}
    amounts = [float(row["latent/3"]) for row in rows if row["latent/3"]]
    assert len(kinds) >= 3 and 0.0 <= min(kinds) <= max(kinds) <= 1.0  # several groups were heard
    assert 0.2 <= min(amounts) < max(amounts) <= 0.9
