"""Where the graph meets the caller: planar float channels outside, frames side by side inside."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from firmware.compiler.graph import WIDTH, Attributes, Graph, Node
from firmware.compiler.ops.base import Family, Window, Work, family
from firmware.compiler.write.writer import Writer


@dataclass(frozen=True)
class EndpointAttributes(Attributes):
    """An input or output of the model.

    Attributes
    ----------
    label : str
        Its name in the file.
    delay : int
        Frames that an output is late.
    """

    label: str
    delay: int = 0


@family(Input=EndpointAttributes, Output=EndpointAttributes)
class Endpoints(Family):
    """``Input`` fetches frames as the caller hands them over; ``Output`` delivers them on its own clock.

    An output that cannot be ready in time is delivered ``delay`` frames later, zeros first; that is the
    model's latency. A quantization beside it is done on the way.
    """

    def windows(self, node: Node) -> tuple[Window, ...]:
        """An output looks back by its delay."""
        if node.op == "Input":
            return ()
        delay = node.attributes_as(EndpointAttributes).delay
        return (Window(1, delay, -delay),)

    def reference(self, node: Node, graph: Graph, inputs: list[np.ndarray]) -> np.ndarray:
        """Endpoints are added after the last offline evaluation."""
        raise NotImplementedError(node.op)

    def work(self, node: Node, graph: Graph) -> Work:
        """A conversion or a copy."""
        tensor = graph.tensors[(node.outputs or node.inputs)[0]]
        kernel = "gather" if tensor.quant is None else ("quantize" if node.op == "Input" else "dequantize")
        return Work(
            kernel, outputs=tensor.channels, reads=4 * tensor.channels + WIDTH[tensor.dtype] * tensor.channels
        )

    def emit(self, node: Node, graph: Graph, out: Writer) -> None:
        """Call ``vk_quantize_f32_…``, ``vk_dequantize_…_f32`` or ``vk_gather_f32``."""
        if node.op == "Input":
            y = graph.tensors[node.outputs[0]]
            pointer, stride = out.buffer()
            if y.quant is None:
                out.call("vk_gather_f32", pointer, 1, stride, out.dst(), y.frame, 1, out.frames, y.channels)
            else:
                out.call(
                    f"vk_quantize_f32_{out.suffix(y)}",
                    out.number("scale", y.quant.scale),
                    pointer,
                    1,
                    stride,
                    out.dst(),
                    y.frame,
                    out.frames,
                    y.channels,
                )
                out.clip()
            return
        x = graph.tensors[node.inputs[0]]
        pointer, stride = out.buffer()
        if x.quant is None:
            out.call("vk_gather_f32", out.src(0), x.frame, 1, pointer, 1, stride, out.frames, x.channels)
        else:
            out.call(
                f"vk_dequantize_{out.suffix(x)}_f32",
                out.number("scale", x.quant.scale),
                out.src(0),
                x.frame,
                pointer,
                1,
                stride,
                out.frames,
                x.channels,
            )
