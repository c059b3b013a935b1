"""From a torch module to the model file (docs/design.md#model-file): ONNX, checked in onnxruntime."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from torch import nn

from common import model_metadata
from common.files import whole
from common.refusal import Refusal
from train.export import domain_functions

OPSET = 21
FORMAT = 1
TOLERANCE = 1e-4
NUDGE = 2.0**-23  # relative: about the last bit of a float32
NUDGES_FORGIVEN = 8


@dataclass(frozen=True)
class Port:
    """An input or output of a model file.

    Attributes
    ----------
    name : str
        Tensor name.
    role : str
        latent, attribute, class, time, audio, pattern, condition.
    rate : str
        Fraction of the sample rate ("1/48"), or "event".
    channels : tuple of str
        One name per channel.
    low, high : float
        Range of values.
    length : int
        Fixed length along time for event ports; streaming ports have a symbolic one.
    """

    name: str
    role: str
    rate: str
    channels: tuple[str, ...]
    low: float
    high: float
    length: int = 1

    @property
    def ticks(self) -> int:
        """Samples per frame; 0 for events."""
        return 0 if self.rate == "event" else int(self.rate.rpartition("/")[2])

    def describe(self) -> dict[str, Any]:
        """As it stands in the metadata."""
        return {
            "name": self.name,
            "role": self.role,
            "rate": self.rate,
            "range": [self.low, self.high],
            "channels": list(self.channels),
        }


def export_module(
    module: nn.Module,
    inputs: list[Port],
    outputs: list[Port],
    metadata: dict[str, Any],
    path: Path,
) -> onnx.ModelProto:
    """Write ``module`` as ONNX and prove that onnxruntime computes the same.

    Parameters
    ----------
    module : nn.Module
        Takes one tensor [1, C, T] per input port, in order; returns one tensor or a tuple.
    inputs, outputs : list of Port
        What it takes and gives.
    metadata : dict
        Keys as in `common.model_metadata`; values are written as JSON.
    path : Path
        Written whole or not at all.

    Raises
    ------
    Refusal
        When onnxruntime and torch differ by more than 1e-4 of the largest output.
    """
    training = module.training
    module.eval()
    try:
        model = _trace(module, inputs, outputs)
        domain_functions.attach(model)
        model_metadata.write(
            model,
            {
                "format": FORMAT,
                **metadata,
                "inputs": [p.describe() for p in inputs],
                "outputs": [p.describe() for p in outputs],
            },
        )
        onnx.checker.check_model(model, full_check=True)
        difference = compare(module, model, inputs, outputs)
    finally:
        module.train(training)
    if difference > TOLERANCE:
        raise Refusal(
            f"the exported {path.name} differs from torch by {difference:.1e} of full scale where "
            f"{TOLERANCE:g} is allowed; report it with the recipe"
        )
    with whole(path) as part:
        part.write_bytes(model.SerializeToString())
    return model


def example_inputs(inputs: list[Port], base: int, generator: torch.Generator) -> list[torch.Tensor]:
    """Random inputs within the ports' ranges; streaming ports get ``base`` samples' worth of frames."""
    feeds = []
    for port in inputs:
        frames = base // port.ticks if port.ticks else port.length
        unit = torch.rand(1, len(port.channels), frames, generator=generator)
        feeds.append(port.low + (port.high - port.low) * unit)
    return feeds


def common_ticks(ports: list[Port]) -> int:
    """Samples in which every streaming port has whole frames."""
    return int(np.lcm.reduce([p.ticks for p in ports if p.ticks] or [1]))


def compare(
    module: nn.Module, model: onnx.ModelProto, inputs: list[Port], outputs: list[Port], trials: int = 3
) -> float:
    """Largest difference between torch and onnxruntime on random inputs of random lengths, relative.

    Rounding is not a difference: a mode at 14 kHz turns 28,000 times in two seconds, so the last bit of a
    network's answer moves its phase by more than any fixed tolerance. What a nudge of the inputs by their
    last bit moves is therefore forgiven, eight times over.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    generator = torch.Generator().manual_seed(1)
    ticks = common_ticks([*inputs, *outputs])
    worst = 0.0
    for _ in range(trials):
        base = ticks * int(torch.randint(20, 220, (), generator=generator))
        feeds = example_inputs(inputs, base, generator)
        nudged = [f * (1 + NUDGE * torch.randint(-1, 2, f.shape, generator=generator)) for f in feeds]
        with torch.no_grad():
            ours, moved = (as_tuple(module(*given)) for given in (feeds, nudged))
        theirs = session.run(None, {p.name: f.numpy() for p, f in zip(inputs, feeds, strict=True)})
        for a, near, b in zip(ours, moved, theirs, strict=True):
            reference = a.numpy()
            rounding = NUDGES_FORGIVEN * float(np.abs(reference - near.numpy()).max())
            if reference.shape != b.shape:
                raise Refusal(f"onnxruntime gives shape {b.shape} where torch gives {reference.shape}")
            difference = max(0.0, float(np.abs(reference - b).max()) - rounding)
            worst = max(worst, difference / max(1.0, float(np.abs(reference).max())))
    return worst


