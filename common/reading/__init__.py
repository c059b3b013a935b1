"""Files as people write them: tables, TOML, recordings, MIDI. Read whole, or refused with the reason."""
