"""Ask a module what its callbacks cost: the bench image counts DWT cycles per layer and answers over serial.

These figures are *measured*, by the board itself; the report prints them beside the predicted ones.
"""

from __future__ import annotations

import time
from typing import Any

from common.refusal import Refusal

SAMPLES = 5
PAUSE_S = 0.4


def measure_device(port: str, samples: int = SAMPLES) -> dict[str, Any]:
    """Read the counters several times.

    Returns
    -------
    dict
        ``measured``: the last answer as fractions of a callback, ``who``, ``answers``; ``incomplete`` with
        a sentence where the port vanished half-way (what came before is kept).

    Raises
    ------
    Refusal
        Nobody answers, or the image does not count cycles.
    """
    from hardware.protocol import Link

    answers: list[dict[str, Any]] = []
    incomplete = ""
    with Link(port) as link:
        hello = link.hello()
        if not hello.counts_cycles:
            raise Refusal(
                f"{port}: the module runs {hello.instrument} without counters; build its bench image with "
                "`vaectrol build --bench` and flash that."
            )
        for k in range(samples):
            try:
                answers.append(_checked(link.ask("bench"), port))
            except Refusal as refusal:
                incomplete = str(refusal)
                break
            if k + 1 < samples:
                time.sleep(PAUSE_S)
    if not answers:
        raise Refusal(incomplete)
    last = answers[-1]
    budget = float(last["budget"])
    return {
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
        "cpu": {name: float(last[name]) / budget for name in ("mean", "worst", "p99")},
        "layers": last.get("layers", []),
        "answers": len(answers),
        **({"incomplete": incomplete} if incomplete else {}),
    }


def _checked(answer: dict[str, Any], port: str) -> dict[str, Any]:
    """Refuse an answer that is not one of the bench image's."""
    for name in ("clock_hz", "budget", "callbacks", "mean", "worst", "p99"):
        value = answer.get(name)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise Refusal(
                f"{port}: the answer to bench has no sensible {name!r} ({value!r}); is it a bench image?"
            )
    if answer["budget"] <= 0:
        raise Refusal(f"{port}: the answer to bench says that a callback has no time; is it a bench image?")
    return answer
