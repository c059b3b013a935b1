"""Modules for nn~ (Max, Pure Data), by what they play."""
