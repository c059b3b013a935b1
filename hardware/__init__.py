"""Boards, panel, BOM, wiring, flashing, serial protocol, calibration and monitor."""
