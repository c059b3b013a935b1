"""The latent table, the latent space, and how latents move."""
