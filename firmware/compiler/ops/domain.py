"""The domain operators, known by name: PQMF analysis and synthesis, filtered noise.

Their ONNX bodies compute the same with standard operators. A bank that is not a cosine-modulated prototype
(to 1e-6) is computed directly, as the convolution it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from common.refusal import Refusal
from firmware.compiler.graph import Attributes, Constant, Graph, Node
from firmware.compiler.ops.base import Family, Window, Work, family, reader
from firmware.compiler.ops.conv import ConvAttributes, ConvTransposeAttributes, convolve, convolve_transposed
from firmware.compiler.read.builder import Builder
from firmware.compiler.read.onnx_nodes import OnnxNode
from firmware.compiler.write.writer import Writer
from firmware.kernelgen import pqmf

MODULATION_TOLERANCE = 1e-6
FAST_BANDS = (2, 4, 8, 16, 32, 64)


@dataclass(frozen=True)
class PQMFAttributes(Attributes):
    """A bank of ``bands`` bands."""

    bands: int


@dataclass(frozen=True)
class NoiseAttributes(Attributes):
    """Noise in ``bands`` bands through filters of ``taps`` taps, each of which holds for ``hop`` samples."""

    bands: int
    taps: int
    hop: int
    seed: int


def modulated(prototype: np.ndarray, bands: int, synthesis: bool) -> np.ndarray:
    """Cosine-modulated bank: ``2·p[n]·cos((2k+1)·π/(2M)·(n − (L−1)/2) ± (−1)^k·π/4)``, minus for synthesis.

    Rothweiler, "Polyphase quadrature filters", ICASSP 1983.

    Returns
    -------
    ndarray, shape (bands, len(prototype))
    """
    k = np.arange(bands)[:, None]
    n = np.arange(prototype.size)[None, :] - (prototype.size - 1) / 2
    phase = (-1.0) ** k * np.pi / 4 * (-1.0 if synthesis else 1.0)
    return 2.0 * prototype[None, :] * np.cos((2 * k + 1) * np.pi / (2 * bands) * n + phase)


@reader("PQMFSynthesis", "PQMFAnalysis")
def read_pqmf(builder: Builder, node: OnnxNode) -> None:
    """Recognise the fast form, else write the convolution."""
    source = builder.canonical(node.input[0])
    bank, prototype = builder.const(node.input[1]).real, builder.const(node.input[2]).real.reshape(-1)
    channels, length = builder.shapes[source][1:]
    synthesis = node.op_type == "PQMFSynthesis"
    if bank.ndim != 3 or bank.shape[1] != 1 or bank.shape[2] < bank.shape[0] or not np.all(np.isfinite(bank)):
        raise Refusal(f"its bank has the shape {list(bank.shape)}; give [bands, 1, taps] with taps ≥ bands.")
    bands, _, taps = bank.shape
    if channels != (bands if synthesis else 1):
        raise Refusal(f"its input has {channels} channels, its bank {bands} bands.")
    fast = (
        bands in FAST_BANDS
        and prototype.size == taps
        and taps % (2 * bands) == 0
        and float(np.abs(modulated(prototype, bands, synthesis) - bank[:, 0]).max()) <= MODULATION_TOLERANCE
    )
    if fast:
        result = builder.add_node(
            node.op_type,
            [source],
            channels=1 if synthesis else bands,
            length=length * bands if synthesis else length // bands,
            hint=node.output[0],
            attrs=PQMFAttributes(bands),
            constants={"bank": Constant(bank[:, 0]), "prototype": Constant(prototype)},
        )
    elif synthesis:
        result = builder.add_node(
            "ConvTranspose",
            [source],
            channels=1,
            length=length * bands,
            hint=node.output[0],
            attrs=ConvTransposeAttributes(stride=bands, trim=taps - bands),
            constants={"weight": Constant(np.ascontiguousarray(bank.transpose(1, 0, 2)))},
        )
    else:
        result = builder.add_node(
            "Conv",
            [source],
            channels=bands,
            length=length // bands,
            hint=node.output[0],
            attrs=ConvAttributes(stride=bands, before=taps - bands, padded=taps - bands),
            constants={"weight": Constant(np.ascontiguousarray(bank[:, :, ::-1]))},
        )
    builder.result(node, result)


@family(PQMFSynthesis=PQMFAttributes, PQMFAnalysis=PQMFAttributes)
class PQMF(Family):
    """Polyphase filter and fast cosine transform; the kernel keeps its own history."""

    def produce(self, node: Node) -> int:
        """One frame of subbands gives ``bands`` samples."""
        return node.attributes_as(PQMFAttributes).bands if node.op == "PQMFSynthesis" else 1

    def windows(self, node: Node) -> tuple[Window, ...]:
        """The analysis waits for the newest of its ``bands`` samples: frame t ends at (t+1)·M − 1."""
        if node.op == "PQMFSynthesis":
            return (Window(),)
        bands = node.attributes_as(PQMFAttributes).bands
        return (Window(bands, 0, bands - 1),)

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Times or divided by the bands."""
        bands = node.attributes_as(PQMFAttributes).bands
        return lengths[0] * bands if node.op == "PQMFSynthesis" else lengths[0] // bands

    def _folds(self, node: Node) -> int:
        return node.constants["prototype"].values.size // (2 * node.attributes_as(PQMFAttributes).bands)

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """Floats the kernel asks for."""
        return 4 * pqmf.state_floats(node.attributes_as(PQMFAttributes).bands, self._folds(node))

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The direct form."""
        (x,) = inputs
        bank, bands = node.constants["bank"].real, node.attributes_as(PQMFAttributes).bands
        taps = bank.shape[1]
        if node.op == "PQMFSynthesis":
            return convolve_transposed(x, bank[None], bands, 1, 1, 0, taps - bands)
        return convolve(x, bank[:, None, ::-1], bands, 1, 1, taps - bands, 0)

    def work(self, node: Node, graph: Graph) -> Work:
        """Prototype taps and a fast transform of size M: L + M·log2(M) multiply-accumulates a frame."""
        bands, taps = node.attributes_as(PQMFAttributes).bands, node.constants["prototype"].values.size
        macs = taps + int(bands * np.log2(bands)) + 2 * bands
        outputs = bands
        name = "pqmf_synthesis" if node.op == "PQMFSynthesis" else "pqmf_analysis"
        return Work(
            name,
            macs=macs,
            outputs=outputs,
            reads=4 * bands + 4 * taps,
            weight_bytes=4 * taps,
            shape=(bands, taps),
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_pqmf_synthesis`` or ``vk_pqmf_analysis``."""
        synthesis = node.op == "PQMFSynthesis"
        bands, prototype = node.attributes_as(PQMFAttributes).bands, node.constants["prototype"].real
        tables = pqmf.tables(prototype, bands, synthesis=synthesis)
        window = out.flat("window", "float32", tables.window)
        twiddle = out.flat("twiddle", "float32", tables.twiddle)
        folds = tables.folds
        bank = out.table("vk_pqmf", "bank", f"{{{window}, {twiddle}, {bands}, {folds}}}")
        state = out.state("float", tables.state_floats)
        subbands = graph.tensors[node.inputs[0] if synthesis else node.outputs[0]]
        if synthesis:
            out.call(
                "vk_pqmf_synthesis", f"&{bank}", state, out.src(0), subbands.frame, out.dst(), out.frames
            )
        else:
            out.call("vk_pqmf_analysis", f"&{bank}", state, out.src(0), out.dst(), subbands.frame, out.frames)


