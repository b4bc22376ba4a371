"""Plain PyTorch, call by call: what the outputs and times of all other backends are compared with."""

DESCRIPTION = "plain PyTorch, which the others are compared with"
OPERATORS = "torch"
