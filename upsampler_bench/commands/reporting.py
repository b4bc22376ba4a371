"""Commands that report: one report of some runs, written in every format asked for, and printed."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

from upsampler_bench import storage
from upsampler_bench.case import Case
from upsampler_bench.commands.console import console
from upsampler_bench.commands.options import FORMATS
from upsampler_bench.errors import ResultsError
from upsampler_bench.results import Run

# Seconds, by experience: of a report, and of the pictures of one condition, of at most MOST.
REPORT_SECONDS, PICTURES_SECONDS = 4.0, 6.0
# Of what was written, the file to open: the first that is there.
OPENED_FIRST = ("report.html", "report.md", "panel.png")


def report(runs: Sequence[Run], folder: Path, formats: Sequence[str] | None, deadline: float = math.inf) -> None:
    """Writes one report of these runs in every format (by default FORMATS), prints it, and says which file to open.

    Args:
        runs: that it is of.
        folder: where to.
        formats: their names; empty or None: the default ones.
        deadline: on the clock of `time.monotonic`, after which nothing is drawn.

    Raises:
        ResultsError: a run is incomplete.
        PlanError, MissingPackage, OutputError: a format cannot be written.
    """
    from upsampler_bench import formats as all_formats
    from upsampler_bench import report as reports

    messages = console(stderr=True)
    left_out: list[str] = []

    def begin(text: str) -> bool:
        if time.monotonic() > deadline:
            left_out.append(text.removeprefix("Drawing ").partition(",")[0])
            return False
        (status.update if status else messages.print)(text)
        return True

    with messages.status("Making the report") if messages.is_terminal else contextlib.nullcontext() as status:
        content = reports.from_runs(runs, _tested(runs, folder), _stored(runs))
        written = all_formats.write(content, folder, formats or FORMATS, begin)
    print(all_formats.render("terminal", content))
    if "trace" in (formats or ()) and not content.traces:
        messages.print("No trace: nothing was profiled; 'upsampler-bench profile' does.")
    names = [path.name for path in written]
    if left_out:
        messages.print(f"{', '.join(left_out)}: no time left; 'upsampler-bench report {folder}' draws them.")
    if not names:
        return
    first = next((name for name in OPENED_FIRST if name in names), names[0])
    if len(names) == 1:
        messages.print(f"Wrote {folder / first}", soft_wrap=True)
    else:
        messages.print(f"Wrote {len(names)} files to {folder}", soft_wrap=True)
        messages.print(f"Open {folder / first}", soft_wrap=True)


def drawing_seconds(cases: Sequence[Case], formats: Sequence[str] | None) -> float:
    """About how long the report of such cases takes."""
    from upsampler_bench.formats import PICTURES
    from upsampler_bench.report.pictures import MOST

    drawn = sum(f".{name}" in PICTURES for name in formats or FORMATS)
    return REPORT_SECONDS + drawn * PICTURES_SECONDS * min(MOST, len({case.condition for case in cases}))


def _tested(runs: Sequence[Run], folder: Path) -> list[Run]:
    """The capabilities of the devices of these runs: stored beside the report, or among the published ones."""
    tested: dict[str, Run] = {}
    for run in runs:
        name = run.environment.device_name
        for parent in (folder, storage.REPORTS / run.environment.slug):
            with contextlib.suppress(ResultsError):
                stored = storage.load(parent / storage.CAPABILITIES)
                if stored.environment.device_name == name:
                    tested.setdefault(name, stored)
    return list(tested.values())


def _stored(runs: Sequence[Run]) -> list[Run]:
    """What the picture of quality against latency lacks: a stored run of the other kind, of any device.

    Of the runs that share the most operators with these, the newest.
    """
    from upsampler_bench.quality import tasks
    from upsampler_bench.report.pictures import quality

    has_quality, has_latency = any(map(tasks.is_ranking, runs)), any(map(quality.has_latency, runs))
    if has_quality == has_latency:
        return []
    suits = quality.has_latency if has_quality else tasks.is_ranking
    ours = {row.case.upsampler for run in runs for row in run.measurements}
    stored = [run for _, run in storage.stored_runs(nested=True) if suits(run)]  # newest first
    return sorted(stored, key=lambda run: -len(ours & {row.case.upsampler for row in run.measurements}))[:1]


def check_formats(formats: Sequence[str] | None) -> None:
    """Refuses unknown formats before anything is measured.

    Raises:
        PlanError, MissingPackage: there is no such format, or it needs a package that is not installed.
    """
    from upsampler_bench import formats as all_formats

    for name in formats or ():
        all_formats.get(name)
