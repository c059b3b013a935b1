"""A circuit: parts of a bill of materials, and the net at each of their pins; with the rules it must keep."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field

from common.refusal import Refusal
from hardware.board import Board
from hardware.bom import Line, load_bom
from hardware.panel import printed_names
from hardware.schematic.symbols import SYMBOLS, Symbol

DRIVING = ("output", "power_out")


@dataclass(frozen=True)
class Placed:
    """One part: its line of the parts list, its symbol, and the net at each pin; "" is not connected.

    Attributes
    ----------
    panel : the board's name of what it is on the panel; empty for what is behind it.
    """

    reference: str
    line: Line
    symbol: Symbol
    nets: Mapping[str, str]
    panel: str = ""


@dataclass
class Circuit:
    """A carrier.

    Attributes
    ----------
    supplies : nets that are driven from outside, or by way of a diode.
    sections : titles and the references below them, in the order in which they are drawn.
    """

    name: str
    board: Board
    bom: dict[str, Line]
    parts: dict[str, Placed] = field(default_factory=dict)
    supplies: set[str] = field(default_factory=set)
    sections: list[tuple[str, list[str]]] = field(default_factory=list)

    @classmethod
    def of(cls, name: str, board: Board) -> Circuit:
        """Begin the carrier whose parts list has this name."""
        return cls(name, board, load_bom(name))

    def section(self, title: str) -> None:
        """Draw what follows under a title."""
        self.sections.append((title, []))

    def add(self, reference: str, symbol: str, panel: str = "", **nets: str) -> None:
        """Place a part; nets by the pin's number or its name, with ``p`` before a number: ``p1="GND"``.

        Raises
        ------
        Refusal
            The parts list lacks it, it is placed already, or the symbol has no such pin.
        """
        if reference not in self.bom:
            raise Refusal(f"{self.name}: {reference} is not in the parts list {self.name}.csv.")
        if reference in self.parts:
            raise Refusal(f"{self.name}: {reference} is placed twice.")
        drawn = SYMBOLS[symbol]
        by_name = {pin.name: pin.number for pin in drawn.pins}
        found = {pin.number: "" for pin in drawn.pins}
        for key, net in nets.items():
            number = key[1:] if key[0] == "p" and key[1:] in found else by_name.get(key, key)
            if number not in found:
                raise Refusal(f"{self.name}: {reference} ({symbol}) has no pin {key}.")
            found[number] = net
        self.parts[reference] = Placed(reference, self.bom[reference], drawn, found, panel)
        self.sections[-1][1].append(reference)

    def pins(self, reference: str, symbol: str, nets: Mapping[str, str]) -> None:
        """Place a part whose pins have names that are no words of Python."""
        self.add(reference, symbol)
        placed = self.parts[reference]
        unknown = sorted(nets.keys() - placed.nets.keys())
        if unknown:
            raise Refusal(f"{self.name}: {reference} ({symbol}) has no pin {unknown[0]}.")
        self.parts[reference] = Placed(
            reference, placed.line, placed.symbol, {**placed.nets, **nets}, placed.panel
        )

    def nets(self) -> dict[str, list[tuple[str, str]]]:
        """Every net with its pins: reference and pin number."""
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for reference, part in self.parts.items():
            for number, net in part.nets.items():
                if net:
                    found[net].append((reference, number))
        return dict(found)

    def value(self, reference: str) -> str:
        """What is written beside a part: its value, or what the panel says."""
        part = self.parts[reference]
        return printed_names(self.board).get(part.panel, "") or part.line.value


def faults(circuit: Circuit) -> list[str]:
    """Check the electrical rules and the parts list; one sentence a fault.

    Every part of the list is placed. Every pin has a net, unless its symbol may leave it open. No net has one
    pin only, or two outputs. Every supply pin is on a supply, every input on something that drives it.
    """
    found = [
        f"{reference} is in the parts list and not in the schematic"
        for reference in circuit.bom
        if reference not in circuit.parts
    ]
    for reference, part in circuit.parts.items():
        for pin in part.symbol.pins:
            if not part.nets[pin.number] and not pin.may_be_open:
                found.append(f"{reference} pin {pin.number} ({pin.name}) is not connected")
    for net, pins in circuit.nets().items():
        kinds = {
            (reference, number): circuit.parts[reference].symbol.pin(number).kind
            for reference, number in pins
        }
        driving = [f"{reference}.{number}" for (reference, number), kind in kinds.items() if kind in DRIVING]
        if len(pins) < 2:
            found.append(f"{net} leads nowhere: only {pins[0][0]} pin {pins[0][1]} is on it")
        if len(driving) > 1:
            found.append(f"{net} has {len(driving)} outputs: {', '.join(driving)}")
        fed = net in circuit.supplies or "power_out" in kinds.values()
        for (reference, number), kind in kinds.items():
            if kind == "power_in" and not fed:
                found.append(f"{reference} pin {number} is a supply pin on {net}, which is no supply")
            if kind == "input" and set(kinds.values()) == {"input"}:
                found.append(f"{reference} pin {number} is an input on {net}, which nothing drives")
    return found
