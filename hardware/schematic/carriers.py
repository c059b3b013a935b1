"""The two carriers, part by part, as the reasons in their parts lists say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from common.refusal import Refusal
from hardware.board import Board, load_board
from hardware.schematic.circuit import Circuit

POWER_PINS = {
    "1": "-12V_IN",
    "2": "-12V_IN",
    **{str(n): "GND" for n in range(3, 9)},
    "9": "+12V_IN",
    "10": "+12V_IN",
}
"""Eurorack's header of ten: the red stripe is pin 1."""


def net_of(name: str) -> str:
    """Name of the net at a jack or knob, from the board's name of it: ``cv_1`` is CV_1."""
    return name.upper()


def _jack(circuit: Circuit, reference: str, name: str, net: str, is_input: bool) -> None:
    """Place a jack; an input's switch grounds it while nothing is plugged in."""
    circuit.add(reference, "JACK", name, T=net, S="GND", N="GND" if is_input else "")


def _power(circuit: Circuit, header: str, parts: tuple[str, str, str, str], caps: tuple[str, str]) -> None:
    """Header, fuse and diode of both rails, a capacitor behind each."""
    fuse, other_fuse, diode, other_diode = parts
    circuit.section("Power")
    circuit.pins(header, "POWER_2X5", POWER_PINS)
    circuit.add(fuse, "PTC", p1="+12V_IN", p2="+12V_FUSED")
    circuit.add(diode, "D", A="+12V_FUSED", K="+12V")
    circuit.add(other_fuse, "PTC", p1="-12V_IN", p2="-12V_FUSED")
    circuit.add(other_diode, "D", K="-12V_FUSED", A="-12V")
    circuit.add(caps[0], "C", p1="+12V", p2="GND")
    circuit.add(caps[1], "C", p1="GND", p2="-12V")
    circuit.supplies |= {"GND", "+12V", "-12V"}


def patch_sm(board: Board) -> Circuit:
    """Return the Patch SM's carrier: jacks, knobs and power; the front ends are on the module."""
    circuit = Circuit.of("patch_sm", board)
    audio = {f"audio_{way}_{n}": f"AUDIO_{way.upper()}_{n}" for way in ("in", "out") for n in (1, 2)}
    sides = {"left": 1, "right": 2}
    nets = {"A1": "-12V", "A4": "GND", "A5": "+12V", "A7": "GND", "A10": "+3V3"}
    for pin, holds in board.pins.items():
        words = holds.split()
        if words[0] == "audio":
            nets[pin] = audio[f"audio_{words[1]}_{sides[words[2]]}"]
    parts = (*board.adcs, *board.dacs, *board.gates_in, *board.gates_out, *board.buttons, *board.leds)
    nets |= {part.pin: net_of(part.name) for part in parts if part.pin}
    _power(circuit, "J19", ("F1", "F2", "D1", "D2"), ("C5", "C6"))
    circuit.section("Module and its sockets")
    circuit.pins("U1", "PATCH_SM", nets)
    for socket, bank in zip(("J20", "J21", "J22", "J23"), "ABCD", strict=True):
        circuit.pins(socket, "SOCKET_1X10", {str(n): nets.get(f"{bank}{n}", "") for n in range(1, 11)})
    circuit.section("Knobs")
    for n in range(1, 5):
        circuit.add(f"RV{n}", "POT", f"knob_{n}", CCW="GND", W=f"WIPER_{n}", CW="+3V3")
        circuit.add(f"R{n}", "R", p1=f"WIPER_{n}", p2=f"KNOB_{n}")
        circuit.add(f"C{n}", "C", p1=f"KNOB_{n}", p2="GND")
    circuit.section("Jacks")
    into = [*(f"cv_{n}" for n in range(1, 9)), "gate_in_1", "gate_in_2"]
    out = ["gate_out_1", "gate_out_2", "cv_out_1", "cv_out_2"]
    jacks = [*into, *out, "audio_in_1", "audio_in_2", "audio_out_1", "audio_out_2"]
    for number, name in enumerate(jacks, 1):
        _jack(circuit, f"J{number}", name, net_of(name), "out" not in name)
    circuit.section("Button and light")
    circuit.add("SW1", "SW", "button_1", p1="BUTTON_1", p2="GND")
    circuit.add("R5", "R", p1="LED_2", p2="LED_ANODE")
    circuit.add("LED1", "LED", "led_2", A="LED_ANODE", K="GND")
    return circuit


