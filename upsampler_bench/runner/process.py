"""A measuring process seen from its parent: started, read from, interrupted, ended."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from upsampler_bench.case import Case
from upsampler_bench.device.placement import ANYWHERE, Placement
from upsampler_bench.runner.protocol import DEAD_DEVICE, INTERRUPT, Message, Request, read_message, write_request

# Until the first message (s): a busy machine imports torch slowly, and no operator is to blame for that.
START_SECONDS = 120.0
GRACE_SECONDS = 10.0
SLICE_SECONDS = 0.5
# After its share of a budget, in which a process sends what it has (s).
BUDGET_GRACE_SECONDS = 2.0
TAIL_LINES = 12
# The exit code of Python for an exception, whose text is the last line of what it wrote.
RAISED = 1
# The folder that a process stands in is not searched for modules: a random.py in it would replace Python's own.
BOOT = """
import os, sys
cores = {cores!r}
if cores and hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, cores)
sys.path[:] = [*filter(None, sys.path), {root!r}]
from upsampler_bench.runner.supervisor import main
main()
"""
ROOT = str(Path(__file__).parents[2])


class Stopped(Exception):
    """The process must be stopped: it sent nothing for as long as one step may take, or what is no message."""


@dataclass(frozen=True, slots=True)
class Side:
    """Whose code a process measures.

    Attributes:
        python: the interpreter, which must find this package; empty: this one.
        path: searched for modules first.
        cwd: its working directory; empty: the current one.
    """

    python: str = ""
    path: tuple[str, ...] = ()
    cwd: str = ""


HERE = Side()


class Process:
    """One measuring process."""

    def __init__(self, request: Request, side: Side = HERE, placement: Placement = ANYWHERE) -> None:
        self._token = request.token
        self._limit = max(START_SECONDS, request.settings.timeout)
        self._step_limit = request.settings.timeout
        self._deadline, self._used_up = request.deadline, request.settings.used_up
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - read after the process has ended
        # In a session of its own, so that a terminal's Ctrl-C reaches the parent alone, which passes it on once.
        self._child = subprocess.Popen(
            [side.python or sys.executable, "-c", BOOT.format(root=ROOT, cores=placement.cores)],
            cwd=side.cwd or None,
            env=environment(side, placement),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        self._lines: queue.Queue[bytes | None] = queue.Queue()
        self._reader = threading.Thread(target=self._read_lines, daemon=True)
        self._reader.start()
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended at once: its exit code says why
            self._child.stdin.write(write_request(request).encode())
            self._child.stdin.flush()

    def read(self) -> Message | None:
        """The next message, or None when the process has ended or closed its output.

        Raises:
            Stopped: none arrived for as long as one step may take, or what arrived is no message, or the budget is
                used up.
        """
        waited = 0.0
        while waited < self._limit:
            if 0 < self._deadline < time.monotonic() - BUDGET_GRACE_SECONDS:
                raise Stopped(self._used_up)
            try:
                line = self._lines.get(timeout=SLICE_SECONDS)
            except queue.Empty:
                # What an operator started may hold the pipe open after the process itself has ended.
                if self._child.poll() is not None and self._lines.empty():
                    return None
                waited += SLICE_SECONDS
                continue
            self._limit = min(self._limit, self._step_limit)
            if line is None or not line.endswith(b"\n"):
                return None
            try:
                return read_message(line, self._token)
            except ValueError:
                raise Stopped("wrote to the pipe of the measuring process") from None
        raise Stopped(f"timed out: no response for {self._limit:g} s")

    def interrupt(self) -> None:
        """Asks the process to stop after the call it is in, and to send what it has; waits only briefly from now on."""
        self._limit = min(self._limit, GRACE_SECONDS)
        assert self._child.stdin is not None
        with contextlib.suppress(BrokenPipeError, ValueError):  # it has ended; its pipe may be closed
            self._child.stdin.write(INTERRUPT.encode())
            self._child.stdin.flush()

    def end(self, *, patience: float = GRACE_SECONDS) -> int:
        """Waits for the process, kills it after that, and returns its exit code.

        Args:
            patience: seconds to wait.

        Returns:
            Zero, the code it ended with, or the negative number of the signal that ended it.
        """
        try:
            return self._child.wait(timeout=patience)
        except subprocess.TimeoutExpired:
            self._child.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                return self._child.wait(timeout=GRACE_SECONDS)
            self._child.kill()
            return self._child.wait()
        finally:
            self._end_session()

    def _end_session(self) -> None:
        """Ends what the process may have left behind, which would hold its pipe open and disturb later timings."""
        with contextlib.suppress(OSError, AttributeError):
            os.killpg(self._child.pid, signal.SIGKILL)
        with contextlib.suppress(BrokenPipeError):
            self._child.stdin and self._child.stdin.close()
        self._reader.join(timeout=SLICE_SECONDS)
        if not self._reader.is_alive() and self._child.stdout is not None:
            self._child.stdout.close()

    def last_words(self) -> str:
        """The last lines of what it wrote to standard error; can be asked once, when it has ended."""
        with self._errors:
            self._errors.seek(0)
            return "\n".join(self._errors.read().decode(errors="replace").splitlines()[-TAIL_LINES:])

    def _read_lines(self) -> None:
        assert self._child.stdout is not None
        for line in self._child.stdout:
            self._lines.put(line)
        self._lines.put(None)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a measuring process ended.

    Attributes:
        last: its last "start", "at" or "end" message, so that its ending can be blamed on a plug-in or a case.
        code: its exit code, negative if a signal ended it.
        stopped: why it was stopped; empty: it ended by itself.
        interrupted: whether Ctrl-C was pressed.
        errors: the last lines of its standard error.
    """

    last: Message
    code: int
    stopped: str = ""
    interrupted: bool = False
    errors: str = ""

    @property
    def is_explained(self) -> bool:
        """Whether it is known why it ended: a system or a person sent a signal, or the case killed its device."""
        return self.code in (-signal.SIGKILL, -signal.SIGTERM, DEAD_DEVICE)

    def reason(self, step: str = "") -> str:
        """Why it ended, as a row's reason; `step` is what it was doing."""
        during = f" during '{step}'" if step else ""
        if self.stopped:
            return f"{self.stopped}{during}"
        if self.code >= 0:
            return f"ended the process{during} with code {self.code}"
        name = signal.Signals(-self.code).name if -self.code in set(signal.Signals) else f"signal {-self.code}"
        guess = ", most likely out of memory" if -self.code == signal.SIGKILL else ""
        return f"crashed the process{during}: {name}{guess}"

    def cause(self) -> str:
        """The exception that ended it, in its own words, or how it ended otherwise."""
        error = self.errors.rpartition("\n")[2]
        return error if self.code == RAISED and error and not self.stopped else self.reason()

    def why_not_started(self) -> str:
        """Why it ended before it came to a case."""
        if self.last.text:
            return f"cannot load plug-in {self.last.text!r}: {self.reason()}"
        error = self.errors.rpartition("\n")[2]
        return f"the measuring process could not start: {error or self.reason()}"


