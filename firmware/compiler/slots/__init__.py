"""What a slot of a module may replace: the numbers of a model, apart from its code."""
