"""One export per file: `<name>.py` turns a Run into files that other tools and dashboards read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, cast

from upsampler_bench import discovery
from upsampler_bench.errors import PlanError
from upsampler_bench.results import Run
from upsampler_bench.storage import write_whole


class Export(Protocol):
    """The contents of an export's module."""

    def files(self, run: Run) -> Mapping[str, bytes]:
        """The contents of the files by path, relative to the folder they are written into."""


def names() -> tuple[str, ...]:
    """The available exports; none is imported."""
    return tuple(name.replace("_", "-") for name in discovery.modules(__name__))


def get(name: str) -> Export:
    """One export.

    Raises:
        PlanError: there is no such export.
        MissingPackage: the export needs a package that is not installed.
    """
    if name.replace("_", "-") not in names():
        raise PlanError(f"no export {name!r}; {discovery.nearest(name, names())}")
    return cast(Export, discovery.load(__name__, name.replace("-", "_")))


def write(run: Run, folder: str | Path, chosen: Iterable[str]) -> list[Path]:
    """Writes the run in each of these forms into a folder, and returns the files.

    Raises:
        PlanError, MissingPackage: an export is not available; nothing is written then.
        OutputError: the folder cannot be written.
    """
    exports = [get(name) for name in dict.fromkeys(chosen)]
    contents = {Path(folder) / name: content for export in exports for name, content in export.files(run).items()}
    for path, content in contents.items():
        write_whole(path, content)
    return list(contents)
