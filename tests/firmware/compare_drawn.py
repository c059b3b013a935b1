"""Draw valid ONNX graphs from the operator schemas and hold the compiler to onnxruntime on each.

    python -m tests.firmware.compare_drawn --count 2000 [--seed 1] [--first 0] [-o results.json]

Each graph must be refused in a sentence, or give onnxruntime's numbers: by the reference, and by the compiled
C on this computer (``--host-every`` says of how many). Status 1 when one gives other numbers, ends in a
traceback, or is refused only because the compiler's own witness noticed that it was misread. A process of its
own does the work, since onnxruntime itself ends some graphs by an abort; these are drawn again. With ``-o``
the counts so far are kept, and the same command goes on where it stopped.
"""

from __future__ import annotations

import argparse
import collections
import json
import multiprocessing
import resource
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import onnx

from common.files import write_json
from common.refusal import Refusal
from firmware.compiler.binding import EventModel, StreamModel, load_host
from firmware.compiler.judge.reference import run
from firmware.compiler.pipeline import compile_onnx
from tests.firmware.drawn_graphs import Drawn, draw_attempt, run_model

KINDS = ("agreed", "refused", "misread", "wrong", "crash")
"""What may become of a graph; the last three are faults."""
TOLERANCE = {"float16": 2e-2, "float32": 1e-4, "float64": 1e-4}
PATIENCE_SECONDS = {"draw": 20, "judge": 300}
"""A drawing that onnxruntime works on for longer is drawn again; a graph that takes longer is a fault."""
MOST_BYTES = 3 << 30
"""Of a worker: some drawings make onnxruntime ask for all memory that there is."""
LATEST = 2048
BEHIND = 4096
"""Frames of silence after a stream's signal: more than any of these graphs delays."""


def verdict(drawn: Drawn, on_host: bool) -> tuple[str, str]:
    """What the compiler makes of a graph, and a line about it."""
    try:
        program = compile_onnx(drawn.model, "host", name="m")
    except Refusal as refusal:
        noticed = "report this file" in str(refusal)
        return ("misread" if noticed else "refused"), str(refusal)
    except Exception as error:
        return "crash", f"{type(error).__name__}: {error}"
    wanted, feeds = run_model(drawn.model, drawn.feeds), drawn.feeds
    assert wanted is not None, "it ran while it was drawn"
    if drawn.streams:
        # A stream goes on: silence follows, for onnxruntime too, and what it makes of its end is left out.
        feeds = {n: np.pad(v, ((0, 0), (0, 0), (0, BEHIND))) for n, v in drawn.feeds.items()}
        longer = run_model(drawn.model, feeds)
        if longer is None:
            return "wrong", "it was compiled, and onnxruntime runs it at one length only"
        wanted = {n: _begin(longer[n], v) for n, v in wanted.items()}
    off = _worst(wanted, run(program.graph, feeds), drawn, latest=0)
    if off:
        return "wrong", f"the reference: {off}"
    if on_host:
        off = _worst(wanted, _by_host(load_host(program), feeds, drawn.streams), drawn)
        if off:
            return "wrong", f"the C: {off}"
    return "agreed", ""


def _begin(longer: np.ndarray, short: np.ndarray) -> np.ndarray:
    """The beginning of an output, as long as it was of the shorter signal."""
    axes = [a for a, (n, m) in enumerate(zip(longer.shape, short.shape, strict=True)) if n != m]
    return longer[tuple(slice(0, n) for n in short.shape)] if axes else longer


def _by_host(
    library: StreamModel | EventModel, feeds: dict[str, np.ndarray], streams: bool
) -> dict[str, np.ndarray]:
    """What the compiled C makes: an event at once, a stream at one go."""
    laid = {
        n: np.asarray(v, np.float32).reshape(v.shape[-2:] if v.ndim > 2 else (-1, 1))
        for n, v in feeds.items()
    }
    if not streams:
        return library.evaluate(laid)
    return library.process(laid, max(v.shape[1] for v in laid.values()))


def _worst(
    wanted: dict[str, np.ndarray], found: dict[str, np.ndarray], drawn: Drawn, latest: int = LATEST
) -> str:
    """The first output that is another, in words; "" where none is. ``latest``: most frames of delay."""
    narrow = "float16" if any(v.dtype == np.float16 for v in drawn.feeds.values()) else "float32"
    for name, value in wanted.items():
        want, got = np.asarray(value, np.float64), np.asarray(found[name], np.float64)
        off = distance(want, got, latest)
        peak = max(float(np.abs(want).max()), 1e-3)
        if off is None:
            return f"output {name!r} has {got.size} numbers instead of {want.size}"
        if not off <= TOLERANCE[narrow] * peak:
            return f"output {name!r} is {off:.3g} off a peak of {peak:.3g}"
    return ""


