"""A voice: from pitch, loudness and timbre to harmonics and bands of noise."""
