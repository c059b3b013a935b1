"""Names of drums, in channel order."""

CLASSES = ("kick", "snare", "hat_closed", "hat_open", "tom", "clap", "cymbal", "perc")
"""Kinds of drum sounds."""
PARTS = ("kick", "snare", "hat_closed", "hat_open", "tom_low", "tom_mid", "tom_high", "crash", "ride")
"""The drums of a rhythm."""
