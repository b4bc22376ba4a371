# torch-free
"""Every published figure that the runs say anything of, held against ours: the tables in the paper's order."""

from __future__ import annotations

from collections.abc import Sequence

from upsampler_bench.paper import ablation_tables, model_tables, speed, table4
from upsampler_bench.paper.cells import DIFFERS, MISSING, REPRODUCED, TRAINING
from upsampler_bench.paper.parts import PublishedTable
from upsampler_bench.results import Run


def tables(runs: Sequence[Run]) -> tuple[PublishedTable, ...]:
    """The paper's tables of which a run measured something; empty where none did, as at any other shape.

    Bare operators on the paper's feature tell of Fig. 1 and Table 4; variants of dysample of Tables 1 to 3; each model
    of its own tables.
    """
    made = [
        speed.table(runs),
        *ablation_tables.tables(runs),
        table4.table(runs),
        *model_tables.tables(runs),
    ]
    return tuple(one for one in made if one)


def summary(tables: Sequence[PublishedTable]) -> str:
    """How many cells have each verdict, e.g. '24 of 26 cells that need no training are reproduced, 2 differ; ...'."""
    good, off, gone, trained = (
        sum(one.count(verdict) for one in tables) for verdict in (REPRODUCED, DIFFERS, MISSING, TRAINING)
    )
    parts = [f"{good} of {good + off + gone} cells that need no training are reproduced"]
    parts += [f"{off} differ{'s' * (off == 1)}"] if off else []
    parts += [f"{gone} {'was' if gone == 1 else 'were'} not measured"] if gone else []
    rest = f"; {trained} need{'s' * (trained == 1)} training" if trained else ""
    return f"{', '.join(parts)}{rest}."
