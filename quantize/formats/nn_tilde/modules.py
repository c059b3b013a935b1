"""Modules for nn~ (Max, Pure Data): ``encode``, ``decode``, ``forward``, ``prior`` with labelled channels.

nn~ finds a method by the buffer ``NAME_params`` = (channels in, ratio in, channels out, ratio out), asks
``get_methods`` and ``get_attributes``, and reads and sets an attribute through ``get_NAME`` and
``set_NAME``. It hands over buffers of any length, one after the other, so the streaming models here
remember as many input frames as their decoder looks back on; the output does not depend on the buffer size.

A sample that is no number is silence before anything remembers it. What remembers takes one signal: a batch
of several (mc.nn~ may send one) is refused; what remembers nothing plays each of a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

ENCODE_EVERY = 2048  # samples between two looks of an encoder of sounds
FADE = 240  # samples in which a hit ends that another one cuts


class NnModule(nn.Module):
    """What every module for nn~ has: its methods and attributes by name."""

    def __init__(self, methods: list[str], attributes: list[str]):
        super().__init__()
        self._methods = torch.jit.Attribute(methods, list[str])
        self._attributes = torch.jit.Attribute(attributes, list[str])

    def declare(
        self, method: str, ratios: tuple[int, int], inputs: Sequence[str], outputs: Sequence[str]
    ) -> None:
        """State what a method takes and gives."""
        sizes = torch.tensor([len(inputs), ratios[0], len(outputs), ratios[1]])
        self.register_buffer(f"{method}_params", sizes)
        setattr(self, f"{method}_input_labels", torch.jit.Attribute(list(inputs), list[str]))
        setattr(self, f"{method}_output_labels", torch.jit.Attribute(list(outputs), list[str]))

    @torch.jit.export
    def get_methods(self):  # type: ignore[no-untyped-def]
        """Names of the methods."""
        return self._methods

    @torch.jit.export
    def get_attributes(self):  # type: ignore[no-untyped-def]
        """Names of the attributes."""
        return self._attributes

    def heard_as(self, x: Tensor) -> Tensor:
        """Silence where a signal is no finite number."""
        return torch.nan_to_num(x, nan=0.0, posinf=0.0, neginf=0.0)

    def single(self, x: Tensor) -> Tensor:
        """Return the one signal of a batch, with silence where it is no number; refuse a batch of several."""
        if x.shape[0] != 1:
            several = x.shape[0]
            raise ValueError(
                f"this module remembers one signal and was sent a batch of {several}; use one nn~ for each."
            )
        return self.heard_as(x)


class DrumModule(NnModule):
    """A drum voice: latents, knobs and a gate in, audio out, all at audio rate.

    A hit is the sound of what its latents and knobs were when it was struck; the next one cuts it.

    Parameters
    ----------
    decoder, encoder : ScriptModule
        Traced; the encoder hears the last two seconds.
    latents, knobs : list of str
        Channel names.
    classes : int
        How many of the knobs are classes.
    heard : int
        Samples the encoder hears.
    """

    def __init__(
        self, decoder: Any, encoder: Any, latents: list[str], knobs: list[str], classes: int, heard: int
    ):
        super().__init__(["encode", "decode", "forward"], ["drum_class", "threshold"])
        self.tail: Tensor
        self.heard: Tensor
        self.decoder, self.encoder = decoder, encoder
        self.heard_samples, self.fade = heard, FADE
        self.latents, self.knobs, self.classes = len(latents), len(knobs), classes
        self.register_buffer("tail", torch.zeros(1, 1, 0), persistent=False)
        self.register_buffer("heard", torch.zeros(1, 1, heard))
        self.gate = False
        self.drum_class, self.threshold = 0, 0.05
        self.register_buffer("drum_class_params", torch.tensor([1]))
        self.register_buffer("threshold_params", torch.tensor([2]))
        self.declare("decode", (1, 1), [*latents, *knobs, "gate"], ["audio"])
        self.declare("encode", (1, ENCODE_EVERY), ["audio"], latents)
        self.declare("forward", (1, 1), ["audio"], ["audio"])

    @torch.jit.export
    def get_drum_class(self) -> list[int]:
        """Class that ``forward`` plays."""
        return [self.drum_class]

    @torch.jit.export
    def set_drum_class(self, value: int) -> int:
        """Choose the class; 0 on success, −1 when there is none of that number."""
        if value < 0 or value >= self.classes:
            return -1
        self.drum_class = value
        return 0

    @torch.jit.export
    def get_threshold(self) -> list[float]:
        """Level at which ``forward`` takes its input for a hit."""
        return [self.threshold]

    @torch.jit.export
    def set_threshold(self, value: float) -> int:
        """Set the level, in (0, 1]."""
        if not (value > 0.0 and value <= 1.0):  # NaN too
            return -1
        self.threshold = value
        return 0

    @torch.jit.export
    def reset(self) -> None:
        """Forget everything heard and played."""
        self.tail = self.tail[:, :, :0]
        self.heard = torch.zeros_like(self.heard)
        self.gate = False

    def struck(self, controls: Tensor) -> None:
        """Let a hit sound from here on, and what sounded end."""
        z = controls[:, : self.latents]
        knobs = controls[:, self.latents :]
        sound = self.decoder([z, knobs], torch.zeros((), dtype=torch.int64))
        rest = min(self.tail.shape[2], self.fade)
        if rest > 0:
            ramp = 1.0 - torch.arange(rest) / float(self.fade)
            sound[:, :, :rest] = sound[:, :, :rest] + self.tail[:, :, :rest] * ramp
        self.tail = sound

    def taken(self, count: int) -> Tensor:
        """The next samples of what sounds, and silence behind it."""
        there = self.tail[:, :, :count]
        self.tail = self.tail[:, :, count:]
        return torch.cat([there, torch.zeros(1, 1, count - there.shape[2])], 2)

    @torch.jit.export
    def decode(self, x: Tensor) -> Tensor:
        """Play: [1, latents + knobs + 1, N] to [1, 1, N]; a rising gate strikes."""
        x = self.single(x)
        count = x.shape[-1]
        parts: list[Tensor] = []
        done = 0
        gate = x[0, -1] > 0.5
        for n in range(count):
            high = bool(gate[n])
            if high and not self.gate:
                parts.append(self.taken(n - done))
                done = n
                self.struck(x[0:1, : self.latents + self.knobs, n : n + 1])
            self.gate = high
        parts.append(self.taken(count - done))
        return torch.cat(parts, 2)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """Latents of the last two seconds, one frame for every 2,048 samples: [1, 1, N] to [1, Z, N/2048]."""
        x = self.single(x)
        frames: list[Tensor] = []
        for k in range(x.shape[-1] // 2048):
            piece = x[:1, :1, k * 2048 : (k + 1) * 2048]
            self.heard = torch.cat([self.heard, piece], 2)[:, :, -self.heard_samples :]
            frames.append(self.encoder(self.from_onset(self.heard))[:, :, None])
        if len(frames) == 0:
            return torch.zeros(1, self.latents, 0)
        return torch.cat(frames, 2)

    def from_onset(self, heard: Tensor) -> Tensor:
        """Move the loudest hit of the last two seconds to the front, as the encoder was trained on it."""
        level = heard[0, 0].abs()
        peak = float(level.max())
        if peak < 1e-4:
            return heard
        begin = int(torch.argmax((level > 0.1 * peak).to(torch.int64)))
        shifted = torch.cat([heard[:, :, begin:], torch.zeros(1, 1, begin)], 2)
        return shifted / peak

    def forward(self, x: Tensor) -> Tensor:
        """Answer what is heard with the drum of ``drum_class``: [1, 1, N] to [1, 1, N]."""
        x = self.single(x)
        count = x.shape[-1]
        self.heard = torch.cat([self.heard, x[:1, :1]], 2)[:, :, -self.heard_samples :]
        z = self.encoder(self.from_onset(self.heard))
        knobs = torch.zeros(1, self.knobs)
        knobs[0, self.drum_class] = 1.0
        held = torch.cat([z, knobs], 1)[:, :, None].expand(1, self.latents + self.knobs, count)
        gate = (x[:1, :1].abs() > self.threshold).to(torch.float32)
        return self.decode(torch.cat([held, gate], 1))


class PatternModule(NnModule):
    """A rhythm model: a frame of controls for every 32 steps, a pattern of 27 channels out.

    Parameters
    ----------
    decoder, encoder : ScriptModule
        Traced.
    latents, attributes, channels : list of str
        Channel names.
    """

    def __init__(
        self, decoder: Any, encoder: Any, latents: list[str], attributes: list[str], channels: list[str]
    ):
        super().__init__(["encode", "decode", "forward"], [])
        self.decoder, self.encoder = decoder, encoder
        self.latents, self.attributes, self.channels = len(latents), len(attributes), len(channels)
        self.declare("decode", (32, 1), [*latents, *attributes], channels)
        self.declare("encode", (1, 32), channels, latents)
        self.declare("forward", (1, 1), channels, channels)

    @torch.jit.export
    def decode(self, x: Tensor) -> Tensor:
        """[B, Z + A, N] to [B, 27, 32·N]."""
        batch = x.shape[0]
        each = self.heard_as(x).transpose(1, 2).reshape(-1, x.shape[1], 1)
        start = torch.zeros((), dtype=torch.int64)
        made = self.decoder([each[:, : self.latents], each[:, self.latents :]], start)
        made = made.reshape(batch, -1, self.channels, made.shape[2])
        return made.transpose(1, 2).reshape(batch, self.channels, -1)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """[B, 27, 32·N] to [B, Z, N]."""
        batch = x.shape[0]
        each = self.heard_as(x).reshape(batch, self.channels, -1, 32).transpose(1, 2)
        z = self.encoder(each.reshape(-1, self.channels, 32))
        return z.reshape(batch, -1, self.latents).transpose(1, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Patterns through the model with every attribute in the middle."""
        z = self.encode(x)
        return self.decode(torch.cat([z, torch.zeros(z.shape[0], self.attributes, z.shape[2])], 1))


