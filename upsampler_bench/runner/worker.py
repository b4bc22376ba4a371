"""The measuring process: reads one request from standard input and writes messages to standard output."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

from upsampler_bench import device
from upsampler_bench.device import environment, quota
from upsampler_bench.errors import BenchError
from upsampler_bench.runner import operators
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Message, Request, read_request, write_message

# Share of the free memory that the process may allocate.
FREE_SHARE = 0.9
# Between two signs that a process lingers (s).
LINGER_PERIOD = 0.2
Emit = Callable[[Message], None]


def main() -> int:
    """Measures one group; what operators print goes to standard error."""
    channel = os.dup(1)
    os.dup2(2, 1)
    request = read_request(sys.stdin.readline())
    interrupt = threading.Event()
    threading.Thread(target=_listen, args=[interrupt], daemon=True).start()

    def emit(message: Message) -> None:
        rest = write_message(message, request.token)
        while rest:
            rest = rest[os.write(channel, rest) :]

    measure(request, emit, interrupt.is_set)
    return 0


def measure(request: Request, emit: Emit, interrupted: Callable[[], bool]) -> None:
    """Loads what the request needs, sends its environment, and measures."""
    begun, folder = time.monotonic(), os.getcwd()
    sys.path[:] = [*request.path, *(entry for entry in sys.path if entry not in request.path)]
    try:
        for plugin in request.plugins:
            emit(Message("start", text=plugin))
            operators.load([plugin])
            os.chdir(folder)  # of the paths in the request
        emit(Message("start"))
        operators.load((), request.specs)
        operators.add_variants(case.upsampler for case in request.cases)
        target = device.create(request.device, request.settings)
        if target.kind == "cpu" and all(case.device == "cpu" for case in request.cases):
            _limit_memory(request.settings.memory_limit)
        if request.question:
            _answer(request, emit)
            return
    except BenchError as problem:
        emit(Message("unusable", text=str(problem)))
        return
    emit(Message("environment", environment=environment.capture(target)))
    if request.measurer:
        _function(request.measurer)(request, emit)
    else:
        Group(request, target, emit, interrupted).measure()
    while time.monotonic() - begun < request.linger and not interrupted():
        emit(Message("waiting"))
        time.sleep(LINGER_PERIOD)
    emit(Message("conditions", facts={"at": "end", **target.conditions()}))
    emit(Message("end"))


def _answer(request: Request, emit: Emit) -> None:
    """Calls the function that the request names with each case."""
    function = _function(request.question)
    for case in request.cases:
        emit(Message("at", case.key))
        emit(Message("answer", case.key, answer=function(case, **request.arguments)))
    emit(Message("end"))


def _function(name: str) -> Callable[..., Any]:
    """The function that a request names, as "module:function"."""
    module, _, function = name.partition(":")
    found: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return found


def _limit_memory(limit: int) -> None:
    """Makes an operator that eats all memory fail here, before the system kills a process of its choice."""
    with contextlib.suppress(ImportError, ValueError, OSError):
        import resource

        soft = limit or int(quota.available_memory() * FREE_SHARE)
        resource.setrlimit(resource.RLIMIT_DATA, (soft, resource.getrlimit(resource.RLIMIT_DATA)[1]))


def _listen(interrupt: threading.Event) -> None:
    """The parent never closes our input while it lives: without a parent nobody wants the readings."""
    for _ in sys.stdin:
        interrupt.set()
    os._exit(1)
