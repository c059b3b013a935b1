"""What a recorded hit is made of, in the drum's own terms: modes, a glide, noise gains, a transient."""
