"""The ends of networks that go by hops: what a texture hears, what it sounds like, and what a voice does."""

from firmware.compiler.ops.hop_ends import ear, harmonic_bank, source_filter

__all__ = ["ear", "harmonic_bank", "source_filter"]
