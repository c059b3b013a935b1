"""Chord annotations as people write them: symbols, three formats, windows of eight bars."""
