"""The instrument `modal` in float: its parameters, and the sound that they make."""
