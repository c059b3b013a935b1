"""Bending: inner signals of a quantized model become parameters, and a page that shows what each would do."""
