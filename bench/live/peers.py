"""The other runtimes on the same network and block: onnxruntime, LiteRT, torch eager, TorchScript.

Each gets the float network with explicit state (``bench.live.explicit_state``), one thread and noise made
beforehand, so that nobody computes anything twice; who is absent is named with the reason. onnxruntime is
called through its io-binding, with states that change places instead of being copied. LiteRT runs its
own float kernels (XNNPACK where its package carries it), fed in its own layout [1, 1, T, C].
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.live.explicit_state import torch_module, with_states
from bench.live.timing import timed
from bench.report.schema import Timing
from common import model_metadata
from common.refusal import Refusal

States = list[tuple[str, str, tuple[int, ...]]]
ToTflite = Callable[[Any], bytes]
Step = Callable[[], list[np.ndarray]]
NAMES = ("onnxruntime", "LiteRT", "torch eager", "TorchScript")


def measure_peers(
    path: Path, block: int, turns: int, rate: float, to_tflite: ToTflite | None
) -> tuple[dict[str, Timing], dict[str, str]]:
    """Time every runtime that is here and can run the network.

    Parameters
    ----------
    path : float model.
    block : samples per callback, whole frames of every input.
    turns : callbacks to time.
    rate : samples per second.
    to_tflite : writes a float ONNX model as TFLite.

    Returns
    -------
    rows by name, and reasons by the names of those absent.
    """
    try:
        model, states = with_states(path)
    except Refusal as refusal:
        return {}, dict.fromkeys(NAMES, str(refusal))
    feeds = fixed_feeds(model, path, block)
    rows: dict[str, Timing] = {}
    absent: dict[str, str] = {}
    makers: dict[str, Callable[[], Step]] = {
        "onnxruntime": lambda: onnxruntime_step(model, states, feeds),
        "LiteRT": lambda: litert_step(model, states, feeds, to_tflite),
        "torch eager": lambda: torch_step(model, states, feeds, scripted=False),
        "TorchScript": lambda: torch_step(model, states, feeds, scripted=True),
    }
    for name, make in makers.items():
        try:
            rows[name] = timed(make(), turns, block / rate)
        except ImportError:
            absent[name] = "it is not installed"
        except Exception as error:
            # a room's Refusal is bench's to print whichever room it comes from; anything else is a fault
            if not hasattr(error, "exit_status"):
                raise
            absent[name] = str(error)
    return rows, absent


def fixed_feeds(model: Any, path: Path, block: int) -> dict[str, np.ndarray]:
    """Noise for one block of every input that is no state; the model's symbolic lengths are set to it."""
    rng = np.random.default_rng(2)
    feeds = {}
    for port in model.graph.input:
        sizes = port.type.tensor_type.shape.dim
        if port.name.startswith("state_"):
            continue
        sizes[0].dim_value, sizes[2].dim_value = 1, max(1, block // _period(path, port.name))
        feeds[port.name] = rng.standard_normal([d.dim_value for d in sizes]).astype(np.float32)
    return feeds


def onnxruntime_step(model: Any, states: States, feeds: dict[str, np.ndarray]) -> Step:
    """One block in onnxruntime, one thread; `feeds` may be changed between calls."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    bound = Bound(session, states)

    def step() -> list[np.ndarray]:
        for name, value in feeds.items():
            np.copyto(bound.fed[name], value)
        bound.run()
        return list(bound.made.values())

    return step


class Bound:
    """A session of fixed shapes, bound to memory of its own: nothing is allocated or copied in a run.

    Each state has two places, which are read and written in turn.

    Attributes
    ----------
    fed, made : dict of str to ndarray
        Where inputs are read and outputs written, states left out.
    """

    def __init__(self, session: Any, states: States):
        self.session = session
        old = {before for before, _, _ in states}
        self.fed = {p.name: np.zeros(p.shape, np.float32) for p in session.get_inputs() if p.name not in old}
        self.places = {new: [np.zeros(shape, np.float32) for _ in range(2)] for _, new, shape in states}
        silence = {before: np.zeros(shape, np.float32) for before, _, shape in states}
        names = [p.name for p in session.get_outputs()]
        once = dict(zip(names, session.run(None, self.fed | silence), strict=True))  # tells all sizes
        self.made = {name: np.zeros_like(value) for name, value in once.items() if name not in self.places}
        bindings = []
        for turn in range(2):
            binding = session.io_binding()
            reads = self.fed | {before: self.places[new][turn] for before, new, _ in states}
            writes = self.made | {new: pair[1 - turn] for new, pair in self.places.items()}
            for name, array in reads.items():
                binding.bind_input(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            for name, array in writes.items():
                binding.bind_output(name, "cpu", 0, np.float32, array.shape, array.ctypes.data)
            bindings.append(binding)
        self._turns = itertools.cycle(bindings)

    def run(self) -> None:
        """Run one block."""
        self.session.run_with_iobinding(next(self._turns))


def litert_step(model: Any, states: States, feeds: dict[str, np.ndarray], to_tflite: ToTflite | None) -> Step:
    """One block in LiteRT, one thread; `feeds` and outputs are [1, C, T] as everywhere.

    Raises
    ------
    Refusal
        Nobody gave `to_tflite`, or it refused the network.
    """
    if to_tflite is None:
        raise Refusal("no TFLite writer was given; `vaectrol bench` gives quantize's")
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_content=to_tflite(model), num_threads=1)
    interpreter.allocate_tensors()
    names_in = [port.name for port in model.graph.input]
    names_out = [port.name for port in model.graph.output]
    into = {n: d["index"] for n, d in zip(names_in, interpreter.get_input_details(), strict=True)}
    out = {n: d["index"] for n, d in zip(names_out, interpreter.get_output_details(), strict=True)}
    held = {old: np.zeros(interpreter.get_tensor(into[old]).shape, np.float32) for old, _, _ in states}
    heard = names_out[: len(names_out) - len(states)]

    def step() -> list[np.ndarray]:
        for name, value in feeds.items():
            interpreter.set_tensor(into[name], value.transpose(0, 2, 1)[:, None])
        for name, value in held.items():
            interpreter.set_tensor(into[name], value)
        interpreter.invoke()
        held.update({old: interpreter.get_tensor(out[new]) for old, new, _ in states})
        return [interpreter.get_tensor(out[name])[:, 0].transpose(0, 2, 1) for name in heard]

    return step


def torch_step(model: Any, states: States, feeds: dict[str, np.ndarray], *, scripted: bool) -> Step:
    """One block in torch, eager or traced and frozen, one thread."""
    import torch

    torch.set_num_threads(1)
    network = torch_module(model, states)
    heard = len(model.graph.output) - len(states)
    held = [torch.zeros(shape) for _, _, shape in states]
    if scripted:
        example = (*(torch.from_numpy(value) for value in feeds.values()), *held)
        with torch.inference_mode():
            network = torch.jit.freeze(torch.jit.trace(network, example, check_trace=False))

    def step() -> list[np.ndarray]:
        with torch.inference_mode():
            made = network(*(torch.from_numpy(value) for value in feeds.values()), *held)
        held[:] = made[heard:]
        return [value.numpy() for value in made[:heard]]

    return step


def _period(path: Path, name: str) -> int:
    """Samples per frame of an input, from the model file's metadata; 1 where it does not say."""
    spec = model_metadata.read_file(path).input(name)
    rate = spec.frames_per_sample if spec else None
    return int(1 / rate) if rate else 1
