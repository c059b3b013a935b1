"""A board made of memory, for the desk."""
