"""Round-trip latency: the impulse is found where it is, through arithmetic and through ALSA itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.live.loopback import round_trip
from common.refusal import Refusal

ROOT = Path(__file__).resolve().parents[2]
needs_alsa = pytest.mark.skipif(
    not any(Path(folder).glob("**/libasound.so.2") for folder in ("/usr/lib", "/lib")),
    reason="needs libasound.so.2",
)


class Cable:
    """A stream with a delay of its own for every impulse, at half level, with noise."""

    def __init__(self, *delays: int) -> None:
        self.delays = list(delays)
        self.noise = np.random.default_rng(0)

    def __call__(self, sent: np.ndarray) -> np.ndarray:
        back = np.roll(sent, self.delays.pop(0)) * -0.5
        return back + 1e-4 * self.noise.standard_normal(len(sent))


def test_the_spread_over_the_repeats_is_that_of_the_stream() -> None:
    found = round_trip(Cable(240, 240, 256, 240, 239), 48000.0, repeats=5)
    assert found["samples"] == {"median": 240.0, "min": 239, "max": 256, "spread": 17}
    assert found["ms"]["median"] == 5.0
    assert found["histogram"] == [[239, 1], [240, 3], [256, 1]]
    assert (found["found"], found["lost"]) == (5, 0)
    assert "incomplete" not in found


def test_silence_and_noise_alone_are_no_impulse() -> None:
    noise = np.random.default_rng(0)
    for nothing in (np.zeros_like, lambda sent: 0.1 * noise.standard_normal(len(sent))):
        with pytest.raises(Refusal, match="no impulse came back"):
            round_trip(nothing, 48000.0, repeats=3)


def test_an_impulse_that_is_lost_is_counted() -> None:
    cable = Cable(*[100] * 4)
    dropped = iter([False, True, False, True, False, False])
    found = round_trip(lambda sent: np.zeros_like(sent) if next(dropped) else cable(sent), 48000.0, repeats=6)
    assert (found["found"], found["lost"]) == (4, 2)


def test_what_was_measured_before_the_card_went_away_is_kept() -> None:
    cable = Cable(100, 101)

    def unplugged(sent: np.ndarray) -> np.ndarray:
        if not cable.delays:
            raise Refusal("the sound card hw:1 stopped: No such device.")
        return cable(sent)

    found = round_trip(unplugged, 48000.0, repeats=9)
    assert found["found"] == 2
    assert found["incomplete"] == "the sound card hw:1 stopped: No such device."


@pytest.fixture
def cable(tmp_path: Path):
    """An ALSA device whose output is its input, 1000 samples later: two file devices on one pipe.

    The pipe is kept open on both ends, so that neither waits for the other to open it.
    """
    pipe, conf = tmp_path / "cable", tmp_path / "asound.conf"
    os.mkfifo(pipe)
    conf.write_text(
        "pcm.null { type null }\n"
        f'pcm.out {{ type file slave.pcm "null" file "{pipe}" format "raw" }}\n'
        f'pcm.in {{ type file slave.pcm "null" file "/dev/null" infile "{pipe}" format "raw" }}\n'
        'pcm.cable { type asym playback.pcm "out" capture.pcm "in" }\n'
    )
    held = os.open(pipe, os.O_RDWR)
    os.write(held, bytes(1000 * 2 * 4))
    yield conf
    os.close(held)


def latency(conf: Path | None, *words: str) -> subprocess.CompletedProcess:
    environment = {**os.environ, **({"ALSA_CONFIG_PATH": str(conf)} if conf else {})}
    command = [sys.executable, "vaectrol.py", "latency", *words]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60)


@needs_alsa
def test_a_cable_of_known_length_is_measured_through_alsa(cable: Path, tmp_path: Path) -> None:
    file = tmp_path / "latency.json"
    done = latency(cable, "--device", "cable", "--repeats", "4", "--json", "-o", str(file))
    assert (done.returncode, done.stderr) == (0, "")
    found = json.loads(done.stdout)
    assert json.loads(file.read_text()) == found
    # two periods of 64, and the cable
    assert found["samples"] == {"median": 1128.0, "min": 1128, "max": 1128, "spread": 0}
    assert found["histogram"] == [[1128, 4]]
    assert found["buffers_ms"] == pytest.approx(128 / 48, abs=1e-3)
    assert found["beyond_buffers_ms"] == pytest.approx(1000 / 48, abs=1e-3)
    assert found["xruns"] == 0


@needs_alsa
def test_the_terminal_shows_median_spread_and_histogram(cable: Path) -> None:
    done = latency(cable, "--device", "cable", "--repeats", "2", "--block", "128")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    assert "round trip 26.167 ms median (1256 samples)" in text
    assert "0 lost, 0 xruns" in text
    assert "█" in text


@needs_alsa
def test_no_cable_and_no_card_are_one_sentence_each(cable: Path) -> None:
    silent = latency(cable, "--device", "null", "--repeats", "2")
    assert (silent.returncode, silent.stdout.strip()) == (2, "")
    assert silent.stderr.startswith("vaectrol: no impulse came back; is a cable")
    absent = latency(cable, "--device", "hw:nowhere")
    assert (absent.returncode, absent.stdout.strip()) == (2, "")
    assert absent.stderr.startswith("vaectrol: no sound: hw:nowhere does not play 2 × 48000 Hz")
    assert len(absent.stderr.strip().splitlines()) == 1
