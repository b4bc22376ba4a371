"""For users' own test suites: the pytest plug-in."""
