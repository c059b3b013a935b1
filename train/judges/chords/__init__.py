"""Judging a chord model on songs that it never met."""
