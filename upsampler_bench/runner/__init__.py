"""How cases are measured: a run, its measuring processes, and what happens inside one of them."""