def hash32(x: np.ndarray) -> np.ndarray:
    """Hash 32-bit integers: Wellons' "lowbias32" (nullprogram.com/blog/2018/07/31)."""
    x = x.astype(np.uint32)
    with np.errstate(over="ignore"):
        x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
        x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))


def counted_noise(bands: int, samples: int, seed: int) -> np.ndarray:
    """Noise of a band and a sample number: ``int32(hash32(m·B + b + seed·0x9E3779B9)) / 2^31``.

    Returns
    -------
    ndarray of float64, shape (bands, samples)
    """
    m = np.arange(samples, dtype=np.int64)[None, :] * bands + np.arange(bands, dtype=np.int64)[:, None]
    words = (m + (seed % 2**32) * 0x9E3779B9) % 2**32
    return hash32(words).astype(np.int32).astype(np.float64) / 2.0**31


@reader("FilteredNoise")
def read_noise(builder: Builder, node: OnnxNode) -> None:
    """Noise through filters that change per frame."""
    source = builder.canonical(node.input[0])
    channels, length = builder.shapes[source][1:]
    values = {key: int(node.attributes[key]) for key in ("bands", "taps", "hop", "seed")}
    if min(values["bands"], values["taps"], values["hop"]) < 1 or max(values["taps"], values["hop"]) > 65535:
        raise Refusal("its bands, taps and hop must be 1 to 65535.")
    if channels != values["bands"] * values["taps"]:
        raise Refusal(
            f"its input has {channels} channels, but bands × taps is {values['bands'] * values['taps']}."
        )
    result = builder.add_node(
        "FilteredNoise",
        [source],
        channels=values["bands"],
        length=length * values["hop"],
        hint=node.output[0],
        attrs=NoiseAttributes(**values),
    )
    builder.result(node, result)


@family(FilteredNoise=NoiseAttributes)
class FilteredNoise(Family):
    """Counts samples since reset, so that it repeats exactly."""

    def produce(self, node: Node) -> int:
        """``hop`` frames per set of filters."""
        return node.attributes_as(NoiseAttributes).hop

    def length(self, node: Node, lengths: Sequence[int]) -> int:
        """Times the hop."""
        return lengths[0] * node.attributes_as(NoiseAttributes).hop

    def state_bytes(self, node: Node, graph: Graph) -> int:
        """The sample count."""
        return 4

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """The definition."""
        (x,) = inputs
        a = node.attributes_as(NoiseAttributes)
        bands, taps, hop = a.bands, a.taps, a.hop
        samples = x.shape[1] * hop
        noise = counted_noise(bands, samples, a.seed)
        held = np.repeat(x.reshape(bands, taps, -1), hop, axis=2)
        total = np.zeros((bands, samples))
        for k in range(min(taps, samples)):
            total[:, k:] += held[:, k, k:] * noise[:, : samples - k]
        return total

    def work(self, node: Node, graph: Graph) -> Work:
        """A short FIR, and one hash a sample."""
        a = node.attributes_as(NoiseAttributes)
        return Work(
            "filtered_noise",
            macs=a.bands * a.taps * a.hop,
            outputs=a.bands * a.hop,
            reads=4 * a.bands * a.taps,
            shape=(a.bands, a.taps, a.hop),
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_filtered_noise``."""
        x, y = graph.tensors[node.inputs[0]], graph.tensors[node.outputs[0]]
        a = node.attributes_as(NoiseAttributes)
        table = out.table("vk_noise", "noise", f"{{{a.seed % 2**32}u, {a.bands}, {a.taps}, {a.hop}}}")
        state = out.state("vk_noise_state", 1)
        out.call("vk_filtered_noise", f"&{table}", state, out.src(0), x.frame, out.dst(), y.frame, out.frames)
