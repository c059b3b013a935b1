"""An instrument printed as C."""
