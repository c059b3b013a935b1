"""Schematics: electrical rules without a fault; netlist, parts list, wiring and panel say the same."""

from __future__ import annotations

import re
from collections import Counter, deque
from dataclasses import replace
from pathlib import Path

import pytest

import vaectrol
from common.refusal import Refusal
from hardware.bom import load_bom
from hardware.panel import load_panel, printed_names
from hardware.schematic.carriers import CARRIERS, circuit_of
from hardware.schematic.circuit import faults
from hardware.schematic.drawing import figures, svg
from hardware.schematic.kicad import netlist, schematic
from hardware.schematic.layout import sheet_of
from tests.browser import CHROMIUM, browser

pytestmark = pytest.mark.fast
NAMES = tuple(CARRIERS)
TREE = Path(__file__).resolve().parents[2] / "hardware" / "schematics"
RAILS = {"GND", "+12V", "-12V", "+12V_IN", "-12V_IN", "+5V", "+3V3", "+3V3A", "+3V3_PI", "VREF", "MIDDLE"}
AMPLIFIER_UNITS = {
    "TL072": ({"1", "2", "3"}, {"5", "6", "7"}),
    "MCP6002": ({"1", "2", "3"}, {"5", "6", "7"}),
    "MCP6004": ({"1", "2", "3"}, {"5", "6", "7"}, {"8", "9", "10"}, {"12", "13", "14"}),
    "74HCT125": ({"2", "3"}, {"5", "6"}, {"8", "9"}, {"11", "12"}),
    "NPN": ({"1", "3"},),
}


def reached(circuit, net):
    """Pins that a signal reaches through passive parts, amplifiers and transistors, not by way of a rail."""
    nets, seen, pins = circuit.nets(), {net}, set()
    left = deque([net])
    while left:
        for reference, number in nets[left.popleft()]:
            part = circuit.parts[reference]
            pins.add((reference, number))
            if len(part.symbol.pins) == 2 or part.symbol.name == "POT":
                through = set(part.nets)
            else:
                units = AMPLIFIER_UNITS.get(part.symbol.name, ())
                through = next((unit for unit in units if number in unit), {number})
            for other in through:
                to = part.nets[other]
                if to and to not in RAILS and to not in seen:
                    seen.add(to)
                    left.append(to)
    return pins


@pytest.mark.parametrize("name", NAMES)
def test_electrical_rules_find_nothing(name):
    assert faults(circuit_of(name)) == []


def changed(name, reference, **nets):
    circuit = circuit_of(name)
    part = circuit.parts[reference]
    circuit.parts[reference] = replace(
        part, nets={**part.nets, **{key[1:]: net for key, net in nets.items()}}
    )
    return circuit


@pytest.mark.parametrize(
    ("circuit", "fault"),
    [
        (changed("rpi", "R1", p1=""), "R1 pin 1 (1) is not connected"),
        (changed("rpi", "R1", p1="NOWHERE"), "NOWHERE leads nowhere: only R1 pin 1 is on it"),
        (changed("rpi", "U2", p7="IN_1_STAGE"), "IN_1_STAGE has 2 outputs: U2.1, U2.7"),
        (changed("rpi", "U4", p16="CV_1"), "U4 pin 16 is a supply pin on CV_1, which is no supply"),
        (changed("patch_sm", "U1", pA5="KNOB_1"), "U1 pin A5 is a supply pin on KNOB_1, which is no supply"),
    ],
)
def test_a_slip_is_found(circuit, fault):
    assert fault in faults(circuit)


def test_an_input_that_nothing_drives_is_found():
    circuit = changed("rpi", "U4", p10="LOOSE")
    circuit.parts["U5"] = replace(circuit.parts["U5"], nets={**circuit.parts["U5"].nets, "2": "LOOSE"})
    assert "U4 pin 10 is an input on LOOSE, which nothing drives" in faults(circuit)


@pytest.mark.parametrize("name", NAMES)
def test_every_part_of_the_list_is_placed_once_and_no_other(name):
    circuit = circuit_of(name)
    assert set(circuit.parts) == set(load_bom(name))
    with pytest.raises(Refusal, match="is placed twice"):
        circuit.add("R1", "R")
    with pytest.raises(Refusal, match=rf"R999 is not in the parts list {name}.csv"):
        circuit.add("R999", "R")


