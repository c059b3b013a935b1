"""The judge of an ear."""
