"""The commands, by what they are for; `cli` gathers them."""
