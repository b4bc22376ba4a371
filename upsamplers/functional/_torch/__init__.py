"""The PyTorch forms of the functions: memory-lean in eager mode, portable while exporting or compiling."""

import torch

# The elementwise functions that the operators call. On x86 torch hands them to MKL, which chooses a kernel in the first
# call of each; where two threads make that call at once, one may get a kernel of half the digits
# (https://github.com/pytorch/pytorch/issues/188792). So one thread makes it here.
ELEMENTWISE = (torch.cos, torch.exp, torch.expm1, torch.log, torch.sin, torch.sqrt, torch.tanh)

for _function in ELEMENTWISE:
    for _dtype in (torch.float32, torch.float64):
        _function(torch.ones(1, dtype=_dtype, device="cpu"))
