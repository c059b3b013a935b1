"""One hub between what hands do and what sounds: OSC, MIDI, a phone, a script; an instrument, OSC, MIDI."""
