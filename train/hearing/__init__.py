"""What an ear would object to in drum hits, as figures of sounds: whoever made them, by whatever decoder."""
