"""Commands that measure: a plan is prepared, measured with its progress shown, and reported."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from upsampler_bench import storage
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FINE, INTERRUPTED
from upsampler_bench.commands.reporting import check_formats, drawing_seconds, report
from upsampler_bench.errors import ResultsError
from upsampler_bench.results import COMPLETE, Run
from upsampler_bench.units import counted, time_text

if TYPE_CHECKING:
    from rich.console import Console

    from upsampler_bench.runner.session import Session


# What commands take in addition to the keys of a plan.
NO_KEYS = ("plan", "quick", "compare", "shard", "devices", "output_dir", "formats", "resume", "strict")


def keys_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Of a command's options those that were given and are keys of a plan, which has the same names for them."""
    return {name: value for name, value in options.items() if name not in NO_KEYS and value is not None}


def perform(
    plan_name: str,
    keys: Mapping[str, object],
    output: Path | None,
    formats: Sequence[str] | None,
    *,
    resume: bool,
    shard: str | None = None,
    devices: str | None = None,
) -> Run:
    """Measures a plan, writes and prints the report, also of an interrupted run.

    Args:
        plan_name: a plan of the package, or a .toml file.
        keys: replace the plan's.
        output: the folder to write to; None: a new one in runs/, or with `resume` that of the newest unfinished run.
        formats: of the report; empty or None: the default ones.
        resume: continue an earlier run.
        shard, devices: see `session.prepare`.

    Raises:
        PlanError, DeviceError, OutputError, ResultsError: the run cannot begin.
        typer.Exit: it was interrupted, or the shard is empty.
    """
    begun = time.monotonic()
    from upsampler_bench import plan
    from upsampler_bench.runner import session

    check_formats(formats)
    parsed = plan.parse({**plan.read(plan_name), **keys})
    if resume and output is None:
        output = _unfinished(parsed.name, shard)
    ready = session.prepare(parsed, output, resume=resume, shard=shard or "", devices=devices or "")
    if not ready.cases:
        print(f"Nothing to measure: shard {shard} of {parsed.name or 'the plan'} holds no condition.")
        raise typer.Exit(FINE)
    ready = replace(ready, begun=begun, after=drawing_seconds(ready.cases, formats))
    operators = len({case.upsampler for case in ready.cases})
    messages = console(stderr=True)
    places = ", ".join(placement.name for placement in ready.placements) or ready.cases[0].device
    messages.print(
        f"{counted(len(ready.cases), 'case')} of {counted(operators, 'operator')} on {places}: "
        f"{duration([ready], ready.after)}",
    )
    if ready.writer.folder is None:
        ready = replace(ready, writer=session.ResultWriter(storage.new_folder(parsed.name)))
    elif not resume and storage.is_stored_run(str(ready.writer.folder)):
        messages.print(f"The run in {ready.writer.folder} will be replaced.", soft_wrap=True)
    run = measure(ready)
    assert ready.writer.folder is not None
    report([run], ready.writer.folder, formats, ready.deadline + ready.after if ready.deadline else math.inf)
    if run.ended == "interrupted":
        messages.print("Interrupted; the same command with --resume continues.")
        raise typer.Exit(INTERRUPTED)
    return run


def _unfinished(plan_name: str, shard: str | None) -> Path:
    """The folder of the newest unfinished run of a plan, or of a shard of it."""

    def suits(run: Run) -> bool:
        return run.ended != COMPLETE and (run.plan.get("name"), run.plan.get("shard")) == (plan_name, shard)

    newest = storage.newest_run(storage.RUNS, suits=suits)
    if newest is None:
        raise ResultsError(f"no unfinished run of plan {plan_name!r} in {storage.RUNS}/; run without --resume")
    return newest[0]


def duration(sessions: Sequence[Session], after: float) -> str:
    """How long measuring all of these, and so many seconds for the report, takes, in words."""
    from upsampler_bench.runner.forecast import LONGER

    pairs = [_expectation(ready) for ready in sessions]
    expected = after + sum(expected for expected, _ in pairs)
    most = LONGER * after + sum(most for _, most in pairs)
    if budget := sessions[0].settings.budget:
        return f"about {time_text(expected)}, skipped beyond {time_text(budget)}"
    return f"about {time_text(expected)}, at most {time_text(most)} in all"


def _expectation(ready: Session) -> tuple[float, float]:
    if ready.is_quality:
        from upsampler_bench.quality import scheduler

        return scheduler.expectation(ready)
    return ready.expectation()


def measure(ready: Session, shown: Console | None = None) -> Run:
    """Measures, and shows the progress on a console, by default on standard error."""
    shown = shown or console(stderr=True)
    if ready.is_quality:
        from upsampler_bench.quality import progress
        from upsampler_bench.quality import scheduler as quality

        with progress.display(shown) as listener:
            return quality.run(ready, listener)
    from upsampler_bench.runner import scheduler
    from upsampler_bench.runner.forecast import Forecast
    from upsampler_bench.runner.progress import display

    names = [placement.name for placement in ready.placements]
    if ready.placements:
        ready = replace(ready, control=_prepare_devices(ready, shown))
    left, devices, limit = ready.cases_left, max(1, len(names)), ready.deadline or math.inf
    forecast = Forecast(left, ready.settings, devices=devices, after=ready.after, limit=limit)
    with display(shown, len(ready.cases), forecast, names if len(names) > 1 else ()) as progress_listener:
        return scheduler.run(ready, progress_listener)


def _prepare_devices(ready: Session, messages: Console) -> tuple[Mapping[str, float | str], ...]:
    """Prints what is set aside for each device and what they share, and how far they differ; returns the latter."""
    from upsampler_bench.device import placement
    from upsampler_bench.runner import control

    for one in ready.placements:
        messages.print(placement.cores_in_words(one))
    for warning in placement.warnings(ready.placements):
        messages.print(f"warning: {warning}")
    if len(ready.placements) < 2:
        return ()
    measured = control.measure(ready)
    if measured is None:
        messages.print("No control: nothing is timed, or its operator cannot run.")
        return ()
    for line in measured.lines():
        messages.print(line)
    return measured.conditions()
