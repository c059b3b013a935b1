"""Captures: the amplifier and pedal models that people already have, read into the model file."""
