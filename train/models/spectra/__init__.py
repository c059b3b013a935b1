"""The spectral network, and sound of its magnitudes."""
