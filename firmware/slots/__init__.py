"""Models for a module that is flashed already: slot files, and the way of one into a module."""
