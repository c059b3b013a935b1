"""The module and this computer play the same: an instrument on the emulated Cortex-M7, bit for bit."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

INPUTS, GATES, AUDIO, CVS, BLOCK = 24, 256, 2, 16, 256  # port.h
AT_GATES_IN = 4 * INPUTS
AT_GATES_OUT = AT_GATES_IN + 4 * GATES
AT_AUDIO_IN = AT_GATES_OUT + 4 * GATES
AT_AUDIO_OUT = AT_AUDIO_IN + 4 * AUDIO * BLOCK
AT_CV_OUT = AT_AUDIO_OUT + 4 * AUDIO * BLOCK


class Emulated:
    """An instrument's image, with the bare port, in the emulated board."""

    def __init__(self, built, folder: Path):
        from bench.m7.elf import read_elf
        from bench.m7.emulator import Machine
        from bench.m7.link import Placement, link
        from firmware import toolchain
        from firmware.build import PORTS

        sources = [*built.sources, PORTS / "m7" / "m7.c"]
        objects = [toolchain.compile_source(s, "m7", extra=[f"-I{built.folder}"]) for s in sources]
        keep = ["m7_begin", "m7_render", "m7_block"]
        elf = link(objects, built.board, folder / "image.elf", keep=keep, placement=Placement(text="axi"))
        self.machine = Machine(read_elf(elf), built.board)
        self.block = self.machine.elf.symbol("m7_block").address
        self.info = built
        self.machine.call("m7_begin")

    def render(self, signals, block):
        board = self.info.board
        ticks = signals.inputs.shape[1]
        audio, cv = (
            np.zeros((board.audio.outputs, ticks), np.float32),
            np.zeros((len(board.dacs), ticks), np.float32),
        )
        gates = np.zeros(ticks, np.uint32)
        levels = (signals.gates > 1.0).astype(np.uint32)
        bits = (levels << np.arange(len(levels), dtype=np.uint32)[:, None]).sum(axis=0).astype(np.uint32)
        for at in range(0, ticks, block):
            n = min(block, ticks - at)
            write = self.machine.write
            write(self.block, np.ascontiguousarray(signals.inputs[:, at]))
            write(self.block + AT_GATES_IN, bits[at : at + n])
            for channel in range(board.audio.inputs):
                write(self.block + AT_AUDIO_IN + 4 * BLOCK * channel, signals.audio[channel, at : at + n])
            self.machine.call("m7_render", n)
            read = self.machine.read_array
            for channel in range(board.audio.outputs):
                audio[channel, at : at + n] = read(
                    self.block + AT_AUDIO_OUT + 4 * BLOCK * channel, np.float32, n
                )
            for out in range(len(board.dacs)):
                cv[out, at : at + n] = read(self.block + AT_CV_OUT + 4 * BLOCK * out, np.float32, n)
            gates[at : at + n] = read(self.block + AT_GATES_OUT, np.uint32, n)
        return audio, cv, gates


def moving_signals(board, ticks, parameters, block):
    from firmware.cv_script import Script, signals

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
    ("kind", "block"), [("drum", 48), ("drum", 64), ("rhythm", 48), ("drive", 48), ("groove", 48)]
)
def test_play_equals_the_module(kind, block, model_files, tmp_path):
    from firmware.build import generate, host_library
    from firmware.host import HostInstrument

    roles = {"groove": ("rhythm", "drum")}.get(kind, (kind,))
    models = {role: model_files[role] for role in roles}
    on_m7 = generate(kind, "patch_sm", tmp_path / "m7", models=models, block=block)
    here = generate(kind, "patch_sm", tmp_path / "host", models=models, block=block, target="host")
    host = HostInstrument(host_library(here))
    ticks = 48 * 80
    signals = moving_signals(on_m7.board, ticks, host.parameters, block)
    expected = host.render(signals, block)
    audio, cv, gates = Emulated(on_m7, tmp_path).render(signals, block)
    assert np.array_equal(gates, expected.gates)
    assert np.abs(cv - expected.cv).max() <= 1e-5
    assert np.abs(audio - expected.audio).max() <= 1e-5
    if kind != "rhythm":
        assert np.abs(audio).max() > 1e-3
        print(kind, "samples that differ at all:", int((audio != expected.audio).sum()))
