"""The published operators, one file each."""
