"""merge: join the stored runs of a plan's shards into one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FAILED, FINE
from upsampler_bench.errors import ResultsError
from upsampler_bench.results import Run

if TYPE_CHECKING:
    from upsampler_bench.cluster.merge import Missing


def merge(
    results: Annotated[list[Path], typer.Argument(help="Stored runs of shards, or of an earlier merge.")],
    output_dir: Annotated[Path, typer.Option(help="Folder to write the merged run to.")],
) -> None:
    """Join stored runs of one plan's shards into one run.

    Refuses runs of different plans, settings, versions or GPU models. Lists the
    conditions that are missing; `run --resume` measures them, on a shard or on
    the merged folder.

    Exit codes: 0 all is there, 1 conditions are missing, 2 misuse.
    """
    _, missing = write(results, output_dir)
    console(stderr=True).print(f"Wrote {output_dir / 'results.json'}", soft_wrap=True)
    raise typer.Exit(FAILED if missing else FINE)


def write(folders: Sequence[Path], output: Path) -> tuple[Run, tuple[Missing, ...]]:
    """Merges the runs in these folders into another folder, and prints what is missing.

    Raises:
        ResultsError: none of them can be read, or they cannot be merged.
        OutputError: the folder cannot be written.
    """
    from upsampler_bench.cluster.merge import merge as merged

    runs, problems = {}, []
    for folder in folders:
        try:
            runs[folder] = storage.load(folder)
        except ResultsError as problem:
            problems.append(problem)
    if not runs:
        raise problems[0]
    run, missing = merged(runs)
    storage.save(run, output / storage.FILE)
    (output / storage.PARTIAL_FILE).unlink(missing_ok=True)
    lines = [f"Left out: {problem}" for problem in problems]
    for lack in missing:
        lines.append(f"Incomplete{f', shard {lack.shard}' if lack.shard else ''}: {lack.why}")
        lines += [f"  {condition}" for condition in lack.conditions]
    for line in lines:
        console(stderr=True).print(line, soft_wrap=True)
    return run, missing
