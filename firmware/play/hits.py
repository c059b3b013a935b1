"""The hits that leave a board: when a part's gate goes high, and how loud by the velocity outputs.

Only gates that reach a jack count, so a board with two gate outputs has two parts.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from common.spool import spans
from firmware.build import Built
from firmware.instruments import kinds
from firmware.play.host import Rendered

VELOCITY_VOLTS = 5.0
UNKNOWN_VELOCITY = 0.7
"""Of a hit on a board without a velocity output."""


def wires(built: Built) -> tuple[dict[str, int], dict[str, int]]:
    """Numbers of the gate and CV outputs by what they carry."""
    assignment = built.assignment
    kind = kinds.named(assignment.kind)
    gates = {kind.gate_sources[source]: at for at, source in enumerate(assignment.gate_out) if source >= 0}
    cvs = {kind.cv_sources[source]: at for at, source in enumerate(assignment.cv_out) if source >= 0}
    return gates, cvs


def hits(built: Built, rendered: Rendered, parts: Iterable[str]) -> dict[str, list[tuple[int, float]]]:
    """Sample and velocity (0 … 1) of every hit, by part; a part that no jack carries has none.

    Parameters
    ----------
    parts : iterable of str
        Gate sources of the kind.
    """
    gates, cvs = wires(built)
    found: dict[str, list[tuple[int, float]]] = {}
    for part in parts:
        if part not in gates:
            continue
        rises = _rises(rendered.gates, gates[part])
        cv = cvs.get(f"velocity.{part}", cvs.get("velocity"))
        velocity = (
            np.full(len(rises), UNKNOWN_VELOCITY) if cv is None else rendered.cv[cv, rises] / VELOCITY_VOLTS
        )
        if len(rises):
            found[part] = [
                (int(at), min(1.0, max(0.0, float(v)))) for at, v in zip(rises, velocity, strict=True)
            ]
    return found


def _rises(gates: NDArray[np.uint32], bit: int) -> NDArray[np.intp]:
    """Samples at which one gate goes high."""
    found = []
    before = np.int8(0)
    for span in spans(gates.size, through=[gates]):
        level = (gates[span] >> bit & 1).astype(np.int8)
        found.append(span.start + np.flatnonzero(np.diff(level, prepend=before) > 0))
        before = level[-1]
    return np.concatenate(found) if found else np.zeros(0, np.intp)
