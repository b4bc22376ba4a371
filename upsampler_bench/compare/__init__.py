"""Is it slower? sides -> schedule -> process -> rule -> comparison -> report; or two stored runs (stored_runs)."""
