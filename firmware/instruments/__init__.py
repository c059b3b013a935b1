"""Instruments: their files, kinds, layout on a board and the C that is printed from them."""
