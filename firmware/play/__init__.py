"""An instrument played on this machine: rendering, live sound, pictures."""
