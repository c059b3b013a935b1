"""What an instrument says of itself, as addresses and numbers: told when it changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol


class Frame(Protocol):
    """The fields of a report that every port has; the host's is C's own PortReport."""

    @property
    def position(self) -> Any:
        """Of every parameter, 0 to 1."""

    @property
    def value(self) -> Any:
        """Of every parameter, after its table."""

    @property
    def gates_in(self) -> int:
        """One bit a gate."""

    @property
    def triggers(self) -> Any:
        """Rising edges of every gate."""


def report_values(report: Frame, names: Sequence[str]) -> dict[str, float | None]:
    """Positions, values and gate inputs of a report by their addresses.

    Parameters
    ----------
    names : sequence of str
        The parameters, in the instrument's order.
    """
    return {
        **_named("/position/", names, report.position),
        **_named("/value/", names, report.value),
        **{f"/gate/{number}": float(report.gates_in >> number & 1) for number in range(len(report.triggers))},
    }


def _named(before: str, names: Sequence[str], values: Iterable[float | None]) -> dict[str, float | None]:
    return {f"{before}{name}": value for name, value in zip(names, values, strict=False)}


@dataclass
class Changes:
    """Tells what changed since the last time; `least` is the change that counts."""

    tell: Callable[[str, float], object]
    """Called with an address and a value."""
    least: float = 1e-3

    def __post_init__(self) -> None:
        self._last: dict[str, float] = {}

    def frame(self, values: Mapping[str, float | None]) -> int:
        """Tell what is new in these values; returns how many that were."""
        told = 0
        for address, value in values.items():
            if value is None or abs(value - self._last.get(address, float("inf"))) < self.least:
                continue
            self._last[address] = value
            self.tell(address, value)
            told += 1
        return told
