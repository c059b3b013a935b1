"""Levels that no recording has, in words that all reports share."""

from __future__ import annotations

# A float file may well pass full scale by a few decibels; 20 dB and more is another scale
INTEGER_SCALE_DB = 20.0
INTEGER_SCALE = (
    "{count} files peak more than 20 dB above full scale: float files that hold the whole numbers of a "
    "converter, as -32768 to 32767. Divide them by that scale; their levels mean nothing as they are."
)
