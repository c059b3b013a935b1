"""Preparing data: audio, patterns, pairs, the store and the report."""
