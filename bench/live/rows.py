"""Networks of many sizes at many blocks, ours beside the peers, in one run: ``python -m bench.live.rows``.

``--capture FLOAT.onnx INT8.onnx [W8A8.onnx]`` adds a row of a capture. Measured, on this machine: the time of
a block that one in ten beats, the better of two turns, so that what else the machine does counts little. What
differs from the peers' is our integers, W8A16; onnxruntime has a W8A8 network of the same shape too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from bench.live import peers
from bench.live.explicit_state import with_states
from bench.live.host import callback, streamed
from bench.live.timing import machine, pinned
from bench.reference_decoders import FORMATS, nano, tcn
from common.files import write_json

Step = Callable[[], object]
BLOCKS = (48, 128, 512)
SECONDS, FEWEST, TURNS = 0.15, 10, 2
NETWORKS: dict[str, Callable[[str], Any]] = {
    "nano": nano,
    "TCN 16, tanh": lambda form: tcn(form, 16, "Tanh"),
    "TCN 32, tanh": lambda form: tcn(form, 32, "Tanh"),
    "10 k": lambda form: tcn(form, 20),
    "100 k": lambda form: tcn(form, 64),
    "1 M": lambda form: tcn(form, 204),
    "4 M": lambda form: tcn(form, 408),
}


def steps(files: dict[str, Path], block: int, to_tflite: peers.ToTflite) -> dict[str, Step]:
    """One block of every runtime; files: float, w8a16 and where there is one w8a8."""
    made: dict[str, Step] = {}
    for form, name in (("w8a16", "ours, W8A16"), ("float", "ours, float")):
        made[name] = callback(streamed(files[form], block)[0], block)
    model, states = with_states(files["float"])
    feeds = peers.fixed_feeds(model, files["float"], block)
    made["onnxruntime"] = peers.onnxruntime_step(model, states, feeds)
    made["LiteRT"] = peers.litert_step(model, states, feeds, to_tflite)
    made["TorchScript"] = peers.torch_step(model, states, feeds, scripted=True)
    if "w8a8" in files:
        model, states = with_states(files["w8a8"])
        feeds = peers.fixed_feeds(model, files["w8a8"], block)
        made["onnxruntime, W8A8"] = peers.onnxruntime_step(model, states, feeds)
    return made


def microseconds(step: Step) -> float:
    """Time of a block that one in ten beats."""
    spent: list[float] = []
    end = time.perf_counter() + SECONDS
    for _ in range(3):
        step()
    while len(spent) < FEWEST or time.perf_counter() < end:
        start = time.perf_counter()
        step()
        spent.append(time.perf_counter() - start)
    return 1e6 * float(np.percentile(spent, 10))


def main() -> None:
    """Measure every row and write them with the machine."""
    import onnx

    from vaectrol import BETWEEN_ROOMS

    options = argparse.ArgumentParser(description=str(__doc__).splitlines()[0])
    options.add_argument("-o", "--out", type=Path, default=Path("rows.json"))
    options.add_argument(
        "--capture",
        nargs="+",
        type=Path,
        metavar="MODEL.onnx",
        help="in float, W8A16 and, for onnxruntime, W8A8",
    )
    asked = options.parse_args()
    if asked.capture and len(asked.capture) not in (2, 3):
        options.error("--capture takes two models, float and W8A16, or three, W8A8 last.")
    rows: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as kept, pinned():
        for name, build in NETWORKS.items():
            files = {form: Path(kept) / f"{len(rows)}.{form}.onnx" for form in FORMATS}
            for form, path in files.items():
                onnx.save(build(form), str(path))
            _measure(name, files, rows, BETWEEN_ROOMS["float_tflite"])
        if asked.capture:
            files = dict(zip(FORMATS, asked.capture, strict=False))
            _measure("capture", files, rows, BETWEEN_ROOMS["float_tflite"])
    write_json(asked.out, {"machine": machine(), "microseconds": rows})


def _measure(
    name: str, files: dict[str, Path], rows: dict[str, dict[str, float]], to_tflite: peers.ToTflite
) -> None:
    """Time a network at every block; ratios are the peers' times over that of our integers."""
    for block in BLOCKS:
        made = steps(files, block, to_tflite)
        times = {key: min(microseconds(step) for _ in range(TURNS)) for key, step in made.items()}
        rows[f"{name}, {block}"] = times
        ours = times["ours, W8A16"]
        ratios = ", ".join(f"{key} {value / ours:.2f}" for key, value in times.items())
        print(f"{name}, block {block}: {ours:.1f} us; {ratios}", flush=True)


if __name__ == "__main__":
    main()
