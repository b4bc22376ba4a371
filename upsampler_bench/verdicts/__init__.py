"""Slower, faster, the same or unclear: what processes' timings on two sides say, and types to keep them in."""
