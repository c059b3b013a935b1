"""The module and this computer play the same: an instrument on the emulated Cortex-M7, bit for bit."""

from __future__ import annotations

import numpy as np
import pytest

from firmware.instruments.kinds.drum import EVALUATION_TICKS, SET_BYTES, START_CYCLES
from firmware.instruments.kinds.groove import SETS_REGION


def moving_signals(board, ticks, parameters, block):
    from firmware.script.cv_script import Script, signals

    rng = np.random.default_rng(7)
    knots = np.arange(0, ticks / 48_000 + 0.05, 0.05)
    columns = {adc.name: (knots, rng.random(len(knots))) for adc in board.adcs}
    for gate in board.gates_in:
        times = np.arange(0, ticks / 48_000, 0.001)
        columns[gate.name] = (times, (rng.random(len(times)) < 0.05).astype(float))
    made = signals(Script(columns=columns), board, ticks, parameters, {})
    made.audio[:] = rng.uniform(-0.5, 0.5, made.audio.shape)
    return made


@pytest.mark.parametrize(
    ("kind", "block"),
    [
        ("drum", 48),
        ("drum", 64),
        ("rhythm", 48),
        ("arpeggio", 48),
        ("voice", 48),
        ("choir", 48),
        ("drive", 48),
        ("groove", 48),
        ("modal", 48),
        ("ear", 48),
        ("spectra", 48),
        ("grains", 48),
    ],
)
def test_play_equals_the_module(kind, block, model_files, tmp_path):
    from bench.emulated import EmulatedInstrument
    from firmware.build import generate, host_library
    from firmware.play.host import HostInstrument

    roles = {"groove": ("rhythm", "drum"), "arpeggio": ("chords",), "choir": ("voice",), "modal": ()}
    roles = (roles | {"grains": ("encoder", "decoder", "codes")}).get(kind, (kind,))
    models = {role: model_files[role] for role in roles}
    on_m7 = generate(kind, "patch_sm", tmp_path / "m7", models=models, block=block)
    here = generate(kind, "patch_sm", tmp_path / "host", models=models, block=block, target="host")
    host = HostInstrument(host_library(here))
    ticks = 48 * (240 if kind == "grains" else 80)  # its first piece takes 107 ms
    signals = moving_signals(on_m7.board, ticks, host.parameters, block)
    expected = host.render(signals, block)
    rendered, _ = EmulatedInstrument(on_m7, tmp_path).render(signals, block)
    audio, cv, gates = rendered.audio, rendered.cv, rendered.gates
    assert np.array_equal(gates, expected.gates)
    assert np.abs(cv - expected.cv).max() <= 1e-5
    assert np.abs(audio - expected.audio).max() <= 1e-5
    if kind not in ("rhythm", "arpeggio"):
        assert np.abs(audio).max() > 1e-3
        print(kind, "samples that differ at all:", int((audio != expected.audio).sum()))


def test_drums_of_a_groove_share_one_network(model_files, tmp_path):
    from bench.emulated import EmulatedInstrument
    from firmware.build import generate

    models = {role: model_files[role] for role in ("rhythm", "drum")}
    built = generate("groove", "patch_sm", tmp_path, models=models)
    symbols = EmulatedInstrument(built, tmp_path).machine.elf.symbols
    weights = [s.name for s in symbols if s.name.startswith("drum_net_") and "weight" in s.name]
    assert weights
    assert len(weights) == len(set(weights))
    assert len({s.address for s in symbols if s.name == "drum_state"}) == 1
    (sets,) = (s for s in symbols if s.name == "drum_sets")
    assert sets.size <= 5 * SET_BYTES
    assert built.board.region(SETS_REGION).address <= sets.address
    assert built.assignment.voices == 4


def test_a_board_keeps_the_drums_it_has_time_for(model_files, tmp_path):
    from firmware.estimate import has_time
    from firmware.instruments import kinds
    from firmware.instruments.assign import assign
    from firmware.instruments.spec import find_models, load_instrument
    from hardware.board import load_board

    board = load_board("patch_sm")
    loaded = load_instrument("drum")
    assignment = assign(loaded, find_models(loaded, {"drum": model_files["drum"]}), board)
    role = kinds.named("drum").role("drum")
    budget = board.cycles_per_frame * 48
    for asked, voice, fits in ((0.1, 0.1, True), (0.4, 0.18, True), (0.4, 0.21, False), (0.46, 0.18, False)):
        report = {
            **{"kind": "drum", "block": 48, "cycles_per_step": {"worst": 0.0}},
            "cycles_per_event": asked * budget * EVALUATION_TICKS / 48,
            "sound": {
                "frame_samples": 48,
                "cycles_per_frame": voice * budget - START_CYCLES,
                "cycles_per_evaluation": 0.0,
            },
        }
        assert has_time(assignment, role, report, 0.0, 48) == fits, (asked, voice)
        assert not has_time(assignment, role, report, 0.9 * budget, 48)


def test_build_says_the_evaluation_that_a_hit_waits(model_files, tmp_path):
    """What the port tells and the report says."""
    from firmware import build
    from hardware.board import load_board

    built = build.generate(
        "drum", load_board("host"), tmp_path, models={"drum": model_files["drum"]}, block=48
    )
    assert built.report["latency_samples"] == EVALUATION_TICKS
    assert (
        f".latency_ticks = {int(built.report['latency_samples'])}," in (tmp_path / "instrument.c").read_text()
    )


def test_build_counts_the_worst_callback_of_a_hit(model_files, tmp_path):
    """Every voice struck at once: the voices that fit are those that then still do."""
    from firmware import build
    from hardware.board import load_board

    board = load_board("patch_sm")
    built = build.generate("drum", board, tmp_path / "two", models={"drum": model_files["drum"]}, block=48)
    assert built.assignment.voices == 2
    cycles = built.report["cycles_per_callback"]
    assert cycles["worst"] > cycles["mean"] + 2 * START_CYCLES

    def filled(share):
        """The board with a clock at which the two voices take this share of it.

        Or a little less: the steps of its network are shorter.
        """
        clock = int(board.processor.clock_hz * built.report["cpu_worst"] / share)
        return board.model_copy(update={"processor": board.processor.model_copy(update={"clock_hz": clock})})

    again = build.generate(
        "drum", filled(0.84), tmp_path / "fits", models={"drum": model_files["drum"]}, block=48
    )
    assert again.assignment.voices == 2
    less = build.generate(
        "drum", filled(0.9), tmp_path / "less", models={"drum": model_files["drum"]}, block=48
    )
    assert less.assignment.voices == 1
    assert less.report["voices_asked"] == 2
