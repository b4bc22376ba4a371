"""Deterministic metrics (FLOPs, memory, operations, outputs) and the committed file they are compared with."""
