"""Read an ONNX file into the typed graph: check it, fold its constants and shapes, follow its moves.

Nothing in the file is trusted: sizes are compared with the bytes that are really there before anything is
allocated, and whatever is wrong ends in one sentence that names the node.
"""

from __future__ import annotations

import json
import math
import re
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from firmware.compiler.graph import Constant, Graph, Node, Tensor
from firmware.compiler.ops import READERS, known_operators
from firmware.compiler.read.values import ActValue, Dim, Frames, ShapeValue, Value, follow
from hardware.refusal import Refusal

MAX_FILE_BYTES = 512 << 20
MAX_CONSTANT_BYTES = 256 << 20
MAX_NODES = 20_000
MAX_CHANNELS = 16_384
MAX_EVENT_FRAMES = 65_536
METADATA_PREFIX = "vaectrol."
DOMAIN = "vaectrol"
TIME_AXIS = 2


def load(source: Any, name: str | None = None, streaming: bool | None = None) -> Graph:
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
    Graph

    Raises
    ------
    Refusal
        In one sentence, for anything that cannot be read or is not supported.
    """
    model, folder, stem = _parse(source)
    try:
        return Loader(model, folder, streaming).graph(_identifier(name or stem))
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
        raise Refusal(f"{stem}: the file is damaged or inconsistent ({_first_line(error)}).") from error


def _first_line(error: BaseException) -> str:
    """Shorten an error of a library to one line."""
    text = str(error).strip().splitlines()
    return (text[0] if text else type(error).__name__)[:160]


def _identifier(text: str) -> str:
    """Make a C identifier."""
    cleaned = re.sub(r"[^0-9a-z]+", "_", text.lower()).strip("_")
    return cleaned if cleaned and not cleaned[0].isdigit() else f"model_{cleaned}".rstrip("_")


def _parse(source: Any) -> tuple[onnx.ModelProto, Path | None, str]:
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
        raise Refusal(f"{path}: this is not an ONNX file, or it is damaged ({_first_line(error)}).") from None
    if not model.graph.node and not model.graph.output:
        raise Refusal(f"{path}: this is not an ONNX file, or it holds no graph.")
    return model, path.parent, path.name.removesuffix(".onnx").removesuffix(".int8")


class Loader:
    """One reading of one model; the operator families in ``ops/`` add nodes through it."""

    def __init__(self, model: onnx.ModelProto, folder: Path | None, streaming: bool | None):
        self.folder = folder
        self.model = _inline(model)
        if len(self.model.graph.node) > MAX_NODES:
            raise Refusal(f"the graph has {len(self.model.graph.node)} nodes, more than {MAX_NODES}.")
        self.opset = max([o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")] or [1])
        self.metadata = _metadata(self.model)
        self.streaming = streaming
        self.event = False
        self.values: dict[str, Value] = {}
        self.tensors: dict[str, Tensor] = {}
        self.shapes: dict[str, tuple[Dim, ...]] = {}
        self.nodes: list[Node] = []
        self.symbols: dict[str, tuple[str, Fraction]] = {}
        self.counter = 0
        self.where = "the graph"

    # ---- the walk ------------------------------------------------------------------------------------

    def graph(self, name: str) -> Graph:
        """Walk the file and return the typed graph."""
        self._constants()
        inputs = self._inputs()
        pending = list(self.model.graph.node)
        _refuse_cycles(pending, self.values)
        for node in pending:
            self.where = _describe(node)
            if not any(node.output):
                continue
            if node.domain not in ("", "ai.onnx", "com.microsoft", DOMAIN):
                raise Refusal(
                    f"{self.where}: operators of domain {node.domain!r} are not known; "
                    "export the model with standard ONNX operators."
                )
            if node.op_type not in READERS:
                raise Refusal(f"{self.where}: {node.op_type} is not supported{instead(node.op_type)}.")
            try:
                READERS[node.op_type](self, node)
            except Refusal as refusal:
                text = str(refusal)
                raise Refusal(text if text.startswith(self.where) else f"{self.where}: {text}") from None
            except RecursionError:
                raise
            except Exception as error:
                raise Refusal(
                    f"{self.where}: its inputs or attributes are wrong ({_first_line(error)})."
                ) from error
        self.where = "the graph"
        outputs, labels = self._outputs()
        for tensor, value in zip(inputs, self.model_inputs, strict=True):
            labels[tensor] = value.name
        self._rates()
        used = {*inputs, *outputs}
        graph = Graph(
            name,
            tuple(self.nodes),
            self.tensors,
            tuple(inputs),
            tuple(outputs),
            self.event,
            self.metadata,
            labels,
        )
        alive: list[Node] = []
        for node in reversed(self.nodes):  # what nothing reads is left out
            if used & set(node.outputs):
                alive.append(node)
                used.update(node.inputs)
        return graph.with_nodes(reversed(alive))

    def _constants(self) -> None:
        """Read the initializers."""
        for tensor in self.model.graph.initializer:
            self.where = f"initializer {tensor.name!r}"
            self.values[tensor.name] = self.constant(self.array(tensor))
        if self.model.graph.sparse_initializer:
            raise Refusal("the file holds sparse weights; store them densely.")

    def array(self, tensor: onnx.TensorProto) -> np.ndarray:
        """Turn a TensorProto into an array after checking that its bytes are there."""
        dims = list(tensor.dims)
        if any(d < 0 for d in dims):
            raise Refusal(f"{self.where}: a dimension is negative.")
        try:
            dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type)
        except (KeyError, ValueError):
            raise Refusal(f"{self.where}: element type {tensor.data_type} is not known.") from None
        size = math.prod(dims) * np.dtype(dtype).itemsize
        if size > MAX_CONSTANT_BYTES:
            raise Refusal(f"{self.where}: it claims {size >> 20} MB, more than this compiler reads (256 MB).")
        if tensor.data_location == onnx.TensorProto.EXTERNAL:
            return self._external(tensor, np.dtype(dtype), dims, size)
        if np.dtype(dtype).kind == "c":
            raise Refusal(f"{self.where}: complex numbers are not supported; a network holds real ones.")
        if tensor.data_type == onnx.TensorProto.STRING:
            raise Refusal(f"{self.where}: strings are not numbers; a network holds numbers only.")
        try:
            return numpy_helper.to_array(tensor)
        except Exception as error:
            raise Refusal(f"{self.where}: shape and data do not match ({_first_line(error)}).") from None

    def _external(self, tensor: onnx.TensorProto, dtype: np.dtype, dims: list[int], size: int) -> np.ndarray:
        """Read weights kept in a file beside the model, and only there."""
        entries = {e.key: e.value for e in tensor.external_data}
        location = entries.get("location", "")
        if self.folder is None:
            raise Refusal(f"{self.where}: its data is in the file {location!r}; give the model as a path.")
        path = (self.folder / location).resolve()
        if not location or not path.is_relative_to(self.folder.resolve()):
            raise Refusal(f"{self.where}: its data file {location!r} is not beside the model.")
        if not path.is_file():
            raise Refusal(f"{self.where}: its data file {location!r} is missing; copy it beside the model.")
        offset = int(entries.get("offset", "0"))
        if offset < 0 or offset + size > path.stat().st_size:
            raise Refusal(f"{self.where}: its data file {location!r} is too short; copy it again.")
        with path.open("rb") as file:
            file.seek(offset)
            return np.frombuffer(file.read(size), dtype=dtype).reshape(dims)

    def constant(self, array: np.ndarray) -> Value:
        """Keep an array, integers of shapes as shapes."""
        if array.dtype == object:
            raise Refusal(f"{self.where}: strings are not numbers; a network holds numbers only.")
        return Constant(array)

    def _inputs(self) -> list[str]:
        """Declare the graph's inputs and decide whether the graph streams."""
        initial = {t.name for t in self.model.graph.initializer}
        inputs = [i for i in self.model.graph.input if i.name not in initial]
        if not inputs:
            raise Refusal("the model has no input; a constant needs no network.")
        self.model_inputs = inputs
        declared = {str(e.get("name")): e for e in self.metadata.get("inputs", []) if isinstance(e, dict)}
        dims = {i.name: self._declared_dims(i) for i in inputs}
        symbolic = any(isinstance(d, str) for shape in dims.values() for d in shape[1:])
        rates = {name: str(e.get("rate")) for name, e in declared.items() if name in dims}
        if self.streaming is None:
            self.streaming = symbolic and not (rates and all(r == "event" for r in rates.values()))
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
        tensor = self.add_tensor(int(shape[1]), shape[2] if len(shape) == 3 else 1, name)  # type: ignore[arg-type]
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
            try:
                rate = Fraction(rates[value.name])
            except (ValueError, ZeroDivisionError):
                rate = Fraction(0)
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
            tensor = self.canonical(value.name)
            if tensor in outputs or tensor in {n for n in self.labels_of_inputs()}:
                tensor = self.add_node(
                    "Shuffle",
                    [tensor],
                    channels=self.tensors[tensor].channels,
                    length=self.shapes[tensor][2],
                    hint=value.name,
                    attrs=identity_shuffle(
                        self.tensors[tensor].channels, None if self.streaming else self.shapes[tensor][2]
                    ),
                )
            outputs.append(tensor)
            labels[tensor] = value.name
        return outputs, labels

    def labels_of_inputs(self) -> list[str]:
        """Name the tensors that are the graph's inputs."""
        found = []
        for value in self.model_inputs:
            act = self.values[value.name]
            if isinstance(act, ActValue):
                found.append(act.base)
        return found

    # ---- what readers call ---------------------------------------------------------------------------

    def fresh(self, hint: str) -> str:
        """Make a new name from a hint."""
        base = re.sub(r"[^0-9A-Za-z]+", "_", hint).strip("_").lower()[-40:] or "t"
        base = f"t_{base}" if base[0].isdigit() else base
        if base not in self.tensors and not any(n.name == base for n in self.nodes[-1:]):
            return base
        self.counter += 1
        while f"{base}_{self.counter}" in self.tensors:
            self.counter += 1
        return f"{base}_{self.counter}"

    def add_tensor(self, channels: int, length: Dim, hint: str) -> str:
        """Declare an activation of ``channels`` × ``length``."""
        if not 0 < channels <= MAX_CHANNELS:
            raise Refusal(f"{self.where}: {channels} channels; 1 to {MAX_CHANNELS} are possible.")
        if isinstance(length, int):
            if self.streaming:
                raise Refusal(
                    f"{self.where}: its result has a fixed length of {length} along time in a model "
                    "that streams; "
                    "give every input its own rate, or export all lengths fixed for an event graph."
                )
            if not 0 < length <= MAX_EVENT_FRAMES:
                raise Refusal(
                    f"{self.where}: its result has {length} frames; 1 to {MAX_EVENT_FRAMES} are possible."
                )
        elif length.ratio <= 0:
            raise Refusal(f"{self.where}: its result has no frames.")
        elif max(length.ratio.numerator, length.ratio.denominator) > 1 << 22:
            raise Refusal(f"{self.where}: its rate is {length.ratio} of the input's; that is too far apart.")
        name = self.fresh(hint)
        self.tensors[name] = Tensor(name, channels, length if isinstance(length, int) else None)
        self.shapes[name] = (1, channels, length)
        return name

    def add_node(
        self,
        op: str,
        inputs: list[str],
        *,
        channels: int,
        length: Dim,
        hint: str,
        attrs: dict[str, Any] | None = None,
        constants: dict[str, Constant] | None = None,
    ) -> str:
        """Add a node with one output and return the output's name."""
        tensor = self.add_tensor(channels, length, hint)
        quants = [self.tensors[name].quant for name in inputs]
        if op in ("Shuffle", "Delay", "Concat") and len(set(quants)) == 1:
            self.tensors[tensor] = replace(self.tensors[tensor], quant=quants[0])
        elif op != "Dequantize" and any(quants):
            raise Refusal(f"{self.where}: it reads quantized integers; put a DequantizeLinear before it.")
        self.nodes.append(Node(tensor, op, tuple(inputs), (tensor,), attrs or {}, constants or {}))
        return tensor

    def result(
        self, node: onnx.NodeProto, tensor: str, ntc: bool = False, flat: bool = False, index: int = 0
    ) -> None:
        """Say that output ``index`` of ``node`` is ``tensor`` (seen as NTC, or without its time axis)."""
        shape = self.shapes[tensor]
        value = ActValue(tensor, shape, shape)
        if ntc:
            value = value.moved("transpose", (0, 2, 1), (1, shape[2], shape[1]))
        elif flat:
            value = value.moved("reshape", (1, shape[1]), (1, shape[1]))
        self.values[node.output[index]] = value

    def value(self, name: str) -> Value:
        """Look up what a name stands for."""
        if name not in self.values:
            raise Refusal(f"{self.where}: it reads {name!r}, which nothing writes.")
        return self.values[name]

    def act(self, name: str) -> ActValue:
        """Look up an activation."""
        value = self.value(name)
        if not isinstance(value, ActValue):
            raise Refusal(f"{self.where}: {name!r} must be an activation, but it is a constant.")
        return value

    def const(self, name: str) -> Constant:
        """Look up a constant."""
        value = self.value(name)
        if isinstance(value, ShapeValue):
            if any(isinstance(d, Frames) for d in value.entries):
                raise Refusal(f"{self.where}: {name!r} depends on the length of the signal.")
            return Constant(np.array(value.entries if not value.scalar else value.entries[0], np.int64))
        if not isinstance(value, Constant):
            raise Refusal(f"{self.where}: {name!r} must be a constant, but it depends on an input.")
        return value

    def is_const(self, name: str) -> bool:
        """Tell whether a name is a constant."""
        return isinstance(self.value(name), Constant)

    def ints(self, name: str) -> list[Dim]:
        """Read a list of integers, lengths along time included."""
        value = self.value(name)
        if isinstance(value, ShapeValue):
            return list(value.entries)
        if isinstance(value, Constant) and value.scale is None:
            if value.values.size > 64:
                raise Refusal(f"{self.where}: {name!r} has {value.values.size} entries, more than any shape.")
            return [int(v) for v in np.asarray(value.values).reshape(-1)]
        raise Refusal(f"{self.where}: {name!r} must be a list of whole numbers known beforehand.")

    def optional(self, node: onnx.NodeProto, index: int) -> str | None:
        """Name of input ``index``, or None when it is not given."""
        return node.input[index] if index < len(node.input) and node.input[index] else None

    def canonical(self, name: str) -> str:
        """Name the graph tensor ``[channels, frames]`` that holds an activation, added when needed."""
        act = self.act(name)
        tensor, ntc = self.oriented(act, name)
        if ntc:
            raise Refusal(
                f"{self.where}: {name!r} has time before channels here; transpose it to [1, channels, "
                "frames] first."
            )
        return tensor

    def either(self, name: str) -> tuple[str, bool]:
        """Name the graph tensor of an activation; True when the file sees it as [1, frames, channels]."""
        return self.oriented(self.act(name), name)

    def oriented(self, act: ActValue, hint: str) -> tuple[str, bool]:
        """Resolve an activation's moves; see ``either``."""
        if act.base_shape == act.shape and not act.chain:
            return act.base, False
        shape = act.shape
        batchless = tuple(d for d in shape[:1] if d != 1) + shape[1:]
        if len(batchless) > 2 or (shape and shape[0] != 1):
            extra = [d for d in shape if d != 1]
            if len(extra) > 2:
                raise Refusal(
                    f"{self.where}: {hint!r} has {len(shape)} axes here; only [1, channels, frames] can "
                    "be computed with."
                )
            batchless = tuple(extra) if extra else (1,)
        ntc = False
        channels: Dim
        length: Dim
        if len(batchless) == 1:
            channels, length = (1, batchless[0]) if isinstance(batchless[0], Frames) else (batchless[0], 1)
        elif isinstance(batchless[0], Frames):
            (length, channels), ntc = batchless, True
        else:
            channels, length = batchless
        if act.chain == (("transpose", (0, 2, 1)),) and len(act.base_shape) == 3:
            return act.base, True
        if isinstance(channels, Frames):
            raise Refusal(f"{self.where}: {hint!r} has time on two axes.")
        if (
            len(act.base_shape) == 3
            and isinstance(act.base_shape[2], Frames)
            and not isinstance(length, Frames)
        ):
            raise Refusal(
                f"{self.where}: {hint!r} mixes time into another axis; a stream keeps time on one axis."
            )
        return self._shuffle(act, hint, channels, length, ntc), ntc

    def _shuffle(self, act: ActValue, hint: str, channels: int, length: Dim, ntc: bool) -> str:
        """Add the node that does an activation's moves."""
        index, frames = follow(act)
        index = index.reshape((-1, channels)).T if ntc else index.reshape((channels, -1))
        if self.event:
            stride, produce = frames, index.shape[1]
        else:
            ratio = Fraction(index.shape[1], frames)
            stride, produce = ratio.denominator, ratio.numerator
        source_channel, source_frame = index // frames, index % frames
        table = (source_frame[:, :produce] * act_channels(act) + source_channel[:, :produce]).T
        firings = np.arange(index.shape[1] // produce)
        expected = source_frame[:, :produce][:, None, :] + firings[None, :, None] * stride
        regular = np.array_equal(expected.reshape(channels, -1), source_frame) and np.array_equal(
            np.tile(source_channel[:, :produce], (1, len(firings))), source_channel
        )
        if not regular or source_frame[:, :produce].max() >= stride:
            raise Refusal(
                f"{self.where}: the moves that make {hint!r} mix distant frames; a stream cannot wait "
                "for them."
            )
        same = stride == produce and channels == act_channels(act)
        if same and np.array_equal(table, np.arange(table.size).reshape(table.shape)):
            return act.base
        return self.add_node(
            "Shuffle",
            [act.base],
            channels=channels,
            length=length,
            hint=hint,
            attrs={
                "stride": stride,
                "produce": produce,
                "table": np.ascontiguousarray(table).astype(np.int64),
            },
        )

    # ---- rates ---------------------------------------------------------------------------------------

    def root(self, length: Frames) -> Frames:
        """Express a length by the root of its symbol's family."""
        symbol, ratio = length.symbol, length.ratio
        while symbol in self.symbols:
            symbol, factor = self.symbols[symbol]
            ratio *= factor
        return Frames(symbol, ratio, length.offset)

    def same_rate(self, a: Dim, b: Dim) -> None:
        """State that two lengths are the same."""
        if isinstance(a, int) and isinstance(b, int):
            if a != b:
                raise Refusal(f"{self.where}: lengths {a} and {b} meet; make them equal.")
            return
        if not (isinstance(a, Frames) and isinstance(b, Frames)):
            raise Refusal(f"{self.where}: a fixed length meets one along time.")
        a, b = self.root(a), self.root(b)
        if a.symbol != b.symbol:
            self.symbols[b.symbol] = (a.symbol, a.ratio / b.ratio)
        elif a.ratio != b.ratio:
            raise Refusal(
                f"{self.where}: branches of different rates meet ({a.ratio} and {b.ratio} frames of "
                f"{a.symbol}); "
                "resample one of them."
            )

    def _rates(self) -> None:
        """Give every tensor its rate per base tick: the slowest clock on which all periods are whole."""
        if self.event:
            return
        roots = {n: self.root(s[2]) for n, s in self.shapes.items() if isinstance(s[2], Frames)}
        families = {r.symbol for r in roots.values()}
        if len(families) > 1:
            raise Refusal(
                f"the inputs' rates are not related by the graph ({', '.join(sorted(families))}); "
                "declare them in "
                "the metadata key vaectrol.inputs."
            )
        fastest = max(r.ratio for r in roots.values())
        sample = self._sample_rate(roots)
        base = _common_multiple([r.ratio for r in roots.values()] + sample)
        if base / fastest > 64:
            raise Refusal(
                f"the rates of this graph have no common clock below {base / fastest} × the fastest."
            )
        self.metadata["ticks_per_sample"] = base / (sample[0] if sample else fastest)
        for name, root in roots.items():
            tensor = self.tensors[name]
            self.tensors[name] = Tensor(name, tensor.channels, None, root.ratio / base, tensor.quant)

    def _sample_rate(self, roots: dict[str, Frames]) -> list[Fraction]:
        """Find the sample rate in frames of the unknown, when the metadata gives an input's rate."""
        for entry in self.metadata.get("inputs", []):
            act = self.values.get(str(entry.get("name"))) if isinstance(entry, dict) else None
            if (
                isinstance(act, ActValue)
                and act.base in roots
                and str(entry.get("rate")) not in ("event", "None")
            ):
                return [roots[act.base].ratio / Fraction(str(entry["rate"]))]
        return []


def _common_multiple(ratios: list[Fraction]) -> Fraction:
    """Return the smallest number that is a whole multiple of every ratio."""
    numerator = math.lcm(*(r.numerator for r in ratios))
    denominator = math.gcd(*(r.denominator for r in ratios))
    return Fraction(numerator, denominator)


def act_channels(act: ActValue) -> int:
    """Channels of an activation's base tensor."""
    channels = act.base_shape[1]
    assert isinstance(channels, int)
    return channels


def identity_shuffle(channels: int, frames: Dim | None) -> dict[str, Any]:
    """Attributes of a move that changes nothing (a copy)."""
    count = frames if isinstance(frames, int) else 1
    return {
        "stride": count,
        "produce": count,
        "table": np.arange(count * channels, dtype=np.int64).reshape(count, channels),
    }


def _describe(node: onnx.NodeProto) -> str:
    """Name a node for a sentence."""
    name = node.name or (node.output[0] if node.output else "?")
    return f"node {name[:80]!r} ({node.op_type[:40]})"


def instead(op: str) -> str:
    """Say what to use in place of an operator."""
    known = f"; rewrite it with {known_operators()}"
    ends = "; a stream has no end to look over, use a strided Conv"
    compares = (
        "; torch's newer exporter compares where it could compute (softplus): export with dynamo=False, "
        "or use a Clip"
    )
    advice = {
        "LSTM": "; use GRU",
        "RNN": "; use GRU",
        "GlobalAveragePool": ends,
        "GlobalMaxPool": ends,
        "ReduceMean": ends,
        "ReduceSum": ends,
        "ReduceMax": ends,
        "InstanceNormalization": "; use BatchNormalization, which folds into a Conv",
        "LayerNormalization": "; use BatchNormalization, which folds into a Conv",
        "GroupNormalization": "; use BatchNormalization, which folds into a Conv",
        "RMSNormalization": "; use BatchNormalization, which folds into a Conv",
        "Softmax": "; use Sigmoid, or leave the choice to the caller",
        "Max": "; max(a, b) is a + relu(b - a)",
        "Min": "; min(a, b) is a - relu(a - b)",
        "Softsign": "; use Tanh",
        "Sqrt": "; use Tanh or a Clip to bend a signal",
        "Log": "; use Softplus or Tanh to bend a signal",
        "Reciprocal": "; multiply by a gain instead",
        "Where": compares,
        "Greater": compares,
        "GreaterOrEqual": compares,
        "Less": compares,
        "LessOrEqual": compares,
        "ConvInteger": "; write QuantizeLinear/DequantizeLinear around Conv (QDQ format)",
        "QLinearConv": "; quantize in QDQ format (quant_format=QuantFormat.QDQ)",
        "QLinearMatMul": "; quantize in QDQ format (quant_format=QuantFormat.QDQ)",
        "MatMulInteger": "; write QuantizeLinear/DequantizeLinear around MatMul (QDQ format)",
        "DynamicQuantizeLinear": "; use static quantization in QDQ format",
        "If": "; export one branch",
        "Loop": "; unroll it, or use GRU",
        "Scan": "; unroll it, or use GRU",
        "Attention": "; use convolutions",
        "Cos": "; use Sin",
    }
    return advice.get(op, known)


def _refuse_cycles(nodes: list[onnx.NodeProto], values: dict[str, Any]) -> None:
    """ONNX demands topological order; refuse a file that reads what a later node writes."""
    written_later: dict[str, str] = {}
    for node in nodes:
        for name in node.output:
            if name and (name in written_later or name in values):
                raise Refusal(f"{_describe(node)}: its output {name!r} is written twice.")
            if name:
                written_later[name] = _describe(node)
    done = set(values)
    for node in nodes:
        for name in node.input:
            if name and name not in done and name in written_later:
                raise Refusal(
                    f"{_describe(node)}: it reads {name!r} before it is written; the nodes form a cycle."
                )
        done.update(node.output)


def _inline(model: onnx.ModelProto) -> onnx.ModelProto:
    """Expand the file's own functions, except the domain operators that the compiler knows by name."""
    foreign = [(f.domain, f.name) for f in model.functions if f.domain != DOMAIN]
    if not foreign:
        return model
    import onnx.inliner

    try:
        return onnx.inliner.inline_selected_functions(model, foreign, exclude=False)
    except Exception as error:
        raise Refusal(f"the model's functions cannot be expanded ({_first_line(error)}).") from None


def _metadata(model: onnx.ModelProto) -> dict[str, Any]:
    """Decode the ``vaectrol.*`` entries."""
    found: dict[str, Any] = {}
    for entry in model.metadata_props:
        if entry.key.startswith(METADATA_PREFIX):
            try:
                found[entry.key.removeprefix(METADATA_PREFIX)] = json.loads(entry.value)
            except (json.JSONDecodeError, RecursionError):
                raise Refusal(f"metadata {entry.key!r}: it is not JSON; write the file again.") from None
    for key in ("inputs", "outputs"):
        if key in found and not isinstance(found[key], list):
            raise Refusal(f"metadata '{METADATA_PREFIX}{key}': it must be a list.")
    return found
