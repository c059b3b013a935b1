"""What is trained: one task per kind of recipe."""
