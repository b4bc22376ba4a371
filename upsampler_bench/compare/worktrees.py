"""Revisions checked out next to the working tree, each with the interpreter it needs, and removed afterwards."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
import tempfile
import venv
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

from upsampler_bench import plan
from upsampler_bench.compare.process import Side, SideError
from upsampler_bench.errors import PlanError
from upsampler_bench.runner import process as runner

ENVIRONMENTS = Path("upsampler-bench") / "environments"
PACKAGE = Path(__file__).parents[1]
OPERATORS = "upsamplers"
ERROR_LINES = 6
Say = Callable[[str], None]


@contextlib.contextmanager
def sides(
    base: str, head: str | None, plugins: Sequence[str], say: Say, *, own_environment: bool = True
) -> Iterator[tuple[Side, Side]]:
    """The base and the head of a comparison of revisions, checked out while the context lasts.

    Args:
        base, head: revisions that git knows; no head: the working tree as it is.
        plugins: modules or files; relative files, from the current folder, are taken from each side's own tree. One
            that the base does not have yet is left out of it.
        say: called with a line before what takes long.
        own_environment: a side whose dependencies differ from the working tree's gets an environment of its own.

    Raises:
        PlanError: the current folder is not in a repository, or there is no such revision.
        SideError: a side's dependencies cannot be installed.
    """
    root = repository()
    commits = {"base": resolve(root, base), "head": resolve(root, head) if head else ""}
    _refuse_itself(root, base, commits)
    # Files are looked for at the same place in each side's tree.
    plugins = [
        os.path.relpath(Path(plugin).resolve(), root.resolve())
        if plugin.endswith(".py") and not Path(plugin).is_absolute()
        else plugin
        for plugin in plugins
    ]
    with tempfile.TemporaryDirectory(prefix="upsampler-bench-") as folder, contextlib.ExitStack() as checkouts:
        built = []
        for name, commit in commits.items():
            tree, python = root, sys.executable
            if commit:
                tree = checkouts.enter_context(_checked_out(root, commit, Path(folder) / name))
                python = _interpreter(root, tree, name, say) if own_environment else python
            modules = _importable(Path(folder) / f"{name}-path", tree)
            missing = [plugin for plugin in plugins if name == "base" and _is_new(plugin, tree, root)]
            if missing:
                say(f"{name} ({commit[:7]}) has no {', '.join(missing)}: what it registers is new")
            kept = [plugin for plugin in plugins if plugin not in missing]
            own_plugins = [str(tree / plugin) if plugin.endswith(".py") else plugin for plugin in kept]
            code = runner.Side(python, (str(modules),), str(modules))
            title = f"{name} ({commit[:7] or 'the working tree'})"
            built.append(Side(title, code, tuple(own_plugins), (str(tree / "src"), str(tree))))
        yield built[0], built[1]


def repository() -> Path:
    """The root of the repository of the current folder.

    Raises:
        PlanError: it is in none.
    """
    done = _git(Path.cwd(), "rev-parse", "--show-toplevel")
    if done.returncode:
        raise PlanError("the current folder is not in a git repository; --base needs one")
    return Path(done.stdout.strip())


def resolve(root: Path, revision: str) -> str:
    """A revision's full hash.

    Raises:
        PlanError: there is no such revision; lists some.
    """
    done = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode:
        refs = _git(root, "for-each-ref", "--count=6", "--sort=-committerdate", "--format=%(refname:short)")
        raise PlanError(
            f"no revision {revision!r} in {root.name}; expected a commit, tag or branch, such as "
            f"{', '.join(['HEAD~1', *refs.stdout.split()])} (a shallow clone lacks older ones: git fetch --unshallow)"
        )
    return done.stdout.strip()


def has_operators(root: Path) -> bool:
    """Whether a tree has the package `upsamplers` itself, of which all operators are compared by default."""
    return (root / OPERATORS / "__init__.py").is_file()


def changed_files(root: Path) -> list[str]:
    """Files of the working tree that differ from its last commit."""
    return [line[3:] for line in _git(root, "status", "--porcelain").stdout.splitlines()]


def _refuse_itself(root: Path, base: str, commits: Mapping[str, str]) -> None:
    """In a shallow clone a branch may be the very commit that is checked out.

    Raises:
        PlanError: base and head are the same commit of a shallow clone.
    """
    head = commits["head"] or resolve(root, "HEAD")
    # Untracked files do not count: a CI leaves what it built.
    is_changed = not commits["head"] and _git(root, "diff", "--quiet", "HEAD").returncode
    if base == "HEAD" or commits["base"] != head or is_changed:
        return
    if _git(root, "rev-parse", "--is-shallow-repository").stdout.strip() == "true":
        raise PlanError(f"{base} is the head itself in this shallow clone; fetch more: git fetch --unshallow")


@contextlib.contextmanager
def _checked_out(root: Path, commit: str, folder: Path) -> Iterator[Path]:
    """A worktree, removed even if the user interrupts the comparison."""
    try:
        done = _git(root, "worktree", "add", "--detach", "--force", str(folder), commit)
        if done.returncode:
            raise SideError(f"cannot check out {commit[:7]}: {_last_lines(done.stderr)}")
        yield folder
    finally:
        _git(root, "worktree", "remove", "--force", str(folder))
        _git(root, "worktree", "prune")


def _is_new(plugin: str, tree: Path, root: Path) -> bool:
    """Whether a tree lacks a plug-in: the file, or a module that the working tree has."""
    if plugin.endswith(".py"):
        return not (tree / plugin).exists()
    inner = Path(*plugin.split("."))
    files = [Path(source, name) for source in ("src", "") for name in (f"{inner}.py", inner / "__init__.py")]
    return any((root / file).exists() for file in files) and not any((tree / file).exists() for file in files)


def _importable(folder: Path, tree: Path) -> Path:
    """A folder to import from: the tree's operators, but this package, so that both sides are measured alike."""
    folder.mkdir()
    (folder / PACKAGE.name).symlink_to(PACKAGE, target_is_directory=True)
    if has_operators(tree):
        (folder / OPERATORS).symlink_to(tree / OPERATORS, target_is_directory=True)
    return folder


