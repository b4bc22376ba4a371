"""Starts the measuring process, and ends it with everything it started, also when the parent is killed meanwhile."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import time
from typing import NoReturn

import psutil

# Of Linux: the signal that a process gets when its parent ends; whether orphans below a process become its children.
PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36
# Processes that are killed may start others meanwhile: up to ATTEMPTS looks for these, PAUSE seconds apart.
ATTEMPTS, PAUSE = 200, 0.01


def main() -> NoReturn:
    """Runs the worker in a child, and ends as it does after everything below has ended."""
    _control(PR_SET_CHILD_SUBREAPER, 1)
    _control(PR_SET_PDEATHSIG, signal.SIGTERM)
    worker = os.fork()
    if not worker:
        _control(PR_SET_PDEATHSIG, signal.SIGKILL)
        from upsampler_bench.runner.worker import main as measure

        sys.exit(measure())
    for pipe in (0, 1):
        os.close(pipe)
    signal.signal(signal.SIGTERM, _stop)
    status = os.waitpid(worker, 0)[1]
    _end_descendants()
    if os.WIFSIGNALED(status):
        _end_by(os.WTERMSIG(status))
    os._exit(os.WEXITSTATUS(status))


def _stop(*_: object) -> NoReturn:
    _end_descendants()
    _end_by(signal.SIGKILL)


def _end_descendants() -> None:
    for _ in range(ATTEMPTS):
        descendants = psutil.Process().children(recursive=True)
        for process in descendants:
            with contextlib.suppress(psutil.Error):
                process.kill()
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if not descendants:
            return
        time.sleep(PAUSE)


def _end_by(number: int) -> NoReturn:
    """Ends this process by the signal that ended the worker, so that the parent sees the same."""
    with contextlib.suppress(OSError, ValueError):
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with contextlib.suppress(OSError):
        signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
    os._exit(1)


def _control(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
