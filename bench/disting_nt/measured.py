"""What a plug-in built with ``--counters`` found on a real module, beside what was predicted for it.

The plug-in sends its counters as System Exclusive, text between F0 7D and F7, or shows them on the
display, where they can be typed off, ``key=value`` in lines (`firmware/ports/disting_nt/counters.c`).
Nothing else is in it: no name of a person, no serial number, nothing of a preset.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NotRequired, TypedDict

from common.refusal import Refusal

HEAD = "vaectrol counters 1"
SYSEX = re.compile(rb"\xf0\x7d([\x00-\x7f]*)\xf7")
NUMBERS = ("rate", "steps", "worst", "window_steps", "window_frames", "window_spent", "window_passed")
NEEDED = ("worst", "window_frames", "window_spent", "window_passed")
WORDS = ("instrument", "version", "model")
WINDOW_STEPS = 1024
"""Of a window, where the file does not say."""
LARGEST_BYTES = 65_536
CLOCKS_HZ = (50e6, 2e9)
"""A clock outside of this is a slip of the pen."""


@dataclass(frozen=True)
class Counters:
    """One reading of a module's counters; see docs/manuals/first-measurements.md."""

    instrument: str
    version: str
    model: str
    rate: int
    steps: int
    worst: int
    window_steps: int
    window_frames: int
    window_spent: int
    window_passed: int

    @property
    def clock_hz(self) -> float:
        """The processor's clock, by the audio's: cycles that passed in so many frames."""
        return self.window_passed * self.rate / self.window_frames

    @property
    def frames_per_step(self) -> float:
        """The module's buffer size."""
        return self.window_frames / self.window_steps

    @property
    def cpu_mean(self) -> float:
        """Share of all cycles that the instrument took."""
        return self.window_spent / self.window_passed

    @property
    def cpu_worst(self) -> float:
        """Of one step's cycles, in the worst since the instance was made."""
        return self.worst / (self.window_passed / self.window_steps)


class Measured(TypedDict):
    """What ``vaectrol bench --from-module --json`` prints, and what an owner may send."""

    format: str
    board: str
    instrument: str
    version: str
    model: str
    sample_rate_hz: int
    frames_per_step: float
    steps: int
    clock_hz: float
    mean_cycles: float
    worst_cycles: int
    cpu_mean: float
    cpu_worst: float
    predicted_cpu_mean: NotRequired[float]
    predicted_cpu_worst: NotRequired[float]


def read_counters(path: Path) -> Counters:
    """Read a recording of the plug-in's message, or what was typed off its display.

    Raises
    ------
    Refusal
        No such file, a file without counters, or figures that are missing or cannot belong together.
    """
    try:
        raw = path.read_bytes()[: LARGEST_BYTES + 1]
    except OSError as error:
        raise Refusal(f"cannot read {path}: {error.strerror}.") from None
    found = SYSEX.findall(raw)
    if found:
        raw = found[-1]  # the newest, where several were recorded
    elif b"\xf0" in raw:
        raise Refusal(
            f"{path} is a MIDI recording without a whole message of a plug-in; record it once more."
        )
    try:
        text = raw.decode("ascii")
    except UnicodeDecodeError:
        raise Refusal(
            f"{path} is neither a recording of the plug-in's message (.syx) nor text typed off its display."
        ) from None
    return _counters(path, _said(path, text))


def _said(path: Path, text: str) -> dict[str, str]:
    said = {}
    for number, line in enumerate(text.replace("\r", "\n").split("\n"), start=1):
        plain = line.split("#")[0].strip()
        if not plain or plain == HEAD:
            continue
        key, equals, value = (part.strip() for part in plain.partition("="))
        if not equals or key not in (*NUMBERS, *WORDS):
            raise Refusal(
                f"{path.name} line {number} is {plain[:40]!r}; write KEY=NUMBER with one of "
                f"{', '.join((*NUMBERS, *WORDS))}."
            )
        said[key] = value
    return said


