"""What moves: one file each."""
