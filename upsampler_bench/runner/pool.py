"""Measuring processes on one device or several, one on each at a time; Ctrl-C reaches all of them."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import TypeVar

from upsampler_bench.device.placement import ANYWHERE, Placement
from upsampler_bench.runner.process import Ending, Process, follow
from upsampler_bench.runner.protocol import Message, Request

T = TypeVar("T")


class Interrupted(Exception):
    """The user ended the run; what was measured is kept."""


class Pool:
    """The devices of a run, and the processes that measure on them now.

    Args:
        placements: one process at a time on each; empty: one process, anywhere.
        finish_call: on Ctrl-C let each process finish its call and send what it has; else end it at once.
    """

    def __init__(self, placements: Sequence[Placement], *, finish_call: bool = True) -> None:
        self.placements = tuple(placements) or (ANYWHERE,)
        self._finish_call = finish_call
        self._processes: set[Process] = set()
        self._interrupts = 0
        self._lock = threading.Lock()

    @property
    def is_interrupted(self) -> bool:
        """Whether the run is to end."""
        return self._interrupts > 0

    def follow(self, placement: Placement, request: Request, receive: Callable[[Message], None]) -> Ending:
        """Starts a process on a device and passes on its messages until it ends.

        Raises:
            Interrupted: the user pressed Ctrl-C; what the process had measured was passed on.
        """
        process = Process(request, placement=placement)
        with self._lock:
            self._processes.add(process)
            if self.is_interrupted:
                self._stop(process)
        try:
            ending = follow(process, receive, finish_call=self._finish_call)
        finally:
            with self._lock:
                self._processes.discard(process)
        if ending.interrupted or self.is_interrupted:
            raise Interrupted
        return ending

    def each(self, work: Callable[[Placement], T]) -> list[T]:
        """Does the work of every device, side by side, and returns what each came to.

        Raises:
            Exception: what the work of a device raised; that of the others was interrupted then.
        """
        if len(self.placements) == 1:
            return [work(self.placements[0])]
        with ThreadPoolExecutor(len(self.placements)) as threads:
            futures = pending = [threads.submit(work, placement) for placement in self.placements]
            while pending:
                try:
                    done, rest = wait(pending, return_when=FIRST_EXCEPTION)
                    pending = [*rest]
                    if any(future.exception() for future in done) and not self.is_interrupted:
                        self._interrupt()
                except KeyboardInterrupt:
                    self._interrupt()
        problems = [problem for future in futures if (problem := future.exception())]
        # That one device cannot be used matters more than that the others were interrupted for it.
        for problem in sorted(problems, key=lambda problem: isinstance(problem, Interrupted)):
            raise problem
        return [future.result() for future in futures]

    def _interrupt(self) -> None:
        """Lets every process finish its call and send what it has; a second time ends them at once."""
        try:
            with self._lock:
                self._interrupts += 1
                processes = tuple(self._processes)
            for process in processes:
                self._stop(process)
        except KeyboardInterrupt:  # pressed again meanwhile
            self._interrupt()

    def _stop(self, process: Process) -> None:
        if self._finish_call and self._interrupts == 1:
            process.interrupt()
        else:
            process.end(patience=0.0)
