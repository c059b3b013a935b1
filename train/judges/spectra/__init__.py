"""Judging spectra."""
