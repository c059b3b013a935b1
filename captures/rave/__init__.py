"""Models of RAVE, read from what its own export wrote; none of that code is run."""
