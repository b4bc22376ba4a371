"""What has no noise on each side: bytes, multiply-adds and parameters, counted once in a process of that side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from upsampler_bench.case import Case, Settings
from upsampler_bench.compare.comparison import Change
from upsampler_bench.compare.measuring import Corner, heard
from upsampler_bench.metrics import infos
from upsampler_bench.runner.process import Process
from upsampler_bench.runner.protocol import Request

METRICS = ("flops", "params", "memory", "train_memory")


def counted(cases: Sequence[Case], corner: Corner, how: Settings) -> dict[str, dict[str, float]]:
    """The exact metrics of each case, by the case's key as the base calls it."""
    ours = {corner.of(case).key: case.key for case in cases}
    asked = tuple(corner.of(case) for case in cases)
    settings = replace(how, metrics=METRICS, baseline="")
    exact = {one.name for one in infos(METRICS) if one.exact}
    nothing: dict[str, list[str]] = {case.key: [] for case in asked}
    request = Request(asked, cases[0].device, settings, nothing, plugins=corner.plugins, path=corner.path)
    found: dict[str, dict[str, float]] = {key: {} for key in ours.values()}
    for message in heard(Process(request, corner.side), corner.name):
        if message.reading and message.key in ours and message.reading.samples and message.reading.metric in exact:
            found[ours[message.key]][message.reading.metric] = message.reading.samples[0]
    return found


def changes(base: Mapping[str, Mapping[str, float]], head: Mapping[str, Mapping[str, float]]) -> tuple[Change, ...]:
    """Every exact figure that both sides have and that differs."""
    return tuple(
        Change(key, metric, value, head[key][metric])
        for key, metrics in base.items()
        for metric, value in metrics.items()
        if metric in head.get(key, {}) and head[key][metric] != value
    )
