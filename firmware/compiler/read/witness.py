"""The outside witness of a reading: ONNX's own shapes, and onnxruntime's numbers, before any C is written.

The numpy judge and the C share one reader, so that they agree on a misreading too. Here the graph as it was
read is held to what ONNX infers of every tensor's shape and to what onnxruntime computes from a seeded
signal at several lengths; where onnxruntime lacks an operator, the evaluator that comes with ONNX speaks. The
graph after all passes, in integers where the file says so, is held to the same numbers more loosely.
"""

from __future__ import annotations

import copy
import hashlib
import math
import pickle
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
import onnx

from common.refusal import Refusal
from firmware.compiler.graph import Constant, Graph, Node
from firmware.compiler.judge.reference import trace
from firmware.compiler.ops.base import FAMILIES
from firmware.compiler.read.load import Reading
from firmware.compiler.read.values import ActValue, Dim, Frames, moved
from firmware.compiler.report import WitnessReport

SEED = 20
LEAST_FRAMES = 8
"""Shortest signal on the slowest input, unless the model needs a longer one."""
MOST_ELEMENTS = 1 << 22
"""Elements of all activations of a run; a longer signal is not tried."""
TOLERANCE = {"float32": 1e-4, "float16": 2e-2}
"""Part of a tensor's peak by which sums in another order may differ."""
READ_RMS, READ_STEPS = 0.01, 1.0
"""Part of an output's RMS, or steps of it, by which roundings at a tie may differ between two readings."""
PASSED_RMS, PASSED_STEPS = 0.03, 2.0
"""The same where sums are requantized in integers: each by up to a step of its own."""
TURNING = "HitSound"
"""The operator whose phases turn so often that a step of what goes in changes all that comes out."""
OWN_ERROR = 2.0**-23
"""What the witness may be off itself: onnxruntime's sigmoid of −12.8 is up to 7e-8 off, 2.4 % of it."""
NUDGE = 2.0**-21
"""Relative change of the inputs that says how much a network makes of float32's own rounding."""


def unheard(reason: str) -> WitnessReport:
    """Say that there was no witness, and why."""
    return {"by": "", "frames": [], "largest_difference": 0.0, "unheard": reason}


class _CannotRun(Exception):
    """A witness lacks an operator."""


_HELD: dict[bytes, WitnessReport] = {}
"""What was said of a file, its reading and its passes, by their digest: a process builds for many boards."""


def hold_to_witness(reading: Reading, optimised: Graph) -> WitnessReport:
    """Compare a reading with an outside witness; the same once more, in one process, is not compared again.

    Parameters
    ----------
    reading : Reading
        The file, and the graph that was read from it.
    optimised : Graph
        The same after all passes.

    Returns
    -------
    WitnessReport

    Raises
    ------
    Refusal
        With the first tensor that differs, or with what the witness says against the file.
    """
    same = _digest(reading, optimised)
    if same not in _HELD:
        _HELD[same] = _held(reading, optimised)
    return copy.deepcopy(_HELD[same])


def _digest(reading: Reading, optimised: Graph) -> bytes:
    """SHA-256 of all that the comparison looks at; what a graph is called is nothing to it."""
    digest = hashlib.sha256(reading.model.SerializeToString(deterministic=True))
    for graph in (reading.graph, optimised):
        digest.update(pickle.dumps(replace(graph, name="")))
    return digest.digest()


def _held(reading: Reading, optimised: Graph) -> WitnessReport:
    doubts = _doubts(reading)
    try:
        witness, by = _open(reading)
    except _CannotRun as reason:
        return _unheard(reason, doubts)
    frames: list[int] = []
    largest = 0.0
    problem = ""
    for ticks in _lengths(reading.graph):
        feeds = _feeds(reading, ticks)
        try:
            wanted = witness(feeds)
        except _CannotRun as reason:
            return _unheard(reason, doubts)
        except Exception as error:
            problem = _line(error)
            if frames:
                break
            continue  # too short a signal for its windows, perhaps
        if any(v.size == 0 for v in wanted.values()):
            problem = "its output is empty"
            continue
        if doubts:
            _settle(reading, doubts, feeds)
            doubts = {}
        largest = max(largest, _compare(reading, feeds, wanted, witness))
        _compare_passed(reading, optimised, feeds, wanted)
        frames.append(next(iter(feeds.values())).shape[-1])
        if len(frames) == 3 or reading.graph.event:
            break
    if not frames:
        raise Refusal(f"{by} does not run this model ({problem}); check it there, or export it again.")
    return {"by": by, "frames": frames, "largest_difference": largest, "unheard": ""}


