"""Revisions checked out beside the working tree, each with the interpreter that it needs; nothing of them stays."""

from __future__ import annotations

import contextlib
import hashlib
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from upsampler_bench.compare.measuring import Corner, SideError
from upsampler_bench.errors import PlanError
from upsampler_bench.runner.process import Side

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

HERE = "the working tree"
CACHE = Path.home() / ".cache" / "upsampler-bench" / "environments"
PACKAGE = Path(__file__).parents[1]
OPERATORS = "upsamplers"
ERROR_LINES = 6


@contextlib.contextmanager
def corners(
    base: str, head: str | None, plugins: Sequence[str], say: Callable[[str], None], *, own_environment: bool = True
) -> Iterator[tuple[Corner, Corner]]:
    """The two sides of a comparison of revisions, checked out for as long as the context lasts.

    Args:
        base, head: revisions as git knows them; no head: the working tree as it is.
        plugins: modules or files; relative files are taken from each side's own tree.
        say: told what takes long.
        own_environment: a side whose dependencies differ from the working tree's gets an environment of its own.

    Raises:
        PlanError: this is no repository, or there is no such revision.
        SideError: a side's dependencies cannot be installed.
    """
    root = repository()
    commits = [resolve(root, one) if one else "" for one in (base, head or "")]
    with tempfile.TemporaryDirectory(prefix="upsampler-bench-") as place, contextlib.ExitStack() as trees:
        made = []
        for name, commit in zip(("base", "head"), commits, strict=True):
            tree = trees.enter_context(_checked_out(root, commit, Path(place) / name)) if commit else root
            python = _interpreter(root, tree, name, say) if own_environment and commit else sys.executable
            shim = _shim(Path(place) / f"{name}-path", tree)
            called = f"{name} ({commit[:7]})" if commit else f"{name} ({HERE})"
            found = tuple(
                str(tree / one) if one.endswith(".py") and not Path(one).is_absolute() else one for one in plugins
            )
            made.append(Corner(called, Side(python, (str(shim),), str(shim)), found, (str(tree / "src"), str(tree))))
        yield made[0], made[1]


def repository() -> Path:
    """The root of the repository that holds the current folder.

    Raises:
        PlanError: none does.
    """
    done = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    if done.returncode:
        raise PlanError("this folder is in no git repository; a comparison of revisions needs one")
    return Path(done.stdout.strip())


def resolve(root: Path, revision: str) -> str:
    """A revision's full name.

    Raises:
        PlanError: there is none; says what would be.
    """
    done = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode:
        known = _git(
            root, "for-each-ref", "--count=6", "--sort=-committerdate", "--format=%(refname:short)"
        ).stdout.split()
        raise PlanError(
            f"no revision {revision!r} in {root.name}; expected a commit, tag or branch, such as "
            f"{', '.join(['HEAD~1', *known])} (a shallow clone lacks older ones: git fetch --unshallow)"
        )
    return done.stdout.strip()


def changed_files(root: Path) -> list[str]:
    """What the working tree has that its last commit has not."""
    return [line[3:] for line in _git(root, "status", "--porcelain").stdout.splitlines()]


@contextlib.contextmanager
def _checked_out(root: Path, commit: str, place: Path) -> Iterator[Path]:
    """A worktree; removed also where the user ends the comparison."""
    try:
        done = _git(root, "worktree", "add", "--detach", "--force", str(place), commit)
        if done.returncode:
            raise SideError(f"cannot check out {commit[:7]}: {_last(done.stderr)}")
        yield place
    finally:
        _git(root, "worktree", "remove", "--force", str(place))
        _git(root, "worktree", "prune")


def _shim(place: Path, tree: Path) -> Path:
    """A folder to import from: the tree's operators, and this package whatever the tree holds: the ruler stays."""
    place.mkdir()
    (place / PACKAGE.name).symlink_to(PACKAGE, target_is_directory=True)
    operators = tree / OPERATORS
    if (operators / "__init__.py").is_file():
        (place / OPERATORS).symlink_to(operators, target_is_directory=True)
    return place


def _interpreter(root: Path, tree: Path, name: str, say: Callable[[str], None]) -> str:
    """This interpreter where the tree depends on the same packages as the working tree, else one of its own."""
    wanted = _dependencies(tree)
    if not wanted or wanted == _dependencies(root):
        return sys.executable
    key = hashlib.sha256("\n".join([sys.version, *wanted]).encode()).hexdigest()[:16]
    place = CACHE / key
    python = place / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    if not (place / "whole").exists():
        say(f"{name} depends on other packages: installing them into {place} (kept for the next time)")
        venv.create(place, with_pip=True, clear=True)
        constraints = tree / "constraints.txt"
        limits = ["--constraint", str(constraints)] if constraints.exists() else []
        asked = [*(one for one in wanted if not one.startswith("#")), *_ours()]
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *limits, *asked], capture_output=True, text=True, cwd=tree
        )
        if done.returncode:
            raise SideError(f"{name} does not install: {_last(done.stderr)}")
        (place / "whole").touch()
    return str(python)


def _ours() -> list[str]:
    """What this package itself needs, which measures whatever the tree holds."""
    try:
        return [one for one in requires("upsampler-bench") or () if "extra ==" not in one]
    except PackageNotFoundError:
        return []


def _dependencies(tree: Path) -> list[str]:
    """What the tree's package needs, and the exact versions that it asks for."""
    project = tree / "pyproject.toml"
    if not project.is_file():
        return []
    try:
        found = tomllib.loads(project.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as problem:
        raise SideError(f"{project} is no TOML: {problem}") from problem
    constraints = tree / "constraints.txt"
    exact = [f"# {line}" for line in constraints.read_text(encoding="utf-8").split()] if constraints.is_file() else []
    return [*found.get("project", {}).get("dependencies", []), *exact]


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise PlanError("git is not installed; a comparison of revisions needs it") from problem


def _last(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-ERROR_LINES:])
