"""Readings of timed rounds, of forwards and of training steps."""

from __future__ import annotations

from collections.abc import Sequence

from upsampler_bench.device import Timings
from upsampler_bench.results import MetricInfo, Reading

Facts = dict[str, float | str]

EXPOSED = "launches not hidden: the device may have waited for the host in {calls}"
ON_HOST = "host clock, device idle before each call"


def exposed_note(exposed: int, count: int) -> str:
    """The note of so many calls, of all that were timed, whose launches could not be hidden."""
    return EXPOSED.format(calls="every call" if exposed == count else "some calls")


def readings(
    infos: Sequence[MetricInfo], rounds: tuple[Timings, ...], facts: Facts, method: str
) -> tuple[Reading, ...]:
    """Seconds on the device, and where it runs apart from its host the wall and launch times of the same calls.

    Args:
        infos: of device time, wall time and launch time.
        rounds: the timings.
        facts: of device time.
        method: of device time.
    """
    latency, wall, launch = (info.name for info in infos)
    samples = tuple(timings.device for timings in rounds)
    exposed, count = sum(timings.exposed for timings in rounds), sum(map(len, samples))
    notes = (exposed_note(exposed, count),) if exposed else ()
    found = [Reading(latency, samples, method, notes, facts)]
    if any(timings.wall for timings in rounds):
        found.append(Reading(wall, tuple(timings.wall for timings in rounds), f"{ON_HOST} and after it"))
        found.append(Reading(launch, tuple(timings.launch for timings in rounds), ON_HOST))
    return tuple(found)
