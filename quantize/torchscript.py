"""A TorchScript module for nn~ (Max, Pure Data): ``encode``, ``decode``, ``forward`` with labelled channels.

nn~ finds a method by the buffer ``NAME_params`` = (channels in, ratio in, channels out, ratio out), asks
``get_methods`` and ``get_attributes``, and reads and sets an attribute through ``get_NAME`` and
``set_NAME``. It hands over buffers of any length, one after the other, so the streaming models here
remember as many input frames as their decoder looks back on; the output does not depend on the buffer size.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from quantize.channels import TRACE_FRAMES as SHAPE_FRAMES
from quantize.channels import example_feeds, trace_shapes
from quantize.feeds import input_rates
from quantize.graph import Graph, Node
from quantize.network import Network
from quantize.operators import filtered_noise
from train.refusal import Refusal

ENCODE_EVERY = 2048  # samples between two looks of a one-shot encoder
TRACE_FRAMES = 64
PROBE_FRAMES = 512
PATTERN_STEPS = 32


class Positional(nn.Module):
    """A float graph as a module of positional tensors, which torch can trace.

    The last argument counts the control frames before the first one, so that counted noise goes on where it
    was.
    """

    def __init__(self, graph: Graph):
        super().__init__()
        self.network = _CountedNetwork(graph)
        self.names, self.outputs = graph.input_names, graph.output_names
        self.network.requires_grad_(False)

    def forward(self, inputs: list[Tensor], start: Tensor) -> Tensor:
        """First output of the graph."""
        self.network.start = start
        return self.network(dict(zip(self.names, inputs, strict=True)))[self.outputs[0]]


class _CountedNetwork(Network):
    """A float network whose noise goes on after `start` frames of the slowest input."""

    start: Tensor

    def __init__(self, graph: Graph):
        super().__init__(graph)
        shapes = trace_shapes(graph)
        noises = [n.outputs[0] for n in graph.nodes if n.op == "FilteredNoise" and n.is_domain]
        self.per_frame = {name: shapes[name][-1] // SHAPE_FRAMES for name in noises}

    def execute(self, node: Node, values: dict[str, Any]) -> tuple[Any, ...]:
        if node.op == "FilteredNoise" and node.is_domain:
            start = self.start * self.per_frame[node.outputs[0]]
            return (filtered_noise(node, [values[node.inputs[0]], start]),)
        return super().execute(node, values)


def frames_looked_back(graph: Graph) -> int:
    """Measure how many frames of its slowest input an output sample depends on, by disturbing one frame."""
    feeds = {n: torch.from_numpy(v) for n, v in example_feeds(graph, PROBE_FRAMES).items()}
    network = Network(graph, torch.float64)
    with torch.no_grad():
        random = torch.Generator().manual_seed(0)
        base = {
            n: 0.3 * torch.randn(v.shape, generator=random, dtype=torch.float64) for n, v in feeds.items()
        }
        disturbed = {n: v.clone() for n, v in base.items()}
        shortest = min(v.shape[-1] for v in base.values())
        for value in disturbed.values():
            value[..., : value.shape[-1] // shortest] += 0.5
        difference = [
            (network(base)[n] - network(disturbed)[n]).abs().amax((0, 1)) for n in graph.output_names
        ]
    last = 0
    for trace in difference:
        touched = torch.nonzero(trace > 0)
        if touched.numel():
            last = max(last, -(-int(touched[-1] + 1) * shortest // trace.shape[0]))
    if last >= shortest:
        raise Refusal(f"this model looks back further than {PROBE_FRAMES} frames, too far to stream in nn~.")
    return last


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


class DrumModule(NnModule):
    """A drum voice: latents, knobs and a gate in, audio out, all at audio rate.

    Parameters
    ----------
    decoder, encoder : ScriptModule
        Traced; the encoder hears the last two seconds.
    past : int
        Control frames that the decoder looks back on.
    latents, knobs : list of str
        Channel names.
    classes : int
        How many of the knobs are classes.
    basis : dict
        ``vaectrol.time_basis`` constants.
    hop, heard : int
        Samples per control frame; samples the encoder hears.
    """

    def __init__(
        self,
        decoder: Any,
        encoder: Any,
        past: int,
        latents: list[str],
        knobs: list[str],
        classes: int,
        basis: dict[str, Any],
        hop: int,
        heard: int,
    ):
        super().__init__(["encode", "decode", "forward"], ["drum_class", "threshold"])
        self.decays: Tensor
        self.tones: Tensor
        self.history: Tensor
        self.times: Tensor
        self.tail: Tensor
        self.heard: Tensor
        self.decoder, self.encoder = decoder, encoder
        self.past, self.hop, self.heard_samples = past, hop, heard
        self.latents, self.knobs, self.classes = len(latents), len(knobs), classes
        self.window_s, self.fade_s = float(basis["window_s"]), float(basis["fade_s"])
        self.register_buffer("decays", torch.tensor(basis["decays_s"], dtype=torch.float64)[:, None])
        self.register_buffer("tones", torch.tensor(basis["frequencies_hz"], dtype=torch.float64)[:, None])
        self.register_buffer("history", torch.zeros(1, len(latents) + len(knobs), 0), persistent=False)
        self.register_buffer("times", torch.zeros(0, dtype=torch.float64), persistent=False)
        self.register_buffer("tail", torch.zeros(1, 1, 0), persistent=False)
        self.register_buffer("heard", torch.zeros(1, 1, heard))
        self.seen, self.frames, self.struck = 0, 0, -1
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
        if value <= 0.0 or value > 1.0:
            return -1
        self.threshold = value
        return 0

    @torch.jit.export
    def reset(self) -> None:
        """Forget everything heard and played."""
        self.history = self.history[:, :, :0]
        self.times = self.times[:0]
        self.tail = self.tail[:, :, :0]
        self.heard = torch.zeros_like(self.heard)
        self.seen = 0
        self.frames = 0
        self.struck = -1
        self.gate = False

    def basis(self, seconds: Tensor) -> Tensor:
        """Time basis [1, B, T] of seconds [T] since the trigger (negative: none)."""
        t = seconds[None, :]
        on = ((t >= 0) & (t < self.window_s)).to(torch.float64)
        phase = 6.283185307179586 * self.tones * t
        gate = ((self.window_s - t) / self.fade_s).clamp(0.0, 1.0)
        decays = torch.exp(-t.clamp(min=0.0) / self.decays)
        parts = [gate, t / self.window_s, decays, torch.sin(phase), torch.cos(phase)]
        return (torch.cat(parts, 0) * on).to(torch.float32)[None]

    @torch.jit.export
    def decode(self, x: Tensor) -> Tensor:
        """Play: [1, latents + knobs + 1, N] to [1, 1, N]; a rising gate strikes."""
        count = x.shape[-1]
        first = self.frames * self.hop - self.seen  # in this buffer, of the next control frame
        controls: list[Tensor] = []
        moments: list[float] = []
        gate = x[0, -1] > 0.5
        for n in range(count):
            high = bool(gate[n])
            if high and not self.gate:
                self.struck = self.seen + n
            self.gate = high
            if n >= first and (n - first) % self.hop == 0:
                controls.append(x[0:1, : self.latents + self.knobs, n : n + 1])
                since = float(self.seen + n - self.struck) / 48000.0
                moments.append(since if self.struck >= 0 else -1.0)
        if len(controls) > 0:
            fresh = len(controls)
            self.history = torch.cat([self.history, torch.cat(controls, 2)], 2)
            self.times = torch.cat([self.times, torch.tensor(moments, dtype=torch.float64)])
            held = self.history.shape[2]
            start = torch.tensor(self.frames + fresh - held)
            z = self.history[:, : self.latents]
            knobs = self.history[:, self.latents :]
            audio = self.decoder([z, knobs, self.basis(self.times)], start)
            self.tail = torch.cat([self.tail, audio[:, :, -fresh * self.hop :]], 2)
            self.frames += fresh
            keep = min(held, self.past)
            self.history = self.history[:, :, held - keep :]
            self.times = self.times[held - keep :]
        self.seen += count
        out = self.tail[:, :, :count]
        self.tail = self.tail[:, :, count:]
        return out

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """Latents of the last two seconds, one frame for every 2,048 samples: [1, 1, N] to [1, Z, N/2048]."""
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
        """[1, Z + A, N] to [1, 27, 32·N]."""
        each = x[0].t()[:, :, None]
        start = torch.zeros((), dtype=torch.int64)
        made = self.decoder([each[:, : self.latents], each[:, self.latents :]], start)
        return made.permute(1, 0, 2).reshape(1, self.channels, -1)

    @torch.jit.export
    def encode(self, x: Tensor) -> Tensor:
        """[1, 27, 32·N] to [1, Z, N]."""
        each = x[0].reshape(self.channels, -1, 32).permute(1, 0, 2)
        return self.encoder(each).t()[None]

    def forward(self, x: Tensor) -> Tensor:
        """Patterns through the model with every attribute in the middle."""
        z = self.encode(x)
        return self.decode(torch.cat([z, torch.zeros(1, self.attributes, z.shape[2])], 1))


class _Mean(nn.Module):
    """The posterior's mean."""

    def __init__(self, encoder: nn.Module):
        super().__init__()
        self.encoder = encoder

    def forward(self, x: Tensor) -> Tensor:
        """Encode."""
        return self.encoder(x)[0]


