"""Judging a texture codec on recordings that it never heard."""
