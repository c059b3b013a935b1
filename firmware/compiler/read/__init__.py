"""From an ONNX file to the compiler's graph."""
