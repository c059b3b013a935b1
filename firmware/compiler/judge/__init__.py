"""The arithmetic contract in numpy, and the reference interpreter that judges the C."""
