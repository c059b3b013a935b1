"""From a run to a TorchScript file for nn~: trace encoder and decoder, put them into a module, compare.

What the modules do is in :mod:`quantize.formats.nn_tilde`.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
import torch
from torch import Tensor, nn

from common.audio import SAMPLE_RATE_HZ
from common.model_metadata import TensorSpec
from common.refusal import Refusal
from quantize.formats.nn_tilde.modules import DriveModule, DrumModule, NnModule, PatternModule
from quantize.formats.nn_tilde.prior import PriorModule
from quantize.graph.channels import TRACE_FRAMES as SHAPE_FRAMES
from quantize.graph.channels import example_feeds, trace_shapes
from quantize.graph.graph import Graph, Node
from quantize.graph.network import Network, Values
from quantize.operators import form_of, known

TRACE_FRAMES = 64
PROBE_FRAMES = 512
COMPARED_FRAMES = 200
HEARD_FRAMES = 24


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


def _is_counted(node: Node) -> bool:
    record = known(node)
    return record is not None and record.counted


class _CountedNetwork(Network):
    """A float network whose noise goes on after `start` frames of the slowest input."""

    start: Tensor

    def __init__(self, graph: Graph):
        super().__init__(graph)
        shapes = trace_shapes(graph)
        noises = [node.outputs[0] for node in graph.nodes if _is_counted(node)]
        self.per_frame = {name: shapes[name][-1] // SHAPE_FRAMES for name in noises}

    def execute(self, node: Node, values: Values) -> tuple[Any, ...]:
        if _is_counted(node):
            start = self.start * self.per_frame[node.outputs[0]]
            return (form_of(node)(node, [values[node.inputs[0]], start]),)
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
    frames = TRACE_FRAMES if any(graph.input_rates.values()) else 1
    feeds = {n: torch.from_numpy(v) for n, v in example_feeds(graph, frames).items()}
    inputs = [0.1 * torch.randn(v.shape, generator=torch.Generator().manual_seed(1)) for v in feeds.values()]
    start = torch.zeros((), dtype=torch.int64)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter(
            "ignore"
        )  # of Python numbers in the trace: shapes of constants, which are constant
        return torch.jit.trace(module, (inputs, start), check_trace=False)


def played(graph: Graph) -> tuple[str, dict[str, TensorSpec]]:
    """Tell how a decoder is played, by what its inputs and outputs are for.

    Returns
    -------
    how : str
        "struck" (latents and classes in, a whole sound out), "sent through" (sound and latents in),
        "patterns" (latents and attributes in, patterns out), "gone on in" (a prior), or nothing that nn~
        has a module for.
    inputs : dict
        Its inputs, by role.
    """
    about = graph.about
    inputs = {spec.role: spec for spec in about.inputs}
    roles, out = set(inputs), about.outputs[0].role if about.outputs else ""
    if roles == {"latent", "class"} and out == "audio":
        return "struck", inputs
    if roles == {"audio", "latent"} and out == "audio":
        return "sent through", inputs
    if roles == {"latent", "attribute"} and out == "pattern":
        return "patterns", inputs
    if roles == {"latent", "state"}:
        return "gone on in", inputs
    return "", inputs


def module_of_run(folder: Path, graph: Graph) -> Any:
    """Build the nn~ module of a run, with the given decoder graph (pruned or not) and the run's encoder.

    Raises
    ------
    Refusal
        For decoders that are played in a way that nn~ has no module for.
    """
    from train.run import load_run

    run = load_run(folder)
    how, inputs = played(graph)
    if not how:
        raise Refusal(
            f"{folder} is of kind {run.recipe.kind}; nn~ can be given decoders that are struck, that sound "
            "is sent through, or that make patterns."
        )
    latent = inputs["latent"].channels
    encoder_ports, _ = run.task.encoder_ports()
    port = encoder_ports[0]
    example = 0.1 * torch.randn(1, len(port.channels), port.length)
    with torch.no_grad():
        encoder = torch.jit.trace(_Mean(run.model.encoder).eval(), (example,), check_trace=False)  # type: ignore[arg-type]
    decoder = trace_decoder(graph)
    if how == "struck":
        knobs = inputs["class"].channels
        module: NnModule = DrumModule(
            decoder, encoder, latent, knobs, sum(k.startswith("class:") for k in knobs), port.length
        )
    elif how == "patterns":
        module = PatternModule(
            decoder,
            encoder,
            latent,
            inputs["attribute"].channels,
            graph.about.outputs[0].channels,
        )
    else:
        tables = [row.quantiles for row in graph.about.latents]
        middle = [float(np.median(table)) for table in tables] or [0.0] * len(latent)
        hop = int(1 / graph.input_rates[inputs["latent"].name])
        module = DriveModule(decoder, encoder, frames_looked_back(graph), latent, middle, hop, port.length)
    return torch.jit.script(module.eval())


class _Answers(nn.Module):
    """All outputs of a float graph, by its inputs in their order."""

    def __init__(self, graph: Graph):
        super().__init__()
        self.network = Network(graph)
        self.names, self.outputs = graph.input_names, graph.output_names
        self.network.requires_grad_(False)

    def forward(self, *inputs: Tensor) -> tuple[Tensor, ...]:
        """Run it."""
        found = self.network(dict(zip(self.names, inputs, strict=True)))
        return tuple(found[name] for name in self.outputs)


def module_of_prior(source: Path, graph: Graph) -> Any:
    """Build the nn~ module of a prior's run or model file.

    Raises
    ------
    Refusal
        When it does not say how long a frame of the latents is.
    """
    about = graph.about
    _, inputs = played(graph)
    latent, state = inputs["latent"], inputs["state"]
    tied = about.prior
    assert tied is not None
    if not about.recipe.get("every") or tied.ticks % int(about.recipe["every"]):
        raise Refusal(
            f"{source} does not say how many frames of the latents one of its own is; train it again."
        )
    example = torch.zeros(1, len(latent.channels), 1), torch.zeros(1, len(state.channels), 1)
    with torch.no_grad(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.trace(_Answers(graph).eval(), example, check_trace=False)
    hop = tied.ticks // int(about.recipe["every"])
    return torch.jit.script(
        PriorModule(network, list(latent.channels), len(state.channels), tied, hop).eval()
    )


class ModuleComparison(TypedDict):
    """What a module for nn~ offers, and how near it is to the float model."""

    methods: list[str]
    attributes: list[str]
    decode_inputs: list[str]
    snr_db: float
    largest_difference: float
    largest_output: float


def compare_module(module: Any, graph: Graph, seed: int = 0) -> ModuleComparison:
    """Compare a loaded nn~ module, fed in uneven buffers, with the float model as a whole in onnxruntime."""
    from quantize.data.quality import snr_db

    answers = {
        "patterns": _patterns_both_ways,
        "sent through": _sent_both_ways,
        "struck": _struck_both_ways,
        "gone on in": _heard_both_ways,
    }
    how, inputs = played(graph)
    names = {role: spec.name for role, spec in inputs.items()}
    wanted, made = answers[how](module, graph, names, seed)
    methods = list(module.get_methods())
    named = "decode" if "decode" in methods else methods[0]
    return {
        "methods": methods,
        "attributes": list(module.get_attributes()),
        "decode_inputs": list(getattr(module, f"{named}_input_labels")),
        "snr_db": snr_db(wanted, made),
        "largest_difference": float(np.abs(wanted - made).max()),
        "largest_output": float(np.abs(wanted).max()),
    }


def _patterns_both_ways(
    module: Any, graph: Graph, names: dict[str, str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Five patterns [1, 27, 160] by onnxruntime and by the module."""
    from quantize.data.feeds import FeedMaker
    from quantize.graph.runtime import run_onnx

    feed = FeedMaker(graph, seed=seed).make(0.0, 5)
    controls = np.concatenate([feed[n][:, :, 0] for n in graph.input_names], 1)
    made = module.decode(torch.from_numpy(controls.T[None])).numpy()
    singles = [{n: v[k : k + 1] for n, v in feed.items()} for k in range(5)]
    return np.concatenate([run_onnx(graph.to_model(), one)[0] for one in singles], 2), made


