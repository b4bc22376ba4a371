"""Scripts and data behind decisions; not part of the package."""