def distance(want: np.ndarray, got: np.ndarray, latest: int = LATEST) -> float | None:
    """Largest difference, at the best delay where a stream goes on; None where the sizes do not fit."""
    if got.size == want.size:
        return float(np.abs(got.ravel() - want.ravel()).max())
    if want.size % got.shape[0] or want.size // got.shape[0] > got.shape[1]:
        return None
    rows = want.reshape(got.shape[0], -1)
    ends = range(min(got.shape[1] - rows.shape[1], latest) + 1)
    return min(float(np.abs(got[:, e : e + rows.shape[1]] - rows).max()) for e in ends)


def _work(pipe: Connection, seed: int, host_every: int) -> None:
    """Judge numbers that arrive, saying before each attempt what is tried."""
    resource.setrlimit(resource.RLIMIT_DATA, (MOST_BYTES, MOST_BYTES))
    while True:
        number, attempt = pipe.recv()
        while True:
            pipe.send(("draw", attempt, ""))
            drawn = draw_attempt(seed, number, attempt)
            if drawn is not None:
                break
            attempt += 1
        pipe.send(("judge", attempt, drawn.about))
        kind, said = verdict(drawn, host_every > 0 and number % host_every == 0)
        pipe.send((kind, attempt, f"{drawn.about}: {said}"))


class Worker:
    """A process that judges graphs, started anew when it dies."""

    def __init__(self, seed: int, host_every: int):
        self.arguments = (seed, host_every)
        self.start()

    def start(self) -> None:
        """Start the process."""
        # forked from a process that has imported everything: onnxruntime ends one worker in ninety graphs
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["tests.firmware.compare_drawn"])
        self.pipe, far = context.Pipe()
        self.process = context.Process(target=_work, args=(far, *self.arguments), daemon=True)
        self.process.start()
        far.close()

    def judge(self, number: int) -> tuple[str, str]:
        """Kind and line of one graph."""
        attempt = 0
        self.pipe.send((number, attempt))
        stage, about = "draw", ""
        while True:
            try:
                if not self.pipe.poll(PATIENCE_SECONDS[stage]):
                    raise EOFError
                stage, attempt, about = self.pipe.recv()
            except (EOFError, ConnectionResetError):
                self.process.kill()
                self.process.join()
                self.start()
                if stage == "judge":
                    return "crash", f"{about}: the process ended, or took {PATIENCE_SECONDS[stage]} s"
                attempt += 1
                self.pipe.send((number, attempt))
                continue
            if stage in KINDS:
                return stage, about


def main() -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--first", type=int, default=0, help="number of the first graph")
    parser.add_argument("--host-every", type=int, default=1, help="compile the C of every n-th (0: of none)")
    parser.add_argument("-o", "--out", type=Path, help="where the counts are kept")
    chosen = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    faults: list[str] = []
    done = 0
    if chosen.out and chosen.out.is_file():
        kept = json.loads(chosen.out.read_text())
        if (kept["seed"], kept["first"]) == (chosen.seed, chosen.first):
            counts.update(kept["counts"])
            faults, done = kept["faults"], kept["graphs"]
    worker, began = Worker(chosen.seed, chosen.host_every), time.monotonic()
    for number in range(chosen.first + done, chosen.first + chosen.count):
        kind, about = worker.judge(number)
        counts[kind] += 1
        done += 1
        if kind not in KINDS[:2]:
            faults.append(f"{number}: {kind}: {about}"[:400])
            print(faults[-1], flush=True)
        if chosen.out and (done % 100 == 0 or done == chosen.count):
            state = {"seed": chosen.seed, "first": chosen.first, "graphs": done, "counts": dict(counts)}
            versions = {"onnx": onnx.__version__}
            write_json(chosen.out, {**state, "faults": faults, "versions": versions})
    shown = ", ".join(f"{counts[kind]} {kind}" for kind in KINDS)
    print(f"{done} graphs of seed {chosen.seed}: {shown}; {time.monotonic() - began:.0f} s")
    worker.process.kill()
    return 1 if any(counts[kind] for kind in KINDS[2:]) else 0


if __name__ == "__main__":
    sys.exit(main())
