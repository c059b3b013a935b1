"""Operators of quantized files: what this room writes, and what tells it that a file is quantized already."""

QUANTIZE, DEQUANTIZE = "QuantizeLinear", "DequantizeLinear"
QUANTIZED = (QUANTIZE, "QLinearConv", "ConvInteger")
"""Operators that a float model does not have."""
