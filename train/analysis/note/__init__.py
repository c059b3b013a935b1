"""What a note is made of: its pitch, its loudness, its harmonics and its noise, frame by frame."""
