"""Commands that measure: a plan is prepared, measured with its progress shown, and reported."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import INTERRUPTED
from upsampler_bench.commands.reporting import check_formats, report
from upsampler_bench.errors import ResultsError
from upsampler_bench.units import counted, minutes

if TYPE_CHECKING:
    from upsampler_bench.results import Run
    from upsampler_bench.runner.session import Session


def perform(
    plan_name: str, keys: Mapping[str, object], output: Path | None, formats: Sequence[str] | None, *, resume: bool
) -> Run:
    """Measures a plan, writes and prints the report, also of an interrupted run.

    Args:
        plan_name: a plan of the package, or a .toml file.
        keys: replace the plan's; None leaves the plan's.
        output: the folder to write to; None: a new one in runs/, or with `resume` that of the newest unfinished run.
        formats: of the report; empty or None: the default ones.
        resume: continue an earlier run.

    Raises:
        PlanError, DeviceError, OutputError, ResultsError: the run cannot begin.
        typer.Exit: it was interrupted.
    """
    from upsampler_bench import plan
    from upsampler_bench.runner import session

    check_formats(formats)
    plan_keys = {key.replace("-", "_"): value for key, value in plan.read(plan_name).items()}
    parsed = plan.parse({**plan_keys, **{key: value for key, value in keys.items() if value is not None}})
    if resume and output is None:
        output = _unfinished(parsed.name)
    ready = session.prepare(parsed, output, resume=resume)
    expected, most = session.expectation(ready)
    operators = len({case.upsampler for case in ready.cases})
    messages = console(stderr=True)
    messages.print(
        f"{counted(len(ready.cases), 'case')} of {counted(operators, 'operator')} on {ready.cases[0].device}: "
        f"about {minutes(expected)}, at most {minutes(most)}",
    )
    if ready.writer.folder is None:
        ready = replace(ready, writer=session.ResultWriter(storage.new_folder(parsed.name)))
    run = measure(ready)
    assert ready.writer.folder is not None
    report([run], ready.writer.folder, formats)
    if run.ended == "interrupted":
        messages.print("Interrupted; the same command with --resume continues.")
        raise typer.Exit(INTERRUPTED)
    return run


def _unfinished(plan_name: str) -> Path:
    """The folder of the newest unfinished run of a plan."""
    from upsampler_bench.results import COMPLETE

    newest = storage.newest_run(
        storage.RUNS, suits=lambda run: run.ended != COMPLETE and run.plan.get("name") == plan_name
    )
    if newest is None:
        raise ResultsError(f"no unfinished run of plan {plan_name!r} in {storage.RUNS}/; run without --resume")
    return newest[0]


def measure(ready: Session) -> Run:
    """Measures, and shows the progress on standard error."""
    from upsampler_bench.runner import scheduler
    from upsampler_bench.runner.progress import display

    with display(console(stderr=True), len(ready.cases)) as listener:
        return scheduler.run(ready, listener)