@pytest.mark.parametrize("name", NAMES)
def test_the_panels_parts_are_the_schematics(name):
    circuit, panel = circuit_of(name), load_panel(name)
    placed = Counter(part.panel for part in circuit.parts.values() if part.panel)
    assert placed == Counter(part.name for part in panel.parts)
    kinds = {part.name: part.kind for part in panel.parts}
    letters = {"knob": "RV", "jack": "J", "button": "SW", "led": "LED"}
    printed = printed_names(circuit.board)
    for reference, part in circuit.parts.items():
        if part.panel:
            assert reference.startswith(letters[kinds[part.panel]])
            assert circuit.value(reference) == printed.get(part.panel, part.line.value)


@pytest.mark.parametrize("name", NAMES)
def test_every_jack_reaches_the_pin_of_the_wiring_table_and_no_other_jack(name):
    circuit = circuit_of(name)
    board, module = circuit.board, "U1" if name == "patch_sm" else "J17"
    wired = (*board.adcs, *board.dacs, *board.gates_in, *board.gates_out, *board.buttons, *board.leds)
    at = {part.panel: part for part in circuit.parts.values() if part.panel}
    for one in (jack for jack in wired if jack.pin):
        part = at[one.name]
        signal = {"JACK": "T", "POT": "2", "SW": "1", "LED": "2"}[part.symbol.name]
        reference, _, number = one.pin.rpartition(".")
        pins = reached(circuit, part.nets[signal])
        assert (reference or module, number) in pins, one.name
        others = {ref for ref, _ in pins if circuit.parts[ref].panel} - {part.reference}
        assert not others, f"{one.name} also reaches {others}"


def test_audio_reaches_the_modules_audio_pins():
    circuit = circuit_of("patch_sm")
    for way in ("in", "out"):
        for number, side in ((1, "left"), (2, "right")):
            pin = next(pin for pin, holds in circuit.board.pins.items() if holds == f"audio {way} {side}")
            assert circuit.parts["U1"].nets[pin] == f"AUDIO_{way.upper()}_{number}"
    pi = circuit_of("rpi")
    for n, (line, out) in enumerate((("20", "12"), ("19", "13")), 1):
        assert ("U1", line) in reached(pi, f"AUDIO_IN_{n}")
        assert ("U1", out) in reached(pi, f"AUDIO_OUT_{n}")


@pytest.mark.parametrize("name", NAMES)
def test_kicads_files_read_back_with_every_part_pin_and_net(name, tmp_path):
    reader = pytest.importorskip("kiutils.schematic", reason="kiutils is not here: pip install kiutils")
    circuit = circuit_of(name)
    file = tmp_path / "x.kicad_sch"
    file.write_text(schematic(circuit), encoding="utf-8")
    read = reader.Schematic.from_file(str(file))
    found = {p.value: s for s in read.schematicSymbols for p in s.properties if p.key == "Reference"}
    assert set(found) == set(circuit.parts)
    library = {symbol.entryName: symbol for symbol in read.libSymbols}
    labels = {(label.position.X, label.position.Y): label.text for label in read.globalLabels}
    crosses = {(cross.position.X, cross.position.Y) for cross in read.noConnects}
    for reference, part in circuit.parts.items():
        at = found[reference].position
        pins = {pin.number: pin for unit in library[part.symbol.name].units for pin in unit.pins}
        assert set(pins) == set(part.nets)
        for number, net in part.nets.items():
            where = (round(at.X + pins[number].position.X, 2), round(at.Y - pins[number].position.Y, 2))
            assert (labels.get(where, ""), where in crosses) == (net, not net), (reference, number)
    assert len(labels) + len(crosses) == sum(len(part.nets) for part in circuit.parts.values())


@pytest.mark.parametrize("name", NAMES)
def test_the_netlist_has_every_pin_once(name):
    circuit, text = circuit_of(name), netlist(circuit_of(name))
    nets = {}
    for net, body in re.findall(r'\(name "([^"]+)"\)\n(.*?)\n    \)', text, flags=re.S):
        nets[net] = sorted(re.findall(r'\(node \(ref "([^"]+)"\) \(pin "([^"]+)"\)', body))
    assert nets == {net: sorted(pins) for net, pins in circuit.nets().items()}
    assert text.count("(") == text.count(")")


