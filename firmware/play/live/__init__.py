"""An instrument played in real time: OSC, and the sound card or a file."""
