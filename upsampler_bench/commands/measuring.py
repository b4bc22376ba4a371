"""Commands that measure: a plan made ready, measured with its progress shown, and reported."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from upsampler_bench.commands.console import console, minutes
from upsampler_bench.commands.exit_codes import INTERRUPTED
from upsampler_bench.commands.reporting import check_formats, tell

if TYPE_CHECKING:
    from upsampler_bench.results import Run
    from upsampler_bench.runner.session import Session

DEFAULT_PLAN = "paper"


def perform(plan_name: str, flags: dict[str, Any], output: Path | None, formats: Sequence[str], *, resume: bool) -> Run:
    """Measures, writes and prints; an interrupted run is told as far as it got.

    Raises:
        typer.Exit: it was interrupted.
    """
    check_formats(formats)
    ready = prepare(plan_name, flags, output, resume=resume)
    found = measure(ready)
    tell((found,), ready.writer.place(found.environment), formats)
    if found.ended == "interrupted":
        console(stderr=True).print("Interrupted; the same command with --resume goes on.", highlight=False)
        raise typer.Exit(INTERRUPTED)
    return found


def prepare(plan_name: str, flags: dict[str, Any], output: Path | None, *, resume: bool) -> Session:
    """A plan with these flags made ready to run; says how long it will take.

    Raises:
        PlanError, DeviceError, OutputError, ResultsError: the run cannot begin.
    """
    from upsampler_bench import plan
    from upsampler_bench.runner import session

    keys = {key.replace("-", "_"): value for key, value in plan.read(plan_name).items()}
    # Another plan's run does not take the place of the main report.
    below = "" if plan_name == DEFAULT_PLAN else Path(plan_name).stem
    ready = session.prepare(plan.parse({**keys, **flags}), output, below=below, resume=resume)
    expected, most = session.expectation(ready)
    operators = len({case.upsampler for case in ready.cases})
    console(stderr=True).print(
        f"{len(ready.cases)} cases of {operators} operators on {ready.cases[0].device}: "
        f"about {minutes(expected)}, at most {minutes(most)}",
        highlight=False,
    )
    return ready


def measure(ready: Session) -> Run:
    """Runs it, and tells on standard error how it goes."""
    from upsampler_bench.runner.progress import listener

    with listener(console(stderr=True), len(ready.cases)) as listener_:
        return ready.run(listener_)
