"""Procedural data sets whose generating parameters are known."""
