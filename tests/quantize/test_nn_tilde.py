"""Modules for nn~ on a bad day: NaN and infinities in a buffer, a batch where there is one state."""

from __future__ import annotations

import math
from functools import cache

import pytest
import torch
from torch import nn

from quantize.formats.nn_tilde.modules import DriveModule, DrumModule, PatternModule
from quantize.formats.torchscript import frames_looked_back, trace_decoder
from quantize.graph.load import load_graph

HEARD = 4096


class Rough(nn.Module):
    """An encoder that hears every sample: what is no number reaches its latents."""

    def __init__(self, latents: int):
        super().__init__()
        self.latents = latents

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.mean((1, 2))[:, None] * torch.arange(1.0, self.latents + 1)


def traced(latents: int, channels: int, length: int = HEARD):
    return torch.jit.trace(Rough(latents), (torch.zeros(1, channels, length),))


@pytest.fixture(scope="module")
def drum(drum_file):
    graph = load_graph(drum_file)
    entries = {spec.name: list(spec.channels) for spec in graph.about.inputs}
    z, knobs = entries["z"], entries["knobs"]
    module = DrumModule(trace_decoder(graph), traced(len(z), 1), z, knobs, 8, HEARD)
    return torch.jit.script(module.eval())


@pytest.fixture(scope="module")
def drive(drive_file):
    graph = load_graph(drive_file)
    names = list(graph.about.input("latent").channels)
    past, place = frames_looked_back(graph), [0.1] * len(names)
    module = DriveModule(trace_decoder(graph), traced(len(names), 2), past, names, place, 48, HEARD)
    return torch.jit.script(module.eval())


@pytest.fixture(scope="module")
def rhythm(rhythm_file):
    graph = load_graph(rhythm_file)
    inputs = {spec.role: list(spec.channels) for spec in graph.about.inputs}
    latents, channels = inputs["latent"], list(graph.about.outputs[0].channels)
    encoder = traced(len(latents), len(channels), 32)
    module = PatternModule(trace_decoder(graph), encoder, latents, inputs["attribute"], channels)
    return torch.jit.script(module.eval())


def buffers(channels: int, length: int, count: int = 3) -> list[torch.Tensor]:
    """Noise, loud for 100 samples: a drum is struck there some ten times, and each stroke is a whole hit."""
    random = torch.Generator().manual_seed(3)
    made = [0.3 * torch.randn(1, channels, length, generator=random) for _ in range(count)]
    for part in made:
        part[:, :, :60] *= 0.03
        part[:, :, 160:] *= 0.03
    made[0][0, -1, 5] = 1.0  # a gate of the drum
    return made


BAD, STRUCK = slice(100, 110), 105
"""Samples that are no number, and the one of them at which the last channel, a drum's gate, is a number."""


def struck_among_zeros(module, method: str) -> list[torch.Tensor]:
    clean = buffers(int(getattr(module, f"{method}_params")[0]), 2048)
    clean[1][0, :, BAD] = 0.0
    clean[1][0, -1, STRUCK] = 1.0
    return clean


def through(module, kind: str, method: str, parts: list[torch.Tensor]) -> torch.Tensor:
    if kind != "rhythm":
        module.reset()
    return torch.cat([getattr(module, method)(part) for part in parts], 2)


@pytest.fixture(scope="module")
def clean_answer(request):
    """What zeros in place of no numbers give, worked out once for each kind and method."""

    @cache
    def answer(kind: str, method: str) -> torch.Tensor:
        module = request.getfixturevalue(kind)
        return through(module, kind, method, struck_among_zeros(module, method))

    return answer


@pytest.mark.parametrize("method", ["decode", "encode", "forward"])
@pytest.mark.parametrize("kind", ["drum", "drive", "rhythm"])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_what_is_no_number_is_silence_and_leaves_no_trace(kind, method, bad, clean_answer, request):
    module = request.getfixturevalue(kind)
    dirty = struck_among_zeros(module, method)
    struck = dirty[1][0, -1, STRUCK].clone()
    dirty[1][0, :, BAD] = bad
    dirty[1][0, -1, STRUCK] = struck
    answer = through(module, kind, method, dirty)
    assert torch.isfinite(answer).all()
    state = {name: value for name, value in module.named_buffers() if value.is_floating_point()}
    assert all(torch.isfinite(value).all() for value in state.values())
    torch.testing.assert_close(answer, clean_answer(kind, method))
    assert answer.abs().max() > 0


@pytest.mark.parametrize("method", ["decode", "encode", "forward"])
@pytest.mark.parametrize("kind", ["drum", "drive"])
def test_a_batch_is_refused_where_one_signal_is_remembered(kind, method, request):
    module = request.getfixturevalue(kind)
    channels = int(getattr(module, f"{method}_params")[0])
    for batch in (0, 2):
        with pytest.raises(torch.jit.Error, match=f"was sent a batch of {batch}; use one nn~ for each"):
            getattr(module, method)(torch.zeros(batch, channels, 2048))


@pytest.mark.parametrize("method", ["decode", "encode", "forward"])
def test_a_batch_of_patterns_is_each_of_them(rhythm, method):
    channels = int(getattr(rhythm, f"{method}_params")[0])
    first, second, _ = buffers(channels, 96)
    both = getattr(rhythm, method)(torch.cat([first, second]))
    apart = torch.cat([getattr(rhythm, method)(first), getattr(rhythm, method)(second)])
    torch.testing.assert_close(both, apart)
    assert not torch.allclose(both[0], both[1])


def test_an_attribute_takes_no_nan(drum, drive):
    assert (drum.set_threshold(math.nan), drive.set_value(math.nan)) == (-1, -1)
    assert math.isfinite(drum.get_threshold()[0]) and math.isfinite(drive.get_value()[0])
