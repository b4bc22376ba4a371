"""Triton kernels and their launches: imported only where triton is installed."""
