"""The command that hands a stored run to other people's dashboards."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.commands.console import console
from upsampler_bench.errors import PlanError

if TYPE_CHECKING:
    from upsampler_bench.export._commit import Commit

FORMS = "asv, bencher, github-action, junit, pytest-benchmark"
HASH = re.compile(r"[0-9a-f]{7,64}")


def export(
    results: Annotated[Path, typer.Argument(help="results.json, a folder that holds one, or pytest-benchmark's JSON.")],
    to: Annotated[list[str] | None, typer.Option("--to", "-t", help=f"One of {FORMS}; again for more.")] = None,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; beside the results by default.")] = None,
    commit: Annotated[str | None, typer.Option(help="What was measured, e.g. HEAD; asv needs it.")] = None,
) -> None:
    """Write a stored run as pytest-benchmark, Bencher, asv, github-action-benchmark or JUnit read it."""
    from upsampler_bench import export, storage
    from upsampler_bench.export import _commit, _figures

    if not to:
        raise PlanError(f"nothing to write: --to says what, one of {FORMS}")
    for name in to:
        export.get(name)
    run = storage.load(results)
    run = _commit.named(run, resolve(commit)) if commit else run
    folder = output_dir or (results if results.is_dir() else results.parent)
    written = export.write(run, folder, to)
    for one in written:
        print(one)
    if without := _figures.untold(run):
        told = f"{len(without)} of {len(run.measurements)} cases have no figure; of these only asv and junit tell"
        console(stderr=True).print(told, highlight=False, soft_wrap=True)


def resolve(name: str) -> Commit:
    """A commit by whatever name git takes for it here, or by a hash that need not be of a repository here.

    Raises:
        PlanError: it is neither.
    """
    from upsampler_bench.export._commit import Commit

    command = ["git", "show", "--no-patch", "--format=%H %cI", "--end-of-options", f"{name}^{{commit}}", "--"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        found = done.stdout.split() if done.returncode == 0 else []
    except OSError:  # no git here
        found = []
    if len(found) == 2:
        return Commit(found[0], found[1])
    if HASH.fullmatch(name):
        return Commit(name)
    raise PlanError(f"no commit {name!r} in the repository here; expected a name that git knows, or a hash")
