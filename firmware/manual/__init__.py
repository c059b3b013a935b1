"""A page about an instrument on a board, and a card that lies over its panel."""
