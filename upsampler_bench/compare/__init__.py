"""Comparisons told: of two sides measured here, and of two stored runs; each becomes a report and an exit code."""
