"""Tables of latents as files, and on their way to and from a module."""