def as_tuple(result: torch.Tensor | tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """What a module with one output or several returned."""
    return result if isinstance(result, tuple) else (result,)


@cache
def _read_translations_once() -> None:
    """Let torch keep its table of translations, which it would parse anew for every export.

    That was more than half of a small network's export. Where torch is built otherwise, nothing changes.
    """
    try:
        from torch.onnx._internal.exporter._registration import ONNXRegistry

        parse = ONNXRegistry.from_torchlib
    except (ImportError, AttributeError):
        return
    setattr(ONNXRegistry, "from_torchlib", staticmethod(cache(parse)))  # noqa: B010


def _trace(module: nn.Module, inputs: list[Port], outputs: list[Port]) -> onnx.ModelProto:
    """Run torch's exporter, then tidy its graph."""
    ticks = common_ticks([*inputs, *outputs])
    feeds = example_inputs(inputs, ticks * 24, torch.Generator().manual_seed(0))
    names = {t: "frames" if t > 1 else "samples" for t in {p.ticks for p in inputs if p.ticks}}
    coarse = max((p.ticks for p in (*inputs, *outputs)), default=0)
    if names and {*names} != {coarse}:
        # Two rates: the finer axis is a multiple of the coarser, which torch.export states as k·frames. The
        # coarser one may be an output's: an encoder hears whole hops.
        frames = torch.export.Dim("frames", min=1)
        axes = {t: frames if t == coarse else (coarse // t) * frames for t in names}
        dynamic: Any = tuple({2: axes[p.ticks]} if p.ticks else {} for p in inputs)
    else:
        dynamic = tuple({2: names[p.ticks]} if p.ticks else {} for p in inputs)
    _read_translations_once()
    quiet = logging.getLogger("torch.onnx")
    level = quiet.level
    quiet.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                module,
                tuple(feeds),
                input_names=[p.name for p in inputs],
                output_names=[p.name for p in outputs],
                dynamic_shapes=dynamic if any(dynamic) else None,
                opset_version=OPSET,
                dynamo=True,
                external_data=False,
            )
    finally:
        quiet.setLevel(level)
    assert program is not None
    _free_names(program.model.graph)
    model = program.model_proto
    _crop_into_pads(model.graph)
    _strip(model)
    return model


def _free_names(graph: Any) -> None:
    """Rename inner values that bear an output's name: the exporter calls a mean ``mean``."""
    outputs = {value.name for value in graph.outputs}
    for node in graph:
        for value in node.outputs:
            if value.name in outputs and not any(value is output for output in graph.outputs):
                value.name = f"inner_{value.name}"


def _crop_into_pads(graph: onnx.GraphProto) -> None:
    """Turn ConvTranspose followed by a Slice of its tail into the operator's own ``pads``."""
    constants = {i.name: onnx.numpy_helper.to_array(i) for i in graph.initializer}
    producers = {n.output[0]: n for n in graph.node}
    uses: dict[str, int] = {}
    for node in graph.node:
        for name in node.input:
            uses[name] = uses.get(name, 0) + 1
    for node in list(graph.node):
        if node.op_type != "Slice" or len(node.input) < 4:
            continue
        source = producers.get(node.input[0])
        if source is None or source.op_type != "ConvTranspose" or uses[source.output[0]] != 1:
            continue
        begin, end, axis = (constants.get(node.input[i]) for i in (1, 2, 3))
        if begin is None or end is None or axis is None:
            continue
        if list(begin) != [0] or list(axis) != [2] or len(end) != 1 or end[0] >= 0:
            continue
        pads = next(a for a in source.attribute if a.name == "pads")
        pads.ints[:] = [0, int(-end[0])]
        source.output[0] = node.output[0]
        graph.node.remove(node)
    used = {name for n in graph.node for name in n.input} | {o.name for o in graph.output}
    for initializer in list(graph.initializer):
        if initializer.name not in used:
            graph.initializer.remove(initializer)
    for value in list(graph.value_info):
        if not any(value.name in n.output for n in graph.node):
            graph.value_info.remove(value)


def _strip(model: onnx.ModelProto) -> None:
    """Remove the exporter's own notes: they name source lines of the machine it ran on."""
    for item in (
        model,
        model.graph,
        *model.graph.node,
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
        *model.graph.value_info,
    ):
        del item.metadata_props[:]
        item.doc_string = ""
    model.producer_name, model.producer_version = "vaectrol", ""
