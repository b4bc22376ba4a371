"""baseline: deterministic metrics (FLOPs, memory, outputs) against a committed file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from upsampler_bench.baseline import baseline_file
from upsampler_bench.baseline.baseline_file import FILE, Baseline, OperatorBaseline
from upsampler_bench.baseline.difference import ADDED, REMOVED, WRONG, Change, Difference, diff, keep_rounding
from upsampler_bench.commands.console import WIDTH, console, fitted
from upsampler_bench.commands.exit_codes import FAILED, FINE, WRONG_OUTPUT
from upsampler_bench.commands.options import Plugin, Timeout, Upsampler
from upsampler_bench.errors import ResultsError
from upsampler_bench.units import counted

METRIC_WIDTH = 18

app = typer.Typer(
    help="Check deterministic metrics (FLOPs, memory, outputs) against a committed baseline.", no_args_is_help=True
)
File = Annotated[Path, typer.Option("--file", help="The baseline file.")]


@app.command()
def check(upsampler: Upsampler = None, plugin: Plugin = None, file: File = FILE, timeout: Timeout = None) -> None:
    """Compare every operator with the baseline.

    Multiply-adds, parameters, peak memory, allocations and ATen operations
    must be equal; outputs and gradients must agree within rounding. Added or
    removed operators are listed but do not fail the check. With --plugin and
    without -u, operators are those of the plug-in and of the file.

    Exit codes: 0 no change, 1 something changed, 2 misuse or no baseline,
    4 an output or a gradient is wrong.
    """
    old = baseline_file.load(file, upsampler or (), plugin or ())
    _check_condition(old, file)
    chosen = _chosen(upsampler or (), plugin or (), old, timeout)
    if not any(name in old.operators for name in chosen):
        raise ResultsError(_nothing(old, file, upsampler or (), plugin or ()))
    new = _record(chosen, plugin or (), timeout)
    difference = diff(_only(old, new.operators) if upsampler else old, new)
    _print_changes(difference)
    count = len({*old.operators} & {*new.operators})
    _say(_conclusion(difference, count, file, upsampler or (), plugin or ()))
    raise typer.Exit(WRONG_OUTPUT if difference.is_wrong else FAILED if difference.failures else FINE)


@app.command()
def update(upsampler: Upsampler = None, plugin: Plugin = None, file: File = FILE, timeout: Timeout = None) -> None:
    """Record all operators, or those named, and print what changed.

    With --plugin and without -u, operators are those of the plug-in and of the
    file.

    Commit the file with the reason. An operator that fails or whose output is
    wrong keeps its old values.

    Exit codes: 0 written, 1 an operator failed, 2 misuse, 4 an output or a
    gradient is wrong.
    """
    old = baseline_file.load(file, upsampler or (), plugin or ()) if file.exists() else None
    if old is not None and upsampler:
        _check_condition(old, file)
    new = _record(_chosen(upsampler or (), plugin or (), old, timeout), plugin or (), timeout)
    failed = {name: operator.failed for name, operator in new.operators.items() if operator.failed}
    new = _only(new, [name for name in new.operators if name not in failed])
    for name, reason in failed.items():
        _say(f"{name} was not recorded: {reason}")
    if old is None:
        _say(f"Recorded {counted(len(new.operators), 'operator')}")
    else:
        new = _merge(old, new, file, partial=bool(upsampler or failed))
    baseline_file.save(new, file)
    _say(f"Wrote {file}")
    if failed:
        wrong = any(reason.startswith(WRONG) for reason in failed.values())
        raise typer.Exit(WRONG_OUTPUT if wrong else FAILED)


def _merge(old: Baseline, new: Baseline, file: Path, *, partial: bool) -> Baseline:
    """The baseline to write over `old`; prints what changed.

    Raises:
        ResultsError: only some operators were recorded, with another torch than the rest.
    """
    if partial and old.torch != new.torch:
        raise ResultsError(f"{file} was recorded with torch {old.torch}, this is {new.torch}: update all, without -u")
    if old.condition == new.condition:
        _print_changes(diff(_only(old, new.operators) if partial else old, new))
        new = keep_rounding(old, new)
    return replace(new, operators={**old.operators, **new.operators}) if partial else new


def _chosen(names: Sequence[str], plugins: Sequence[str], old: Baseline | None, timeout: float | None) -> list[str]:
    """These operators, or without names all; but with plug-ins those of the plug-ins and of the baseline.

    Raises:
        PlanError: there is no such operator or plug-in.
        BenchError: a plug-in ended the measuring process or did not respond.
    """
    from upsampler_bench import plan
    from upsampler_bench.baseline import recording
    from upsampler_bench.runner import isolated

    known = [one.name for one in isolated.registered(names, plugins=plugins, timeout=timeout)]
    selection = plan.parse({"upsampler": list(names or ["*"]), "baseline": "", "shape": "1x1x1"})
    chosen = dict.fromkeys(case.upsampler for case in plan.cases(selection, known, recording.CASE.device))
    ours = {one.name for one in isolated.registered()} if plugins and not names else set()
    return [name for name in chosen if name not in ours or (old and name in old.operators)]


def _nothing(old: Baseline, file: Path, names: Sequence[str], plugins: Sequence[str]) -> str:
    """That nothing would be compared, and what to add."""
    add = f"record them with '{baseline_file.update_command(file, names, plugins)}'"
    if old.operators and not names and not plugins:
        add = f"it has {', '.join(old.operators)}: name what registers them with --plugin FILE.py"
    return f"nothing to compare: {file} has none of the operators {', '.join(names) or 'here'}; {add}"


def _record(chosen: Sequence[str], plugins: Sequence[str], timeout: float | None) -> Baseline:
    """These operators as they are now.

    Raises:
        BenchError: a plug-in ended the measuring process or did not respond.
    """
    from upsampler_bench.baseline import recording
    from upsampler_bench.runner import isolated, operators
    from upsampler_bench.runner.progress import steps

    with steps(console(stderr=True), len(chosen)) as begin:
        recorded = isolated.ask(
            "upsampler_bench.baseline.recording:record", [recording.CASE.of(name) for name in chosen], OperatorBaseline,
            lambda reason: OperatorBaseline(failed=reason), plugins=plugins, specs=operators.pickled(chosen),
            timeout=timeout, begin=lambda case: begin(case.upsampler),
        )  # fmt: skip
    return recording.baseline(dict(zip(chosen, recorded, strict=True)))


def _check_condition(old: Baseline, file: Path) -> None:
    from upsampler_bench.baseline import recording

    if (old.condition, old.seed) != (recording.CASE.condition, recording.SETTINGS.seed):
        raise ResultsError(
            f"{file} was recorded at {old.condition}, seed {old.seed}; expected {recording.CASE.condition}, "
            f"seed {recording.SETTINGS.seed}: record it again with '{baseline_file.update_command(file)}'"
        )


def _only(baseline: Baseline, names: Iterable[str]) -> Baseline:
    return replace(baseline, operators={name: baseline.operators[name] for name in names if name in baseline.operators})


def _print_changes(difference: Difference) -> None:
    """Prints every change below its operator's name, then what could not be compared."""
    name = ""
    for change in difference.changes:
        if change.operator != name:
            name = change.operator
            typer.echo(name)
        typer.echo(textwrap.fill(_line(change), WIDTH, initial_indent="  ", subsequent_indent="    "))
    for note in difference.notes:
        _say(note)


