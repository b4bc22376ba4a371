"""What a choice of an operator rests on besides its measurements: its guide, its paper, and its capabilities."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from upsampler_bench.case import PROBE
from upsampler_bench.report.parts import OperatorFacts
from upsampler_bench.results import Run, UpsamplerInfo


def operators(runs: Sequence[Run], known: Mapping[str, float], tested: Sequence[Run] = ()) -> tuple[OperatorFacts, ...]:
    """Every row's operator once, in the order in which these runs first name it.

    Args:
        runs: whose rows they are.
        known: the operators' mIoUs in per cent.
        tested: further runs, in which capabilities were tested.
    """
    rows: dict[str, UpsamplerInfo] = {}
    for run in runs:
        infos = {info.name: info for info in run.upsamplers}
        for measurement in run.measurements:
            case = measurement.case
            if case.upsampler in infos:
                rows.setdefault(case.label(run.backends), infos[case.upsampler])
    return tuple(
        OperatorFacts(
            row, info.needs_guide, info.paper, known.get(info.name), _capabilities([*runs, *tested], info.name)
        )
        for row, info in rows.items()
    )


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
