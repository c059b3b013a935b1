"""Factory models, and how an instrument reads a model file."""
