"""Timings of rounds as readings: shared by the timed metrics."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from upsampler_bench.device import LAUNCH_BOUND, Timings
from upsampler_bench.results import MetricInfo, Reading

Facts = dict[str, float | str]


def infos(name: str, title: str, mode: str, what: str, place: int) -> tuple[MetricInfo, MetricInfo, MetricInfo]:
    """Device time, and on a GPU the synchronised wall time and its difference from device time."""
    device = MetricInfo(name, title, "s", mode, relative=True, place=place, description=f"Median time of {what}.")
    wall = replace(device, name=f"{name}_wall", title=f"{title}, wall", relative=False, place=place + 80)
    wall = replace(wall, description=f"Median time of {what} on a synchronised host clock.")
    gap = replace(wall, name=f"{name}_gap", title=f"{title}, host gap", description="Wall time less device time.")
    return device, wall, gap


def readings(
    columns: tuple[MetricInfo, ...], rounds: tuple[Timings, ...], facts: Facts, method: str
) -> tuple[Reading, ...]:
    """The reading of device time, and if wall time was taken, those of wall time and host gap."""
    name, wall, gap = (info.name for info in columns)
    device = tuple(timings.device for timings in rounds)
    # Only the first call of a round: later ones may wait for space in the launch queue.
    submitted = [timings.submit[0] for timings in rounds if timings.submit]
    notes: tuple[str, ...] = ()
    if submitted:
        facts = {**facts, "submit": median(submitted)}
        if median(submitted) > LAUNCH_BOUND * median(sample for samples in device for sample in samples):
            notes = ("launch-bound: the device mostly waited for the host",)
    result = [Reading(name, device, method, notes, facts)]
    if any(timings.wall for timings in rounds):
        clock = "host clock, synchronised"
        result.append(Reading(wall, tuple(timings.wall for timings in rounds), clock))
        gaps = tuple(tuple(sample - median(timings.device) for sample in timings.wall) for timings in rounds)
        result.append(Reading(gap, gaps, f"{clock}, less {method}"))
    return tuple(result)