def _struck_both_ways(
    module: Any, graph: Graph, names: dict[str, str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """A hit [1, 1, S] by onnxruntime as a whole and by the module in uneven buffers."""
    from quantize.data.feeds import FeedMaker
    from quantize.graph.runtime import run_onnx

    feed = FeedMaker(graph, seed=seed).make(0.0, 1)
    wanted = run_onnx(graph.to_model(), feed)[0]
    gate = np.ones((1, 1, 1), np.float32)
    controls = np.concatenate([feed[names["latent"]], feed[names["class"]], gate], 1)
    return wanted, _in_uneven_buffers(module, np.repeat(controls, wanted.shape[2], 2), seed)


def _sent_both_ways(
    module: Any, graph: Graph, names: dict[str, str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Distorted noise [1, 1, S] by onnxruntime as a whole and by the module in uneven buffers."""
    from quantize.data.feeds import FeedMaker
    from quantize.graph.runtime import run_onnx

    hop = int(1 / graph.input_rates[names["latent"]])
    noise = 0.1 * np.random.default_rng(seed).standard_normal(COMPARED_FRAMES * hop).astype(np.float32)
    feed = FeedMaker(graph, [noise], seed).make(COMPARED_FRAMES * hop / SAMPLE_RATE_HZ, 1)
    signal = np.concatenate([feed[names["audio"]], np.repeat(feed[names["latent"]], hop, 2)], 1)
    return run_onnx(graph.to_model(), feed)[0], _in_uneven_buffers(module, signal, seed)


def _heard_both_ways(
    module: Any, graph: Graph, names: dict[str, str], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """What a prior remembers ``[N, H]`` of latents that it listens to, by onnxruntime and by the module."""
    from quantize.graph.runtime import run_onnx

    random = np.random.default_rng(seed)
    count, every = len(graph.about.latents), int(graph.about.recipe["every"])
    heard = 0.5 * random.standard_normal((HEARD_FRAMES, count)).astype(np.float32)
    told = np.repeat(np.concatenate([np.ones((HEARD_FRAMES, 2), np.float32), heard], 1), every, 0)
    module.reset()
    state = np.zeros_like(module.held.numpy())
    wanted, made = [], []
    before = np.zeros(count, np.float32)
    model = graph.to_model()
    for n, frame in enumerate(heard):
        module.prior(torch.from_numpy(told[n * every : (n + 1) * every].T[None].copy()))
        if n:
            *_, state = run_onnx(model, {names["latent"]: before[None, :, None], names["state"]: state})
            before = frame
        wanted.append(state.copy())
        made.append(module.held.numpy().copy())
    return np.concatenate(wanted), np.concatenate(made)


def _in_uneven_buffers(module: Any, signal: np.ndarray, seed: int) -> np.ndarray:
    """What ``decode`` gives of a signal [1, C, S] that is handed over in buffers of any length."""
    random = np.random.default_rng(seed)
    module.reset()
    parts, place = [], 0
    while place < signal.shape[2]:
        step = int(random.choice([1, 47, 512, 2048, 31]))
        parts.append(module.decode(torch.from_numpy(signal[:, :, place : place + step])).numpy())
        place += step
    return np.concatenate(parts, 2)
