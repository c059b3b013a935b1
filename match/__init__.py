"""From a sound to the knobs that make one like it."""
