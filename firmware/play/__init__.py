"""An instrument played on this machine: rendering, live sound, OSC, CV scripts, pictures."""
