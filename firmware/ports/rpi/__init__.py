"""Raspberry Pi, or any Linux PC: a C program and its Python control plane."""
