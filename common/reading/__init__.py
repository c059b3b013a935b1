"""What people write: tables, TOML, recordings, MIDI, options. Read whole, or refused with the reason."""
