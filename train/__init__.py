"""Data preparation, models, losses, training, latents and ONNX export."""
