"""The tables by which an engine hears (``engine/dsp/ear.h``), as C."""

from __future__ import annotations

from firmware.compiler.ops.hop_ends.ear import EarConstants
from firmware.instruments.c.literals import floats, integers
from firmware.kernelgen.ear import tables


def ear_tables(ear: EarConstants, role: str) -> str:
    """Return the definitions that `ear_of` names; `role` is the model's, as there may be two ears."""
    bins = tables(ear.bank)
    return f"""static const uint8_t {role}_band[] = {integers(int(b) for b in bins.band)};
static const float {role}_lower[] = {floats(bins.lower)};
static const float {role}_upper[] = {floats(bins.upper)};
static const float {role}_weight[] = {floats(ear.weight)};
"""


def ear_of(ear: EarConstants, role: str) -> str:
    """Return the initializer of a ``vk_ear`` over them."""
    return f"{{{role}_band, {role}_lower, {role}_upper, {role}_weight, {len(ear.bank)}}}"
