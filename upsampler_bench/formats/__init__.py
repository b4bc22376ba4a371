"""One format per file: each turns a Report into files, and texts also into what is printed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from upsampler_bench import discovery
from upsampler_bench.errors import PlanError
from upsampler_bench.report import pictures
from upsampler_bench.report.parts import Report
from upsampler_bench.storage import write_whole

PICTURES = (".png", ".svg", ".pdf")
# The format whose one file contains all pictures.
PAGE = "html"
# What a report calls its pictures; a user's own panel-of-mine.png is none.
PICTURE = re.compile(
    rf"(?:{'|'.join(pictures.names())})(?:-(?:.*\d+x\d+.*|(?:size|channels|shapes|reconstruction).*))?"
)


class Format(Protocol):
    """What the module of a format has; one of text has `show(report)` too, which returns what is printed."""

    def files(self, report: Report) -> Mapping[str, bytes]:
        """The report as files: their contents by name."""


def names() -> tuple[str, ...]:
    """All formats; none is imported."""
    return discovery.modules(__name__)


def get(name: str) -> Format:
    """One format.

    Raises:
        PlanError: there is no such format.
        MissingPackage: it needs a package that is not installed.
    """
    return cast(Format, discovery.load(__name__, name))


def write(
    report: Report, folder: str | Path, chosen: Iterable[str], begin: Callable[[str], object] = lambda text: True
) -> list[Path]:  # fmt: skip
    """Writes the report in each of these formats into a folder, and returns the files.

    Args:
        report: what to write.
        folder: where to.
        chosen: the formats' names.
        begin: called before what takes seconds, with "Drawing panel.png, 1 of 3", say; False leaves it out.

    Raises:
        PlanError, MissingPackage: see `get`; nothing is written then.
        OutputError: the folder cannot be written.
    """
    loaded = {name: get(name) for name in dict.fromkeys(chosen)}
    made: dict[Path, bytes] = {}
    for name, one in loaded.items():
        for part, text in _parts(report, name):
            if not text or begin(text) is not False:
                made |= {Path(folder) / file: content for file, content in one.files(part).items()}
    for target, content in made.items():
        write_whole(target, content)
    if made:
        _remove_stale(Path(folder), set(made), {f".{name}" for name in loaded})
    return list(made)


def _parts(report: Report, name: str) -> Iterator[tuple[Report, str]]:
    """What a format makes at a time, and what that is called if it takes seconds."""
    if f".{name}" not in PICTURES:
        yield report, "Drawing report.html" if name == PAGE else ""
        return
    for number, picture in enumerate(report.pictures, 1):
        yield replace(report, pictures=(picture,)), f"Drawing {picture.name}.{name}, {number} of {len(report.pictures)}"


def _remove_stale(folder: Path, made: set[Path], written: set[str]) -> None:
    """Drops what an earlier report left in the formats just written: it is of another run."""
    for old in set(folder.iterdir()) - made:
        if old.suffix in written.intersection(PICTURES) and PICTURE.fullmatch(old.stem):
            old.unlink(missing_ok=True)
    if ".csv" in written and folder / "published.csv" not in made:
        (folder / "published.csv").unlink(missing_ok=True)


def render(name: str, report: Report) -> str:
    """The report in one format as text to print.

    Raises:
        PlanError: there is no such format, or it draws pictures.
        MissingPackage: it needs a package that is not installed.
    """
    show: Callable[[Report], str] | None = getattr(get(name), "show", None)
    if show is None:
        raise PlanError(f"{name} draws pictures, which are written into a folder and not printed")
    return show(report)