def trace_decoder(graph: Graph) -> Any:
    """Trace the float decoder: (list of inputs, samples before) → first output, of any length and batch."""
    module = Positional(graph).eval()
    frames = TRACE_FRAMES if any(input_rates(graph).values()) else 1
    feeds = {n: torch.from_numpy(v) for n, v in example_feeds(graph, frames).items()}
    inputs = [0.1 * torch.randn(v.shape, generator=torch.Generator().manual_seed(1)) for v in feeds.values()]
    start = torch.zeros((), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of Python numbers in the trace: shapes of constants, which are constant
        return torch.jit.trace(module, (inputs, start), check_trace=False)


def module_of_run(folder: Path, graph: Graph) -> Any:
    """Build the nn~ module of a run, with the given decoder graph (pruned or not) and the run's encoder.

    Raises
    ------
    Refusal
        For kinds that nn~ has no use for.
    """
    from train.fit import load_run

    run = load_run(folder)
    entries = {e["name"]: e for e in graph.metadata["inputs"]}
    kind = graph.metadata.get("kind")
    encoder_ports, _ = run.task.encoder_ports()
    port = encoder_ports[0]
    example = 0.1 * torch.randn(1, len(port.channels), port.length)
    with torch.no_grad():
        encoder = torch.jit.trace(_Mean(run.model.encoder).eval(), (example,), check_trace=False)  # type: ignore[arg-type]
    decoder = trace_decoder(graph)
    if kind == "drum":
        knobs = [str(c) for c in entries["knobs"]["channels"]]
        module: NnModule = DrumModule(
            decoder,
            encoder,
            frames_looked_back(graph),
            [str(c) for c in entries["z"]["channels"]],
            knobs,
            sum(k.startswith("class:") for k in knobs),
            graph.metadata["time_basis"]["constants"],
            int(1 / input_rates(graph)["z"]),
            port.length,
        )
    elif kind == "rhythm":
        module = PatternModule(
            decoder,
            encoder,
            [str(c) for c in entries["z"]["channels"]],
            [str(c) for c in entries["attributes"]["channels"]],
            [str(c) for c in graph.metadata["outputs"][0]["channels"]],
        )
    else:
        raise Refusal(f"{folder} is of kind {kind}; only drum and rhythm runs can be written for nn~.")
    return torch.jit.script(module.eval())


def compare_module(module: Any, graph: Graph, seed: int = 0) -> dict[str, Any]:
    """Compare a loaded nn~ module, fed in uneven buffers, with the float model as a whole in onnxruntime."""
    from quantize.feeds import FeedMaker
    from quantize.quality import snr_db
    from quantize.runtime import run_onnx

    maker = FeedMaker(graph, seed=seed)
    names = graph.input_names
    random = np.random.default_rng(seed)
    if graph.metadata["kind"] == "rhythm":
        feed = maker.make(0.0, 5)
        made = module.decode(torch.from_numpy(np.concatenate([feed[n][:, :, 0] for n in names], 1).T[None]))
        wanted = np.concatenate(
            [run_onnx(graph.to_model(), {n: v[k : k + 1] for n, v in feed.items()})[0] for k in range(5)], 2
        )
    else:
        frames, hop = 200, int(1 / input_rates(graph)["z"])
        feed = maker.make(frames * hop / 48_000, 1)
        from train.models.time_basis import TimeBasis

        constants = graph.metadata["time_basis"]["constants"]
        basis = TimeBasis(
            constants["window_s"],
            constants["fade_s"],
            tuple(constants["decays_s"]),
            tuple(constants["frequencies_hz"]),
        )
        feed["time"] = basis(torch.arange(frames)[None].double() * hop / 48_000).numpy()
        wanted = run_onnx(graph.to_model(), feed)[0]
        signal = np.concatenate([feed["z"], feed["knobs"], np.ones((1, 1, frames), np.float32)], 1)
        signal = np.repeat(signal, hop, 2)
        module.reset()
        parts, place = [], 0
        while place < signal.shape[2]:
            step = int(random.choice([1, 47, 512, 2048, 31]))
            parts.append(module.decode(torch.from_numpy(signal[:, :, place : place + step])).numpy())
            place += step
        made = torch.from_numpy(np.concatenate(parts, 2))
    return {
        "methods": list(module.get_methods()),
        "attributes": list(module.get_attributes()),
        "decode_inputs": list(module.decode_input_labels),
        "snr_db": snr_db(wanted, made.numpy()),
        "largest_difference": float(np.abs(wanted - made.numpy()).max()),
        "largest_output": float(np.abs(wanted).max()),
    }
