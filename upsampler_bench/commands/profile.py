"""profile: where the time of operators goes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.measuring import keys_of, perform
from upsampler_bench.commands.options import (
    FORMATS,
    Backend,
    Batch,
    Device,
    Formats,
    Image,
    Model,
    OutputDir,
    Plugin,
    Resume,
    Shape,
    Threads,
    Timeout,
)
from upsampler_bench.errors import PlanError, ResultsError

# Of `--compare`, what stands for the files as they are.
WORKING_TREE = "."
# Written besides the formats of every report.
TRACE = "trace"
# The formats of a comparison.
COMPARED = ("markdown", "html", "terminal")


def profile(
    upsampler: Annotated[
        list[str] | None, typer.Argument(help="Operators to profile. Default: all that no image guides.")
    ] = None,
    backend: Backend = None,
    shape: Shape = None,
    batch: Batch = None,
    dtype: Annotated[
        list[str] | None, typer.Option(help="Data type: float32, float16, bfloat16 or float64. Repeat for more.")
    ] = None,
    mode: Annotated[list[str] | None, typer.Option(help="What to profile: inference or train.")] = None,
    model: Model = None,
    image: Image = None,
    device: Device = None,
    threads: Threads = None,
    timeout: Timeout = None,
    plugin: Plugin = None,
    compare: Annotated[
        tuple[str, str] | None,
        typer.Option(
            help="Compare two stored runs with profiles, or two revisions (. is the working tree): BEFORE AFTER."
        ),
    ] = None,
    output_dir: OutputDir = None,
    formats: Formats = None,
    resume: Resume = False,
) -> None:
    """Measure where the time of operators goes, operation by operation.

    On a GPU kernel by kernel. The same as `run --plan profile`, and a trace
    for Perfetto (trace.json.gz). With --compare, what was added, removed, or
    takes another time; written only where --output-dir says.

    Exit codes: 0 fine, 2 misuse or nothing measured, 130 interrupted.
    """
    keys = keys_of(locals())
    if compare is not None:
        _compare(*compare, keys, output_dir, formats)
        return
    perform("profile", keys, output_dir, formats or [*FORMATS, TRACE], resume=resume)


def _compare(
    before: str, after: str, keys: dict[str, Any], output_dir: Path | None, formats: list[str] | None
) -> None:  # fmt: skip
    """Prints how two profiles differ, and writes it if a folder is given."""
    from upsampler_bench import formats as rendering
    from upsampler_bench.compare import profiles

    if others := [name for name in formats or () if name not in COMPARED]:
        raise PlanError(f"--compare writes {', '.join(COMPARED)}, not {', '.join(others)}")
    stored = [storage.is_stored_run(name) for name in (before, after)]
    if any(stored) and not all(stored):
        other = after if stored[0] else before
        raise PlanError(f"--compare got a stored run and {other!r}; expected two stored runs or two revisions")
    if all(stored):
        if keys:
            raise PlanError(f"--compare of two stored runs takes no {', '.join(keys)}; they say what was measured")
        changes = profiles.changes(*(storage.load(name) for name in (before, after)))
    else:
        from upsampler_bench.compare import sides

        options = sides.Options(keys, tuple(keys.pop("plugin", ())), threads=keys.pop("threads", 1))
        say = console(stderr=True).print
        changes = sides.profile_revisions(before, None if after == WORKING_TREE else after, options, say)
    if not changes.profiles:
        raise ResultsError("no case was profiled on both sides; `upsampler-bench profile` makes runs with profiles")
    typer.echo(rendering.render("terminal", changes))
    if output_dir:
        for path in rendering.write(changes, output_dir, formats or ["markdown"]):
            console(stderr=True).print(f"Wrote {path}", soft_wrap=True)
