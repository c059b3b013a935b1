"""The judge of expressions."""
