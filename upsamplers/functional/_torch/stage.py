"""Names for the parts of an operator, which profilers show as ranges."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch
from torch.profiler import record_function

P = ParamSpec("P")
T = TypeVar("T")


def stage(name: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Makes a function a range of that name while a profiler records; else it is called as it is."""

    def decorate(function: Callable[P, T]) -> Callable[P, T]:
        @wraps(function)
        def staged(*args: P.args, **kwargs: P.kwargs) -> T:
            # A compiler takes the first branch; a range that nobody records would cost microseconds.
            if torch.compiler.is_compiling() or not torch._C._autograd._profiler_enabled():
                return function(*args, **kwargs)
            with record_function(name):
                return function(*args, **kwargs)

        return staged

    return decorate
