"""Measures two sides of a comparison against each other: fresh processes, alternating, one process a data point."""
