"""Read an ONNX file into the typed graph: check it, fold its constants and shapes, follow its moves.

Nothing in the file is trusted: sizes are compared with the bytes that are really there before anything is
allocated, and whatever is wrong ends in one sentence that names the node.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx

from common import model_metadata
from common.refusal import Refusal
from firmware.compiler.graph import Constant, Graph, Tensor, remove_dead
from firmware.compiler.ops import READERS, known_operators
from firmware.compiler.ops.base import SHAPE_FOLDERS, fold
from firmware.compiler.ops.movement import ShuffleAttributes, identity
from firmware.compiler.ops.quantization import integers_of
from firmware.compiler.read.builder import (
    MAX_CHANNELS,
    MAX_EVENT_FRAMES,
    Builder,
    first_line,
)
from firmware.compiler.read.guards import without_guards
from firmware.compiler.read.layout import Layout, lay, shown, time_of
from firmware.compiler.read.onnx_nodes import (
    Surroundings,
    checked,
    describe,
    expanded,
    is_known,
    opset_of,
    well_formed,
)
from firmware.compiler.read.onnx_operators import EVALUATED, STANDARD
from firmware.compiler.read.onnx_operators import VAECTROL as DOMAIN
from firmware.compiler.read.values import ActValue, Dim, Frames, ShapeValue, Value

MAX_FILE_BYTES = 512 << 20
MAX_NODES = 20_000
SLOWEST_PORT = 4096
"""Samples that a frame of the fastest port may last: encoders reach 2048, and a control net a few hundred."""
TIME_AXIS = 2


@dataclass(frozen=True)
class Reading:
    """A file and what was read from it.

    Attributes
    ----------
    graph : Graph
    source : Path or ModelProto
        As it was given.
    folder : Path or None
        Where its external data lie.
    model : ModelProto
        With its own functions expanded; the names in ``values`` are the names in it.
    values : mapping of str to Value
        What each name of the file stands for.
    root : callable
        Expresses a length by the root of its symbol's family.
    """

    graph: Graph
    source: Path | onnx.ModelProto
    folder: Path | None
    model: onnx.ModelProto
    values: Mapping[str, Value]
    root: Callable[[Frames], Frames]

    def whole(self) -> onnx.ModelProto:
        """The expanded model with its external data inside."""
        if self.folder is None:
            return self.model
        copy = onnx.ModelProto.FromString(self.model.SerializeToString())
        onnx.load_external_data_for_model(copy, str(self.folder))
        return copy


def load(
    source: str | Path | onnx.ModelProto, name: str | None = None, streaming: bool | None = None
) -> Graph:
    """Read a model; see ``read``."""
    return read(source, name, streaming).graph


def read(
    source: str | Path | onnx.ModelProto, name: str | None = None, streaming: bool | None = None
) -> Reading:
    """Read a model.

    Parameters
    ----------
    source : path or ModelProto
        An ``.onnx`` file (external data beside it), or the model itself.
    name : str, optional
        C identifier; by default made from the metadata or the file's name.
    streaming : bool, optional
        True streams along axis 2 even when the file fixes its length; by default a file whose inputs have a
        symbolic length streams and any other is an event graph.

    Returns
    -------
    Reading

    Raises
    ------
    Refusal
        In one sentence, for anything that cannot be read or is not supported.
    """
    model, folder, stem = _parse(source)
    try:
        loader = Loader(model, folder, streaming)
        graph = loader.graph(_identifier(name or stem))
    except Refusal:
        raise
    except RecursionError:
        raise Refusal(f"{stem}: the model is nested too deeply; export it again.") from None
    except (
        ValueError,
        TypeError,
        KeyError,
        IndexError,
        OverflowError,
        ZeroDivisionError,
        MemoryError,
    ) as error:
        raise Refusal(f"{stem}: the file is damaged or inconsistent ({first_line(error)}).") from error
    origin = source if isinstance(source, onnx.ModelProto) else Path(source)
    return Reading(graph, origin, folder, loader.model, loader.values, loader.root)


def _identifier(text: str) -> str:
    """Make a C identifier."""
    cleaned = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    return cleaned if cleaned and not cleaned[0].isdigit() else f"model_{cleaned}".rstrip("_")


def _parse(source: str | Path | onnx.ModelProto) -> tuple[onnx.ModelProto, Path | None, str]:
    """Get the model from a path or an object."""
    if isinstance(source, onnx.ModelProto):
        return source, None, source.graph.name or "model"
    path = Path(source)
    if not path.is_file():
        raise Refusal(f"{path}: there is no such file; give the path of an .onnx model.")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise Refusal(f"{path}: {path.stat().st_size >> 20} MB is more than the 512 MB this compiler reads.")
    model = onnx.ModelProto()
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:
        raise Refusal(f"{path}: this is not an ONNX file, or it is damaged ({first_line(error)}).") from None
    if not model.graph.node and not model.graph.output:
        raise Refusal(f"{path}: this is not an ONNX file, or it holds no graph.")
    return model, path.parent, path.name.removesuffix(".onnx").removesuffix(".int8")


class Loader(Builder):
    """One reading of one model, from its inputs to its outputs."""

    def __init__(self, model: onnx.ModelProto, folder: Path | None, streaming: bool | None):
        super().__init__(folder, streaming, ShuffleAttributes)
        self.model = expanded(model)
        if len(self.model.graph.node) > MAX_NODES:
            raise Refusal(f"the graph has {len(self.model.graph.node)} nodes, more than {MAX_NODES}.")
        self.opset = opset_of(self.model)
        self.around = self._surroundings()
        self.about = model_metadata.read(self.model)
        self.known = known_operators()

    # ---- the walk ------------------------------------------------------------------------------------

    def graph(self, name: str) -> Graph:
        """Walk the file and return the typed graph."""
        self._constants()
        inputs = self._inputs()
        pending = without_guards(self.model)
        _refuse_cycles(pending, self.values)
        for node in pending:
            self.where = describe(node)
            self.origin = next((name for name in node.output if name), "")
            if not any(node.output):
                continue
            try:
                self._read(node)
            except Refusal as refusal:
                text = str(refusal)
                raise Refusal(text if text.startswith(self.where) else f"{self.where}: {text}") from None
            except RecursionError:
                raise
            except Exception as error:
                raise Refusal(
                    f"{self.where}: its inputs or attributes are wrong ({first_line(error)})."
                ) from error
        self.where, self.origin = "the graph", ""
        outputs, labels = self._outputs()
        for tensor, value in zip(inputs, self.model_inputs, strict=True):
            labels[tensor] = value.name
        self._rates()
        graph = Graph(
            name,
            tuple(self.nodes),
            self.tensors,
            tuple(inputs),
            tuple(outputs),
            self.event,
            self.about,
            labels,
            self.ticks_per_sample,
        )
        return remove_dead(graph)

    def _read(self, node: onnx.NodeProto) -> None:
        """Check one node, then fold it or let its operator's reader add what it does."""
        standard = node.domain in STANDARD
        if not (is_known(node) or (standard and node.op_type in EVALUATED)):
            if standard or node.domain == DOMAIN:
                raise self.unsupported(node)
            raise Refusal(
                f"operators of domain {node.domain[:80]!r} are not known; export the model with standard "
                "ONNX operators."
            )
        values = [self.value(name) for name in node.input if name]
        signal = any(isinstance(v, ActValue) for v in values)
        if standard and node.op_type in EVALUATED and all(isinstance(v, Constant) for v in values):
            well_formed(node, self.opset)
            fold(self, node)
            return
        if signal and node.op_type not in READERS:
            raise self.unsupported(node, " of an activation")
        if not is_known(node):
            raise Refusal(f"{node.op_type} of a length along time is not supported; a stream has no length.")
        known = checked(node, self.opset, self.around)
        for name, array in known.held.items():
            self.values[name] = Constant(array)
        if not signal and any(isinstance(v, ShapeValue) for v in values):
            if known.op_type not in SHAPE_FOLDERS:
                raise Refusal(
                    f"{known.op_type} of a length along time is not supported; a stream has no length."
                )
            SHAPE_FOLDERS[known.op_type](self, known)
        else:
            READERS[known.op_type](self, known)

    def _surroundings(self) -> Surroundings:
        """What the check of a node may ask about the tensors it reads."""

        def constant(name: str) -> np.ndarray | None:
            value = self.values.get(name)
            return value.values if isinstance(value, Constant) else None

        def fixed(name: str) -> bool:
            return not isinstance(self.value(name), ActValue)

        def rank(name: str) -> int | None:
            value = self.values.get(name)
            return len(value.shape) if isinstance(value, ActValue) else None

        graph = self.model.graph
        read = {name for node in graph.node for name in node.input} | {v.name for v in graph.output}
        return Surroundings(constant, fixed, rank, read)

    def _constants(self) -> None:
        """Read the initializers."""
        for tensor in self.model.graph.initializer:
            self.where = f"initializer {tensor.name!r}"
            self.values[tensor.name] = self.constant(self.array(tensor))
        if self.model.graph.sparse_initializer:
            raise Refusal("the file holds sparse weights; store them densely.")

    def _inputs(self) -> list[str]:
        """Declare the graph's inputs and decide whether the graph streams."""
        initial = {t.name for t in self.model.graph.initializer}
        inputs = [i for i in self.model.graph.input if i.name not in initial]
        if not inputs:
            raise Refusal("the model has no input; a constant needs no network.")
        self.model_inputs = inputs
        declared = {spec.name: spec.rate for spec in self.about.inputs if spec.rate}
        dims = {i.name: self._declared_dims(i) for i in inputs}
        symbolic = any(isinstance(d, str) for shape in dims.values() for d in shape[1:])
        rates = {name: rate for name, rate in declared.items() if name in dims}
        if self.streaming is None:
            self.streaming = symbolic and not (
                rates and all(r == model_metadata.EVENT for r in rates.values())
            )
        self.event = not self.streaming
        names = []
        for value in inputs:
            shape: list[Dim] = []
            for axis, dim in enumerate(dims[value.name]):
                if axis == 0 and len(dims[value.name]) > 1:
                    if isinstance(dim, int) and dim != 1:
                        raise Refusal(
                            f"input {value.name!r}: its batch is {dim}; export the model with batch 1."
                        )
                    shape.append(1)
                elif axis == TIME_AXIS and self.streaming:
                    symbol = dim if isinstance(dim, str) else f"length {dim}"
                    shape.append(self._named_length(symbol, value.name))
                elif isinstance(dim, str):
                    raise Refusal(
                        f"input {value.name!r}: axis {axis} has no fixed size ({dim}); only time, axis 2 of "
                        "[1, channels, frames], may be symbolic."
                    )
                else:
                    shape.append(dim)
            if self.streaming and not any(isinstance(dim, Frames) for dim in shape):
                raise Refusal(
                    f"input {value.name!r}: it has no time axis in a model that streams; export it as "
                    f"[1, {shape[-1]}, frames] at a rate of its own (1/48 is held for 48 samples), or export "
                    "all lengths fixed for an event graph."
                )
            names.append(self._declare_input(value.name, tuple(shape)))
        if self.streaming:
            rated = [n for n in dims if n in rates]
            if rated:
                self._declared_rates(inputs, dims, rates)
        return names

    def _declared_dims(self, value: onnx.ValueInfoProto) -> list[int | str]:
        """Dimensions as the file gives them: numbers or names."""
        kind = value.type.tensor_type
        if not value.type.HasField("tensor_type"):
            raise Refusal(f"input {value.name!r}: it is not a tensor; give tensors [1, channels, frames].")
        if kind.elem_type not in (onnx.TensorProto.FLOAT, onnx.TensorProto.DOUBLE, onnx.TensorProto.FLOAT16):
            raise Refusal(f"input {value.name!r}: its elements are no floats; export with float inputs.")
        if not kind.HasField("shape"):
            raise Refusal(f"input {value.name!r}: it has no shape; export it as [1, channels, frames].")
        dims: list[int | str] = []
        for axis, dim in enumerate(kind.shape.dim):
            if dim.HasField("dim_value") and dim.dim_value > 0:
                dims.append(int(dim.dim_value))
            elif dim.HasField("dim_value") and dim.dim_value <= 0 and not dim.dim_param:
                raise Refusal(f"input {value.name!r}: axis {axis} has size {dim.dim_value}.")
            else:
                dims.append(dim.dim_param[:60] or f"{value.name[:60]} length")
        if len(dims) not in (2, 3):
            raise Refusal(
                f"input {value.name!r}: it has {len(dims)} axes; export it as [1, channels, frames]."
            )
        if isinstance(dims[1], int) and dims[1] > MAX_CHANNELS:
            raise Refusal(f"input {value.name!r}: {dims[1]} channels are more than {MAX_CHANNELS}.")
        if len(dims) == 3 and isinstance(dims[2], int) and dims[2] > MAX_EVENT_FRAMES and not self.streaming:
            raise Refusal(
                f"input {value.name!r}: {dims[2]} frames are more than {MAX_EVENT_FRAMES} for an event "
                "graph; "
                "export the time axis as dynamic, so that the model streams."
            )
        return dims

    def _named_length(self, symbol: str, name: str) -> Frames:
        """Read a symbolic length such as ``frames`` or ``48*frames``."""
        match = re.fullmatch(r"\s*(\d+)\s*\*\s*([A-Za-z_]\w*)\s*", symbol)
        if match and int(match[1]) > 0:
            return Frames(match[2], Fraction(int(match[1])))
        if match := re.fullmatch(r"\s*([A-Za-z_]\w*)\s*\*\s*(\d+)\s*", symbol):
            return Frames(match[1], Fraction(max(1, int(match[2]))))
        return Frames(symbol, Fraction(1))

    def _declare_input(self, name: str, shape: tuple[Dim, ...]) -> str:
        """Add an input tensor."""
        channels = shape[1]
        assert isinstance(channels, int), "time is axis 2"
        tensor = self.add_tensor(channels, shape[2] if len(shape) == 3 else 1, name)
        self.values[name] = ActValue(tensor, shape, shape)
        return tensor

    def _declared_rates(
        self, inputs: list[onnx.ValueInfoProto], dims: dict[str, list[int | str]], rates: dict[str, str]
    ) -> None:
        """Relate the inputs' lengths by the rates the metadata declares."""
        first: Frames | None = None
        for value in inputs:
            act = self.values[value.name]
            if value.name not in rates or not isinstance(act, ActValue) or len(act.shape) < 3:
                continue
            rate = Fraction(0) if rates[value.name] == model_metadata.EVENT else Fraction(rates[value.name])
            if not 0 < rate <= 1024 or rate.denominator > 1 << 20:
                raise Refusal(
                    f"input {value.name!r}: the metadata gives the rate {rates[value.name]!r}; write a "
                    "fraction "
                    "of the sample rate such as 1/48."
                )
            length = act.shape[2]
            assert isinstance(length, Frames)
            unit = Frames(length.symbol, length.ratio / rate)
            if first is None:
                first = unit
            else:
                self.same_rate(first, unit)

    def _outputs(self) -> tuple[list[str], dict[str, str]]:
        """Resolve the graph's outputs."""
        outputs: list[str] = []
        labels: dict[str, str] = {}
        if not self.model.graph.output:
            raise Refusal("the model has no output.")
        for value in self.model.graph.output:
            found = self.values.get(value.name)
            if found is None:
                raise Refusal(f"output {value.name!r}: no node writes it.")
            if not isinstance(found, ActValue):
                raise Refusal(f"output {value.name!r}: it does not depend on any input.")
            self.where = f"output {value.name!r}"
            tensor = self._handed_over(found, value.name)
            if self.tensors[tensor].quant is not None:
                kind = onnx.helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
                if kind.kind not in "iu":
                    raise Refusal(f"{self.where}: it holds integers and is declared as {kind.name}.")
                tensor = integers_of(self, tensor, kind)
            if tensor in outputs or tensor in {n for n in self.labels_of_inputs()}:
                tensor = self.add_node(
                    "Shuffle",
                    [tensor],
                    channels=self.tensors[tensor].channels,
                    length=self.shapes[tensor][2],
                    hint=value.name,
                    attrs=identity(
                        self.tensors[tensor].channels, None if self.streaming else self.shapes[tensor][2]
                    ),
                )
            outputs.append(tensor)
            labels[tensor] = value.name
        return outputs, labels

    def _handed_over(self, act: ActValue, name: str) -> str:
        """The tensor [channels, frames] of an output whose numbers come in the order of the file's."""
        real = [a for a, d in enumerate(act.shape) if d != 1]
        time = time_of(act)
        if time is not None and real and time != real[-1]:
            if self.streaming:
                raise Refusal(
                    f"output {name!r} is {shown(act.shape)}, with time before channels; transpose it to "
                    "[1, channels, frames]."
                )
            time = None
        if not self.streaming and len(act.shape) > 2:
            time = len(act.shape) - 1
        return lay(self, act, Layout.of(act.shape, time), name)

    def labels_of_inputs(self) -> list[str]:
        """Name the tensors that are the graph's inputs."""
        found = []
        for value in self.model_inputs:
            act = self.values[value.name]
            if isinstance(act, ActValue):
                found.append(act.base)
        return found

    # ---- rates ---------------------------------------------------------------------------------------

    def _rates(self) -> None:
        """Give every tensor its rate per base tick: the slowest clock on which all periods are whole."""
        if self.event:
            return
        roots = {n: self.root(s[2]) for n, s in self.shapes.items() if isinstance(s[2], Frames)}
        families = {r.symbol for r in roots.values()}
        if len(families) > 1:
            raise Refusal(
                f"the inputs' rates are not related by the graph ({', '.join(sorted(families))}); "
                f"declare them in the metadata key {model_metadata.key('inputs')}."
            )
        fastest = max(r.ratio for r in roots.values())
        sample = self._sample_rate(roots)
        base = _common_multiple([r.ratio for r in roots.values()] + sample)
        if base / fastest > SLOWEST_PORT:
            raise Refusal(
                f"its fastest signal has one frame in {base / fastest} ticks of the clock that all rates "
                f"share, and {SLOWEST_PORT} is the most; give its ports rates nearer to each other."
            )
        self.ticks_per_sample = base / (sample[0] if sample else fastest)
        for name, root in roots.items():
            tensor = self.tensors[name]
            self.tensors[name] = Tensor(name, tensor.channels, None, root.ratio / base, tensor.quant)

    def _sample_rate(self, roots: dict[str, Frames]) -> list[Fraction]:
        """Find the sample rate in frames of the unknown, when the metadata gives an input's rate."""
        for spec in self.about.inputs:
            act, rate = self.values.get(spec.name), spec.frames_per_sample
            if rate is not None and isinstance(act, ActValue) and act.base in roots:
                return [roots[act.base].ratio / rate]
        return []


def _common_multiple(ratios: list[Fraction]) -> Fraction:
    """Return the smallest number that is a whole multiple of every ratio."""
    numerator = math.lcm(*(r.numerator for r in ratios))
    denominator = math.gcd(*(r.denominator for r in ratios))
    return Fraction(numerator, denominator)


def _refuse_cycles(nodes: list[onnx.NodeProto], values: dict[str, Any]) -> None:
    """ONNX demands topological order; refuse a file that reads what a later node writes."""
    written_later: dict[str, str] = {}
    for node in nodes:
        for name in node.output:
            if name and (name in written_later or name in values):
                raise Refusal(f"{describe(node)}: its output {name!r} is written twice.")
            if name:
                written_later[name] = describe(node)
    done = set(values)
    for node in nodes:
        for name in node.input:
            if name and name not in done and name in written_later:
                raise Refusal(
                    f"{describe(node)}: it reads {name!r} before it is written; the nodes form a cycle."
                )
        done.update(node.output)
