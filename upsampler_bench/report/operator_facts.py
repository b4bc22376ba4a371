"""What a choice of an operator rests on besides its measurements: its guide, its paper, and its capabilities."""

from __future__ import annotations

from collections.abc import Sequence

from upsampler_bench.case import PROBE
from upsampler_bench.paper import published
from upsampler_bench.report.parts import OperatorFacts
from upsampler_bench.results import Run, UpsamplerInfo


def operators(runs: Sequence[Run]) -> tuple[OperatorFacts, ...]:
    """Every operator of these runs once, in the order in which they first name it."""
    infos: dict[str, UpsamplerInfo] = {}
    for run in runs:
        for info in run.upsamplers:
            infos.setdefault(info.name, info)
    return tuple(_facts(info, _capabilities(runs, info.name)) for info in infos.values())


def _facts(info: UpsamplerInfo, capabilities: dict[str, bool | None]) -> OperatorFacts:
    known = published.segformer_b1_ade20k()
    # A Triton operator computes what its reference does, so it has the same quality.
    quality = known.get(info.name) or known.get(info.reference)
    miou = quality.miou if quality else None
    return OperatorFacts(info.name, info.needs_guide, info.paper, miou, capabilities, info.reference)


def _capabilities(runs: Sequence[Run], name: str) -> dict[str, bool | None]:
    """What was tested. Where runs disagree, a no outweighs a yes: some user will meet it."""
    answers: dict[str, bool | None] = {}
    for run in runs:
        # How many seconds something takes is no capability.
        questions = {info.name for info in run.metrics if info.unit != "s"}
        for measurement, reading in run.readings():
            case, metric = measurement.case, reading.metric
            if case.mode != PROBE or case.upsampler != name or metric not in questions:
                continue
            answer = reading.samples[0] != 0 if reading.samples else None
            known = answers.get(metric)
            answers[metric] = answer if known is None else known and answer is not False
    return answers
