"""Expression: from events to the curves of loudness, pitch and breath that make a note alive."""
