"""Readings of timed rounds: shared by the timed metrics."""

from __future__ import annotations

from upsampler_bench.device import Timings
from upsampler_bench.results import Reading

Facts = dict[str, float | str]

EXPOSED = "launches not hidden: the device may have waited for the host in {calls}"
ON_HOST = "host clock, device idle before each call"


def device_time(name: str, rounds: tuple[Timings, ...], facts: Facts, method: str) -> tuple[Reading, ...]:
    """Seconds on the device, with a note if the device may have waited for the host within them."""
    samples = tuple(timings.device for timings in rounds)
    exposed, count = sum(timings.exposed for timings in rounds), sum(map(len, samples))
    notes = (EXPOSED.format(calls="every call" if exposed == count else "some calls"),) if exposed else ()
    return (Reading(name, samples, method, notes, facts),)


def wall_time(name: str, rounds: tuple[Timings, ...], facts: Facts, method: str) -> tuple[Reading, ...]:
    """Seconds on the host's clock until the device is idle again."""
    return (Reading(name, tuple(timings.wall for timings in rounds), f"{ON_HOST} and after it", facts=facts),)


def launch_time(name: str, rounds: tuple[Timings, ...], facts: Facts, method: str) -> tuple[Reading, ...]:
    """Seconds on the host's clock until the call returns."""
    return (Reading(name, tuple(timings.launch for timings in rounds), ON_HOST, facts=facts),)
