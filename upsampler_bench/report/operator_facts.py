"""What a choice of an operator rests on besides its measurements: its guide, its paper, and what it was seen to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from upsampler_bench.case import PROBE
from upsampler_bench.paper import published
from upsampler_bench.report.parts import OperatorFacts
from upsampler_bench.results import Run, UpsamplerInfo


def operators(runs: Sequence[Run]) -> tuple[OperatorFacts, ...]:
    """Every operator of these runs once, in the order in which they first name it."""
    infos: dict[str, UpsamplerInfo] = {}
    for info in (info for run in runs for info in run.upsamplers):
        infos.setdefault(info.name, info)
    tried = {name: _capabilities(runs, name) for name in infos}
    return tuple(_facts(info, tried[info.name]) for info in infos.values())


def _facts(info: UpsamplerInfo, capabilities: dict[str, bool | None]) -> OperatorFacts:
    known = published.segformer_b1_ade20k()
    # A twin computes what its reference does, so it is as good.
    quality = known.get(info.name) or known.get(info.reference)
    miou = quality.miou if quality else None
    return OperatorFacts(info.name, info.needs_guide, info.paper, miou, capabilities, info.reference)


def _capabilities(runs: Sequence[Run], name: str) -> dict[str, bool | None]:
    """What was tried; where runs disagree, a no outweighs a yes: it is what some user will meet."""
    found: dict[str, bool | None] = {}
    for metric, able in _tried(runs, name):
        known = found.get(metric)
        found[metric] = able if known is None else known and able is not False
    return found


def _tried(runs: Sequence[Run], name: str) -> Iterator[tuple[str, bool | None]]:
    for run in runs:
        for one, reading in run.readings():
            if one.case.mode == PROBE and one.case.upsampler == name and _is_capability(run, reading.metric):
                yield reading.metric, reading.samples[0] != 0 if reading.samples else None


def _is_capability(run: Run, metric: str) -> bool:
    """Whether a metric answers a question: how many seconds something took does not."""
    info = run.metric(metric)
    return info is not None and info.unit != "s"
