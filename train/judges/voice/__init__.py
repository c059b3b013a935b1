"""The judge of voices."""
