"""Wiring and memory tables in Markdown, from the board's description."""

from __future__ import annotations

from collections.abc import Iterable

from hardware.board import Board
from hardware.panel import printed_names


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    return "\n".join([*lines, *(f"| {' | '.join(row)} |" for row in rows)]) + "\n"


def _range(low: float, high: float) -> str:
    return f"±{high:g} V" if low == -high else f"{low:g} to {high:g} V"


def _jacks(board: Board) -> Iterable[tuple[str, ...]]:
    for adc in board.adcs:
        what = f"{adc.kind}, {_range(adc.travel_low_volts, adc.travel_high_volts)}, {adc.bits} bit"
        yield adc.name, adc.silk, adc.pin, adc.mcu, what + (", inverting" if adc.inverted else "")
    for dac in board.dacs:
        what = f"CV out, {_range(dac.low_volts, dac.high_volts)}, {dac.bits} bit"
        yield dac.name, dac.silk, dac.pin, dac.mcu, what + (", also the LED" if dac.is_led else "")
    for gate in board.gates_in:
        yield gate.name, gate.silk, gate.pin, gate.mcu, "gate in" + (", inverting" if gate.inverted else "")
    for gate in board.gates_out:
        yield gate.name, gate.silk, gate.pin, gate.mcu, "gate out"
    for button in board.buttons:
        yield button.name, button.silk, button.pin, button.mcu, f"{button.kind} to ground"
    for led in board.leds:
        yield led.name, led.silk, led.pin, led.mcu, "LED" + (f" on {led.dac}" if led.dac else "")


def wiring_table(board: Board) -> str:
    """Every jack: our name, the panel's, the silk screen's, header pin, MCU pin, what it is."""
    names = printed_names(board)
    rows = ((name, names.get(name, ""), *rest) for name, *rest in _jacks(board))
    return _table(("name", "panel", "silk screen", "pin", "MCU", "what"), rows)


def memory_table(board: Board) -> str:
    """Every memory region with what is left for models; fill costs are predicted."""
    rows = (
        (
            region.title,
            f"0x{region.address:08X}",
            f"{region.bytes // 1024:,} K",
            f"{region.left_bytes // 1024:,} K",
            str(region.line_fill_cycles or "—"),
            region.use,
        )
        for region in board.memory
    )
    return _table(("region", "address", "size", "left for models", "cycles per line", "use"), rows)
