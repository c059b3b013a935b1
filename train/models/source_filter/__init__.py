"""A sound as a source and a filter: what is heard of one, and how one is made."""
