"""Changes that make a recipe small enough to train in a test."""

SMALL_RHYTHM = [
    "model.hidden=8",
    "model.channels=8",
    "model.encoder=8",
    "model.latents=4",
    "fit.batch=8",
    "fit.validation_items=16",
]
SMALL_DRUM = [
    "model.trunk=[8,8]",
    "model.noise_rank=4",
    "model.transient_rank=4",
    "model.encoder=16",
    "model.latents=3",
    "window_s=0.1",
    "fit.batch=4",
    "fit.validation_items=8",
]
SMALL_MEL = [
    "model.latents=3",
    "model.mels=16",
    "model.frames=16",
    "model.size=512",
    "model.hop=256",
    "model.channels=8",
    "fit.batch=8",
    "fit.validation_items=16",
]

# What a test of the loop itself leaves out of finishing a run.
PLAIN = {"pictures": False, "export": False}
