"""The judge of what finds the knobs of a modal body."""
