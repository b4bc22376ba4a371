"""compare: two stored runs, two revisions, or two operators: is it slower?"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import Batch, Device, Plugin, Shape, Upsampler
from upsampler_bench.commands.reporting import check_formats

if TYPE_CHECKING:
    from collections.abc import Sequence

    from upsampler_bench.compare.comparison import Duel
    from upsampler_bench.compare.sides import Asked
    from upsampler_bench.report.parts import Report

FORMATS = ("csv", "markdown")
# Every process of the comparison, as it was measured.
POINTS = "comparison.json"
DEFAULT_BUDGET = 300.0


def compare(
    what: Annotated[list[str] | None, typer.Argument(help="Two stored runs, or two operators.")] = None,
    base: Annotated[str | None, typer.Option(help="A revision: commit, tag or branch.")] = None,
    head: Annotated[str | None, typer.Option(help="Another; the working tree by default.")] = None,
    upsampler: Upsampler = None,
    shape: Shape = None,
    batch: Batch = None,
    dtype: Annotated[list[str] | None, typer.Option(help="float32, float16, bfloat16 or float64.")] = None,
    mode: Annotated[str, typer.Option(help="inference or train.")] = "inference",
    device: Device = None,
    threads: Annotated[int, typer.Option(help="CPU threads.")] = 1,
    budget: Annotated[float, typer.Option(help="Seconds in all; 0: no limit.")] = DEFAULT_BUDGET,
    threshold: Annotated[str, typer.Option(help="A smaller change is none.")] = "5%",
    fail_on: Annotated[str, typer.Option(help="regression, slower, inconclusive or never.")] = "regression",
    budgets: Annotated[Path | None, typer.Option(help="A TOML file of absolute budgets.")] = None,
    plugin: Plugin = None,
    own_environment: Annotated[
        bool, typer.Option("--own-environment/--same-environment", help="A base with other dependencies gets its own.")
    ] = True,
    output_dir: Annotated[Path | None, typer.Option(help="Where to write; nothing by default.")] = None,
    formats: Annotated[list[str] | None, typer.Option("--format", "-f", help=f"Default {', '.join(FORMATS)}.")] = None,
) -> None:
    """Say whether something became slower: two revisions, two operators, or two stored runs.

    Revisions and operators are measured here, in fresh processes that alternate; stored runs are held against each
    other, what is exact with no tolerance, timings as advice. Exit codes: 0 fine, 1 regression, 2 misuse,
    3 inconclusive (with --fail-on inconclusive), 4 an output is wrong, 130 interrupted.
    """
    from upsampler_bench.compare import budgets as absolute
    from upsampler_bench.compare import exit_code, report
    from upsampler_bench.compare.sides import Asked
    from upsampler_bench.storage import write_whole

    _check(fail_on, what or (), base, head, budgets, upsampler)
    check_formats(formats)
    lines = absolute.read(budgets, mode) if budgets else ()
    named = {"upsampler": upsampler, "shape": shape, "batch": batch, "dtype": dtype, "mode": [mode], "device": device}
    keys = {name: value for name, value in named.items() if value}
    if base is None and what and any(map(_is_stored, what)):
        _check_stored(what, [*keys, *(["plugin"] if plugin else [])])
        rule = _rule(threshold)
        raise typer.Exit(_stored(what[0], what[1], rule.threshold, fail_on, output_dir, formats or FORMATS))
    budgeted = tuple(dict.fromkeys(name for one in lines for name in (one.operator, one.against) if name))
    asked = Asked(keys, tuple(plugin or ()), _rule(threshold), budget, threads, own_environment, budgeted)
    duels = _measured(what or (), base, head, asked)
    held = absolute.hold(lines, duels)
    _tell(report.report(duels, held), output_dir, formats or FORMATS)
    if output_dir:
        write_whole(output_dir / POINTS, json.dumps([asdict(one) for one in duels]).encode())
    raise typer.Exit(exit_code.code(duels, fail_on, held))


def _measured(what: Sequence[str], base: str | None, head: str | None, asked: Asked) -> list[Duel]:
    from upsampler_bench.compare import sides

    listener_ = console(stderr=True)

    def say(text: str) -> None:
        listener_.print(text, highlight=False, markup=False)

    return sides.revisions(base, head, asked, say) if base else sides.pair(what[0], what[1], asked, say)


def _check(
    fail_on: str, what: Sequence[str], base: str | None, head: str | None, budgets: Path | None,
    upsampler: Sequence[str] | None,
) -> None:  # fmt: skip
    from upsampler_bench.compare import exit_code
    from upsampler_bench.discovery import nearest
    from upsampler_bench.errors import PlanError

    if fail_on not in exit_code.FAIL_ON:
        raise PlanError(f"--fail-on is {fail_on!r}; {nearest(fail_on, exit_code.FAIL_ON)}")
    if base is None and len(what) != 2:
        raise PlanError(
            f"{len(what)} things to compare; expected two stored runs, two operators, or --base REVISION alone"
        )
    if head and base is None:
        raise PlanError("--head is what is held against a base; give --base REVISION too")
    if base is not None and what:
        raise PlanError(f"--base compares revisions; choose operators with -u, not {' '.join(what)!r}")
    if base is None and upsampler:
        raise PlanError(
            f"-u chooses among a revision's operators; name two to compare them: compare {upsampler[0]} ..."
        )
    if budgets and base is None:
        raise PlanError("--budgets hold what a revision's operators cost; give --base REVISION too")


def _check_stored(what: Sequence[str], given: Sequence[str]) -> None:
    from upsampler_bench.errors import PlanError

    for one in what:
        if not _is_stored(one):
            raise PlanError(f"no stored run at {one}; beside a stored run another is expected, or two operators")
    if others := [name for name in given if name != "mode"]:
        raise PlanError(f"two stored runs are compared as they are; leave out --{', --'.join(others)}")


def _is_stored(what: str) -> bool:
    return what.endswith(".json") or Path(what).exists()


def _rule(threshold: str) -> Any:
    from upsampler_bench.compare.rule import Rule
    from upsampler_bench.errors import PlanError

    text = threshold.strip()
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise PlanError(f"--threshold is {threshold!r}; expected a share such as 5% or 0.05")
    return Rule(threshold=value)


def _stored(old: str, new: str, threshold: float, fail_on: str, output_dir: Path | None, formats: Sequence[str]) -> int:
    from upsampler_bench import storage
    from upsampler_bench.compare import stored_runs

    found = stored_runs.compare(storage.load(Path(old)), storage.load(Path(new)), threshold)
    _tell(stored_runs.report(found, old, new), output_dir, formats)
    return stored_runs.code(found, fail_on)


def _tell(report: Report, output_dir: Path | None, formats: Sequence[str]) -> None:
    from upsampler_bench import formats as all_formats

    print(all_formats.render("terminal", report))
    if output_dir:
        written = all_formats.write(report, output_dir, formats)
        console(stderr=True).print(f"Wrote {', '.join(one.name for one in written)} into {output_dir}", highlight=False)
    sys.stdout.flush()
