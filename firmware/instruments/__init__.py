"""Instruments: their files, kinds, and assignment to a board."""
