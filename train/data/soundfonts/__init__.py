"""Drum kits of General MIDI soundfonts as folders of one-shots."""
