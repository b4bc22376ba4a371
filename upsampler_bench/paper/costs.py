# torch-free
"""The added parameters of the paper's tables, and what is known of how it counted them."""

from __future__ import annotations

from collections.abc import Sequence

from upsampler_bench.paper import sources
from upsampler_bench.paper.cells import DIFFERS, REPRODUCED, Printed, held
from upsampler_bench.paper.parts import PublishedCell
from upsampler_bench.paper.sources import Number, Records

PARAMS = "Params"
WEIGHTS, EVERYTHING = "params_weights", "params_all"
# The published costs of FADE are those of the gated one.
COSTED_AS = {"fade": ("fade-gated", "fade")}
GATED = {
    "fade-gated": "held against fade-gated: the published costs are of the gated one, the text says without gate",
    "fade": "ours is without gate (fade), as the text says; the published costs are of the gated one (fade-gated)",
}
COUNTING = (
    "Params: what a row adds are weights, parameters of two or more dimensions without biases and norms, as the paper "
    "counts; of a baseline all parameters. Reproduced: less than one unit of the last printed digit away; where it "
    "does not round to that digit, that is said."
)


def candidates(name: str) -> tuple[str, ...]:
    """The operators that a row's costs may be of, the best first."""
    return COSTED_AS.get(name, (name,))


def added_params(
    names: Sequence[str], printed: Printed, records: Records, baselines: Sequence[str], quirk: str = "", stages: int = 1
) -> PublishedCell:
    """The parameters that a row adds.

    Args:
        names: the operators that the row may be of, the best first.
        printed: what the paper says.
        records: where ours stand.
        baselines: whose parameters are subtracted.
        quirk: what a reader must know of the published figure.
        stages: how many times the records' operator is in the model.
    """
    ours, everything = (
        _times(sources.added(records, names, metric, baselines), stages) for metric in (WEIGHTS, EVERYTHING)
    )
    if ours.value is None:
        return held(PARAMS, printed, ours, DIFFERS, ())
    verdict = REPRODUCED if printed.is_near(ours.value) else DIFFERS
    gate = GATED.get(ours.name, "") if len(names) > 1 else ""
    return held(PARAMS, printed, ours, verdict, (_unequal(printed, ours.value, everything.value), gate, quirk))


def whole_params(names: Sequence[str], printed: Printed, records: Records, lacks: str) -> PublishedCell:
    """All parameters of the model with a baseline in it.

    Args:
        names: the baselines, which have no parameters of their own.
        printed: what the paper says.
        records: where ours stand.
        lacks: what our model is without; empty: nothing.
    """
    ours = sources.number(records, names, EVERYTHING)
    if ours.value is None:
        return held(PARAMS, printed, ours, DIFFERS, ())
    same = printed.rounds_to(ours.value)
    instead = f"with {ours.name}, which has no parameters either" if ours.name != names[0] else ""
    why = lacks or f"rounds to {printed.says(ours.value)}"
    return held(PARAMS, printed, ours, REPRODUCED if same else DIFFERS, (instead, "" if same else why))


def _unequal(printed: Printed, ours: float, everything: float | None) -> str:
    if printed.rounds_to(ours):
        return ""
    within = ", within one unit of the last printed digit" if printed.is_near(ours) else ""
    too = everything is not None and printed.rounds_to(everything)
    biased = f"; with biases and norms ({everything:,.0f}) it is the printed figure" if too else ""
    return f"rounds to {printed.says(ours)}{within}{biased}"


def _times(one: Number, stages: int) -> Number:
    return Number(one.name, None if one.value is None else one.value * stages, one.why, one.extras)
