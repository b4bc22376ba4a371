"""Timings of rounds as readings: shared by the timed metrics."""

from __future__ import annotations

from dataclasses import replace
from statistics import median

from upsampler_bench.device import LAUNCH_BOUND, Timings
from upsampler_bench.results import MetricInfo, Reading

Facts = dict[str, float | str]


def infos(name: str, title: str, mode: str, what: str, place: int) -> tuple[MetricInfo, MetricInfo, MetricInfo]:
    """Device time, and on a GPU the synchronised host time and what it is longer by."""
    device = MetricInfo(name, title, "s", mode, relative=True, place=place, description=f"Median time of {what}.")
    wall = replace(device, name=f"{name}_wall", title=f"{title}, wall", relative=False, place=place + 80)
    wall = replace(wall, description=f"Median time of {what} on a synchronised host clock.")
    gap = replace(wall, name=f"{name}_gap", title=f"{title}, host gap", description="Wall time less device time.")
    return device, wall, gap


def readings(
    columns: tuple[MetricInfo, ...], rounds: tuple[Timings, ...], facts: Facts, method: str
) -> tuple[Reading, ...]:
    """The device time's reading, and where wall time was taken apart that of wall and gap."""
    name, wall, gap = (info.name for info in columns)
    device = tuple(one.device for one in rounds)
    # Only a turn's first call: later ones may wait for room in the launch queue.
    submitted = [one.submit[0] for one in rounds if one.submit]
    notes: tuple[str, ...] = ()
    if submitted:
        facts = {**facts, "submit": median(submitted)}
        if median(submitted) > LAUNCH_BOUND * median(sample for one in device for sample in one):
            notes = ("launch-bound: the device mostly waited for the host",)
    found = [Reading(name, device, method, notes, facts)]
    if any(one.wall for one in rounds):
        clock = "host clock, synchronised"
        found.append(Reading(wall, tuple(one.wall for one in rounds), clock))
        gaps = tuple(tuple(sample - median(one.device) for sample in one.wall) for one in rounds)
        found.append(Reading(gap, gaps, f"{clock}, less {method}"))
    return tuple(found)
