"""What every room stands on: refusals, files written whole, the sample rate, the names of drums."""