def rpi(board: Board) -> Circuit:
    """Return the Pi's carrier: codec, converters, front ends, power."""
    circuit = Circuit.of("rpi", board)
    _power(circuit, "J18", ("F1", "F2", "D7", "D8"), ("C19", "C20"))
    circuit.supplies |= {"+12V_PI", "+3V3_PI"}
    circuit.add("F3", "PTC", p1="+12V_IN", p2="+12V_PI_FUSED")
    circuit.add("D9", "D", A="+12V_PI_FUSED", K="+12V_PI")
    circuit.add("U10", "R-78B", VIN="+12V_PI", GND="GND", VOUT="+5V")
    circuit.add("C17", "C", p1="+12V_PI", p2="GND")
    circuit.add("C18", "C", p1="+5V", p2="GND")
    circuit.add("U11", "MCP1700", VIN="+5V", GND="GND", VOUT="+3V3A")
    circuit.add("C35", "C", p1="+5V", p2="GND")
    circuit.add("C36", "C", p1="+3V3A", p2="GND")
    circuit.add("U6", "REF3033", IN="+5V", GND="GND", OUT="VREF")
    _pi_header(circuit)
    _pi_codec(circuit)
    _pi_knobs_and_cv(circuit)
    _pi_outputs(circuit)
    circuit.section("A capacitor at each supply pin")
    rails = ["+3V3A"] * 4 + ["+12V", "-12V"] * 2 + ["+3V3A", "+3V3A", "VREF", "+3V3A", "+5V", "+5V"]
    for number, rail in enumerate(rails, 21):
        circuit.add(f"C{number}", "C", p1=rail, p2="GND")
    return circuit


def _pi_header(circuit: Circuit) -> None:
    board = circuit.board
    fixed = {
        "+3.3 V": "+3V3_PI",
        "+5 V": "+5V",
        "GND": "GND",
        "GPIO2": "I2C_SDA",
        "GPIO3": "I2C_SCL",
        "GPIO18": "I2S_BCLK",
        "GPIO19": "I2S_LRCLK",
        "GPIO20": "I2S_FROM_CODEC",
        "GPIO21": "I2S_TO_CODEC",
        "GPIO10": "SPI_MOSI",
        "GPIO9": "SPI_MISO",
        "GPIO11": "SPI_SCLK",
        "GPIO8": "SPI_CE0",
        "GPIO7": "SPI_CE1",
    }
    nets = {pin: fixed[name] for pin, holds in board.pins.items() if (name := holds.split(" (")[0]) in fixed}
    lines = (*board.gates_in, *board.gates_out, *board.buttons, *board.leds)
    nets |= {part.pin: f"{net_of(part.name)}_PIN" for part in lines}
    circuit.section("Raspberry Pi")
    circuit.pins("J17", "PI_2X20", nets)
    circuit.add("SW1", "SW", "button_1", p1="BUTTON_1_PIN", p2="GND")
    circuit.add("R45", "R", p1="LED_1_PIN", p2="LED_ANODE")
    circuit.add("LED1", "LED", "led_1", A="LED_ANODE", K="GND")