def follow(process: Process, receive: Callable[[Message], None], *, finish_call: bool = True) -> Ending:
    """Passes on all messages of a process until it ends, crashes or times out.

    Args:
        process: just started; it has ended on return, also where `receive` raises.
        receive: called with each message.
        finish_call: on Ctrl-C let the process finish its call and send what it has (a second Ctrl-C stops it at once);
            False raises KeyboardInterrupt at once.
    """
    last, stopped, interrupts = Message("start"), "", 0
    try:
        while last.kind != "end" and interrupts < 2:
            try:
                message = process.read()
                if message is None:
                    break
                if message.kind in ("start", "at", "end"):
                    last = message
                receive(message)
            except KeyboardInterrupt:
                if not finish_call:
                    raise
                interrupts += 1
                process.interrupt()
            except Stopped as problem:
                stopped = str(problem)
                break
    except BaseException:
        process.end(patience=0.0)
        raise
    code = process.end(patience=0.0 if stopped or interrupts > 1 else GRACE_SECONDS)
    return Ending(last, code, stopped, interrupts > 0, process.last_words())


def searched(plugins: Sequence[str], cases: Sequence[Case]) -> tuple[str, ...]:
    """Where a measuring process looks for modules: where this one does.

    The current folder comes last, and only if this process searches it as an interactive one does, or if a plug-in or
    a model of one's own is a module that is found nowhere else.
    """
    sources = [*plugins, *(case.model.rpartition(":")[0] for case in cases if ":" in case.model)]
    modules = {source.partition(".")[0] for source in sources if not source.endswith(".py")}
    is_searched = "" in sys.path or any(name not in sys.modules and find_spec(name) is None for name in modules)
    return (*filter(None, sys.path), *([os.getcwd()] if is_searched else []))


def environment(side: Side, placement: Placement = ANYWHERE) -> dict[str, str]:
    """The environment of a process of that side: its folder is not searched for modules, no warning is an error."""
    path = [*side.path, os.environ.get("PYTHONPATH", "")]
    visible = {"CUDA_VISIBLE_DEVICES": placement.uuid} if placement.uuid else {}
    return {
        **os.environ,
        **visible,
        "PYTHONSAFEPATH": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, path)),
        "PYTHONWARNINGS": os.environ.get("PYTHONWARNINGS", "").replace("error", "default"),
    }
