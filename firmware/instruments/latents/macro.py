"""The macro: one knob that moves all parameters between learnt sounds (``engine/control/macro.h``)."""

from __future__ import annotations

from firmware.instruments.assignment import Assignment
from firmware.instruments.c.held import Held
from firmware.instruments.schema import InstrumentFile

PARAMETER, GATE = "macro", "learn"
REST = 0.5
BANK = Held("MacroBank", "macro_bank")
BYTES = 640
"""Of a ``MacroBank``; a test measures it."""
CALLS = {"init": f"panel_macro(&{{panel}}, &{{{BANK.name}}});"}
"""C by the verb of ``port.h`` in which it belongs; what is remembered stands in braces."""
WORDS = "One knob for all: moves every parameter between the sounds that were learnt at its ends and middle."


def gates(spec: InstrumentFile) -> list[str]:
    """Names of the gate functions that the macro adds."""
    return [GATE] if spec.macro else []


def add_macro(assignment: Assignment) -> None:
    """Add the macro, where the file asks for it; until two sounds are learnt it moves nothing."""
    if assignment.loaded.spec.macro:
        assignment.add(PARAMETER, (0.0, 1.0), REST)


def macro_text(assignment: Assignment) -> tuple[str, str]:
    """Return the C of a ``MacroSpec`` and what a ``PanelSpec`` says of it; "" and ``NULL`` without."""
    if PARAMETER not in assignment.index:
        return "", "NULL"
    spec = f"{{.parameter = {assignment.index[PARAMETER]}, .learn = {assignment.gate_names.index(GATE)}}}"
    return f"static const MacroSpec macro_spec = {spec};\n", "&macro_spec"
