"""Scores rules on a study's processes: how often each cries wolf, and how often it finds what was made slower."""
