"""Counts the ATen operators that one forward dispatches: on small inputs they are most of what it costs."""

from __future__ import annotations

from collections import Counter
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from upsampler_bench.workloads.workload import Workload


def operations(workload: Workload) -> dict[str, int]:
    """How often one forward under inference mode calls which operator, such as "aten.conv2d.default".

    Views and casts that change nothing are counted too: each of them is a call that takes its microsecond.
    """
    with _Calls() as calls:
        workload.forward()
    return dict(calls.by_name)


class _Calls(TorchDispatchMode):
    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call,unused-ignore]
        self.by_name: Counter[str] = Counter()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.by_name[str(func)] += 1
        return func(*args, **(kwargs or {}))
