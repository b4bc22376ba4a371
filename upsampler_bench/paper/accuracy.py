# torch-free
"""What a user trained, read from a CSV file, for the columns of published tables that need training."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from upsampler_bench.discovery import nearest
from upsampler_bench.errors import PlanError
from upsampler_bench.paper.tables import NEED_TRAINING
from upsampler_bench.results import Accuracy, UpsamplerInfo

# As in published.csv, whose other columns may be there too.
COLUMNS = ("table", "upsampler", "figure", "ours")
# The largest value of a figure: most are in per cent, errors of depth are smaller.
MOST = 100


def read(path: Path, operators: Sequence[str]) -> tuple[Accuracy, ...]:
    """The figures in a CSV file with the columns table, upsampler, figure and ours.

    Args:
        path: of the file.
        operators: that are measured, of which one must be named in each line.

    Raises:
        PlanError: the file cannot be read, a line names no such table, figure or operator, or has no number that such a
            figure can be, or two lines are of the same figure.
    """
    try:
        return tuple(_figures(path, operators))
    except (OSError, UnicodeDecodeError, csv.Error) as problem:
        raise PlanError(f"cannot read {path}: {getattr(problem, 'strerror', None) or problem}") from problem


def attached(infos: Sequence[UpsamplerInfo], given: Sequence[Accuracy]) -> tuple[UpsamplerInfo, ...]:
    """The operators, each with its figures."""
    return tuple(
        replace(info, accuracy=tuple(one for one in given if _is_of(one.row, info.name))) for info in infos
    )  # fmt: skip


def _figures(path: Path, operators: Sequence[str]) -> Iterator[Accuracy]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file, skipinitialspace=True)
        if missing := [column for column in COLUMNS if column not in (lines.fieldnames or ())]:
            raise PlanError(f"{path} lacks the column {missing[0]!r}; expected {','.join(COLUMNS)}")
        line_of: dict[tuple[str, str, str], int] = {}
        for line in lines:
            found = Accuracy(*((line[column] or "").strip() for column in COLUMNS))
            where = f"{path} line {lines.line_num}"
            _check(found, operators, where)
            first = line_of.setdefault((found.table, found.row, found.figure), lines.line_num)
            if first != lines.line_num:
                raise PlanError(f"{where}: line {first} has {found.figure} of {found.row} in {found.table} already")
            yield found


def _check(found: Accuracy, operators: Sequence[str], where: str) -> None:
    if found.table not in NEED_TRAINING:
        raise PlanError(f"{where}: no table {found.table!r}; expected {', '.join(NEED_TRAINING)}")
    if found.figure not in NEED_TRAINING[found.table]:
        raise PlanError(
            f"{where}: {found.table} has no figure {found.figure!r} that needs training; expected "
            f"{', '.join(NEED_TRAINING[found.table])}"
        )
    if not any(_is_of(found.row, name) for name in operators):
        raise PlanError(f"{where}: {found.row!r} is not measured; {nearest(found.row, tuple(operators))}")
    try:
        is_right = 0 <= float(found.text) <= MOST
    except ValueError:
        is_right = False
    if not is_right:
        raise PlanError(f"{where}: {found.figure} is {found.text!r}; expected a number from 0 to {MOST}, such as 43.21")


def _is_of(row: str, name: str) -> bool:
    return row == name or row.startswith(f"{name} (")
