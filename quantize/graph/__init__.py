"""An ONNX graph as torch modules: reading, operators, channels."""
