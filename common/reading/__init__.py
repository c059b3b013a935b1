"""Files as people's programs write them: tables, recordings, MIDI. Read whole, or refused with the reason."""
