"""One export a file: `as_<name>.py` turns a Run into files that other people's dashboards read; this room calls it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol, cast

from upsampler_bench import discovery
from upsampler_bench.errors import PlanError
from upsampler_bench.results import Run
from upsampler_bench.storage import write_whole


class Export(Protocol):
    """What an export's module has.

    Attributes:
        ABOUT: one line for a list of the exports.
    """

    ABOUT: str

    def files(self, run: Run) -> Mapping[str, bytes]:
        """The run as files: their contents by path, relative to the folder they are written into.

        Raises:
            PlanError: the run lacks what this export cannot do without.
        """


def names() -> tuple[str, ...]:
    """The exports there are; none is imported."""
    return tuple(one.replace("_", "-") for one in discovery.modules(__name__))


def get(name: str) -> Export:
    """One export.

    Raises:
        PlanError: there is no such export.
    """
    if name.replace("_", "-") not in names():
        raise PlanError(f"no export {name!r}; {discovery.nearest(name, names())}")
    return cast(Export, discovery.load(__name__, name.replace("-", "_")))


def write(run: Run, folder: str | Path, chosen: Iterable[str]) -> list[Path]:
    """Writes the run in each of these forms into a folder, and returns the files.

    Raises:
        PlanError: there is no such export, or the run lacks what it needs; nothing is written then.
        OutputError: the folder cannot be written.
    """
    loaded = [get(name) for name in dict.fromkeys(chosen)]
    made = {Path(folder) / name: content for one in loaded for name, content in one.files(run).items()}
    for target, content in made.items():
        write_whole(target, content)
    return list(made)
