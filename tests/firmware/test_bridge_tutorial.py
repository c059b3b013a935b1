"""The tutorial from sensors to latents, done as it is written."""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import soundfile

from firmware.bridge.mapping import read_mapping
from firmware.bridge.targets import Targets

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "manuals" / "sensors-to-latents.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_tutorial_runs_and_its_two_files_are_one(tmp_path):
    hands, phone = blocks("toml")
    play, sensor, again = (text.strip() for text in blocks("sh"))
    (tmp_path / "hands.toml").write_text(hands)
    (tmp_path / "phone.toml").write_text(phone)
    assert len(read_mapping(tmp_path / "phone.toml", Targets(["latent/1"])).rules) == 2
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}

    def started(command: str) -> subprocess.Popen[str]:
        words = command.replace("9000", port).split()
        program = {"vaectrol": ROOT / "vaectrol.py", "python": ROOT / words[1]}[words[0]]
        rest = words[1:] if words[0] == "vaectrol" else words[2:]
        return subprocess.Popen(
            [sys.executable, str(program), *rest],
            cwd=tmp_path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    with started(play) as bridge:
        assert bridge.stdout is not None
        assert "listens for OSC" in bridge.stdout.readline()
        with started(sensor) as sent:
            assert sent.wait() == 0
        said, wrong = bridge.communicate()
        assert bridge.returncode == 0, wrong
    assert said.strip().splitlines()[-1] == f"the same again: {again.partition(' -o')[0]}"
    with started(again) as second:
        _, wrong = second.communicate()
        assert second.returncode == 0, wrong
    live, rendered = (soundfile.read(tmp_path / name)[0] for name in ("live.wav", "again.wav"))
    assert np.abs(live).max() > 0.01 and np.array_equal(live, rendered)
    header = (tmp_path / "take.csv").read_text().splitlines()[0]
    assert header == "time,latent/1,latent/2,trigger/1"
