"""What a quantization run says."""
