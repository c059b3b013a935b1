"""Schematics of the carriers: from the tables of board, panel and parts to KiCad files."""
