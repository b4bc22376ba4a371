"""A measuring process that answers at once: what it is asked for is measured by a device with a clock of its own."""

from collections.abc import Iterator
from importlib.metadata import version

from fake_device import FakeDevice

from upsampler_bench import metrics
from upsampler_bench.case import Case
from upsampler_bench.device.placement import ANYWHERE, Placement
from upsampler_bench.results import Environment, Origin, Reading
from upsampler_bench.runner.protocol import Message, Request

ROUNDS, TURN = 10, 3


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


def _messages(request: Request, origin: Origin) -> Iterator[Message]:
    environment = Environment("Fake 1000", "fake", {"torch": version("torch")}, origin=origin)
    yield Message("environment", environment=environment)
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
