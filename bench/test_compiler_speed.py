"""Throughput of compiled decoders against onnxruntime and torch, block by block with explicit state.

``python -m pytest bench/test_compiler_speed.py --benchmark-only -s`` measures; the ratios are of one run on
one core. The same network three times: compiled to C in W8A16 and in float32; as ONNX whose states are
inputs and outputs; as the torch module that was exported.
"""

from __future__ import annotations

import json
import logging
import time
import warnings
from pathlib import Path

import numpy as np
import onnx
import pytest

from bench.live.peers import Bound
from bench.live.timing import machine
from common import model_metadata

FRAMES = 1  # one latent frame of 48 samples a block
SIZES = {"100k": (62, 3), "1M": (200, 3)}


def network(width: int, layers: int):
    """A causal decoder: latents at 1/48, residual layers, ×3, residual layers, ×16 to audio."""
    torch = pytest.importorskip("torch")
    from torch import nn
    from torch.nn import functional

    torch.set_num_threads(1)

    class Decoder(nn.Module):
        """States are the frames each convolution remembers."""

        def __init__(self):
            super().__init__()
            self.first = nn.Conv1d(8, width, 3)
            self.slow = nn.ModuleList(nn.Conv1d(width, width, 3, dilation=d) for d in (1, 3, 9)[:layers])
            self.up = nn.ConvTranspose1d(width, width // 2, 3, stride=3)
            self.fast = nn.ModuleList(
                nn.Conv1d(width // 2, width // 2, 3, dilation=d) for d in (1, 3, 9)[:layers]
            )
            self.mix = nn.ModuleList([nn.Conv1d(width, width, 1) for _ in range(4 * layers)])
            self.out = nn.ConvTranspose1d(width // 2, 1, 16, stride=16)

        def sizes(self):
            """Frames and channels remembered, layer by layer."""
            convs = [self.first, *self.slow, *self.fast]
            return [(c.in_channels, (c.kernel_size[0] - 1) * c.dilation[0]) for c in convs]

        def forward(self, z, *states):
            """With states: (audio, new states); without: the whole signal."""
            new: list = []

            def causal(conv, x):
                reach = (conv.kernel_size[0] - 1) * conv.dilation[0]
                x = functional.pad(x, (reach, 0)) if not states else torch.cat([states[len(new)], x], 2)
                new.append(x[:, :, -reach:])
                return conv(x)

            h = causal(self.first, z)
            for conv in self.slow:
                h = h + functional.leaky_relu(causal(conv, h), 0.2)
            for mix in self.mix:
                h = h + functional.leaky_relu(mix(h), 0.2)
            h = self.up(h)
            for conv in self.fast:
                h = h + functional.leaky_relu(causal(conv, h), 0.2)
            y = torch.tanh(self.out(h))
            return (y, *new) if states else y

    torch.manual_seed(0)
    return torch, Decoder().eval()


def exported(folder: Path, size: str):
    """The three forms of one network."""
    import onnxruntime

    from firmware.compiler.binding import load_host
    from firmware.compiler.pipeline import compile_onnx

    torch, net = network(*SIZES[size])
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    z = torch.randn(1, 8, 6)
    stream, stateful = folder / "stream.onnx", folder / "stateful.onnx"
    states = tuple(torch.zeros(1, c, n) for c, n in net.sizes())
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            net, (z,), str(stream), dynamo=False, opset_version=17, input_names=["z"], output_names=["audio"],
            dynamic_axes={"z": {2: "frames"}},
        )  # fmt: skip
        torch.onnx.export(
            net, (z[:, :, :FRAMES], *states), str(stateful), dynamo=False, opset_version=17,
            input_names=["z", *(f"s{i}" for i in range(len(states)))],
        )  # fmt: skip
    model = onnx.load(str(stream))
    model_metadata.write(model, {"inputs": [{"name": "z", "rate": "1/48"}]})
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(stateful), options, providers=["CPUExecutionProvider"])
    integer = load_host(compile_onnx(model, as_if_quantized=True))
    floating = load_host(compile_onnx(model, name="floating"))
    return torch, net, states, session, integer, floating, model


def rate(run, seconds: float = 1.0) -> float:
    """Blocks per second of processor time, the best of three: other programs take part in the wall's."""
    run()
    best = 0.0
    for _ in range(3):
        count, start = 0, time.process_time()
        while time.process_time() - start < seconds / 3:
            run()
            count += 1
        best = max(best, count / (time.process_time() - start))
    return best


@pytest.mark.parametrize("size", list(SIZES))
def test_throughput_block_by_block(benchmark, tmp_path, size):
    """Blocks of 48 samples per second, ours and theirs."""
    torch, net, states, session, integer, floating, _ = exported(tmp_path, size)
    z = np.random.default_rng(0).uniform(-1, 1, (8, FRAMES)).astype(np.float32)
    names, made = ([p.name for p in ports] for ports in (session.get_inputs(), session.get_outputs()))
    shapes = [tuple(s.shape) for s in states]
    theirs = Bound(session, list(zip(names[1:], made[1:], shapes, strict=True)))
    np.copyto(theirs.fed["z"], z[None])
    tensors = [torch.tensor(z)[None], *states]

    def by_torch():
        with torch.no_grad():
            tensors[1:] = net(*tensors)[1:]

    whole = {"integer": integer, "floating": floating}

    def in_c(name: str):
        """As a C program would: only the call itself, without numpy around it."""
        return _bare(whole[name], z)

    rates = {
        "compiled W8A16": rate(in_c("integer")),
        "compiled float32": rate(in_c("floating")),
        "onnxruntime float32": rate(theirs.run),
        "torch float32": rate(by_torch),
    }
    for other in ("onnxruntime float32", "torch float32"):
        for ours in ("compiled W8A16", "compiled float32"):
            benchmark.extra_info[f"{ours} / {other}"] = round(rates[ours] / rates[other], 1)
    benchmark.extra_info |= {f"{k} [blocks/s]": round(v) for k, v in rates.items()}
    benchmark.extra_info |= {"machine": machine()}
    print(size, sum(p.numel() for p in net.parameters()), json.dumps(benchmark.extra_info, indent=1))
    benchmark(in_c("integer"))


def _bare(model, z: np.ndarray):
    """One block of 48 samples through the C function, buffers prepared once."""
    out = np.zeros((1, 48 * FRAMES), np.float32)
    fed = np.ascontiguousarray(z)
    ins = model._hand_over("inputs", {model.inputs[0]["name"]: fed})
    outs = model._hand_over("outputs", {model.outputs[0]["name"]: out})
    process, state = model._function("process"), model.state

    def run():
        process(state, 48 * FRAMES, ins, outs)

    run.buffers = (fed, out)  # type: ignore[attr-defined]
    return run


def test_compile_time_of_a_million_parameters(benchmark, tmp_path):
    """ONNX to C to a Cortex-M7 object; the object is compiled anew each time."""
    from firmware import toolchain
    from firmware.compiler.pipeline import compile_onnx

    *_, model = exported(tmp_path, "1M")
    number = iter(range(1000))

    def whole():
        folder = tmp_path / f"fresh{next(number)}"
        program = compile_onnx(model, "m7", "patch_sm", as_if_quantized=True)
        program.write(folder)
        return toolchain.compile_source(folder / f"{program.name}.c", "m7")

    benchmark.pedantic(whole, rounds=3, iterations=1)
