"""status: how the jobs of a submitted plan stand."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench import storage
from upsampler_bench.errors import ResultsError

if TYPE_CHECKING:
    from upsampler_bench.cluster.jobs import Jobs, State

Folder = Annotated[Path, typer.Argument(help="Folder that 'submit' wrote to.")]


def status(folder: Folder) -> None:
    """Show the state of each submitted shard, and how much of it is measured."""
    from upsampler_bench.cluster import jobs

    submitted = jobs.load(folder)
    for line in table(submitted, folder, jobs.states(submitted, folder)):
        print(line)


def table(submitted: Jobs, folder: Path, states: Mapping[str, State]) -> list[str]:
    """A line per shard: its job, its state, its conditions; below it why it is not complete."""
    from upsampler_bench.cluster import jobs

    lines = []
    for number, (job, target) in enumerate(zip(submitted.ids, submitted.folders(folder), strict=True), 1):
        state = states[job]
        shard = f"{number}/{len(submitted.ids)}"
        done, is_complete = _measured(target)
        lines.append(f"shard {shard:8s}job {job:14s} {state.name:14s}{done}".rstrip())
        why = state.why if state.is_under_way or is_complete else jobs.last_error(folder, job) or state.why
        if why:
            lines.append(f"  {why}")
    return lines


def _measured(folder: Path) -> tuple[str, bool]:
    """How many conditions a shard's run has of those that it should have, and whether it is complete."""
    from upsampler_bench.cluster.merge import progress

    try:
        run = storage.load(folder)
    except ResultsError:
        return "nothing measured yet", False
    done, total = progress(run)
    return f"{done} of {total} conditions", done == total
