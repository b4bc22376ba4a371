"""Counts the bytes of live tensors: exact, repeatable, and the same under FakeTensorMode."""

from __future__ import annotations

import weakref
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
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.live = self.peak = self.marked = 0
        self._known: dict[int, weakref.finalize[Any, Any]] = {}

    def mark(self) -> None:
        """Remembers what is alive now, e.g. between forward and backward."""
        self.marked = self.live

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Runs one operation and counts the storages it made."""
        for storage in _storages((args, kwargs)):
            self._follow(storage, 0)
        out = func(*args, **(kwargs or {}))
        for storage in _storages(out):
            self._follow(storage, storage.nbytes())
        self.peak = max(self.peak, self.live)
        return out

    def _follow(self, storage: torch.UntypedStorage, size: int) -> None:
        key = id(storage)  # the wrapper lives exactly as long as the storage
        if key in self._known:
            return
        self._known[key] = weakref.finalize(storage, self._drop, key, size)
        self.live += size

    def _drop(self, key: int, size: int) -> None:
        del self._known[key]
        self.live -= size


def _storages(values: Any) -> Iterator[torch.UntypedStorage]:
    return (value.untyped_storage() for value in tree_iter(values) if isinstance(value, torch.Tensor))
