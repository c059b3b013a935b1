"""The tables by which an engine hears (``engine/dsp/ear.h``), as C."""

from __future__ import annotations

from firmware.compiler.ops.hop_ends.ear import EarConstants
from firmware.instruments.c.literals import floats, integers
from firmware.kernelgen.ear import tables


def ear_tables(ear: EarConstants) -> str:
    """Return the definitions that `ear_of` names."""
    bins = tables(ear.bank)
    return f"""static const uint8_t ear_band[] = {integers(int(b) for b in bins.band)};
static const float ear_lower[] = {floats(bins.lower)};
static const float ear_upper[] = {floats(bins.upper)};
static const float ear_weight[] = {floats(ear.weight)};
"""


def ear_of(ear: EarConstants) -> str:
    """Return the initializer of a ``vk_ear`` over them."""
    return f"{{ear_band, ear_lower, ear_upper, ear_weight, {len(ear.bank)}}}"
