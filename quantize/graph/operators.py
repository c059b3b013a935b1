"""What each ONNX operator does to torch tensors; the float half of the network.

Every function takes the node and its input tensors (None where an optional input is absent) and returns the
outputs. A batch larger than the file's batch of 1 is allowed: shapes written as a leading 1 follow the input.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import torch
import torch.nn.functional as F
from onnx import numpy_helper

from common.refusal import Refusal
from quantize.graph.graph import Node

Tensor = torch.Tensor
Operator = Callable[[Node, list[Any]], Any]


class FoldableError(Exception):
    """The node can't be evaluated from constants alone."""


def ints(value: Any) -> list[int]:
    """Shape-like operand as a list of Python integers."""
    return [int(v) for v in value.reshape(-1).tolist()]


def pads_of(node: Node, rank: int = 1) -> list[int]:
    """Begin and end padding of a 1-D convolution, auto_pad refused."""
    if node.attributes.get("auto_pad", "NOTSET") not in ("NOTSET", "VALID"):
        raise Refusal(
            f"node {node.name!r} ({node.op}) uses auto_pad; export with explicit pads, as torch does."
        )
    return list(node.attributes.get("pads", [0, 0] * rank))


def convolve(node: Node, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """ONNX Conv in one dimension, asymmetric pads allowed; x [N, Cin, T], w [Cout, Cin/group, K]."""
    begin, end = pads_of(node)
    stride = node.attributes.get("strides", [1])[0]
    dilation = node.attributes.get("dilations", [1])[0]
    if begin or end:
        x = F.pad(x, (begin, end))
    return F.conv1d(x, w, b, stride, 0, dilation, node.attributes.get("group", 1))


def convolve_transposed(node: Node, x: Tensor, w: Tensor, b: Tensor | None) -> Tensor:
    """ONNX ConvTranspose in one dimension; w [Cin, Cout/group, K]; the pads crop the full output."""
    if node.attributes.get("output_shape"):
        raise Refusal(f"node {node.name!r} (ConvTranspose) uses output_shape; export it with pads.")
    begin, end = pads_of(node)
    stride = node.attributes.get("strides", [1])[0]
    dilation = node.attributes.get("dilations", [1])[0]
    extra = node.attributes.get("output_padding", [0])[0]
    y = F.conv_transpose1d(x, w, b, stride, 0, 0, node.attributes.get("group", 1), dilation)
    if extra:
        y = (
            F.pad(y, (0, extra))
            if b is None
            else torch.cat([y, b.reshape(1, -1, 1).expand(*y.shape[:2], extra)], 2)
        )
    return y[..., begin : y.shape[-1] - end] if begin or end else y


def gemm(node: Node, a: Tensor, b: Tensor, c: Tensor | None) -> Tensor:
    """ONNX Gemm: alpha·A·B + beta·C with optional transposes."""
    a = a.transpose(0, 1) if node.attributes.get("transA", 0) else a
    b = b.transpose(0, 1) if node.attributes.get("transB", 0) else b
    y = node.attributes.get("alpha", 1.0) * (a @ b)
    return y if c is None else y + node.attributes.get("beta", 1.0) * c


def _resize(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    scales = inputs[2] if len(inputs) > 2 and inputs[2] is not None and inputs[2].numel() else None
    factor = float(scales[-1]) if scales is not None else ints(inputs[3])[-1] / x.shape[-1]
    repeat = round(factor)
    if repeat < 1 or abs(factor - repeat) > 1e-6:
        raise Refusal(f"node {node.name!r} (Resize) scales time by {factor:g}; use a whole number.")
    mode = node.attributes.get("mode", "nearest")
    if mode == "nearest":
        return x.unsqueeze(-1).expand(*x.shape, repeat).reshape(*x.shape[:-1], -1)
    aligned = node.attributes.get("coordinate_transformation_mode", "half_pixel")
    shape = x.shape
    flat = x.reshape(-1, 1, shape[-1])
    if aligned == "asymmetric":
        tail = torch.cat([flat, flat[..., -1:]], -1)
        step = torch.arange(repeat, dtype=x.dtype) / repeat
        y = tail[..., :-1, None] * (1 - step) + tail[..., 1:, None] * step
        return y.reshape(*shape[:-1], -1)
    y = F.interpolate(flat, scale_factor=repeat, mode="linear", align_corners=aligned == "align_corners")
    return y.reshape(*shape[:-1], -1)


def _reshape(node: Node, inputs: list[Any]) -> Tensor:
    x, shape = inputs[0], ints(inputs[1])
    if not node.attributes.get("allowzero", 0):
        shape = [x.shape[i] if s == 0 else s for i, s in enumerate(shape)]
    if x.ndim > 1 and len(shape) > 1 and shape[0] == 1 and x.shape[0] > 1:
        shape[0] = x.shape[0]
    return x.reshape(shape)


def _slice(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    starts, ends = ints(inputs[1]), ints(inputs[2])
    axes = ints(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else list(range(len(starts)))
    steps = ints(inputs[4]) if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    for start, end, axis, step in zip(starts, ends, axes, steps, strict=True):
        index = torch.tensor(range(x.shape[axis])[slice(start, end, step)], dtype=torch.long)
        x = x.index_select(axis, index)
    return x


def _split(node: Node, inputs: list[Any]) -> tuple[Tensor, ...]:
    x, axis = inputs[0], node.attributes.get("axis", 0)
    if len(inputs) > 1 and inputs[1] is not None:
        return x.split(ints(inputs[1]), axis)
    return x.split(-(-x.shape[axis] // len(node.outputs)), axis)


def _pad(node: Node, inputs: list[Any]) -> Tensor:
    x, pads = inputs[0], ints(inputs[1])
    axes = ints(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else list(range(x.ndim))
    value = float(inputs[2]) if len(inputs) > 2 and inputs[2] is not None else 0.0
    mode = node.attributes.get("mode", "constant")
    table = [0, 0] * x.ndim
    for i, axis in enumerate(axes):
        place = 2 * (x.ndim - 1 - axis % x.ndim)
        table[place], table[place + 1] = pads[i], pads[i + len(axes)]
    if mode == "constant":
        return F.pad(x, table, value=value)
    return F.pad(x, table[:2], mode={"reflect": "reflect", "edge": "replicate"}[mode])


def _expand(node: Node, inputs: list[Any]) -> Tensor:
    x, shape = inputs[0], ints(inputs[1])
    shape = [1] * (x.ndim - len(shape)) + shape
    own = [1] * (len(shape) - x.ndim) + list(x.shape)
    return x.expand([max(s, o) for s, o in zip(shape, own, strict=True)])


def _gru(node: Node, inputs: list[Any]) -> tuple[Tensor, Tensor]:
    """ONNX GRU, forward, any layout 0; gates z, r, h; Y [T, 1, N, H] and the last state."""
    x, w, r = inputs[0], inputs[1][0], inputs[2][0]
    hidden = node.attributes["hidden_size"]
    if node.attributes.get("direction", "forward") != "forward" or node.attributes.get("layout", 0):
        raise Refusal(f"node {node.name!r} (GRU) must run forward with layout 0.")
    bias = (
        inputs[3][0] if len(inputs) > 3 and inputs[3] is not None else torch.zeros(6 * hidden, dtype=x.dtype)
    )
    state = (
        inputs[5][0]
        if len(inputs) > 5 and inputs[5] is not None
        else torch.zeros(x.shape[1], hidden, dtype=x.dtype)
    )
    if state.shape[0] != x.shape[1]:
        state = state.expand(x.shape[1], hidden)
    after = node.attributes.get("linear_before_reset", 0)
    wb, rb = bias[: 3 * hidden], bias[3 * hidden :]
    frames = []
    for frame in x:
        a = frame @ w.T + wb
        zr = torch.sigmoid(a[:, : 2 * hidden] + state @ r[: 2 * hidden].T + rb[: 2 * hidden])
        z, reset = zr[:, :hidden], zr[:, hidden:]
        if after:
            h = reset * (state @ r[2 * hidden :].T + rb[2 * hidden :])
        else:
            h = (reset * state) @ r[2 * hidden :].T + rb[2 * hidden :]
        state = (1 - z) * torch.tanh(a[:, 2 * hidden :] + h) + z * state
        frames.append(state)
    return torch.stack(frames)[:, None], state[None]


def hash32(x: Tensor) -> Tensor:
    """Wellons' lowbias32 on int64 tensors that hold uint32 values (nullprogram.com/blog/2018/07/31)."""
    mask = 0xFFFFFFFF
    x = x & mask
    x = x ^ (x >> 16)
    x = (x * 0x7FEB352D) & mask
    x = x ^ (x >> 15)
    x = (x * 0x846CA68B) & mask  # int64 wraps; the low 32 bits are right
    return x ^ (x >> 16)


def filtered_noise(node: Node, inputs: list[Any]) -> Tensor:
    """Seeded noise through a short FIR whose taps follow the frames; taps [N, B·K, T] → [N, B, T·hop]."""
    taps = inputs[0]
    bands, order = int(node.attributes["bands"]), int(node.attributes["taps"])
    hop, seed = int(node.attributes["hop"]), int(node.attributes.get("seed", 0))
    frames = taps.shape[-1]
    start = inputs[1] if len(inputs) > 1 and inputs[1] is not None else 0  # samples since reset
    m = torch.arange(1 - order, frames * hop, dtype=torch.int64) + start
    band = torch.arange(bands, dtype=torch.int64)[:, None]
    raw = hash32(m * bands + band + ((seed * 0x9E3779B9) & 0xFFFFFFFF))
    raw = torch.where(raw >= 1 << 31, raw - (1 << 32), raw)
    noise = torch.where(m < 0, torch.zeros(1, dtype=torch.float64), raw.to(torch.float64) / 2.0**31)
    noise = noise.to(taps.dtype)
    held = taps.reshape(taps.shape[0], bands, order, frames)
    y = torch.zeros(1, dtype=taps.dtype)
    for k in range(order):
        shifted = noise[:, order - 1 - k : order - 1 - k + frames * hop].reshape(1, bands, frames, hop)
        y = y + held[:, :, k, :, None] * shifted
    return y.reshape(taps.shape[0], bands, frames * hop)


def pqmf_synthesis(node: Node, inputs: list[Any]) -> Tensor:
    """Subbands [N, M, T] → audio [N, 1, T·M], causal."""
    subbands, bank = inputs[0], inputs[1]
    m = bank.shape[0]
    return F.conv_transpose1d(subbands, bank, stride=m)[..., : subbands.shape[-1] * m]


def pqmf_analysis(node: Node, inputs: list[Any]) -> Tensor:
    """Audio [N, 1, T·M] → subbands [N, M, T]; frame t ends at sample (t+1)·M − 1."""
    audio, bank = inputs[0], inputs[1]
    m, length = bank.shape[0], bank.shape[-1]
    # the bank holds impulse responses; conv1d correlates
    return F.conv1d(F.pad(audio, (length - m, 0)), bank.flip(-1), stride=m)


def _reduce(function: Callable[..., Tensor]) -> Operator:
    def run(node: Node, inputs: list[Any]) -> Tensor:
        axes = ints(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else node.attributes.get("axes")
        keep = bool(node.attributes.get("keepdims", 1))
        return function(inputs[0], tuple(axes) if axes else tuple(range(inputs[0].ndim)), keep)

    return run


def _unsqueeze(node: Node, inputs: list[Any]) -> Tensor:
    axes = ints(inputs[1]) if len(inputs) > 1 else node.attributes["axes"]
    rank = inputs[0].ndim + len(axes)
    y = inputs[0]
    for axis in sorted(a % rank for a in axes):
        y = y.unsqueeze(axis)
    return y


def _squeeze(node: Node, inputs: list[Any]) -> Tensor:
    x = inputs[0]
    axes = ints(inputs[1]) if len(inputs) > 1 and inputs[1] is not None else node.attributes.get("axes")
    axes = [a % x.ndim for a in axes] if axes else [i for i, s in enumerate(x.shape) if s == 1]
    return x.reshape([s for i, s in enumerate(x.shape) if i not in axes])


def _clip(node: Node, inputs: list[Any]) -> Tensor:
    low = inputs[1] if len(inputs) > 1 and inputs[1] is not None else node.attributes.get("min")
    high = inputs[2] if len(inputs) > 2 and inputs[2] is not None else node.attributes.get("max")
    y = inputs[0]
    if low is not None:
        y = torch.clamp(y, min=float(low))
    return y if high is None else torch.clamp(y, max=float(high))


def _cast(node: Node, inputs: list[Any]) -> Tensor:
    kind = onnx.helper.tensor_dtype_to_np_dtype(node.attributes["to"])
    if np.issubdtype(kind, np.floating):
        return inputs[0].to(
            torch.get_default_dtype() if not inputs[0].is_floating_point() else inputs[0].dtype
        )
    return inputs[0].to(torch.bool if kind == np.bool_ else torch.int64)


def _shape(node: Node, inputs: list[Any]) -> Tensor:
    full = list(inputs[0].shape)
    return torch.tensor(full[node.attributes.get("start", 0) : node.attributes.get("end")])


def _gather(node: Node, inputs: list[Any]) -> Tensor:
    x, index, axis = inputs[0], inputs[1], node.attributes.get("axis", 0)
    axis = axis % x.ndim
    index = torch.where(index < 0, index + x.shape[axis], index)
    y = x.index_select(axis, index.reshape(-1))
    return y.reshape(*x.shape[:axis], *index.shape, *x.shape[axis + 1 :])


def _snake_safe_pow(node: Node, inputs: list[Any]) -> Tensor:
    exponent = inputs[1]
    if exponent.numel() == 1 and float(exponent) == 2.0:
        return inputs[0] * inputs[0]
    return torch.pow(inputs[0], exponent.to(inputs[0].dtype))


def _constant(node: Node, inputs: list[Any]) -> Tensor:
    (key, value), *_ = node.attributes.items()
    array = numpy_helper.to_array(value) if key == "value" else np.asarray(value)
    if array.dtype == np.float64 and key != "value":
        array = array.astype(np.float32)
    return torch.from_numpy(np.array(array))


def _optional(inputs: list[Any], index: int) -> Any:
    return inputs[index] if len(inputs) > index else None


def _batchnorm(node: Node, i: list[Any]) -> Tensor:
    return F.batch_norm(i[0], i[3], i[4], i[1], i[2], False, 0.0, node.attributes.get("epsilon", 1e-5))


OPERATORS: dict[str, Operator] = {
    "Conv": lambda n, i: convolve(n, i[0], i[1], _optional(i, 2)),
    "ConvTranspose": lambda n, i: convolve_transposed(n, i[0], i[1], _optional(i, 2)),
    "Gemm": lambda n, i: gemm(n, i[0], i[1], _optional(i, 2)),
    "MatMul": lambda n, i: i[0] @ i[1],
    "Add": lambda n, i: i[0] + i[1],
    "Sub": lambda n, i: i[0] - i[1],
    "Mul": lambda n, i: i[0] * i[1],
    "Div": lambda n, i: i[0] / i[1] if i[0].is_floating_point() else i[0] // i[1],
    "Neg": lambda n, i: -i[0],
    "Abs": lambda n, i: i[0].abs(),
    "Sqrt": lambda n, i: i[0].sqrt(),
    "Reciprocal": lambda n, i: 1.0 / i[0],
    "Pow": _snake_safe_pow,
    "Exp": lambda n, i: i[0].exp(),
    "Log": lambda n, i: i[0].log(),
    "Sin": lambda n, i: i[0].sin(),
    "Cos": lambda n, i: i[0].cos(),
    "Relu": lambda n, i: F.relu(i[0]),
    "LeakyRelu": lambda n, i: F.leaky_relu(i[0], n.attributes.get("alpha", 0.01)),
    "PRelu": lambda n, i: torch.where(i[0] >= 0, i[0], i[0] * i[1]),
    "Elu": lambda n, i: F.elu(i[0], n.attributes.get("alpha", 1.0)),
    "Gelu": lambda n, i: F.gelu(i[0], approximate=n.attributes.get("approximate", "none")),
    "Tanh": lambda n, i: i[0].tanh(),
    "Sigmoid": lambda n, i: i[0].sigmoid(),
    "HardSigmoid": lambda n, i: torch.clamp(
        i[0] * n.attributes.get("alpha", 0.2) + n.attributes.get("beta", 0.5), 0, 1
    ),
    "Softplus": lambda n, i: F.softplus(i[0]),
    "Softmax": lambda n, i: F.softmax(i[0], n.attributes.get("axis", -1)),
    "Clip": _clip,
    "Min": lambda n, i: torch.minimum(i[0], i[1]) if len(i) > 1 else i[0],
    "Max": lambda n, i: torch.maximum(i[0], i[1]) if len(i) > 1 else i[0],
    "Concat": lambda n, i: (
        torch.cat(
            [
                t.expand(max(t.shape[0], *(u.shape[0] for u in i)), *t.shape[1:]) if t.ndim == 3 else t
                for t in i
            ],
            n.attributes["axis"],
        )
        if len(i) > 1
        else i[0]
    ),
    "Split": _split,
    "Slice": _slice,
    "Pad": _pad,
    "Reshape": _reshape,
    "Flatten": lambda n, i: i[0].flatten(n.attributes.get("axis", 1)),
    "Transpose": lambda n, i: i[0].permute(n.attributes.get("perm", list(range(i[0].ndim))[::-1])),
    "Squeeze": _squeeze,
    "Unsqueeze": _unsqueeze,
    "Expand": _expand,
    "Tile": lambda n, i: i[0].repeat(ints(i[1])),
    "Resize": _resize,
    "Gather": _gather,
    "Shape": _shape,
    "Size": lambda n, i: torch.tensor(i[0].numel()),
    "Cast": _cast,
    "CastLike": lambda n, i: i[0].to(i[1].dtype),
    "Identity": lambda n, i: i[0],
    "Dropout": lambda n, i: i[0],
    "Constant": _constant,
    "ConstantOfShape": lambda n, i: torch.full(
        ints(i[0]),
        numpy_helper.to_array(n.attributes["value"]).reshape(-1)[0].item()
        if "value" in n.attributes
        else 0.0,
    ),
    "Range": lambda n, i: torch.arange(i[0].item(), i[1].item(), i[2].item()),
    "Where": lambda n, i: torch.where(i[0].bool(), i[1], i[2]),
    "Equal": lambda n, i: i[0] == i[1],
    "Greater": lambda n, i: i[0] > i[1],
    "Less": lambda n, i: i[0] < i[1],
    "ReduceMean": _reduce(lambda x, axes, keep: x.mean(axes, keep)),
    "ReduceSum": _reduce(lambda x, axes, keep: x.sum(axes, keep)),
    "BatchNormalization": _batchnorm,
    "GRU": _gru,
}

DOMAIN_OPERATORS: dict[str, Operator] = {
    "PQMFSynthesis": pqmf_synthesis,
    "PQMFAnalysis": pqmf_analysis,
    "FilteredNoise": filtered_noise,
}


def operator_of(node: Node) -> Operator:
    """Find the function of a node.

    Raises
    ------
    Refusal
        If the operator is not one of docs/design.md#model-file.
    """
    table = DOMAIN_OPERATORS if node.is_domain else OPERATORS
    if node.op not in table or node.domain not in ("", "ai.onnx", "vaectrol"):
        raise Refusal(
            f"node {node.name!r} uses {node.domain + ':' if node.domain else ''}{node.op}, which "
            "can't be quantized "
            "or kept in float here; see quantize/README.md for the operators and what to use instead."
        )
    return table[node.op]


def evaluate_constant(node: Node, inputs: list[np.ndarray | None]) -> list[np.ndarray]:
    """Run a node on constants (float64 inside, so that folding adds no error).

    Raises
    ------
    FoldableError
        If the node must stay (unknown operator, random or control flow).
    """
    if node.op not in OPERATORS or node.op in ("GRU",):
        raise FoldableError
    tensors = [None if v is None else torch.from_numpy(np.array(v)) for v in inputs]
    try:
        out = OPERATORS[node.op](node, tensors)
    except (RuntimeError, TypeError, ValueError) as error:
        raise FoldableError from error
    results = [t.numpy() for t in (out if isinstance(out, tuple) else (out,))]
    return [r.astype(np.float32) if r.dtype == np.float64 else np.ascontiguousarray(r) for r in results]
