"""The module for nn~ that goes on by itself: its method ``prior``, as ``modules`` says what a method is."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

import torch
from torch import Tensor

from common.model_metadata import PriorTables
from quantize.formats.nn_tilde.modules import NnModule

# Of the engine: PRIOR_CELLS and what stands at the top of prior.c
CELLS, LAST_CELL, STRAY = 256, 1 / 1024, 0.5
COUPLED_FRAMES, PATIENCE, STILL_STEP = 16, 64, 0.002


class PriorModule(NnModule):
    """What follows in the latents of a model, a frame of theirs after the other.

    The noise is the same hash of the frame's number as in ``firmware/engine/latents/prior.c``, so that both
    go the same way from the same latents. While ``listen`` is above 0.5 its latents pass as they come; then
    it goes on from there by itself.

    Parameters
    ----------
    network : ScriptModule
        Traced: latent and state to steps, chances and the state after.
    latents : list of str
        Channel names.
    held : int
        Numbers that the network remembers.
    tied : PriorTables
        What ties its frames to the latents.
    hop : int
        Samples of a frame of the latents.
    """

    def __init__(self, network: Any, latents: Sequence[str], held: int, tied: PriorTables, hop: int):
        super().__init__(["prior"], [])
        self.now: Tensor
        self.held: Tensor
        self.heard: Tensor
        self.heard_held: Tensor
        self.came: Tensor
        self.own: Tensor
        self.data: Tensor
        self.normal: Tensor
        self.temperatures: Tensor
        self.span: Tensor
        self.low: Tensor
        self.high: Tensor
        self.network = network
        self.count, self.every = len(latents), max(1, tied.ticks // hop)
        self.widest, self.narrowest = tied.widest, tied.narrowest
        for name in ("now", "heard", "came"):
            self.register_buffer(name, torch.zeros(self.count))
        for name in ("held", "heard_held"):
            self.register_buffer(name, torch.zeros(1, held, 1))
        self.register_buffer("own", torch.tensor(tied.own))
        self.register_buffer("data", torch.tensor(tied.data))
        self.register_buffer("temperatures", torch.tensor(tied.temperatures))
        cells = [min(max(i / CELLS, LAST_CELL), 1 - LAST_CELL) for i in range(CELLS + 1)]
        self.register_buffer("normal", torch.tensor([NormalDist().inv_cdf(p) for p in cells]))
        table = torch.tensor(tied.data)
        self.register_buffer("span", table[:, -1] - table[:, 0])
        self.register_buffer("low", table[:, 0] - STRAY * self.span)
        self.register_buffer("high", table[:, -1] + STRAY * self.span)
        self.patience, self.coupled_frames, self.still_step = PATIENCE, COUPLED_FRAMES, STILL_STEP
        self.at, self.frame, self.coupled, self.still, self.astray = 0, 0, 0, 0, 0
        self.declare("prior", (hop, hop), ["temperature", "listen", *latents], latents)

    @torch.jit.export
    def reset(self) -> None:
        """Forget everything heard and said."""
        for one in (self.now, self.held, self.heard, self.heard_held, self.came):
            one.zero_()
        self.at, self.frame, self.coupled, self.still, self.astray = 0, 0, 0, 0, 0

    def even(self, lane: Tensor) -> Tensor:
        """Evenly spread numbers of this frame, 24 bits in 0 … 1."""
        x = (self.frame * 64 + lane + 0x9E3779B9) & 0xFFFFFFFF
        x = x ^ (x >> 16)
        x = (x * 0x7FEB352D) & 0xFFFFFFFF
        x = x ^ (x >> 15)
        x = (x * 0x846CA68B) & 0xFFFFFFFF
        x = x ^ (x >> 16)
        return (x >> 8).to(torch.float32) / 16777216.0

    def bounded(self, z: Tensor) -> Tensor:
        """Stop a frame at the walls."""
        return torch.minimum(torch.maximum(z, self.low), self.high)

    def gaussian(self, even: Tensor) -> Tensor:
        """Normal numbers by even ones."""
        place = even * 256.0
        cell = place.to(torch.int64).clamp(0, 255)
        low = self.normal[cell]
        return low + (place - cell.to(torch.float32)) * (self.normal[cell + 1] - low)

    def draw(self, temperature: float, steps: Tensor, chances: Tensor) -> None:
        """The next frame by what the network says."""
        lanes = torch.arange(self.count)
        stirs = self.still >= self.patience
        likely = self.even(2 * lanes) < chances[2 * self.count :]
        if stirs:
            likely = torch.zeros_like(likely)
        step = torch.where(likely, steps[: self.count], steps[self.count :])
        said = torch.where(likely, chances[: self.count], chances[self.count : 2 * self.count])
        heat = max(1.0, temperature) if stirs else temperature
        noise = self.gaussian(self.even(2 * lanes + 1))
        drawn = self.now + step + heat * (self.narrowest + self.widest * said) * noise
        after = self.bounded(drawn)
        moves = bool(((after - self.now).abs() > self.still_step * self.span).any())
        strays = bool(((after <= self.low) | (after >= self.high)).any())
        self.now = after
        self.still = 0 if moves or stirs else self.still + 1
        self.astray = self.astray + 1 if strays else 0
        if self.astray >= self.patience:
            self.now, self.held, self.astray = self.heard, self.heard_held, 0

    def next_frame(self, temperature: float, listens: bool, latents: Tensor) -> None:
        """Go on by one frame of its own."""
        steps, chances, held = self.network(self.now[None, :, None], self.held)
        self.held = held
        self.frame += 1
        self.came = self.now
        if listens:
            self.now = self.bounded(latents)
            self.came, self.heard, self.heard_held, self.coupled = self.now, self.now, self.held, 0
        else:
            self.draw(temperature, steps[0, :, 0], chances[0, :, 0])
            self.coupled = min(self.coupled_frames, self.coupled + 1)

    def place(self, table: Tensor, x: Tensor) -> Tensor:
        """Places 0 … 1 of ``x [Z]`` in rising quantiles ``[Z, P]``."""
        last = table.shape[1] - 1
        above = torch.searchsorted(table, x[:, None], right=True)[:, 0].clamp(1, last)
        rows = torch.arange(self.count)
        low, high = table[rows, above - 1], table[rows, above]
        return ((above - 1).to(torch.float32) + ((x - low) / (high - low)).clamp(0.0, 1.0)) / float(last)

    def where_the_data_are(self, raw: Tensor, temperature: float) -> Tensor:
        """The same place among the training data."""
        warmer = 1
        while warmer < len(self.temperatures) - 1 and temperature > float(self.temperatures[warmer]):
            warmer += 1
        cold = float(self.temperatures[warmer - 1])
        warmth = min(1.0, max(0.0, (temperature - cold) / (float(self.temperatures[warmer]) - cold)))
        cool, warm = self.place(self.own[warmer - 1], raw), self.place(self.own[warmer], raw)
        last = self.data.shape[1] - 1
        at = (cool + warmth * (warm - cool)) * float(last)
        cell = at.to(torch.int64).clamp(0, last - 1)
        rows = torch.arange(self.count)
        low = self.data[rows, cell]
        return low + (at - cell.to(torch.float32)) * (self.data[rows, cell + 1] - low)

    @torch.jit.export
    def prior(self, x: Tensor) -> Tensor:
        """Listen or go on: temperature, listen and latents ``[1, 2 + Z, N]`` to latents ``[1, Z, N]``."""
        x = self.single(x)
        frames: list[Tensor] = []
        for n in range(x.shape[2]):
            temperature = min(2.0, max(0.0, float(x[0, 0, n])))
            listens = bool(x[0, 1, n] > 0.5)
            latents = x[0, 2:, n]
            if self.at >= self.every:
                self.at -= self.every
                self.next_frame(temperature, listens, latents)
            self.at += 1
            raw = self.came + float(self.at) / float(self.every) * (self.now - self.came)
            there = self.where_the_data_are(raw, temperature)
            said = raw + float(self.coupled) / float(self.coupled_frames) * (there - raw)
            frames.append(latents if listens else said)
        if len(frames) == 0:
            return torch.zeros(1, self.count, 0)
        return torch.stack(frames, 1)[None]