def _unheard(reason: _CannotRun, doubts: dict[str, str]) -> WitnessReport:
    """Say that there was no witness; where ONNX doubts a shape, nobody is left to settle it."""
    for doubt in doubts.values():
        raise Refusal(doubt)
    return unheard(str(reason))


# ---- what is fed ---------------------------------------------------------------------------------------


def _lengths(graph: Graph) -> Iterable[int]:
    """Ticks to try: whole frames of every rate, from a few on."""
    if graph.event:
        yield 0
        return
    rates = [t.rate for t in graph.tensors.values() if t.rate is not None]
    hop = math.lcm(*(r.denominator for r in rates))
    slowest = min(graph.tensors[n].rate or Fraction(1) for n in graph.inputs)
    first = max(1, math.ceil(LEAST_FRAMES / (slowest * hop)))
    elements = float(sum(t.channels * (t.rate or 1) for t in graph.tensors.values())) * hop
    factors = (first, first + 1, 2 * first + 1, *(first << k for k in range(2, 14)))
    yield from (f * hop for f in factors if f == first or f * elements <= MOST_ELEMENTS)


def _feeds(reading: Reading, ticks: int) -> dict[str, np.ndarray]:
    """Draw a signal for every input: within its declared range, or of unit variance."""
    rng = np.random.default_rng(SEED + ticks)
    declared = {spec.name: spec for spec in reading.graph.about.inputs}
    found = {}
    for value in reading.model.graph.input:
        act = reading.values.get(value.name)
        if not isinstance(act, ActValue) or act.base not in reading.graph.inputs:
            continue
        rate = reading.graph.tensors[act.base].rate
        shape = [int(d) if isinstance(d, int) else int((rate or 1) * ticks) for d in act.shape]
        dtype = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        spec = declared.get(value.name)
        if spec is not None and spec.range is not None:
            drawn = rng.uniform(*spec.limits, shape)
        else:
            drawn = rng.standard_normal(shape)
        found[value.name] = drawn.astype(dtype)
    return found


# ---- who speaks ----------------------------------------------------------------------------------------

Witness = Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]]


