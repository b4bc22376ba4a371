"""Names for the parts of an operator, which profilers show as ranges."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch.profiler import record_function

NOTHING = nullcontext()


def stage(name: str) -> AbstractContextManager[object]:
    """A range of that name while a profiler records; else nothing, since a range takes microseconds.

    A decorator would keep the arguments of a function alive, and with them tensors that it drops.
    """
    if torch.compiler.is_compiling() or not torch._C._autograd._profiler_enabled():
        return NOTHING
    return record_function(name)
