"""Symbols: the pins of every part, numbered as in its data sheet.

Pinouts are from memory of the data sheets named in the parts lists; check each against the sheet of the part
that you buy before a board is made.
"""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "p": "passive",
    "i": "input",
    "o": "output",
    "b": "bidirectional",
    "w": "power_in",
    "s": "power_out",
}


@dataclass(frozen=True)
class Pin:
    """One pin; `may_be_open` where the part works with nothing there."""

    number: str
    name: str
    kind: str
    may_be_open: bool = False


@dataclass(frozen=True)
class Symbol:
    """A part as it is drawn: a box with pins left and right."""

    name: str
    letter: str
    pins: tuple[Pin, ...]

    def pin(self, number: str) -> Pin:
        """Return the pin of this number."""
        return next(pin for pin in self.pins if pin.number == number)

    @property
    def sides(self) -> tuple[tuple[Pin, ...], tuple[Pin, ...]]:
        """Pins on the left from the top, and on the right from the top, as on a package seen from above."""
        half = (len(self.pins) + 1) // 2
        return self.pins[:half], tuple(reversed(self.pins[half:]))


def _symbol(name: str, letter: str, *pins: str) -> Symbol:
    """Read ``number:name:kind``, with a ``?`` behind what may be open."""
    made = []
    for pin in pins:
        number, label, kind = pin.split(":")
        made.append(Pin(number, label, KINDS[kind[0]], kind.endswith("?")))
    return Symbol(name, letter, tuple(made))


def header(pins: int, name: str) -> Symbol:
    """Pins in a row or two; each may be left open."""
    return Symbol(name, "J", tuple(Pin(str(n), str(n), "passive", True) for n in range(1, pins + 1)))


def _banks() -> tuple[Pin, ...]:
    names = [f"{bank}{n}" for bank in "ABCD" for n in range(1, 11)]
    supply = {"A1": "power_in", "A5": "power_in", "A4": "power_in", "A7": "power_in"}
    supply |= {"A6": "power_out", "A10": "power_out"}
    outputs = dict.fromkeys(("B1", "B2", "B5", "B6", "C1", "C10"), "output")
    return tuple(
        Pin(n, n, {**supply, **outputs}.get(n, "passive"), n not in supply or n == "A6") for n in names
    )


def _two(name: str, letter: str, first: str = "1", second: str = "2") -> Symbol:
    return _symbol(name, letter, f"1:{first}:p", f"2:{second}:p")


_AMPLIFIERS = ("1:OUTA:o", "2:INA-:i", "3:INA+:i", "4:V-:w", "5:INB+:i", "6:INB-:i", "7:OUTB:o", "8:V+:w")
SYMBOLS = {
    symbol.name: symbol
    for symbol in (
        _two("R", "R"),
        _two("C", "C"),
        _two("D", "D", "K", "A"),
        _two("LED", "LED", "K", "A"),
        _two("PTC", "F"),
        _two("SW", "SW"),
        _two("XTAL", "Y"),
        _symbol("JACK", "J", "T:T:p", "N:N:p?", "S:S:p"),
        _symbol("POT", "RV", "1:CCW:p", "2:W:p", "3:CW:p"),
        header(10, "POWER_2X5"),
        header(10, "SOCKET_1X10"),
        header(40, "PI_2X20"),
        Symbol("PATCH_SM", "U", _banks()),
        _symbol("TL072", "U", *_AMPLIFIERS),
        _symbol("MCP6002", "U", *_AMPLIFIERS),
        _symbol(
            "MCP6004",
            "U",
            *("1:OUTA:o", "2:INA-:i", "3:INA+:i", "4:V+:w", "5:INB+:i", "6:INB-:i", "7:OUTB:o"),
            *("8:OUTC:o", "9:INC-:i", "10:INC+:i", "11:V-:w", "12:IND+:i", "13:IND-:i", "14:OUTD:o"),
        ),
        _symbol(
            "MCP3208",
            "U",
            *(f"{n + 1}:CH{n}:i" for n in range(8)),
            *(
                "9:DGND:w",
                "10:CS:i",
                "11:DIN:i",
                "12:DOUT:o",
                "13:CLK:i",
                "14:AGND:w",
                "15:VREF:i",
                "16:VDD:w",
            ),
        ),
        _symbol(
            "MCP4822",
            "U",
            *("1:VDD:w", "2:CS:i", "3:SCK:i", "4:SDI:i", "5:LDAC:i", "6:VOUTB:o", "7:VSS:w", "8:VOUTA:o"),
        ),
        _symbol(
            "74HCT125",
            "U",
            *("1:1OE:i", "2:1A:i", "3:1Y:o", "4:2OE:i", "5:2A:i", "6:2Y:o", "7:GND:w"),
            *("8:3Y:o", "9:3A:i", "10:3OE:i", "11:4Y:o", "12:4A:i", "13:4OE:i", "14:VCC:w"),
        ),
        _symbol("REF3033", "U", "1:IN:w", "2:OUT:s", "3:GND:w"),
        _symbol("MCP1700", "U", "1:GND:w", "2:VOUT:s", "3:VIN:w"),
        _symbol("R-78B", "U", "1:VIN:w", "2:GND:w", "3:VOUT:s"),
        _symbol("BAT54S", "D", "1:A1:p", "2:K2:p", "3:K1A2:p"),
        _symbol("NPN", "Q", "1:B:i", "2:E:p", "3:C:p"),
        _symbol(
            "WM8731",
            "U",
            *(
                "1:DBVDD:w",
                "2:CLKOUT:o?",
                "3:BCLK:o",
                "4:DACDAT:i",
                "5:DACLRC:o",
                "6:ADCDAT:o",
                "7:ADCLRC:o?",
            ),
            *(
                "8:HPVDD:w",
                "9:LHPOUT:o?",
                "10:RHPOUT:o?",
                "11:HPGND:w",
                "12:LOUT:o",
                "13:ROUT:o",
                "14:AVDD:w",
            ),
            *("15:AGND:w", "16:VMID:p", "17:MICBIAS:o?", "18:MICIN:i?", "19:RLINEIN:i", "20:LLINEIN:i"),
            *("21:MODE:i", "22:CSB:i", "23:SDIN:b", "24:SCLK:i", "25:XTI:p", "26:XTO:p", "27:DCVDD:w"),
            "28:DGND:w",
        ),
    )
}
