"""What commands that measure or tell have in common: prepare, measure, write, print."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from upsampler_bench.errors import ResultsError

if TYPE_CHECKING:
    from rich.console import Console

    from upsampler_bench.results import Run
    from upsampler_bench.runner.session import Session

INTERRUPTED = 130
DEFAULT_PLAN = "paper"
WIDTH = 80


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


def fitted(text: str) -> str:
    """A message within the width, its own lines apart; no word or path is broken."""
    lines = (textwrap.wrap(one, WIDTH, break_long_words=False, break_on_hyphens=False) for one in text.splitlines())
    return "\n".join("\n".join(one) for one in lines)


def tell(found: Sequence[Run], folder: Path, formats: Sequence[str]) -> None:
    """Writes one report of these runs in every format, and prints it.

    Raises:
        ResultsError: a run is not whole.
        PlanError, MissingPackage, OutputError: a format cannot be written.
    """
    from upsampler_bench import formats as all_formats
    from upsampler_bench import report as reports

    try:
        drawn = reports.from_runs(found)
    except (TypeError, ValueError, AttributeError, KeyError) as problem:
        raise ResultsError(f"not a whole stored run: {type(problem).__name__}: {problem}") from problem
    written = all_formats.write(drawn, folder, formats)
    print(all_formats.render("terminal", drawn))
    names = ", ".join(one.name for one in written if not all_formats.is_picture(one))
    pictures = sum(one.suffix in all_formats.PICTURES for one in written)
    drawn_too = f"{', and ' * bool(names)}{pictures} pictures" if pictures else ""
    console(stderr=True).print(f"Wrote {names}{drawn_too} into {folder}", highlight=False)


def check_formats(formats: Sequence[str] | None) -> None:
    """Refuses unknown formats before anything is measured.

    Raises:
        PlanError, MissingPackage: there is no such format, or it needs a package that is not installed.
    """
    from upsampler_bench import formats as all_formats

    for name in formats or ():
        all_formats.get(name)


def minutes(seconds: float) -> str:
    """Seconds in words."""
    return f"{seconds:.0f} s" if seconds < 100 else f"{seconds / 60:.1f} min"


def console(*, stderr: bool = False) -> Console:
    """Where to print."""
    from rich.console import Console

    return Console(stderr=stderr)
