"""The emulated Cortex-M7 and its pipeline and memory models."""
