"""compare: two revisions, two operators, or two stored runs: is it slower?"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from upsampler_bench import storage
from upsampler_bench.case import TIMED
from upsampler_bench.commands.console import console
from upsampler_bench.commands.exit_codes import FAILED, FINE, INCONCLUSIVE, INTERRUPTED, WRONG_OUTPUT
from upsampler_bench.commands.options import Batch, Device, Plugin, Shape, Upsampler
from upsampler_bench.commands.reporting import check_formats
from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.units import counted

if TYPE_CHECKING:
    from upsampler_bench.compare.comparison import Comparison
    from upsampler_bench.compare.outcome import Outcome
    from upsampler_bench.report.parts import Report

FORMATS = ("csv", "markdown")
BUDGET = 300.0
# Every sample of the comparison, as it was measured.
SAMPLES_FILE = "comparison.json"
EXIT_CODES = {
    "fine": FINE,
    "regression": FAILED,
    "inconclusive": INCONCLUSIVE,
    "wrong output": WRONG_OUTPUT,
    "interrupted": INTERRUPTED,
}


def compare(
    what: Annotated[list[str] | None, typer.Argument(help="Two operators, or two stored runs.")] = None,
    base: Annotated[str | None, typer.Option(help="A revision to compare with: commit, tag or branch.")] = None,
    head: Annotated[str | None, typer.Option(help="The revision to check; the working tree by default.")] = None,
    upsampler: Upsampler = None,
    backend: Annotated[str | None, typer.Option(help="Backend. Default: torch; on a GPU auto.")] = None,
    shape: Shape = None,
    batch: Batch = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32, float16, bfloat16 or float64.")] = None,
    mode: Annotated[str, typer.Option(help="inference or train.")] = "inference",
    device: Device = None,
    threads: Annotated[int, typer.Option(help="CPU threads.", min=1)] = 1,
    budget: Annotated[float, typer.Option(help="Time budget in seconds; 0: no limit.")] = BUDGET,
    threshold: Annotated[str, typer.Option(help="Ignore changes smaller than this.")] = "5%",
    fail_on: Annotated[str, typer.Option(help="regression, slower, inconclusive or never.")] = "regression",
    budgets: Annotated[Path | None, typer.Option(help="A TOML file of absolute limits for the head.")] = None,
    plugin: Plugin = None,
    own_environment: Annotated[
        bool,
        typer.Option(
            "--own-environment/--same-environment",
            help="Give a revision with other dependencies an environment of its own.",
        ),
    ] = True,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; without it nothing is written.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help=f"Default {', '.join(FORMATS)}.")] = None,
) -> None:
    """Say whether something is slower: two revisions, operators or stored runs.

    Revisions and operators are measured here, in fresh processes that
    alternate. Of stored runs, deterministic metrics must be equal; timings are
    advice.

    Exit codes: 0 fine, 1 regression, 2 misuse, 3 inconclusive (with
    --fail-on inconclusive), 4 wrong output, 130 interrupted.
    """
    names = what or []
    limit = _threshold(threshold)
    _check_values(base, head, mode, budget)
    _check(names, base, head, fail_on, bool(upsampler), bool(budgets))
    check_formats(formats)
    given = {
        "upsampler": upsampler,
        "backend": backend,
        "shape": shape,
        "batch": batch,
        "dtype": dtype,
        "device": device,
    }
    plan = {name: value for name, value in given.items() if value}
    if base is None and any(map(storage.is_stored_run, names)):
        changed = {
            "plugin": plugin, "mode": mode != "inference", "threads": threads != 1, "budget": budget != BUDGET,
            "same-environment": not own_environment,
        }  # fmt: skip
        _check_stored_runs(names, [*plan, *(name for name, is_given in changed.items() if is_given)])
        result = _compare_stored_runs(names[0], names[1], limit, fail_on, output_dir, formats or FORMATS)
        raise typer.Exit(EXIT_CODES[result.value])

    from upsampler_bench.compare import budgets as limits
    from upsampler_bench.compare import outcome, report, sides
    from upsampler_bench.compare.rule import Rule
    from upsampler_bench.storage import write_whole

    lines = limits.read(budgets, mode) if budgets else ()
    budgeted = tuple(dict.fromkeys(name for line in lines for name in (line.operator, line.reference) if name))
    plan["mode"] = [mode]
    options = sides.Options(plan, tuple(plugin or ()), Rule(limit), budget, threads, own_environment, budgeted)
    if base:
        measured = sides.compare_revisions(base, head, options, _say)
    else:
        measured = sides.compare_operators(names[0], names[1], options, _say)
    comparisons: list[Comparison] = []
    try:
        for comparison in measured:
            comparisons.append(comparison)  # noqa: PERF402 - what ends it early leaves these
    finally:
        if comparisons:
            checked = limits.check(lines, comparisons)
            _print(report.report(comparisons, checked), output_dir, formats or FORMATS)
            if output_dir:
                write_whole(output_dir / SAMPLES_FILE, msgspec.json.encode(comparisons))
    raise typer.Exit(EXIT_CODES[outcome.outcome(comparisons, fail_on, checked).value])


def _check_values(base: str | None, head: str | None, mode: str, budget: float) -> None:
    """Refuses what an unset variable of a CI gives."""
    for option, revision in (("--base", base), ("--head", head)):
        if revision == "":
            raise PlanError(f"{option} is empty; expected a commit, tag or branch")
    if mode not in TIMED:
        raise PlanError(f"--mode is {mode!r}; {nearest(mode, tuple(TIMED))}")
    if not 0 <= budget < math.inf:
        raise PlanError(f"--budget is {budget:g}; expected seconds, or 0 for no limit")


def _compare_stored_runs(
    old: str, new: str, threshold: float, fail_on: str, output_dir: Path | None, formats: Sequence[str]
) -> Outcome:
    from upsampler_bench.compare import stored_runs

    comparison = stored_runs.compare(storage.load(Path(old)), storage.load(Path(new)), threshold)
    _print(stored_runs.report(comparison, old, new), output_dir, formats)
    return stored_runs.outcome(comparison, fail_on)


def _check(
    names: Sequence[str], base: str | None, head: str | None, fail_on: str, has_upsamplers: bool, has_budgets: bool
) -> None:  # fmt: skip
    """Refuses options that do not go together.

    Raises:
        PlanError: with what is expected.
    """
    from upsampler_bench.compare.outcome import FAIL_ON

    if fail_on not in FAIL_ON:
        raise PlanError(f"--fail-on is {fail_on!r}; {nearest(fail_on, FAIL_ON)}")
    if base is not None:
        if names:
            raise PlanError(f"--base compares revisions; choose operators with -u, not {' '.join(names)!r}")
        return
    if len(names) != 2:
        raise PlanError(
            f"got {counted(len(names), 'name')}; expected two stored runs, two operators, or --base REVISION"
        )
    if head:
        raise PlanError("--head needs a revision to compare with: give --base REVISION too")
    if has_upsamplers:
        raise PlanError(f"-u chooses operators of a revision and needs --base; to compare two: compare {names[0]} ...")
    if has_budgets:
        raise PlanError("--budgets limit the operators of a revision: give --base REVISION too")


def _check_stored_runs(names: Sequence[str], options: Sequence[str]) -> None:
    for name in names:
        if not storage.is_stored_run(name):
            raise PlanError(f"no stored run at {name}; expected two stored runs, or two operators")
    if options:
        raise PlanError(f"stored runs are compared as they are; leave out --{', --'.join(options)}")


def _threshold(text: str) -> float:
    number = text.strip()
    try:
        value = float(number.removesuffix("%")) / (100 if number.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise PlanError(f"--threshold is {text!r}; expected a share such as 5% or 0.05")
    return value


def _say(text: str) -> None:
    console(stderr=True).print(text)


def _print(report: Report, output_dir: Path | None, formats: Sequence[str]) -> None:
    from upsampler_bench import formats as all_formats

    print(all_formats.render("terminal", report), flush=True)
    if output_dir:
        written = ", ".join(path.name for path in all_formats.write(report, output_dir, formats))
        _say(f"Wrote {written} into {output_dir}" if written else "Wrote nothing: a comparison has no pictures")
