"""Attributes measured from data, which become knobs."""
