"""Commands of what has no noise: baseline check (is it as committed?) and baseline update."""

from __future__ import annotations

import shlex
import textwrap
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from upsampler_bench.baseline.baseline_file import FILE
from upsampler_bench.commands.console import WIDTH, console, fitted
from upsampler_bench.commands.options import Plugin, Upsampler

if TYPE_CHECKING:
    from upsampler_bench.baseline.baseline_file import Baseline, Change, Difference

LABEL = 18

app = typer.Typer(help="Hold what has no noise (FLOPs, bytes, outputs, ...) to a committed file.", no_args_is_help=True)

Where = Annotated[Path, typer.Option("--file", help="The baseline.")]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a command was asked for: operators (empty: all) and plug-ins."""

    upsampler: tuple[str, ...]
    plugin: tuple[str, ...]


@app.command()
def check(upsampler: Upsampler = None, plugin: Plugin = None, file: Where = FILE) -> None:
    """Hold every operator to the baseline, with no tolerance: a forward that costs one multiply-add more is told.

    Multiply-adds, parameters, peak bytes, operations, and within rounding what is computed. Operators that came or
    went are told and do not fail. Exit codes: 0 as it was, 1 something changed, 2 misuse or no baseline, 4 an output
    or a gradient is wrong.
    """
    from upsampler_bench.baseline import baseline_file

    old = baseline_file.load(file)
    asked = Asked(tuple(upsampler or ()), tuple(plugin or ()))
    _refuse_other_condition(old, file)
    new = _recorded(asked)
    found = baseline_file.diff(baseline_file.only(old, new.operators) if asked.upsampler else old, new)
    _tell(found)
    _say(_sentence(found, len({*old.operators} & {*new.operators}), file, _again(asked, file)))
    raise typer.Exit(found.exit_code)


@app.command()
def update(upsampler: Upsampler = None, plugin: Plugin = None, file: Where = FILE) -> None:
    """Write the baseline anew, of all operators or of those named, and say what changed; commit it with its cause.

    An operator that fails, or whose output is wrong, keeps what was recorded of it. Exit codes: 0 written, 1 an
    operator failed, 2 misuse, 4 an output or a gradient is wrong.
    """
    from upsampler_bench.baseline import baseline_file

    asked = Asked(tuple(upsampler or ()), tuple(plugin or ()))
    old = baseline_file.load(file) if file.exists() else None
    if old is not None and asked.upsampler:
        _refuse_other_condition(old, file)
    new = _recorded(asked)
    failed = {name: one.failed for name, one in new.operators.items() if one.failed}
    new = replace(new, operators={name: one for name, one in new.operators.items() if name not in failed})
    for name, why in failed.items():
        _say(f"{name} keeps what was recorded of it, if anything: {why}")
    if old is None:
        _say(f"{_counted(len(new.operators), 'operator')}, none recorded before")
    else:
        new = _after(old, new, file, part=bool(asked.upsampler or failed))
    baseline_file.save(new, file)
    _say(f"Wrote {file}")
    if failed:
        wrong = any(one.startswith(baseline_file.WRONG) for one in failed.values())
        raise typer.Exit(baseline_file.WRONG_EXIT if wrong else baseline_file.CHANGED_EXIT)


def _after(old: Baseline, new: Baseline, file: Path, *, part: bool) -> Baseline:
    """What to write where `old` was; tells what changed.

    Raises:
        ResultsError: a part of the operators was recorded with another torch than the rest.
    """
    from upsampler_bench.baseline import baseline_file

    if part and old.torch != new.torch:
        _refuse(f"{file} is of torch {old.torch}, here is {new.torch}: update all operators, without -u")
    before = baseline_file.only(old, new.operators) if part else old
    if old.condition == new.condition:
        _tell(baseline_file.diff(before, new))
        new = baseline_file.settled(old, new)
    return replace(new, operators={**old.operators, **new.operators}) if part else new


def _recorded(asked: Asked) -> Baseline:
    """Everything of these operators as it is now.

    Raises:
        PlanError: there is no such operator or plug-in.
    """
    from upsampler_bench import plan
    from upsampler_bench.baseline import recording
    from upsampler_bench.runner import operators

    operators.load(asked.plugin)
    operators.add_variants(asked.upsampler)
    wanted = plan.parse({"upsampler": list(asked.upsampler or ["*"]), "baseline": "", "shape": "1x1x1"})
    cases = plan.cases(wanted, operators.names(recording.CASE.device), recording.CASE.device)
    names = recording.fitting(dict.fromkeys(case.upsampler for case in cases))
    found = {}
    with console(stderr=True).status("counting") as status:
        for name in names:
            status.update(name)
            found[name] = recording.record(name)
    return recording.baseline(found)


def _refuse_other_condition(old: Baseline, file: Path) -> None:
    from upsampler_bench.baseline import baseline_file, recording

    if (old.condition, old.seed) != (recording.CASE.condition, recording.SETTINGS.seed):
        here = f"{recording.CASE.condition}, seed {recording.SETTINGS.seed}"
        _refuse(
            f"{file} is of {old.condition}, seed {old.seed}, here is {here}; '{baseline_file.COMMAND}' writes it anew"
        )


def _refuse(text: str) -> None:
    from upsampler_bench.errors import ResultsError

    raise ResultsError(text)


def _tell(found: Difference) -> None:
    """Prints every change below its operator's name, then what could not be compared."""
    name = ""
    for one in found.changes:
        if one.operator != name:
            name = one.operator
            typer.echo(name)
        typer.echo(textwrap.fill(_line(one), WIDTH, initial_indent="  ", subsequent_indent="    "))
    for note in found.notes:
        _say(note)


