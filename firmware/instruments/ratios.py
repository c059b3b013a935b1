"""Steps per clock pulse, of every kind that plays on a clock."""

from __future__ import annotations

RATIOS = ("1/12", "1/8", "1/6", "1/4", "1/3", "1/2", "1", "2", "3", "4", "6", "8")
"""As ``engine/instruments/step_clock.h`` lists them."""
RATIO_ONE = RATIOS.index("1") / (len(RATIOS) - 1)
"""Position at which a pulse is a step."""