def _line(change: Change) -> str:
    if change.verdict in (ADDED, REMOVED):
        return f"{change.verdict}, but failed: {change.new}" if change.new else change.verdict
    if change.metric == "failed":
        return f"failed: {change.new}" if change.new else f"no longer fails: {change.old}"
    values = f"{_number(change.old)} -> {_number(change.new)}{_percent(change.old, change.new)}"
    return f"{change.metric:{METRIC_WIDTH}s} {values} {change.verdict}"


def _number(value: float | str | None) -> str:
    if value is None:
        return "not recorded"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _percent(old: float | str | None, new: float | str | None) -> str:
    if not isinstance(old, (int, float)) or not isinstance(new, (int, float)) or not old:
        return ""
    percent = 100 * (new - old) / abs(old)
    return f" ({percent:+.1f} %)" if abs(percent) >= 0.1 else f" ({percent:+.1g} %)"


def _conclusion(
    difference: Difference, count: int, file: Path, names: Sequence[str], plugins: Sequence[str]
) -> str:  # fmt: skip
    """The result of a check; how to accept the changes, unless an operator fails."""
    failures = difference.failures
    if not failures:
        others = len(difference.changes)
        match = "matches" if count == 1 else "match"
        return f"{counted(count, 'operator')} {match} {file}" + (f"; {others} added or removed" if others else "")
    summary = f"{len({change.operator for change in failures})} of {counted(count, 'operator')} changed since {file}"
    if any(change.metric == "failed" and change.new for change in failures):
        return summary
    summary += ": an output or a gradient differs beyond rounding" if difference.is_wrong else ""
    return f"{summary}; if this is intended: {baseline_file.update_command(file, names, plugins)}"


def _say(text: str) -> None:
    """Prints a sentence to standard error, within the width."""
    typer.echo(fitted(text), err=True)