def _line(change: Change) -> str:
    from upsampler_bench.baseline.baseline_file import ADDED, REMOVED

    if change.verdict in (ADDED, REMOVED):
        return f"{change.verdict}{', but ' * bool(change.new)}{change.new or ''}"
    if change.metric == "failed":
        return f"failed: {change.new}" if change.new else f"no longer fails: {change.old}"
    told = f"{_number(change.old)} -> {_number(change.new)}{_percent(change.old, change.new)}"
    return f"{change.metric:{LABEL}s} {told} {change.verdict}"


def _number(value: float | str | None) -> str:
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else f"{value}"


def _percent(old: float | str | None, new: float | str | None) -> str:
    if not isinstance(old, (int, float)) or not isinstance(new, (int, float)) or not old:
        return ""
    return f" ({(new - old) / abs(old):+.1%})".replace("%", " %")


def _sentence(found: Difference, count: int, file: Path, again: str) -> str:
    """What came of a check; what is broken is not to be recorded."""
    from upsampler_bench.baseline.baseline_file import ADDED, REMOVED

    told = [one for one in found.changes if one.verdict not in (ADDED, REMOVED)]
    if told:
        names = {one.operator for one in told}
        broken = any(one.metric == "failed" and one.new for one in told)
        advice = "" if broken else f"; if that is wanted: {again}"
        return f"{len(names)} of {_counted(count, 'operator')} not as in {file}{advice}"
    others = f"; {len(found.changes)} more came or went" if found.changes else ""
    return f"{_counted(count, 'operator')} as in {file}{others}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'s' * (count != 1)}"


def _again(asked: Asked, file: Path) -> str:
    """The command that records what a check found, with the options that the check was given."""
    from upsampler_bench.baseline.baseline_file import COMMAND

    options = [*(f"-u {shlex.quote(one)}" for one in asked.upsampler), *(f"--plugin {one}" for one in asked.plugin)]
    options += [f"--file {shlex.quote(str(file))}"] if file != FILE else []
    return " ".join([COMMAND, *options])


def _say(text: str) -> None:
    """Prints a sentence on standard error, within the width."""
    typer.echo(fitted(text), err=True)
