"""A case brought to life: the module, its inputs, what is done with them, and whether its output is right."""