def _pi_codec(circuit: Circuit) -> None:
    circuit.section("Audio")
    circuit.add(
        "U1",
        "WM8731",
        **dict.fromkeys(("DBVDD", "HPVDD", "AVDD", "DCVDD"), "+3V3A"),
        **dict.fromkeys(("HPGND", "AGND", "DGND", "MODE", "CSB"), "GND"),
        **{"BCLK": "I2S_BCLK", "DACDAT": "I2S_TO_CODEC", "DACLRC": "I2S_LRCLK", "ADCDAT": "I2S_FROM_CODEC"},
        **{"SDIN": "I2C_SDA", "SCLK": "I2C_SCL", "XTI": "XTAL_1", "XTO": "XTAL_2", "VMID": "VMID"},
        **{"LOUT": "DAC_1", "ROUT": "DAC_2", "LLINEIN": "LINE_1", "RLINEIN": "LINE_2"},
    )
    circuit.add("C37", "C", p1="VMID", p2="GND")
    circuit.add("Y1", "XTAL", p1="XTAL_1", p2="XTAL_2")
    circuit.add("C1", "C", p1="XTAL_1", p2="GND")
    circuit.add("C2", "C", p1="XTAL_2", p2="GND")
    ends = {"p4": "-12V", "p8": "+12V", "p3": "GND", "p5": "GND"}
    circuit.add("U2", "TL072", **ends, p1="IN_1_STAGE", p2="IN_1_SUM", p7="IN_2_STAGE", p6="IN_2_SUM")
    circuit.add("U3", "TL072", **ends, p1="OUT_1_STAGE", p2="OUT_1_SUM", p7="OUT_2_STAGE", p6="OUT_2_SUM")
    for n in (1, 2):
        _jack(circuit, f"J{12 + n}", f"audio_in_{n}", f"AUDIO_IN_{n}", True)
        circuit.add(f"R{n}", "R", p1=f"AUDIO_IN_{n}", p2=f"IN_{n}_SUM")
        circuit.add(f"R{2 + n}", "R", p1=f"IN_{n}_SUM", p2=f"IN_{n}_STAGE")
        circuit.add(f"C{4 + n}", "C", p1=f"IN_{n}_STAGE", p2=f"LINE_{n}")
        circuit.add(f"C{6 + n}", "C", p1=f"DAC_{n}", p2=f"DAC_{n}_AC")
        circuit.add(f"R{4 + n}", "R", p1=f"DAC_{n}_AC", p2=f"OUT_{n}_SUM")
        circuit.add(f"R{6 + n}", "R", p1=f"OUT_{n}_SUM", p2=f"OUT_{n}_STAGE")
        circuit.add(f"C{2 + n}", "C", p1=f"OUT_{n}_SUM", p2=f"OUT_{n}_STAGE")
        circuit.add(f"R{8 + n}", "R", p1=f"OUT_{n}_STAGE", p2=f"AUDIO_OUT_{n}")
        _jack(circuit, f"J{14 + n}", f"audio_out_{n}", f"AUDIO_OUT_{n}", False)


def _pi_knobs_and_cv(circuit: Circuit) -> None:
    board = circuit.board
    circuit.section("Knobs and CV in")
    channels = {adc.pin.removeprefix("U4."): f"{net_of(adc.name)}_ADC" for adc in board.adcs}
    spi = {"9": "GND", "10": "SPI_CE0", "11": "SPI_MOSI", "12": "SPI_MISO", "13": "SPI_SCLK"}
    circuit.pins("U4", "MCP3208", {**channels, **spi, "14": "GND", "15": "VREF", "16": "+3V3A"})
    circuit.add("R19", "R", p1="VREF", p2="MIDDLE")
    circuit.add("R20", "R", p1="MIDDLE", p2="GND")
    units = {1: "A", 2: "B", 3: "C", 4: "D"}
    stages = {"V+": "+3V3A", "V-": "GND"}
    for n, unit in units.items():
        stages |= {f"OUT{unit}": f"CV_{n}_STAGE", f"IN{unit}-": f"CV_{n}_SUM", f"IN{unit}+": "MIDDLE"}
    circuit.add("U7", "MCP6004", **stages)
    for n in units:
        circuit.add(f"RV{n}", "POT", f"knob_{n}", CCW="GND", W=f"WIPER_{n}", CW="VREF")
        circuit.add(f"R{20 + n}", "R", p1=f"WIPER_{n}", p2=f"KNOB_{n}_ADC")
        circuit.add(f"C{8 + n}", "C", p1=f"KNOB_{n}_ADC", p2="GND")
    for n in units:
        _jack(circuit, f"J{n}", f"cv_{n}", f"CV_{n}", True)
        circuit.add(f"R{10 + n}", "R", p1=f"CV_{n}", p2=f"CV_{n}_SUM")
        circuit.add(f"D{n}", "BAT54S", A1="GND", K2="+3V3A", K1A2=f"CV_{n}_SUM")
        circuit.add(f"R{14 + n}", "R", p1=f"CV_{n}_SUM", p2=f"CV_{n}_STAGE")
        circuit.add(f"R{24 + n}", "R", p1=f"CV_{n}_STAGE", p2=f"CV_{n}_ADC")
        circuit.add(f"C{12 + n}", "C", p1=f"CV_{n}_ADC", p2="GND")


