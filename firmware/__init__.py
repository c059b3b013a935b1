"""The compiler (ONNX to C), the engine (C11), its ports, the instruments and the factory models."""
