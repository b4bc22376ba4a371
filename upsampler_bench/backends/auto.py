"""What `upsamplers.create` gives: Triton kernels where they can run, else plain PyTorch."""

DESCRIPTION = "Triton kernels where they can run, else PyTorch: what upsamplers.create gives"
OPERATORS = "auto"
