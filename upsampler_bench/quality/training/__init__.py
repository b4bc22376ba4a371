"""Trained measurements: what an upsampler is worth inside a small network, on scenes and on images."""
