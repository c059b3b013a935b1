"""A page for a phone: its tilt, turn, shakes, faders and pads as a source of the bridge."""
