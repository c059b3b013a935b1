"""The per-hit drum: a small network says once per hit what modes, bands of noise and a transient sound."""