@pytest.mark.parametrize("name", NAMES)
def test_the_files_in_the_tree_are_of_today(name):
    made = {"kicad_sch": schematic, "net": netlist, "svg": svg}
    for suffix, write in made.items():
        there = (TREE / f"{name}.{suffix}").read_text(encoding="utf-8")
        assert there == write(circuit_of(name)), (
            f"run `vaectrol board schematic {name} -o hardware/schematics`"
        )


@pytest.mark.parametrize("name", NAMES)
def test_the_build_guide_shows_every_part_and_the_figures_of_today(name):
    circuit = circuit_of(name)
    guide = (TREE.parents[1] / "docs" / "manuals" / f"build-{name.replace('_', '-')}.md").read_text()
    for figure, drawn in figures(circuit).items():
        assert (TREE / f"{name}-{figure}.svg").read_text(encoding="utf-8") == drawn
        assert f"hardware/schematics/{name}-{figure}.svg" in guide, figure
    shown = {ref for drawn in figures(circuit).values() for ref in re.findall(r'<g id="(\w+)">', drawn)}
    assert shown >= set(circuit.parts)
    labels = re.findall(r'class="reference"[^>]*>(\w+)<', figures(circuit)["panel"])
    assert sorted(labels) == sorted(ref for ref, part in circuit.parts.items() if part.panel)


@pytest.mark.parametrize("name", NAMES)
def test_no_symbol_lies_over_another_or_leaves_the_sheet(name):
    sheet = sheet_of(circuit_of(name))
    for at, one in enumerate(sheet.spots):
        assert (
            one.x_mm + one.half_width_mm < sheet.width_mm and one.y_mm + one.half_height_mm < sheet.height_mm
        )
        for other in sheet.spots[:at]:
            apart = abs(one.x_mm - other.x_mm) > one.half_width_mm + other.half_width_mm
            assert apart or abs(one.y_mm - other.y_mm) > one.half_height_mm + other.half_height_mm


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
def test_no_words_of_a_schematic_lie_over_others(tmp_path):
    script = """[...document.querySelectorAll('text')].map((one) => {
      const b = one.getBoundingClientRect(); return [one.textContent, b.left, b.top, b.right, b.bottom]; })"""
    with browser() as chromium:
        for name in NAMES:
            (tmp_path / f"{name}.svg").write_text(svg(circuit_of(name)), encoding="utf-8")
            chromium.size(1600, 1200)
            chromium.open((tmp_path / f"{name}.svg").as_uri())
            boxes = sorted(chromium.run(script), key=lambda box: box[2])
            assert len(boxes) > 100
            for at, (text, left, top, right, bottom) in enumerate(boxes):
                for other, x0, y0, x1, y1 in boxes[at + 1 :]:
                    if y0 > bottom:
                        break
                    deep = min(bottom, y1) - max(top, y0) > 1.5
                    assert not (deep and min(right, x1) - max(left, x0) > 0.5), (name, text, other)


@pytest.mark.skipif(CHROMIUM is None, reason="Chromium is not here: apt install chromium")
def test_all_words_of_the_guides_figures_stand_on_their_sheet(tmp_path):
    script = """(() => { const b = document.documentElement.getBoundingClientRect();
      return [...document.querySelectorAll('text')].filter((one) => { const t = one.getBoundingClientRect();
        return t.left < b.left || t.right > b.right || t.top < b.top || t.bottom > b.bottom; })
        .map((one) => one.textContent); })()"""
    with browser() as chromium:
        for name, (figure, text) in [(n, one) for n in NAMES for one in figures(circuit_of(n)).items()]:
            (tmp_path / f"{figure}.svg").write_text(text, encoding="utf-8")
            chromium.size(1600, 1200)
            chromium.open((tmp_path / f"{figure}.svg").as_uri())
            assert chromium.run(script) == [], (name, figure)


def test_the_command_writes_three_files(tmp_path, capsys):
    assert vaectrol.main(["board", "schematic", "rpi", "-o", str(tmp_path)]) == 0
    names = {file.name for file in tmp_path.iterdir()}
    assert {"rpi.kicad_sch", "rpi.net", "rpi.svg", "rpi-panel.svg", "rpi-1-power.svg"} <= names
    assert "132 parts, 99 nets" in capsys.readouterr().out
    assert vaectrol.main(["board", "schematic", "seed"]) == 2
    assert "there is no carrier 'seed'; choose patch_sm, rpi" in capsys.readouterr().err
