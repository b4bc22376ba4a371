"""The operators' Triton kernels, for NVIDIA GPUs; operators without are refused."""

DESCRIPTION = "our Triton kernels, on an NVIDIA GPU"
OPERATORS = "triton"
