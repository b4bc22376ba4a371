"""The modules of a folder, found by their file names and imported only when asked for."""

from __future__ import annotations

import difflib
import importlib
import importlib.util
import pkgutil
from functools import cache
from types import ModuleType

from upsampler_bench.errors import MissingPackage, PlanError


def modules(package: str) -> tuple[str, ...]:
    """The modules of a package, sorted, without helpers (`_name`); nothing is imported but the package."""
    spec = importlib.util.find_spec(package)
    folders = spec.submodule_search_locations if spec else None
    return _names(tuple(folders or ()))


@cache
def _names(folders: tuple[str, ...]) -> tuple[str, ...]:
    names = (module.name for module in pkgutil.iter_modules(folders))
    return tuple(sorted(name for name in names if not name.startswith("_")))


def load(package: str, name: str) -> ModuleType:
    """Imports one module of the folder.

    Raises:
        PlanError: the folder has no such module.
        MissingPackage: the module imports a package that is not installed.
    """
    known, kind = modules(package), package.rpartition(".")[2].removesuffix("s")
    if name not in known:
        raise PlanError(f"no {kind} {name!r}; {nearest(name, known)}")
    try:
        return importlib.import_module(f"{package}.{name}")
    except ModuleNotFoundError as problem:
        missing = (problem.name or "").partition(".")[0]
        if missing in ("", package.partition(".")[0]):
            raise
        raise MissingPackage(
            f"{kind} {name!r} needs the package {missing}, which is not installed: pip install {missing}"
        ) from problem


def nearest(name: str, known: tuple[str, ...]) -> str:
    """What an unknown name may have meant: "did you mean 'csv'?", or all that exist."""
    close = difflib.get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known) or 'none'}"
