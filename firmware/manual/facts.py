"""What a manual says: every control, jack and preset of an instrument on a board, and what it costs there."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from firmware.build import Built
from firmware.instruments.presets import load_presets, positions
from firmware.instruments.schema import Control
from firmware.instruments.words import title
from firmware.play.render import resting_knobs
from hardware.panel import Panel, panel_of

JACK = re.compile(r"\{(\w+)\}")
"""A part in a patch idea, by its name on every board."""
BUTTON = "button"
"""What a part without a printed name is called."""


@dataclass(frozen=True)
class Row:
    """One line of the table: parts of the panel with a number, and what they do.

    Attributes
    ----------
    parts : names of the board, all with this number.
    where : what the panel says at them.
    title : short, as a panel would print it.
    range : volts that a jack takes or gives; empty for a knob alone.
    """

    number: int
    parts: tuple[str, ...]
    where: str
    title: str
    words: str
    range: str


@dataclass(frozen=True)
class PresetRow:
    """A preset: where each knob stands, in percent of its travel, and what has no knob here."""

    name: str
    words: str
    knobs: tuple[int, ...]
    more: str


@dataclass(frozen=True)
class Manual:
    """All of it.

    Attributes
    ----------
    elsewhere : what has neither knob nor jack on this board, and how it is reached.
    costs : name and value, all of them predicted.
    """

    name: str
    title: str
    about: str
    board: str
    panel: Panel
    rows: list[Row]
    ideas: list[str]
    presets: list[PresetRow]
    knobs: list[str]
    elsewhere: list[str]
    costs: list[tuple[str, str]]
    version: str
    functions: dict[str, str] = field(default_factory=dict)
    """What each part of the panel does, in a word: for the card."""


def manual_of(built: Built) -> Manual:
    """Collect what the page says of what `firmware.build.generate` made."""
    assignment = built.assignment
    spec, panel = assignment.loaded.spec, panel_of(built.board)
    printed = {part.name: part.label or BUTTON for part in panel.parts}
    found = _Rows(printed)
    elsewhere = []
    controllers = {one.to: one.cc for one in spec.midi.cc} if spec.midi else {}
    for control in spec.control:
        if not found.add(_parts(control), title(control.to), control.words, _volts(*control.volts)):
            cc = f", MIDI controller {controllers[control.to]}" if control.to in controllers else ""
            elsewhere.append(f"{title(control.to)}{cc}: {control.words}")
    for gate in spec.gate:
        found.add(gate.jacks, title(gate.to), gate.words, "up from 1 V")
    for jack in spec.demo.sounds if spec.demo else ():
        found.add(
            [jack], "sound", "The sound that is worked on.", f"±{built.board.audio.full_scale_volts_in:g} V"
        )
    for output in spec.output:
        found.add([output.jack], title(output.source), output.words, _given(built, output.jack))
    return Manual(
        name=built.name,
        title=spec.title,
        about=spec.about,
        board=built.board.title,
        panel=panel,
        rows=found.rows,
        ideas=_ideas(spec.ideas, printed),
        presets=_presets(built),
        knobs=[printed[name] for name in _knobs(built)],
        elsewhere=elsewhere,
        costs=_costs(built),
        version=built.version,
        functions={part: row.title for row in found.rows for part in row.parts},
    )


class _Rows:
    """Numbers what is on the panel; the rest is left to the caller."""

    def __init__(self, printed: dict[str, str]) -> None:
        self._printed = printed
        self.rows: list[Row] = []

    def add(self, parts: list[str], title: str, words: str, volts: str) -> bool:
        there = tuple(part for part in parts if part in self._printed)
        if there:
            where = ", ".join(self._printed[part].replace(" ", "\N{NO-BREAK SPACE}") for part in there)
            jack = any(not part.startswith(("knob", "button", "toggle")) for part in there)
            self.rows.append(Row(len(self.rows) + 1, there, where, title, words, volts if jack else ""))
        return bool(there)


def _parts(control: Control) -> list[str]:
    depth = control.attenuverter if isinstance(control.attenuverter, str) else None
    return [part for part in (control.knob, control.cv, depth) if part is not None]


def _volts(low: float, high: float) -> str:
    return f"±{high:g} V" if low == -high else f"{low:g} to {high:g} V"


def _given(built: Built, jack: str) -> str:
    if jack.startswith("audio"):
        return f"±{built.board.audio.full_scale_volts_out:g} V at most"
    if jack.startswith("gate"):
        return "0 or 5 V"
    dac = next((dac for dac in built.board.dacs if dac.name == jack), None)
    return _volts(dac.low_volts, dac.high_volts) if dac else ""


def _ideas(ideas: tuple[str, ...], printed: dict[str, str]) -> list[str]:
    """Name the jacks as the panel does; an idea that needs one which is not there is left out."""
    here = [idea for idea in ideas if all(name in printed for name in JACK.findall(idea))]
    return [JACK.sub(lambda found: printed[found[1]], idea) for idea in here]


def _knobs(built: Built) -> list[str]:
    """Knobs of the board that move something."""
    used = {parameter.knob for parameter in built.assignment.parameters}
    return [adc.name for at, adc in enumerate(built.board.adcs) if adc.kind == "knob" and at in used]


def _presets(built: Built) -> list[PresetRow]:
    assignment = built.assignment
    rests, names = resting_knobs(built), [adc.name for adc in built.board.adcs]
    made = []
    for preset in load_presets(assignment.loaded):
        placed, at = positions(preset, assignment), dict(rests)
        more = []
        for name in preset.set:
            moved = [one for one in assignment.parameters if one.name in placed and _of(name, one.name)]
            knobs = [one.knob for one in moved if one.knob >= 0]
            if knobs:
                at[names[knobs[0]]] = preset.set[name]
            elif moved:
                more.append(f"{title(name)} {preset.set[name]:.0%}")
        standing = tuple(round(100 * at[knob]) for knob in _knobs(built))
        if preset.slot is not None:
            more.append(f"model slot {preset.slot}" if preset.slot else "built-in model")
        made.append(PresetRow(preset.name, preset.words, standing, ", ".join(more)))
    return made


def _of(name: str, address: str) -> bool:
    """Whether a parameter is called so, or belongs to the group of that name."""
    dotted = address.replace("/", ".")
    return dotted == name or dotted.startswith(f"{name}.")


def _costs(built: Built) -> list[tuple[str, str]]:
    report, board = built.report, built.board
    costs = []
    if board.processor.target != "host":
        costs.append(
            ("processor", f"{report['cpu_mean']:.0%} on average, {report['cpu_worst']:.0%} at worst")
        )
    voices, asked = report["voices"], report["voices_asked"]
    if voices is not None and asked is not None and asked > 1:
        costs.append(("sounds at once", f"{voices}" if voices == asked else f"{voices} of {asked}"))
    ms = 1000 * (report["latency_samples"] + report["block"]) / board.audio.sample_rate_hz
    costs.append(("control to sound", f"{ms:.1f} ms"))
    used = ", ".join(
        f"{name.upper()} {use['used'] / 1024:,.0f} KB"
        for name, use in report["regions"].items()
        if use["used"] >= 512
    )
    return [*costs, ("memory", used)] if used else costs