def _counters(path: Path, said: dict[str, str]) -> Counters:
    missing = [key for key in NEEDED if key not in said]
    if missing:
        raise Refusal(f"{path.name} lacks {', '.join(missing)}; the plug-in's display shows them.")
    numbers = {"rate": 48_000, "steps": 0, "window_steps": WINDOW_STEPS}
    for key in NUMBERS:
        if key in said:
            plain = said[key].replace(",", "").replace("_", "")
            if not plain.isdigit():
                raise Refusal(
                    f"{path.name}: {key} is {said[key]!r}, and takes a whole number of cycles or frames."
                )
            numbers[key] = int(plain)
    empty = [key for key in ("rate", "window_steps", *NEEDED) if numbers[key] == 0]
    if empty:
        raise Refusal(f"{path.name}: {empty[0]} is 0; let the plug-in play for a second before you read it.")
    made = Counters(
        instrument=said.get("instrument", ""),
        version=said.get("version", ""),
        model=said.get("model", ""),
        rate=numbers["rate"],
        steps=numbers["steps"],
        worst=numbers["worst"],
        window_steps=numbers["window_steps"],
        window_frames=numbers["window_frames"],
        window_spent=numbers["window_spent"],
        window_passed=numbers["window_passed"],
    )
    if made.window_spent > made.window_passed:
        raise Refusal(f"{path.name}: the instrument took more cycles than passed; one figure is mistyped.")
    if not CLOCKS_HZ[0] <= made.clock_hz <= CLOCKS_HZ[1]:
        raise Refusal(
            f"{path.name}: a clock of {made.clock_hz / 1e6:,.0f} MHz follows from it; one figure is mistyped."
        )
    return made


def measured(counters: Counters, board: str = "disting_nt") -> Measured:
    """Return the report of a reading, beside it the prediction where this version knows the instrument."""
    report: Measured = {
        "format": "vaectrol measured 1",
        "board": board,
        "instrument": counters.instrument,
        "version": counters.version,
        "model": counters.model,
        "sample_rate_hz": counters.rate,
        "frames_per_step": counters.frames_per_step,
        "steps": counters.steps,
        "clock_hz": counters.clock_hz,
        "mean_cycles": counters.window_spent / counters.window_steps,
        "worst_cycles": counters.worst,
        "cpu_mean": counters.cpu_mean,
        "cpu_worst": counters.cpu_worst,
    }
    predicted = _predicted(counters, board)
    if predicted is not None:
        report["predicted_cpu_mean"], report["predicted_cpu_worst"] = predicted
    return report


def _predicted(counters: Counters, board: str) -> tuple[float, float] | None:
    """Mean and worst of the same instrument with the same model, by the compiler's estimate."""
    import tempfile

    from firmware.build import generate
    from firmware.instruments.spec import available_instruments

    block = round(counters.frames_per_step)
    if counters.instrument not in available_instruments() or not 1 <= block <= 256:
        return None
    with tempfile.TemporaryDirectory(prefix="vaectrol-") as folder:
        built = generate(counters.instrument, board, Path(folder), block=block)
    if counters.model and counters.model != built.model_hash:
        return None
    return built.report["cpu_mean"], built.report["cpu_worst"]


def in_words(report: Measured) -> list[str]:
    """Lines for a person."""
    name = report["instrument"] or "the instrument"
    lines = [
        f"{name} on a real {report['board']}: {report['cpu_mean']:.1%} of the processor on average, "
        f"{report['cpu_worst']:.1%} in the worst step (measured)",
        f"a step of {report['frames_per_step']:g} frames takes {report['mean_cycles']:,.0f} cycles, at worst "
        f"{report['worst_cycles']:,}; the clock is {report['clock_hz'] / 1e6:,.1f} MHz by the audio's",
    ]
    if "predicted_cpu_mean" in report:
        lines.append(
            f"predicted were {report['predicted_cpu_mean']:.1%} and {report['predicted_cpu_worst']:.1%}"
        )
    else:
        lines.append("no prediction beside it: this version does not know the instrument or its model")
    return lines
