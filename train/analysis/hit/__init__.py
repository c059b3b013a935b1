"""What a recorded hit is made of, in the per-hit drum's own terms: modes, a glide, noise gains, a transient."""