class DriveModule(NnModule):
    """A distortion: dry sound and latents in, wet sound out, all at audio rate and without delay.

    ``encode`` hears a dry sound and what a device made of it, and says where that device lies; ``forward``
    distorts at the place that the attributes set: ``latent`` chooses one (from 1), ``value`` moves it.

    Parameters
    ----------
    decoder, encoder : ScriptModule
        Traced; the encoder hears the last samples of both.
    past : int
        Latent frames that the decoder looks back on.
    latents : list of str
        Channel names.
    place : list of float
        Latents of ``forward`` until they are moved.
    hop, heard : int
        Samples per latent frame; samples the encoder hears.
    """

    def __init__(
        self,
        decoder: Any,
        encoder: Any,
        past: int,
        latents: list[str],
        place: list[float],
        hop: int,
        heard: int,
    ):
        super().__init__(["encode", "decode", "forward"], ["latent", "value"])
        self.dry: Tensor
        self.history: Tensor
        self.heard: Tensor
        self.place: Tensor
        self.decoder, self.encoder = decoder, encoder
        self.past, self.hop, self.heard_samples, self.latents = past, hop, heard, len(latents)
        self.register_buffer("dry", torch.zeros(1, 1, 0), persistent=False)
        self.register_buffer("history", torch.zeros(1, len(latents), 0), persistent=False)
        self.register_buffer("heard", torch.zeros(1, 2, heard))
        self.register_buffer("place", torch.tensor(place, dtype=torch.float32)[None, :, None])
        self.seen, self.latent = 0, 1
        self.register_buffer("latent_params", torch.tensor([1]))
        self.register_buffer("value_params", torch.tensor([2]))
        self.declare("decode", (1, 1), ["dry", *latents], ["wet"])
        self.declare("encode", (1, ENCODE_EVERY), ["dry", "wet"], latents)
        self.declare("forward", (1, 1), ["dry"], ["wet"])

    @torch.jit.export
    def get_latent(self) -> list[int]:
        """Latent that ``value`` moves, from 1."""
        return [self.latent]

    @torch.jit.export
    def set_latent(self, value: int) -> int:
        """Choose the latent; 0 on success, −1 when there is none of that number."""
        if value < 1 or value > self.latents:
            return -1
        self.latent = value
        return 0

    @torch.jit.export
    def get_value(self) -> list[float]:
        """Where ``forward`` has the chosen latent."""
        return [float(self.place[0, self.latent - 1, 0])]

    @torch.jit.export
    def set_value(self, value: float) -> int:
        """Move the chosen latent of ``forward``, within ±4."""
        if not (value >= -4.0 and value <= 4.0):  # NaN too
            return -1
        self.place[0, self.latent - 1, 0] = value
        return 0

    @torch.jit.export
    def reset(self) -> None:
        """Forget everything heard and played; the place stays."""
        self.dry = self.dry[:, :, :0]
        self.history = self.history[:, :, :0]
        self.heard = torch.zeros_like(self.heard)
        self.seen = 0

    @torch.jit.export
    def decode(self, x: Tensor) -> Tensor:
        """Distort: [1, 1 + Z, N] to [1, 1, N]; a latent is read where its frame begins."""
        x = self.single(x)
        count = x.shape[-1]
        first = (self.hop - self.seen % self.hop) % self.hop
        self.history = torch.cat([self.history, x[:1, 1:, first :: self.hop]], 2)
        self.dry = torch.cat([self.dry, x[:1, :1]], 2)
        length, frames = self.dry.shape[2], self.history.shape[2]
        whole = torch.cat([self.dry, torch.zeros(1, 1, frames * self.hop - length)], 2)
        wet = self.decoder([whole, self.history], torch.zeros((), dtype=torch.int64))
        past = max(0, length // self.hop - self.past)
        self.dry = self.dry[:, :, past * self.hop :]
        self.history = self.history[:, :, past:]
        self.seen += count
        return wet[:, :, length - count : length]

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """Place of the device last heard, a frame for every 2,048 samples: [1, 2, N] to [1, Z, N/2048]."""
        x = self.single(x)
        frames: list[Tensor] = []
        for k in range(x.shape[-1] // 2048):
            piece = x[:1, :2, k * 2048 : (k + 1) * 2048]
            self.heard = torch.cat([self.heard, piece], 2)[:, :, -self.heard_samples :]
            frames.append(self.encoder(self.heard)[:, :, None])
        if len(frames) == 0:
            return torch.zeros(1, self.latents, 0)
        return torch.cat(frames, 2)

    def forward(self, x: Tensor) -> Tensor:
        """Distort at the place that the attributes set: [1, 1, N] to [1, 1, N]."""
        x = self.single(x)
        return self.decode(torch.cat([x[:, :1], self.place.expand(1, self.latents, x.shape[-1])], 1))
