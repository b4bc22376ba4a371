"""Measuring processes that are none: one answers at once, one measures in this process; clocks are made up."""

import contextlib
import queue
import threading
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

from fake_device import FakeDevice

from upsampler_bench import device, metrics
from upsampler_bench.case import Case
from upsampler_bench.device import environment
from upsampler_bench.device.placement import ANYWHERE, Placement
from upsampler_bench.results import Environment, Origin, Reading
from upsampler_bench.runner.group import Group
from upsampler_bench.runner.protocol import Message, Request

ROUNDS, TURN = 10, 3
# Of a plan that takes no time.
QUICK = {"mode": "inference", "max_time": 0.1, "warmup_calls": 1, "warmup_seconds": 0.0, "min_samples": 6}


class Silence:
    """A listener that says nothing."""

    def begin(self, cases: object, device: str = "") -> None: ...

    def update(self, message: Message) -> None: ...

    def lost(self, case: Case, reason: str) -> None: ...


class FakeProcess:
    """Stands for `upsampler_bench.runner.pool.Process`."""

    def __init__(self, request: Request, *, placement: Placement = ANYWHERE) -> None:
        self._messages = _messages(request, Origin("fake-host", placement.name or "fake:0", "FAKE-1000"))

    def read(self) -> Message | None:
        return next(self._messages, None)

    def interrupt(self) -> None: ...

    def end(self, *, patience: float = 0.0) -> int:
        return 0

    def last_words(self) -> str:
        return ""


class ThisProcess(FakeProcess):
    """Stands for the same; a thread measures the group, and waits until each message but the last one is read."""

    def __init__(self, request: Request, *, placement: Placement = ANYWHERE) -> None:
        self._messages: queue.Queue[Message] = queue.Queue(maxsize=1)
        self._interrupted = threading.Event()
        self._thread = threading.Thread(target=self._measure, args=[request], daemon=True)
        self._thread.start()

    def _measure(self, request: Request) -> None:
        fake = FakeDevice()
        here = replace(environment.capture(fake), device_name=device.label("cpu"))
        self._messages.put(Message("environment", environment=here))
        Group(request, fake, self._messages.put, self._interrupted.is_set).measure()
        self._messages.put(Message("end"))

    def read(self) -> Message:
        return self._messages.get()

    def interrupt(self) -> None:
        self._interrupted.set()

    def end(self, *, patience: float = 0.0) -> int:
        self.interrupt()
        while self._thread.is_alive():
            with contextlib.suppress(queue.Empty):
                self._messages.get(timeout=0.01)
        return 0


def _messages(request: Request, origin: Origin) -> Iterator[Message]:
    here = Environment("Fake 1000", "fake", {"torch": version("torch")}, origin=origin)
    yield Message("environment", environment=here)
    for case in request.cases:
        yield Message("at", case.key, "latency")
        yield from (Message("reading", case.key, reading=reading) for reading in _readings(case, request))
    yield Message("conditions", facts={"at": "end", "load_1min": 0.0})
    yield Message("end")


def _readings(case: Case, request: Request) -> Iterator[Reading]:
    """Larger inputs take longer, and every operator its own time."""
    seconds = 1e-9 * case.elements * (1 + sum(map(ord, case.upsampler)) % 17)
    device = FakeDevice(tuple(seconds * (1 + share / 1000) for share in range(-7, 8)))
    for metric in metrics.for_case(case, request.settings.metrics).values():
        if metrics.is_timed(metric):
            rounds = tuple(device.time(lambda: None, TURN) for _ in range(ROUNDS))
            yield from metric.readings(rounds, {"stop": "within 1.0%"}, device.timing_method())
        else:
            size = float(case.elements)
            yield from (Reading(info.name, ((size,),), "counted") for info in metric.INFOS)
