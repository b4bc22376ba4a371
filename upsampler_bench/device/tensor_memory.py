"""Counts the bytes of live tensors: exact, repeatable, and the same under FakeTensorMode."""

from __future__ import annotations

import ctypes
import weakref
from collections import Counter
from collections.abc import Iterator
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter


class LiveStorages(TorchDispatchMode):
    """Counts every storage that an operation makes, until it is freed, but none that existed before.

    It sees tensors, not the scratch memory inside a kernel.

    Attributes:
        live: bytes alive now, of storages made under this mode.
        peak: the most that were alive at once.
        marked: what was alive when `mark` was called last.
        allocations: storages made so far.
        operations: how many ran so far.
        at_peak: of the bytes alive at the peak, those that each operation made, by its number (from 1).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.live = self.peak = self.marked = self.allocations = self.operations = 0
        self.at_peak: Counter[int] = Counter()
        self._known: dict[int, weakref.finalize[Any, Any]] = {}
        # Those alive: size and the number of the operation that made it.
        self._made: dict[int, tuple[int, int]] = {}

    def __enter__(self) -> LiveStorages:
        _free_arguments_given_up()
        return super().__enter__()  # type: ignore[no-any-return,no-untyped-call,unused-ignore]

    def mark(self) -> None:
        """Remembers what is alive now, e.g. between forward and backward."""
        self.marked = self.live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation and counts the storages it made."""
        self.operations += 1
        for storage in _storages((args, kwargs)):
            self._follow(storage, 0)  # it existed before, so a view of it is not counted as made
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            self._follow(storage, storage.nbytes())
        if self.live > self.peak:
            self.peak = self.live
            self.at_peak.clear()
            for size, number in self._made.values():
                self.at_peak[number] += size
        return out

    def _follow(self, storage: torch.UntypedStorage, size: int) -> None:
        key = id(storage)  # the wrapper lives exactly as long as the storage
        if key in self._known:
            return
        self._known[key] = weakref.finalize(storage, self._drop, key)
        if size:
            self._made[key] = size, self.operations
            self.allocations += 1
            self.live += size

    def _drop(self, key: int) -> None:
        del self._known[key]
        self.live -= self._made.pop(key, (0, 0))[0]


def _free_arguments_given_up() -> None:
    """Lets a function free an argument before it returns, which is how CPython calls functions of its own accord.

    A torch.compile that failed leaves its frame evaluator on (torch 2.13), and with any but CPython's own, callers hold
    what they passed: a peak would depend on what ran before in this process.
    """
    api = ctypes.pythonapi
    api.PyInterpreterState_Get.restype = ctypes.c_void_p
    interpreter = ctypes.c_void_p(api.PyInterpreterState_Get())
    api._PyInterpreterState_SetEvalFrameFunc(interpreter, ctypes.cast(api._PyEval_EvalFrameDefault, ctypes.c_void_p))


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (value.untyped_storage() for value in tree_iter(values) if isinstance(value, torch.Tensor))
