"""What is moved: one file each."""
