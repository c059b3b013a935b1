"""Songs as chords, from a written grammar."""
