"""The exit codes, the same in every command."""

FINE = 0
# A regression, an operator that failed under --strict, limits that no operator meets, a baseline that changed.
FAILED = 1
# Misuse, or an environment in which nothing can be measured.
MISUSE = 2
# Only with `compare --fail-on inconclusive`.
INCONCLUSIVE = 3
# An operator's output or gradient is wrong.
WRONG_OUTPUT = 4
# A bug in this package, as sysexits.h counts it; a traceback is printed.
INTERNAL = 70
# Ctrl-C, as a shell counts it: 128 + SIGINT. What was measured is kept.
INTERRUPTED = 130