def _pi_outputs(circuit: Circuit) -> None:
    board = circuit.board
    circuit.section("Gates")
    for n in (1, 2):
        _jack(circuit, f"J{4 + n}", f"gate_in_{n}", f"GATE_IN_{n}", True)
        circuit.add(f"R{28 + n}", "R", p1=f"GATE_IN_{n}", p2=f"BASE_{n}")
        circuit.add(f"R{30 + n}", "R", p1=f"BASE_{n}", p2="GND")
        circuit.add(f"D{4 + n}", "D", A="GND", K=f"BASE_{n}")
        circuit.add(f"Q{n}", "NPN", B=f"BASE_{n}", E="GND", C=f"GATE_IN_{n}_PIN")
        circuit.add(f"R{32 + n}", "R", p1="+3V3_PI", p2=f"GATE_IN_{n}_PIN")
    buffers = {1: ("1", "2", "3"), 2: ("4", "5", "6"), 3: ("10", "9", "8"), 4: ("13", "12", "11")}
    pins = {"7": "GND", "14": "+5V"}
    for n, (enable, into, out) in buffers.items():
        pins |= {enable: "GND", into: f"GATE_OUT_{n}_PIN", out: f"GATE_OUT_{n}_BUFFER"}
    circuit.pins("U8", "74HCT125", pins)
    for n in buffers:
        circuit.add(f"R{34 + n}", "R", p1=f"GATE_OUT_{n}_BUFFER", p2=f"GATE_OUT_{n}")
        _jack(circuit, f"J{6 + n}", f"gate_out_{n}", f"GATE_OUT_{n}", False)
    circuit.section("CV out")
    dacs = {dac.pin.removeprefix("U5."): f"{net_of(dac.name)}_DAC" for dac in board.dacs}
    spi = {"1": "+3V3A", "2": "SPI_CE1", "3": "SPI_SCLK", "4": "SPI_MOSI", "5": "GND", "7": "GND"}
    circuit.pins("U5", "MCP4822", {**spi, **dacs})
    outs = {"p1": "CV_OUT_1_STAGE", "p2": "CV_OUT_1_FB", "p3": "CV_OUT_1_DAC"}
    outs |= {"p7": "CV_OUT_2_STAGE", "p6": "CV_OUT_2_FB", "p5": "CV_OUT_2_DAC"}
    circuit.add("U9", "MCP6002", **outs, p4="GND", p8="+5V")
    for n in (1, 2):
        circuit.add(f"R{38 + n}", "R", p1=f"CV_OUT_{n}_STAGE", p2=f"CV_OUT_{n}_FB")
        circuit.add(f"R{40 + n}", "R", p1=f"CV_OUT_{n}_FB", p2="GND")
        circuit.add(f"R{42 + n}", "R", p1=f"CV_OUT_{n}_STAGE", p2=f"CV_OUT_{n}")
        _jack(circuit, f"J{10 + n}", f"cv_out_{n}", f"CV_OUT_{n}", False)


@dataclass(frozen=True)
class Carrier:
    """A carrier, the board that it is for, and what draws its circuit."""

    board: str
    draw: Callable[[Board], Circuit]


CARRIERS = {"patch_sm": Carrier("patch_sm", patch_sm), "rpi": Carrier("rpi4", rpi)}


def circuit_of(name: str) -> Circuit:
    """Return the circuit of a carrier.

    Raises
    ------
    Refusal
        There is none of this name.
    """
    if name not in CARRIERS:
        raise Refusal(f"there is no carrier {name!r}; choose {', '.join(CARRIERS)}.")
    carrier = CARRIERS[name]
    return carrier.draw(load_board(carrier.board))
