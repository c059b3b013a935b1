"""How good a trained model is on what it was never trained on: one file per kind."""
