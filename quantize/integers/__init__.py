"""Scales, roundings and the exact integer network."""