def _open(reading: Reading, model: onnx.ModelProto | None = None) -> tuple[Witness, str]:
    """Open onnxruntime, or ONNX's evaluator where it lacks an operator."""
    try:
        import onnxruntime as ort
    except ImportError:
        return _evaluator(reading, model, "onnxruntime is not installed")
    options = ort.SessionOptions()
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.intra_op_num_threads = 1
    options.log_severity_level = 4
    source: Any = model or reading.source
    if isinstance(source, onnx.ModelProto):
        source = source.SerializeToString()
    try:
        session = ort.InferenceSession(source, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if _lacks(error):
            return _evaluator(reading, model, _line(error))
        raise Refusal(f"onnxruntime does not open this model ({_line(error)}); export it again.") from None
    names = [o.name for o in session.get_outputs()]

    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        try:
            return dict(zip(names, session.run(None, feeds), strict=True))
        except Exception as error:
            if _lacks(error):
                raise _CannotRun(f"onnxruntime: {_line(error)}") from None
            raise

    return run, f"onnxruntime {ort.__version__}"


def _evaluator(reading: Reading, model: onnx.ModelProto | None, reason: str) -> tuple[Witness, str]:
    """Open the evaluator that comes with ONNX."""
    from onnx.reference import ReferenceEvaluator

    try:
        evaluator = ReferenceEvaluator(model or reading.whole())
    except Exception as error:
        raise _CannotRun(f"neither onnxruntime ({reason}) nor onnx ({_line(error)}) runs it") from None

    def run(feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        with np.errstate(all="ignore"):
            found = evaluator.run(None, feeds)
        return {n: np.asarray(v) for n, v in zip(evaluator.output_names, found, strict=True)}

    return run, f"onnx {onnx.__version__}"


def _lacks(error: Exception) -> bool:
    """Whether onnxruntime merely has no such operator, type or opset."""
    said = str(error)
    return type(error).__name__ == "NotImplemented" or any(
        words in said
        for words in (
            "NOT_IMPLEMENTED",
            "is not a registered function/op",
            "Current official support for domain",
            "Could not find an implementation",
            "not supported",
            "Unsupported model IR version",
        )
    )


def _line(error: Exception) -> str:
    """What a library says, in one line: onnxruntime's code in front and its places in C++ are left out."""
    text = re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", str(error).strip())
    lines = [line.strip() for line in text.splitlines() if line.strip()] or [type(error).__name__]
    head, found, _ = lines[0].partition(" Status Message:")
    if found and len(lines) > 1:
        head = f"{head} {lines[-1]}"
    return head.rstrip(".")[:240]


# ---- shapes --------------------------------------------------------------------------------------------


def _doubts(reading: Reading) -> dict[str, str]:
    """List the tensors of which ONNX infers another rank or another known size, each with a sentence."""
    model = onnx.ModelProto()
    model.CopyFrom(reading.model)
    del model.graph.value_info[:]  # what the file claims itself is no witness
    for value in model.graph.output:
        value.type.tensor_type.ClearField("shape")
    try:
        graph = onnx.shape_inference.infer_shapes(model).graph
    except Exception as error:
        raise Refusal(f"ONNX finds no shapes for this model ({_line(error)}); export it again.") from None
    inputs = {value.name for value in graph.input}
    found = {}
    for value in (*graph.value_info, *graph.output):
        act, kind = reading.values.get(value.name), value.type.tensor_type
        if not isinstance(act, ActValue) or not kind.HasField("shape") or value.name in inputs:
            continue
        sizes = [d.dim_value if d.HasField("dim_value") else None for d in kind.shape.dim]
        if not _fits(sizes, act.shape):
            shown = [d.dim_value or d.dim_param or "?" for d in kind.shape.dim]
            found[value.name] = (
                f"tensor {value.name!r}: it is read as {_text(act.shape)}, and ONNX infers "
                f"[{', '.join(str(s) for s in shown)}]; export the model again, or report this file."
            )
    return found


def _fits(sizes: Sequence[int | None], shape: tuple[Dim, ...]) -> bool:
    """Whether known sizes are those of a shape."""
    return len(sizes) == len(shape) and all(
        size is None or not isinstance(dim, int) or size == dim
        for size, dim in zip(sizes, shape, strict=True)
    )


def _settle(reading: Reading, doubts: dict[str, str], feeds: dict[str, np.ndarray]) -> None:
    """Ask the witness itself for these shapes: ONNX infers some wrongly (Squeeze of unsorted axes).

    Raises
    ------
    Refusal
        With the first that the witness has otherwise too, or does not tell.
    """
    try:
        told = _open(reading, _telling(reading, doubts))[0](feeds)
    except Exception:
        told = {}
    for name, doubt in doubts.items():
        act = reading.values[name]
        assert isinstance(act, ActValue)
        if name not in told or not _fits(told[name].shape, act.shape):
            raise Refusal(doubt)


def _telling(reading: Reading, names: Iterable[str]) -> onnx.ModelProto:
    """Return the whole model with these tensors among its outputs."""
    model = onnx.ModelProto.FromString(reading.whole().SerializeToString())
    there = {value.name for value in model.graph.output}
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in names if n not in there)
    return model


def _text(shape: tuple[Dim, ...]) -> str:
    return "[" + ", ".join(str(d) if isinstance(d, int) else "frames" for d in shape) + "]"


# ---- numbers -------------------------------------------------------------------------------------------


def _compare(
    reading: Reading, feeds: dict[str, np.ndarray], wanted: dict[str, np.ndarray], witness: Witness
) -> float:
    """Hold the reading's outputs to the witness; return the largest difference relative to a peak."""
    graph = reading.graph
    values = trace(graph, feeds)
    largest = 0.0
    slack: dict[str, float] | None = None
    for name in graph.outputs:
        label = graph.labels.get(name, name)
        got = _in_type(graph, name, values[name], wanted[label].dtype)
        want = np.asarray(wanted[label], np.float64)
        off = _off(got, want)
        allowed = _tolerance(reading)
        if off is not None and off > allowed:
            slack = _slack(feeds, wanted, witness) if slack is None else slack
            allowed += slack[label]
        if off is None or (off > allowed and not _rounds_alike(graph, name, got, want, READ_RMS, READ_STEPS)):
            raise Refusal(_first_that_differs(reading, feeds, values) or _said(label, "an output", got, want))
        largest = max(largest, off)
    return largest


def _rounds_alike(
    graph: Graph, name: str, got: np.ndarray, want: np.ndarray, part: float, steps: float
) -> bool:
    """Whether two results of integers differ by their rounding alone."""
    if all(tensor.quant is None for tensor in graph.tensors.values()):
        return False
    got, want = got.reshape(-1), want.reshape(-1)
    finite = np.isfinite(want)
    error, size = (float(np.sqrt(np.mean(v[finite] ** 2))) for v in (got - want, want))
    return error <= part * size + steps * _step(graph, name)


def _in_type(graph: Graph, name: str, value: np.ndarray, kind: np.dtype) -> np.ndarray:
    """Integers as the file has them; their zero point was folded into their bounds."""
    quant = graph.tensors[name].quant
    zero = np.iinfo(kind).min - quant.low if quant is not None and kind.kind in "iu" else 0
    return np.asarray(value, np.float64) + zero


def _off(got: np.ndarray, want: np.ndarray) -> float | None:
    """Largest difference relative to the peak, of what is finite; None where the sizes differ."""
    if got.size != want.size:
        return None
    got, want = got.reshape(-1), want.reshape(-1)
    finite = np.isfinite(want)
    if not np.any(finite):
        return 0.0
    peak = max(float(np.abs(want[finite]).max()), 1e-6)
    off = np.maximum(np.abs(got[finite] - want[finite]) - OWN_ERROR, 0.0)
    return float(np.where(np.isfinite(off), off, np.inf).max()) / peak


def _tolerance(reading: Reading) -> float:
    """How far sums in another order may differ."""
    half = onnx.TensorProto.FLOAT16
    narrow = any(t.data_type == half for t in reading.model.graph.initializer) or any(
        v.type.tensor_type.elem_type == half for v in reading.model.graph.input
    )
    return TOLERANCE["float16" if narrow else "float32"]


def _slack(feeds: dict[str, np.ndarray], wanted: dict[str, np.ndarray], witness: Witness) -> dict[str, float]:
    """What the witness itself makes of inputs that differ by a rounding: by how much its outputs move."""
    found = dict.fromkeys(wanted, 0.0)
    rng = np.random.default_rng(SEED)
    for _ in range(3):
        nudged = {
            n: (v * (1 + NUDGE * rng.uniform(-1, 1, v.shape))).astype(v.dtype) for n, v in feeds.items()
        }
        for name, value in witness(nudged).items():
            off = _off(np.asarray(value, np.float64), np.asarray(wanted[name], np.float64))
            found[name] = max(found[name], 8 * (off or 0.0))
    return found


def _compare_passed(
    reading: Reading, optimised: Graph, feeds: dict[str, np.ndarray], wanted: dict[str, np.ndarray]
) -> None:
    """Hold the graph after all passes to the same numbers, as closely as its integers can be."""
    integers = any(t.quant is not None for t in optimised.tensors.values())
    sound = next((node for node in optimised.nodes if node.op == TURNING), None) if integers else None
    # the sound of other integers is another sound: it is made below, of the witness's own
    silent = tuple(node for node in optimised.nodes if node is not sound)
    values = trace(replace(optimised, nodes=silent), feeds)
    for name in optimised.outputs:
        label = optimised.labels.get(name, name)
        if sound is not None and name in sound.outputs:
            values[name] = _of_the_same_numbers(reading, optimised, sound, feeds, values)
        got = _in_type(optimised, name, values[name], wanted[label].dtype)
        want = np.asarray(wanted[label], np.float64).reshape(got.shape[0], -1)
        if optimised.event and got.shape != want.shape:
            raise Refusal(
                f"output {label!r}: after the passes it has {got.shape[1]} frames, and the witness "
                f"{want.shape[1]}; report this file."
            )
        if not optimised.event:  # the passes may end a signal elsewhere
            frames = max(1, min(got.shape[1], want.shape[1]) * 3 // 4)
            got, want = got[:, :frames], want[:, :frames]
        off = _off(got, want)
        assert off is not None
        if off > 10 * _tolerance(reading) and not _rounds_alike(
            optimised, name, got, want, PASSED_RMS, PASSED_STEPS
        ):
            raise Refusal(
                f"output {label!r}: after the passes it is {np.abs(got - want).max():.3g} off the witness, "
                f"whose peak is {np.abs(want).max():.3g}; where the model is quantized calibrate it again, "
                "else report this file."
            )


def _of_the_same_numbers(
    reading: Reading,
    optimised: Graph,
    sound: Node,
    feeds: dict[str, np.ndarray],
    values: dict[str, np.ndarray],
) -> np.ndarray:
    """Hold the numbers that say a sound to the witness's, and make the sound of the witness's own.

    A step of a mode's frequency is, two seconds later, any phase: two sounds of integers that round
    differently can't be compared sample by sample, and what goes into them can.
    """
    model = onnx.ModelProto.FromString(reading.whole().SerializeToString())
    node = next(n for n in model.graph.node if n.op_type == TURNING)
    names = list(node.input[: len(sound.inputs)])
    model.graph.node.remove(node)
    del model.graph.output[:]
    model.graph.output.extend(onnx.helper.make_empty_tensor_value_info(n) for n in names)
    said = _open(reading, model)[0](feeds)
    numbers = []
    for label, name in zip(names, sound.inputs, strict=True):
        got = values[name]
        want = np.asarray(said[label], np.float32).reshape(got.shape)
        off = _off(got, want)
        if (off is None or off > 10 * _tolerance(reading)) and not _rounds_alike(
            optimised, name, got, want, PASSED_RMS, PASSED_STEPS
        ):
            raise Refusal(
                f"{label!r}: after the passes it is {np.abs(got - want).max():.3g} off the witness, whose "
                f"peak is {np.abs(want).max():.3g}; calibrate the model again, or report this file."
            )
        numbers.append(want)
    return FAMILIES[TURNING].reference(sound, optimised, numbers)


def _step(graph: Graph, name: str) -> float:
    """Step of an output that comes from integers."""
    producer = graph.producer()
    node = producer.get(name)
    while node is not None:
        quants = [graph.tensors[n].quant for n in (*node.outputs, *node.inputs)]
        found = [q.scale for q in quants if q is not None]
        if found:
            return max(found)
        node = producer.get(node.inputs[0]) if node.inputs else None
    return 0.0


def _said(name: str, what: str, got: np.ndarray, want: np.ndarray) -> str:
    """The sentence for a tensor that differs."""
    if got.size != want.size:
        found = f"it is read with {got.size} numbers, and the witness has {want.size} ({list(want.shape)})"
    else:
        off = np.abs(got.reshape(-1) - want.reshape(-1)).max()
        found = f"as read here it is {off:.3g} off the witness, whose peak is {np.abs(want).max():.3g}"
    return f"tensor {name!r} ({what}): {found}; export the model another way, and report this file."


def _first_that_differs(
    reading: Reading, feeds: dict[str, np.ndarray], values: dict[str, np.ndarray]
) -> str | None:
    """Run the witness with every tensor as an output, and find the first that is read otherwise."""
    model = _telling(reading, [n for node in reading.whole().graph.node for n in node.output if n])
    try:
        witness, _ = _open(reading, model)
        wanted = witness(feeds)
    except Exception:
        return None
    for node in model.graph.node:
        for name in node.output:
            known = reading.values.get(name)
            if name not in wanted or wanted[name].dtype == object:
                continue
            got = _as_in_file(reading, known, values, wanted[name].dtype)
            want = np.asarray(wanted[name], np.float64)
            if got is None:
                continue
            off = _off(got, want)
            if off is None or (off > _tolerance(reading) and not _alike_inside(reading, known, got, want)):
                return _said(name, f"node {node.name or name!r}, {node.op_type}", got, want)
    return None


def _alike_inside(reading: Reading, known: Any, got: np.ndarray, want: np.ndarray) -> bool:
    """Whether a tensor within the graph differs by rounding alone."""
    return isinstance(known, ActValue) and _rounds_alike(
        reading.graph, known.base, got, want, READ_RMS, READ_STEPS
    )


def _as_in_file(
    reading: Reading, known: Any, values: dict[str, np.ndarray], kind: np.dtype
) -> np.ndarray | None:
    """The numbers of a name of the file, its moves done; None where the graph does not hold them any more."""
    if isinstance(known, Constant):
        return np.asarray(known.real)
    if not isinstance(known, ActValue) or known.base not in values:
        return None
    array = _in_type(reading.graph, known.base, values[known.base], kind)
    time = known.base_shape[2] if len(known.base_shape) == 3 else 1

    def size(dim: Dim) -> int:
        if not isinstance(dim, Frames):
            return dim
        if not isinstance(time, Frames):
            raise ValueError
        frames = array.shape[1] - time.offset
        return math.floor(frames * reading.root(dim).ratio / reading.root(time).ratio + dim.offset)

    try:
        return moved(array.reshape([size(d) for d in known.base_shape]), known.chain, size)
    except ValueError:
        return None
