"""A disting NT that is not there: loads plug-ins, gives them memory, plays them and counts their cycles."""
