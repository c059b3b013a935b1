"""The disting NT: an instrument as one relocatable object that the module's own firmware loads."""
