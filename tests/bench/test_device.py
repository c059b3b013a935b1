"""The bench asks a module for its own counters, here a simulated board behind a pty."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest

from bench.live import module as device
from common.refusal import Refusal
from hardware.board import load_board
from hardware.simulated import SimulatedBoard
from tests.hardware.conftest import PORTS, SERIAL, VOLTMETER


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from firmware.toolchain import link_shared

    sources = [*VOLTMETER, *SERIAL, PORTS / "simulated" / "board.c"]
    return link_shared(sources, "host", tmp_path_factory.mktemp("bench_board") / "board.so")


def test_the_counters_of_a_bench_image_become_fractions_of_a_callback(library: Path) -> None:
    with SimulatedBoard(load_board("patch_sm"), library, bench=True) as played:
        time.sleep(0.1)
        found = device.measure_device(played.device, samples=2)
    assert found["who"]["board"] == "patch_sm"
    assert found["clock_hz"] == 480_000_000
    assert 0 < found["cpu"]["mean"] <= found["cpu"]["worst"]
    assert found["answers"] == 2
    assert "incomplete" not in found


def test_an_image_without_counters_is_refused_with_what_to_do(library: Path) -> None:
    with (
        SimulatedBoard(load_board("patch_sm"), library) as played,
        pytest.raises(Refusal, match="bench image"),
    ):
        device.measure_device(played.device)


def test_what_was_measured_before_the_cable_came_out_is_kept(library: Path) -> None:
    with SimulatedBoard(load_board("patch_sm"), library, bench=True) as played:
        time.sleep(0.1)
        threading.Timer(0.6, played.unplug).start()
        found = device.measure_device(played.device, samples=50)
    assert found["answers"] >= 1
    assert found["incomplete"]
    assert found["cpu"]["mean"] > 0


@pytest.mark.parametrize("answer", [{}, {"budget": "many"}, {"budget": 0}, {"mean": -1}])
def test_a_device_that_answers_garbage_is_refused_in_one_sentence(answer: dict) -> None:
    good = {"clock_hz": 480e6, "budget": 480e3, "callbacks": 9, "mean": 1e5, "worst": 2e5, "p99": 2e5}
    bad = {**good, **answer} if answer else {}
    with pytest.raises(Refusal, match="is it a bench image"):
        device._checked(bad, "/dev/ttyACM0")


def test_a_port_that_is_not_there_is_refused() -> None:
    with pytest.raises(Refusal, match="ttyNOWHERE"):
        device.measure_device("/dev/ttyNOWHERE")
