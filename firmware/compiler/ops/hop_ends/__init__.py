"""The two ends of a texture's networks: what is heard, and what sounds."""

from firmware.compiler.ops.hop_ends import ear, source_filter

__all__ = ["ear", "source_filter"]