def _interpreter(root: Path, tree: Path, name: str, say: Say) -> str:
    """This interpreter if the tree has the same dependencies as the working tree, else one of its own."""
    dependencies = _dependencies(tree)
    if not dependencies or dependencies == _dependencies(root):
        return sys.executable
    folder = _cache() / hashlib.sha256("\n".join([sys.version, *dependencies]).encode()).hexdigest()[:16]
    python = folder / ("Scripts" if sys.platform == "win32" else "bin") / "python"
    complete = folder / "complete"
    if not complete.exists():
        say(f"{name} has other dependencies: installing them into {folder} (kept for later comparisons)")
        venv.create(folder, with_pip=True, clear=True)
        constraints = tree / "constraints.txt"
        limits = ["--constraint", str(constraints)] if constraints.exists() else []
        packages = [line for line in dependencies if not line.startswith("#")] + _own_dependencies()
        done = subprocess.run(
            [str(python), "-m", "pip", "install", "--quiet", *limits, *packages],
            capture_output=True, text=True, cwd=tree, check=False, env={**os.environ, "PYTHONSAFEPATH": "1"},
        )  # fmt: skip
        if done.returncode:
            raise SideError(f"{name} does not install: {_last_lines(done.stderr)}")
        complete.touch()
    return str(python)


def _cache() -> Path:
    """Where environments are kept; a user without a home, as in a container, has a temporary folder."""
    try:
        return Path.home() / ".cache" / ENVIRONMENTS
    except RuntimeError:
        return Path(tempfile.gettempdir()) / ENVIRONMENTS


def _own_dependencies() -> list[str]:
    """What this package needs, which measures every tree."""
    try:
        return [line for line in requires("upsampler-bench") or () if "extra ==" not in line]
    except PackageNotFoundError:
        return []


def _dependencies(tree: Path) -> list[str]:
    """The dependencies of the tree's package, and its constraints as comments."""
    project = tree / "pyproject.toml"
    if not project.is_file():
        return []
    table = plan.toml(project).get("project", {})
    constraints = tree / "constraints.txt"
    lines = constraints.read_text(encoding="utf-8").split() if constraints.is_file() else []
    return [*table.get("dependencies", []), *(f"# {line}" for line in lines)]


def _git(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError as problem:
        raise PlanError("git is not installed; --base needs it") from problem


def _last_lines(text: str) -> str:
    return "\n".join(text.strip().splitlines()[-ERROR_LINES:])
