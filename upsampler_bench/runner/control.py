"""The same call timed on every device of a run, so that a reader knows how far these devices differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from upsampler_bench import plan as plans
from upsampler_bench.case import TIMED, Case
from upsampler_bench.device.placement import Placement
from upsampler_bench.errors import BenchError
from upsampler_bench.results import CONTROL, Reading
from upsampler_bench.runner.forecast import is_timed
from upsampler_bench.runner.pool import Interrupted, Pool
from upsampler_bench.runner.progress import with_interval
from upsampler_bench.runner.protocol import Message
from upsampler_bench.runner.session import Session
from upsampler_bench.stats import FEWEST, Estimate


@dataclass(frozen=True, slots=True)
class Control:
    """The control's time on each device.

    Attributes:
        case: what was timed.
        times: by the device's name (s), of those devices on which the case could be timed.
    """

    case: Case
    times: Mapping[str, Estimate]

    @property
    def spread(self) -> float:
        """The slowest device's time over the fastest's, less one."""
        values = [time.value for time in self.times.values()]
        return max(values) / min(values) - 1

    @property
    def apart(self) -> tuple[str, ...]:
        """The devices whose interval does not overlap that of the fastest."""
        fastest = min(self.times.values(), key=lambda time: time.value)
        return tuple(name for name, time in self.times.items() if time.low > fastest.high)

    def conditions(self) -> tuple[Mapping[str, float | str], ...]:
        """As the environment of a run holds it."""
        return tuple(
            {"at": CONTROL, "device": name, "case": self.case.key, "value": time.value, "low": time.low,
             "high": time.high}
            for name, time in self.times.items()
        )  # fmt: skip

    def lines(self) -> list[str]:
        """For people: each device's time, and what their spread means."""
        printed = [f"Control: {self.case.key}"]
        for name, time in self.times.items():
            printed.append(f"  {name:8s}{with_interval(time)}")
        if self.apart:
            printed.append(f"Spread {self.spread:.1%}, more than the intervals: {', '.join(self.apart)} slower.")
            printed.append("Compare times across conditions with care; each ratio is of one device alone.")
        else:
            printed.append(f"Spread {self.spread:.1%}, within the intervals.")
        return printed


def measure(session: Session) -> Control | None:
    """Times the baseline (or else the first operator) of the middle condition on every device at once; None if
    nothing is timed in this session, or the operator cannot run.

    Raises:
        BenchError: a device cannot be used.
        KeyboardInterrupt: Ctrl-C.
    """
    timed = [case for case in session.cases if is_timed(case, session.settings)]
    if not timed:
        return None
    groups = plans.conditions(timed)
    group = groups[len(groups) // 2]
    case = next((case for case in group if case.upsampler == session.settings.baseline), group[0])
    pool = Pool(session.placements)
    try:
        readings = pool.each(lambda placement: _time(pool, placement, session, case))
    except Interrupted:
        raise KeyboardInterrupt from None
    named = zip(session.placements, readings, strict=True)
    times = {placement.name: reading.estimate for placement, reading in named if reading and reading.is_usable}
    return Control(case, times) if times else None


def _time(pool: Pool, placement: Placement, session: Session, case: Case) -> Reading | None:
    name, readings = TIMED[case.mode], []
    settings = replace(session.settings, metrics=(name,), rounds=FEWEST, processes=1)
    request = replace(session.request((case,), {case.key: []}), settings=settings, deadline=session.deadline)

    def receive(message: Message) -> None:
        if message.kind == "unusable":
            raise BenchError(f"{placement.name}: {message.text}")
        if message.reading is not None and message.reading.metric == name:
            readings.append(message.reading)

    ending = pool.follow(placement, request, receive)
    if ending.last.kind == "start" and ending.stopped != settings.used_up:
        raise BenchError(f"{placement.name}: {ending.why_not_started()}")
    return readings[-1] if readings else None
