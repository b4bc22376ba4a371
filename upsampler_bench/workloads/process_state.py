"""What operators of a process share besides their inputs: torch's global settings, hooks and functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch.nn.modules import module as modules
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

AUTOCAST = ("cpu", "cuda")


def _default_device() -> Any:
    """The context that intercepts every call to set a default device; None where there is no such device."""
    return getattr(torch._GLOBAL_DEVICE_CONTEXT, "device_context", None)


def _set_default_device(context: Any) -> None:
    torch.set_default_device(None if context is None else context.device)


def _cudnn() -> tuple[bool, bool, bool]:
    backend = torch.backends.cudnn
    return backend.allow_tf32, backend.benchmark, backend.deterministic


def _set_cudnn(settings: tuple[bool, bool, bool]) -> None:
    backend = torch.backends.cudnn
    backend.allow_tf32, backend.benchmark, backend.deterministic = settings


def _autocast() -> tuple[bool, ...]:
    return tuple(map(torch.is_autocast_enabled, AUTOCAST))


def _set_autocast(enabled: tuple[bool, ...]) -> None:
    for device, is_on in zip(AUTOCAST, enabled, strict=True):
        torch.set_autocast_enabled(device, is_on)


# Each with how it is read and how it is put back.
SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], object]]] = {
    "grad mode": (torch.is_grad_enabled, torch.set_grad_enabled),
    "the number of threads": (torch.get_num_threads, torch.set_num_threads),
    "the default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "the default device": (_default_device, _set_default_device),
    "the float32 precision of products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "the settings of cuDNN": (_cudnn, _set_cudnn),
    "autocast": (_autocast, _set_autocast),
    "anomaly detection": (torch.is_anomaly_enabled, torch.autograd.set_detect_anomaly),
}
# What the older of torch's two interfaces cannot say, of a precision that was set by the newer one.
MIXED = object()
HOOKS = tuple(name for name in vars(modules) if name.startswith("_global_") and name.endswith("hooks"))


def _read(read: Callable[[], Any]) -> Any:
    try:
        return read()
    except RuntimeError:
        return MIXED


class ProcessState:
    """The state as it is when this is made."""

    def __init__(self) -> None:
        self._settings = {name: _read(read) for name, (read, _) in SETTINGS.items()}
        self._hooks = {name: dict(getattr(modules, name)) for name in HOOKS}
        self._functions = {name: function for name, function in vars(F).items() if callable(function)}
        self._modes = len(_get_current_dispatch_mode_stack())

    def restore(self) -> list[str]:
        """Puts back what has changed since, and returns what that was, in words."""
        changed = []
        for name, (read, write) in SETTINGS.items():
            before = self._settings[name]
            if before is not MIXED and _read(read) != before:
                write(before)
                changed.append(name)
        for name, before in self._hooks.items():
            hooks = getattr(modules, name)
            if dict(hooks) != before:
                hooks.clear()
                hooks.update(before)
                changed.append("hooks of all modules")
        for name, function in self._functions.items():
            if vars(F).get(name) is not function:
                setattr(F, name, function)
                changed.append(f"torch.nn.functional.{name}")
        while len(_get_current_dispatch_mode_stack()) > self._modes:
            _get_current_dispatch_mode_stack()[-1].__exit__(None, None, None)
            changed.append("a dispatch mode")
        return list(dict.fromkeys(changed))
