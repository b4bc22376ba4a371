"""What operators of a process share besides their inputs: torch's global settings, hooks and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.modules import module as modules
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

# Each with how it is read and how it is put back.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (torch.get_default_device, torch.set_default_device),
    "the float32 precision of products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "autocast": (torch.is_autocast_enabled, torch.set_autocast_enabled),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
}
HOOKS = tuple(name for name in vars(modules) if name.startswith("_global_") and name.endswith("hooks"))
FUNCTIONS = (F, torch)


class ProcessState:
    """The state as it is when this is made."""

    def __init__(self) -> None:
        self._settings = {name: read() for name, (read, _) in SETTINGS.items()}
        self._hooks = {name: dict(getattr(modules, name)) for name in HOOKS}
        self._functions = [dict(vars(module)) for module in FUNCTIONS]
        self._modes = len(_get_current_dispatch_mode_stack())

    def restore(self) -> list[str]:
        """Puts back what has changed since, and returns what that was, in words."""
        changed = []
        for name, (read, write) in SETTINGS.items():
            if read() != self._settings[name]:
                write(self._settings[name])
                changed.append(name)
        for name, before in self._hooks.items():
            hooks = getattr(modules, name)
            if dict(hooks) != before:
                hooks.clear()
                hooks.update(before)
                changed.append("hooks of all modules")
        for module, functions in zip(FUNCTIONS, self._functions, strict=True):
            for name, function in functions.items():
                if callable(function) and vars(module).get(name) is not function:
                    setattr(module, name, function)
                    changed.append(f"{module.__name__}.{name}")
        while len(_get_current_dispatch_mode_stack()) > self._modes:
            _get_current_dispatch_mode_stack()[-1].__exit__(None, None, None)
            changed.append("a dispatch mode")
        return list(dict.fromkeys(changed))
