"""Ask a module what its callbacks cost: the bench image counts DWT cycles per layer and answers over serial.

These figures are *measured*, by the board itself; the report prints them beside the predicted ones.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import NotRequired, TypedDict, cast

from bench.report.schema import Device
from common.refusal import Refusal

SAMPLES = 5
PAUSE_S = 0.4


class Answer(TypedDict):
    """What a bench image answers: cycles, of a callback where nothing else is said; see the protocol."""

    clock_hz: float
    budget: float
    callbacks: float
    mean: float
    worst: float
    p99: float
    layers: NotRequired[list[list[float]]]


def measure_device(serial: str, samples: int = SAMPLES) -> Device:
    """Read the counters several times.

    Parameters
    ----------
    serial : str
        Serial device.

    Returns
    -------
    Device
        The last answer as shares of a callback; ``incomplete`` with a sentence where the device vanished
        half-way (what came before is kept).

    Raises
    ------
    Refusal
        Nobody answers, or the image does not count cycles.
    """
    from hardware.protocol import Link

    answers: list[Answer] = []
    incomplete = ""
    with Link(serial) as link:
        hello = link.hello()
        if not hello.counts_cycles:
            raise Refusal(
                f"{serial}: the module runs {hello.instrument} without counters; build its bench image with "
                "`vaectrol build --bench` and flash that."
            )
        for k in range(samples):
            try:
                answers.append(_checked(link.ask("bench"), serial))
            except Refusal as refusal:
                incomplete = str(refusal)
                break
            if k + 1 < samples:
                time.sleep(PAUSE_S)
    if not answers:
        raise Refusal(incomplete)
    last = answers[-1]
    budget = float(last["budget"])
    found: Device = {
        "who": {
            "board": hello.board,
            "instrument": hello.instrument,
            "model": hello.model,
            "version": hello.version,
        },
        "block": hello.block,
        "callbacks": int(last["callbacks"]),
        "clock_hz": int(last["clock_hz"]),
        "cycles_per_callback": budget,
        "cpu": {
            "mean": float(last["mean"]) / budget,
            "worst": float(last["worst"]) / budget,
            "p99": float(last["p99"]) / budget,
        },
        "layers": last.get("layers", []),
        "answers": len(answers),
    }
    if incomplete:
        found["incomplete"] = incomplete
    return found


def _checked(answer: Mapping[str, object], serial: str) -> Answer:
    """Refuse an answer that is not one of the bench image's."""
    for name in ("clock_hz", "budget", "callbacks", "mean", "worst", "p99"):
        value = answer.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise Refusal(
                f"{serial}: the answer to bench has no sensible {name!r} ({value!r}); is it a bench image?"
            )
    checked = cast(Answer, answer)
    if checked["budget"] <= 0:
        raise Refusal(f"{serial}: the answer to bench says that a callback has no time; is it a bench image?")
    return checked
