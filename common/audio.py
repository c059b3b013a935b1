"""The rate that everything is made for."""

SAMPLE_RATE_HZ = 48_000
