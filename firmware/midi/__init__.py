"""MIDI in and out: files, cables, and what the table of an instrument makes of them."""
