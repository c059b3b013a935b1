"""Data for calibration, tuning and tests."""
