"""The subcommands, one per file; `cli` registers them."""
