"""One file a kind of training: its recipe, data, losses, and what others ask of it (`base.py`)."""
