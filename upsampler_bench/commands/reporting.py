"""Commands that report: one report of some runs, written in every format asked for, and printed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from upsampler_bench.commands.console import console
from upsampler_bench.errors import ResultsError

if TYPE_CHECKING:
    from upsampler_bench.results import Run


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
