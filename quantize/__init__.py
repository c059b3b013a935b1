"""Structured pruning, calibration, quantization-aware fine-tuning and QDQ export."""
