"""Instruments: their files, kinds, assignment to a board and the C that is printed from them."""
