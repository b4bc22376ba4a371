"""What an upsampler is worth: measured without training, and inside a small network."""
