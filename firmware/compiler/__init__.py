"""From an ONNX file to streaming C."""
